"""erf and erfc as straight arithmetic.

erfc(x) = exp(-x**2) erfcx(x), where (1 + 2x) erfcx(x) is a polynomial in (x - 4) / (x + 4) over the
whole half-line (Shepherd and Laframboise, Math. Comp. 36 (1981) 249). The coefficients interpolate
at Chebyshev points, computed with mpmath at 50 digits and more.
"""

from __future__ import annotations

from collections.abc import Sequence

from codegen.cpu.lanes import SINGLE, Real, polynomial, quotient, rounding_of_sum
from codegen.cpu.vector_math import exp, scaled
from codegen.cpu.vector_power import exp_in_two

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
# The same two to the bits of a float32: for x <= 10.3, to 2**-30; and to 2**-27.
_SCALED_SINGLE = (
    1.2329951185573873, -0.13962113355991823, 0.015379651653969328, 0.06809796642666346,
    -0.10103815976107106, 0.09371948457518608, -0.06635375587039768, 0.037231133590171724,
    -0.016018709246970225, 0.005030526749850608, -0.0011545072474871145, -0.0006483392729220527,
)  # fmt: skip
_NEAR_SINGLE = (
    0.12837917, -0.37612626, 0.11283594, -0.026854211, 0.0051890872, -0.00080168643, 7.875875e-05,
)  # fmt: skip
# -log(erfc(x)) for 1 <= x <= 4: 2**-27 of erf.
_FAR_SINGLE = (
    -0.00032013806, 1.1302334, 0.63182604, 0.110080086, -0.026421135, 0.004759596, -0.00059680565,
    4.605804e-05, -1.6371514e-06,
)  # fmt: skip
_VANISHES = 28.0


def erf(x: Real) -> Real:
    """A polynomial near 0; else 1 less what is left, which is known well enough without care."""
    size = x.magnitude()
    if x.format is SINGLE:
        near = size.times_plus(polynomial(size * size, _NEAR_SINGLE), size)
        left = exp(-polynomial(size.at_most(4.0), _FAR_SINGLE))
    else:
        near, held = _near(size), size.at_most(6.0)
        left = exp(-(held * held)) * _erfcx(held, _SCALED)
    return near.where(size < 1.0, 1.0 - left).with_sign_of(x)


def erfc(x: Real) -> Real:
    if x.format is SINGLE:
        size = x.wide().magnitude().at_most(10.3)
        upper = exp(-(size * size)) * _erfcx(size, _SCALED_SINGLE)
        return (2.0 - upper).where(x < 0.0, upper).narrow()
    size = x.magnitude()
    upper = _upper(size)
    far = (2.0 - upper).where(x < 0.0, upper)
    # Below 0.47, where erf is below 1/2: there rounding x - 4 would show in the result.
    return (1.0 - _near(x)).where(size < 0.47, far)


def _near(x: Real) -> Real:
    """erf for |x| <= 1."""
    return x.times_plus(polynomial(x * x, _NEAR), x)


def _erfcx(size: Real, coefficients: Sequence[float]) -> Real:
    """exp(x**2) erfc(x) in a float64, to some units in the last place; from one division."""
    beyond, twice = size + 4.0, size.times_plus(2.0, 1.0)
    inverse = 1.0 / (beyond * twice)
    t = (size - 4.0) * twice * inverse
    return polynomial(t, coefficients) * beyond * inverse


def _upper(size: Real) -> Real:
    """erfc of a float64 that is not negative; each step's rounding is carried to the end."""
    size = size.at_most(_VANISHES)
    ratio, missing = _erfcx_in_two(size)
    square = size * size
    count, head, rest = exp_in_two(-square, -size.times_plus(size, -square))
    product = ratio * head
    lost = ratio.times_plus(head, -product)
    return scaled(product + ratio.times_plus(rest, missing.times_plus(head, lost)), count)


def _erfcx_in_two(size: Real) -> tuple[Real, Real]:
    """exp(x**2) erfc(x) in two parts."""
    t = (size - 4.0) / (size + 4.0)
    varying = t * polynomial(t, _SCALED[1:])
    above = varying + _SCALED[0]
    above_rest = varying - (above - _SCALED[0])
    twice = size + size
    below = twice + 1.0
    below_rest = rounding_of_sum(twice, size.constant(1.0), below)
    return quotient(above, above_rest, below, below_rest)
