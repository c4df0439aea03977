"""Which memory a statement touches, and when two loops may run their iterations side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from codegen.ir import Contraction, Let, Loop, Program, Statement, Store, Tree, Until
from codegen.scalar import Load, Local, Ref, at, nested_refs
from codegen.walk import index_buffers, nodes, root_of, scalars_of

Roots = Mapping[str, str]
"""Of every buffer the one whose memory it lives in."""


@dataclass(frozen=True, slots=True)
class Access:
    """`root` is a buffer without storage, or "%name" of a local. Without a ref, all of it."""

    root: str
    ref: Ref | None
    writes: bool


def roots_of(program: Program) -> dict[str, str]:
    """The root of every buffer."""
    buffers = index_buffers(program)
    return {name: root_of(name, buffers) for name in buffers}


def accesses(statement: Statement, roots: Roots) -> tuple[Access, ...]:
    """All accesses of a statement and of what it holds, each once, in order."""
    return tuple(dict.fromkeys(_accesses(statement, roots)))


def _accesses(statement: Statement, roots: Roots) -> Iterator[Access]:
    for scalar in scalars_of(statement):
        for node in nodes(scalar):
            if isinstance(node, Load):
                for ref in nested_refs(node.ref):
                    yield Access(roots[ref.buffer], ref, False)
            elif isinstance(node, Local):
                yield Access(f"%{node.name}", None, False)
    match statement:
        case Let(name, _):
            yield Access(f"%{name}", None, True)
        case Store(ref, _):
            for inner in nested_refs(ref):
                yield Access(roots[inner.buffer], inner, inner is ref)
        case Until(ref):
            for read in nested_refs(ref):
                yield Access(roots[read.buffer], read, False)
        case Contraction():
            for pair in statement.terms:
                for factor in pair:
                    ref = Ref(factor.buffer, tuple(map(at, factor.letters)))
                    yield Access(roots[factor.buffer], ref, False)
            yield Access(f"%{statement.result}", None, True)
            yield from all_accesses(statement.body, roots)
        case Loop():
            yield from all_accesses(statement.body, roots)
            if isinstance(statement.order, Tree):
                for name in statement.order.names:
                    yield Access(f"%{name}", None, True)


def all_accesses(body: Iterable[Statement], roots: Roots) -> Iterator[Access]:
    """The accesses of the statements in order, repeats included."""
    for statement in body:
        yield from _accesses(statement, roots)


def positions(ref: Ref | None, axis: str) -> frozenset[int]:
    """The dimensions whose index is the axis itself."""
    if ref is None:
        return frozenset()
    identity = at(axis)
    return frozenset(place for place, index in enumerate(ref.index) if index == identity)


def aligned(one: Access, axis: str, other: Access, other_axis: str) -> bool:
    """True if both accesses can meet in an element only where the two axes have equal values."""
    if one.ref is None or other.ref is None or one.ref.buffer != other.ref.buffer:
        return False
    return bool(positions(one.ref, axis) & positions(other.ref, other_axis))
