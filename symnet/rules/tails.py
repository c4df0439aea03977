"""The tail of the normal distribution: erfc(u) = exp(-u^2) erfcx(u), and its logarithm.

erfcx(u) (1 + 2 u) is a polynomial in (u - 3) / (u + 3) for u above 0.4, as in Shepherd and
Laframboise, Chebyshev approximation of (1 + 2x) exp(x^2) erfc x, 1981; the coefficients here
interpolate it at Chebyshev points, computed with mpmath at 60 digits: within 1 ulp in float64.
"""

from __future__ import annotations

import math
from typing import Final

from symnet.expr import Expr
from symnet.ops.core import number
from symnet.ops.polynomial import polynomial
from symnet.ops.table import (
    add,
    divide,
    erf,
    erfc,
    exp,
    less,
    log,
    log1p,
    multiply,
    negative,
    subtract,
    where,
)
from symnet.rules.linear import Key, Linear, linear
from symnet.rules.match import unnamed

_SCALED: Final = (
    1.2530080582697296, -0.1356211061245812, -0.047562294353451794, 0.12964515870276397,
    -0.11927366341523525, 0.06830802734382431, -0.02377051492062372, 0.0025293918193645733,
    0.001888690385738321, -0.0007798323115377566, -0.00010516000147585342,
    0.0001250996410401801, 4.950413172073918e-06, -2.010192491155268e-05,
    -7.341687280608792e-07, 3.4765866653524908e-06, 3.6147347149662856e-07,
    -6.249858737754726e-07, -1.4599760615178937e-07, 1.1229071755080622e-07,
    4.3036378036622876e-08, -2.072397377684379e-08, -7.2031123019456846e-09,
    3.263758248449587e-09,
)  # fmt: skip
_FROM: Final = 0.5


def _scaled(u: Expr) -> Expr:
    """exp(u^2) erfc(u) for u above 1/2."""
    # (u - 3) / (u + 3), in the spelling whose derivatives do not cancel.
    place = subtract(1, divide(6, add(u, 3)))
    return divide(polynomial(place, _SCALED), add(1, multiply(2, u)))


def erfcx(u: Expr) -> Expr:
    """exp(u^2) erfc(u) for any u."""
    tail = less(_FROM, u)
    far, body = where(tail, u, number(1, u.dtype)), where(tail, number(0, u.dtype), u)
    return where(tail, _scaled(far), multiply(exp(multiply(body, body)), erfc(body)))


def log_erfc(factor: float, u: Expr) -> Expr | None:
    """log(factor * erfc(u)) for a factor of 1 or 1/2; None for any other, or a held argument."""
    if factor not in (1.0, 0.5) or is_held(u):
        return None
    tail, dtype = less(_FROM, u), u.dtype
    far, body = where(tail, u, number(1, dtype)), where(tail, number(0, dtype), u)
    upper = subtract(log(multiply(factor, _scaled(far))), multiply(far, far))
    if factor == 1:
        low = less(u, -_FROM)
        left, near = where(low, u, number(-1, dtype)), where(low, number(0, dtype), body)
        lower = where(low, log(erfc(left)), log1p(negative(erf(near))))
    else:
        low = less(u, 0)
        left, near = where(low, u, number(0, dtype)), where(low, number(0, dtype), body)
        lower = where(
            low, log1p(multiply(-0.5, erfc(negative(left)))), log(multiply(0.5, erfc(near)))
        )
    return where(tail, upper, lower)


def is_held(u: Expr) -> bool:
    """Whether an argument is one branch of a select that was made here."""
    bare = unnamed(u)
    return bare.op.name == "where" and any(
        arg.op.name == "constant" or arg.op.name == "broadcast" for arg in bare.args[1:]
    )


def square_in(exponent: Linear, u: Expr) -> tuple[Key, float] | None:
    """The term of an exponent that is u^2 or -u^2, up to rounding, and which of both."""
    form = linear(u)
    if len(form.coefficients) != 1:
        return None
    ((key, value),) = form.coefficients.items()
    twice = (tuple(sorted(key[0] * 2)), tuple(sorted(key[1] * 2)))
    found = exponent.coefficients.get(twice)
    ratio = 0.0 if found is None else found / (value * value)
    return (twice, math.copysign(1.0, ratio)) if abs(abs(ratio) - 1) < 1e-15 else None
