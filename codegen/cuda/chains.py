"""Nested Any loops as one space of iterations.

A Let between two of the loops need not part them. What is the same in all iterations is computed
before them; what is cheap is computed anew in each iteration of the inner one. A Let that is
neither keeps the loops apart: a team computes it once and shares out the inner loop.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from codegen.cuda.teams import Touched, touched
from codegen.ir import Any, Buffer, Extent, Let, Loop, Statement
from codegen.passes.rewrite import cost
from codegen.scalar import Affine, Axis, Local, nested_refs
from codegen.walk import nodes, refs_of

_CHEAP = 6
"""How many additions may be spent again in each iteration: a division and little more."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Loops of which each is all that the one before it holds, but for Lets; `before` has those
    that stand in front of them all, each with the extents that must not be 0 for it to be computed;
    `body` is what each iteration runs."""

    loops: tuple[Loop, ...]
    before: tuple[tuple[Let, tuple[Extent, ...]], ...]
    body: tuple[Statement, ...]


@dataclass(slots=True)
class _Gathered:
    loops: list[Loop]
    before: list[tuple[Let, tuple[Extent, ...]]] = field(default_factory=list)
    again: list[Let] = field(default_factory=list)


def chain(loop: Loop, buffers: Mapping[str, Buffer]) -> Chain:
    """The longest chain that begins with this loop."""
    made = _Gathered([loop])
    while (split := _split(made.loops[-1])) is not None:
        lets, inner = split
        unchanged = touched([inner], buffers)
        if not all(_moved(made, let, unchanged, buffers) for let in lets):
            # What was moved before the loops may stay there: nothing changes it.
            break
        made.loops.append(inner)
        made.again += lets
    kept = {let.name for let, _ in made.before}
    again = (let for let in made.again if let.name not in kept)
    body = made.loops[-1].body
    rest = tuple(one for one in body if not (isinstance(one, Let) and one.name in kept))
    return Chain(tuple(made.loops), tuple(made.before), (*again, *rest))


def _split(loop: Loop) -> tuple[tuple[Let, ...], Loop] | None:
    """The Lets and the Any loop that are the loop's body; None if that is anything else."""
    lets, last = loop.body[:-1], loop.body[-1:]
    (inner,) = last if last else (None,)
    if not isinstance(inner, Loop) or not isinstance(inner.order, Any):
        return None
    if not all(isinstance(one, Let) for one in lets):
        return None
    return tuple(one for one in lets if isinstance(one, Let)), inner


def _moved(
    made: _Gathered, let: Let, inner: Touched, buffers: Mapping[str, Buffer]
) -> bool:
    """True if the Let need not stand between the loops; notes it if it goes before them."""
    if touched([let], buffers).reads & inner.writes:
        return False
    axes = {loop.axis for loop in made.loops}
    moved = {one.name for one, _ in made.before}
    if not axes & _axes_of(let) and not (_locals_of(let) - moved) & _bound(made.loops):
        made.before.append((let, tuple(loop.extent for loop in made.loops)))
        return True
    return cost(let.value) <= _CHEAP


def _bound(loops: Iterable[Loop]) -> set[str]:
    return {one.name for loop in loops for one in loop.body if isinstance(one, Let)}


def _locals_of(let: Let) -> set[str]:
    return {node.name for node in nodes(let.value) if isinstance(node, Local)}


def _axes_of(let: Let) -> set[str]:
    found = {node.name for node in nodes(let.value) if isinstance(node, Axis)}
    for outer in refs_of(let):
        for ref in nested_refs(outer):
            for index in ref.index:
                if isinstance(index, Affine):
                    found |= {symbol.name for symbol, _ in index.terms if isinstance(symbol, Axis)}
    return found
