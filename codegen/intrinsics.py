"""The table of intrinsics: the functions that a scalar expression may apply, one row each.

`python` is the meaning: a function of NumPy scalars, which the interpreter runs through `evaluate`.
`cpu` is how a kernel's Numba source spells it: `{0}`, `{1}`, ... stand for the arguments; the names
it calls are those of `codegen.cpu.operations`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from codegen.scalar import Dtype

_WORD = (1 << 64) - 1
GOLDEN, FIRST, SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
"""The constants of SplitMix64 (Steele, Lea and Flood 2014)."""
ROUNDS = 6


@dataclass(frozen=True, slots=True)
class Intrinsic:
    """One row. `cost` counts additions; `ulp` is how far the compiled value may be from the true
    one, in units in the last place of the result, in both formats and over the whole range (0: the
    two spellings agree to the bit, but for the sign of a NaN). `kin` names the row beside which, of
    the same argument, this one costs next to nothing."""

    name: str
    arity: int
    python: Callable[..., Any]
    cpu: str
    cost: int = 1
    ulp: int = 0
    kin: str = ""


def convert(value: Any, dtype: Dtype) -> Any:
    """The value as a NumPy scalar of that dtype.

    From a float to an integer: towards zero, held at the ends of the range, NaN to 0.
    """
    kind = np.dtype(dtype)
    if kind.kind == "i" and isinstance(value, float | np.floating):
        bounds = np.iinfo(kind)
        real = float(value)
        if math.isnan(real):
            return kind.type(0)
        if math.isinf(real):
            return kind.type(bounds.max if real > 0 else bounds.min)
        return kind.type(min(max(int(real), bounds.min), bounds.max))
    with np.errstate(all="ignore"):
        return np.asarray(value).astype(kind)[()]


def evaluate(function: str, args: Sequence[Any], dtype: Dtype) -> Any:
    """The row's value at NumPy scalars, as a scalar of `dtype`; never warns and never raises for
    any value. `select` is given both branches here, so a lazy caller picks before it calls."""
    with np.errstate(all="ignore"):
        return convert(INTRINSICS[function].python(*args), dtype)


def mix(word: int) -> int:
    """A bijection of 64-bit words in which every bit of the result hangs on every bit given."""
    word = ((word ^ (word >> 30)) * FIRST) & _WORD
    word = ((word ^ (word >> 27)) * SECOND) & _WORD
    return word ^ (word >> 31)


def stir(word: int) -> int:
    """32 bits that hang on every bit of a 64-bit word."""
    word = (word * FIRST) & _WORD
    return (((word ^ (word >> 32)) * SECOND) & _WORD) >> 32


def permuted(index: int, count: int, seed: int, epoch: int) -> int:
    """Where a permutation of 0..count-1, chosen by seed and epoch, sends `index`.

    A Feistel network on the smallest power of two that holds `count`, walked until it comes back
    inside: in turns the high half is changed by the low one and the low half by the high one (Luby
    and Rackoff 1988; halves of unequal widths as in Black and Rogaway 2002). 0 if count is below 2.
    """
    count, value = int(count), int(index)
    if count < 2:
        return 0
    bits = (count - 1).bit_length()
    width = bits // 2
    low_mask, high_mask = (1 << width) - 1, (1 << bits - width) - 1
    key = mix((int(seed) & _WORD) ^ mix((int(epoch) + GOLDEN) & _WORD))
    keys = [mix((key + turn * GOLDEN) & _WORD) for turn in range(1, ROUNDS + 1)]
    while True:
        high, low = value >> width, value & low_mask
        for turn, word in enumerate(keys):
            if turn % 2 == 0:
                high ^= stir(word ^ low) & high_mask
            else:
                low ^= stir(word ^ high) & low_mask
        value = (high << width) | low
        if value < count:
            return value


def _sigmoid(x: Any) -> Any:
    # By the sign of x, from exp(-|x|): no overflow, and full relative accuracy on both sides.
    small = np.exp(-np.abs(x))
    one = x.dtype.type(1)
    return one / (one + small) if x >= 0 else small / (one + small)


def _softplus(x: Any) -> Any:
    return np.maximum(x, x.dtype.type(0)) + np.log1p(np.exp(-np.abs(x)))


def _sech_squared(x: Any) -> Any:
    # From exp(-2|x|): 1 - tanh(x)**2 cancels where tanh is nearly 1.
    small = np.exp(-2 * np.abs(x))
    whole = x.dtype.type(1) + small
    return 4 * small / (whole * whole)


def _power(base: Any, exponent: Any) -> Any:
    if base.dtype.kind == "f":
        # Not np.power, which takes x ** 0.5 for a square root: they differ at -inf and -0.
        return base**exponent
    if exponent < 0:
        return 0
    bits = base.dtype.itemsize * 8
    word = pow(int(base), int(exponent), 1 << bits)
    return word - (1 << bits) if word >> (bits - 1) else word


def _larger(a: Any, b: Any) -> Any:
    return a if a >= b or a != a else b


def _smaller(a: Any, b: Any) -> Any:
    return a if a <= b or a != a else b


def _erf(x: Any) -> float:
    return math.erf(x)


def _erfc(x: Any) -> float:
    return math.erfc(x)


_ROWS = (
    Intrinsic("add", 2, np.add, "({0} + {1})"),
    Intrinsic("subtract", 2, np.subtract, "({0} - {1})"),
    Intrinsic("multiply", 2, np.multiply, "({0} * {1})"),
    Intrinsic("divide", 2, np.divide, "({0} / {1})", cost=4),
    # Integers only. A divisor of 0 gives 0; the remainder has the divisor's sign.
    Intrinsic("floor_divide", 2, np.floor_divide, "floor_divide({0}, {1})", cost=8),
    Intrinsic("remainder", 2, np.remainder, "remainder({0}, {1})", cost=8),
    Intrinsic("negative", 1, np.negative, "(-{0})"),
    Intrinsic("abs", 1, np.abs, "absolute({0})"),
    Intrinsic("sign", 1, np.sign, "sign({0})", cost=2),
    Intrinsic("floor", 1, np.floor, "floor({0})"),
    # Of integers: the exponent is not negative (0 if it is), and the result wraps.
    Intrinsic("power", 2, _power, "power({0}, {1})", cost=24, ulp=2),
    Intrinsic("sqrt", 1, np.sqrt, "square_root({0})", cost=4),
    Intrinsic("exp", 1, np.exp, "exp({0})", cost=12, ulp=2),
    Intrinsic("expm1", 1, np.expm1, "expm1({0})", cost=14, ulp=2),
    Intrinsic("log", 1, np.log, "log({0})", cost=12, ulp=1),
    Intrinsic("log1p", 1, np.log1p, "log1p({0})", cost=14, ulp=1),
    Intrinsic("sin", 1, np.sin, "sin({0})", cost=14, ulp=1),
    Intrinsic("cos", 1, np.cos, "cos({0})", cost=14, ulp=1),
    Intrinsic("tan", 1, np.tan, "tan({0})", cost=18, ulp=1),
    Intrinsic("asin", 1, np.arcsin, "asin({0})", cost=14, ulp=2),
    Intrinsic("acos", 1, np.arccos, "acos({0})", cost=14, ulp=2),
    Intrinsic("atan", 1, np.arctan, "atan({0})", cost=14, ulp=2),
    Intrinsic("sinh", 1, np.sinh, "sinh({0})", cost=16, ulp=2),
    Intrinsic("cosh", 1, np.cosh, "cosh({0})", cost=16, ulp=2),
    Intrinsic("tanh", 1, np.tanh, "tanh({0})", cost=16, ulp=2),
    Intrinsic(
        "sech_squared", 1, _sech_squared, "sech_squared({0})", cost=16, ulp=3, kin="tanh"
    ),
    Intrinsic("asinh", 1, np.arcsinh, "asinh({0})", cost=30, ulp=2),
    Intrinsic("acosh", 1, np.arccosh, "acosh({0})", cost=30, ulp=2),
    Intrinsic("atanh", 1, np.arctanh, "atanh({0})", cost=30, ulp=2),
    Intrinsic("atan2", 2, np.arctan2, "atan2({0}, {1})", cost=18, ulp=2),
    Intrinsic("erf", 1, _erf, "erf({0})", cost=16, ulp=2),
    Intrinsic("erfc", 1, _erfc, "erfc({0})", cost=20, ulp=2),
    Intrinsic("sigmoid", 1, _sigmoid, "sigmoid({0})", cost=18, ulp=2),
    Intrinsic("softplus", 1, _softplus, "softplus({0})", cost=24, ulp=2),
    # A NaN on either side is the result; of two equal numbers the first.
    Intrinsic("maximum", 2, _larger, "maximum({0}, {1})"),
    Intrinsic("minimum", 2, _smaller, "minimum({0}, {1})"),
    Intrinsic("less", 2, np.less, "({0} < {1})"),
    Intrinsic("less_equal", 2, np.less_equal, "({0} <= {1})"),
    Intrinsic("equal", 2, np.equal, "({0} == {1})"),
    Intrinsic("not_equal", 2, np.not_equal, "({0} != {1})"),
    Intrinsic("logical_and", 2, np.logical_and, "({0} & {1})"),
    Intrinsic("logical_or", 2, np.logical_or, "({0} | {1})"),
    Intrinsic("logical_not", 1, np.logical_not, "(not {0})"),
    Intrinsic("select", 3, lambda condition, a, b: a if condition else b, "({1} if {0} else {2})"),
    # To the dtype that the Apply states, as `convert` says.
    Intrinsic("cast", 1, lambda value: value, "cast({0})"),
    Intrinsic("isfinite", 1, np.isfinite, "isfinite({0})", cost=2),
    Intrinsic("permuted", 4, permuted, "permuted({0}, {1}, {2}, {3})", cost=120),
)

INTRINSICS: Mapping[str, Intrinsic] = {row.name: row for row in _ROWS}
"""Every function an `Apply` may name."""
