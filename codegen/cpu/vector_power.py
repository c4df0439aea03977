"""x ** y for floats as straight arithmetic: exp(y log|x|), with the logarithm known to 2**-64."""

from __future__ import annotations

import math

from codegen.cpu.lanes import SINGLE, Real, Word, polynomial, power_of_two
from codegen.cpu.vector_math import constants, reduced_wide, scaled, split, split_any

_LN2 = (0.6931471805599453, 2.3190468138462996e-17)
# (exp(r) - 1 - r) / r**2 for |r| <= 0.3475. All these interpolate at Chebyshev points, computed
# with mpmath at 60 digits.
_EXP = (
    0.5, 0.1666666666666667, 0.04166666666666667, 0.008333333333325985,
    0.0013888888888883642, 0.00019841269875342141, 2.4801587325920163e-05,
    2.7557254740405416e-06, 2.7557273171941026e-07, 2.5105490906986696e-08,
    2.091488256348507e-09,
)  # fmt: skip

_TWO_THIRDS = (0.6666666666666666, 3.700743415417188e-17)
# (2 atanh(s) - 2 s - 2 s**3 / 3) / s**5 in powers of s**2, for |s| <= 0.1716.
_SERIES = (
    0.4, 0.28571428571428564, 0.22222222222228444, 0.18181818179652515, 0.1538461576181261,
    0.13333296483973292, 0.11766815303406082, 0.10456278375778207, 0.10762867423643212,
)  # fmt: skip

# To the bits of a float32: (2 atanh(s) - 2 s) / s**3 in powers of s**2, to 2**-36, and
# (exp(r) - 1 - r) / r**2 for |r| <= 0.6942, to 2**-33.
_LOG_SINGLE = (0.6666666655430018, 0.4000012200081688, 0.2855080255327671, 0.2333096405177204)
_EXP_SINGLE = (
    0.4999999998830299, 0.16666666665604496, 0.04166667443282508, 0.008333334038567751,
    0.001388808362185746, 0.0001984053852003376, 2.5068529762756355e-05, 2.779980669603141e-06,
)  # fmt: skip


def exp_in_two(x: Real, tail: Real) -> tuple[Word, Real, Real]:
    """exp(x + tail) as 2**n (head + rest), for a float64 x inside `exp_range` and |tail| below
    2**-20. The word ends in the bits of n, as `scaled` takes it."""
    shifted = x.times_plus(1 / math.log(2), x.format.shifter)
    whole = shifted - x.format.shifter
    first = whole.times_plus(-_LN2[0], x)
    r = whole.times_plus(-_LN2[1], first)
    rest = whole.times_plus(-_LN2[1], first - r) + tail
    head = r + 1.0
    curved = (r * r) * polynomial(r, _EXP)
    return shifted.bits(), head, (r - (head - 1.0)) + rest.times_plus(head + curved, curved)


def power(x: Real, y: Real) -> Real:
    """As C defines pow: 1 for y = 0 and for x = 1, whatever the other is."""
    if x.format is SINGLE:
        a, b = x.wide(), y.wide()
        exponent = _log_single(a.magnitude()) * b
        count, grown = reduced_wide(exponent.at_least(-120.0).at_most(120.0), _EXP_SINGLE)
        scale = power_of_two(count << 1, a)
        return _signed(a, b, scale.times_plus(grown, scale)).narrow()
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


def _log_single(x: Real) -> Real:
    """The logarithm of a float64 that was a float32 and is not negative, to 2**-36."""
    whole, mantissa = split(x)
    f = mantissa - 1.0
    s = f / (f + 2.0)
    value = whole.times_plus(_LN2[0], s * (s * s).times_plus(polynomial(s * s, _LOG_SINGLE), 2.0))
    value = x.constant(-math.inf).where(x.equals(0.0), value)
    return x.where(x.equals(math.inf), value)


def _log_in_two(x: Real) -> tuple[Real, Real]:
    """The logarithm of a float64 that is not negative, in two parts."""
    whole, mantissa = split_any(x)
    part, part_rest = _log_of_mantissa(mantissa)
    ln2, ln2_rest = _LN2
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
