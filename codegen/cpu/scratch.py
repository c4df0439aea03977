"""What a contraction's worker keeps for itself: one piece of memory of a fixed size."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

HEADER = 8
"""Words of 64 bits before the block: the batch, first row, row past the last, first column, column
past the last, and elements from one row of the block to the next."""

_HEADER_BYTES = 8 * HEADER
_DEPTH = 1024
_PANEL_BYTES = 512 << 10
"""A depth is cut only where its panels would fill more than half of a second cache of 1 MiB: a tile
reads them from there as fast as it computes, but each stretch reads and writes the block."""
_BLOCK_ROWS = 128
_GROUP_BYTES = 16 << 10
# Packing may write as many rows past a panel as a vector has lanes: 16 of 64 floats at the most.
_SLACK = 1024


@dataclass(frozen=True, slots=True)
class Scratch:
    """In elements: the most of the depth, of a result's rows and columns that are at work at once;
    the size a block is to have if it can be finished at once, so that the epilogue finds it in the
    first cache; and where the block, the packed rows of the left operand and the panels of the
    right one begin."""

    depth: int
    rows: int
    columns: int
    group: int
    block: int
    left: int
    right: int
    bytes: int


@functools.cache
def scratch(dtype: str) -> Scratch:
    """The scratch of contractions of that dtype."""
    size = np.dtype(dtype).itemsize
    columns = _PANEL_BYTES // (_DEPTH * size)
    block = _HEADER_BYTES // size
    left = block + _BLOCK_ROWS * columns
    right = left + _BLOCK_ROWS * _DEPTH + _SLACK
    end = right + _DEPTH * columns + _SLACK
    return Scratch(
        _DEPTH, _BLOCK_ROWS, columns, _GROUP_BYTES // size, block, left, right, end * size
    )


SCRATCH_BYTES = -(-max(scratch(dtype).bytes for dtype in ("float32", "float64")) // 64) * 64
"""What any contraction's worker needs: whole cache lines."""
