"""Expressions as a compiled function: `sn.compile`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from codegen.compile import TARGETS, Options, compile_program
from symnet.diff import Nested, flatten, unflatten
from symnet.errors import FeedError, GraphError
from symnet.expr import Expr, topological
from symnet.feeds import bind, feeds_of, limits_of
from symnet.formula.tree import Formula
from symnet.guard import watched
from symnet.held import Held
from symnet.lower import (
    Part,
    commented,
    instructions,
    listing,
    lower,
    output_names,
    shared,
)
from symnet.ops.leaves import INPUT, STEP, UNKNOWN, training
from symnet.reference.starts import starting_value
from symnet.simplify import stabilize as stabilized
from symnet.sizes import Size
from symnet.step import Step, make_step

Array = np.ndarray[Any, Any]


def refuse_unknown(nodes: Sequence[Expr]) -> None:
    """UnknownFunctionError if an unknown function is among what nodes depend on."""
    for node in topological(nodes):
        if node.op is UNKNOWN:
            node.op.value(None, node)


def options_of(target: object, threads: object) -> Options:
    """How to compile; GraphError for a target or a number of threads that there is not."""
    if target == "cuda" and target not in TARGETS:
        raise GraphError(
            'there is no target="cuda" yet: this version compiles for the CPU only, as '
            'target="cpu" does; `symnet doctor` says what there is on this machine'
        )
    if target not in TARGETS:
        raise GraphError(f"a target is one of {', '.join(TARGETS)}, got {target!r}")
    if threads is None:
        return Options(target=str(target))
    if isinstance(threads, bool) or not isinstance(threads, (int, np.integer)) or threads < 1:
        raise GraphError(f"threads is a whole number from 1 or None, got {threads!r}")
    return Options(target=str(target), threads=int(threads))


def starting_values_of(step: Step, seed: int) -> dict[Expr, Array]:
    """Arrays for every parameter and state of a step, as the seed starts them."""
    return {
        leaf: np.zeros((), leaf.dtype) if leaf.op is STEP else starting_value(leaf, seed)
        for leaf in step.leaves().values()
        if leaf.op is not INPUT
    }


def fixed_shape(node: Expr, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """A node's shape in numbers."""
    return tuple(size.value(sizes) if isinstance(size, Size) else int(size) for size in node.shape)


class Function:
    """A compiled function of feeds, with the parameters and state it holds.

    `f(feeds)` or `f(**feeds)` returns arrays nested as the outputs and then applies the updates.
    Inputs must be fed. A parameter that is fed counts for that call alone, unless it is updated.
    `parameters` maps names to the arrays it holds, which may be assigned. `compiles`
    counts the kernels that had to be compiled; the others came from the cache.
    """

    def __init__(self, outputs: Nested, step: Step, options: Options, seed: int = 0) -> None:
        refuse_unknown(step.roots())
        self._nested, self.step = outputs, step
        self._running, self._checks = watched(step)
        self._lowered = lower(self._running)
        self.executable = compile_program(self._lowered.program, options)
        self._held = starting_values_of(step, seed)
        # A dict, since `in` on a list compares elementwise.
        self._inputs = dict.fromkeys(leaf for leaf in self._lowered.leaves if leaf.op is INPUT)
        self._limits = limits_of(step.roots())
        self.notes: tuple[str, ...] = ()

    @property
    def leaves(self) -> list[Expr]:
        """The inputs, parameters and states it reads."""
        return list(self._lowered.leaves)

    @property
    def parameters(self) -> Held:
        """The arrays of its parameters and state, by name."""
        return Held({str(leaf.name): array for leaf, array in self._held.items()})

    @property
    def compiles(self) -> int:
        """How many kernels were compiled for it; 0 if all came from the cache."""
        return int(self.executable.compiled)

    def __call__(self, feeds: Mapping[Any, Any] | None = None, /, **named: Any) -> Any:
        given = {**feeds_of(feeds), **named}
        required = [leaf for leaf in self._inputs if leaf is not training]
        optional = [*self._held, *([training] if training in self._inputs else [])]
        bound = bind(
            required, given, optional=optional, limits=self._limits, held=list(self._held.values())
        )
        self.notes = bound.notes
        updated = {target for target, _ in self.step.updates}
        for leaf in updated & bound.arrays.keys():
            self._held[leaf][...] = bound.arrays[leaf]
            bound.arrays[leaf] = self._held[leaf]
        values = {**self._held, **bound.arrays}
        if training in self._inputs:
            values.setdefault(training, np.zeros((), bool))
        return self.run(values, bound.sizes)

    def run(self, values: Mapping[Expr, Array], sizes: Mapping[str, int]) -> Any:
        """The outputs from checked arrays by leaf; updates write into them."""
        results = {
            key: np.empty(fixed_shape(node, sizes), node.dtype)
            for key, node in self._running.outputs.items()
        }
        arrays: dict[str, Array] = dict(self._lowered.constants)
        arrays |= {name: values[leaf] for leaf, name in self._lowered.leaves.items()}
        arrays |= {self._lowered.outputs[key]: array for key, array in results.items()}
        arrays = {name: np.ascontiguousarray(a) if a.ndim else a for name, a in arrays.items()}
        free = self.executable.plan.free
        known = {name: value for name, value in sizes.items() if name in free}
        self.executable.bind(known, arrays).run()
        for key, message in self._checks.items():
            if results.pop(key):
                raise FeedError(message)
        flat = [array if array.ndim else array[()] for array in results.values()]
        return unflatten(self._nested, flat)

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
    def llvm(self) -> str:
        """The LLVM of every kernel."""
        return "\n\n".join(kernel.llvm for kernel in self.executable.kernels)

    @property
    def asm(self) -> str:
        """The assembly of every kernel."""
        return "\n\n".join(kernel.assembly for kernel in self.executable.kernels)

    @property
    def stages(self) -> tuple[str, ...]:
        """The names that `stage` takes, in the order of the passes."""
        return tuple(self.executable.stages)

    def stage(self, name: str) -> str:
        """The program as it stood after that pass; GraphError if there is no such pass."""
        if name not in self.executable.stages:
            raise GraphError(f"a stage is one of {', '.join(self.stages)}, got {name!r}")
        return str(self.executable.stages[name])

    def explain(self) -> str:
        """What runs: each kernel's formulas, where they were written, and the vector instructions
        that they came to. Counting those compiles the kernels anew."""
        count = len(self.executable.kernels)
        lines = [f"{count} kernels, {self.compiles} compiled anew"]
        for number, part in enumerate(self.parts, 1):
            sums = f"; finishes {part.products.label}" if part.products is not None else ""
            shown = [*part.lines(), f"{part.instructions}{sums}"]
            lines += [f"{number:3}. {shown[0]}", *(f"     {line}" for line in shown[1:])]
        for kernel in shared(self.parts):
            lines += [f"  *  {kernel.label}", f"     {instructions(kernel)}"]
        return "\n".join(lines)


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
    threads: int | None = None,
    stabilize: bool = True,
    seed: int = 0,
) -> Function:
    """A compiled function of feeds that returns `outputs` and applies `updates`.

    outputs: an Expr or a nested list, tuple or dict of them, computed from the state before the
    updates. updates: parameter or state -> next value. target: "cpu". threads: workers that share
    each loop. stabilize: compute in the numerically stable spelling. seed: how initialisers draw.
    Raises ours for unknown functions, name clashes and updates that do not fit.
    """
    options = options_of(target, threads)
    pairs = list(updates.items()) if isinstance(updates, Mapping) else list(updates or ())
    nodes = flatten(outputs)
    values = [value for _, value in pairs]
    if stabilize:
        stable = stabilized([*nodes, *values])
        nodes, values = stable[: len(nodes)], stable[len(nodes) :]
    names = {f"{place}": node for place, node in enumerate(nodes)}
    step = make_step(names, list(zip((leaf for leaf, _ in pairs), values, strict=True)))
    return Function(outputs, step, options, seed)
