"""NumPy as an array namespace, and its complex numbers for the complex step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np

from symnet.expr import Dtype, Expr
from symnet.lazy import scipy_special
from symnet.ops.core import FLOATS
from symnet.reference.namespace import Array, Axes, Namespace


class NumpyNamespace(Namespace):
    """NumPy, exact in dtype: float32 stays float32."""

    name = "numpy"
    module: ClassVar[Any] = np

    @classmethod
    @contextmanager
    def settings(cls) -> Iterator[None]:
        with np.errstate(all="ignore"):
            yield

    def finish(self, value: Array, dtype: Dtype) -> Array:
        return np.asarray(value)

    def astype(self, x: Array, dtype: Dtype) -> Array:
        """x in another dtype."""
        return x.astype(dtype)

    def power(self, base: Array, exponent: Array) -> Array:
        """base to the power of exponent."""
        return np.power(base, exponent)

    def erf(self, x: Array) -> Array:
        """The error function."""
        return scipy_special.erf(x)

    def erfc(self, x: Array) -> Array:
        """1 - erf(x), without cancellation."""
        return scipy_special.erfc(x)

    def einsum(self, spec: str, *factors: Array) -> Array:
        """The sum of products."""
        return np.einsum(spec, *factors, optimize=len(factors) > 2)

    def add_at(self, shape: Axes, mesh: tuple[Array, ...], values: Array) -> Array:
        total = np.zeros(shape, values.dtype)
        np.add.at(total, mesh, values)
        return total


class ComplexNamespace(NumpyNamespace):
    """NumPy on complex numbers x + hi, such that the imaginary part of a result is its derivative.

    Whatever chooses, chooses by the real part, so that each branch stays analytic.
    """

    name = "complex"

    def astype(self, x: Array, dtype: Dtype) -> Array:
        """Floats keep both parts; integers and booleans come from the real part."""
        if dtype in FLOATS:
            return x.astype(np.complex128) if np.iscomplexobj(x) else x.astype(np.float64)
        return np.real(x).astype(dtype)

    def constant(self, value: Any, dtype: Dtype) -> Array:
        return np.asarray(value, np.float64 if dtype.kind in "fc" else dtype)

    def leaf(self, node: Expr) -> Array:
        return np.asarray(self.values[node])

    def less(self, left: Array, right: Array) -> Array:
        return np.real(left) < np.real(right)

    def less_equal(self, left: Array, right: Array) -> Array:
        return np.real(left) <= np.real(right)

    def equal(self, left: Array, right: Array) -> Array:
        return np.real(left) == np.real(right)

    def not_equal(self, left: Array, right: Array) -> Array:
        return np.real(left) != np.real(right)

    def maximum(self, left: Array, right: Array) -> Array:
        """The number with the larger real part."""
        return np.where(np.real(left) > np.real(right), left, right)

    def minimum(self, left: Array, right: Array) -> Array:
        """The number with the smaller real part."""
        return np.where(np.real(left) < np.real(right), left, right)

    def abs(self, x: Array) -> Array:
        """x or -x, whichever has a real part that is not negative."""
        return np.where(np.real(x) < 0, -x, x)

    def sign(self, x: Array) -> Array:
        """The sign of the real part."""
        return np.sign(np.real(x))

    def floor(self, x: Array) -> Array:
        """The floor of the real part."""
        return np.floor(np.real(x))

    def atan2(self, y: Array, x: Array) -> Array:
        """The angle, by the arctangent of whichever quotient is not larger than 1."""
        steep = np.abs(np.real(y)) > np.abs(np.real(x))
        upper, lower = np.where(steep, -x, y), np.where(steep, y, x)
        near = np.atan(upper / np.where(np.real(lower) == 0, 1, lower))
        turns = np.round((np.atan2(np.real(y), np.real(x)) - np.real(near)) / (np.pi / 2))
        return near + turns * (np.pi / 2)

    def max(self, x: Array, axes: Axes) -> Array:
        return self._extreme(x, axes, np.argmax)

    def min(self, x: Array, axes: Axes) -> Array:
        return self._extreme(x, axes, np.argmin)

    def argmax(self, x: Array, axes: Axes) -> Array:
        return super().argmax(np.real(x), axes)

    def _extreme(self, x: Array, axes: Axes, choose: Any) -> Array:
        rest = tuple(axis for axis in range(x.ndim) if axis not in axes)
        kept = tuple(x.shape[axis] for axis in rest)
        flat = np.transpose(x, (*rest, *axes)).reshape(*kept, -1)
        where = choose(np.real(flat), axis=-1)[..., None]
        return np.take_along_axis(flat, where, -1)[..., 0]

    def _centre(self, x: Array, axes: Axes) -> Array:
        return super()._centre(np.real(x), axes)
