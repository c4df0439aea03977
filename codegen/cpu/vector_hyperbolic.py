"""sinh, cosh and the inverses of sinh, cosh and tanh as straight arithmetic.

The formulas are those of fdlibm (e_sinh.c, e_cosh.c, s_asinh.c, e_acosh.c, e_atanh.c), for all
arguments alike: sinh and cosh are of an exponential and its inverse, the others of log1p.
"""

from __future__ import annotations

import math
from typing import Any

from codegen.cpu.lanes import Real, polynomial, power_of_two, quotient
from codegen.cpu.vector_math import log1p, log1p_of, reduced

# sinh and cosh are infinite beyond it, and an eighth of their exponential is finite up to it.
_LARGEST = {"f32": 90.0, "f64": 711.0}


# (sinh(x) - x) / x**3 in powers of x**2, for |x| <= 1: interpolated at Chebyshev points, computed
# with mpmath at 50 digits.
_SINH = {
    "f32": (0.16666667, 0.008333339, 0.00019838102, 2.8062802e-06),
    "f64": (
        0.16666666666666666, 0.008333333333333299, 0.00019841269841324198, 2.7557319191381816e-06,
        2.5052117695907823e-08, 1.6057679623801638e-10, 7.746178593018827e-13,
    ),
}  # fmt: skip


def sinh(x: Real) -> Real:
    """x plus a fraction of x**3, or (E - 1 / E) / 2 with E = exp(|x|)."""
    size = x.magnitude()
    z = size * size
    near = (z * size).times_plus(polynomial(z, _SINH[x.format.suffix]), size)
    eighth, inverse = _eighths(size)
    return near.where(size < 1.0, (eighth - inverse) * 4.0).with_sign_of(x)


def cosh(x: Real) -> Real:
    """(E + 1 / E) / 2 with E = exp(|x|)."""
    eighth, inverse = _eighths(x.magnitude())
    return (eighth + inverse) * 4.0


def _eighths(size: Real) -> tuple[Real, Real]:
    """An eighth of exp(size) and of exp(-size): exp(size) itself may overflow."""
    count, grown = reduced(size.at_most(_LARGEST[size.format.suffix]))
    power = power_of_two(count - 3, size)
    eighth = power.times_plus(grown, power)
    return eighth, 1.0 / (eighth * 64.0)


def asinh(x: Real) -> Real:
    """log1p(|x| + x**2 / (1 + sqrt(1 + x**2)))."""
    size = x.magnitude()
    square = size * size
    root = (square + 1.0).square_root()
    large = _is_large(size)
    value = log1p(size.where(large, size + square / (root + 1.0)))
    return (value + _of_two(large, x)).with_sign_of(x)


def acosh(x: Real) -> Real:
    """log1p(t + sqrt(t (t + 2))) with t = x - 1."""
    t = x - 1.0
    root = t.times_plus(t, t + t).square_root()
    total = root + t
    large = _is_large(x)
    value = log1p_of(x.where(large, total), x.constant(0.0).where(large, t - (total - root)))
    return (value + _of_two(large, x)).where(x >= 1.0, math.nan)


def _is_large(size: Real) -> Any:
    """Whether asinh and acosh are the logarithm of twice the size; its square might overflow."""
    return size > 2.0 ** (size.format.fraction + 8)


def _of_two(large: Any, like: Real) -> Real:
    """The logarithm of two where that has to be added."""
    return like.constant(math.log(2)).where(large, 0.0)


def atanh(x: Real) -> Real:
    """log1p(2 |x| / (1 - |x|)) / 2."""
    size = x.magnitude()
    below = 1.0 - size
    value, rest = quotient(size + size, x.constant(0.0), below, (1.0 - below) - size)
    rest = rest.where(size < 0.5, 0.0)
    return (log1p_of(value, rest) * 0.5).with_sign_of(x)
