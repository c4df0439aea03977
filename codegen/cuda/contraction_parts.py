"""What the texts of contractions call: which part of the result a block makes, how it is cut into
tiles, and where the threads' elements stand in them.

Cells of `n` as `codegen.cpu.contraction_kernel` has them: the axis that is shared out (0 batch, 1
rows, 2 columns), the extent of its first letter, how many of those are a tile (0: the first worker
takes all), how many indices each of them is; batch, rows, columns; how many products; then for each
product its depth and its strides in elements: left batch, row, depth, right batch, depth, column.
The left and the right operand of product k are the cells 2 k and 2 k + 1 of `p`.

A tile has one of these forms. FLAT: 256 elements in the order in which they are stored, one a
thread, read from global memory, for products so shallow or matrices so small that nothing is gained
by sharing what is read. ONE and FOUR: each thread has one element, or four below one another, of a
tile as wide as the columns ask for; EIGHT, on tensor cores, is such a tile too. SMALL and LARGE:
squares of 64 and 128, of which each thread has 4 x 4 and 8 x 8 elements.
"""

# Numba types its decorators only in part.
# mypy: disable-error-code="no-untyped-call, call-overload, call-arg, unreachable, var-annotated"

from __future__ import annotations

from typing import Any, Final

from llvmlite import ir
from numba.cuda import types
from numba.cuda.extending import intrinsic

from codegen.cuda.operations import device_function, share, thread

__all__ = ["FOUR", "LARGE", "SMALL", "form_of", "number_of_tiles", "parts"]

FLAT, ONE, FOUR, EIGHT, SMALL, LARGE = range(6)
THREADS: Final = 256
COLUMNS_TOGETHER: Final = 32
"""Columns that stay together where blocks share them out."""
SHALLOW: Final = 16
FEW: Final = 128
NARROW: Final = 32


@intrinsic
def whole(typingctx: Any, number: Any, divisor: Any) -> Any:
    """number // divisor; both are positive and below 2**32, which makes it a quick division."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        short = [builder.trunc(arg, ir.IntType(32)) for arg in args]
        return builder.zext(builder.udiv(*short), ir.IntType(64))

    return types.int64(types.int64, types.int64), code


@intrinsic
def bits_of(typingctx: Any, number: Any) -> Any:
    """How many binary digits a number has that is not negative."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        leading = builder.ctlz(args[0], ir.IntType(1)(0))
        return builder.sub(ir.IntType(64)(64), leading)

    return types.int64(types.int64), code


@device_function
def parts(worker: Any, workers: Any, n: Any, columns_shared: Any) -> Any:
    """First and last batch, row and column of this block.

    The blocks are a grid: worker // columns_shared takes its share of whole tiles of the axis that
    is shared out, and worker % columns_shared its share of the columns that are left.
    """
    across, place, beside = types.int64(1), worker, types.int64(0)
    first, last = types.int64(0), n[1]
    if workers > 1:
        across = min(columns_shared, workers)
        along = whole(workers, across)
        place = whole(worker, across)
        beside = worker - place * across
        if n[2] == 0:
            if place > 0:
                last = types.int64(0)
        elif place < along:
            first, last = share(place, along, n[1], n[2]), share(place + 1, along, n[1], n[2])
        else:
            last = types.int64(0)
    first, last = first * n[3], last * n[3]
    batch, row, column = types.int64(0), types.int64(0), types.int64(0)
    last_batch, last_row, last_column = n[4], n[5], n[6]
    if n[0] == 0:
        batch, last_batch = first, last
    elif n[0] == 1:
        row, last_row = first, last
    else:
        column, last_column = first, last
    if across > 1:
        width = last_column - column
        last_column = column + share(beside + 1, across, width, COLUMNS_TOGETHER)
        column += share(beside, across, width, COLUMNS_TOGETHER)
    return batch, last_batch, row, last_row, column, last_column


@device_function
def total_depth(n: Any) -> Any:
    """The depths of all products together."""
    depth = types.int64(0)
    for product in range(n[7]):
        depth += n[8 + 7 * product]
    return depth


@device_function
def form_of(n: Any, batches: Any, height: Any, width: Any, largest: Any) -> Any:
    """The form of all tiles of a part, up to `largest`, and the binary logarithm of their width."""
    shift = min(max(bits_of(width - 1), types.int64(3)), types.int64(7))
    form = types.int64(FOUR)
    if total_depth(n) <= SHALLOW or (batches > 1 and height * width <= FEW):
        form = types.int64(FLAT)
    elif height << shift <= THREADS:
        form = types.int64(ONE)
    elif largest >= SMALL and width > NARROW and height > NARROW:
        form, shift = types.int64(SMALL), types.int64(6)
        if largest >= LARGE and width > 64 and height > 64:
            form, shift = types.int64(LARGE), types.int64(7)
    return form, shift


@device_function
def height_of(form: Any, shift: Any) -> Any:
    """How many rows a tile has that is not FLAT."""
    each = 4
    if form == ONE:
        each = 1
    elif form == EIGHT:
        each = 8
    high = types.int64(THREADS) * each >> shift
    if form >= SMALL:
        high = types.int64(1) << shift
    return high


@device_function
def number_of_tiles(form: Any, shift: Any, batches: Any, height: Any, width: Any) -> Any:
    """How many tiles a part has, and how many stand beside one another and below one another."""
    count, beside, below = types.int64(0), types.int64(1), types.int64(1)
    if batches > 0 and height > 0 and width > 0:
        if form == FLAT:
            count = (batches * height * width + (THREADS - 1)) // types.int64(THREADS)
        else:
            high = height_of(form, shift)
            beside = (width + (types.int64(1) << shift) - 1) >> shift
            below = whole(height + high - 1, high)
            count = batches * below * beside
    return count, beside, below


@device_function
def tile_at(tile: Any, beside: Any, below: Any) -> Any:
    """Which batch, which of the tiles below and which of those beside one another it is."""
    above = whole(tile, beside)
    batch = whole(above, below)
    return batch, above - batch * below, tile - above * beside


@device_function
def flat_place(tile: Any, part: Any) -> Any:
    """Batch, row and column of the thread's element of a FLAT tile; past the last batch, those
    after the part's last ones."""
    first_batch, last_batch, first_row, last_row, first_column, last_column = part
    height, width = last_row - first_row, last_column - first_column
    place = tile * THREADS + thread()
    above = whole(place, width)
    over = whole(above, height)
    batch, row = first_batch + over, first_row + above - over * height
    column = first_column + place - above * width
    if batch >= last_batch:
        row, column = last_row, last_column
    return batch, row, column
