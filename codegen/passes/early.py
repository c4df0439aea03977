"""What runs along the batch runs before the test that may end the loop.

An Until parts what is before it from what is after it: nothing may be merged across. A statement
after it whose tiles follow a run-time size (the rows of a batch), or that is a single number, moves
in front of it if it writes nothing but scratch: there forward and backward of the same rows can
meet. When the Until does end the loop, nobody reads what they wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from codegen.ir import (
    Any,
    Buffer,
    Contraction,
    Loop,
    Program,
    Statement,
    Store,
    Until,
    is_driver,
)
from codegen.passes.access import Access, Roots, accesses, roots_of
from codegen.passes.rewrite import with_body
from codegen.walk import index_buffers


def early(program: Program, roots: Roots | None = None) -> Program:
    """The program with statements moved in front of the first Until of each sequence."""
    moving = _Moving(index_buffers(program), roots or roots_of(program))
    return replace(program, body=moving.body(program.body))


class _Stays(NamedTuple):
    """The roots that the statements which stay touch and write."""

    touched: set[str]
    written: set[str]


class _Moving:
    def __init__(self, buffers: Mapping[str, Buffer], roots: Roots) -> None:
        self._buffers = buffers
        self._roots = roots

    def body(self, body: tuple[Statement, ...]) -> tuple[Statement, ...]:
        body = tuple(
            with_body(one, self.body(one.body)) if isinstance(one, Loop) else one for one in body
        )
        untils = [place for place, one in enumerate(body) if isinstance(one, Until)]
        if not untils:
            return body
        first = untils[0]
        moved, kept = self._parted(body[first:])
        return (*body[:first], *moved, *kept)

    def _parted(self, body: tuple[Statement, ...]) -> tuple[list[Statement], list[Statement]]:
        """The statements that may come before the first of the body, and the rest."""
        moved: list[Statement] = []
        kept: list[Statement] = []
        stays = _Stays(set(), set())
        for place, one in enumerate(body):
            if place and (is_driver(one) or isinstance(one, Until)):
                return moved, [*kept, *body[place:]]
            touched = accesses(one, self._roots)
            if place and self._may_move(one, touched, stays):
                moved.append(one)
            else:
                kept.append(one)
                stays.touched.update(access.root for access in touched)
                stays.written.update(access.root for access in touched if access.writes)
        return moved, kept

    def _may_move(self, one: Statement, touched: tuple[Access, ...], stays: _Stays) -> bool:
        if not _runs_along_a_size(one) and not self._is_scratch_number(one):
            return False
        written = {access.root for access in touched if access.writes}
        if any(self._outlives(root) for root in written):
            return False
        if not written.isdisjoint(stays.touched):
            return False
        return stays.written.isdisjoint(access.root for access in touched)

    def _is_scratch_number(self, one: Statement) -> bool:
        """True for a single element of scratch."""
        return isinstance(one, Store) and not self._outlives(self._roots[one.ref.buffer])

    def _outlives(self, root: str) -> bool:
        return not root.startswith("%") and self._buffers[root].scope != "step"


def _runs_along_a_size(one: Statement) -> bool:
    match one:
        case Loop(extent=str(), order=Any()) | Contraction(shared=str()):
            return True
    return False
