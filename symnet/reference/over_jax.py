"""JAX as an array namespace, in 64 bits: the bridge to its autograd."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from symnet.expr import Dtype
from symnet.lazy import jax, jax_numpy
from symnet.reference.namespace import Array, Axes, Namespace


class JaxNamespace(Namespace):
    """JAX arrays; 64 bits are switched on while a graph is evaluated, and only then."""

    name = "jax"
    module = jax_numpy

    @classmethod
    @contextmanager
    def settings(cls) -> Iterator[None]:
        with jax.enable_x64(True):
            yield

    def constant(self, value: Any, dtype: Dtype) -> Array:
        return jax_numpy.asarray(np.asarray(value, dtype))

    def astype(self, x: Array, dtype: Dtype) -> Array:
        """x in another dtype."""
        return x.astype(dtype)

    def concat(self, arrays: tuple[Array, ...], axis: int) -> Array:
        """The arrays one after another."""
        return jax_numpy.concat(arrays, axis=axis)

    def erf(self, x: Array) -> Array:
        """The error function."""
        return jax.lax.erf(x)

    def erfc(self, x: Array) -> Array:
        """1 - erf(x), without cancellation."""
        return jax.lax.erfc(x)

    def check_index(self, index: Array, size: int) -> None:
        # While jax differentiates it, an array has no values to look at.
        if not isinstance(index, jax.core.Tracer):
            super().check_index(index, size)

    def add_at(self, shape: Axes, mesh: tuple[Array, ...], values: Array) -> Array:
        return jax_numpy.zeros(shape, values.dtype).at[mesh].add(values)
