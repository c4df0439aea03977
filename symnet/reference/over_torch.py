"""torch as an array namespace: the bridge to its autograd."""

from __future__ import annotations

from typing import Any

import numpy as np

from symnet.expr import Dtype
from symnet.lazy import torch
from symnet.reference.namespace import Array, Axes, Namespace


class TorchNamespace(Namespace):
    """torch tensors on the CPU."""

    name = "torch"
    module = torch

    def constant(self, value: Any, dtype: Any) -> Array:
        # A tensor's own dtype is torch's, a node's is NumPy's.
        if isinstance(dtype, np.dtype):
            return torch.from_numpy(np.array(value, dtype))
        return torch.tensor(value, dtype=dtype)

    def to_numpy(self, value: Array, dtype: Dtype) -> np.ndarray[Any, Any]:
        return np.array(value.detach().numpy(), dtype)

    def astype(self, x: Array, dtype: Dtype) -> Array:
        """x in another dtype."""
        return x.to(getattr(torch, str(dtype)))

    def power(self, base: Array, exponent: Array) -> Array:
        """base to the power of exponent."""
        return torch.pow(base, exponent)

    def permute_dims(self, x: Array, axes: Axes) -> Array:
        """The axes in another order."""
        return torch.permute(x, axes)

    def concat(self, arrays: tuple[Array, ...], axis: int) -> Array:
        """The arrays one after another."""
        return torch.cat(arrays, axis)

    def sum(self, x: Array, axes: Axes) -> Array:
        return torch.sum(x, axes, dtype=x.dtype) if axes else x

    def prod(self, x: Array, axes: Axes) -> Array:
        for axis in reversed(axes):
            x = torch.prod(x, axis, dtype=x.dtype)
        return x

    def max(self, x: Array, axes: Axes) -> Array:
        return torch.amax(x, axes) if axes else x

    def min(self, x: Array, axes: Axes) -> Array:
        return torch.amin(x, axes) if axes else x

    def argmax(self, x: Array, axes: Axes) -> Array:
        return torch.argmax(x, axes[0])

    def add_at(self, shape: Axes, mesh: tuple[Array, ...], values: Array) -> Array:
        zeros = torch.zeros(shape, dtype=values.dtype)
        return zeros.index_put(mesh, values, accumulate=True)
