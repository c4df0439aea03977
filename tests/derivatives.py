"""Derivatives without the chain rule under test: complex step and mpmath differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import mpmath
import numpy as np

from symnet.expr import Expr
from symnet.reference import NAMESPACES, bind_leaves, interpret

Values = Mapping[Expr, np.ndarray]
COMPLEX_STEP = 1e-30
DIGITS = 50


def complex_step(outputs: Sequence[Expr], values: Values, directions: Values) -> list[np.ndarray]:
    """The change of each output along the directions; exact to rounding, branch by branch."""
    bound = bind_leaves(outputs, values)
    arrays = dict(bound.arrays)
    for leaf in directions.keys() & arrays.keys():
        arrays[leaf] = arrays[leaf].astype(np.float64) + COMPLEX_STEP * 1j * directions[leaf]
    namespace = NAMESPACES["complex"]
    with namespace.settings():
        found = interpret(outputs, arrays, bound.sizes, namespace)
    return [np.imag(value) / COMPLEX_STEP for value in found]


def mpmath_difference(
    outputs: Sequence[Expr], values: Values, directions: Values
) -> list[np.ndarray]:
    """The change of each output along the directions, by a central difference in 50 digits."""
    bound = bind_leaves(outputs, values)
    namespace = NAMESPACES["mpmath"]
    with namespace.settings(), mpmath.workdps(DIGITS):
        step = mpmath.mpf(10) ** (-DIGITS // 3)
        ends = []
        for sign in (1, -1):
            arrays = dict(bound.arrays)
            for leaf in directions.keys() & arrays.keys():
                exact = namespace({}, {}).constant(arrays[leaf], np.dtype(np.float64))
                arrays[leaf] = exact + sign * step * directions[leaf]
            ends.append(interpret(outputs, arrays, bound.sizes, namespace))
        return [
            np.array((after - before) / (2 * step), np.float64)
            for after, before in zip(*ends, strict=True)
        ]


def error(found: object, true: object) -> float:
    """The largest error relative to max(1e-3, |true|); infinite where one alone is not finite."""
    left, right = np.asarray(found, np.float64), np.asarray(true, np.float64)
    assert left.shape == right.shape, f"{left.shape} is not {right.shape}"
    if not np.array_equal(np.isfinite(left), np.isfinite(right)):
        return np.inf
    finite = np.isfinite(left)
    gap = np.abs(left - right)[finite] / np.maximum(1e-3, np.abs(right[finite]))
    return float(gap.max(initial=0.0))
