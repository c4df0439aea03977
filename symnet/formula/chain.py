"""Gradients of scalar networks as products of named factors: ∂L/∂a · ∂a/∂z · ∂z/∂w."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from symnet.expr import Expr
from symnet.formula.graph import direct_parts, local_partials
from symnet.formula.sums import total
from symnet.formula.translate import Translator
from symnet.formula.tree import ONE, Chain, Formula, Partial

_MOST_PATHS = 8

Steps = Mapping[Expr, Mapping[Expr, Expr]]
"""Each named scalar, and the derivative by each of its direct parts."""


def local_steps(loss: Expr, named: Sequence[Expr], targets: Sequence[Expr]) -> Steps:
    """The local derivatives of the loss and of every named scalar."""
    stops = {*named, *targets}
    steps: dict[Expr, Mapping[Expr, Expr]] = {}
    for node in (*named, loss):
        steps[node] = local_partials(node, direct_parts(node, stops))
    return steps


def _routes(loss: Expr, target: Expr, steps: Steps) -> list[list[Expr]] | None:
    """The ways from the loss down to the target over named scalars; None if they are many."""
    found: list[list[Expr]] = []
    stack = [[loss]]
    while stack:
        route = stack.pop()
        if route[-1] is target:
            found.append(route)
        elif len(stack) + len(found) > _MOST_PATHS:
            return None
        else:
            stack.extend([*route, part] for part in reversed(list(steps.get(route[-1], {}))))
    return found


def chain_formulas(
    loss: Expr, target: Expr, steps: Steps, translator: Translator, names: Mapping[Expr, Formula]
) -> tuple[Formula | None, Formula] | None:
    """The chain of partial symbols and the chain of what they are; None if paths are many.

    Without a named scalar between, there is no chain of symbols to show.
    """
    routes = _routes(loss, target, steps)
    if not routes:
        return None
    symbols: list[Formula] = []
    factors: list[Formula] = []
    for route in routes:
        pairs = list(pairwise(route))
        labels: list[Formula] = [Partial(names[above], names[below]) for above, below in pairs]
        written = [translator.array(steps[above][below]) for above, below in pairs]
        kept = [(f, label) for f, label in zip(written, labels, strict=True) if f != ONE]
        if len(pairs) == 1:
            # ∂L/∂w itself is what the line defines.
            symbols.append(written[0])
            factors.append(written[0])
            continue
        symbols.append(Chain(tuple(labels), (None,) * len(labels)))
        factors.append(_product(kept))
    if all(len(route) == 2 for route in routes):
        return None, total(factors, scalar=True)
    return total(symbols, scalar=True), total(factors, scalar=True)


def _product(kept: Sequence[tuple[Formula, Formula]]) -> Formula:
    if not kept:
        return ONE
    return Chain(tuple(f for f, _ in kept), tuple(label for _, label in kept))
