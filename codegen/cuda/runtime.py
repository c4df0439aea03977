"""Executables for a GPU, bound to sizes and arrays: what the host does is to start and to read."""

from __future__ import annotations

import time
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from codegen.choice import Choice
from codegen.cpu.launch import Launch
from codegen.cuda import device as devices
from codegen.cuda.allocation import Pool, Section, Sections
from codegen.cuda.arrays import View, on_device, view
from codegen.cuda.assembly import (
    Assembled,
    assemble_launches,
    assemble_persistent,
    recordable,
)
from codegen.cuda.blocks import blocks_of, spread_products
from codegen.cuda.device import Device, DeviceError, Graph
from codegen.cuda.execution import PERSISTENT, SUPPOSED, Execution, choose
from codegen.cuda.graphs import STATE_WORDS, Node
from codegen.cuda.image import Image
from codegen.cuda.limits import require_countable
from codegen.ir import Buffer, Program
from codegen.layout import BindError, Layout, Plan, lay_out
from codegen.runtime import Outcome
from codegen.sizes import known_sizes, raggeds

Array = np.ndarray[Any, Any]
Words = npt.NDArray[np.int64]

SMALL = 4096
"""Bytes: state of no more is brought back after every run, as results are."""
_STOP, _ITERATIONS, _STOPPED = 32, 48, 64
_CONTROL_WORDS = 128
_NODES = 256
"""Launches recorded in one graph: steps are repeated in it until there are so many."""


@dataclass(frozen=True, slots=True)
class DeviceKernel:
    """One function of an executable, and the image that contains it."""

    label: str
    source: str
    image: Image


@dataclass(frozen=True)
class DeviceExecutable:
    """A program compiled for a GPU, which need not be there before it is bound.

    asked: the execution that the caller wants, else the model chooses by the sizes that are bound.
    """

    program: Program
    stages: Mapping[str, str]
    precision: str
    asked: str | None
    _made: dict[str, Assembled] = field(default_factory=dict, repr=False)
    _layouts: dict[tuple[int, ...], tuple[Execution, Layout]] = field(
        default_factory=dict, repr=False
    )
    _pool: Pool = field(default_factory=Pool, repr=False)

    @cached_property
    def supposed(self) -> Execution:
        """The execution where every free size is 128 and the GPU is an H100."""
        ragged = {rule.name for rule in raggeds(self.program.body)}
        free = [rule.name for rule in self.program.sizes if not rule.terms]
        supposed = {name: SUPPOSED for name in free if name not in ragged}
        sizes = known_sizes(self.program, supposed)
        return self._chosen(sizes, 132)

    def _chosen(self, sizes: Mapping[str, int], multiprocessors: int) -> Execution:
        return choose(
            self.program, sizes, multiprocessors,
            asked=self.asked, recordable=recordable(self.program),
        )  # fmt: skip

    @cached_property
    def execution(self) -> str:
        """Which execution runs, and why, in words."""
        return f"{self.supposed.kind}: {self.supposed.why}"

    @property
    def compiled(self) -> int:
        """How many images were compiled anew for it."""
        return sum(image.fresh for made in self._made.values() for image in made.images)

    @property
    def images(self) -> tuple[Image, ...]:
        return self.nominal.images

    @property
    def launch(self) -> Launch:
        return self.nominal.launch

    @property
    def plan(self) -> Plan:
        return self.nominal.plan

    @property
    def nominal(self) -> Assembled:
        """The program in the supposed execution."""
        return self.assembled(self.supposed.kind)

    @property
    def kernels(self) -> tuple[DeviceKernel, ...]:
        """Each distinct function, in the order in which they first run."""
        made = self.nominal
        if made.kind == PERSISTENT:
            images = made.images * len(made.sources)
        else:
            images = made.images[: len(made.sources)]
        pairs = zip(made.sources, images, strict=True)
        return tuple(DeviceKernel(one.label, one.text, image) for one, image in pairs)

    def assembled(self, kind: str) -> Assembled:
        """The program in that execution, compiled when it is first asked for."""
        if kind not in self._made:
            assemble = assemble_persistent if kind == PERSISTENT else assemble_launches
            self._made[kind] = assemble(self.program, self.precision)
        return self._made[kind]

    def bind(self, sizes: Mapping[str, int], arrays: Mapping[str, Any]) -> DeviceBinding:
        """Device memory for one way of running it, filled from the caller's arrays.

        Arrays that are on the GPU already are used in place. DeviceError if there is no GPU;
        BindError if something does not fit.
        """
        device = devices.current()
        execution, layout = self._laid_out(sizes, device.multiprocessors)
        return DeviceBinding(self._pool, device, self.assembled(execution.kind), execution, layout,
                             arrays)  # fmt: skip

    def _laid_out(self, sizes: Mapping[str, int], multiprocessors: int) -> tuple[Execution, Layout]:
        plan = self.plan
        try:
            key = tuple(int(sizes[name]) for name in plan.free)
        except KeyError as missing:
            raise BindError(f"{self.program.name} needs the size {missing.args[0]!r}") from None
        if key not in self._layouts:
            unknown = sorted(set(sizes) - set(plan.free))
            if unknown:
                raise BindError(f"{self.program.name} has no free size {unknown[0]!r}")
            free = dict(zip(plan.free, key, strict=True))
            for values in plan.variants(free):
                require_countable(self.program, values)
            execution = self._chosen(plan.values(free, 0), multiprocessors)
            if len(self._layouts) >= 64:
                self._layouts.clear()
            self._layouts[key] = execution, lay_out(self.assembled(execution.kind).plan, free)
        return self._layouts[key]


def device_executable(
    program: Program, stages: Mapping[str, str], precision: str, asked: str | None
) -> DeviceExecutable:
    """The scheduled program, compiled in the supposed execution; CompileError if it cannot be."""
    made = DeviceExecutable(program, stages, precision, asked)
    made.assembled(made.supposed.kind)
    return made


class DeviceBinding:
    """A program with its device memory. One run at a time."""

    def __init__(
        self,
        pool: Pool,
        device: Device,
        made: Assembled,
        execution: Execution,
        layout: Layout,
        arrays: Mapping[str, Any],
    ) -> None:
        self._device, self._made, self._layout = device, made, layout
        self.execution = execution
        self.choice = Choice(1)
        self._arrays = tuple(_checked(layout, arrays))
        for array in self._arrays:
            if isinstance(array, View) and not device.reaches(array.address):
                raise DeviceError("an array given is on another GPU than the first, which is used")
        self._functions = [device.load(image) for image in made.images]
        self._blocks = self._resident(execution.blocks) if made.kind == PERSISTENT else 1
        self._graph: tuple[Graph, int] | None = None
        self._stop = False
        self._plan_memory(pool)
        self._table = self._cut(layout.table)
        self._fill()
        for array, place in zip(self._arrays, self._places, strict=True):
            if not isinstance(array, View):
                self._device.upload(self._at(place), array)

    def _resident(self, blocks: int) -> int:
        """As many blocks as asked for, if so many can be on the GPU at once."""
        most = self._device.resident(self._functions[0], self._made.images[0].shared)
        return max(1, min(blocks, most))

    def _cut(self, table: Words) -> Words:
        if self._made.kind == PERSISTENT:
            return table
        return spread_products(self._made, table, self.execution.blocks)

    def _plan_memory(self, pool: Pool) -> None:
        layout, plan = self._layout, self._made.plan
        self._clock_words = -(-2 * plan.clocks // 16) * 16 + 16
        sections = Sections()
        # An array that is on the GPU already takes no room.
        self._places = [
            sections.add(0 if isinstance(array, View) else array.nbytes) for array in self._arrays
        ]
        self._arena = sections.add(layout.arena_bytes(self._blocks))
        self._clocks = sections.add(self._clock_words * 8 * self._blocks)
        words = self._made.table.size + self._blocks * len(self._made.launch.pointers)
        words += len(self._made.launch.ragged) + 16
        self._fixed = sections.add(8 * words)
        # What changes from run to run lies together: one copy.
        self._varying = sections.add(8 * (_CONTROL_WORDS + STATE_WORDS + layout.table.size))
        self._base = pool.take(self._device, sections.total)
        weakref.finalize(self, pool.give, self._device, sections.total, self._base)

    def _at(self, section: Section) -> int:
        return self._base + section.offset

    def _fill(self) -> None:
        """Writes the words that stay: table, pointers, ragged rules, and the driver's own."""
        made, layout = self._made, self._layout
        given = np.array(
            [
                array.address if isinstance(array, View) else self._at(place)
                for array, place in zip(self._arrays, self._places, strict=True)
            ],
            np.int64,
        )
        pointers = made.plan.pointers(
            layout, given, self._at(self._arena), self._at(self._clocks), self._clock_words,
            self._blocks,
        )  # fmt: skip
        ragged = np.array(made.launch.ragged, np.int64)
        start, control = self._at(self._fixed), self._at(self._varying)
        parts = [made.table.ravel(), pointers.ravel(), ragged]
        starts = [start + 8 * sum(part.size for part in parts[:n]) for n in range(4)]
        state = control + 8 * _CONTROL_WORDS
        self._sizes_at = state + 8 * STATE_WORDS
        numbers = (len(made.table), layout.table.shape[1], pointers.shape[1], self._clock_words,
                   made.plan.clocks)  # fmt: skip
        cells = (starts[0], self._sizes_at, starts[1], self._at(self._clocks), control, starts[2])
        own = np.array([*numbers, 0, 0, 0, *cells, 0, 0], np.int64)
        self._own = starts[3], starts[3] + 64
        self._state = state
        self._device.upload(start, np.concatenate([*parts, own]))

    # The caller's arrays and the device's copies of them.

    def push(self) -> None:
        """Sends the caller's state to the device again. What are arguments is read once, when it is
        bound: a data set need not travel because a parameter changed."""
        buffers = self._made.plan.given
        for buffer, array, place in zip(buffers, self._arrays, self._places, strict=True):
            if buffer.scope == "state" and not isinstance(array, View):
                self._device.upload(self._at(place), array)

    def pull(self) -> None:
        """Brings the caller's arrays up to date with what the device has written: results are so
        after each run already."""
        for buffer, array, place in self._written():
            if buffer.scope != "argument":
                self._device.download(array, self._at(place))

    def _written(self) -> Iterator[tuple[Buffer, Array, Section]]:
        """Buffers whose device copies are written to, with the arrays of the host."""
        plan = self._made.plan
        for buffer, array, place in zip(plan.given, self._arrays, self._places, strict=True):
            if not isinstance(array, View) and buffer.name in plan.written:
                yield buffer, array, place

    # Running.

    def run(self, sizes: Mapping[str, int] | None = None, workers: int | None = None) -> Outcome:
        """Runs the whole program once. `sizes` gives free sizes other values for this run; none may
        change the shape of a buffer. `workers` is for the CPU and counts nothing here.
        DeviceError if a kernel failed."""
        started = time.perf_counter()
        table = self._table
        if sizes:
            table = self._cut(self._made.plan.changed(self._layout, sizes))
        self._settle()
        control = np.zeros(_CONTROL_WORDS, np.int64)
        control[_STOPPED], control[_STOP] = -1, self._stop
        self._stop = False
        state = np.zeros(STATE_WORDS, np.int64)
        state[2:4] = self._own
        varying = np.concatenate([control, state, table.ravel()])
        self._device.upload(self._at(self._varying), varying)
        if self._made.kind == PERSISTENT:
            self._run_persistent()
        else:
            self._run_launches(table)
        self._device.synchronize()
        self._device.download(control, self._at(self._varying))
        for buffer, array, place in self._written():
            if buffer.scope == "argument" or array.nbytes <= SMALL:
                self._device.download(array, self._at(place))
        seconds = time.perf_counter() - started
        iterations, stopped = int(control[_ITERATIONS]), int(control[_STOPPED])
        return Outcome(iterations, None if stopped < 0 else stopped, seconds)

    def stop(self) -> None:
        """Lets the next run leave when an iteration of its outermost sequence is complete; one that
        is under way goes on to its end."""
        self._stop = True

    def _settle(self) -> None:
        """Waits for whoever may still fill the arrays that were on the GPU already."""
        # Not only on the stream that an array names: a binding serves whichever has its address.
        if any(isinstance(array, View) for array in self._arrays):
            self._device.settle()

    def _run_persistent(self) -> None:
        (image,), (function,) = self._made.images, self._functions
        launch = devices.Launch(
            function, self._blocks, self._own, image.shared, cooperative=self._blocks > 1
        )
        self._device.launch(launch)

    def _run_launches(self, table: Words) -> None:
        recorded = self._made.recorded
        assert recorded is not None
        for node in recorded.before:
            self._device.launch(self._launch(node))
        if recorded.begin is not None:
            count = int(table[0, self._made.table[recorded.begin, 4]])
            graph, steps = self._recorded(recorded.step)
            graph.replay(-(-count // steps))
            self._device.launch(devices.Launch(self._functions[-1], 1, (self._state,)))
        for node in recorded.after:
            self._device.launch(self._launch(node))

    def _recorded(self, step: tuple[Node, ...]) -> tuple[Graph, int]:
        """The graph of some steps, and how many."""
        if self._graph is None:
            steps = max(1, _NODES // max(len(step), 1))
            launches = [self._launch(node) for node in step] * steps
            self._graph = self._device.graph(launches), steps
        return self._graph

    def _launch(self, node: Node) -> devices.Launch:
        row = self._made.table[node.row]
        if not node.calls:
            function = self._functions[-2]
            return devices.Launch(function, 1, (self._state, node.row))
        which = int(row[1])
        image, function = self._made.images[which], self._functions[which]
        blocks = blocks_of(self._made, self._layout, node.row, self.execution.blocks)
        parameters = (self._state, int(row[2]), int(row[3]))
        return devices.Launch(function, blocks, parameters, image.shared)


def _checked(layout: Layout, arrays: Mapping[str, Any]) -> Iterator[Array | View]:
    """The caller's arrays in the order of the plan; BindError unless every one fits."""
    plan = layout.plan
    viewed = {name: _view(name, array) for name, array in arrays.items() if on_device(array)}
    hosted = {name: array for name, array in arrays.items() if name not in viewed}
    for buffer in plan.given:
        if buffer.name not in viewed:
            continue
        found, shape = viewed[buffer.name], layout.shapes[buffer.name]
        if found.shape != shape or found.dtype != buffer.dtype:
            raise BindError(
                f"{buffer.name} must be a {buffer.dtype} array of shape {shape}, not "
                f"{found.dtype} of shape {found.shape}",
                buffer.name,
            )
        if buffer.name in plan.written and not found.writeable:
            told = f"{buffer.name} is written to, and the array given is read-only"
            raise BindError(told, buffer.name)
        # Stands for it where the arrays of the host are checked.
        hosted[buffer.name] = np.empty(shape, buffer.dtype)
    for buffer, array in zip(plan.given, layout.checked(hosted), strict=True):
        yield viewed.get(buffer.name, array)


def _view(name: str, array: object) -> View:
    try:
        return view(array)
    except (ValueError, KeyError, TypeError) as fault:
        raise BindError(f"{name}: {fault}", name) from None
