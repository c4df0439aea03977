"""erf and erfc as straight arithmetic.

erfc(x) = exp(-x**2) erfcx(x), where (1 + 2x) erfcx(x) is a polynomial in (x - 4) / (x + 4) over the
whole half-line (Shepherd and Laframboise, Math. Comp. 36 (1981) 249). The coefficients interpolate
at Chebyshev points, computed with mpmath at 50 digits and more.
"""

from __future__ import annotations

from codegen.cpu.lanes import SINGLE, Real, polynomial, rounding_of_sum
from codegen.cpu.vector_math import exp_in_two, scaled

# (1 + 2x) exp(x**2) erfc(x) in t = (x - 4) / (x + 4), for 0 <= x <= 28: 2**-58 of it.
_SCALED = (
    1.2329951186255526, -0.13962111684056253, 0.015379652102619558, 0.06809705425469323,
    -0.10103906603629459, 0.09373283499833023, -0.0663303658124095, 0.03716751553777026,
    -0.01619773405599449, 0.005031969975753176, -0.0007577732973669146, -0.00019925668432389153,
    0.00015062169704678355, -2.439924428312988e-05, -1.1222046316669005e-05,
    5.709784760966506e-06, 2.9377854943443786e-07, -8.254699744871162e-07, 7.471952780500971e-08,
    1.1005996198640057e-07, -1.799947545903142e-08, -1.4091982822555755e-08,
    1.868487385473519e-09, 1.263782858042137e-09,
)  # fmt: skip
# erf(x) / x - 1 in x**2, for |x| <= 1: 2**-62 of it.
_NEAR = (
    0.1283791670955126, -0.3761263890318375, 0.11283791670954879, -0.026866170645076792,
    0.0052239776248180145, -0.000854832698083379, 0.0001205533111164271, -1.4925595266831182e-05,
    1.6461000484121368e-06, -1.6350312701054695e-07, 1.4659775274047436e-08,
    -1.1372848856791674e-09, 5.957176147748911e-11,
)  # fmt: skip
_VANISHES = 28.0


def erf(x: Real) -> Real:
    if x.format is SINGLE:
        return erf(x.wide()).narrow()
    size = x.magnitude()
    return _near(size).where(size < 1.0, 1.0 - _upper(size)).with_sign_of(x)


def erfc(x: Real) -> Real:
    if x.format is SINGLE:
        return erfc(x.wide()).narrow()
    size = x.magnitude()
    upper = _upper(size)
    far = (2.0 - upper).where(x < 0.0, upper)
    # Below 0.47, where erf is below 1/2: there rounding x - 4 would show in the result.
    return (1.0 - _near(x)).where(size < 0.47, far)


def _near(x: Real) -> Real:
    """erf for |x| <= 1."""
    return x.times_plus(polynomial(x * x, _NEAR), x)


def _upper(size: Real) -> Real:
    """erfc of a float64 that is not negative; each step's rounding is carried to the end."""
    size = size.at_most(_VANISHES)
    quotient, missing = _erfcx(size)
    square = size * size
    count, head, rest = exp_in_two(-square, -size.times_plus(size, -square))
    product = quotient * head
    lost = quotient.times_plus(head, -product)
    return scaled(product + quotient.times_plus(rest, missing.times_plus(head, lost)), count)


def _erfcx(size: Real) -> tuple[Real, Real]:
    """exp(x**2) erfc(x) in two parts."""
    t = (size - 4.0) / (size + 4.0)
    varying = t * polynomial(t, _SCALED[1:])
    above = varying + _SCALED[0]
    above_rest = varying - (above - _SCALED[0])
    twice = size + size
    below = twice + 1.0
    below_rest = rounding_of_sum(twice, size.constant(1.0), below)
    inverse = 1.0 / below
    quotient = above * inverse
    missing = (-quotient).times_plus(below, above) + (-quotient).times_plus(below_rest, above_rest)
    return quotient, missing * inverse
