"""exp, log and their relatives as straight arithmetic, for float32 and float64.

The methods are those of fdlibm (the reduced logarithm, log1p's correction) and Cephes (the tanh of
small arguments), with every branch a select. Polynomials whose source is not named interpolate the
function at Chebyshev points of the reduced range, computed with mpmath at 60 digits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from codegen.cpu.lanes import SINGLE, Format, Real, Word, polynomial, power_of_two
from codegen.cpu.lanes import rounding_of_sum as rest_of


@dataclass(frozen=True, slots=True)
class Constants:
    """What differs between the formats; the polynomials' lowest coefficients stand first."""

    ln2: tuple[float, float]
    """Rounded, and what rounding left."""
    exp: Sequence[float]
    """(exp(r) - 1 - r) / r**2 for |r| <= 0.347."""
    ln4: tuple[float, float]
    exp_wide: Sequence[float]
    """The same for |r| <= 0.6942."""
    exp_range: tuple[float, float]
    """Beyond it exp is 0 or infinite."""
    expm1_range: tuple[float, float]
    """Beyond it expm1 is -1 or infinite."""
    log: Sequence[float]
    """(2 atanh(s) - 2 s) / s**3 in powers of s**2, for |s| <= 0.1716."""
    tanh: tuple[Sequence[float], Sequence[float]]
    """(tanh(x) - x) / x**3 in powers of x**2, for |x| <= 0.625: numerator and denominator."""
    tanh_range: tuple[float, int]
    """2|x| from which on 1 - tanh(x)**2 is 0, and by how many bits its exp has to be smaller."""
    softplus: Sequence[float]


_CONSTANTS = {
    "f32": Constants(
        ln2=(0.6931471824645996, -1.9046542e-09),
        exp=(0.5, 0.16666576, 0.041666552, 0.008363257, 0.0013926282),
        ln4=(1.3862943649291992, -3.809308424251867e-09),
        exp_wide=(
            0.5, 0.1666667, 0.04166667, 0.008332769, 0.0013888326, 0.000200749, 2.5035004e-05,
        ),
        exp_range=(-104.5, 89.0),
        expm1_range=(-20.0, 89.0),
        log=(0.6666667, 0.40000123, 0.28550804, 0.23330964),
        tanh=((-0.33333328, 0.1333277, -0.05385085, 0.020996895, -0.0060962997), (1.0,)),
        tanh_range=(108.0, 32),
        # (log1p(e) - e) / e**2 for 0 <= e <= 1.
        softplus=(
            -0.49999997, 0.33332843, -0.24986526, 0.19854106, -0.15847565, 0.11561845,
            -0.06675772, 0.025224054, -0.0044662114,
        ),
    ),
    "f64": Constants(
        ln2=(0.6931471805599453, 2.3190468138462996e-17),
        exp=(
            0.5000000000000001, 0.16666666666666669, 0.04166666666662368, 0.008333333333330027,
            0.0013888888917436984, 0.00019841269863225312, 2.4801520949489847e-05,
            2.7557268193561356e-06, 2.7620253028347124e-07, 2.5100512061522085e-08,
        ),
        ln4=(1.3862943611198906, 4.638093627692599e-17),
        exp_wide=(
            0.5, 0.16666666666666663, 0.041666666666666664, 0.008333333333335108,
            0.0013888888888889997, 0.00019841269838323853, 2.480158729974719e-05,
            2.7557321319749615e-06, 2.75573205330759e-07, 2.505138381550083e-08,
            2.0876304367808e-09, 1.617921405667525e-10, 1.1545822406005887e-11,
        ),
        exp_range=(-746.0, 710.0),
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
        tanh_range=(750.0, 64),
        # (2 atanh(s / 2) - s) / s**3 in powers of s**2, for |s| <= 2 / 3.
        softplus=(
            0.08333333333333333, 0.012500000000004572, 0.00223214285680436, 0.000434027787475345,
            8.877826840949254e-05, 1.8781215715169562e-05, 4.063145108083987e-06,
            9.156311959161824e-07, 1.6783266564764784e-07, 7.709107310239959e-08,
        ),
    ),
}  # fmt: skip


def constants(x: Real) -> Constants:
    """Those of x's format."""
    return _CONSTANTS[x.format.suffix]


def _reduced(
    x: Real, step: tuple[float, float], coefficients: Sequence[float]
) -> tuple[Word, Real]:
    """x = n step + r: a word that ends in the bits of n, and exp(r) - 1. For |x| < 2**12 or so."""
    shifted = x.times_plus(1 / step[0], x.format.shifter)
    whole = shifted - x.format.shifter
    # The first difference is exact: both are multiples of the last bit of `step`.
    r = whole.times_plus(-step[1], whole.times_plus(-step[0], x))
    return shifted.bits(), (r * r).times_plus(polynomial(r, coefficients), r)


def reduced(x: Real) -> tuple[Word, Real]:
    """n and exp(r) - 1 with x = n ln 2 + r: exp(x) is 2**n and so much more of it."""
    return _reduced(x, constants(x).ln2, constants(x).exp)


def reduced_wide(x: Real, coefficients: Sequence[float] | None = None) -> tuple[Word, Real]:
    """The same with x = n ln 4 + r: for those to whom even n are better. exp(x) is 4**n and so much
    more of it; exp(r) - 1 is exp(x) - 1 up to |x| = 0.69. Coefficients: other than `exp_wide`."""
    return _reduced(x, constants(x).ln4, coefficients or constants(x).exp_wide)


def scaled(x: Real, count: Word) -> Real:
    """x * 2**n, in two steps: 2**n itself may be no normal number."""
    half = count >> 1
    return x * power_of_two(half, x) * power_of_two(count - half, x)


def exp(x: Real) -> Real:
    low, high = constants(x).exp_range
    # By multiples of ln 4, so that the two factors of `scaled` are one.
    count, grown = reduced_wide(x.at_least(low).at_most(high))
    scale = power_of_two(count, x)
    return (grown + 1.0) * scale * scale


def _exp_of_opposite(size: Real) -> Real:
    """exp(-size) for a size that is not negative, nearer than `exp`."""
    count, grown = reduced((-size).at_least(constants(size).exp_range[0]))
    return scaled(grown + 1.0, count)


def expm1(x: Real) -> Real:
    low, high = constants(x).expm1_range
    count, grown = reduced_wide(x.at_least(low).at_most(high))
    # Half of it, since exp(x) itself may overflow where the result does not.
    half = power_of_two((count << 1) - 1, x)
    value = half.times_plus(grown, half - 0.5) * 2.0
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
    return log1p_of(x, x.constant(0.0))


def log1p_of(x: Real, rest: Real) -> Real:
    """log(1 + x + rest), where the rest is what rounding took from x."""
    total = x + 1.0
    lost = rest_of(x, x.constant(1.0), total) + rest
    value = _ends_of_log(total, _log_of(*split(total), lost / total))
    return x.where(x.magnitude() < 2.0 ** (-x.format.fraction - 2), value)


@dataclass(frozen=True, slots=True, eq=False)
class _Hyperbolic:
    """What tanh and its slope share, so that who wants both pays for one: |x|, whether that is
    small, and a quotient. That is -4 / (exp(2|x|) + 1); or, in a float64 and where |x| is small,
    2 (tanh(|x|) - |x|)."""

    size: Real
    near: Any
    quotient: Real


def _hyperbolic(x: Real) -> _Hyperbolic:
    size = x.magnitude()
    near = size < 0.625
    table, z = constants(x), size * size
    end, shift = table.tanh_range
    count, grown = reduced((size * 2.0).at_most(end))
    power, unit = power_of_two(count - shift, size), 2.0**-shift
    numerator, denominator = x.constant(-4.0 * unit), power.times_plus(grown, power + unit)
    above, below = table.tanh
    if len(below) > 1:
        cube = (z * size) * 2.0
        numerator = (cube * polynomial(z, above)).where(near, numerator)
        denominator = polynomial(z, below).where(near, denominator)
    return _Hyperbolic(size, near, numerator / denominator)


def tanh(x: Real) -> Real:
    """x plus a fraction of x**3, or 1 - 2 / (exp(2|x|) + 1)."""
    parts, (above, below) = _hyperbolic(x), constants(x).tanh
    size, near = parts.size, parts.near
    if len(below) == 1:
        z = size * size
        small = (z * size).times_plus(polynomial(z, above), size)
        value = small.where(near, parts.quotient.times_plus(0.5, 1.0))
    else:
        value = parts.quotient.times_plus(0.5, size.where(near, 1.0))
    return value.with_sign_of(x)


def sech_squared(x: Real) -> Real:
    """1 - tanh(x)**2 as f - f**2 / 4 with f = 4 / (exp(2|x|) + 1)."""
    parts = _hyperbolic(x)
    far = (parts.quotient * -0.25).times_plus(parts.quotient, -parts.quotient)
    if len(constants(x).tanh[1]) == 1:
        return far
    value = parts.quotient.times_plus(0.5, parts.size)
    return (-value).times_plus(value, 1.0).where(parts.near, far)


def sigmoid(x: Real) -> Real:
    """1 - q or e - e q by the sign of x, with e = exp(-|x|) and q = e / (1 + e): no overflow, and
    full relative accuracy on both sides."""
    power = _exp_of_opposite(x.magnitude())
    quotient = power / (power + 1.0)
    whole = x.constant(1.0).where(x >= 0.0, power)
    return whole.times_plus(-quotient, whole)


def softplus(x: Real) -> Real:
    """max(x, 0) + log1p(e) with e = exp(-|x|). The logarithm is a polynomial in a float32; else
    2 atanh(s / 2) with s = 2e / (2 + e), worked out as e less a correction."""
    power, line = _exp_of_opposite(x.magnitude()), x.at_least(0.0)
    coefficients = constants(x).softplus
    if x.format is SINGLE:
        return (power * power).times_plus(polynomial(power, coefficients), line) + power
    quotient = power / (power + 2.0)
    s = power.times_plus(-quotient, power)
    z = s * s
    rest = power.times_plus(-quotient, line)
    return (s * z).times_plus(polynomial(z, coefficients), rest) + power
