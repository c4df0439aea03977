"""Which memory a statement touches, and when two loops may run their iterations side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from codegen.ir import Contraction, Let, Loop, Program, Statement, Store, Tree, Until
from codegen.scalar import Load, Local, Ref, Scalar, at, nested_refs
from codegen.walk import index_buffers, nodes, root_of, scalars_of


class Roots(dict[str, str]):
    """Of every buffer the one whose memory it lives in; and what statements touch and scalars read,
    once that has been asked for. Both are frozen, so they are found again by their identity."""

    def __init__(self, roots: dict[str, str]) -> None:
        super().__init__(roots)
        self.touched: dict[int, tuple[Statement, tuple[Access, ...]]] = {}
        self.read: dict[int, tuple[Scalar, tuple[Access, ...]]] = {}


class Access(NamedTuple):
    """`root` is a buffer without storage, or "%name" of a local. Without a ref, all of it."""

    root: str
    ref: Ref | None
    writes: bool


def roots_of(program: Program) -> Roots:
    """The root of every buffer."""
    buffers = index_buffers(program)
    return Roots({name: root_of(name, buffers) for name in buffers})


def accesses(statement: Statement, roots: Roots) -> tuple[Access, ...]:
    """All accesses of a statement and of what it holds, each once, in order."""
    known = roots.touched.get(id(statement))
    if known is None:
        before, body, after = _touched(statement, roots)
        found = dict.fromkeys(before)
        for inner in body:
            found.update(dict.fromkeys(accesses(inner, roots)))
        found.update(dict.fromkeys(after))
        # The statement stays with what is known of it, so that no other one gets its identity.
        known = roots.touched[id(statement)] = (statement, tuple(found))
    return known[1]


def read_by(scalar: Scalar, roots: Roots) -> tuple[Access, ...]:
    """The accesses of a scalar, repeats included."""
    known = roots.read.get(id(scalar))
    if known is None:
        found: list[Access] = []
        for node in nodes(scalar):
            if isinstance(node, Load):
                found += [Access(roots[ref.buffer], ref, False) for ref in nested_refs(node.ref)]
            elif isinstance(node, Local):
                found.append(Access(f"%{node.name}", None, False))
        known = roots.read[id(scalar)] = (scalar, tuple(found))
    return known[1]


def _touched(
    statement: Statement, roots: Roots
) -> tuple[list[Access], tuple[Statement, ...], list[Access]]:
    """What a statement touches itself before those inside it run, they, and what it does after."""
    found = [access for scalar in scalars_of(statement) for access in read_by(scalar, roots)]
    if isinstance(statement, Let):
        found.append(Access(f"%{statement.name}", None, True))
    elif isinstance(statement, Store | Until):
        own = statement.ref if isinstance(statement, Store) else None
        refs = nested_refs(statement.ref)
        found += [Access(roots[ref.buffer], ref, ref is own) for ref in refs]
    elif isinstance(statement, Contraction):
        for pair in statement.terms:
            for factor in pair:
                ref = Ref(factor.buffer, tuple(map(at, factor.letters)))
                found.append(Access(roots[factor.buffer], ref, False))
        found.append(Access(f"%{statement.result}", None, True))
        return found, statement.body, []
    elif isinstance(statement, Loop):
        names = statement.order.names if isinstance(statement.order, Tree) else ()
        return found, statement.body, [Access(f"%{name}", None, True) for name in names]
    return found, (), []


def all_accesses(body: Iterable[Statement], roots: Roots) -> Iterator[Access]:
    """The accesses of the statements in order, repeats included."""
    for statement in body:
        before, inner, after = _touched(statement, roots)
        yield from before
        yield from all_accesses(inner, roots)
        yield from after


def positions(ref: Ref | None, axis: str) -> frozenset[int]:
    """The dimensions whose index is the axis itself."""
    if ref is None:
        return frozenset()
    identity = at(axis)
    return frozenset(
        place for place, index in enumerate(ref.index) if index is identity or index == identity
    )


def aligned(one: Access, axis: str, other: Access, other_axis: str) -> bool:
    """True if both accesses can meet in an element only where the two axes have equal values."""
    if one.ref is None or other.ref is None or one.ref.buffer != other.ref.buffer:
        return False
    return bool(positions(one.ref, axis) & positions(other.ref, other_axis))
