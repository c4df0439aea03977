"""Lets and folds that are computed twice in one body are computed once, under the first name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator
from dataclasses import replace

from codegen.ir import Contraction, Let, Loop, Statement, Store, Tree
from codegen.passes.access import Roots, accesses
from codegen.passes.rewrite import Substitution
from codegen.scalar import Local, Scalar, at

_AXIS = "·"


def numbered(body: tuple[Statement, ...], roots: Roots) -> tuple[Statement, ...]:
    """The statements of one iteration without repeats; a load counts as the same only while nobody
    stores to its buffer."""
    renamed: dict[str, Scalar] = {}
    known: dict[Hashable, tuple[Local, ...]] = {}
    stores: Counter[str] = Counter()
    result: list[Statement] = []
    for statement in body:
        one = Substitution(locals=renamed).statement(statement) if renamed else statement
        meaning = _meaning(one)
        if meaning is not None:
            touched = {access.root for access in accesses(one, roots) if not access.writes}
            key = (meaning, tuple(sorted((root, stores[root]) for root in touched)))
            bound = tuple(_bound(one))
            if key in known:
                names = (local.name for local in bound)
                renamed |= dict(zip(names, known[key], strict=True))
                continue
            known[key] = bound
        result.append(one)
        stores.update({access.root for access in accesses(one, roots) if access.writes})
    return tuple(result)


def _bound(statement: Statement) -> Iterator[Local]:
    if isinstance(statement, Let):
        yield Local(statement.name, statement.value.dtype)
    elif isinstance(statement, Loop) and isinstance(statement.order, Tree):
        for name, dtype in zip(statement.order.names, statement.order.dtypes, strict=True):
            yield Local(name, dtype)


def _meaning(statement: Statement) -> Hashable | None:
    """What the statement binds, whatever it calls it; None if it binds nothing or does more."""
    if isinstance(statement, Let):
        return statement.value
    if not isinstance(statement, Loop) or not isinstance(statement.order, Tree):
        return None
    if any(isinstance(one, Loop | Store | Contraction | Let) for one in statement.body):
        return None
    alike = Substitution({statement.axis: at(_AXIS)}).statement(statement)
    assert isinstance(alike, Loop)
    order = replace(statement.order, names=())
    return replace(alike, axis=_AXIS, order=order, label="")
