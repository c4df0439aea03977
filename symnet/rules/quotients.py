"""Removable singularities: f(u) / u by its series near 0, so that its derivatives are right too.

Series: Abramowitz and Stegun, Handbook of Mathematical Functions, chapters 4 and 7.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from symnet.expr import Expr
from symnet.ops.pointwise import Pointwise
from symnet.ops.polynomial import polynomial
from symnet.ops.table import (
    absolute,
    asin,
    asinh,
    atan,
    atanh,
    divide,
    erf,
    expm1,
    less,
    log,
    log1p,
    multiply,
    negative,
    power,
    sin,
    sinh,
    subtract,
    tan,
    tanh,
    where,
)
from symnet.rules.algebra import Product, factors, guarded, product_of, sample, without
from symnet.rules.match import unnamed
from symnet.rules.rule import AnyRule, Structural


@dataclass(frozen=True)
class Series:
    """f(u) = u * (c_0 + c_1 p + c_2 p^2 + ...) where p is u, or u^2 if f is odd.

    radius: up to where the series serves; it ends below the last bit there.
    """

    function: Pointwise
    coefficients: tuple[float, ...]
    radius: float
    odd: bool = True


def _coefficients(term: Callable[[int], float], count: int) -> tuple[float, ...]:
    return tuple(term(k) for k in range(count))


def _alternating(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(-value if k % 2 else value for k, value in enumerate(values))


def _tangent(count: int) -> tuple[float, ...]:
    """The coefficients of tan(u) / u in u^2, from tan' = 1 + tan^2."""
    found = [1.0]
    while len(found) < count:
        k = len(found)
        found.append(math.fsum(found[i] * found[k - 1 - i] for i in range(k)) / (2 * k + 1))
    return tuple(found)


_sinh = _coefficients(lambda k: 1 / math.factorial(2 * k + 1), 11)
_asin = _coefficients(lambda k: math.comb(2 * k, k) / 4**k / (2 * k + 1), 15)
_atanh = _coefficients(lambda k: 1 / (2 * k + 1), 15)
_erf = _coefficients(lambda k: 2 / math.sqrt(math.pi) / math.factorial(k) / (2 * k + 1), 19)
SERIES: Final[dict[Pointwise, Series]] = {
    row.function: row
    for row in (
        Series(expm1, _coefficients(lambda k: 1 / math.factorial(k + 1), 20), 1.0, odd=False),
        Series(
            log1p,
            _alternating(_coefficients(lambda k: 1 / (k + 1), 30)),
            0.25,
            odd=False,
        ),
        Series(sin, _alternating(_sinh), 1.0),
        Series(sinh, _sinh, 1.0),
        Series(tan, _tangent(18), 0.25),
        Series(tanh, _alternating(_tangent(18)), 0.25),
        Series(asin, _asin, 0.25),
        Series(asinh, _alternating(_asin), 0.25),
        Series(atan, _alternating(_atanh), 0.25),
        Series(atanh, _atanh, 0.25),
        Series(erf, _alternating(_erf), 1.0),
    )
}

_NAMES: Final = frozenset({row.name for row in SERIES} | {"log"})


def regular(series: Series, u: Expr) -> Expr:
    """f(u) / u, which at 0 is the first coefficient."""
    small = less(absolute(u), series.radius)
    near, far = guarded(small, u, 0.0, series.radius)
    point = multiply(near, near) if series.odd else near
    return where(small, polynomial(point, series.coefficients), divide(series.function(far), far))


def _known(node: Expr) -> tuple[Series, Expr] | None:
    """The series and the argument of f(u); log(x) counts as log1p(x - 1)."""
    bare = unnamed(node)
    if bare.op is log:
        return SERIES[log1p], subtract(bare.args[0], 1)
    series = SERIES.get(bare.op) if isinstance(bare.op, Pointwise) else None
    return None if series is None else (series, bare.args[0])


def _without_singularity(product: Product, inverse: bool) -> Product | None:
    """The product with one f(u) written u * (f(u) / u), and what cancels against u removed.

    inverse: f(u) is looked for below the line.
    """
    own, other = (product.below, product.above) if inverse else (product.above, product.below)
    for place, factor in enumerate(own):
        known = _known(factor)
        if known is None or unnamed(known[1]).op is where:
            continue
        series, u = known
        inner = factors(u)
        if inner.below or any(unnamed(atom).op is where for atom in inner.above):
            continue
        rest, taken = without(other, inner.above)
        if not taken:
            continue
        remaining, _ = without(inner.above, taken)
        made = (*own[:place], regular(series, u), *remaining, *own[place + 1 :])
        scale = 1 / inner.coefficient if inverse else inner.coefficient
        coefficient = product.coefficient * scale
        if inverse:
            return Product(coefficient, tuple(rest), made)
        return Product(coefficient, made, tuple(rest))
    return None


def _holds_known(node: Expr) -> bool:
    """Whether a function with a series is a factor; asked of every product, so that it is cheap."""
    stack, fuel = [node], 24
    while stack and fuel:
        bare, fuel = unnamed(stack.pop()), fuel - 1
        name = bare.op.name
        if name in _NAMES:
            return True
        if name in ("multiply", "divide", "negative", "pow"):
            stack.extend(bare.args)
    return bool(stack)


def _quotient(node: Expr) -> Expr | None:
    if node.op is multiply and not any(unnamed(arg).op is divide for arg in node.args):
        return None
    if not _holds_known(node):
        return None
    product = factors(node)
    changed = False
    for inverse in (False, True):
        after = _without_singularity(product, inverse)
        while after is not None:
            product, changed = after, True
            after = _without_singularity(product, inverse)
    return product_of(product, node) if changed else None


def _quotients() -> tuple[Expr, ...]:
    x, a = sample("x"), sample("a")
    names = (expm1, sin, sinh, tanh, atan, asinh, erf)
    return (
        *(divide(function(x), x) for function in names),
        divide(power(sin(divide(x, 2)), 2), multiply(x, x)),
        multiply(sin(multiply(a, x)), divide(1, x)),
        divide(x, expm1(negative(x))),
        divide(multiply(a, expm1(multiply(2, x))), multiply(3, x)),
    )


QUOTIENTS: tuple[AnyRule, ...] = (
    Structural(
        "quotient by a part of the argument",
        ("divide", "multiply"),
        _quotient,
        "0 over 0 at 0, and the derivative cancels near 0",
        _quotients,
        remark="same function, by its series near 0",
        error=1e-15,
    ),
)
