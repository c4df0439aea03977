"""CORRECTIONS: what an optimizer divides whole arrays by, the same number everywhere, is inverted
once a step; a division takes a core as long as several products."""

from __future__ import annotations

from symnet.expr import Expr
from symnet.ops.core import FLOAT64, broadcast, cast, scalar_constant
from symnet.ops.leaves import STEP, step
from symnet.ops.table import add, divide, multiply, power, subtract
from symnet.rules.algebra import sample, terms, under_repeats
from symnet.rules.rule import AnyRule, Structural


def _less_than_one(divisor: Expr) -> tuple[Expr, Expr] | None:
    """b and t, if the number is 1 - b**t."""
    parts = terms(divisor)
    if len(parts) != 2:
        return None
    (sign, one), (other_sign, part) = parts
    if sign < 0 or other_sign > 0 or scalar_constant(one) != 1 or part.op is not power:
        return None
    base, exponent = map(under_repeats, part.args)
    return base, exponent


def decay_of(node: Expr) -> tuple[Expr, Expr] | None:
    """b and t, if the node is x / (1 - b^t) for numbers b and t."""
    if node.op is not divide:
        return None
    exact = _exact(node)
    return _less_than_one(exact) if not exact.shape and exact.dtype == FLOAT64 else None


def _exact(node: Expr) -> Expr:
    """The number that divides, before it was rounded to the dtype of what it divides."""
    divisor = under_repeats(node.args[1])
    return divisor.args[0] if divisor.op.name == "cast" else divisor


def _of_a_step(node: Expr) -> Expr | None:
    """x / (1 - b^t) = x (1 / (1 - b^t)), where the divisor is surely neither tiny nor huge:
    0 <= b < 1, and t counts steps from 1."""
    found = decay_of(node)
    if found is None or not node.shape:
        return None
    base, counts = scalar_constant(found[0]), terms(found[1])
    past = [sign * (scalar_constant(part) or 0) for sign, part in counts if part.op is not STEP]
    signs = [sign for sign, part in counts if part.op is STEP]
    counted = signs == [1] and len(past) == 1 and past[0] >= 1
    if base is None or not 0 <= base < 1 or not counted:
        return None
    # The quotient is rounded to the array's dtype once, as the divisor was.
    factor = cast(divide(1, _exact(node)), node.dtype)
    return multiply(node.args[0], broadcast(factor, node.shape))


def _examples() -> tuple[Expr, ...]:
    m = sample("m", "N")
    return (divide(m, broadcast(subtract(1, power(0.9, add(step, 1))), m.shape)),)


CORRECTIONS: tuple[AnyRule, ...] = (
    Structural(
        "correction by a factor",
        ("divide",),
        _of_a_step,
        "one division a step in place of one an element",
        _examples,
        remark="same function, one division a step",
    ),
)
