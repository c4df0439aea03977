"""x ** y for floats as straight arithmetic: exp(y log|x|), with the logarithm known to 2**-64."""

from __future__ import annotations

import math

from codegen.cpu.lanes import SINGLE, Real, polynomial
from codegen.cpu.vector_math import constants, exp, exp_in_two, log, scaled, split_any

_TWO_THIRDS = (0.6666666666666666, 3.700743415417188e-17)
# (2 atanh(s) - 2 s - 2 s**3 / 3) / s**5 in powers of s**2, for |s| <= 0.1716: it interpolates at
# Chebyshev points, computed with mpmath at 60 digits.
_SERIES = (
    0.4, 0.28571428571428564, 0.22222222222228444, 0.18181818179652515, 0.1538461576181261,
    0.13333296483973292, 0.11766815303406082, 0.10456278375778207, 0.10762867423643212,
)  # fmt: skip


def power(x: Real, y: Real) -> Real:
    """As C defines pow: 1 for y = 0 and for x = 1, whatever the other is."""
    if x.format is SINGLE:
        a, b = x.wide(), y.wide()
        return _signed(a, b, exp(log(a.magnitude()) * b)).narrow()
    high, low = _log_in_two(x.magnitude())
    exponent = high * y
    rest = y.times_plus(high, -exponent) + low * y
    rest = rest.where(exponent.magnitude() < 1000.0, 0.0)
    least, most = constants(x).exp_range
    count, head, tail = exp_in_two(exponent.at_least(least).at_most(most), rest)
    return _signed(x, y, scaled(head + tail, count))


def _signed(x: Real, y: Real, value: Real) -> Real:
    """|x| ** y with the sign of x ** y, and where the logarithm says nothing, what C says."""
    builder = x.builder
    whole = y.rounded().equals(y)
    halved = y * 0.5
    even = halved.rounded().equals(halved)
    odd = builder.and_(whole, builder.not_(even))
    sign = x.bits() & x.format.sign
    value = (value.bits() | sign).real().where(odd, value)
    below = builder.and_(x < 0.0, x > -math.inf)
    value = x.constant(math.nan).where(builder.and_(below, builder.not_(whole)), value)
    # A NaN is neither whole nor even; a power of one is, and so is every number's power 0.
    flat = builder.and_(x.equals(-1.0), y.magnitude().equals(math.inf))
    one = builder.or_(builder.or_(x.equals(1.0), y.equals(0.0)), flat)
    nan = builder.or_(x.is_nan(), y.is_nan())
    return x.constant(1.0).where(one, x.constant(math.nan).where(nan, value))


def _log_in_two(x: Real) -> tuple[Real, Real]:
    """The logarithm of a float64 that is not negative, in two parts."""
    whole, mantissa = split_any(x)
    part, part_rest = _log_of_mantissa(mantissa)
    ln2, ln2_rest = constants(x).ln2
    product = whole * ln2
    product_rest = whole.times_plus(ln2, -product) + whole * ln2_rest
    high = product + part
    low = (part - (high - product)) + (product_rest + part_rest)
    inside = x.builder.and_(x > 0.0, x < math.inf)
    high = high.where(inside, x.constant(math.inf).where(x > 0.0, -math.inf))
    return high, low.where(inside, 0.0)


def _log_of_mantissa(mantissa: Real) -> tuple[Real, Real]:
    """2 s + s (2 z / 3 + z**2 ...) with z = s**2 and s = f / (2 + f), each in two parts."""
    f = mantissa - 1.0
    below = f + 2.0
    inverse = 1.0 / below
    s = f * inverse
    s_rest = (-s).times_plus(below, f) - s * (f - (below - 2.0))
    s_rest = s_rest * inverse
    z = s * s
    z_rest = s.times_plus(s, -z) + s * s_rest * 2.0
    third = z * _TWO_THIRDS[0]
    third_rest = z.times_plus(_TWO_THIRDS[0], -third) + z * _TWO_THIRDS[1]
    curved = z * z * polynomial(z, _SERIES)
    sum_ = third + curved
    sum_rest = (curved - (sum_ - third)) + z_rest.times_plus(_TWO_THIRDS[0], third_rest)
    twice, product = s + s, s * sum_
    product_rest = s.times_plus(sum_, -product) + (s * sum_rest + s_rest * sum_)
    total = twice + product
    return total, (product - (total - twice)) + (product_rest + (s_rest + s_rest))
