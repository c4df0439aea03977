"""The values of run-time sizes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from codegen.ir import Extent, Loop, Program, Ragged, Sequence, Statement


def known_sizes(program: Program, sizes: Mapping[str, int]) -> dict[str, int]:
    """Every size's value at the start: ragged ones have their value at t = 0."""
    known = dict(sizes)
    ragged = list(raggeds(program.body))
    for rule in program.sizes:
        if rule.terms:
            known[rule.name] = rule.value(known)
        for one in ragged:
            if one.batch in known and one.total in known:
                known[one.name] = ragged_value(one, 0, known)
    return known


def raggeds(body: Iterable[Statement]) -> Iterable[Ragged]:
    """Every ragged size's rule, outer loops first."""
    for statement in body:
        if isinstance(statement, Loop):
            if isinstance(statement.order, Sequence):
                yield from statement.order.ragged
            yield from raggeds(statement.body)


def ragged_value(rule: Ragged, step: int, known: Mapping[str, int]) -> int:
    """The size where the axis is `step`; 0 if there is nothing at all."""
    batch, total = known[rule.batch], known[rule.total]
    if not total:
        return 0
    return min(batch, total - step % -(-total // batch) * batch)


def extent_value(extent: Extent, sizes: Mapping[str, int]) -> int:
    """The number of iterations or elements."""
    return extent if isinstance(extent, int) else sizes[extent]
