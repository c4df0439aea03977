"""Executables: a compiled program, bound to sizes and arrays, run without Python."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from codegen.alignment import aligned
from codegen.cache import Kernel
from codegen.choice import Choice
from codegen.cpu.launch import Launch
from codegen.crew import Crew
from codegen.ir import Program
from codegen.layout import BindError, Layout, Plan, lay_out
from codegen.show import show

Array = np.ndarray[Any, Any]
Key = TypeVar("Key")
Kept = TypeVar("Kept")

# The words of a binding's control block, each in a cache line (and its neighbour) of its own.
_BROKEN, _ARRIVALS, _STOP, _ITERATIONS, _STOPPED, _DECIDED = 0, 16, 32, 48, 64, 80
_CONTROL_WORDS = 128


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: complete iterations of the outermost sequence that ran last, and which Until
    left it (its number in the order of the program), if one did; and the seconds it took."""

    iterations: int
    stopped: int | None
    seconds: float = field(default=0.0, compare=False)


class Stages(Mapping[str, str]):
    """The program after each pass by the pass's name, printed when it is looked at."""

    def __init__(self, stages: tuple[tuple[str, Program], ...]) -> None:
        self._programs = dict(stages)

    def __getitem__(self, name: str) -> str:
        return show(self._programs[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._programs)

    def __len__(self) -> int:
        return len(self._programs)


@dataclass(frozen=True, slots=True)
class CompiledKernel:
    """One kernel of an executable. `source` is its readable text; `llvm` and `assembly` are made
    anew at each look, since only the object file is kept."""

    label: str
    source: str
    kernel: Kernel

    @property
    def llvm(self) -> str:
        return self.kernel.llvm

    @property
    def assembly(self) -> str:
        return self.kernel.assembly


@dataclass(frozen=True)
class Executable:
    """A compiled program. `compiled` counts the kernels that were compiled anew for it; `kernels`
    are in the order in which the launch table first names them, the same text only once. `workers`
    share each loop; if `chooses`, that is the most there may be, else what was asked for."""

    program: Program
    stages: Mapping[str, str]
    kernels: tuple[CompiledKernel, ...]
    compiled: int
    workers: int
    chooses: bool
    launch: Launch
    driver: Kernel
    plan: Plan
    table: npt.NDArray[np.int64]
    _layouts: dict[tuple[int, ...], tuple[Layout, Choice]] = field(default_factory=dict, repr=False)
    _choices: dict[tuple[tuple[int, ...], ...], Choice] = field(default_factory=dict, repr=False)
    _crews: list[Crew] = field(default_factory=list, repr=False)

    def bind(self, sizes: Mapping[str, int], arrays: Mapping[str, Array]) -> Binding:
        """Memory for one way of running it: the caller's arrays, by the names of the `argument` and
        `state` buffers, and an arena for everything else. BindError if something does not fit,
        MemoryError or OverflowError if the arena is too large.

        The arrays are used in place and must outlive no one: the binding holds them. Binding again
        with the same sizes is cheap.
        """
        layout, choice = self._laid_out(sizes)
        other = {name: sizes[name] for name in self.plan.alone if sizes[name] != layout.free[name]}
        return Binding(self, layout.at(other) if other else layout, choice, arrays)

    def execute(self, workers: int, numbers: int, cells: int) -> float:
        """Runs the driver on its operands; gives the seconds that took."""
        # A crew carries out one order at a time: whoever runs meanwhile takes another.
        try:
            crew = self._crews.pop()
        except IndexError:
            crew = Crew(self.workers)
        try:
            return crew.run(self.driver.loaded.address, workers, numbers, cells)
        finally:
            self._crews.append(crew)

    def _laid_out(self, sizes: Mapping[str, int]) -> tuple[Layout, Choice]:
        """The tables for these values of the free sizes, made once whatever the sizes that stand
        alone, which are those of the first time; and the choice of workers."""
        plan = self.plan
        try:
            free = {name: int(sizes[name]) for name in plan.free}
        except KeyError as missing:
            raise BindError(f"{self.program.name} needs the size {missing.args[0]!r}") from None
        if len(sizes) > len(free):
            unknown = sorted(set(sizes) - set(free))
            raise BindError(f"{self.program.name} has no free size {unknown[0]!r}")
        key = tuple(value for name, value in free.items() if name not in plan.alone)
        found = self._layouts.get(key)
        if found is None:
            layout = lay_out(plan, free)
            found = layout, self._chosen(layout)
            _keep(self._layouts, key, found)
        return found

    def _chosen(self, layout: Layout) -> Choice:
        """Shared by all layouts of the same shapes: seeds and counts of iterations are sizes too,
        but change nothing about how long a step takes."""
        shapes = tuple(layout.shapes.values())
        found = self._choices.get(shapes)
        if found is None:
            found = Choice(self.workers, asked=not self.chooses)
            _keep(self._choices, shapes, found)
        return found


_SPARSE = 4 << 20
"""Bytes from which on an arena lies in huge pages, which are made whole where it is touched: what
it has for the most steps of a call is often touched at its beginning alone."""
_KEPT = 64


def _keep(store: dict[Key, Kept], key: Key, value: Kept) -> None:
    """Puts the value into the store, out of which the oldest goes when it is full."""
    if len(store) >= _KEPT:
        store.pop(next(iter(store)))
    store[key] = value


class Binding:
    """An executable with its memory. One run at a time; another binding may run beside it."""

    def __init__(
        self, executable: Executable, layout: Layout, choice: Choice, arrays: Mapping[str, Array]
    ) -> None:
        self._executable = executable
        self._layout, self._choice, self._table = layout, choice, layout.table
        workers, plan = executable.workers, executable.plan
        self._arrays = tuple(layout.checked(arrays))
        addresses = np.array(
            [array.__array_interface__["data"][0] for array in self._arrays], np.int64
        )
        self._arena, arena_at = _aligned(layout.arena_bytes(workers))
        clock_words = -(-2 * plan.clocks // 16) * 16 + 16
        self._clocks, clocks_at = _aligned(clock_words * 8 * workers)
        self._pointers = plan.pointers(layout, addresses, arena_at, clocks_at, clock_words, workers)
        self._control, _ = _aligned_words(_CONTROL_WORDS)
        self._control[_STOPPED] = -1
        self._ragged = _words(*executable.launch.ragged, 0)
        table = executable.table
        self._cells = _words(
            table.ctypes.data, 0, self._pointers.ctypes.data, clocks_at,
            self._control.ctypes.data, self._ragged.ctypes.data,
        )  # fmt: skip
        self._numbers = _words(
            len(table), layout.table.shape[1], self._pointers.shape[1], clock_words, plan.clocks
        )
        # Asking an array for its address costs as much as a small kernel.
        self._addresses = (self._numbers.ctypes.data, self._cells.ctypes.data)

    @property
    def choice(self) -> Choice:
        """How many workers the next run should take; shared by all that have the same shapes."""
        return self._choice

    def run(self, sizes: Mapping[str, int] | None = None, workers: int | None = None) -> Outcome:
        """Runs the whole program once, in one call that holds no lock of Python.

        `sizes` gives free sizes other values for this run; none may change the shape of a buffer.
        Fewer workers take part where the system starts no more threads.
        """
        if workers is None:
            chooses, asked = self._executable.chooses, self._executable.workers
            workers = self._choice.pick()[0] if chooses else asked
        addresses = self.begin(sizes)
        outcome = self.finish(self._executable.execute(workers, *addresses))
        self._choice.note(workers, outcome.seconds, outcome.iterations)
        return outcome

    @property
    def driver(self) -> int:
        """The address of the driver; it is the same one for all programs."""
        return self._executable.driver.loaded.address

    def begin(self, sizes: Mapping[str, int] | None = None) -> tuple[int, int]:
        """Makes ready for one run of the driver, whose `n` and `p` stand at these addresses."""
        self._table = self._layout.table
        if sizes:
            self._table = self._executable.plan.changed(self._layout, sizes)
        self._cells[1] = self._table.ctypes.data
        self._control[_ITERATIONS], self._control[_STOPPED] = 0, -1
        self._control[_ARRIVALS] = self._control[_DECIDED] = self._control[_DECIDED + 16] = 0
        return self._addresses

    def finish(self, seconds: float) -> Outcome:
        """How the driver's run ended, which took so long."""
        self._control[_STOP] = 0
        iterations, stopped = int(self._control[_ITERATIONS]), int(self._control[_STOPPED])
        return Outcome(iterations, None if stopped < 0 else stopped, seconds)

    def pull(self) -> None:
        """Brings the caller's arrays up to date: here they are the ones that it runs on."""

    def push(self) -> None:
        """Takes over what the caller wrote into the arrays: nothing to do here."""

    def stop(self) -> None:
        """Lets the run under way (or else the next) leave when the iteration of its outermost
        sequence is complete. May be called from any thread."""
        self._control[_STOP] = 1


def _words(*values: int) -> npt.NDArray[np.int64]:
    return np.array(values, np.int64)


def _aligned(count: int) -> tuple[Array, int]:
    """That many bytes of memory, and its address, a multiple of 64; MemoryError."""
    memory = aligned((count,), np.uint8, _SPARSE)
    return memory, int(memory.__array_interface__["data"][0])


def _aligned_words(count: int) -> tuple[Array, int]:
    memory = np.zeros(count + 16, np.int64)
    first = -int(memory.__array_interface__["data"][0]) % 128 // 8
    return memory[first : first + count], first
