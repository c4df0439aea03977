"""What the texts of contractions call: which part of the result a block makes, and its elements one
by one.

Cells of `n` as `codegen.cpu.contraction_kernel` has them: the axis that is shared out (0 batch, 1
rows, 2 columns), the extent of its first letter, how many of those are a tile (0: the first worker
takes all), how many indices each of them is; batch, rows, columns; how many products; then for each
product its depth and its strides in elements: left batch, row, depth, right batch, depth, column.
The left and the right operand of product k are the cells 2 k and 2 k + 1 of `p`.
"""

# Numba types its decorators only in part.
# mypy: disable-error-code="no-untyped-call, call-overload, call-arg, unreachable, var-annotated"

from __future__ import annotations

from typing import Any

from numba.cuda import types
from numba.cuda.extending import intrinsic

from codegen.cuda.operations import device_function, share

__all__ = [
    "dot_float32",
    "dot_float64",
    "parts",
    "total_depth",
]

_WORDS = types.CPointer(types.int64)


def _operand(kind: Any) -> Any:
    """The intrinsic that makes a pointer of a cell of `p` so many elements further on."""
    pointer = types.CPointer(kind)

    @intrinsic
    def operand(typingctx: Any, p: Any, cell: Any, offset: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            cells = context.get_value_type(pointer).as_pointer()
            address = builder.load(builder.bitcast(builder.gep(args[0], [args[1]]), cells))
            return builder.gep(address, [args[2]])

        return pointer(_WORDS, types.int64, types.int64), code

    return operand


@intrinsic
def fused(typingctx: Any, left: Any, right: Any, sum_so_far: Any) -> Any:
    """left * right + sum_so_far, rounded once."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fma(*args)

    return left(left, left, left), code


@device_function
def parts(worker: Any, workers: Any, n: Any, columns_shared: Any) -> Any:
    """First and last batch, row and column of this block.

    The blocks are a grid: worker // columns_shared takes its share of whole tiles of the axis that
    is shared out, and worker % columns_shared its share of the columns that are left.
    """
    across = min(columns_shared, workers)
    along = workers // across
    place = worker // across
    first, last = n[1] * 0, n[1]
    if n[2] == 0:
        last = last if place == 0 else first
    elif place < along:
        first, last = share(place, along, n[1], n[2]), share(place + 1, along, n[1], n[2])
    else:
        last = first
    first, last = first * n[3], last * n[3]
    zero = n[1] * 0
    batch, last_batch = (first, last) if n[0] == 0 else (zero, n[4])
    row, last_row = (first, last) if n[0] == 1 else (zero, n[5])
    column, last_column = (first, last) if n[0] == 2 else (zero, n[6])
    width, beside = last_column - column, worker - place * across
    last_column = column + share(beside + 1, across, width, 32)
    column = column + share(beside, across, width, 32)
    if place >= along:
        last_column = column
    return batch, last_batch, row, last_row, column, last_column


@device_function
def total_depth(n: Any) -> Any:
    """The depths of all products together."""
    depth = n[7] * 0
    for product in range(n[7]):
        depth += n[8 + 7 * product]
    return depth


def _dot(kind: Any) -> Any:
    """The function that gives one element: one chain of fused multiply-adds over the depths of all
    products, in order."""
    operand = _operand(kind)

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


dot_float32 = _dot(types.float32)
dot_float64 = _dot(types.float64)
