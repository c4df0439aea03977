"""Expressions as a compiled function: `sn.compile`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np

from codegen.alignment import aligned
from codegen.collector import uncollected
from codegen.compile import PRECISIONS, TARGETS, Options, compile_program
from codegen.executables import AnyBinding
from codegen.lazy import cuda_placing
from symnet.device_arrays import DeviceArray, Fetch, Memory, alias_of, fetch, placed_on_gpu
from symnet.diff import Nested, flatten, unflatten
from symnet.errors import FeedError, GraphError
from symnet.expr import Expr, topological
from symnet.faults import bind_program, faults_told
from symnet.feeds import Bound, bind, feeds_of, limits_of
from symnet.formula.tree import Formula
from symnet.guard import watched
from symnet.held import Held, overwrite
from symnet.lower import (
    Part,
    came_to,
    commented,
    listing,
    lower,
    output_names,
    resources,
    shared,
)
from symnet.ops.leaves import INPUT, STEP, UNKNOWN, training
from symnet.reference.starts import starting_value
from symnet.resident import HeldOnDevice, Resident
from symnet.room import room, room_told
from symnet.simplify import stabilize as stabilized
from symnet.sizes import Size
from symnet.step import Step, make_step

Array = np.ndarray[Any, Any]
KEPT = 8
"""Bindings that a function keeps for arrays on a GPU that come again."""
MOST_THREADS = 1024
"""More than any machine has cores: each takes memory of its own."""


def refuse_unknown(nodes: Sequence[Expr]) -> None:
    """UnknownFunctionError if an unknown function is among what nodes depend on."""
    for node in topological(nodes):
        if node.op is UNKNOWN:
            node.op.value(None, node)


def options_of(target: object, threads: object, precision: object = "float32") -> Options:
    """How to compile; GraphError for a target, a number of threads or a precision that there is
    not, or that does not go with the target."""
    if target not in TARGETS:
        raise GraphError(f"a target is one of {', '.join(TARGETS)}, got {target!r}")
    if precision not in PRECISIONS:
        raise GraphError(f"a precision is one of {', '.join(PRECISIONS)}, got {precision!r}")
    if target == "cuda" and threads is not None:
        raise GraphError(
            'threads shares loops out on the CPU; with target="cuda" the GPU decides how many '
            "blocks take part"
        )
    if target != "cuda" and precision != "float32":
        raise GraphError(f'precision={precision!r} is for target="cuda"; a CPU multiplies float32')
    if threads is None:
        return Options(target=str(target), precision=str(precision))
    if isinstance(threads, bool) or not isinstance(threads, (int, np.integer)) or threads < 1:
        raise GraphError(f"threads is a whole number from 1 or None, got {threads!r}")
    if threads > MOST_THREADS:
        raise GraphError(f"threads is at most {MOST_THREADS}, got {threads}")
    return Options(target=str(target), threads=int(threads))


def starting_values_of(step: Step, seed: int) -> dict[Expr, Array]:
    """Arrays for every parameter and state of a step, as the seed starts them, each from the
    beginning of a cache line; OutOfMemoryError if they are too large."""
    found = {}
    for leaf in step.held:
        shape = tuple(int(size) for size in leaf.shape)
        with room_told(f"{leaf.name} (made at {leaf.origin})", shape, leaf.dtype):
            found[leaf] = aligned(shape, leaf.dtype)
            found[leaf][...] = 0 if leaf.op is STEP else starting_value(leaf, seed)
    return found


def fixed_shape(node: Expr, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """A node's shape in numbers."""
    return tuple(size.value(sizes) if isinstance(size, Size) else int(size) for size in node.shape)


def memory_of(options: Options) -> Memory | None:
    """The GPU's memory; None where the CPU runs. DeviceError if there is no GPU."""
    if options.target != "cuda":
        return None
    with faults_told():
        found: Memory = cuda_placing.memory()
        return found


def to_device(array: Any) -> DeviceArray:
    """A copy of an array on the GPU, of the dtype it has; DeviceError if there is no GPU, FeedError
    for what has no numbers."""
    host = np.asarray(array)
    if host.dtype.kind not in "biuf":
        raise FeedError(f"to_device takes an array of numbers, got {host.dtype}")
    host = host.astype(host.dtype.newbyteorder("="), copy=False)
    with faults_told():
        made = DeviceArray(cuda_placing.memory(), host.shape, host.dtype)
        made.write(host)
    return made


class Function:
    """A compiled function of feeds, with the parameters and state it holds.

    `f(feeds)` or `f(**feeds)` returns arrays nested as the outputs and then applies the updates.
    Inputs must be fed. A parameter that is fed counts for that call alone, unless it is updated.
    `parameters` maps names to the arrays it holds, which may be assigned. `compiles`
    counts the kernels that had to be compiled; the others came from the cache.

    On a GPU it holds its arrays there, and `parameters` gives read-only copies. Feeds may be arrays
    on the GPU, of torch, CuPy, JAX, Numba or `sn.to_device`; if any input is one, so are all
    outputs.
    """

    def __init__(self, outputs: Nested, step: Step, options: Options, seed: int = 0) -> None:
        refuse_unknown(step.roots())
        self._nested, self.step, self._options = outputs, step, options
        self._running, self._checks = watched(step)
        self._lowered = lower(self._running)
        with faults_told():
            self.executable = compile_program(self._lowered.program, options)
        self._held = starting_values_of(step, seed)
        self._resident = Resident(self._held) if options.target == "cuda" else None
        # A dict, since `in` on a list compares elementwise.
        self._inputs = dict.fromkeys(leaf for leaf in self._lowered.leaves if leaf.op is INPUT)
        self._limits = limits_of(step.roots())
        self._bindings: dict[tuple[tuple[str, int], ...], AnyBinding] = {}
        self.notes: tuple[str, ...] = ()

    @property
    def leaves(self) -> list[Expr]:
        """The inputs, parameters and states it reads."""
        return list(self._lowered.leaves)

    @property
    def parameters(self) -> Held:
        """The arrays of its parameters and state, by name."""
        if self._resident is not None:
            return HeldOnDevice(self._resident)
        return Held({str(leaf.name): array for leaf, array in self._held.items()})

    @property
    def compiles(self) -> int:
        """How many kernels were compiled for it; 0 if all came from the cache."""
        return int(self.executable.compiled)

    @cached_property
    def _memory(self) -> Memory | None:
        return memory_of(self._options)

    def __call__(self, feeds: Mapping[Any, Any] | None = None, /, **named: Any) -> Any:
        given = {**feeds_of(feeds), **named}
        required = [leaf for leaf in self._inputs if leaf is not training]
        optional = [*self._held, *([training] if training in self._inputs else [])]
        held, memory = list(self._held.values()), self._memory
        fetched = None if memory is None else partial(fetch, memory)
        with faults_told():
            bound = bind(
                required, given, optional=optional, limits=self._limits, held=held, fetch=fetched
            )
            self.notes = bound.notes
            values = {**self._taken(bound, memory, fetched), **bound.arrays, **bound.placed}
            if training in self._inputs:
                values.setdefault(training, np.zeros((), bool))
            there = memory if bound.placed.keys() & self._inputs.keys() else None
            return self.run(values, bound.sizes, there)

    def _taken(self, bound: Bound, memory: Memory | None, fetched: Fetch | None) -> dict[Expr, Any]:
        """The arrays it holds. Feeds for those it updates are written into them first, and are
        feeds no more."""
        updated = {target for target, _ in self.step.updates}
        fed: dict[Expr, Array] = {}
        for leaf in updated & bound.arrays.keys():
            fed[leaf] = bound.arrays.pop(leaf)
        for leaf in updated & bound.placed.keys():
            assert fetched is not None
            fed[leaf] = fetched(bound.placed.pop(leaf))
        if self._resident is None or memory is None:
            for leaf, array in fed.items():
                overwrite(str(leaf.name), self._held[leaf], array)
            return dict(self._held)
        held = self._resident.placed(memory)
        for leaf, array in fed.items():
            self._resident.write(leaf, array)
        return {leaf: array.placed for leaf, array in held.items()}

    def run(
        self, values: Mapping[Expr, Any], sizes: Mapping[str, int], there: Memory | None = None
    ) -> Any:
        """The outputs from checked arrays by leaf; updates write into them. there: the memory of
        the GPU if outputs are to stay on it."""
        results = {
            key: self._made(key, fixed_shape(node, sizes), node.dtype, there)
            for key, node in self._running.outputs.items()
        }
        arrays: dict[str, Any] = dict(self._lowered.constants)
        arrays |= {name: values[leaf] for leaf, name in self._lowered.leaves.items()}
        arrays |= {self._lowered.outputs[key]: array for key, array in results.items()}
        arrays = {name: _contiguous(array) for name, array in arrays.items()}
        free = self.executable.plan.free
        known = {name: value for name, value in sizes.items() if name in free}
        binding = self._bound(known, arrays)
        binding.run()
        binding.pull()
        for key, message in self._checks.items():
            if results.pop(key):
                raise FeedError(message)
        flat = [array if array.ndim or there else array[()] for array in results.values()]
        return unflatten(self._nested, flat)

    def _bound(self, sizes: Mapping[str, int], arrays: Mapping[str, Any]) -> AnyBinding:
        """The program bound to arrays. If all are on the GPU, it is the binding that the same
        addresses had before: recording a graph costs more than replaying it."""
        constants = self._lowered.constants.keys()
        placed = {name: array for name, array in arrays.items() if name not in constants}
        if not placed or not all(map(placed_on_gpu, placed.values())):
            return bind_program(self.executable, sizes, arrays, self._lowered.held)
        # The binding keeps no array of others alive: it runs only while its caller has them.
        aliases = {name: alias_of(array) for name, array in placed.items()}
        key = (*sizes.items(), *((name, alias.address) for name, alias in aliases.items()))
        found = self._bindings.pop(key, None)
        if found is None:
            named = {**arrays, **aliases}
            found = bind_program(self.executable, sizes, named, self._lowered.held)
        self._bindings[key] = found
        while len(self._bindings) > KEPT:
            self._bindings.pop(next(iter(self._bindings)))
        return found

    def _made(
        self, key: str, shape: tuple[int, ...], dtype: np.dtype[Any], there: Memory | None
    ) -> Any:
        """Room for an output; what only says whether something is wrong is for the host."""
        if there is None or key in self._checks:
            return room("an output", shape, dtype)
        return DeviceArray(there, shape, dtype)

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """Every kernel with the formulas it computes, in the order in which they run."""
        return self.listed({})

    def listed(self, names: Mapping[Expr, Formula]) -> tuple[Part, ...]:
        """The same, where `names` says how expressions are written that have no name."""
        asked = dict(zip(_keys(self._nested), flatten(self._nested), strict=True))
        running = dict(zip(asked, self._running.outputs.values(), strict=False))
        own = {**output_names(asked, running), **names}
        return listing(self._lowered, self.executable, own)

    @property
    def source(self) -> str:
        """The generated Python of every kernel, in the order in which they run, each under the
        formulas that it computes and the lines where the user wrote them."""
        return commented(self.parts)

    @property
    @faults_told()
    def llvm(self) -> str:
        """The LLVM of every kernel; GraphError if it is compiled for a GPU."""
        self._require("cpu", "llvm and f.asm show what a CPU runs; here f.ptx and f.sass do")
        return "\n\n".join(kernel.llvm for kernel in self.executable.kernels)

    @property
    @faults_told()
    def asm(self) -> str:
        """The assembly of every kernel; GraphError if it is compiled for a GPU."""
        self._require("cpu", "asm and f.llvm show what a CPU runs; here f.ptx and f.sass do")
        return "\n\n".join(kernel.assembly for kernel in self.executable.kernels)

    @property
    def ptx(self) -> str:
        """The PTX of every kernel for a GPU, from which its machine code was assembled; GraphError
        if it is compiled for the CPU."""
        self._require("cuda", 'ptx is there with sn.compile(..., target="cuda"); here f.asm is')
        return "\n\n".join(image.ptx for image in self._images)

    @property
    @faults_told()
    def sass(self) -> str:
        """The machine code of every kernel for a GPU; GraphError if it is compiled for the CPU,
        CompileError if nvdisasm is missing."""
        self._require("cuda", 'sass is there with sn.compile(..., target="cuda"); here f.asm is')
        return "\n\n".join(image.sass for image in self._images)

    @property
    def _images(self) -> tuple[Any, ...]:
        return getattr(self.executable, "images", ())

    def _require(self, target: str, told: str) -> None:
        if self._options.target != target:
            raise GraphError(f"f.{told}")

    @property
    def stages(self) -> tuple[str, ...]:
        """The names that `stage` takes, in the order of the passes."""
        return tuple(self.executable.stages)

    def stage(self, name: str) -> str:
        """The program as it stood after that pass; GraphError if there is no such pass."""
        if name not in self.executable.stages:
            raise GraphError(f"a stage is one of {', '.join(self.stages)}, got {name!r}")
        return str(self.executable.stages[name])

    @faults_told()
    def explain(self) -> str:
        """What runs: each kernel's formulas, where they were written, and the vector instructions
        that they came to. Counting those compiles the kernels anew. On a GPU, how the program is
        executed and why, and the registers, shared memory and spills of each kernel."""
        count = len(self.executable.kernels)
        told = f"{count} kernel{'s' * (count != 1)}, {self.compiles} compiled anew"
        lines = [told, *self._execution()]
        alone = len(self._images) == 1
        for number, part in enumerate(self.parts, 1):
            sums = f"; finishes {part.products.label}" if part.products is not None else ""
            shown = [*part.lines(), *([] if alone else [f"{part.came_to}{sums}"])]
            lines += [f"{number:3}. {shown[0]}", *(f"     {line}" for line in shown[1:])]
        for kernel in shared(self.parts):
            lines += [f"  *  {kernel.label}", f"     {came_to(kernel)}"]
        return "\n".join(lines)

    def _execution(self) -> list[str]:
        """How a GPU executes the program; if one image has all kernels, what that takes."""
        if not self._images:
            return []
        first = self._images[0]
        lines = [f"{first.architecture}, {self._options.precision}"]
        lines += [str(getattr(self.executable, "execution", ""))]
        if self.executable.plan.free:
            lines += ["that supposes 128 for each named size; in a call the sizes decide"]
        if len(self._images) == 1:
            lines += [f"all kernels in {first.entry}: {resources(first)}"]
        return lines


def _contiguous(array: Any) -> Any:
    """A NumPy array in the order of its rows; what is on a GPU as it is."""
    return np.ascontiguousarray(array) if isinstance(array, np.ndarray) and array.ndim else array


def _keys(nested: Nested, place: str = "") -> list[str]:
    """A key for each expression, in their order: that of the dict it is in, else its place."""
    if isinstance(nested, Expr):
        return [place or "0"]
    pairs = nested.items() if isinstance(nested, Mapping) else enumerate(nested)
    found = [_keys(inner, f"{place}.{key}" if place else str(key)) for key, inner in pairs]
    return [key for keys in found for key in keys]


def compile(
    outputs: Nested,
    updates: Mapping[Expr, Expr] | Sequence[tuple[Expr, Expr]] | None = None,
    *,
    target: str = "cpu",
    precision: str = "float32",
    threads: int | None = None,
    stabilize: bool = True,
    seed: int = 0,
) -> Function:
    """A compiled function of feeds that returns `outputs` and applies `updates`.

    outputs: an Expr or a nested list, tuple or dict of them, computed from the state before the
    updates. updates: parameter or state -> next value. target: "cpu" or "cuda". precision: of the
    factors of matrix products on a GPU: "float32", or "tf32" or "bf16" for its tensor cores; sums
    are float32. threads: workers of the CPU that share each loop. stabilize: compute in the
    numerically stable spelling. seed: how initialisers draw. Raises ours for unknown functions,
    name clashes, updates that do not fit and what compiling lacks. For a GPU it compiles without
    one.
    """
    options = options_of(target, threads, precision)
    pairs = list(updates.items()) if isinstance(updates, Mapping) else list(updates or ())
    nodes = flatten(outputs)
    values = [value for _, value in pairs]
    with uncollected():
        if stabilize:
            stable = stabilized([*nodes, *values])
            nodes, values = stable[: len(nodes)], stable[len(nodes) :]
        names = {f"{place}": node for place, node in enumerate(nodes)}
        step = make_step(names, list(zip((leaf for leaf, _ in pairs), values, strict=True)))
        return Function(outputs, step, options, seed)
