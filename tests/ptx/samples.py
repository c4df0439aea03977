"""Numbers to try instructions on, and what is expected of them."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
ALL = ("u16", "s16", "u32", "s32", "u64", "s64")
"""The types of integers that instructions compute with."""


COUNT = 700


def integers(kind: str, seed: int) -> Array:
    """Random, small and extreme."""
    random = np.random.default_rng(seed)
    dtype = np.dtype({"u": "u", "s": "i", "b": "u"}[kind[0]] + str(int(kind[1:]) // 8))
    limits = np.iinfo(dtype)
    special = np.array([0, 1, 2, 3, limits.max, limits.max - 1, limits.min, limits.min + 1], dtype)
    wide = random.integers(limits.min, limits.max, COUNT, dtype, endpoint=True)
    small = random.integers(0, 40, COUNT).astype(dtype)
    values = np.where(random.random(COUNT) < 0.5, wide, small)
    chosen = random.choice(special, COUNT)
    return np.where(random.random(COUNT) < 0.25, chosen, values).astype(dtype)


def floats(kind: str, seed: int) -> Array:
    """Random over all exponents, near one, and special."""
    random = np.random.default_rng(seed)
    dtype = np.dtype({"f16": "f2", "f32": "f4", "f64": "f8"}[kind])
    tiny = np.finfo(dtype).tiny
    special = np.array(
        [0.0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 0.5, tiny, tiny / 4, -tiny / 2,
         np.finfo(dtype).max, 2.5, -3.5], dtype,
    )  # fmt: skip
    bits = random.integers(0, 2 ** (8 * dtype.itemsize - 1), COUNT).astype(f"u{dtype.itemsize}")
    near = random.standard_normal(COUNT).astype(dtype)
    values = np.where(random.random(COUNT) < 0.4, bits.view(dtype), near)
    chosen = random.choice(special, COUNT)
    return np.where(random.random(COUNT) < 0.3, chosen, values).astype(dtype)


def values(kind: str, seed: int) -> Array:
    return floats(kind, seed) if kind[0] == "f" else integers(kind, seed)


def finite(kind: str, seed: int) -> Array:
    found = floats(kind, seed)
    return np.where(np.isfinite(found), found, found.dtype.type(1.5))


def wrapped(kind: str, numbers: list[int]) -> Array:
    """Python's integers as a type."""
    size = int(kind[1:])
    dtype = np.dtype(f"u{size // 8}")
    found = np.array([n & ((1 << size) - 1) for n in numbers], dtype)
    return found.view(f"i{size // 8}") if kind[0] == "s" else found


def same_bits(found: Array, expected: Array) -> None:
    """The same floats: the same bits, or both NaN."""
    nan = np.isnan(expected)
    np.testing.assert_array_equal(np.isnan(found), nan)
    bits = f"u{found.itemsize}"
    np.testing.assert_array_equal(
        found[~nan].view(bits), expected.astype(found.dtype)[~nan].view(bits)
    )


def rounded(exact: Fraction, mode: str, dtype: np.dtype) -> float:
    """A fraction rounded to a binary format, from its definition."""
    information = np.finfo(dtype)
    if exact == 0:
        return 0.0
    size = abs(exact)
    exponent = math.floor(math.log2(size.numerator) - math.log2(size.denominator))
    while Fraction(2) ** exponent > size:
        exponent -= 1
    while Fraction(2) ** (exponent + 1) <= size:
        exponent += 1
    unit = Fraction(2) ** (max(exponent, information.minexp) - information.nmant)
    low = math.floor(exact / unit)
    rest = exact / unit - low
    up = {
        "rn": rest > Fraction(1, 2) or (rest == Fraction(1, 2) and low % 2 == 1),
        "rm": False,
        "rp": rest > 0,
        "rz": rest > 0 and exact < 0,
    }[mode]
    result = (low + up) * unit
    limit = Fraction(float(information.max))
    if abs(result) > limit:
        outward = mode == "rn" or mode == ("rp" if exact > 0 else "rm")
        return (1 if exact > 0 else -1) * (math.inf if outward else float(limit))
    return float(result)
