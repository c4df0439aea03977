"""The sums of contractions: every element is one chain of fused multiply-adds over the depths of
all products, in order, whatever the form of its tile."""

# Numba types its decorators only in part.
# mypy: disable-error-code="no-untyped-call, call-overload, call-arg, unreachable, var-annotated"

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.cuda import types
from numba.cuda.extending import intrinsic

from codegen.cuda.async_copy import rolled
from codegen.cuda.contraction_parts import (
    FLAT,
    FOUR,
    LARGE,
    ONE,
    SMALL,
    THREADS,
    flat_place,
    height_of,
    tile_at,
)
from codegen.cuda.contraction_stretch import Kind, operand_of, summing
from codegen.cuda.operations import (
    block_barrier,
    device_function,
    on,
    shared_float32,
    shared_float64,
    thread,
)
from codegen.cuda.registers import fused, product, put_sums, registers, turned

__all__ = [
    "four_float32",
    "four_float64",
    "next_sum",
    "rows_float32",
    "rows_float64",
    "squares_float32",
    "squares_float64",
    "staged_float32",
    "staged_float64",
    "sums_float32",
    "sums_float64",
    "taken_float32",
    "taken_float64",
    "turns_of",
]

FLOAT32 = Kind(types.float32, shared_float32, 32, 4, 2, 4, 1, LARGE)
FLOAT64 = Kind(types.float64, shared_float64, 16, 2, 1, 2, 1, SMALL)


def repeated(multiply: Any) -> Any:
    """The function that adds `count` depths by an intrinsic that adds one, four written out."""

    @device_function
    def several(arena: Any, left: Any, right: Any, count: Any, row_pitch: Any, column_pitch: Any,
                sums: Any) -> None:  # fmt: skip
        while count >= 4:
            rolled()
            for _ in range(4):
                multiply(arena, left, right, sums)
                left, right = left + row_pitch, right + column_pitch
            count -= 4
        while count > 0:
            rolled()
            multiply(arena, left, right, sums)
            left, right, count = left + row_pitch, right + column_pitch, count - 1

    return several


_one, _four = repeated(product((1, 1), (1, 1))), repeated(product((1, 4), (1, 1)))
_small, _large = repeated(product((1, 4), (1, 4))), repeated(product((2, 4), (2, 4)))


@device_function
def _multiply_rows(form: Any, arena: Any, left: Any, right: Any, count: Any, row_pitch: Any,
                   column_pitch: Any, sums: Any) -> None:  # fmt: skip
    if form == ONE:
        _one(arena, left, right, count, row_pitch, column_pitch, sums)
    else:
        _four(arena, left, right, count, row_pitch, column_pitch, sums)


@device_function
def _multiply_squares(form: Any, arena: Any, left: Any, right: Any, count: Any, row_pitch: Any,
                      column_pitch: Any, sums: Any) -> None:  # fmt: skip
    if form == SMALL:
        _small(arena, left, right, count, row_pitch, column_pitch, sums)
    else:
        _multiply_rows(form, arena, left, right, count, row_pitch, column_pitch, sums)


@device_function
def _multiply_any(form: Any, arena: Any, left: Any, right: Any, count: Any, row_pitch: Any,
                  column_pitch: Any, sums: Any) -> None:  # fmt: skip
    if form == LARGE:
        _large(arena, left, right, count, row_pitch, column_pitch, sums)
    else:
        _multiply_squares(form, arena, left, right, count, row_pitch, column_pitch, sums)


@device_function
def _as_it_is(value: Any) -> Any:
    return value


@intrinsic
def eight(typingctx: Any, pointer: Any, first: Any, step: Any) -> Any:
    """The elements first, first + step, ..., first + 7 step; all places are below 2**32."""
    result = types.UniTuple(pointer.dtype, 8)

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer, first, step = args
        short, word = ir.IntType(32), ir.IntType(64)
        place, step = builder.trunc(first, short), builder.trunc(step, short)
        values = []
        for _ in range(8):
            values.append(builder.load(builder.gep(pointer, [builder.zext(place, word)])))
            place = builder.add(place, step)
        return context.make_tuple(builder, result, values)

    return result(pointer, types.int64, types.int64), code


def dotting(kind: Any, rounded: Any = _as_it_is) -> Any:
    """The function that gives one element, of operands read from global memory and rounded."""
    operand = operand_of(kind)

    @device_function
    def dot(n: Any, p: Any, batch: Any, row: Any, column: Any) -> Any:
        total = kind(0)
        for term in range(n[7]):
            cell = 8 + 7 * term
            along, down = n[cell + 3], n[cell + 5]
            left = operand(p, 2 * term, batch * n[cell + 1] + row * n[cell + 2])
            right = operand(p, 2 * term + 1, batch * n[cell + 4] + column * n[cell + 6])
            here, there, count = types.int64(0), types.int64(0), n[cell]
            # Eight of each are asked for before the first is there.
            while count >= 8:
                ones, others = eight(left, here, along), eight(right, there, down)
                total = fused(rounded(ones[0]), rounded(others[0]), total)
                total = fused(rounded(ones[1]), rounded(others[1]), total)
                total = fused(rounded(ones[2]), rounded(others[2]), total)
                total = fused(rounded(ones[3]), rounded(others[3]), total)
                total = fused(rounded(ones[4]), rounded(others[4]), total)
                total = fused(rounded(ones[5]), rounded(others[5]), total)
                total = fused(rounded(ones[6]), rounded(others[6]), total)
                total = fused(rounded(ones[7]), rounded(others[7]), total)
                here, there, count = on(here, 8 * along), on(there, 8 * down), count - 8
            while count > 0:
                total = fused(rounded(left[here]), rounded(right[there]), total)
                here, there, count = on(here, along), on(there, down), count - 1
        return total

    return dot


def making(dot: Any, add: Any) -> Any:
    """The function that makes a tile: the batch, first row and first column of the thread's
    elements (of the tile, where it is SMALL or LARGE), whose sums are those it is given."""

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
            my_row, my_column = place_of(form, shift)
            row_shift = shift
            if form < SMALL:
                row_shift = types.int64(8 if form == ONE else 10) - shift
            add(n, p, batch, row, column, part[3], part[5], form, row_shift, shift, my_row,
                my_column, sums)  # fmt: skip
            if form < SMALL:
                row, column = row + my_row, column + my_column
        return batch, row, column

    return made


@device_function
def place_of(form: Any, shift: Any) -> Any:
    """The first row and the first column of the thread's elements in a tile that is not FLAT."""
    me = thread()
    row, column = me >> shift, me & ((types.int64(1) << shift) - 1)
    if form == FOUR:
        row *= 4
    elif form >= SMALL:
        # A warp is four threads high and eight wide: what they read together is in different banks.
        row = 4 * (((me >> 3) & 3) + 4 * (me >> 6))
        column = 4 * ((me & 7) + 8 * ((me >> 5) & 1))
    return row, column


_next_of_four, _next_of_eight = turned(4, 16), turned(8, 64)
_put_four, _put_eight = put_sums(1, 4), put_sums(2, 4)


def staging(kind: Kind) -> Any:
    """The function that puts the next of each thread's rows into shared memory, so that the threads
    can take its elements in the order in which they are stored: 16 rows of the tile."""
    arena_of, pad, most = kind.arena, kind.pad, kind.largest

    @device_function
    def staged(form: Any, shift: Any, sums: Any) -> None:
        arena = arena_of()
        row, column = place_of(form, shift)
        here = (row >> 2) * ((types.int64(1) << shift) + pad) + column
        block_barrier()
        if form < most or most == SMALL:
            _put_four(arena, here, sums)
            _next_of_four(sums)
        else:
            _put_eight(arena, here, sums)
            _next_of_eight(sums)
        block_barrier()

    return staged


def taking(kind: Kind) -> Any:
    """The function that gives row, column and sum of the element at that place of what is
    `staged`; elsewhere the thread's next sum."""
    arena_of, pad = kind.arena, kind.pad

    @device_function
    def taken(form: Any, shift: Any, turn: Any, place: Any, row: Any, column: Any,
              sums: Any) -> Any:  # fmt: skip
        result = sums[0]
        if form < SMALL:
            next_sum(sums)
            row += turn
        else:
            down, right = place >> shift, place & ((types.int64(1) << shift) - 1)
            result = arena_of()[down * ((types.int64(1) << shift) + pad) + right]
            row, column = row + 64 * (turn >> 2) + 4 * down + (turn & 3), column + right
        return row, column, result

    return taken


@device_function
def turns_of(form: Any) -> Any:
    """How often the threads take up elements of a tile, and how many all of them together."""
    turns, together = types.int64(1), types.int64(THREADS)
    if form == FOUR:
        turns = types.int64(4)
    elif form == SMALL:
        turns, together = types.int64(4), types.int64(16 * 64)
    elif form == LARGE:
        turns, together = types.int64(8), types.int64(16 * 128)
    return turns, together


_dot_float32, _dot_float64 = dotting(types.float32), dotting(types.float64)
rows_float32 = making(_dot_float32, summing(FLOAT32, _multiply_rows))
rows_float64 = making(_dot_float64, summing(FLOAT64, _multiply_rows))
squares_float32 = making(_dot_float32, summing(FLOAT32, _multiply_any))
squares_float64 = making(_dot_float64, summing(FLOAT64, _multiply_squares))
four_float32, four_float64 = registers(types.float32, 4), registers(types.float64, 4)
sums_float32, sums_float64 = registers(types.float32, 64), registers(types.float64, 16)
staged_float32, staged_float64 = staging(FLOAT32), staging(FLOAT64)
taken_float32, taken_float64 = taking(FLOAT32), taking(FLOAT64)
next_sum = turned(1, 4)
