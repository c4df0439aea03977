"""exp, log and their relatives as straight arithmetic, for float32 and float64.

The methods are those of fdlibm (the reduced logarithm, log1p's correction) and Cephes (the tanh of
small arguments), with every branch a select. Polynomials whose source is not named interpolate the
function at Chebyshev points of the reduced range, computed with mpmath at 60 digits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from codegen.cpu.lanes import Format, Real, Word, polynomial, power_of_two
from codegen.cpu.lanes import rounding_of_sum as rest_of


@dataclass(frozen=True, slots=True)
class Constants:
    """What differs between the formats; the polynomials' lowest coefficients stand first."""

    ln2: tuple[float, float]
    """Rounded, and what rounding left."""
    exp: Sequence[float]
    """(exp(r) - 1 - r) / r**2 for |r| <= 0.3475."""
    exp_range: tuple[float, float]
    """Beyond it exp is 0 or infinite, and 2**n with half the n is a normal number."""
    expm1_range: tuple[float, float]
    """Beyond it expm1 is -1 or infinite."""
    log: Sequence[float]
    """(2 atanh(s) - 2 s) / s**3 in powers of s**2, for |s| <= 0.1716."""
    tanh: tuple[Sequence[float], Sequence[float]]
    """(tanh(x) - x) / x**3 in powers of x**2, for |x| <= 0.625: numerator and denominator."""


_CONSTANTS = {
    "f32": Constants(
        ln2=(0.6931471824645996, -1.9046542e-09),
        exp=(0.5, 0.16666667, 0.041666463, 0.0083333105, 0.0013933881, 0.00019891247),
        exp_range=(-110.0, 100.0),
        expm1_range=(-20.0, 89.0),
        log=(0.6666667, 0.40000123, 0.28550804, 0.23330964),
        tanh=((-0.33333328, 0.1333277, -0.05385085, 0.020996895, -0.0060962997), (1.0,)),
    ),
    "f64": Constants(
        ln2=(0.6931471805599453, 2.3190468138462996e-17),
        exp=(
            0.5, 0.1666666666666667, 0.04166666666666667, 0.008333333333325985,
            0.0013888888888883642, 0.00019841269875342141, 2.4801587325920163e-05,
            2.7557254740405416e-06, 2.7557273171941026e-07, 2.5105490906986696e-08,
            2.091488256348507e-09,
        ),
        exp_range=(-800.0, 750.0),
        expm1_range=(-45.0, 710.0),
        log=(
            0.666666666666667, 0.3999999999989924, 0.2857142862609589, 0.2222221111514416,
            0.18182890556695602, 0.1533167403016786, 0.1461703754879165,
        ),
        # Cephes, tanh.c.
        tanh=(
            (-1614.68768441708447952, -99.2877231001918586564, -0.964399179425052238628),
            (4844.06305325125486048, 2235.48839060100448583, 112.811678491632931402, 1.0),
        ),
    ),
}  # fmt: skip


def constants(x: Real) -> Constants:
    """Those of x's format."""
    return _CONSTANTS[x.format.suffix]


@dataclass(frozen=True, slots=True)
class Reduced:
    """x = n ln 2 + r + rest with |r| <= 0.35: n as an integer and as a float."""

    count: Word
    whole: Real
    r: Real
    rest: Real


def reduced(x: Real) -> Reduced:
    """For |x| < 2**12 or so; a NaN stays one in `r`."""
    high, low = constants(x).ln2
    shifted = x.times_plus(1 / math.log(2), x.format.shifter)
    whole = shifted - x.format.shifter
    count = shifted.bits() - x.format.bits(x.format.shifter)
    first = whole.times_plus(-high, x)
    r = whole.times_plus(-low, first)
    return Reduced(count, whole, r, whole.times_plus(-low, first - r))


def scaled(x: Real, count: Word) -> Real:
    """x * 2**count, in two steps: 2**count itself may be no normal number."""
    half = ((count + 4096) >> 1) - 2048
    return x * power_of_two(half, x) * power_of_two(count - half, x)


def _grown(parts: Reduced) -> Real:
    """exp(r + rest) - 1."""
    r = parts.r
    return (r * r).times_plus(polynomial(r, constants(r).exp), parts.rest) + r


def exp(x: Real) -> Real:
    low, high = constants(x).exp_range
    parts = reduced(x.at_least(low).at_most(high))
    return scaled(_grown(parts) + 1.0, parts.count)


def exp_in_two(x: Real, tail: Real) -> tuple[Word, Real, Real]:
    """exp(x + tail) as 2**n (head + rest), for x inside `exp_range` and |tail| below 2**-20."""
    parts = reduced(x)
    r = parts.r
    head = r + 1.0
    curved = (r * r) * polynomial(r, constants(x).exp)
    extra = (parts.rest + tail).times_plus(head + curved, curved)
    return parts.count, head, (r - (head - 1.0)) + extra


def expm1(x: Real) -> Real:
    low, high = constants(x).expm1_range
    parts = reduced(x.at_least(low).at_most(high))
    # Half of it, since 2**n itself may overflow where the result does not.
    half = power_of_two(parts.count - 1, x)
    value = half.times_plus(_grown(parts), half - 0.5) * 2.0
    tiny = x.magnitude() < 2.0 ** (-x.format.fraction - 2)
    return x.where(tiny, value)


def split(x: Real) -> tuple[Real, Real]:
    """A positive normal x as 2**k m: (k, m) with m between sqrt(1/2) and sqrt(2)."""
    given: Format = x.format
    least = given.bits(math.sqrt(0.5))
    moved = x.bits() + (given.bits(1.0) - least)
    unit = 2.0**given.fraction
    exponent = (moved >> given.fraction) | given.bits(unit)
    mantissa = (moved & ((1 << given.fraction) - 1)) + least
    return exponent.real() - (unit + given.bias), mantissa.real()


def split_any(x: Real) -> tuple[Real, Real]:
    """`split` for every positive finite x."""
    given = x.format
    shift = float(given.fraction + 2)
    small = x < 2.0 ** (1 - given.bias)
    exponent, mantissa = split((x * 2.0**shift).where(small, x))
    return exponent - x.constant(shift).where(small, 0.0), mantissa


def _log_of(exponent: Real, mantissa: Real, correction: Real) -> Real:
    """exponent ln 2 + log(mantissa) + correction, after fdlibm."""
    table = constants(mantissa)
    f = mantissa - 1.0
    half_square = f * f * 0.5
    s = f / (f + 2.0)
    z = s * s
    series = z * polynomial(z, table.log)
    low = exponent.times_plus(table.ln2[1], correction)
    inner = half_square - s.times_plus(half_square + series, low)
    return exponent.times_plus(table.ln2[0], f - inner)


def _ends_of_log(x: Real, value: Real) -> Real:
    """The logarithm of x where x is not a positive finite number, else the value."""
    value = x.where(x.equals(math.inf), value)
    value = x.constant(-math.inf).where(x.equals(0.0), value)
    value = x.constant(math.nan).where(x < 0.0, value)
    return x.where(x.is_nan(), value)


def log(x: Real) -> Real:
    return _ends_of_log(x, _log_of(*split_any(x), x.constant(0.0)))


def log1p(x: Real) -> Real:
    total = x + 1.0
    lost = rest_of(x, x.constant(1.0), total)
    value = _ends_of_log(total, _log_of(*split(total), lost / total))
    return x.where(x.magnitude() < 2.0 ** (-x.format.fraction - 2), value)


def tanh(x: Real) -> Real:
    """x plus a fraction of x**3, or 1 - 2 / (exp(2|x|) + 1); the two share their division."""
    size = x.magnitude()
    above, below = constants(x).tanh
    near = size < 0.625
    z = size * size
    parts = reduced((size * 2.0).at_most(60.0))
    power = (_grown(parts) + 1.0) * power_of_two(parts.count, x)
    numerator = (z * size * polynomial(z, above)).where(near, -2.0)
    denominator = polynomial(z, below).where(near, power + 1.0)
    return (size.where(near, 1.0) + numerator / denominator).with_sign_of(x)


def sigmoid(x: Real) -> Real:
    """1 / (1 + e) or e / (1 + e) by the sign of x, with e = exp(-|x|): no overflow, and full
    relative accuracy on both sides. e is known to twice the precision, so that the quotient's
    error is nearly its own rounding."""
    low, _ = constants(x).exp_range
    one, positive = x.constant(1.0), x >= 0.0
    count, first, rest = exp_in_two((-x.magnitude()).at_least(low), x.constant(0.0))
    head = first + rest
    rest = rest - (head - first)
    half = ((count + 4096) >> 1) - 2048
    near, far = power_of_two(half, x), power_of_two(count - half, x)
    small = head * near * far
    below = small + 1.0
    lost = (small - (below - 1.0)) + rest * near * far
    above, above_rest = one.where(positive, head), x.constant(0.0).where(positive, rest)
    inverse = 1.0 / below
    quotient = above * inverse
    missing = (-quotient).times_plus(below, above) + (-quotient).times_plus(lost, above_rest)
    whole = missing.times_plus(inverse, quotient)
    return whole * one.where(positive, near) * one.where(positive, far)
