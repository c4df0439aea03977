"""Which memory a statement touches, and when two loops may run their iterations side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from codegen.ir import Contraction, Let, Loop, Program, Statement, Store, Tree, Until
from codegen.scalar import Load, Local, Ref, at, nested_refs
from codegen.walk import index_buffers, nodes, root_of, scalars_of


class Roots(dict[str, str]):
    """Of every buffer the one whose memory it lives in; and what statements touch, once that has
    been asked for. A statement is frozen, so it is found again by its identity."""

    def __init__(self, roots: dict[str, str]) -> None:
        super().__init__(roots)
        self.touched: dict[int, tuple[Statement, tuple[Access, ...]]] = {}


@dataclass(frozen=True, slots=True)
class Access:
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
        found = tuple(dict.fromkeys(_accesses(statement, roots, _each_once)))
        # The statement stays with what is known of it, so that no other one gets its identity.
        known = roots.touched[id(statement)] = (statement, found)
    return known[1]


_Inner = Callable[[Iterable[Statement], Roots], Iterator[Access]]


def _accesses(statement: Statement, roots: Roots, inner: _Inner) -> Iterator[Access]:
    """`inner` says what the statements inside touch."""
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
            for one in nested_refs(ref):
                yield Access(roots[one.buffer], one, one is ref)
        case Until(ref):
            for read in nested_refs(ref):
                yield Access(roots[read.buffer], read, False)
        case Contraction():
            for pair in statement.terms:
                for factor in pair:
                    ref = Ref(factor.buffer, tuple(map(at, factor.letters)))
                    yield Access(roots[factor.buffer], ref, False)
            yield Access(f"%{statement.result}", None, True)
            yield from inner(statement.body, roots)
        case Loop():
            yield from inner(statement.body, roots)
            if isinstance(statement.order, Tree):
                for name in statement.order.names:
                    yield Access(f"%{name}", None, True)


def all_accesses(body: Iterable[Statement], roots: Roots) -> Iterator[Access]:
    """The accesses of the statements in order, repeats included."""
    for statement in body:
        yield from _accesses(statement, roots, all_accesses)


def _each_once(body: Iterable[Statement], roots: Roots) -> Iterator[Access]:
    for statement in body:
        yield from accesses(statement, roots)


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
