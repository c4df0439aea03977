"""Contractions on tensor cores: float32 in memory and in the sums, tf32 or bf16 in between.

The forms of a tile are FLAT, whose elements are chains of fused multiply-adds of rounded operands;
EIGHT, eight warps of 16 rows and 16 columns each, as wide as the columns ask for; and SMALL and
LARGE, eight warps of 32 x 16 and 64 x 32. The order of the sums is that of the depths, in steps
that the instruction adds up at once.
"""

# Numba types its decorators only in part.
# mypy: disable-error-code="no-untyped-call, call-overload, call-arg, unreachable, var-annotated"

from __future__ import annotations

from typing import Any

from numba.cuda import types

from codegen.cuda.async_copy import rolled
from codegen.cuda.contraction_parts import (
    EIGHT,
    FEW,
    FLAT,
    LARGE,
    NARROW,
    SHALLOW,
    SMALL,
    THREADS,
    bits_of,
    flat_place,
    height_of,
    tile_at,
    total_depth,
)
from codegen.cuda.contraction_stretch import Kind, summing
from codegen.cuda.contraction_sums import dotting
from codegen.cuda.operations import block_barrier, device_function, shared_float32, thread
from codegen.cuda.registers import registers, turned
from codegen.cuda.tensor_cores import (
    BF16,
    TF32,
    Precision,
    put_pairs,
    rounding,
    tensor_product,
    warp_together,
)

__all__ = [
    "EIGHT",
    "eight_float32",
    "rows_bf16",
    "rows_tf32",
    "squares_bf16",
    "squares_tf32",
    "staged_rows_bf16",
    "staged_rows_tf32",
    "staged_squares_bf16",
    "staged_squares_tf32",
    "taken_bf16",
    "taken_tf32",
    "tensor_form_of",
    "tensor_turns",
]


def kind_of(precision: Precision) -> Kind:
    """How operands are copied that are then rounded."""
    pad, together = precision.pad, precision.depth
    return Kind(types.float32, shared_float32, 32, 4, 2, pad, together, LARGE)


@device_function
def tensor_form_of(n: Any, batches: Any, height: Any, width: Any, largest: Any) -> Any:
    """The form of all tiles of a part, up to `largest`, and the binary logarithm of their width."""
    shift = min(max(bits_of(width - 1), types.int64(4)), types.int64(7))
    form = types.int64(EIGHT)
    if total_depth(n) <= SHALLOW or (batches > 1 and height * width <= FEW):
        form = types.int64(FLAT)
    elif largest >= SMALL and width > NARROW and height > NARROW:
        form, shift = types.int64(SMALL), types.int64(6)
        if width > 64 and height > 64:
            form, shift = types.int64(LARGE), types.int64(7)
    return form, shift


@device_function
def _warp_place(form: Any, shift: Any) -> Any:
    """The first row and the first column of this warp's part of a tile, and in which row of warps
    it is."""
    warp = thread() >> 5
    down, right = warp >> 2, warp & 3
    row, column = 32 * down, 16 * right
    if form == EIGHT:
        down, right = warp >> (shift - 4), warp & ((types.int64(1) << (shift - 4)) - 1)
        row, column = 16 * down, 16 * right
    elif form == LARGE:
        row, column = 64 * down, 32 * right
    return row, column, down


def _repeated(precision: Precision, tall: int, wide: int) -> Any:
    """The function that adds `count` depths to a warp's tile."""
    multiply = tensor_product(precision, tall, wide)
    depth, neighbours = precision.depth, precision.neighbours

    @device_function
    def several(arena: Any, left: Any, right: Any, count: Any, row_pitch: Any, column_pitch: Any,
                sums: Any) -> None:  # fmt: skip
        warp_together()
        # Thread 4 g + t begins at depth t, or at the t-th pair of depths, and at lane g.
        lane, down = (thread() & 31) >> 2, (thread() & 3) * neighbours
        left, right = left + down * row_pitch + lane, right + down * column_pitch + lane
        while count > 0:
            rolled()
            multiply(arena, left, right, row_pitch, column_pitch, sums)
            left, right = left + depth * row_pitch, right + depth * column_pitch
            count -= depth

    return several


def _multiplying(precision: Precision, largest: int) -> Any:
    narrow = _repeated(precision, 1, 2)
    small, large = _repeated(precision, 2, 2), _repeated(precision, 4, 4)

    @device_function
    def rows(form: Any, arena: Any, left: Any, right: Any, count: Any, row_pitch: Any,
             column_pitch: Any, sums: Any) -> None:  # fmt: skip
        narrow(arena, left, right, count, row_pitch, column_pitch, sums)

    @device_function
    def squares(form: Any, arena: Any, left: Any, right: Any, count: Any, row_pitch: Any,
                column_pitch: Any, sums: Any) -> None:  # fmt: skip
        if form == LARGE:
            large(arena, left, right, count, row_pitch, column_pitch, sums)
        elif form == SMALL:
            small(arena, left, right, count, row_pitch, column_pitch, sums)
        else:
            narrow(arena, left, right, count, row_pitch, column_pitch, sums)

    return squares if largest == LARGE else rows


def making(precision: Precision, largest: int) -> Any:
    """The function that makes a tile: its batch, first row and first column (of the thread's
    element, where it is FLAT); the sums are those it is given."""
    dot = dotting(types.float32, rounding(precision))
    add = summing(kind_of(precision), _multiplying(precision, largest))

    @device_function
    def made(n: Any, p: Any, tile: Any, form: Any, shift: Any, beside: Any, below: Any, part: Any,
             sums: Any) -> Any:  # fmt: skip
        if form == FLAT:
            batch, row, column = flat_place(tile, part)
            if batch < part[1]:
                sums[0] = dot(n, p, batch, row, column)
        else:
            over, down, right = tile_at(tile, beside, below)
            batch, row = part[0] + over, part[2] + down * height_of(form, shift)
            column = part[4] + (right << shift)
            my_row, my_column, _ = _warp_place(form, shift)
            row_shift = shift
            if form == EIGHT:
                row_shift = types.int64(11) - shift
            add(n, p, batch, row, column, part[3], part[5], form, row_shift, shift, my_row,
                my_column, sums)  # fmt: skip
        return batch, row, column

    return made


_next_of_four, _next_of_eight = turned(4, 16), turned(8, 64)
_next_of_narrow = turned(4, 8)
_put_four, _put_eight = put_pairs(2), put_pairs(4)


def staging(precision: Precision, largest: int) -> Any:
    """The function that puts the next eight rows of each warp's tile into shared memory, so that
    the threads can take their elements in the order in which they are stored."""
    pad, most = precision.pad, largest

    @device_function
    def staged(form: Any, shift: Any, sums: Any) -> None:
        arena = shared_float32()
        _, column, down = _warp_place(form, shift)
        lane, pair = (thread() & 31) >> 2, 2 * (thread() & 3)
        here = (8 * down + lane) * ((types.int64(1) << shift) + pad) + column + pair
        block_barrier()
        if most == LARGE and form == LARGE:
            _put_eight(arena, here, sums)
            _next_of_eight(sums)
        else:
            _put_four(arena, here, sums)
            if most == LARGE and form == SMALL:
                _next_of_four(sums)
            else:
                _next_of_narrow(sums)
        block_barrier()

    return staged


def taking(precision: Precision) -> Any:
    """The function that gives row, column and sum of the element at that place of what is
    `staged`; of a FLAT tile, the thread's own."""
    pad = precision.pad

    @device_function
    def taken(form: Any, shift: Any, turn: Any, place: Any, row: Any, column: Any,
              sums: Any) -> Any:  # fmt: skip
        result = sums[0]
        if form != FLAT:
            down, right = place >> shift, place & ((types.int64(1) << shift) - 1)
            result = shared_float32()[down * ((types.int64(1) << shift) + pad) + right]
            # Eight rows of each warp; a warp's tile is one, two or four times 16 rows high.
            tall = types.int64(16)
            if form == SMALL:
                tall = types.int64(32)
            elif form == LARGE:
                tall = types.int64(64)
            row, column = row + (down >> 3) * tall + 8 * turn + (down & 7), column + right
        return row, column, result

    return taken


@device_function
def tensor_turns(form: Any) -> Any:
    """How often the threads take up elements of a tile, and how many all of them together."""
    turns, together = types.int64(1), types.int64(THREADS)
    if form == EIGHT:
        turns, together = types.int64(2), types.int64(1024)
    elif form == SMALL:
        turns, together = types.int64(4), types.int64(16 * 64)
    elif form == LARGE:
        turns, together = types.int64(8), types.int64(16 * 128)
    return turns, together


rows_tf32, squares_tf32 = making(TF32, EIGHT), making(TF32, LARGE)
rows_bf16, squares_bf16 = making(BF16, EIGHT), making(BF16, LARGE)
staged_rows_tf32, staged_squares_tf32 = staging(TF32, EIGHT), staging(TF32, LARGE)
staged_rows_bf16, staged_squares_bf16 = staging(BF16, EIGHT), staging(BF16, LARGE)
taken_tf32, taken_bf16 = taking(TF32), taking(BF16)
eight_float32 = registers(types.float32, 8)
