"""The sums of contractions: every element is one chain of fused multiply-adds over the depths of
all products, in order, whatever the form of its tile.

Operands come into shared memory a stretch of the depth at a time, as [depth][row] and
[depth][column], by copies that go on while the stretch before is multiplied.
"""

# Numba types its decorators only in part.
# mypy: disable-error-code="no-untyped-call, call-overload, call-arg, unreachable, var-annotated"

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba.cuda import types
from numba.cuda.extending import intrinsic

from codegen.cuda.async_copy import (
    copies_begun,
    copies_done,
    copy_one,
    copy_vector,
    misaligned,
    rolled,
    twice,
)
from codegen.cuda.contraction_parts import (
    FLAT,
    FOUR,
    LARGE,
    ONE,
    SMALL,
    THREADS,
    height_of,
    tile_at,
    whole,
)
from codegen.cuda.operations import (
    block_barrier,
    device_function,
    offset,
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

_WORDS = types.CPointer(types.int64)
_GLOBAL = 1
PAD_BYTES = 16
"""Between the rows of a stretch, so that eight neighbouring depths are in different banks."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Of a dtype: its arena, how many depths are multiplied at a time (half as many in a LARGE
    tile), how many elements are 16 bytes and the binary logarithm of that, the largest form."""

    real: Any
    arena: Any
    depth: int
    vector: int
    vector_shift: int
    largest: int


FLOAT32 = Kind(types.float32, shared_float32, 32, 4, 2, LARGE)
FLOAT64 = Kind(types.float64, shared_float64, 16, 2, 1, SMALL)


def operand_of(kind: Any) -> Any:
    """The intrinsic that makes a pointer of a cell of `p` so many elements further on."""
    pointer = types.CPointer(kind)

    @intrinsic
    def operand(typingctx: Any, p: Any, cell: Any, further: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            element = context.get_value_type(pointer).pointee
            address = builder.load(builder.gep(args[0], [args[1]]))
            # Said to be in global memory, so that its loads are those of global memory.
            there = builder.inttoptr(address, ir.PointerType(element, _GLOBAL))
            return builder.addrspacecast(builder.gep(there, [args[2]]), element.as_pointer())

        return pointer(_WORDS, types.int64, types.int64), code

    return operand


def fetching(kind: Kind) -> Any:
    """The function that begins to copy an operand's stretch: so many depths of 1 << shift lanes,
    which are rows of the left operand or columns of the right one. Lanes past the last repeat it;
    depths past the last are left out."""
    vector, vector_shift = kind.vector, kind.vector_shift

    @device_function
    def fetch(into: Any, source: Any, across: Any, down: Any, lanes_left: Any, depth: Any,
              shift: Any) -> None:  # fmt: skip
        me, lanes = thread(), types.int64(1) << shift
        pitch = lanes + vector
        if (
            across == 1
            and misaligned(source) == 0
            and (down & (vector - 1)) == 0
            and (lanes_left & (vector - 1)) == 0
        ):
            lane = (me << vector_shift) & (lanes - 1)
            place, step = (me << vector_shift) >> shift, (THREADS << vector_shift) >> shift
            here, there = place * pitch + lane, place * down + min(lane, lanes_left - vector)
            while place < depth:
                copy_vector(offset(into, here), offset(source, there))
                place, here, there = place + step, here + step * pitch, there + step * down
            return
        # The threads go along the lanes of a depth; or, where neighbouring depths are neighbours in
        # memory, take eight depths of four lanes: whole sectors are read, and all banks written.
        first, place = me & (lanes - 1), me >> shift
        wide, step = lanes, types.int64(THREADS) >> shift
        if down == 1:
            first, place = (me >> 3) & (lanes - 1), (me & 7) + 8 * (me >> (3 + shift))
            wide, step = types.int64(THREADS // 8), types.int64(8) << max(5 - shift, 0)
        while place < depth:
            lane = first
            while lane < lanes:
                there = place * down + min(lane, lanes_left - 1) * across
                copy_one(offset(into, place * pitch + lane), offset(source, there))
                lane += wide
            place += step

    return fetch


def summing(kind: Kind, multiply: Any) -> Any:
    """The function that adds all products to a tile's sums, a stretch of the depth at a time.

    `multiply(form, arena, left, right, count, row_pitch, column_pitch, sums)` adds `count` depths
    of what begins at `left` and at `right`.
    """
    fetch, operand, arena_of = fetching(kind), operand_of(kind.real), kind.arena
    pad, most = kind.vector, kind.depth

    @device_function
    def add(n: Any, p: Any, batch: Any, row: Any, column: Any, last_row: Any, last_column: Any,
            form: Any, row_shift: Any, column_shift: Any, my_row: Any, my_column: Any,
            sums: Any) -> None:  # fmt: skip
        arena = arena_of()
        row_pitch = (types.int64(1) << row_shift) + pad
        column_pitch = (types.int64(1) << column_shift) + pad
        depth = types.int64(most // 2 if form == LARGE else most)
        beside, size = row_pitch * depth, (row_pitch + column_pitch) * depth
        for term in range(n[7]):
            cell = 8 + 7 * term
            deep = n[cell]
            left = operand(p, 2 * term, batch * n[cell + 1] + row * n[cell + 2])
            right = operand(p, 2 * term + 1, batch * n[cell + 4] + column * n[cell + 6])
            begun, coming, there = types.int64(0), types.int64(0), size
            while begun < deep + depth:
                # All have multiplied what stood where the next stretch goes, and what was copied
                # meanwhile is there.
                copies_done()
                block_barrier()
                count = min(depth, deep - begun)
                for side in range(twice() if count > 0 else 0):
                    into, source, stride = offset(arena, coming), left, cell + 2
                    lanes_left, shift = last_row - row, row_shift
                    if side == 1:
                        into, source, stride = offset(into, beside), right, cell + 6
                        lanes_left, shift = last_column - column, column_shift
                    # The left operand's strides are a row's and a depth's, the right one's a
                    # depth's and a column's.
                    down = n[cell + 3 + 2 * side]
                    fetch(into, offset(source, begun * down), n[stride], down, lanes_left, count,
                          shift)  # fmt: skip
                copies_begun()
                if begun > 0:
                    multiply(form, arena, there + my_row, there + beside + my_column,
                             min(depth, deep - begun + depth), row_pitch, column_pitch,
                             sums)  # fmt: skip
                begun += depth
                coming, there = there, coming

    return add


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


def dotting(kind: Any) -> Any:
    """The function that gives one element, read from global memory."""
    operand = operand_of(kind)

    @device_function
    def dot(n: Any, p: Any, batch: Any, row: Any, column: Any) -> Any:
        total = kind(0)
        for term in range(n[7]):
            cell = 8 + 7 * term
            along, down = n[cell + 3], n[cell + 5]
            left = operand(p, 2 * term, batch * n[cell + 1] + row * n[cell + 2])
            right = operand(p, 2 * term + 1, batch * n[cell + 4] + column * n[cell + 6])
            for place in range(n[cell]):
                total = fused(left[place * along], right[place * down], total)
        return total

    return dot


def making(kind: Kind, multiply: Any) -> Any:
    """The function that makes a tile: the batch, first row and first column of the thread's
    elements (of the tile, where it is SMALL or LARGE), whose sums are those it is given."""
    dot, add = dotting(kind.real), summing(kind, multiply)

    @device_function
    def made(n: Any, p: Any, tile: Any, form: Any, shift: Any, beside: Any, below: Any, part: Any,
             sums: Any) -> Any:  # fmt: skip
        first_batch, last_batch, first_row, last_row, first_column, last_column = part
        batch, row, column = first_batch, last_row, last_column
        if form == FLAT:
            height, width = last_row - first_row, last_column - first_column
            place = tile * THREADS + thread()
            above = whole(place, width)
            over = whole(above, height)
            batch = first_batch + over
            if batch < last_batch:
                row = first_row + above - over * height
                column = first_column + place - above * width
                sums[0] = dot(n, p, batch, row, column)
        else:
            over, down, right = tile_at(tile, beside, below)
            batch, row = first_batch + over, first_row + down * height_of(form, shift)
            column = first_column + (right << shift)
            my_row, my_column = place_of(form, shift)
            row_shift = shift
            if form < SMALL:
                row_shift = types.int64(8 if form == ONE else 10) - shift
            add(n, p, batch, row, column, last_row, last_column, form, row_shift, shift, my_row,
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
    arena_of, pad, most = kind.arena, kind.vector, kind.largest

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
    arena_of, pad = kind.arena, kind.vector

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


rows_float32, rows_float64 = making(FLOAT32, _multiply_rows), making(FLOAT64, _multiply_rows)
squares_float32 = making(FLOAT32, _multiply_any)
squares_float64 = making(FLOAT64, _multiply_squares)
four_float32, four_float64 = registers(types.float32, 4), registers(types.float64, 4)
sums_float32, sums_float64 = registers(types.float32, 64), registers(types.float64, 16)
staged_float32, staged_float64 = staging(FLOAT32), staging(FLOAT64)
taken_float32, taken_float64 = taking(FLOAT32), taking(FLOAT64)
next_sum = turned(1, 4)
