"""Products of vectors, matrices and batches of them: einsums."""

from __future__ import annotations

from symnet.errors import ShapeError
from symnet.expr import Expr, origin_here
from symnet.ops.contraction import contract, einsum
from symnet.ops.core import broadcast, describe, operands
from symnet.sizes import Dimension, show_shape


def matmul(left: object, right: object) -> Expr:
    """The matrix product of the array API: vectors, matrices, and batches that broadcast."""
    a, b = operands("matmul", (left, right))
    if not a.ndim or not b.ndim:
        raise ShapeError(f"matmul: {describe(a)} @ {describe(b)}: a scalar multiplies by *")
    inner = (a.shape[-1], b.shape[-2] if b.ndim > 1 else b.shape[0])
    if inner[0] != inner[1]:
        raise ShapeError(
            f"matmul: {describe(a)} @ {describe(b)}: {inner[0]} and {inner[1]} differ "
            f"(at {origin_here()})"
        )
    batch = "ABCDEFGHIJ"
    rows, columns = "i" if a.ndim > 1 else "", "j" if b.ndim > 1 else ""
    first, second = a.shape[:-2], b.shape[:-2]
    rank = len(first) if len(first) > len(second) else len(second)
    shape = _batch_shape(a, b, first, second)
    a = broadcast(a, (*shape, *a.shape[-2:])) if first and first != shape[-len(first) :] else a
    b = broadcast(b, (*shape, *b.shape[-2:])) if second and second != shape[-len(second) :] else b
    ahead = batch[rank - _batch_rank(a) : rank], batch[rank - _batch_rank(b) : rank]
    spec = f"{ahead[0]}{rows}k,{ahead[1]}k{columns}->{batch[:rank]}{rows}{columns}"
    return contract(spec, [a, b])


def _batch_rank(node: Expr) -> int:
    return node.ndim - 2 if node.ndim > 2 else 0


def _batch_shape(
    a: Expr, b: Expr, first: tuple[Dimension, ...], second: tuple[Dimension, ...]
) -> tuple[Dimension, ...]:
    shape: list[Dimension] = []
    longer, shorter = (first, second) if len(first) >= len(second) else (second, first)
    padded = (1,) * (len(longer) - len(shorter)) + shorter
    for left, right in zip(longer, padded, strict=True):
        if left != right and 1 not in (left, right):
            raise ShapeError(
                f"matmul: {describe(a)} @ {describe(b)}: the batches {show_shape(first)} and "
                f"{show_shape(second)} differ (at {origin_here()})"
            )
        shape.append(right if left == 1 else left)
    return tuple(shape)


def outer(left: object, right: object) -> Expr:
    """The outer product of two vectors."""
    return einsum("i,j->ij", left, right)


def dot(left: object, right: object) -> Expr:
    """The inner product of two vectors."""
    return einsum("i,i->", left, right)
