"""mpmath as an array namespace: object arrays of numbers of any precision."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np

from symnet.expr import Dtype
from symnet.lazy import mpmath
from symnet.reference.namespace import Array, Axes
from symnet.reference.over_numpy import NumpyNamespace


class MpmathNamespace(NumpyNamespace):
    """Real numbers to the precision that mpmath is set to; `evaluate` sets 50 digits.

    What is undefined is NaN, what grows beyond bounds is infinite: nothing raises.
    """

    name = "mpmath"
    digits: ClassVar[int] = 50

    @classmethod
    @contextmanager
    def settings(cls) -> Iterator[None]:
        with np.errstate(all="ignore"), mpmath.workdps(max(cls.digits, mpmath.mp.dps)):
            yield

    def __getattr__(self, function: str) -> Callable[..., Array]:
        if function in ("reshape", "permute_dims", "broadcast_to", "concat", "where") or (
            function.startswith("logical_")
        ):
            return super().__getattr__(function)
        return _elementwise(getattr(mpmath, function))

    def finish(self, value: Array, dtype: Dtype) -> Array:
        return _real(value) if dtype.kind == "f" else np.asarray(value).astype(dtype)

    def to_numpy(self, value: Array, dtype: Dtype) -> np.ndarray[Any, Any]:
        return np.array(value, dtype)

    def leaf(self, node: Any) -> Array:
        return self.constant(self.values[node], node.dtype)

    def constant(self, value: Any, dtype: Dtype) -> Array:
        return _real(value) if dtype.kind in "fO" else np.asarray(value, dtype)

    def astype(self, x: Array, dtype: Dtype) -> Array:
        return x if dtype.kind == "f" else np.trunc(x.astype(np.float64)).astype(dtype)

    def divide(self, left: Array, right: Array) -> Array:
        """The quotient."""
        return _divide(left, right)

    def power(self, base: Array, exponent: Array) -> Array:
        return _power(base, exponent)

    def abs(self, x: Array) -> Array:
        """The absolute value."""
        return np.abs(x)

    def erf(self, x: Array) -> Array:
        return _elementwise(mpmath.erf)(x)

    def erfc(self, x: Array) -> Array:
        # Beyond 1e4, where it is below 10^-43000000, mpmath has no series.
        return _elementwise(lambda t: mpmath.erfc(t) if abs(t) < 1e4 else 1 - mpmath.sign(t))(x)

    def isfinite(self, x: Array) -> Array:
        """Whether a number is neither infinite nor NaN."""
        return _elementwise(mpmath.isfinite)(x).astype(bool)

    def maximum(self, left: Array, right: Array) -> Array:
        """The larger number; NaN if one is."""
        return np.where((left >= right) | (left != left), left, right)

    def minimum(self, left: Array, right: Array) -> Array:
        """The smaller number; NaN if one is."""
        return np.where((left <= right) | (left != left), left, right)

    def einsum(self, spec: str, *factors: Array) -> Array:
        return np.einsum(spec, *factors, optimize=False)

    def sum(self, x: Array, axes: Axes) -> Array:
        return np.asarray(super().sum(x, axes))

    def max(self, x: Array, axes: Axes) -> Array:
        return np.asarray(super().max(x, axes))

    def min(self, x: Array, axes: Axes) -> Array:
        return np.asarray(super().min(x, axes))


def _elementwise(function: Callable[..., Any]) -> Callable[..., Array]:
    """A function of numbers on object arrays; NaN where it is not defined."""

    def guarded(*numbers: Any) -> Any:
        try:
            return function(*numbers)
        except (ZeroDivisionError, ValueError):
            return mpmath.nan

    def apply(*arrays: Array) -> Array:
        return np.asarray(np.frompyfunc(guarded, len(arrays), 1)(*arrays), object)

    return apply


def _to_real(value: Any) -> Any:
    if isinstance(value, mpmath.mpc):
        return value.real if value.imag == 0 else mpmath.nan
    return mpmath.mpf(value.item() if isinstance(value, np.generic) else value)


def _real(value: Any) -> Array:
    return _elementwise(_to_real)(np.asarray(value, object))


def _quotient(left: Any, right: Any) -> Any:
    if right != 0:
        return left / right
    return mpmath.nan if left == 0 or mpmath.isnan(left) else mpmath.inf * mpmath.sign(left)


def _raise(base: Any, exponent: Any) -> Any:
    if base == 0 and exponent < 0:
        return mpmath.inf
    return mpmath.mpf(1) if exponent == 0 else mpmath.power(base, exponent)


def _divide(left: Array, right: Array) -> Array:
    return _elementwise(_quotient)(left, right)


def _power(base: Array, exponent: Array) -> Array:
    return _elementwise(_raise)(base, exponent)
