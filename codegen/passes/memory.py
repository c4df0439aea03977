"""Let scratch buffers whose lives do not overlap share memory.

Time is counted in phases, the stretches between barriers. A buffer lives from the first phase that
touches it to the last; one that carries values into the next iteration of a sequence, or that is
also touched outside of it, lives as long as the sequence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from codegen.ir import (
    Any,
    Barrier,
    Buffer,
    Contraction,
    Extent,
    Loop,
    Program,
    Sequence,
    Statement,
    Store,
    is_driver,
)
from codegen.passes.access import Roots, accesses, all_accesses, roots_of
from codegen.scalar import Affine, Index, at
from codegen.walk import index_buffers


def memory(program: Program, roots: Roots | None = None) -> Program:
    """The program with `slots` planned: every step buffer that owns memory is in one of them."""
    roots = roots or roots_of(program)
    buffers = index_buffers(program)
    times = Counter(access.root for access in all_accesses(program.body, roots))
    life = _Life(roots, buffers, times)
    life.walk(program.body)
    lives = {name: span for name, span in life.spans.items() if _is_scratch(buffers[name])}
    return replace(program, slots=_packed(lives, buffers))


def _is_scratch(buffer: Buffer) -> bool:
    return buffer.scope == "step" and buffer.storage is None


@dataclass(slots=True)
class _Life:
    """`spans`: the first and last phase of every root touched so far. Since `floor` there may have
    been no barrier: an Until may leave a sequence from any phase, or it may have no iteration."""

    roots: Roots
    buffers: Mapping[str, Buffer]
    times: Counter[str]
    phase: int = 0
    floor: int = 0
    spans: dict[str, tuple[int, int]] = field(default_factory=dict)

    def walk(self, body: tuple[Statement, ...]) -> None:
        for statement in body:
            if isinstance(statement, Barrier):
                self.phase += 1
                self.floor = self.phase
            elif isinstance(statement, Loop) and is_driver(statement):
                self.sequence(statement)
            else:
                for access in accesses(statement, self.roots):
                    if not access.root.startswith("%"):
                        self.touch(access.root, self.floor, self.phase)

    def touch(self, root: str, first: int, last: int) -> None:
        before = self.spans.get(root, (first, last))
        self.spans[root] = (min(before[0], first), max(before[1], last))

    def sequence(self, loop: Loop) -> None:
        """The lives inside the loop; those that cross its border or its turn fill all of it."""
        before, self.spans = self.spans, {}
        floor, start = self.floor, self.phase
        self.walk(loop.body)
        inside, self.spans = self.spans, before
        end = self.phase
        self.floor = floor
        ends_in_barrier = isinstance(loop.body[-1], Barrier)
        defined = _defined(loop, self.roots, self.buffers)
        within = Counter(access.root for access in all_accesses(loop.body, self.roots))
        for root, (first, last) in inside.items():
            carried = root not in defined or within[root] != self.times[root]
            # Without a barrier at the turn the last phase runs beside the next iteration's first.
            turns = not ends_in_barrier and (first <= start or last == end)
            if carried or turns:
                first, last = min(first, start), end
            self.touch(root, first, last)


def _defined(loop: Loop, roots: Roots, buffers: Mapping[str, Buffer]) -> set[str]:
    """The roots that every iteration writes, all of them, before it reads any of them."""
    rules = loop.order.ragged if isinstance(loop.order, Sequence) else ()
    whole = {rule.name: rule.batch for rule in rules}
    seen: set[str] = set()
    defined: set[str] = set()
    for statement in loop.body:
        made = set() if is_driver(statement) else set(_makes(statement, {}, buffers, whole))
        for access in accesses(statement, roots):
            if access.root not in seen:
                seen.add(access.root)
                if access.writes and access.root in made:
                    defined.add(access.root)
    return defined


def _makes(
    statement: Statement,
    axes: Mapping[str, Extent],
    buffers: Mapping[str, Buffer],
    whole: Mapping[str, str],
) -> Iterator[str]:
    """The buffers with memory of their own that the statement's Any loops fill."""
    match statement:
        case Loop(axis, extent, Any(), body, 0):
            for inner in body:
                yield from _makes(inner, {**axes, axis: extent}, buffers, whole)
        case Store(ref, _):
            over = [_axis(index) for index in ref.index]
            extents = [axes.get(axis, -1) for axis in over]
            if len(set(over)) == len(over) and _fills(extents, buffers[ref.buffer], whole):
                yield ref.buffer
        case Contraction():
            known = dict(statement.extents)
            letters = {letter: known[letter] for letter in statement.letters}
            for inner in statement.body:
                yield from _makes(inner, {**axes, **letters}, buffers, whole)


def _axis(index: Index) -> str:
    """The axis that is the index, or a name that no axis has."""
    if isinstance(index, Affine) and len(index.terms) == 1:
        symbol = index.terms[0][0]
        if index == at(symbol.name):
            return symbol.name
    return ""


def _fills(extents: list[Extent], buffer: Buffer, whole: Mapping[str, str]) -> bool:
    """True if the extents are the shape; a ragged size is all there is in its iteration."""
    return buffer.storage is None and all(
        extent == size or whole.get(str(extent)) == size
        for extent, size in zip(extents, buffer.shape, strict=True)
    )


@dataclass(slots=True)
class _Slot:
    members: list[str]
    last: int


def _packed(
    lives: Mapping[str, tuple[int, int]], buffers: Mapping[str, Buffer]
) -> tuple[tuple[str, ...], ...]:
    """Greedily, by first phase: a free slot of the same shape, else any free, else a new one."""
    slots: list[_Slot] = []
    for name, (first, last) in sorted(lives.items(), key=lambda item: (item[1], item[0])):
        free = [slot for slot in slots if slot.last < first]
        same = [slot for slot in free if _alike(buffers[slot.members[0]], buffers[name])]
        if same or free:
            slot = (same or free)[0]
            slot.members.append(name)
            slot.last = last
        else:
            slots.append(_Slot([name], last))
    return tuple(tuple(slot.members) for slot in slots)


def _alike(one: Buffer, other: Buffer) -> bool:
    return (one.shape, one.dtype) == (other.shape, other.dtype)
