"""Statements shared out among the threads of a block.

A team runs one iteration together: the whole block, the 16 threads of a half-warp, or one thread.
All members of a team compute a Let, and all walk a sequence; the first of them carries out a Store;
they share out the iterations of an Any loop among themselves. Where one member may meet what
another wrote, or is yet to read, they wait for one another: only then is memory the same for all.

Indices are below 2**31: the driver guarantees it of every buffer and of all extents of nested
loops multiplied.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from codegen.cpu.errors import CompileError
from codegen.cpu.expressions import Writer, element, store, value
from codegen.cuda.image import THREADS
from codegen.ir import (
    STRANDS,
    Barrier,
    Buffer,
    Let,
    Loop,
    Statement,
    Store,
    Until,
)
from codegen.ir import Sequence as InOrder
from codegen.scalar import nested_refs
from codegen.walk import refs_of, root_of


@dataclass(frozen=True, slots=True)
class Team:
    """Which member a thread is, as an expression; how many there are; how they wait."""

    member: str
    members: int
    wait: str


BLOCK = Team("me", THREADS, "block_barrier()")
HALF = Team("lane", STRANDS, "half_barrier()")
ALONE = Team("0", 1, "")
HALVES = Team("half", THREADS // STRANDS, "")
"""Not a team, but how a block shares out iterations among its half-warps."""
PLACES = (
    "me = thread()",
    f"lane, half = me & {STRANDS - 1}, me >> {STRANDS.bit_length() - 1}",
)
"""The lines that say which member of each team a thread is."""


@dataclass(frozen=True, slots=True)
class Touched:
    """The memory that statements read and write: names of buffers that are no views."""

    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()

    def __or__(self, other: Touched) -> Touched:
        return Touched(self.reads | other.reads, self.writes | other.writes)

    def clashes(self, other: Touched) -> bool:
        """True if one of both writes what the other touches."""
        return bool(self.writes & (other.reads | other.writes) or self.reads & other.writes)


@dataclass(frozen=True, slots=True)
class Pending:
    """What a team touched since its members last waited for one another: by its first member, and
    by any of them."""

    first: Touched = Touched()
    any: Touched = Touched()

    def __or__(self, other: Pending) -> Pending:
        return Pending(self.first | other.first, self.any | other.any)

    def clashes(self, later: Pending) -> bool:
        """True if a member may touch what another one does later or did before, one of them
        writing. What the first member does, it does in order."""
        return (
            self.any.clashes(later.any)
            or self.any.clashes(later.first)
            or self.first.clashes(later.any)
        )


@dataclass(slots=True)
class Scope:
    """Where statements are being written: for which team, and what that team has pending. `shared`
    are the bytes of the arena that the kernel uses; `exits` what is pending where an Until leaves
    the sequence at hand."""

    writer: Writer
    team: Team
    pending: Pending = Pending()
    exits: Pending = Pending()
    shared: list[int] = field(default_factory=lambda: [0])

    def inner(self, team: Team) -> Scope:
        """That of a smaller team inside this one."""
        return Scope(self.writer, team, shared=self.shared)

    def meet(self, later: Pending) -> None:
        """Before what follows the members wait for one another, if they have to."""
        if self.team is not ALONE and self.pending.clashes(later):
            self.writer.line(self.team.wait)
            self.pending = Pending()
        self.pending |= later


def touched(statements: Sequence[Statement], buffers: Mapping[str, Buffer]) -> Touched:
    """What the statements and those inside them touch; CompileError for memory of a tile's own."""
    reads: set[str] = set()
    writes: set[str] = set()
    for one in statements:
        refs = list(refs_of(one))
        if isinstance(one, Store):
            writes.add(root_of(one.ref.buffer, buffers))
            refs = refs[len(list(nested_refs(one.ref))) :]
            refs += list(nested_refs(one.ref))[1:]
        reads.update(root_of(ref.buffer, buffers) for ref in refs)
        if isinstance(one, Loop):
            inside = touched(one.body, buffers)
            reads |= inside.reads
            writes |= inside.writes
    for name in reads | writes:
        if buffers[name].scope == "tile":
            raise CompileError(f"buffer {name} belongs to a tile: a block has no memory for it")
    return Touched(frozenset(reads), frozenset(writes))


def later(scope: Scope, statement: Statement) -> Pending:
    """What a statement will touch, and by which members."""
    found = touched([statement], scope.writer.operands.buffers)
    if isinstance(statement, Store):
        return Pending(first=found)
    if isinstance(statement, Loop) and isinstance(statement.order, InOrder):
        parts = Pending()
        for one in statement.body:
            parts |= later(scope, one)
        return parts
    return Pending(any=found)


def fits_a_thread(statements: Sequence[Statement]) -> bool:
    """True if one thread can run them alone: there is no fold among them, nor independent
    iterations that others might take."""
    return all(
        isinstance(one.order, InOrder) and fits_a_thread(one.body)
        for one in statements
        if isinstance(one, Loop)
    )


def comment(writer: Writer, loop: Loop) -> None:
    """The loop's label."""
    for line in loop.label.splitlines():
        writer.line(f"# {line}")


@contextmanager
def shared_out(
    writer: Writer, loops: Sequence[Loop], by: Team, reach: tuple[str, str]
) -> Iterator[None]:
    """The head of the loop in which each member of a team runs its iterations of nested loops, the
    outermost from one number up to another: neighbours take neighbouring ones."""
    extents = [writer.fresh("x") for _ in loops[1:]]
    for name, loop in zip(extents, loops[1:], strict=True):
        writer.line(f"{name} = small({writer.operands.number(loop.extent)})")
    places: list[str] = []
    strides: list[str] = []
    left, step = by.member, str(by.members)
    for extent in reversed(extents):
        place, stride, rest, ahead = (writer.fresh(letter) for letter in "ksqs")
        # Not by 0: where there are no iterations, none is begun.
        writer.line(f"{rest} = over({left}, max({extent}, 1))")
        writer.line(f"{place} = on({left}, -{rest} * {extent})")
        writer.line(f"{ahead} = over({step}, max({extent}, 1))")
        writer.line(f"{stride} = on({step}, -{ahead} * {extent})")
        places.insert(0, place)
        strides.insert(0, stride)
        left, step = rest, ahead
    first, last = reach
    outer = writer.fresh("k")
    writer.line(f"{outer} = on({first}, {left})" if first != "0" else f"{outer} = {left}")
    if extents:
        writer.line(f"if {' == 0 or '.join(extents)} == 0:")
        writer.line(f"    {outer} = {last}")
    writer.line(f"while {outer} < {last}:")
    with writer.indented():
        for loop, place in zip(loops, (outer, *places), strict=True):
            writer.axes[loop.axis] = _from_start(writer, loop, place)
        yield
        for place, stride in zip(places, strides, strict=True):
            writer.line(f"{place} = on({place}, {stride})")
        writer.line(f"{outer} = on({outer}, {step})")
        above = [outer, *places]
        for at in reversed(range(len(places))):
            writer.line(f"if {places[at]} >= {extents[at]}:")
            writer.line(f"    {places[at]} = on({places[at]}, -{extents[at]})")
            writer.line(f"    {above[at]} = on({above[at]}, 1)")


def _from_start(writer: Writer, loop: Loop, place: str) -> str:
    if loop.start == 0:
        return place
    axis = writer.fresh("i")
    writer.line(f"{axis} = {place} + {writer.operands.number(loop.start)}")
    return axis


@contextmanager
def walked(writer: Writer, loop: Loop) -> Iterator[None]:
    """The head of a loop that a team walks through together."""
    extent, axis = writer.operands.number(loop.extent), writer.fresh("i")
    reach = extent
    if loop.start != 0:
        start = writer.operands.number(loop.start)
        reach = f"{start}, {start} + {extent}"
    writer.line(f"for {axis} in range({reach}):")
    writer.axes[loop.axis] = axis
    with writer.indented():
        yield


def plain(scope: Scope, statement: Let | Store | Until) -> None:
    """Writes a statement that is no loop."""
    writer = scope.writer
    scope.meet(later(scope, statement))
    match statement:
        case Let(name=name, value=scalar):
            writer.bind(name, value(writer, scalar))
        case Store(ref=ref, value=scalar) if scope.team is ALONE:
            store(writer, ref, scalar)
        case Store(ref=ref, value=scalar):
            writer.line(f"if {scope.team.member} == 0:")
            with writer.indented():
                store(writer, ref, scalar)
        case Until(ref=ref):
            scope.exits |= scope.pending
            writer.line(f"if {element(writer, ref)} != 0:")
            writer.line("    break")


def barrier(scope: Scope, statement: Barrier) -> None:
    """All that stands above is done, in memory, before what stands below."""
    scope.writer.line(scope.team.wait or "pass")
    scope.pending = Pending()
