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

from codegen.cuda.async_copy import copies_begun, copies_done, copy_one, copy_vector, misaligned
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
from codegen.cuda.registers import fused, product, registers, turned

__all__ = ["four_float32", "four_float64", "next_sum", "rows_float32", "rows_float64"]

_WORDS = types.CPointer(types.int64)
_GLOBAL = 1
PAD_BYTES = 16
"""Between the rows of a stretch, so that eight neighbouring depths are in different banks."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Of a dtype: its arena, how many depths are multiplied at a time, how many elements are 16
    bytes and the binary logarithm of that."""

    kind: Any
    arena: Any
    depth: int
    vector: int
    vector_shift: int


FLOAT32 = Stretch(types.float32, shared_float32, 32, 4, 2)
FLOAT64 = Stretch(types.float64, shared_float64, 16, 2, 1)


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


def fetching(stretch: Stretch, depth: int, fills: bool = False) -> Any:
    """The function that begins to copy an operand's stretch: so many depths of 1 << shift lanes,
    which are rows of the left operand or columns of the right one. Lanes past the last repeat it;
    depths past the last are left out, or zero if it `fills`."""
    vector, vector_shift, kind = stretch.vector, stretch.vector_shift, stretch.kind

    @device_function
    def fetch(into: Any, source: Any, across: Any, down: Any, lanes_left: Any, depth_left: Any,
              shift: Any) -> None:  # fmt: skip
        me, lanes = thread(), types.int64(1) << shift
        pitch = lanes + vector
        last = min(types.int64(depth), depth_left)
        end = types.int64(depth) if fills else last
        if (
            across == 1
            and misaligned(source) == 0
            and (down & (vector - 1)) == 0
            and (lanes_left & (vector - 1)) == 0
        ):
            lane = (me << vector_shift) & (lanes - 1)
            place, step = (me << vector_shift) >> shift, (THREADS << vector_shift) >> shift
            here = place * pitch + lane
            there = place * down + min(lane, lanes_left - vector)
            while place < last:
                copy_vector(offset(into, here), offset(source, there))
                place, here, there = place + step, here + step * pitch, there + step * down
            if fills:
                while place < end:
                    for one in range(vector):
                        into[here + one] = kind(0)
                    place, here = place + step, here + step * pitch
            return
        if down == 1:
            # Eight depths of four lanes: whole sectors are read, and written to all the banks.
            first, place = (me >> 3) & (lanes - 1), (me & 7) + 8 * (me >> (3 + shift))
            step = types.int64(8) << max(5 - shift, 0)
            while place < end:
                lane = first
                while lane < lanes:
                    here = offset(into, place * pitch + lane)
                    if place < last:
                        copy_one(here, offset(source, place + min(lane, lanes_left - 1) * across))
                    else:
                        here[0] = kind(0)
                    lane += 32
                place += step
            return
        lane, place, step = me & (lanes - 1), me >> shift, types.int64(THREADS) >> shift
        here, there = place * pitch + lane, place * down + min(lane, lanes_left - 1) * across
        while place < last:
            copy_one(offset(into, here), offset(source, there))
            place, here, there = place + step, here + step * pitch, there + step * down
        if fills:
            while place < end:
                into[here] = kind(0)
                place, here = place + step, here + step * pitch

    return fetch


def summing(stretch: Stretch, depth: int, compute: Any, fills: bool = False) -> Any:
    """The function that adds all products to a tile's sums, a stretch of so many depths at a time.

    `compute(arena, left, right, count, row_pitch, column_pitch, sums)` adds `count` depths of what
    begins at `left` and at `right`.
    """
    fetch, operand, kind = fetching(stretch, depth, fills), operand_of(stretch.kind), stretch.kind
    arena_of, pad = stretch.arena, PAD_BYTES * 8 // kind.bitwidth

    @device_function
    def sums_of(n: Any, p: Any, batch: Any, row: Any, column: Any, last_row: Any, last_column: Any,
                row_shift: Any, column_shift: Any, my_row: Any, my_column: Any, sums: Any) -> None:  # fmt: skip
        arena = arena_of()
        row_pitch = (types.int64(1) << row_shift) + pad
        column_pitch = (types.int64(1) << column_shift) + pad
        beside = row_pitch * depth
        size = beside + column_pitch * depth
        for product in range(n[7]):
            cell = 8 + 7 * product
            deep, left_down, right_down = n[cell], n[cell + 3], n[cell + 5]
            left = operand(p, 2 * product, batch * n[cell + 1] + row * n[cell + 2])
            right = operand(p, 2 * product + 1, batch * n[cell + 4] + column * n[cell + 6])
            begun, computed = types.int64(0), types.int64(0)
            coming, there = types.int64(0), size
            while computed < deep:
                # All have computed what stood where the next stretch goes, and what was copied
                # meanwhile is there.
                copies_done()
                block_barrier()
                if begun < deep:
                    into = offset(arena, coming)
                    fetch(into, offset(left, begun * left_down), n[cell + 2], left_down,
                          last_row - row, deep - begun, row_shift)  # fmt: skip
                    fetch(offset(into, beside), offset(right, begun * right_down), n[cell + 6],
                          right_down, last_column - column, deep - begun, column_shift)  # fmt: skip
                    copies_begun()
                if begun > 0:
                    compute(arena, there + my_row, there + beside + my_column,
                            min(types.int64(depth), deep - computed), row_pitch, column_pitch,
                            sums)  # fmt: skip
                    computed += depth
                begun += depth
                coming, there = there, coming
            block_barrier()

    return sums_of


def computing(add: Any) -> Any:
    """The function that adds `count` depths, one by `add`, four of them written out."""

    @device_function
    def compute(arena: Any, left: Any, right: Any, count: Any, row_pitch: Any, column_pitch: Any,
                sums: Any) -> None:  # fmt: skip
        while count >= 4:
            add(arena, left, right, sums)
            add(arena, left + row_pitch, right + column_pitch, sums)
            add(arena, left + 2 * row_pitch, right + 2 * column_pitch, sums)
            add(arena, left + 3 * row_pitch, right + 3 * column_pitch, sums)
            left, right, count = left + 4 * row_pitch, right + 4 * column_pitch, count - 4
        while count > 0:
            add(arena, left, right, sums)
            left, right, count = left + row_pitch, right + column_pitch, count - 1

    return compute


def dotting(kind: Any) -> Any:
    """The function that gives one element, read from global memory."""
    operand = operand_of(kind)

    @device_function
    def dot(n: Any, p: Any, batch: Any, row: Any, column: Any) -> Any:
        total = kind(0)
        for product in range(n[7]):
            cell = 8 + 7 * product
            along, down = n[cell + 3], n[cell + 5]
            left = operand(p, 2 * product, batch * n[cell + 1] + row * n[cell + 2])
            right = operand(p, 2 * product + 1, batch * n[cell + 4] + column * n[cell + 6])
            for place in range(n[cell]):
                total = fused(left[place * along], right[place * down], total)
        return total

    return dot


def making_rows(stretch: Stretch) -> Any:
    """The function that makes a tile of the forms FLAT, ONE and FOUR: the batch, first row and
    column of the thread's elements, whose sums are those it is given."""
    dot = dotting(stretch.kind)
    ones = summing(stretch, stretch.depth, computing(product((1, 1), (1, 1))))
    fours = summing(stretch, stretch.depth, computing(product((1, 4), (1, 1))))

    @device_function
    def made(n: Any, p: Any, tile: Any, form: Any, shift: Any, beside: Any, below: Any, part: Any,
             sums: Any) -> Any:  # fmt: skip
        first_batch, last_batch, first_row, last_row, first_column, last_column = part
        if form == FLAT:
            height, width = last_row - first_row, last_column - first_column
            place = tile * THREADS + thread()
            above = whole(place, width)
            over = whole(above, height)
            batch, row = first_batch + over, first_row + above - over * height
            column = first_column + place - above * width
            if batch < last_batch:
                sums[0] = dot(n, p, batch, row, column)
            else:
                row = last_row
            return batch, row, column
        over, down, right = tile_at(tile, beside, below)
        batch, top = first_batch + over, first_row + down * height_of(form, shift)
        start = first_column + (right << shift)
        my_row, my_column = thread() >> shift, thread() & ((types.int64(1) << shift) - 1)
        if form == ONE:
            ones(n, p, batch, top, start, last_row, last_column, 8 - shift, shift, my_row,
                 my_column, sums)  # fmt: skip
        else:
            my_row *= 4
            fours(n, p, batch, top, start, last_row, last_column, 10 - shift, shift, my_row,
                  my_column, sums)  # fmt: skip
        return batch, top + my_row, start + my_column

    return made


rows_float32, rows_float64 = making_rows(FLOAT32), making_rows(FLOAT64)
four_float32, four_float64 = registers(types.float32, 4), registers(types.float64, 4)
next_sum = turned(1, 4)
