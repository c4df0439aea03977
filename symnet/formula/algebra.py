"""Products, sums, powers and quotients of formulas, without factors and terms that say nothing.

What a user wrote stays recognisable: numbers come to the front, a + (−b) becomes a − b, a common
fraction is taken out of a sum, and nothing is distributed or cancelled beyond that.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import numpy as np

from symnet.formula.tree import (
    EULER,
    ONE,
    ONES,
    PI,
    ZERO,
    Apply,
    Fence,
    Formula,
    Hadamard,
    MatrixProduct,
    Number,
    Power,
    Quotient,
    Scaled,
    Sum,
    Symbol,
    Transpose,
)

_DIGITS = 17  # a float64 has no more
_SINGLE_DIGITS = 9  # nor a float32 of these
_LEAST_POWER = 30  # from 2^30 on, powers of two print as such
_LARGEST_ROOT = 4096  # √k prints as such up to this k
_LARGEST_OF_PI = 12  # k π and π/k print as such up to this k


def literal(value: float | int | bool, dtype: object = "float64") -> Formula:
    """A constant by the shortest decimal that its dtype reads back as the same number."""
    if isinstance(value, (bool, int)):
        return Number(Fraction(int(value)))
    if math.isnan(value):
        return Symbol("nan")
    if math.isinf(value):
        return Symbol("∞") if value > 0 else negate(Symbol("∞"))
    mantissa, exponent = math.frexp(abs(value))
    if mantissa == 0.5 and abs(exponent - 1) >= _LEAST_POWER:
        power_of_two = Power(Number(Fraction(2)), Number(Fraction(exponent - 1)))
        return power_of_two if value > 0 else negate(power_of_two)
    kind = np.float32 if str(dtype) == "float32" else np.float64
    narrow = kind(value)
    root = _root_of(float(value), kind)
    root = root or _root_with_pi(float(value), kind)
    if root is not None:
        return root
    for whole in range(1, _LARGEST_OF_PI + 1):
        for top, bottom in ((whole, 1), (1, whole)):
            if abs(narrow) == kind(math.pi * top / bottom):
                sign = 1 if value > 0 else -1
                return Scaled(Fraction(sign * top), Fraction(bottom), over=(PI,))
    return Number(Fraction(str(narrow)))


def _root_of(value: float, kind: type) -> Formula | None:
    """√k or 1/√k, for a whole number k that is no square, where the constant is that."""
    square = value * value
    if not 1 / _LARGEST_ROOT <= square <= _LARGEST_ROOT:
        return None
    whole = round(square if square > 1 else 1 / square)
    if math.isqrt(whole) ** 2 == whole:
        return None
    root = Fence("root", Number(Fraction(whole)))
    sign = Fraction(1 if value > 0 else -1)
    if abs(kind(value)) == kind(math.sqrt(whole)):
        return plain(Scaled(sign, over=(root,)))
    return _inverse_root(value, whole, kind, sign)


def _root_with_pi(value: float, kind: type) -> Formula | None:
    """2/√π, √(2/π) and the like."""
    if not 1 / _LARGEST_ROOT <= value * value <= _LARGEST_ROOT:
        return None
    square = Fraction(value * value * math.pi).limit_denominator(_LARGEST_OF_PI)
    if not 0 < square <= _LARGEST_OF_PI or abs(kind(value)) != kind(math.sqrt(square / math.pi)):
        return None
    sign = Fraction(1 if value > 0 else -1)
    above, below = math.isqrt(square.numerator), square.denominator
    if above**2 != square.numerator:
        return plain(Scaled(sign, over=(Fence("root", Scaled(square, under=(PI,))),)))
    inner = plain(Scaled(Fraction(below), over=(PI,)))
    return Scaled(sign * above, under=(Fence("root", inner),))


def _inverse_root(value: float, whole: int, kind: type, sign: Fraction) -> Formula | None:
    root = Fence("root", Number(Fraction(whole)))
    near = {kind(1 / math.sqrt(whole)), kind(math.sqrt(1 / whole))}
    return Scaled(sign, under=(root,)) if abs(kind(value)) in near else None


def single(formula: Formula) -> Formula:
    """A product of float32 constants by the shortest decimal that is within their precision."""
    if isinstance(formula, Number):
        return Number(_single(formula.value))
    if isinstance(formula, Scaled):
        return replace(formula, top=_single(formula.top))
    if isinstance(formula, Sum):
        return Sum(tuple(map(single, formula.terms)))
    return formula


def _single(value: Fraction) -> Fraction:
    exact = Decimal(value.numerator) / Decimal(value.denominator)
    if value.denominator == 1 or len(exact.normalize().as_tuple().digits) <= _SINGLE_DIGITS:
        return value
    rounded = (Fraction(f"{exact:.{digits}e}") for digits in range(_SINGLE_DIGITS))
    near = (one for one in rounded if abs(one - value) <= abs(value) / 2**23)
    return next(near, value)


def decimal_text(value: Fraction) -> str:
    """The exact decimal expansion of a number that has one: 0.1, 3, 1e-12."""
    exact = (Decimal(value.numerator) / Decimal(value.denominator)).normalize()
    if -6 < exact.adjusted() < _DIGITS:
        return f"{exact:f}"
    mantissa, _, exponent = f"{exact:e}".partition("e")
    return f"{mantissa}e{int(exponent)}"


def _is_short(value: Fraction) -> bool:
    """Whether the number has a decimal expansion of no more digits than a float64."""
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    if rest != 1:
        return False
    digits = (Decimal(value.numerator) / Decimal(value.denominator)).normalize().as_tuple().digits
    return len(digits) <= _DIGITS


def _reduced(top: Fraction, bottom: Fraction) -> tuple[Fraction, Fraction]:
    """The same ratio: whole numbers without a common divisor, decimals divided out."""
    if not _is_short(top):
        # A product of constants: no float holds more digits than this.
        top = Fraction(repr(float(top)))
    ratio = top / bottom
    whole = top.denominator == bottom.denominator == 1
    if ratio.denominator == 1 or (not whole and _is_short(ratio)):
        return ratio, Fraction(1)
    if whole:
        return Fraction(ratio.numerator), Fraction(ratio.denominator)
    return top, bottom


def scaled(formula: Formula, scalar: bool) -> Scaled:
    """A formula as a product, so that its coefficient can be taken."""
    if isinstance(formula, Scaled):
        return formula
    if isinstance(formula, Number):
        return Scaled(top=formula.value)
    return Scaled(over=(formula,)) if scalar else Scaled(body=formula)


def plain(product: Scaled) -> Formula:
    """The product without coefficients of one: a number, its only factor, or itself."""
    if product.top == 0:
        return ZERO
    top, bottom = _reduced(product.top, product.bottom)
    product = _without_two_signs(replace(product, top=top, bottom=bottom))
    top = product.top
    if bottom != 1 or product.under:
        return product
    if not product.over and product.body is None:
        return Number(top)
    if top == 1 and not product.over and product.body is not None:
        return product.body
    if top == 1 and len(product.over) == 1 and product.body is None:
        return product.over[0]
    return product


def _without_two_signs(product: Scaled) -> Scaled:
    """A minus before a sum that has nothing but minuses is gone with them."""
    body = product.body
    if product.top > 0 or not isinstance(body, Sum) or not all(map(is_negative, body.terms)):
        return product
    return replace(product, top=-product.top, body=Sum(tuple(map(negate, body.terms))))


def is_negative(formula: Formula) -> bool:
    """Whether the formula is written with a leading minus."""
    if isinstance(formula, Number):
        return formula.value < 0
    return isinstance(formula, Scaled) and formula.top < 0


def negate(formula: Formula, scalar: bool = True) -> Formula:
    """−formula; a minus of a minus is gone."""
    product = scaled(formula, scalar)
    return plain(replace(product, top=-product.top))


def _split_power(factor: Formula) -> tuple[Formula, Fraction] | None:
    """base and whole exponent of a scalar factor; None where powers are not to be collected."""
    if isinstance(factor, Power) and not factor.elementwise:
        exponent = factor.exponent
        if isinstance(exponent, Number) and exponent.value.denominator == 1:
            return factor.base, exponent.value
        return None
    return factor, Fraction(1)


def _collected(factors: Iterable[Formula]) -> tuple[Formula, ...]:
    """Equal factors as one power: a b a is a² b, but d f″(x) d is f″(x) d², as the chain rule has
    it."""
    kept: list[Formula] = []
    for factor in factors:
        pair = _split_power(factor)
        place = next((k for k, other in enumerate(kept) if _is_power_of(other, pair)), None)
        if place is None or pair is None:
            kept.append(factor)
            continue
        base, exponent = _split_power(kept[place]) or pair
        merged = Power(base, Number(exponent + pair[1]))
        if any(isinstance(other, Apply) and other.primes for other in kept[place + 1 :]):
            del kept[place]
            kept.append(merged)
        else:
            kept[place] = merged
    return tuple(kept)


def _is_power_of(factor: Formula, pair: tuple[Formula, Fraction] | None) -> bool:
    """Whether both are positive powers of one base."""
    own = _split_power(factor)
    return bool(own and pair and own[0] == pair[0] and own[1] > 0 and pair[1] > 0)


def _without_common_factors(
    over: Sequence[Formula], under: Sequence[Formula]
) -> tuple[tuple[Formula, ...], tuple[Formula, ...]]:
    """Sizes and powers of e that stand above and below the bar cancel: they are never zero."""
    above, below = list(over), list(under)
    for factor in under:
        size = isinstance(factor, Symbol) and factor.size
        exponential = isinstance(factor, Power) and factor.base == EULER
        if (size or exponential) and factor in above:
            above.remove(factor)
            below.remove(factor)
    return tuple(above), tuple(below)


def _without_roots(factors: Sequence[Formula]) -> tuple[Fraction, tuple[Formula, ...]]:
    """Roots of constants as one root: √2 √2 is 2, √2 √π is √(2 π)."""
    squares = [_under_root(factor) for factor in factors]
    if sum(square is not None for square in squares) < 2:
        return Fraction(1), tuple(factors)
    number, circles = Fraction(1), 0
    for square in squares:
        number *= square[0] if square else 1
        circles += square[1] if square else 0
    rest = tuple(f for f, square in zip(factors, squares, strict=True) if square is None)
    whole = number.denominator == 1 and math.isqrt(int(number)) ** 2 == number
    outside = Fraction(math.isqrt(int(number))) if whole and not circles % 2 else Fraction(1)
    inside = () if circles % 2 == 0 else (PI,)
    left = plain(Scaled(number / outside**2, over=inside))
    circle = (PI,) * (circles // 2)
    return outside, (*circle, *(() if left == ONE else (Fence("root", left),)), *rest)


def _under_root(factor: Formula) -> tuple[Fraction, int] | None:
    """The number and the power of π of which a factor is the root; None if it is no such root."""
    if not isinstance(factor, Fence) or factor.kind != "root":
        return None
    inside = scaled(factor.body, True)
    plain_ = inside.bottom == 1 and not inside.under and inside.body is None
    return (inside.top, len(inside.over)) if plain_ and inside.over in ((), (PI,)) else None


def hadamard(left: Formula | None, right: Formula | None) -> Formula | None:
    """The elementwise product of two arrays, either of which may be absent."""
    if left is None or right is None:
        return right if left is None else left
    if isinstance(right, Quotient) and right.top == ONE:
        return Quotient(left, right.bottom)
    if isinstance(left, Quotient) and left.top == ONE:
        return Quotient(right, left.bottom)
    first = left.factors if isinstance(left, Hadamard) else (left,)
    second = right.factors if isinstance(right, Hadamard) else (right,)
    return Hadamard(first + second)


def multiply(left: Scaled, right: Scaled) -> Formula:
    """The product, coefficients in front, factors in order."""
    over, under = _without_common_factors(left.over + right.over, left.under + right.under)
    (above, over), (below, under) = _without_roots(over), _without_roots(under)
    return plain(
        Scaled(
            left.top * right.top * above,
            left.bottom * right.bottom * below,
            _collected(over),
            _collected(under),
            hadamard(left.body, right.body),
        )
    )


def divide(left: Scaled, right: Scaled) -> Formula:
    """The quotient; by an array it is elementwise."""
    if right.top == 0:
        return Scaled(left.top, left.bottom, left.over, (*left.under, ZERO), left.body)
    sign = -1 if right.top < 0 else 1
    over, under = _without_common_factors(left.over + right.under, left.under + right.over)
    body = left.body
    if right.body is not None:
        body = _over(ONE if body is None else body, right.body)
    (above, over), (below, under) = _without_roots(over), _without_roots(under)
    top, bottom = sign * left.top * right.bottom * above, left.bottom * abs(right.top) * below
    return plain(Scaled(top, bottom, _collected(over), _collected(under), body))


def _over(top: Formula, bottom: Formula) -> Formula:
    """The elementwise quotient; what was divided before is divided by the product."""
    if isinstance(top, Quotient):
        return Quotient(top.top, hadamard(top.bottom, bottom) or bottom)
    return Quotient(top, bottom)


def matrix_product(factors: Sequence[Formula]) -> Formula:
    """The product of matrices and vectors, with their coefficients in front."""
    outside = Scaled()
    inside: list[Formula] = []
    turned = False
    for factor in factors:
        product = scaled(factor, scalar=False)
        outside = scaled(multiply(outside, replace(product, body=None)), scalar=True)
        body = ONES if product.body is None else _vector(product.body)
        turned = product.body is not None and body is not product.body
        inside.extend(body.factors if isinstance(body, MatrixProduct) else (body,))
    whole: Formula = MatrixProduct(tuple(inside))
    # A x with a matrix x of one column is a matrix of one column too.
    return plain(replace(outside, body=column_matrix(whole) if turned else whole))


def transpose(formula: Formula) -> Formula:
    """The transpose; twice is not at all, and a diagonal matrix is its own."""
    product = scaled(formula, scalar=False)
    body = product.body
    if body is None or (isinstance(body, Apply) and body.name == "diag"):
        return formula
    if body == MatrixProduct((ONES, Transpose(ONES))):
        return formula
    turned = body.base if isinstance(body, Transpose) else Transpose(_vector(body))
    return plain(replace(product, body=turned))


def column_matrix(formula: Formula) -> Formula:
    """A vector as a matrix of one column."""
    product = scaled(formula, scalar=False)
    if product.body is None:
        return formula
    return plain(replace(product, body=Apply("col", (product.body,), r"\operatorname{col}")))


def _vector(formula: Formula) -> Formula:
    """What stands in col(...): in a product of matrices a vector is a column anyway."""
    return formula.arguments[0] if isinstance(formula, Apply) and formula.name == "col" else formula


def power(base: Formula, exponent: Formula, elementwise: bool) -> Formula:
    """base^exponent; the first power is the base."""
    return base if exponent == ONE else Power(base, exponent, elementwise)
