"""Selects: the branch that is not taken never poisons a product (0 * inf is NaN)."""

from __future__ import annotations

from collections.abc import Callable

from symnet.expr import Expr
from symnet.ops.core import BOOL, BROADCAST, CAST, broadcast, cast, scalar_constant
from symnet.ops.pointwise import zeros
from symnet.ops.table import (
    absolute,
    add,
    divide,
    less,
    log,
    multiply,
    negative,
    power,
    sqrt,
    where,
)
from symnet.rules.algebra import sample, sample_test
from symnet.rules.match import unnamed
from symnet.rules.rule import AnyRule, Structural
from symnet.sizes import named_size

Masked = tuple[Expr, Expr, bool]
"""A condition, the branch that is not zero, and whether that is the first branch."""


def _masked(node: Expr) -> Masked | None:
    """The parts of a select one branch of which is zero, through a broadcast."""
    node, shape = unnamed(node), node.shape
    if node.op is BROADCAST:
        node = unnamed(node.args[0])
    if node.op is not where:
        return None
    test, first, second = (broadcast(arg, shape) for arg in node.args)
    if scalar_constant(second) == 0:
        return test, first, True
    return (test, second, False) if scalar_constant(first) == 0 else None


def _select(masked: Masked, value: Expr) -> Expr:
    test, _, first = masked
    return where(test, value, zeros(value)) if first else where(test, zeros(value), value)


def _inside(operand: Expr, apply: Callable[[Expr], Expr]) -> Expr | None:
    """A linear function of a masked value, made inside the select."""
    masked = _masked(operand)
    if masked is not None:
        return _select(masked, apply(masked[1]))
    return None


def _sum(node: Expr) -> Expr | None:
    """Two masked values under one condition, as one."""
    left, right = (_masked(arg) for arg in node.args)
    if left is None or right is None or left[0] is not right[0] or left[2] is not right[2]:
        return None
    return _select(left, add(left[1], right[1]))


def _product(node: Expr) -> Expr | None:
    left, right = node.args
    if _is_bounded(left) or _is_bounded(right):
        return None
    for operand, other in ((left, right), (right, left)):

        def by(value: Expr, other: Expr = other) -> Expr:
            return multiply(value, other)

        found = _inside(operand, by)
        if found is not None:
            return found
        found = _indicated(operand, other)
        if found is not None:
            return found
    return None


def _is_bounded(node: Expr) -> bool:
    """Whether a node is u held near 0, its square, or a step of a polynomial of either."""
    bare = unnamed(node)
    if bare.op is add and scalar_constant(bare.args[0]) is not None:
        bare = unnamed(bare.args[1])
    if bare.op is multiply:
        bare = unnamed(bare.args[0])
    if bare.op is multiply:
        bare = unnamed(bare.args[0])
    if bare.op is not where or scalar_constant(bare.args[2]) != 0:
        return False
    test = unnamed(bare.args[0])
    if test.op is not less or scalar_constant(test.args[1]) is None:
        return False
    size = unnamed(test.args[0])
    return size.op is absolute and size.args[0] is bare.args[1]


def _quotient(node: Expr) -> Expr | None:
    above, below = node.args
    if scalar_constant(below) == 0:
        return None
    return _inside(above, lambda value: divide(value, below))


def _negated(node: Expr) -> Expr | None:
    masked = _masked(node.args[0])
    return None if masked is None else _select(masked, negative(masked[1]))


def _indicated(operand: Expr, other: Expr) -> Expr | None:
    """An indicator times what may be infinite, as a select."""
    bare = unnamed(operand)
    if bare.op is not CAST or bare.args[0].dtype != BOOL or not _may_be_infinite(other):
        return None
    return where(bare.args[0], other, zeros(other))


def _may_be_infinite(node: Expr) -> bool:
    """Whether a factor of the node is a quotient, a logarithm or a power."""
    stack, seen = [node], 0
    while stack and seen < 12:
        bare, seen = unnamed(stack.pop()), seen + 1
        if bare.op is divide and scalar_constant(bare.args[1]) is None:
            return True
        if bare.op in (log, power):
            return True
        if bare.op in (multiply, negative, BROADCAST):
            stack.extend(bare.args)
    return False


def _sums() -> tuple[Expr, ...]:
    x, y, p = sample("x"), sample("y"), sample_test()
    return (add(where(p, x, 0), where(p, y, 0)), add(where(p, 0, x), where(p, 0, y)))


def _products() -> tuple[Expr, ...]:
    x, y, p = sample("x"), sample("y"), sample_test()
    wide = broadcast(where(p, x, 0), (named_size("N"),))
    flag = cast(y < x, x.dtype)
    return (
        multiply(where(p, x, 0), y),
        multiply(y, where(p, 0, x)),
        multiply(wide, sample("v", "N")),
        multiply(flag, divide(1, sqrt(y))),
    )


_SELECTING = frozenset({"where", "broadcast", "cast"})
SELECTS: tuple[AnyRule, ...] = (
    Structural(
        "factor of a select",
        ("multiply",),
        _product,
        "zero times the infinity of the branch not taken is NaN",
        _products,
        remark="same function where both are finite",
        among=_SELECTING,
        shown=False,
    ),
    Structural(
        "divisor of a select",
        ("divide",),
        _quotient,
        "zero over the zero of the branch not taken is NaN",
        lambda: (divide(where(sample_test(), sample("x"), 0), sample("y")),),
        among=_SELECTING,
        shown=False,
    ),
    Structural(
        "sum of selects",
        ("add",),
        _sum,
        "keeps the zero where the next factor finds it",
        _sums,
        among=_SELECTING,
        shown=False,
    ),
    Structural(
        "minus a select",
        ("negative",),
        _negated,
        "keeps the zero where the next factor finds it",
        lambda: (negative(where(sample_test(), sample("x"), 0)),),
        among=_SELECTING,
        shown=False,
    ),
)
