"""sin, cos and tan as straight arithmetic, right for every finite argument.

The argument is multiplied by 2 / pi, of which only the remainder modulo 4 matters: it says in which
quarter turn the argument lies, and where in it. A large argument is m * 2**k for a k of the table,
which holds 2**k * 2 / pi modulo 4 to as many bits as the worst argument needs (Payne and Hanek's
observation). So no argument takes another path than its neighbours in a vector.
"""

# Numba types its helpers only in part.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from llvmlite import ir
from numba.core import cgutils

from codegen.cpu.lanes import DOUBLE, SINGLE, Real, Word, polynomial, quotient, rounding_of_sum

_HALF_PI = (1.5707963267948966, 6.123233995736766e-17)
# (sin(r) - r) / r**3 and (cos(r) - 1 + r**2 / 2) / r**4 in powers of r**2, for |r| <= 0.79: they
# interpolate at Chebyshev points, computed with mpmath at 60 digits. First those for float32.
_SINE = {
    "f32": (
        -0.16666666663608304, 0.00833333177968258, -0.00019840035943066543, 2.724340926404085e-06,
    ),
    "f64": (
        -0.16666666666666666, 0.008333333333333331, -0.00019841269841264534,
        2.7557319218930736e-06, -2.5052106092079693e-08, 1.6058509605642e-10,
        -7.585413158756367e-13,
    ),
}  # fmt: skip
_COSINE = {
    "f32": (0.04166666666411509, -0.0013888887592708222, 2.4800557984865608e-05,
            -2.72955202138196e-07),
    "f64": (
        0.041666666666666664, -0.001388888888888723, 2.480158729851767e-05, -2.755731714444461e-07,
        2.0876120020701785e-09, -1.1380761312687717e-11,
    ),
}  # fmt: skip
# Below 2**_NEAR the argument itself is multiplied, above it the mantissa.
_NEAR = 40
_BITS = 1400


@dataclass(frozen=True, slots=True)
class Plan:
    """How arguments of one format are reduced: `m` is below 2**(integer + step), the table has a
    row for each `step` exponents, and each entry is the sum of `parts` float64."""

    integer: int
    step: int
    rows: int
    parts: int

    def columns(self) -> tuple[tuple[float, ...], ...]:
        """Row 0 is 2 / pi, for arguments below 2**_NEAR."""
        powers = (_NEAR - self.integer + self.step * row for row in range(self.rows))
        rows = [_parts(_two_over_pi(), self.parts)]
        for power in powers:
            turn = 4 << _BITS
            scaled = _two_over_pi() << power if power > 0 else _two_over_pi() >> -power
            rows.append(_parts((scaled + turn // 2) % turn - turn // 2, self.parts))
        return tuple(zip(*rows, strict=True))


_PLANS = {"f32": Plan(23, 16, 6, 2), "f64": Plan(52, 32, 31, 4)}


def _arctangent_of_inverse(number: int) -> int:
    """atan(1 / number) in units of 2**-_BITS, by its series."""
    power = total = (1 << _BITS) // number
    odd, sign = 1, 1
    while power:
        power //= number * number
        odd, sign = odd + 2, -sign
        total += sign * (power // odd)
    return total


def _two_over_pi() -> int:
    """In units of 2**-_BITS, by Machin's formula; the last 20 bits are not to be trusted."""
    quarter = 4 * _arctangent_of_inverse(5) - _arctangent_of_inverse(239)
    return (1 << (2 * _BITS)) // (2 * quarter)


def _parts(number: int, count: int) -> tuple[float, ...]:
    """The number, given in units of 2**-_BITS, as a sum of floats."""
    left, parts = Fraction(number, 1 << _BITS), []
    for _ in range(count):
        parts.append(float(left))
        left -= Fraction(parts[-1])
    return tuple(parts)


_COLUMNS = {name: plan.columns() for name, plan in _PLANS.items()}


def sin(x: Real) -> Real:
    if x.format is SINGLE:
        # A float64 has room for the products of subnormal numbers too.
        return _signed(x.wide(), _wave(x.wide(), "f32", 0)).narrow()
    # The product with 2 / pi would lose bits of a subnormal number.
    return x.where(x.magnitude() < 2.0**-28, _signed(x, _wave(x, "f64", 0)))


def cos(x: Real) -> Real:
    if x.format is SINGLE:
        return _wave(x.wide(), "f32", 1).narrow()
    return _wave(x, "f64", 1)


def tan(x: Real) -> Real:
    if x.format is SINGLE:
        return _signed(x.wide(), _slope(x.wide(), "f32")).narrow()
    return x.where(x.magnitude() < 2.0**-28, _signed(x, _slope(x, "f64")))


def _signed(x: Real, value: Real) -> Real:
    """An odd function's value at x from that at |x|."""
    return (value.bits() ^ (x.bits() & x.format.sign)).real()


def _wave(x: Real, name: str, ahead: int) -> Real:
    """The sine of |x| and so many quarter turns, to the bits of that format."""
    size = x.magnitude()
    turns, sine, cosine = _sine_and_cosine(size, name)
    turns = turns + ahead
    value = (cosine[0] + cosine[1]).where((turns & 1).equals(1), sine[0] + sine[1])
    value = (value.bits() ^ ((turns & 2) << 62)).real()
    return value.where(size < math.inf, math.nan)


def _slope(x: Real, name: str) -> Real:
    """The tangent of |x|, to the bits of that format."""
    size = x.magnitude()
    turns, sine, cosine = _sine_and_cosine(size, name)
    odd = (turns & 1).equals(1)
    above = [a.where(odd, b) for a, b in zip(cosine, sine, strict=True)]
    below = [(-b).where(odd, a) for a, b in zip(cosine, sine, strict=True)]
    if name == "f32":
        value = (above[0] + above[1]) / (below[0] + below[1])
    else:
        value, rest = quotient(*_normal(*above), *_normal(*below))
        value = value + rest
    return value.where(size < math.inf, math.nan)


def _normal(head: Real, tail: Real) -> tuple[Real, Real]:
    """The sum, and what rounding took from it; |head| >= |tail|."""
    total = head + tail
    return total, tail - (total - head)


def _sine_and_cosine(size: Real, name: str) -> tuple[Word, tuple[Real, Real], tuple[Real, Real]]:
    """Quarter turns, and the sine and the cosine of what is left, each in two parts."""
    turns, r, rest = _reduced_to_one(size) if name == "f32" else _reduced_to_two(size)
    z = r * r
    half = z * 0.5
    head = 1.0 - half
    sine = (z * r).times_plus(polynomial(z, _SINE[name]), rest * head)
    tail = (z * z).times_plus(polynomial(z, _COSINE[name]), -(r * rest))
    return turns, (r, sine), (head, ((1.0 - head) - half) + tail)


def _product(size: Real, name: str) -> tuple[Real, list[Real]]:
    """An m and the parts of a t such that |x| * 2 / pi = m * t modulo 4."""
    plan, bits = _PLANS[name], size.bits()
    near = size < 2.0**_NEAR
    steps = (bits >> DOUBLE.fraction) - (DOUBLE.bias + _NEAR)
    fraction = bits & ((1 << DOUBLE.fraction) - 1)
    exponent = (steps & (plan.step - 1)) + (DOUBLE.bias + plan.integer)
    mantissa = (fraction | (exponent << DOUBLE.fraction)).real()
    row = (steps >> (plan.step.bit_length() - 1)) + 1
    row = (row & 0).where(near, row)
    parts = [_entry(size, row, f"{name}.{k}", each) for k, each in enumerate(_COLUMNS[name])]
    return size.where(near, mantissa), parts


def _entry(like: Real, row: Word, name: str, column: Sequence[float]) -> Real:
    """column[row]: a short column is chosen from, a long one is loaded from."""
    if len(column) < 8:
        found = like.constant(column[0])
        for at, number in enumerate(column[1:], 1):
            found = like.constant(number).where(row.equals(at), found)
        return found
    builder = like.builder
    kind = ir.ArrayType(ir.DoubleType(), len(column))
    label = f"quarter_turns.{name}"
    table = builder.module.globals.get(label)
    if table is None:
        table = cgutils.global_constant(builder.module, label, ir.Constant(kind, list(column)))
    return Real(builder, builder.load(builder.gep(table, [row.value.type(0), row.value])))


def _whole(x: Real) -> tuple[Word, Real]:
    """The integer nearest to x, and x less that."""
    shifted = x + x.format.shifter
    return shifted.bits(), x - (shifted - x.format.shifter)


def _modulo_4(x: Real) -> Real:
    return (x * 0.25).rounded().times_plus(-4.0, x)


def _reduced_to_one(size: Real) -> tuple[Word, Real, Real]:
    """Quarter turns, and what is left of |x| to the bits that a float32 needs."""
    m, (first, second) = _product(size, "f32")
    product = m * first
    lost = m.times_plus(first, -product)
    turns, left = _whole(_modulo_4(product))
    return turns, (left + m.times_plus(second, lost)) * _HALF_PI[0], size.constant(0.0)


def _reduced_to_two(size: Real) -> tuple[Word, Real, Real]:
    """Quarter turns and what is left of |x|, in two parts: 2**-61 may be left of a float64."""
    m, (first, second, third, fourth) = _product(size, "f64")
    product, other, small = m * first, m * second, m * third
    lost = m.times_plus(first, -product)
    product = _modulo_4(product)
    total = product + lost
    terms = [rounding_of_sum(product, lost, total), m.times_plus(second, -other), small]
    product, total = total, total + other
    terms.insert(0, rounding_of_sum(product, other, total))
    turns, left = _whole(total)
    rest = m.times_plus(fourth, m.times_plus(third, -small))
    for term in terms:
        before, left = left, left + term
        rest = rest + rounding_of_sum(before, term, left)
    r = left * _HALF_PI[0]
    low = left.times_plus(_HALF_PI[0], -r)
    low = low + left.times_plus(_HALF_PI[1], rest * _HALF_PI[0])
    whole = r + low
    return turns, whole, low - (whole - r)
