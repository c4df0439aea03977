"""Memory that there is not, said in words: what it was for, and how much."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from typing import Any

import numpy as np

from symnet.errors import OutOfMemoryError
from symnet.sizes import show_shape

Array = np.ndarray[Any, Any]
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_ADDRESSABLE = 1 << 62


def room(what: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """An array of any values; OutOfMemoryError, which says what it is for."""
    with room_told(what, shape, dtype):
        return np.empty(shape, dtype)


@contextmanager
def room_told(what: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Iterator[None]:
    """OutOfMemoryError, which says what of, if making an array of this shape finds no room."""
    count = prod(shape) * dtype.itemsize
    try:
        if count >= _ADDRESSABLE:
            raise MemoryError
        yield
    except MemoryError:
        raise OutOfMemoryError(
            f"there is not enough memory for {what}: {show_shape(shape)} {dtype} takes "
            f"{show_bytes(count)}"
        ) from None


def show_bytes(count: int) -> str:
    """A number of bytes, as 3.6 TiB."""
    number, unit = float(count), 0
    while number >= 1024 and unit < len(_UNITS) - 1:
        number, unit = number / 1024, unit + 1
    return f"{number:.4g} {_UNITS[unit]}"
