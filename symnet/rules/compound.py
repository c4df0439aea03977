"""Powers of 1 + u to exponents that may be large: compound interest, (1 + x / n)^n.

1 + u rounds u away, and the power repeats that loss as often as the exponent says.

Reference: Goldberg, What every computer scientist should know about floating-point arithmetic,
1991, section 1.4.
"""

from __future__ import annotations

import math
from typing import Final

from symnet.expr import Expr
from symnet.ops.core import FLOATS, scalar_constant
from symnet.ops.table import (
    absolute,
    acos,
    acosh,
    add,
    asin,
    asinh,
    divide,
    exp,
    less,
    log1p,
    multiply,
    negative,
    power,
    sqrt,
    subtract,
    where,
)
from symnet.rules.algebra import (
    Product,
    factors,
    guarded,
    product_of,
    sample,
    sum_of_terms,
    terms,
    without,
)
from symnet.rules.match import unnamed
from symnet.rules.quotients import SERIES, regular
from symnet.rules.rule import AnyRule, Structural

# Below this exponent the roundings of 1 + u that a power repeats are too few to matter.
_FEW: Final = 16
_RADIUS: Final = SERIES[log1p].radius


def _beside(node: Expr, number: float) -> Expr | None:
    """u of number + u."""
    parts = terms(node)
    ones = [k for k, (s, part) in enumerate(parts) if scalar_constant(part) == s * number]
    if len(ones) != 1 or len(parts) < 2:
        return None
    return sum_of_terms([part for k, part in enumerate(parts) if k != ones[0]], node)


def _compound(node: Expr) -> Expr | None:
    """(1 + u)^n = exp(n u * (log1p(u) / u)) where u is small."""
    base, exponent = node.args
    known = scalar_constant(exponent)
    if node.dtype not in FLOATS or (known is not None and not _FEW < abs(known) < math.inf):
        return None
    u = _beside(base, 1)
    if u is None or unnamed(u).op is where:
        return None
    small = less(absolute(u), _RADIUS)
    near, far = guarded(small, u, 0.0, 1.0)
    usual = power(add(1, far), where(small, 1, exponent))
    return where(small, exp(_times_log(exponent, u, near, small)), usual)


def _times_log(n: Expr, u: Expr, near: Expr, small: Expr) -> Expr:
    """n log1p(u): through n u where that is simpler than n and u."""
    ratio, count = factors(u), factors(n)
    below, above = [unnamed(p) for p in ratio.below], [unnamed(p) for p in ratio.above]
    below, fewer = without(below, count.above)
    above, more = without(above, count.below)
    if not fewer and not more:
        return multiply(where(small, n, 0), log1p(near))
    kept, _ = without(count.above, fewer)
    left, _ = without(count.below, more)
    size = ratio.coefficient * count.coefficient
    whole = product_of(Product(size, (*kept, *above), (*left, *below)), u)
    return multiply(where(small, whole, 0), regular(SERIES[log1p], near))


def _near_one(node: Expr) -> Expr | None:
    """acos(1 - u) = 2 asin(sqrt(u / 2)), acosh(1 + u) = 2 asinh(sqrt(u / 2))."""
    rest = _beside(node.args[0], 1)
    if rest is None or any(part.op is where for _, part in terms(rest)):
        return None
    if node.op is acosh:
        return multiply(2, asinh(sqrt(multiply(0.5, rest))))
    u = _minus(rest)
    small = less(u, 1)
    near, far = guarded(small, u, 0.5, 1.0)
    return where(small, multiply(2, asin(sqrt(multiply(0.5, near)))), acos(subtract(1, far)))


def _minus(node: Expr) -> Expr:
    return sum_of_terms([(-sign, part) for sign, part in terms(node)], node)


def _compound_examples() -> tuple[Expr, ...]:
    x, n = sample("x"), sample("n")
    return (
        power(add(1, x), n),
        power(subtract(1, divide(x, n)), n),
        power(add(x, 1), 365),
    )


def _near_one_examples() -> tuple[Expr, ...]:
    x = sample("x")
    return (acos(subtract(1, x)), acosh(add(x, 1)), acos(add(1, negative(x))))


COMPOUND: tuple[AnyRule, ...] = (
    Structural(
        "power of one plus little",
        ("pow",),
        _compound,
        "1 + u rounds a small u away, n times",
        _compound_examples,
        remark="same function, no cancellation",
        among=frozenset({"add", "subtract"}),
        error=1e-14,
    ),
    Structural(
        "arc cosine near one",
        ("acos", "acosh"),
        _near_one,
        "1 - u rounds a small u away, and the function has a root there",
        _near_one_examples,
        remark="same function, no cancellation",
        among=frozenset({"add", "subtract"}),
        error=1e-14,
    ),
)
