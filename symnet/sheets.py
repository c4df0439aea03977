"""Sheets and derivations as users ask for them: with numbers, and with what is computed in another
spelling."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from symnet.diff import Nested
from symnet.evaluating import evaluate
from symnet.expr import Expr
from symnet.feeds import Feeds
from symnet.formula import Derivation
from symnet.formula import derive as derived
from symnet.formula import gradients as composed
from symnet.formula.compose import Computed, Values
from symnet.formula.sheet import Sheet
from symnet.simplify import stabilize_as_written


def _rewrites(gradients: Sequence[Expr]) -> Iterator[Computed]:
    """Where the stable spelling of gradients differs from the printed one."""
    _, firings = stabilize_as_written(list(gradients))
    for firing in firings:
        text = firing.rule.text
        yield Computed(firing.left, firing.right, firing.remark, text, firing.terms)


def _values(feeds: Feeds | None) -> Values | None:
    """From expressions to their numbers at these feeds; None without feeds."""

    def values(nodes: Sequence[Expr]) -> Sequence[Any]:
        found: Sequence[Any] = evaluate(list(nodes), feeds)
        return found

    return None if feeds is None else values


def derive(loss: Expr, wrt: Expr, feeds: Feeds | None = None) -> Derivation:
    """The derivation of the gradient of a scalar loss by `wrt`, step by step.

    feeds: data for the inputs; with it each step ends in a line of numbers. It prints as text,
    `latex()` and `html()`; `steps` are values that hold what they claim, and `check(feeds)`
    compares each of these claims with numbers that the chain rule had no part in.

    Raises ShapeError unless the loss is a scalar, GraphError if `wrt` is no part of it.
    """
    return derived(loss, wrt, _values(feeds))


def gradients(loss: Expr, wrt: Nested | None = None, feeds: Feeds | None = None) -> Sheet:
    """The gradients of a loss, as a mapping from names that prints how they come about.

    wrt: what to differentiate by; the loss's parameters by default. feeds: data for the inputs;
    with it the sheet ends in a line of numbers. Formulas stand as written and differentiated;
    where another spelling of the same function runs, a line `computed as:` says so.

    Raises ShapeError unless the loss is a scalar, NameClashError where names are not unique.
    """
    return composed(loss, wrt, values=_values(feeds), rewrites=_rewrites)
