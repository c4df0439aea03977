"""Arrays that live on the GPU already: whatever has `__cuda_array_interface__`."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

ALIGNMENT = 16
"""Bytes: kernels read four float32 at once."""


@dataclass(frozen=True, slots=True)
class View:
    """A dense array in device memory, which `owner` keeps."""

    address: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    writeable: bool
    owner: object

    @property
    def nbytes(self) -> int:
        return prod(self.shape) * self.dtype.itemsize


def on_device(array: object) -> bool:
    """Whether the array says that it is in device memory."""
    return hasattr(type(array), "__cuda_array_interface__") or hasattr(
        array, "__cuda_array_interface__"
    )


def view(array: Any) -> View:
    """The array's memory; ValueError if it has gaps, is not row-major, or does not start at a
    multiple of 16 bytes."""
    told = array.__cuda_array_interface__
    shape = tuple(int(extent) for extent in told["shape"])
    dtype = np.dtype(told["typestr"])
    address, read_only = told["data"]
    strides = told.get("strides")
    if strides is not None and prod(shape) > 0 and not _dense(shape, strides, dtype.itemsize):
        raise ValueError("an array on the GPU must be row-major without gaps")
    if address % ALIGNMENT:
        raise ValueError(f"an array on the GPU must start at a multiple of {ALIGNMENT} bytes")
    return View(int(address), shape, dtype, not read_only, array)


def _dense(shape: tuple[int, ...], strides: tuple[int, ...], size: int) -> bool:
    for extent, stride in zip(reversed(shape), reversed(strides), strict=True):
        if extent != 1 and stride != size:
            return False
        size *= extent
    return True
