"""Memory that begins at a cache line, in huge pages where there is much of it.

A vector as long as a cache line that begins inside one touches two at each load and store; NumPy
promises 16 bytes. Small pages cost a look-up each: products run down columns, from page to page.
"""

from __future__ import annotations

import contextlib
import mmap
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

Array = np.ndarray[Any, Any]

LINE = 64
_HUGE = 2 << 20
MUCH = 1 << 20
"""Bytes from which on a huge page is worth what of it stays empty, if all of the rest is used."""


def aligned(shape: tuple[int, ...], dtype: npt.DTypeLike, much: int = MUCH) -> Array:
    """A C-contiguous array of that shape and dtype, whatever it holds, in huge pages from so many
    bytes on; MemoryError."""
    count = prod(shape) * np.dtype(dtype).itemsize
    return _bytes(count, much).view(dtype).reshape(shape)


def _bytes(count: int, much: int) -> npt.NDArray[np.uint8]:
    unit = _HUGE if count >= much and hasattr(mmap, "MADV_HUGEPAGE") else LINE
    if unit == LINE:
        memory = np.empty(count + LINE, np.uint8)
    else:
        pages = -(-count // _HUGE) * _HUGE
        try:
            # Private: a forked process has its own.
            mapped = mmap.mmap(-1, pages + _HUGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        except (OSError, OverflowError):
            raise MemoryError from None
        with contextlib.suppress(OSError):  # A system without huge pages says so.
            mapped.madvise(mmap.MADV_HUGEPAGE)
        memory = np.frombuffer(mapped, np.uint8)
    first = -int(memory.__array_interface__["data"][0]) % unit
    return memory[first : first + count]
