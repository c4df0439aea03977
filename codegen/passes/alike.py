"""Programs that differ only in how long their axes are: a pass that looks at no length but to see
which are equal makes the same of all of them, and does so once.

So networks of many widths, trained one after another, share what does not depend on the width.
Lengths are the fixed extents of loops, contractions and buffers; 0 and 1 stay what they are.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace

from codegen.ir import Buffer, Contraction, Extent, Loop, Program, Statement
from codegen.passes.rewrite import with_body

KEPT = 16
"""How many programs are remembered; the one that came first goes first."""
Programs = tuple[Program, ...]


@dataclass(slots=True)
class _Outline:
    """`lengths`: those met so far, each with its number in the order in which they came."""

    lengths: dict[int, int] = field(default_factory=dict)

    def extent(self, extent: Extent) -> Extent:
        """A number below 0 for a length, the same for equal ones."""
        if isinstance(extent, str) or extent < 2:
            return extent
        return -1 - self.lengths.setdefault(extent, len(self.lengths))

    def buffer(self, buffer: Buffer) -> Hashable:
        shape = tuple(map(self.extent, buffer.shape))
        return buffer.name, shape, buffer.dtype, buffer.scope, buffer.storage

    def statement(self, statement: Statement) -> Hashable:
        """All that the statement is, its lengths as numbers."""
        if isinstance(statement, Loop):
            fixed = statement.axis, statement.order, statement.start, statement.label
            return self.extent(statement.extent), fixed, self.body(statement.body)
        if isinstance(statement, Contraction):
            extents = tuple((letter, self.extent(extent)) for letter, extent in statement.extents)
            # Without what is said of the extents and the body: those are said here.
            own = replace(statement, extents=(), body=())
            return extents, own, self.body(statement.body)
        return statement

    def body(self, body: tuple[Statement, ...]) -> Hashable:
        return tuple(map(self.statement, body))


def outline(program: Program) -> tuple[Hashable, tuple[int, ...]]:
    """What programs have in common that differ only in their lengths; and those, in the order in
    which they come."""
    made = _Outline()
    buffers = tuple(map(made.buffer, program.buffers))
    key = program.name, program.sizes, buffers, made.body(program.body), program.slots
    return key, tuple(made.lengths)


@dataclass(frozen=True, slots=True)
class _Renumbering:
    """Other lengths in the place of those of a program."""

    lengths: Mapping[int, int]
    done: dict[int, Statement] = field(default_factory=dict)

    def extent(self, extent: Extent) -> Extent:
        return self.lengths.get(extent, extent) if isinstance(extent, int) else extent

    def program(self, program: Program) -> Program:
        buffers = tuple(
            replace(one, shape=tuple(map(self.extent, one.shape))) if one.shape else one
            for one in program.buffers
        )
        return replace(program, buffers=buffers, body=self.body(program.body))

    def body(self, body: tuple[Statement, ...]) -> tuple[Statement, ...]:
        return tuple(map(self.statement, body))

    def statement(self, statement: Statement) -> Statement:
        if not isinstance(statement, Loop | Contraction):
            return statement
        # Stages of one program have most of their statements in common.
        known = self.done.get(id(statement))
        if known is None:
            known = self.done[id(statement)] = self._renumbered(statement)
        return known

    def _renumbered(self, statement: Loop | Contraction) -> Statement:
        made = with_body(statement, self.body(statement.body))
        if isinstance(made, Contraction):
            return replace(made, extents=tuple((x, self.extent(y)) for x, y in made.extents))
        extent = self.extent(made.extent)
        if extent == made.extent:
            return made
        return Loop(made.axis, extent, made.order, made.body, made.start, made.label)


def renumbered(programs: Programs, lengths: Mapping[int, int]) -> Programs:
    """The programs with other lengths, no two of which may become equal, nor 0 or 1."""
    put = _Renumbering(lengths)
    return tuple(map(put.program, programs))


class _Memory:
    """What was made of programs, by their outlines, and the lengths that those had."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.known: dict[Hashable, tuple[tuple[int, ...], Programs]] = {}


_memory = _Memory()


def forget() -> None:
    """Empties the memory of this process."""
    with _memory.lock:
        _memory.known.clear()


def once(program: Program, make: Callable[[Program], Programs]) -> Programs:
    """What `make` gives for the program, or gave for one that differs only in its lengths, with the
    lengths of this one."""
    key, lengths = outline(program)
    with _memory.lock:
        found = _memory.known.get(key)
    if found is None:
        made = make(program)
        with _memory.lock:
            _memory.known[key] = lengths, made
            if len(_memory.known) > KEPT:
                _memory.known.pop(next(iter(_memory.known)))
        return made
    put = {before: now for before, now in zip(found[0], lengths, strict=True) if before != now}
    made = renumbered(found[1], put) if put else found[1]
    return tuple(replace(one, notes=program.notes) for one in made)
