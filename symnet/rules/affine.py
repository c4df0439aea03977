"""Sums in which a function cancels against its own limit: c - c f(u) for a known f.

Reference: Abramowitz and Stegun, Handbook of Mathematical Functions, chapters 4 and 7.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from symnet.expr import Expr
from symnet.ops.core import broadcast, number, scalar_constant
from symnet.ops.table import (
    absolute,
    add,
    cos,
    cosh,
    divide,
    erf,
    erfc,
    exp,
    expm1,
    less,
    log,
    log1p,
    multiply,
    negative,
    power,
    sigmoid,
    sin,
    sinh,
    subtract,
    tanh,
    where,
)
from symnet.rules.algebra import guarded, has_number, sample, terms
from symnet.rules.match import unnamed
from symnet.rules.products import Powers, gathered
from symnet.rules.rule import AnyRule, Structural

Spelling = Callable[[Expr], Expr]


def _half(u: Expr) -> Expr:
    return multiply(0.5, u)


def _square(u: Expr) -> Expr:
    return multiply(u, u)


def _coth_less_one(u: Expr) -> Expr:
    return divide(2, expm1(multiply(2, u)))


# (function, power) -> (c, g): f(u)^power + c = g(u).
_LIMITS: Final[dict[tuple[str, int], tuple[tuple[float, Spelling], ...]]] = {
    ("sigmoid", 1): (
        (-1, lambda u: negative(sigmoid(negative(u)))),
        (-0.5, lambda u: _half(tanh(_half(u)))),
    ),
    ("tanh", 1): (
        (-1, lambda u: multiply(-2, sigmoid(multiply(-2, u)))),
        (1, lambda u: multiply(2, sigmoid(multiply(2, u)))),
    ),
    ("tanh", 2): ((-1, lambda u: negative(subtract(1, _square(tanh(u))))),),
    ("tanh", -1): (
        (-1, _coth_less_one),
        (1, lambda u: negative(_coth_less_one(negative(u)))),
    ),
    ("cos", 1): (
        (-1, lambda u: multiply(-2, power(sin(_half(u)), 2))),
        (1, lambda u: multiply(2, power(cos(_half(u)), 2))),
    ),
    ("cos", 2): ((-1, lambda u: negative(power(sin(u), 2))),),
    ("sin", 2): ((-1, lambda u: negative(power(cos(u), 2))),),
    ("cosh", 1): ((-1, lambda u: multiply(2, power(sinh(_half(u)), 2))),),
    ("cosh", 2): ((-1, lambda u: power(sinh(u), 2)),),
    ("erf", 1): (
        (-1, lambda u: negative(erfc(u))),
        (1, lambda u: erfc(negative(u))),
    ),
    ("erfc", 1): (
        (-1, lambda u: negative(erf(u))),
        (-2, lambda u: negative(erfc(negative(u)))),
    ),
}
_FUNCTIONS: Final = frozenset(name for name, _ in _LIMITS)


def _against_a_number(node: Expr) -> Expr | None:
    """k f(u) + c, where c is a limit or a special value of -k f."""
    found = _number_and_product(node)
    if found is None:
        return None
    known, product = found
    ratio = known / product.coefficient
    if ratio == -1 and not product.powers and product.exponent.coefficients:
        return _scaled(product.coefficient, expm1(product.exponent.built(node)), node)
    if len(product.powers) != 1 or product.exponent.coefficients:
        return None
    ((base, by),) = product.powers.items()
    if base.op is power and by == 1 and ratio == -1 and not _is_held(base.args[0]):
        return _scaled(product.coefficient, _power_less_one(base), node)
    if base.op is add and by > 2 and ratio == -1:
        return _scaled(product.coefficient, _power_less_one(power(base, by)), node)
    if base.op is add and by < 0:
        return _reciprocal_less_number(product.coefficient, base, by, known, node)
    if base.op is tanh and by == 2 and product.coefficient == -1:
        # As it should be: the rule for 1 - tanh^2 is not smooth, and comes later.
        return None
    for limit, spelling in _LIMITS.get((base.op.name, int(by)), ()):
        if ratio == limit and by % 1 == 0:
            return _scaled(product.coefficient, spelling(base.args[0]), node)
    return None


def _number_and_product(node: Expr) -> tuple[float, Powers] | None:
    parts = terms(node)
    if len(parts) != 2:
        return None
    (first_sign, first), (second_sign, second) = parts
    if scalar_constant(first) is None:
        (first_sign, first), (second_sign, second) = parts[1], parts[0]
    value = scalar_constant(first)
    if value is None or value == 0 or scalar_constant(second) is not None:
        return None
    product = gathered(second)
    product.coefficient *= second_sign
    if not math.isfinite(product.coefficient) or product.coefficient == 0:
        return None
    return first_sign * float(value), product


def _is_held(node: Expr) -> bool:
    """Whether a base is one branch of a select that was made here."""
    bare = unnamed(node)
    return bare.op is where and any(scalar_constant(arg) is not None for arg in bare.args[1:])


def _scaled(factor: float, node: Expr, like: Expr) -> Expr:
    if factor == 1:
        return broadcast(node, like.shape)
    return broadcast(negative(node) if factor == -1 else multiply(factor, node), like.shape)


def _power_less_one(node: Expr) -> Expr:
    """a^n - 1 by the exponential: where a is 1 + v for |v| < 1/2, or any a > 0."""
    base, exponent = node.args
    known = scalar_constant(base)
    if known is not None and known > 0:
        return expm1(multiply(exponent, math.log(known)))
    parts = terms(base)
    ones = [(s, p) for s, p in parts if scalar_constant(p) == 1 and s > 0]
    if len(parts) == 2 and len(ones) == 1:
        sign_, v = next((s, p) for s, p in parts if p is not ones[0][1])
        v = v if sign_ > 0 else negative(v)
        inside = less(absolute(v), 0.5)
        close, _ = guarded(inside, v, 0.0, 0.5)
        far = where(inside, 2, base)
        return where(
            inside, expm1(multiply(exponent, log1p(close))), subtract(power(far, exponent), 1)
        )
    positive = less(0, base)
    inside, outside = guarded(positive, base, 1.0, 1.0)
    curve = expm1(multiply(exponent, log(inside)))
    return where(positive, curve, subtract(power(outside, exponent), 1))


def _reciprocal_less_number(
    k: float, base: Expr, by: float, known: float, like: Expr
) -> Expr | None:
    """k / (c + v) - k / c = -(k / c) v / (c + v)."""
    parts = terms(base)
    values = [(s, scalar_constant(p)) for s, p in parts]
    numbers = [s * float(value) for s, value in values if value is not None]
    if by != -1 or len(parts) != 2 or len(numbers) != 1 or k + known * numbers[0]:
        return None
    sign_, v = next((s, p) for s, p in parts if scalar_constant(p) is None)
    return _scaled(sign_ * known, divide(v, base), like)


def _shared_factor(node: Expr) -> Expr | None:
    """p - p f(u) = p (1 - f(u)), where f has the limit 1 and is near it for large u."""
    if has_number(node):
        return None
    parts = terms(node)
    if len(parts) != 2 or parts[0][0] == parts[1][0]:
        return None
    for (sign_, whole), (_, part) in (parts, parts[::-1]):
        if scalar_constant(whole) is not None:
            continue
        rest = gathered(part)
        own = gathered(whole)
        for base, by in own.powers.items():
            rest.multiply(base, -by)
        exponent = rest.exponent.plus(own.exponent.times(-1))
        if exponent.coefficients or len(rest.powers) != 1 or rest.coefficient != own.coefficient:
            continue
        ((base, by),) = rest.powers.items()
        if base.op.name not in ("sigmoid", "tanh") or (base.op.name, int(by)) not in _LIMITS:
            continue
        made = multiply(whole, subtract(1, base if by == 1 else power(base, by)))
        return _scaled(float(sign_), made, node)
    return None


def _examples() -> tuple[Expr, ...]:
    x, y = sample("x"), sample("y")
    return (
        *(
            add(multiply(3, power(f(x), by) if by != 1 else f(x)), number(3 * limit, x.dtype))
            for (name, by), limits in _LIMITS.items()
            for f in (_BY_NAME[name],)
            for limit, _ in limits
            if (name, by) != ("tanh", 2)
        ),
        subtract(1, exp(add(x, y))),
        subtract(multiply(2, exp(x)), 2),
        subtract(power(3, x), 1),
        subtract(power(add(1, x), 5), 1),
        subtract(power(multiply(x, x), y), 1),
        subtract(divide(6, add(3, x)), 2),
    )


def _shared_examples() -> tuple[Expr, ...]:
    x, y = sample("x"), sample("y")
    return (
        subtract(sigmoid(x), multiply(sigmoid(x), sigmoid(x))),
        subtract(multiply(y, multiply(sigmoid(x), 2)), multiply(y, 2)),
    )


_BY_NAME: Final = {"sigmoid": sigmoid, "tanh": tanh, "cos": cos, "sin": sin, "cosh": cosh,
                   "erf": erf, "erfc": erfc}  # fmt: skip
_CANCELS = "same function, no cancellation"
AFFINE: tuple[AnyRule, ...] = (
    Structural(
        "function less its limit",
        ("add", "subtract"),
        _against_a_number,
        "the function is the number, but for what rounding drops",
        _examples,
        remark=_CANCELS,
        error=1e-14,
        among=_FUNCTIONS | {"exp", "multiply", "divide", "pow", "negative", "add", "subtract"},
    ),
    Structural(
        "factor less its share",
        ("add", "subtract"),
        _shared_factor,
        "the share is nearly the whole",
        _shared_examples,
        remark=_CANCELS,
        error=1e-14,
        among=frozenset({"multiply", "pow"}),
    ),
)
