"""The sums that a thread keeps in registers, and what is done with all of them at once.

They are cells on the thread's stack that are only ever reached by plain numbers, which LLVM makes
registers of. (Tuples carried around a loop hang its `instcombine`.) A text names a tile of sums
once, however many they are.
"""

# Numba types its decorators only in part.
# mypy: disable-error-code="no-untyped-call, call-overload, call-arg, unreachable"

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils
from numba.cuda import types
from numba.cuda.extending import intrinsic

_INT = ir.IntType(32)


def cells(builder: Any, pointer: Any, count: int) -> list[Any]:
    """Pointers to the first cells."""
    return [builder.gep(pointer, [_INT(place)]) for place in range(count)]


def registers(kind: Any, count: int) -> Any:
    """The intrinsic that gives so many cells, the same ones each time it is reached, and sets them
    to zero."""
    result = types.CPointer(kind)

    @intrinsic
    def made(typingctx: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pointer = cgutils.alloca_once(builder, context.get_value_type(kind), size=count)
            zero = context.get_constant(kind, 0)
            for cell in cells(builder, pointer, count):
                builder.store(zero, cell)
            return pointer

        return result(), code

    return made


@intrinsic
def fused(typingctx: Any, left: Any, right: Any, total: Any) -> Any:
    """left * right + total, rounded once."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fma(*args)

    return left(left, left, left), code


def turned(by: int, count: int) -> Any:
    """The intrinsic that brings the sums from `by` on to the front of `count`, and the first ones
    to the end."""

    @intrinsic
    def turn(typingctx: Any, sums: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            places = cells(builder, args[0], count)
            values = [builder.load(place) for place in places]
            for place, value in zip(places, values[by:] + values[:by], strict=True):
                builder.store(value, place)
            return context.get_dummy_value()

        return types.void(sums), code

    return turn


def vectors(builder: Any, pointer: Any, index: Any, count: int) -> list[Any]:
    """Pointers to the vectors, of up to 16 bytes, that hold so many neighbouring elements."""
    element = pointer.type.pointee
    width = min(2 if isinstance(element, ir.DoubleType) else 4, count)
    first = builder.gep(pointer, [index])
    start = builder.bitcast(first, ir.VectorType(element, width).as_pointer())
    return [builder.gep(start, [_INT(part)]) for part in range(count // width)]


def loaded(builder: Any, pointer: Any, index: Any, count: int) -> list[Any]:
    """So many neighbouring elements (1, or a multiple of 4 that begins at a multiple of 16 bytes),
    by loads of 16 bytes."""
    if count == 1:
        return [builder.load(builder.gep(pointer, [index]))]
    values = []
    for place in vectors(builder, pointer, index, count):
        vector = builder.load(place, align=16)
        lanes = range(place.type.pointee.count)
        values += [builder.extract_element(vector, _INT(lane)) for lane in lanes]
    return values


def product(rows: tuple[int, int], columns: tuple[int, int]) -> Any:
    """The intrinsic that adds to sums[i * columns + j] the product of left[i] and right[j], rounded
    once. rows and columns: how many groups, 64 elements from one to the next, of how many
    neighbours (1, or 4 that begin at a multiple of 16 bytes)."""

    @intrinsic
    def add(typingctx: Any, arena: Any, left: Any, right: Any, sums: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            arena, left, right, sums = args
            ones, others = (
                [
                    value
                    for group in range(groups)
                    for value in loaded(
                        builder, arena, builder.add(index, index.type(64 * group)), count
                    )
                ]
                for index, (groups, count) in ((left, rows), (right, columns))
            )
            pairs = [(one, other) for one in ones for other in others]
            for cell, (one, other) in zip(cells(builder, sums, len(pairs)), pairs, strict=True):
                builder.store(builder.fma(one, other, builder.load(cell)), cell)
            return context.get_dummy_value()

        return types.void(arena, types.int64, types.int64, sums), code

    return add


def put_sums(groups: int, count: int) -> Any:
    """The intrinsic that stores the first sums into an array: groups, 64 elements from one to the
    next, of so many neighbours (1, or 4 that begin at a multiple of 16 bytes)."""

    @intrinsic
    def put(typingctx: Any, into: Any, index: Any, sums: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            into, index, sums = args
            waiting = [builder.load(cell) for cell in cells(builder, sums, groups * count)]
            for group in range(groups):
                start = builder.add(index, index.type(64 * group))
                if count == 1:
                    builder.store(waiting.pop(0), builder.gep(into, [start]))
                    continue
                for place in vectors(builder, into, start, count):
                    vector = ir.Constant(place.type.pointee, ir.Undefined)
                    for lane in range(place.type.pointee.count):
                        vector = builder.insert_element(vector, waiting.pop(0), _INT(lane))
                    builder.store(vector, place, align=16)
            return context.get_dummy_value()

        return types.void(into, types.int64, sums), code

    return put
