"""Execute programs on NumPy arrays: slow, obvious, and watchful.

Scheduled programs run with their tiles in shuffled order. Between two barriers a shadow knows for
every element which tile wrote it last and which tiles read it; an access across tiles raises
RaceError. A tile is (extent, tile size, number): tiles of the same name run in program order on one
worker, all others in any order. What is no Any loop is the tile "single".
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any as Value

import numpy as np

from codegen.intrinsics import evaluate
from codegen.ir import (
    Any,
    Barrier,
    Buffer,
    Contraction,
    Factor,
    Let,
    Loop,
    Program,
    Sequence,
    Statement,
    Store,
    Tree,
    Until,
    Yield,
    is_driver,
)
from codegen.monoids import MONOIDS
from codegen.scalar import (
    Affine,
    Apply,
    Axis,
    Constant,
    Index,
    Load,
    Local,
    Ref,
    Scalar,
    Size,
)
from codegen.shadow import Area, Shadow, Tile, area, garbage, shared_areas
from codegen.show import show_ref, show_statement
from codegen.sizes import extent_value, known_sizes, ragged_value


class BoundsError(IndexError):
    """An access outside a buffer, or an indirect index that breaks its promise."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of the outermost driver sequence run last: its complete iterations, and whether Until ended
    it."""

    iterations: int
    stopped: bool


Arrays = Mapping[str, np.ndarray[Value, Value]]


def interpret(
    program: Program, sizes: Mapping[str, int], arrays: Arrays, *, seed: int = 0
) -> Outcome:
    """Run the program; `argument` and `state` arrays are read and written in place.

    `sizes` binds the free sizes. `step` and `tile` memory begins as garbage. `seed` picks the order
    of the tiles. Raises RaceError, BoundsError, or ValueError for arrays that do not fit.
    """
    machine = _Machine(program, known_sizes(program, sizes), arrays, random.Random(seed))
    machine.run(program.body, {}, 0)
    machine.flush()
    return machine.outcome


@dataclass(frozen=True, slots=True)
class _Frame:
    """What one iteration sees."""

    axes: dict[str, int]
    locals: dict[str, Value]
    sizes: dict[str, int]
    scratch: dict[str, Area]
    entry: int


@dataclass(frozen=True, slots=True)
class _Work:
    """One tile of one statement, waiting for its turn."""

    statement: Statement
    first: int
    last: int
    frame: _Frame


@dataclass
class _Machine:
    program: Program
    sizes: dict[str, int]
    arrays: Arrays
    order: random.Random
    outcome: Outcome = Outcome(0, False)
    buffers: dict[str, Buffer] = field(default_factory=dict)
    areas: dict[str, Area] = field(default_factory=dict)
    shadow: Shadow = field(default_factory=Shadow)
    waiting: dict[Tile, deque[_Work]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.buffers = {buffer.name: buffer for buffer in self.program.buffers}
        slotted = {name: slot for slot in self.program.slots for name in slot}
        for buffer in self.program.buffers:
            if buffer.storage is None and buffer.scope in ("argument", "state"):
                self.areas[buffer.name] = area(self._bound(buffer))
            elif buffer.storage is None and buffer.scope == "step" and buffer.name not in slotted:
                self.areas[buffer.name] = area(garbage(buffer.dtype, self._count(buffer)))
        for slot in self.program.slots:
            members = [self.buffers[name] for name in slot]
            shared = shared_areas([b.dtype for b in members], [self._count(b) for b in members])
            self.areas.update(zip(slot, shared, strict=True))

    def _bound(self, buffer: Buffer) -> np.ndarray[Value, Value]:
        array = self.arrays[buffer.name]
        shape = self.shape(buffer, self.sizes)
        if array.shape != shape or array.dtype != buffer.dtype or not array.flags.c_contiguous:
            raise ValueError(
                f"{buffer.name} must be a C-contiguous {buffer.dtype} array of shape {shape}, "
                f"not {array.dtype} of shape {array.shape}"
            )
        return array.reshape(-1)

    def _count(self, buffer: Buffer) -> int:
        return int(np.prod(self.shape(buffer, self.sizes), dtype=np.int64))

    def shape(self, buffer: Buffer, sizes: Mapping[str, int]) -> tuple[int, ...]:
        return tuple(extent_value(extent, sizes) for extent in buffer.shape)

    # The driver: statements that all workers walk through together.

    def run(self, body: tuple[Statement, ...], axes: dict[str, int], depth: int) -> bool:
        """Queue or run statements in order; True if an Until ended them."""
        bound: dict[str, Value] = {}
        for statement in body:
            if isinstance(statement, Barrier):
                self.flush()
                self.shadow.forget(list(self.areas.values()))
            elif isinstance(statement, Until):
                self.flush()
                if self._stops(statement, axes):
                    return True
            elif isinstance(statement, Loop) and is_driver(statement):
                self._drive(statement, axes, depth)
            else:
                self._queue(statement, axes, bound)
        return False

    def _drive(self, loop: Loop, axes: dict[str, int], depth: int) -> None:
        start = extent_value(loop.start, self.sizes)
        ragged = loop.order.ragged if isinstance(loop.order, Sequence) else ()
        before, done, stopped = self.sizes, 0, False
        for step in range(start, start + extent_value(loop.extent, self.sizes)):
            self.sizes = dict(before)
            for rule in ragged:
                self.sizes[rule.name] = ragged_value(rule, step, before)
            for size in self.program.sizes:
                if size.terms:
                    self.sizes[size.name] = size.value(self.sizes)
            stopped = self.run(loop.body, {**axes, loop.axis: step}, depth + 1)
            if stopped:
                break
            done += 1
        self.sizes = before
        if depth == 0:
            self.outcome = Outcome(done, stopped)

    def _stops(self, statement: Until, axes: dict[str, int]) -> bool:
        # Every worker reads the flag, so nobody may have written it since the last barrier.
        frame = self._frame(axes, {}, ("every worker",), statement)
        return bool(self.load(statement.ref, frame))

    def _frame(
        self, axes: dict[str, int], bound: dict[str, Value], tile: Tile, statement: Statement
    ) -> _Frame:
        return _Frame(axes, bound, self.sizes, {}, self.shadow.enter(tile, statement))

    def _queue(self, statement: Statement, axes: dict[str, int], bound: dict[str, Value]) -> None:
        if not (isinstance(statement, Loop) and isinstance(statement.order, Any)):
            frame = self._frame(axes, bound, ("single",), statement)
            self._wait(("single",), _Work(statement, 0, 0, frame))
            return
        extent = extent_value(statement.extent, self.sizes)
        start = extent_value(statement.start, self.sizes)
        size = statement.order.tile or 1
        for number in range(-(-extent // size)):
            tile: Tile = (statement.extent, extent, size, number)
            frame = self._frame(axes, {}, tile, statement)
            first = number * size
            last = min(first + size, extent)
            self._wait(tile, _Work(statement, start + first, start + last, frame))

    def _wait(self, tile: Tile, work: _Work) -> None:
        self.waiting.setdefault(tile, deque()).append(work)

    def flush(self) -> None:
        """Run all that waits: in order along one tile, in random order between tiles."""
        queues = list(self.waiting.values())
        self.waiting = {}
        while queues:
            pick = self.order.randrange(len(queues))
            work = queues[pick].popleft()
            if not queues[pick]:
                queues[pick] = queues[-1]
                queues.pop()
            self._perform(work)

    def _perform(self, work: _Work) -> None:
        frame = replace(work.frame, scratch=self._scratch(work.frame.sizes))
        statement = work.statement
        if isinstance(statement, Loop) and isinstance(statement.order, Any):
            for value in range(work.first, work.last):
                self.execute(statement.body, _inside(frame, statement.axis, value))
        else:
            self.execute((statement,), frame)

    def _scratch(self, sizes: Mapping[str, int]) -> dict[str, Area]:
        return {
            name: area(garbage(buffer.dtype, int(np.prod(self.shape(buffer, sizes)))))
            for name, buffer in self.buffers.items()
            if buffer.scope == "tile" and buffer.storage is None
        }

    # One tile: statements in order.

    def execute(self, body: Iterable[Statement], frame: _Frame) -> bool:
        """Run statements, binding locals in the frame; True if an Until leaves the sequence."""
        for statement in body:
            match statement:
                case Let(name, value):
                    frame.locals[name] = self.value(value, frame)
                case Store(ref, value):
                    self.store(ref, self.value(value, frame), frame)
                case Contraction():
                    self._contract(statement, frame)
                case Until(ref):
                    if self.load(ref, frame):
                        return True
                case Loop(order=Tree()):
                    self._fold(statement, frame)
                case Loop():
                    self._iterate(statement, frame)
                case Yield() | Barrier():
                    raise ValueError(f"{show_statement(statement)} inside a tile")
        return False

    def _iterate(self, loop: Loop, frame: _Frame) -> None:
        for value in self._range(loop, frame):
            if self.execute(loop.body, _inside(frame, loop.axis, value)):
                return

    def _range(self, loop: Loop, frame: _Frame) -> range:
        start = extent_value(loop.start, frame.sizes)
        return range(start, start + extent_value(loop.extent, frame.sizes))

    def _fold(self, loop: Loop, frame: _Frame) -> None:
        order, last = loop.order, loop.body[-1]
        assert isinstance(order, Tree)
        assert isinstance(last, Yield)
        monoid = MONOIDS[order.monoid]
        identity = tuple(self.value(c, frame) for c in monoid.identity(order.dtypes))
        runs: list[tuple[Value, ...]] = []
        for count, value in enumerate(self._range(loop, frame)):
            inner = _inside(frame, loop.axis, value)
            self.execute(loop.body[:-1], inner)
            given = tuple(self.value(scalar, inner) for scalar in last.values)
            if count % order.leaf == 0:
                runs.append(identity)
            runs[-1] = self._merge(order, runs[-1], given)
        while len(runs) > 1:
            left_over = runs[len(runs) // 2 * 2 :]
            pairs = zip(runs[0::2], runs[1::2], strict=False)
            runs = [self._merge(order, left, right) for left, right in pairs] + left_over
        frame.locals.update(zip(order.names, runs[0] if runs else identity, strict=True))

    def _merge(
        self, order: Tree, left: tuple[Value, ...], right: tuple[Value, ...]
    ) -> tuple[Value, ...]:
        lefts = tuple(Local(f"left{n}", dtype) for n, dtype in enumerate(order.dtypes))
        rights = tuple(Local(f"right{n}", dtype) for n, dtype in enumerate(order.dtypes))
        merge = MONOIDS[order.monoid].merge(lefts, rights)
        names = (local.name for local in lefts + rights)
        frame = _Frame({}, dict(zip(names, left + right, strict=True)), {}, {}, 0)
        self.execute(merge.lets, frame)
        return tuple(self.value(value, frame) for value in merge.values)

    def _contract(self, statement: Contraction, frame: _Frame) -> None:
        extents = {letter: extent_value(by, frame.sizes) for letter, by in statement.extents}
        letters = {letter: number for number, letter in enumerate(extents)}
        total: Value = 0
        for left, right in statement.terms:
            operands: list[Value] = []
            for factor in (left, right):
                part = self._part(factor, extents, frame, writes=False)
                operands += [part, [letters[letter] for letter in factor.letters]]
            out = [letters[letter] for letter in statement.out.letters]
            free = [o for o in out if o not in operands[1] and o not in operands[3]]
            ones = np.ones([extents[letter] for letter in extents if letters[letter] in free],
                           operands[0].dtype)  # fmt: skip
            with np.errstate(all="ignore"):
                total = total + np.einsum(*operands, ones, sorted(free), out)
        self._part(statement.out, extents, frame, writes=True)[...] = total

    def _part(
        self, factor: Factor, extents: Mapping[str, int], frame: _Frame, *, writes: bool
    ) -> np.ndarray[Value, Value]:
        buffer = self.buffers[factor.buffer]
        shape = self.shape(buffer, frame.sizes)
        wanted = tuple(extents[letter] for letter in factor.letters)
        if any(size > have for size, have in zip(wanted, shape, strict=True)):
            raise BoundsError(f"{factor.buffer} of shape {shape} is contracted over {wanted}")
        memory = self._memory(buffer, frame)
        numbers = np.arange(int(np.prod(shape))).reshape(shape)
        region = tuple(slice(size) for size in wanted)
        for flat in numbers[region].reshape(-1).tolist():
            self.shadow.touch(memory, flat, frame.entry, writes=writes, buffer=buffer.name)
        whole: np.ndarray[Value, Value] = memory.data[: numbers.size].reshape(shape)
        # Indexing by no slices at all would give a number in place of a view.
        return whole[region] if region else whole

    # Elements and scalars.

    def load(self, ref: Ref, frame: _Frame) -> Value:
        memory, flat = self._element(ref, frame)
        self.shadow.touch(memory, flat, frame.entry, writes=False, buffer=ref.buffer)
        return memory.data[flat]

    def store(self, ref: Ref, value: Value, frame: _Frame) -> None:
        memory, flat = self._element(ref, frame)
        self.shadow.touch(memory, flat, frame.entry, writes=True, buffer=ref.buffer)
        memory.data[flat] = value

    def _memory(self, buffer: Buffer, frame: _Frame) -> Area:
        while buffer.storage is not None:
            buffer = self.buffers[buffer.storage]
        return frame.scratch[buffer.name] if buffer.scope == "tile" else self.areas[buffer.name]

    def _element(self, ref: Ref, frame: _Frame) -> tuple[Area, int]:
        buffer = self.buffers[ref.buffer]
        shape = self.shape(buffer, frame.sizes)
        place = [self.index(index, frame) for index in ref.index]
        flat = 0
        for value, extent in zip(place, shape, strict=True):
            if not 0 <= value < extent:
                raise BoundsError(f"{show_ref(ref)} is {place}, outside of {shape}")
            flat = flat * extent + value
        return self._memory(buffer, frame), flat

    def index(self, index: Index, frame: _Frame) -> int:
        if isinstance(index, Affine):
            return index.offset + sum(
                by * (frame.axes if isinstance(symbol, Axis) else frame.sizes)[symbol.name]
                for symbol, by in index.terms
            )
        value, bound = int(self.load(index.ref, frame)), extent_value(index.bound, frame.sizes)
        if not 0 <= value < bound:
            raise BoundsError(f"{show_ref(index.ref)} is {value}, not below {bound}")
        return value

    def value(self, scalar: Scalar, frame: _Frame) -> Value:
        match scalar:
            case Constant(value, dtype):
                return np.dtype(dtype).type(value)
            case Size(name):
                return np.int64(frame.sizes[name])
            case Axis(name):
                return np.int64(frame.axes[name])
            case Local(name):
                return frame.locals[name]
            case Load(ref):
                return self.load(ref, frame)
            case Apply("select", (condition, one, other)):
                return self.value(one if self.value(condition, frame) else other, frame)
            case Apply(function, args, dtype):
                return evaluate(function, [self.value(arg, frame) for arg in args], dtype)


def _inside(frame: _Frame, axis: str, value: int) -> _Frame:
    return _Frame({**frame.axes, axis: value}, dict(frame.locals), frame.sizes, frame.scratch,
                  frame.entry)  # fmt: skip
