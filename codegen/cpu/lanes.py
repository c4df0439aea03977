"""Arithmetic on LLVM values, written as formulas: what the vector math is made of.

Nothing here branches, calls or touches memory, so a loop over it vectorises. Sums and products
carry a flag of their own ("arcp", which says nothing of them), so that the kernel's `contract` does
not reach them: a value has the same bits in a vector as in the loop's remainder, and errors of
rounding can be computed exactly. Where a sum and a product are to be one operation, `fma` says so.
"""

# Numba types its helpers only in part.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils

_EXACT = ("arcp",)


@dataclass(frozen=True, slots=True)
class Format:
    """A floating-point format: its LLVM names, its fields, and the types of NumPy with its bits."""

    suffix: str
    fraction: int
    bias: int
    real: type[np.floating[Any]]
    word: type[np.unsignedinteger[Any]]

    def bits(self, number: float) -> int:
        """The number's bit pattern."""
        return int(self.real(number).view(self.word))

    @property
    def sign(self) -> int:
        """The bit that holds the sign."""
        return 1 << (8 * self.word(0).itemsize - 1)

    @property
    def shifter(self) -> float:
        """1.5 * 2**fraction: what is added to it is rounded to a whole number, in its low bits."""
        return 1.5 * 2.0**self.fraction


SINGLE = Format("f32", 23, 127, np.float32, np.uint32)
DOUBLE = Format("f64", 52, 1023, np.float64, np.uint64)


@dataclass(frozen=True, slots=True, eq=False)
class Word:
    """An unsigned integer as wide as the float it came from."""

    builder: Any
    value: Any

    def _other(self, other: Word | int) -> Any:
        return other.value if isinstance(other, Word) else ir.Constant(self.value.type, other)

    def __add__(self, other: Word | int) -> Word:
        return Word(self.builder, self.builder.add(self.value, self._other(other)))

    def __sub__(self, other: Word | int) -> Word:
        return Word(self.builder, self.builder.sub(self.value, self._other(other)))

    def __and__(self, other: Word | int) -> Word:
        return Word(self.builder, self.builder.and_(self.value, self._other(other)))

    def __or__(self, other: Word | int) -> Word:
        return Word(self.builder, self.builder.or_(self.value, self._other(other)))

    def __xor__(self, other: Word | int) -> Word:
        return Word(self.builder, self.builder.xor(self.value, self._other(other)))

    def __lshift__(self, count: int) -> Word:
        return Word(self.builder, self.builder.shl(self.value, self._other(count)))

    def __rshift__(self, count: int) -> Word:
        return Word(self.builder, self.builder.lshr(self.value, self._other(count)))

    def equals(self, other: Word | int) -> Any:
        return self.builder.icmp_unsigned("==", self.value, self._other(other))

    def __ge__(self, other: Word | int) -> Any:
        return self.builder.icmp_unsigned(">=", self.value, self._other(other))

    def where(self, condition: Any, otherwise: Word | int) -> Word:
        """This number where the condition holds, else the other one."""
        return Word(
            self.builder, self.builder.select(condition, self.value, self._other(otherwise))
        )

    def real(self) -> Real:
        """The float that has these bits."""
        kind = ir.FloatType() if self.value.type.width == 32 else ir.DoubleType()
        return Real(self.builder, self.builder.bitcast(self.value, kind))


@dataclass(frozen=True, slots=True, eq=False)
class Real:
    """A float32 or a float64. Comparisons with a NaN are false."""

    builder: Any
    value: Any

    @property
    def format(self) -> Format:
        return SINGLE if isinstance(self.value.type, ir.FloatType) else DOUBLE

    def constant(self, number: float) -> Real:
        """The number in this one's format."""
        return Real(self.builder, ir.Constant(self.value.type, float(number)))

    def _other(self, other: Real | float) -> Any:
        return other.value if isinstance(other, Real) else self.constant(other).value

    def __add__(self, other: Real | float) -> Real:
        return Real(self.builder, self.builder.fadd(self.value, self._other(other), flags=_EXACT))

    def __sub__(self, other: Real | float) -> Real:
        return Real(self.builder, self.builder.fsub(self.value, self._other(other), flags=_EXACT))

    def __rsub__(self, other: float) -> Real:
        return self.constant(other) - self

    def __mul__(self, other: Real | float) -> Real:
        return Real(self.builder, self.builder.fmul(self.value, self._other(other), flags=_EXACT))

    def __truediv__(self, other: Real | float) -> Real:
        return Real(self.builder, self.builder.fdiv(self.value, self._other(other)))

    def __rtruediv__(self, other: float) -> Real:
        return self.constant(other) / self

    def __neg__(self) -> Real:
        return Real(self.builder, self.builder.fneg(self.value))

    def __lt__(self, other: Real | float) -> Any:
        return self.builder.fcmp_ordered("<", self.value, self._other(other))

    def __gt__(self, other: Real | float) -> Any:
        return self.builder.fcmp_ordered(">", self.value, self._other(other))

    def __ge__(self, other: Real | float) -> Any:
        return self.builder.fcmp_ordered(">=", self.value, self._other(other))

    def equals(self, other: Real | float) -> Any:
        return self.builder.fcmp_ordered("==", self.value, self._other(other))

    def is_nan(self) -> Any:
        return self.builder.fcmp_unordered("uno", self.value, self.value)

    def bits(self) -> Word:
        """The bit pattern."""
        width = 32 if self.format is SINGLE else 64
        return Word(self.builder, self.builder.bitcast(self.value, ir.IntType(width)))

    def _call(self, name: str, *others: Real | float) -> Real:
        kind = self.value.type
        args = [self.value, *map(self._other, others)]
        declared = cgutils.get_or_insert_function(
            self.builder.module,
            ir.FunctionType(kind, [kind] * len(args)),
            f"llvm.{name}.{self.format.suffix}",
        )
        return Real(self.builder, self.builder.call(declared, args))

    def times_plus(self, factor: Real | float, term: Real | float) -> Real:
        """self * factor + term, rounded once."""
        return self._call("fma", factor, term)

    def magnitude(self) -> Real:
        return self._call("fabs")

    def rounded(self) -> Real:
        """To the nearest whole number, halves to the even one."""
        return self._call("rint")

    def square_root(self) -> Real:
        return self._call("sqrt")

    def with_sign_of(self, other: Real) -> Real:
        return self._call("copysign", other)

    def where(self, condition: Any, otherwise: Real | float) -> Real:
        """This number where the condition holds, else the other one."""
        return Real(
            self.builder, self.builder.select(condition, self.value, self._other(otherwise))
        )

    def at_most(self, bound: float) -> Real:
        """Held below the bound; a NaN stays."""
        return self.constant(bound).where(self > bound, self)

    def at_least(self, bound: float) -> Real:
        """Held above the bound; a NaN stays."""
        return self.constant(bound).where(self < bound, self)

    def wide(self) -> Real:
        """A float32 as a float64."""
        return Real(self.builder, self.builder.fpext(self.value, ir.DoubleType()))

    def narrow(self) -> Real:
        """A float64 as a float32, rounded."""
        return Real(self.builder, self.builder.fptrunc(self.value, ir.FloatType()))


def polynomial(x: Real, coefficients: Sequence[float]) -> Real:
    """c[0] + c[1] x + c[2] x**2 + ..., by Horner's rule."""
    total = x.constant(coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = total.times_plus(x, coefficient)
    return total


def quotient(above: Real, above_rest: Real, below: Real, below_rest: Real) -> tuple[Real, Real]:
    """(above + above_rest) / (below + below_rest), where the rests are roundings, as a sum too."""
    inverse = 1.0 / below
    value = above * inverse
    missing = (-value).times_plus(below, above) + (-value).times_plus(below_rest, above_rest)
    return value, missing * inverse


def rounding_of_sum(a: Real, b: Real, total: Real) -> Real:
    """What rounding took from total = a + b, exactly; of whatever magnitudes (Knuth)."""
    share = total - a
    return (a - (total - share)) + (b - share)


def power_of_two(exponent: Word, like: Real) -> Real:
    """2**exponent, for exponents of normal numbers."""
    return ((exponent + like.format.bias) << like.format.fraction).real()
