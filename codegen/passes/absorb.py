"""Give a contraction the loops that consume it: each finished element is used where it is made.

A nest of Any loops over a contraction's letters that reads what the contraction stores becomes part
of its body, an epilogue. A sum that nobody else reads is then never stored. Either the nest rises
to the contraction, or the contraction sinks to the nest, across statements that clash with neither.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from codegen.ir import (
    Any,
    Buffer,
    Contraction,
    Extent,
    Let,
    Loop,
    Statement,
    Store,
    Until,
    is_driver,
)
from codegen.passes.access import Access, Roots, accesses, aligned
from codegen.passes.contractions import matrix_form
from codegen.passes.rewrite import Substitution, size_of, with_body
from codegen.passes.substitute import BUDGET
from codegen.scalar import Index, at

REACH = 16
"""How many statements after a contraction are looked at."""

Touched = Mapping[str, list[Access]]


def absorb(
    body: tuple[Statement, ...], buffers: Mapping[str, Buffer], roots: Roots
) -> tuple[Statement, ...]:
    """The driver's statements with nests moved into the contractions they consume."""
    line = list(body)
    place = 0
    while place < len(line):
        found = _step(line, place, buffers, roots)
        if found is None:
            place += 1
        else:
            line, place = found
    return tuple(line)


def _step(
    line: list[Statement], place: int, buffers: Mapping[str, Buffer], roots: Roots
) -> tuple[list[Statement], int] | None:
    """The line after one nest has joined the contraction at `place`, and where that now stands."""
    contraction = line[place]
    if not isinstance(contraction, Contraction):
        return None
    own = _touched(contraction, roots)
    for later in range(place + 1, min(place + 1 + REACH, len(line))):
        statement = line[later]
        if isinstance(statement, Until) or is_driver(statement):
            return None
        joined = _joined(contraction, own, statement, buffers, roots)
        if joined is None:
            continue
        between = line[place + 1 : later]
        if not _clashes(_touched(statement, roots), between, roots):
            return [*line[:place], joined, *between, *line[later + 1 :]], place
        if not _clashes(own, between, roots):
            return [*line[:place], *between, joined, *line[later + 1 :]], place
    return None


def _touched(statement: Statement, roots: Roots) -> Touched:
    found: dict[str, list[Access]] = {}
    for access in accesses(statement, roots):
        found.setdefault(access.root, []).append(access)
    return found


def _clashes(own: Touched, others: list[Statement], roots: Roots) -> bool:
    """True if the order of a statement that touches `own` and one of the others matters."""
    for other in others:
        theirs = _touched(other, roots)
        for root in own.keys() & theirs.keys():
            if any(access.writes for access in (*own[root], *theirs[root])):
                return True
    return False


def _joined(
    contraction: Contraction,
    own: Touched,
    statement: Statement,
    buffers: Mapping[str, Buffer],
    roots: Roots,
) -> Contraction | None:
    """The contraction with the statement in its body, if that is right and gains something."""
    nest = _nest(statement)
    if nest is None or size_of(contraction) + size_of(statement) > BUDGET:
        return None
    axes, inner = nest
    extents = dict(contraction.extents)
    if [extent for _, extent in axes] != [extents[letter] for letter in contraction.letters]:
        return None
    pairs = list(zip(contraction.letters, (axis for axis, _ in axes), strict=True))
    if not _side_by_side(own, _touched(statement, roots), pairs):
        return None
    renamed: dict[str, Index] = {axis: at(letter) for letter, axis in pairs}
    moved = tuple(Substitution(renamed).statement(one) for one in inner)
    joined = with_body(contraction, (*contraction.body, *moved))
    return joined if matrix_form(joined, buffers) is not None else None


def _nest(statement: Statement) -> tuple[list[tuple[str, Extent]], tuple[Statement, ...]] | None:
    """Axes and extents from outside in, and the lets and stores inside; None for anything else."""
    axes: list[tuple[str, Extent]] = []
    lets: list[Statement] = []
    body: tuple[Statement, ...] = (statement,)
    while body and isinstance(loop := body[-1], Loop):
        if not isinstance(loop.order, Any) or loop.start != 0:
            return None
        if not all(isinstance(one, Let) for one in body[:-1]):
            return None
        lets += body[:-1]
        axes.append((loop.axis, loop.extent))
        body = loop.body
    if not all(isinstance(one, Let | Store) for one in body):
        return None
    return axes, (*lets, *body)


def _side_by_side(own: Touched, theirs: Touched, pairs: list[tuple[str, str]]) -> bool:
    """True if every element that both touch, one of them writing, is touched at equal places, and
    there is one that the contraction writes."""
    gains = False
    for root in own.keys() & theirs.keys():
        for mine, other in _pairs(own[root], theirs[root]):
            if not all(aligned(mine, letter, other, axis) for letter, axis in pairs):
                return False
            gains = gains or (mine.writes and not root.startswith("%"))
    return gains


def _pairs(mine: list[Access], theirs: list[Access]) -> Iterator[tuple[Access, Access]]:
    for one in mine:
        for other in theirs:
            if one.writes or other.writes:
                yield one, other
