"""What data loses when its dtype changes."""

from __future__ import annotations

from typing import Any

import numpy as np

from symnet.expr import Dtype
from symnet.ops.core import BOOL, INTEGERS

_LOOK = 64
"""Rows that are compared first."""


def lost(array: np.ndarray[Any, Any], made: np.ndarray[Any, Any], wanted: Dtype) -> str:
    """What a conversion would lose beyond rounding, in words; empty if nothing."""
    if wanted == BOOL:
        return "" if array.dtype == BOOL else "write array != 0 or array.astype(bool)"
    if wanted in INTEGERS:
        if array.dtype.kind == "f":
            return "floats never become integers by themselves; write array.astype(int)"
        return "" if np.array_equal(made, array) else f"some values do not fit {wanted}"
    if not made.size:
        return ""
    most = max(-made.min(), made.max())
    if array.dtype.kind == "f":
        if np.isfinite(most):
            return ""
        overflow = np.isinf(made) & np.isfinite(array)
        return f"{array[overflow][0]} overflows" if overflow.any() else ""
    exact = array.dtype.kind == "b" or most < 2**24 or _exact(array, made)
    return "" if exact else "some integers are not exact as floats"


def _exact(integers: np.ndarray[Any, Any], floats: np.ndarray[Any, Any]) -> bool:
    """Whether the floats are the integers: they are in their range, and come back the same."""
    within = floats < 2.0 ** np.iinfo(integers.dtype).bits
    if integers.dtype.kind == "i":
        within = floats < 2.0 ** (np.iinfo(integers.dtype).bits - 1)
    with np.errstate(invalid="ignore"):
        return bool(np.all(within & (floats.astype(integers.dtype) == integers)))


def differ(made: np.ndarray[Any, Any], array: np.ndarray[Any, Any]) -> bool:
    """Whether rounding changed anything; where it did, that shows soon."""
    if not made.ndim or len(made) < 2 * _LOOK:
        return not np.array_equal(made, array, equal_nan=True)
    halves = (made[:_LOOK], array[:_LOOK]), (made[_LOOK:], array[_LOOK:])
    return any(not np.array_equal(*half, equal_nan=True) for half in halves)
