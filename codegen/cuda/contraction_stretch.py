"""Stretches of the depth: operands come into shared memory as [depth][row] and [depth][column], by
copies that go on while the stretch before is multiplied."""

# Numba types its decorators only in part.
# mypy: disable-error-code="no-untyped-call, call-overload, call-arg, unreachable, var-annotated"

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba.cuda import types
from numba.cuda.extending import intrinsic

from codegen.cuda.async_copy import (
    clear_word,
    copies_begun,
    copies_done,
    copy_one,
    copy_vector,
    misaligned,
    twice,
)
from codegen.cuda.contraction_parts import LARGE, THREADS
from codegen.cuda.operations import block_barrier, device_function, offset, thread

_WORDS = types.CPointer(types.int64)
_GLOBAL = 1


@dataclass(frozen=True, slots=True)
class Kind:
    """Of a dtype: its arena, how many depths are copied at a time (half as many in a LARGE tile),
    how many elements are 16 bytes and the binary logarithm of that, how many stand between the
    depths, of how many depths, filled up with zeros, an instruction multiplies, the largest form.
    """

    real: Any
    arena: Any
    depth: int
    vector: int
    vector_shift: int
    pad: int
    together: int
    largest: int


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
    vector, vector_shift, pad = kind.vector, kind.vector_shift, kind.pad

    @device_function
    def fetch(arena: Any, into: Any, source: Any, across: Any, down: Any, lanes_left: Any,
              depth: Any, shift: Any) -> None:  # fmt: skip
        me, lanes = thread(), types.int64(1) << shift
        pitch = lanes + pad
        if (
            across == 1
            and misaligned(source) == 0
            and (down & (vector - 1)) == 0
            and (lanes_left & (vector - 1)) == 0
        ):
            lane = (me << vector_shift) & (lanes - 1)
            place, step = (me << vector_shift) >> shift, (THREADS << vector_shift) >> shift
            here, there = into + place * pitch + lane, place * down + min(lane, lanes_left - vector)
            while place < depth:
                copy_vector(offset(arena, here), offset(source, there))
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
                copy_one(offset(arena, into + place * pitch + lane), offset(source, there))
                lane += wide
            place += step

    return fetch


def zeroing(kind: Kind) -> Any:
    """The function that fills up a stretch of `count` depths with zeros, so that an instruction
    that multiplies several has them all."""
    pad, together = kind.pad, kind.together

    @device_function
    def clear(arena: Any, into: Any, count: Any, shift: Any) -> None:
        pitch = (types.int64(1) << shift) + pad
        place = into + count * pitch + thread()
        end = into + ((count + (together - 1)) & -together) * pitch
        while place < end:
            clear_word(offset(arena, place))
            place += THREADS

    return clear


def beginning(kind: Kind) -> Any:
    """The function that begins to copy the stretch of one operand: the left one (side 0) or the
    right one."""
    fetch, clear, together = fetching(kind), zeroing(kind), kind.together

    @device_function
    def begin(arena: Any, into: Any, source: Any, begun: Any, n: Any, cell: Any, side: Any,
              lanes_left: Any, count: Any, shift: Any) -> None:  # fmt: skip
        # A row's and a depth's stride, or a depth's and a column's.
        across, down = n[cell + 2], n[cell + 3]
        if side == 1:
            across, down = n[cell + 6], n[cell + 5]
        there = offset(source, begun * down)
        fetch(arena, into, there, across, down, lanes_left, count, shift)
        if together > 1:
            clear(arena, into, count, shift)

    return begin


def summing(kind: Kind, multiply: Any) -> Any:
    """The function that adds all products to a tile's sums, a stretch of the depth at a time.

    `multiply(form, arena, left, right, count, row_pitch, column_pitch, sums)` adds `count` depths
    of what begins at `left` and at `right`.
    """
    begin, operand, arena_of = beginning(kind), operand_of(kind.real), kind.arena
    pad, most = kind.pad, kind.depth

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
                    into, source = coming, left
                    lanes_left, shift = last_row - row, row_shift
                    if side == 1:
                        into, source = coming + beside, right
                        lanes_left, shift = last_column - column, column_shift
                    begin(arena, into, source, begun, n, cell, side, lanes_left, count, shift)
                copies_begun()
                if begun > 0:
                    multiply(form, arena, there + my_row, there + beside + my_column,
                             min(depth, deep - begun + depth), row_pitch, column_pitch,
                             sums)  # fmt: skip
                begun += depth
                coming, there = there, coming

    return add
