"""Decide tiles and derive barriers.

Every outermost Any loop of a kernel gets a tile; loops of equal extent get equal tiles, so that
tile k of one and tile k of another run on one worker. A barrier then stands between two statements
of the driver exactly where an element touched by a tile of what came since the last barrier may be
touched by another tile, one of them writing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from codegen.ir import (
    Any,
    Barrier,
    Contraction,
    Extent,
    Loop,
    Program,
    Sequence,
    Statement,
    Until,
    is_driver,
    is_single,
)
from codegen.passes.access import Access, Roots, accesses, positions, roots_of
from codegen.passes.rewrite import cost, with_body
from codegen.sizes import raggeds
from codegen.walk import scalars_of, shared_out

OPERATIONS = 4096
"""How many scalar operations a tile should have: long against a call, short against a phase."""
UNKNOWN = 64
"""How many iterations a tile gets when its work hangs on run-time sizes."""
LONGEST = 4096
ROWS = 8
"""How many rows of a contraction are one tile: what the register tile of the widest vectors has."""


def schedule(program: Program, roots: Roots | None = None) -> Program:
    """The program with tiles and barriers."""
    work: dict[Extent, int] = {}
    _measure(program.body, work)
    tiles = {extent: _tile(operations) for extent, operations in work.items()}
    tiles |= dict.fromkeys(_rows(program.body), ROWS)
    body = _tiled(program.body, tiles)
    return replace(program, body=_Barriers(roots or roots_of(program)).body(body))


def _measure(body: Iterable[Statement], work: dict[Extent, int]) -> None:
    """Per extent, the most operations an iteration of a loop to be tiled has; 0 if unknown."""
    for statement in body:
        if is_driver(statement):
            assert isinstance(statement, Loop)
            _measure(statement.body, work)
        elif isinstance(statement, Loop) and isinstance(statement.order, Any):
            known = _operations(statement.body)
            before = work.get(statement.extent, 1)
            work[statement.extent] = max(before, known) if known and before else 0


def _rows(body: Iterable[Statement]) -> Iterator[Extent]:
    """The extents over which contractions are shared out."""
    for statement in body:
        if isinstance(statement, Contraction) and statement.shared is not None:
            yield statement.shared
        elif isinstance(statement, Loop):
            yield from _rows(statement.body)


def _operations(body: Iterable[Statement]) -> int:
    """Scalar operations of one pass through the statements, or 0 if that hangs on sizes."""
    total = 0
    for statement in body:
        total += 1 + sum(map(cost, scalars_of(statement)))
        if isinstance(statement, Loop):
            inner = _operations(statement.body)
            if not isinstance(statement.extent, int) or not inner:
                return 0
            total += inner * statement.extent
    return max(total, 1)


def _tile(operations: int) -> int:
    wanted = OPERATIONS // operations if operations else UNKNOWN
    return 1 << max(min(wanted, LONGEST), 1).bit_length() - 1


def _tiled(body: tuple[Statement, ...], tiles: dict[Extent, int]) -> tuple[Statement, ...]:
    result: list[Statement] = []
    for statement in body:
        if isinstance(statement, Loop) and is_driver(statement):
            statement = with_body(statement, _tiled(statement.body, tiles))
        elif isinstance(statement, Loop) and isinstance(statement.order, Any):
            statement = replace(statement, order=Any(tiles[statement.extent]))
        elif isinstance(statement, Contraction) and statement.shared is not None:
            statement = replace(statement, tile=tiles[statement.shared])
        result.append(statement)
    return tuple(result)


@dataclass(frozen=True, slots=True)
class Reach:
    """Which tile touches an element: the one that its index at any of `places` tells, among the
    tiles named `tiling`. Without places and tiling nothing is known."""

    buffer: str
    places: frozenset[int]
    tiling: tuple[Extent, ...]

    def same_tile(self, other: Reach) -> bool:
        """True if both touch a common element from one tile only."""
        if self.tiling != other.tiling or not self.tiling:
            return False
        if self.tiling == SINGLE:
            return True
        return self.buffer == other.buffer and bool(self.places & other.places)


SINGLE: tuple[Extent, ...] = ("single",)


@dataclass(slots=True)
class _Pending:
    """What was touched since the last barrier, by root; every distinct reach once."""

    reads: defaultdict[str, dict[Reach, None]] = field(default_factory=lambda: defaultdict(dict))
    writes: defaultdict[str, dict[Reach, None]] = field(default_factory=lambda: defaultdict(dict))

    def clashes(self, root: str, reach: Reach, writes: bool) -> bool:
        others = [*self.writes[root], *(self.reads[root] if writes else ())]
        return any(not reach.same_tile(other) for other in others)

    def add(self, root: str, reach: Reach, writes: bool) -> None:
        (self.writes if writes else self.reads)[root][reach] = None


Touch = tuple[str, Reach, bool]


@dataclass(frozen=True, slots=True)
class _Barriers:
    roots: Roots

    def body(self, body: tuple[Statement, ...]) -> tuple[Statement, ...]:
        """The statements of the driver with barriers between them."""
        result: list[Statement] = []
        pending = _Pending()
        for group in _connected(body, self.roots):
            made = [
                self.sequence(one) if isinstance(one, Loop) and is_driver(one) else one
                for one in group
            ]
            touches = [touch for one in made for touch in self.touches(one)]
            if any(pending.clashes(*touch) for touch in touches):
                result.append(Barrier())
                pending = _Pending()
            result += made
            for touch in touches:
                pending.add(*touch)
        return tuple(result)

    def sequence(self, loop: Loop) -> Loop:
        """The driver's loop with barriers inside, and at its end if iterations touch across."""
        body = self.body(loop.body)
        # A ragged extent counts other tiles in the next iteration.
        assert isinstance(loop.order, Sequence)
        ragged = {rule.name for rule in loop.order.ragged}
        marks = [place for place, one in enumerate(body) if isinstance(one, Barrier)]
        head = body[: marks[0]] if marks else body
        tail = body[marks[-1] + 1 :] if marks else body
        pending = _Pending()
        for statement in tail:
            for root, reach, writes in self.touches(statement):
                pending.add(root, _across(reach, ragged), writes)
        if any(pending.clashes(*touch) for one in head for touch in self.touches(one)):
            body = (*body, Barrier())
        return with_body(loop, body)

    def touches(self, statement: Statement) -> list[Touch]:
        """What a statement of the driver touches, and from which tiles."""
        if is_driver(statement):
            assert isinstance(statement, Loop)
            ragged = {rule.name for rule in raggeds([statement])}
            inner = (touch for one in statement.body for touch in self.touches(one))
            return [(root, _across(reach, ragged), writes) for root, reach, writes in inner]
        tiling = SINGLE
        axis = ""
        if isinstance(statement, Until):
            # Every worker reads it.
            tiling = ()
        elif (shared := shared_out(statement)) is not None:
            assert isinstance(statement, Loop | Contraction)
            axis = statement.axis if isinstance(statement, Loop) else statement.letters[0]
            tiling = shared
        return list(dict.fromkeys(
            (access.root, self._reach(access, axis, tiling), access.writes)
            for access in accesses(statement, self.roots)
            if not access.root.startswith("%")
        ))  # fmt: skip

    def _reach(self, access: Access, axis: str, tiling: tuple[Extent, ...]) -> Reach:
        buffer = access.ref.buffer if access.ref is not None else ""
        return Reach(buffer, positions(access.ref, axis), tiling)


def _locals(statement: Statement, roots: Roots) -> set[str]:
    return {access.root for access in accesses(statement, roots) if access.root.startswith("%")}


def _connected(body: tuple[Statement, ...], roots: Roots) -> Iterator[tuple[Statement, ...]]:
    """Runs of statements that no barrier may part, because a local connects them."""
    names = [_locals(one, roots) if is_single(one) else set() for one in body]
    last = {name: place for place, found in enumerate(names) for name in found}
    start = 0
    while start < len(body):
        end = start
        place = start
        while place <= end:
            end = max([end, *(last[name] for name in names[place])])
            place += 1
        yield body[start : end + 1]
        start = end + 1


def _across(reach: Reach, ragged: set[str]) -> Reach:
    if reach.tiling and reach.tiling[0] in ragged:
        return Reach(reach.buffer, reach.places, ())
    return reach
