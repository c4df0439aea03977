"""Arithmetic that rounds as IEEE 754 says: fused multiply-add, and the directed modes.

NumPy has no fused multiply-add; the machine's own instruction is reached through LLVM. A directed
mode needs the nearest result and the sign of what it lost, which is exact: by TwoSum (Knuth, TAOCP
2, 4.2.2, theorem B) for sums, by the fused multiply-add for products, quotients and roots.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numba
import numpy as np
from numba.extending import intrinsic

Array = np.ndarray[Any, Any]


@intrinsic  # type: ignore[misc]
def _fused(typing: Any, a: Any, b: Any, c: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return a(a, b, c), generate


@numba.vectorize(["float32(float32,float32,float32)", "float64(float64,float64,float64)"])
def _fma(a: Any, b: Any, c: Any) -> Any:
    return _fused(a, b, c)


fma = _fma.ufunc
"""a * b + c, rounded once; a NumPy ufunc of float32 and float64."""


def two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """The sum as a float, and what it lost."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def directed(nearest: Array, lost: Array, mode: str, dtype: np.dtype) -> Array:
    """`nearest + lost`, of which the first is the nearest float64, rounded to a type by `rz` (to
    zero), `rm` (down) or `rp` (up); `rn` rounds to nearest, ties to even."""
    result = nearest.astype(dtype)
    wide = result.astype(nearest.dtype)
    above = (wide > nearest) | ((wide == nearest) & (lost < 0))
    below = (wide < nearest) | ((wide == nearest) & (lost > 0))
    if mode == "rz":
        above, below = above & (nearest > 0), below & (nearest < 0)
    if mode in ("rm", "rz"):
        result = np.where(above, np.nextafter(result, dtype.type(-np.inf)), result)
    if mode in ("rp", "rz"):
        result = np.where(below, np.nextafter(result, dtype.type(np.inf)), result)
    return result


def sum_directed(a: Array, b: Array, mode: str) -> Array:
    """a + b of one type, rounded by a mode."""
    total, lost = two_sum(a.astype(np.float64), b.astype(np.float64))
    result = directed(total, np.where(np.isfinite(total), lost, 0), mode, a.dtype)
    exact_zero = (total == 0) & (a != 0)
    return np.where(exact_zero & (mode == "rm"), a.dtype.type(-0.0), result)


def product_directed(a: Array, b: Array, mode: str) -> Array:
    """a * b of one type, rounded by a mode."""
    x, y = a.astype(np.float64), b.astype(np.float64)
    product = x * y
    lost = fma(x, y, -product)
    return directed(product, np.where(np.isfinite(product), lost, 0), mode, a.dtype)


def quotient_directed(a: Array, b: Array, mode: str) -> Array:
    """a / b of one type, rounded by a mode."""
    x, y = a.astype(np.float64), b.astype(np.float64)
    quotient = x / y
    lost = fma(-quotient, y, x) * np.sign(y)
    usable = np.isfinite(quotient) & np.isfinite(lost)
    return directed(quotient, np.where(usable, lost, 0), mode, a.dtype)


def root_directed(a: Array, mode: str) -> Array:
    """The square root, rounded by a mode."""
    x = a.astype(np.float64)
    root = np.sqrt(x)
    lost = fma(-root, root, x)
    return directed(root, np.where(np.isfinite(lost), lost, 0), mode, a.dtype)


def fma_directed(a: Array, b: Array, c: Array, mode: str) -> Array:
    """a * b + c of one type, rounded once, by a mode."""
    if a.dtype == np.float32:
        product = a.astype(np.float64) * b.astype(np.float64)
        total, lost = two_sum(product, c.astype(np.float64))
        return directed(total, np.where(np.isfinite(total), lost, 0), mode, a.dtype)
    nearest = np.asarray(fma(a, b, c))
    lost = np.zeros_like(nearest)
    for index in np.flatnonzero(np.isfinite(nearest)):
        exact = Fraction(float(a[index])) * Fraction(float(b[index])) + Fraction(float(c[index]))
        difference = exact - Fraction(float(nearest[index]))
        lost[index] = (difference > 0) - (difference < 0)
    return directed(nearest, lost, mode, a.dtype)


def to_bf16(values: Array) -> Array:
    """float32 to the bits of bfloat16, to nearest even; NaN becomes 0x7FFF, as cvt.rn does."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
    return np.where(np.isnan(values), np.uint16(0x7FFF), rounded.astype(np.uint16))


def from_bf16(bits: Array) -> Array:
    """The bits of bfloat16 to float32, exactly."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)
