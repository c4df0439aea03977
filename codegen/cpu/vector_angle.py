"""asin, acos, atan and atan2 as straight arithmetic.

The methods are those of fdlibm (e_asin.c) and Cephes (atan.c), with every branch a select. The
polynomials interpolate at Chebyshev points, computed with mpmath at 50 digits.
"""

from __future__ import annotations

import math
from typing import Any

from codegen.cpu.lanes import Real, polynomial

# (asin(s) - s) / s**3 in powers of s**2, for |s| <= 1/2.
_ARCSINE = {
    "f32": (0.16666673, 0.07498855, 0.04500138, 0.026554542, 0.038085025),
    "f64": (
        0.1666666666666665, 0.07500000000020764, 0.044642857103423646, 0.03038194736709848,
        0.02237204763174451, 0.017355259955786323, 0.013929652902326633, 0.011875494382636922,
        0.0078029494773533175, 0.01603551434914882, -0.010749050339697808, 0.028169218060881414,
    ),
}  # fmt: skip
# (atan(t) - t) / t**3 in powers of t**2, for |t| <= 1/2.
_ARCTANGENT = {
    "f32": (-0.33333334, 0.19999875, -0.14279793, 0.11006777, -0.08234976, 0.0422475),
    "f64": (
        -0.33333333333333326, 0.19999999999991566, -0.14285714284100604, 0.11111110989760273,
        -0.09090904357383156, 0.07692198195142554, -0.06665049704388794, 0.05866471906092527,
        -0.05157390801703656, 0.04283186483601429, -0.02894660534440357, 0.011147652890647699,
    ),
}  # fmt: skip
# Half of pi to each precision, and what rounding left.
_HALF_PI = {
    "f32": (1.5707963705062866, -4.371138828673793e-08),
    "f64": (1.5707963267948966, 6.123233995736766e-17),
}


def asin(x: Real) -> Real:
    size = x.magnitude()
    far, root, rest = _arcsine(size)
    high, low = _HALF_PI[x.format.suffix]
    twice = root + root
    above = high - twice
    lost = (high - above) - twice
    upper = above - ((rest + rest) - (lost + low))
    return upper.where(far, root + rest).with_sign_of(x)


def acos(x: Real) -> Real:
    far, root, rest = _arcsine(x.magnitude())
    high, low = _HALF_PI[x.format.suffix]
    twice, twice_rest = root + root, rest + rest
    below = (high * 2.0 - twice) - (twice_rest - low * 2.0)
    outer = below.where(x < 0.0, twice + twice_rest)
    return outer.where(far, high - ((root + rest).with_sign_of(x) - low))


def _arcsine(size: Real) -> tuple[Any, Real, Real]:
    """Whether |x| is above 1/2; and in two parts the arcsine of s, which is |x| below that, and
    above it the sine of half the angle that |x| is the cosine of."""
    far = size > 0.5
    square = (0.5 - size * 0.5).where(far, size * size)
    root = square.square_root().where(far, size)
    return far, root, root * square * polynomial(square, _ARCSINE[size.format.suffix])


def atan(x: Real) -> Real:
    size = x.magnitude()
    near, far, t = _reduced(size, x.constant(1.0))
    high, low = (
        x.constant(0.0).where(near, x.constant(part).where(far, part / 2))
        for part in _HALF_PI[x.format.suffix]
    )
    return _turned(t, high, low).with_sign_of(x)


def atan2(y: Real, x: Real) -> Real:
    """As C defines it: the angle of the point (x, y), of zeros and infinities too."""
    builder = y.builder
    a, b = _bounded(y.magnitude(), x.magnitude())
    near, far, t = _reduced(a, b)
    behind = x.bits() >= x.format.sign
    eighths = x.constant(0.0).where(near, x.constant(2.0).where(far, 1.0))
    eighths = (4.0 - eighths).where(behind, eighths)
    half_high, half_low = _HALF_PI[x.format.suffix]
    high = eighths * (half_high / 2)
    low = eighths.times_plus(half_low / 2, eighths.times_plus(half_high / 2, -high))
    value = _turned((-t).where(behind, t), high, low).with_sign_of(y)
    return x.constant(math.nan).where(builder.or_(x.is_nan(), y.is_nan()), value)


def _bounded(a: Real, b: Real) -> tuple[Real, Real]:
    """Two numbers in the ratio of a and b, whose sum is finite; two infinities are alike."""
    builder, limit = a.builder, 2.0 ** (a.format.bias - 2)
    scale = a.constant(0.25).where(builder.or_(a > limit, b > limit), 1.0)
    infinite = builder.or_(a.equals(math.inf), b.equals(math.inf))
    first, second = (
        a.constant(1.0).where(each.equals(math.inf), 0.0).where(infinite, each * scale)
        for each in (a, b)
    )
    return first, second


def _reduced(a: Real, b: Real) -> tuple[Any, Any, Real]:
    """Whether a / b is at most 1/2 or above 2; and the tangent of what the angle of (b, a), in the
    first quarter, is more than 0, than pi / 2, or else than pi / 4. All from one division; where a
    and b are subtracted, that is exact."""
    near, far = b >= a + a, a > b + b
    above = a.where(near, (-b).where(far, a - b))
    below = b.where(near, a.where(far, a + b))
    return near, far, above.where(above.equals(0.0), above / below)


def _turned(t: Real, high: Real, low: Real) -> Real:
    """high + low + atan(t)."""
    z = t * t
    return high + (t + (t * z).times_plus(polynomial(z, _ARCTANGENT[t.format.suffix]), low))
