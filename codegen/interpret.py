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

from codegen.elements import Arrays, Elements, Frame, inside
from codegen.ir import (
    STRANDS,
    Any,
    Barrier,
    Contraction,
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
    Local,
)
from codegen.shadow import Area, Tile, area, garbage
from codegen.show import show_statement
from codegen.sizes import extent_value, known_sizes, ragged_value
from codegen.walk import shared_out


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of the outermost driver sequence run last: its complete iterations, and whether Until ended
    it."""

    iterations: int
    stopped: bool


def interpret(
    program: Program, sizes: Mapping[str, int], arrays: Arrays, *, seed: int = 0
) -> Outcome:
    """Run the program; `argument` and `state` arrays are read and written in place.

    `sizes` binds the free sizes. `step` and `tile` memory begins as garbage. `seed` picks the order
    of the tiles. Raises RaceError, BoundsError, or ValueError for arrays that do not fit.
    """
    machine = _Machine(program, known_sizes(program, sizes), arrays, order=random.Random(seed))
    machine.run(program.body, {}, 0)
    machine.flush()
    return machine.outcome


@dataclass(frozen=True, slots=True)
class _Work:
    """One tile of one statement, waiting for its turn."""

    statement: Statement
    first: int
    last: int
    frame: Frame


@dataclass
class _Machine(Elements):
    order: random.Random = field(default_factory=random.Random)
    outcome: Outcome = Outcome(0, False)
    waiting: dict[Tile, deque[_Work]] = field(default_factory=dict)

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
    ) -> Frame:
        return Frame(axes, bound, self.sizes, {}, self.shadow.enter(tile, statement))

    def _queue(self, statement: Statement, axes: dict[str, int], bound: dict[str, Value]) -> None:
        shared = shared_out(statement)
        if shared is None:
            frame = self._frame(axes, bound, ("single",), statement)
            self._wait(("single",), _Work(statement, 0, 0, frame))
            return
        named, begin, size = shared
        extent, start = extent_value(named, self.sizes), extent_value(begin, self.sizes)
        for number in range(-(-extent // size)):
            tile: Tile = (named, extent, size, number)
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
                self.execute(statement.body, inside(frame, statement.axis, value))
        elif isinstance(statement, Contraction) and statement.tile is not None:
            self._contract(statement, frame, range(work.first, work.last))
        else:
            self.execute((statement,), frame)

    def _scratch(self, sizes: Mapping[str, int]) -> dict[str, Area]:
        return {
            name: area(garbage(buffer.dtype, int(np.prod(self.shape(buffer, sizes)))))
            for name, buffer in self.buffers.items()
            if buffer.scope == "tile" and buffer.storage is None
        }

    # One tile: statements in order.

    def execute(self, body: Iterable[Statement], frame: Frame) -> bool:
        """Run statements, binding locals in the frame; True if an Until leaves the sequence."""
        for statement in body:
            match statement:
                case Let(name, value):
                    frame.locals[name] = self.value(value, frame)
                case Store(ref, value):
                    self.store(ref, self.value(value, frame), frame)
                case Contraction():
                    self._contract(statement, frame, None)
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

    def _iterate(self, loop: Loop, frame: Frame) -> None:
        for value in self._range(loop, frame):
            if self.execute(loop.body, inside(frame, loop.axis, value)):
                return

    def _range(self, loop: Loop, frame: Frame) -> range:
        start = extent_value(loop.start, frame.sizes)
        return range(start, start + extent_value(loop.extent, frame.sizes))

    def _fold(self, loop: Loop, frame: Frame) -> None:
        order, last = loop.order, loop.body[-1]
        assert isinstance(order, Tree)
        assert isinstance(last, Yield)
        monoid = MONOIDS[order.monoid]
        identity = tuple(self.value(c, frame) for c in monoid.identity(order.dtypes))
        width = 1 if monoid.ordered else STRANDS
        strands: list[list[tuple[Value, ...]]] = []
        for count, value in enumerate(self._range(loop, frame)):
            inner = inside(frame, loop.axis, value)
            self.execute(loop.body[:-1], inner)
            given = tuple(self.value(scalar, inner) for scalar in last.values)
            place = count % order.leaf
            if place == 0:
                strands.append([identity] * width)
            strands[-1][place % width] = self._merge(order, strands[-1][place % width], given)
        runs = [self._halved(order, each) for each in strands]
        while len(runs) > 1:
            left_over = runs[len(runs) // 2 * 2 :]
            pairs = zip(runs[0::2], runs[1::2], strict=False)
            runs = [self._merge(order, left, right) for left, right in pairs] + left_over
        frame.locals.update(zip(order.names, runs[0] if runs else identity, strict=True))

    def _halved(self, order: Tree, strands: list[tuple[Value, ...]]) -> tuple[Value, ...]:
        """The strands of a run as one result: the second half is merged into the first, and so
        on."""
        while len(strands) > 1:
            half = len(strands) // 2
            pairs = zip(strands[:half], strands[half:], strict=True)
            strands = [self._merge(order, left, right) for left, right in pairs]
        return strands[0]

    def _merge(
        self, order: Tree, left: tuple[Value, ...], right: tuple[Value, ...]
    ) -> tuple[Value, ...]:
        lefts = tuple(Local(f"left{n}", dtype) for n, dtype in enumerate(order.dtypes))
        rights = tuple(Local(f"right{n}", dtype) for n, dtype in enumerate(order.dtypes))
        merge = MONOIDS[order.monoid].merge(lefts, rights)
        names = (local.name for local in lefts + rights)
        frame = Frame({}, dict(zip(names, left + right, strict=True)), {}, {}, 0)
        self.execute(merge.lets, frame)
        return tuple(self.value(value, frame) for value in merge.values)

    def _contract(self, statement: Contraction, frame: Frame, rows: range | None) -> None:
        """The body at every choice of the letters, or at those whose first letter is in `rows`."""
        spans = {letter: range(extent_value(by, frame.sizes)) for letter, by in statement.extents}
        if rows is not None:
            spans[statement.letters[0]] = rows
        total = self._sums(statement, spans, frame)
        for place in np.ndindex(*(len(spans[letter]) for letter in statement.letters)):
            inner = frame
            for letter, number in zip(statement.letters, place, strict=True):
                inner = inside(inner, letter, spans[letter][number])
            inner.locals[statement.result] = total[place]
            self.execute(statement.body, inner)

    def _sums(self, statement: Contraction, spans: Mapping[str, range], frame: Frame) -> Value:
        letters = {letter: number for number, letter in enumerate(spans)}
        total: Value = 0
        for left, right in statement.terms:
            operands: list[Value] = []
            for factor in (left, right):
                part = self.part(factor, spans, frame)
                operands += [part, [letters[letter] for letter in factor.letters]]
            out = [letters[letter] for letter in statement.letters]
            free = [o for o in out if o not in operands[1] and o not in operands[3]]
            ones = np.ones([len(spans[letter]) for letter in spans if letters[letter] in free],
                           operands[0].dtype)  # fmt: skip
            with np.errstate(all="ignore"):
                total = total + np.einsum(*operands, ones, sorted(free), out)
        return total
