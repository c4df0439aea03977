"""The functions of NumPy and mpmath that the vector math is judged by, where they have none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np


def sigmoid(x: Any) -> Any:
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))


def each(function: Callable[[float], float]) -> Callable[[np.ndarray], np.ndarray]:
    """A function of a float, elementwise."""
    return lambda x: np.fromiter(map(function, x.tolist()), np.float64, len(x))


def _gaussian(x: np.ndarray) -> np.ndarray:
    """exp(-x**2) in extended precision, of which x**2 alone would lose the last bits."""
    first = x.astype(np.float32).astype(np.longdouble)
    return np.exp(-first * first) * np.exp(-(x - first) * (x + first))


def _series_of_erf(x: np.ndarray) -> np.ndarray:
    """Abramowitz and Stegun 7.1.6, of which all terms have one sign."""
    term = total = x
    for n in range(1, 90):
        term = term * (2 * x * x) / (2 * n + 1)
        total = total + term
    return 2 / np.sqrt(np.arccos(np.longdouble(-1))) * _gaussian(x) * total


def _fraction_of_erfc(x: np.ndarray) -> np.ndarray:
    """Abramowitz and Stegun 7.1.14, for x >= 2."""
    below = x
    for n in range(120, 0, -1):
        below = x + np.longdouble(n) / 2 / below
    return _gaussian(x) / np.sqrt(np.arccos(np.longdouble(-1))) / below


def extended_erfc(x: np.ndarray) -> np.ndarray:
    low, high = np.clip(x, -2, 2), np.clip(np.abs(x), 2, 100)
    far = _fraction_of_erfc(high)
    value = np.where(np.abs(x) > 2, np.where(x < 0, 2 - far, far), 1 - _series_of_erf(low))
    return np.where(np.isnan(x), x, value)


def extended_erf(x: np.ndarray) -> np.ndarray:
    low, high = np.clip(x, -2, 2), np.clip(np.abs(x), 2, 100)
    far = np.copysign(1 - _fraction_of_erfc(high), x)
    return np.where(np.isnan(x), x, np.where(np.abs(x) > 2, far, _series_of_erf(low)))


def precise_sigmoid(x: Any) -> Any:
    return 1 / (1 + mpmath.exp(-x))


def sech_squared(x: Any) -> Any:
    small = np.exp(-2 * np.abs(x))
    return 4 * small / (1 + small) ** 2


def precise_sech_squared(x: Any) -> Any:
    return mpmath.sech(x) ** 2


def softplus(x: Any) -> Any:
    return np.maximum(x, x.dtype.type(0)) + np.log1p(np.exp(-np.abs(x)))


def precise_softplus(x: Any) -> Any:
    return mpmath.log1p(mpmath.exp(x))
