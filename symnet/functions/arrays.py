"""Making, shaping, joining and indexing arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symnet.errors import DtypeError, ShapeError
from symnet.expr import Expr
from symnet.functions.pointwise import equal, where
from symnet.ops import views
from symnet.ops.core import (
    axes_of,
    broadcast,
    cast,
    constant,
    default_dtype,
    describe,
    dtype_of,
    operands,
)
from symnet.ops.core import operand as _node
from symnet.ops.gather import gather
from symnet.ops.pointwise import ones, zeros
from symnet.sizes import Dimension, add_sizes, dimension, shape_of


def astype(x: object, dtype: object) -> Expr:
    """x converted to another dtype: floats to integers by truncation, numbers to `x != 0`."""
    node, kind = _node(x, "astype"), dtype_of(dtype)
    return node != 0 if str(kind) == "bool" and str(node.dtype) != "bool" else cast(node, kind)


def ones_like(x: Expr) -> Expr:
    """Ones of the shape and dtype of x."""
    return ones(x)


def zeros_like(x: Expr) -> Expr:
    """Zeros of the shape and dtype of x."""
    return zeros(x)


def arange(size: object) -> Expr:
    """0, 1, ..., size - 1, int64; the size may be a name."""
    return views.iota(dimension(size))


def eye(size: object, dtype: object = None) -> Expr:
    """The identity matrix."""
    kind = default_dtype.current if dtype is None else dtype_of(dtype)
    return views.identity(dimension(size), kind)


def one_hot(index: Expr, size: object, dtype: object = None) -> Expr:
    """1 where a new last axis equals the index, else 0."""
    kind = default_dtype.current if dtype is None else dtype_of(dtype)
    return cast(equal(expand_dims(index, -1), cast(arange(size), index.dtype)), kind)


def broadcast_to(x: object, shape: object) -> Expr:
    """x repeated along new leading axes and axes of size 1."""
    return broadcast(_node(x, "broadcast_to"), shape_of(shape))


def reshape(x: object, shape: Any) -> Expr:
    """The elements in row-major order under another shape; one size may be -1."""
    node = _node(x, "reshape")
    listed: Sequence[object] = [shape] if isinstance(shape, (int, str)) else list(shape)
    return views.reshape(node, views.infer_one(node, listed, dimension))


def permute_dims(x: object, axes: Sequence[int]) -> Expr:
    """The axes in another order."""
    node = _node(x, "permute_dims")
    order = tuple(int(axis) % node.ndim for axis in axes) if node.ndim else ()
    if sorted(order) != list(range(node.ndim)):
        raise ShapeError(f"permute_dims: {tuple(axes)} does not order the axes of {describe(node)}")
    return views.permute(node, order)


def matrix_transpose(x: object) -> Expr:
    """The last two axes exchanged; ShapeError for fewer than two."""
    node = _node(x, "transpose")
    if node.ndim < 2:
        raise ShapeError(f"transpose: {describe(node)} has fewer than two axes")
    axes = list(range(node.ndim))
    axes[-1], axes[-2] = axes[-2], axes[-1]
    return views.permute(node, tuple(axes))


def transpose(x: Expr) -> Expr:
    """The transpose of a matrix; ShapeError for any other rank."""
    if x.ndim != 2:
        raise ShapeError(f".T is for matrices, {describe(x)} has {x.ndim} axes: sn.permute_dims")
    return views.permute(x, (1, 0))


def _new_axis(node: Expr, axis: int, what: str) -> int:
    if not -node.ndim <= axis + 1 <= node.ndim + 1:
        raise ShapeError(f"{what}: axis {axis} is off, {describe(node)} gets {node.ndim + 1} axes")
    return axis % (node.ndim + 1)


def expand_dims(x: object, axis: int = 0) -> Expr:
    """A new axis of size 1 at that place of the result."""
    node = _node(x, "expand_dims")
    place = _new_axis(node, axis, "expand_dims")
    return views.reshape(node, (*node.shape[:place], 1, *node.shape[place:]))


def squeeze(x: object, axis: object) -> Expr:
    """Without those axes, which must have size 1."""
    node = _node(x, "squeeze")
    gone = axes_of(node, axis, "squeeze")
    for index in gone:
        if node.shape[index] != 1:
            raise ShapeError(f"squeeze: axis {index} of {describe(node)} is not 1")
    kept = tuple(size for index, size in enumerate(node.shape) if index not in gone)
    return views.reshape(node, kept)


def flip(x: object, axis: object = None) -> Expr:
    """The order of elements reversed along axes."""
    node = _node(x, "flip")
    chosen = axes_of(node, axis, "flip")
    return node[tuple(slice(None, None, -1 if k in chosen else None) for k in range(node.ndim))]


def _some(what: str, arrays: Sequence[object]) -> list[Expr]:
    if not arrays:
        raise ShapeError(f"{what}: no arrays are given")
    return operands(what, arrays)


def concat(arrays: Sequence[object], axis: int = 0) -> Expr:
    """The arrays one after another along an axis."""
    nodes = _some("concat", arrays)
    return views.concat(nodes, axes_of(nodes[0], axis, "concat")[0])


def stack(arrays: Sequence[object], axis: int = 0) -> Expr:
    """The arrays along a new axis."""
    nodes = _some("stack", arrays)
    place = _new_axis(nodes[0], axis, "stack")
    return views.concat([expand_dims(node, place) for node in nodes], place)


def pad(x: object, width: Sequence[tuple[int, int]], value: float = 0.0) -> Expr:
    """x with (before, after) elements of a constant added along each axis; negatives crop."""
    node = _node(x, "pad")
    if len(width) != node.ndim:
        raise ShapeError(f"pad: {len(width)} pairs for the {node.ndim} axes of {describe(node)}")
    crop = tuple(
        slice(-before if before < 0 else 0, after if after < 0 else None) for before, after in width
    )
    inner = node[crop] if node.ndim else node
    start = tuple(before if before > 0 else 0 for before, _ in width)
    shape = tuple(
        add_sizes(size, *(side for side in pair if side > 0))
        for size, pair in zip(inner.shape, width, strict=True)
    )
    steps = (1,) * node.ndim
    placed = views.place(inner, start, steps, shape)
    if value == 0 or shape == inner.shape:
        return placed
    inside = views.place(ones(inner), start, steps, shape) > 0
    return where(inside, placed, value)


def take(x: object, indices: Expr, axis: int = 0) -> Expr:
    """Elements of x along an axis at integer indices of any shape; out of range is an error."""
    node = _node(x, "take")
    (along,) = axes_of(node, axis, "take")
    letters = "abcdefghijklmnopqrstuvwxyz"
    own, new = letters[: node.ndim], letters[node.ndim : node.ndim + indices.ndim]
    source = f"{own[:along]}*{own[along + 1 :]}"
    return gather(node, indices, f"{source},{new}->{own[:along]}{new}{own[along + 1 :]}")


def take_along_axis(x: object, indices: Expr, axis: int = -1) -> Expr:
    """One element of x for each index, matched along the other axes."""
    node = _node(x, "take_along_axis")
    (along,) = axes_of(node, axis, "take_along_axis")
    if indices.ndim != node.ndim:
        raise ShapeError(
            f"take_along_axis: {describe(node)} and {describe(indices)} differ in rank"
        )
    own = "abcdefghijklmnopqrstuvwxyz"[: node.ndim]
    return gather(node, indices, f"{own[:along]}*{own[along + 1 :]},{own}->{own}")


def pick(x: Expr, index: Expr) -> Expr:
    """x[..., index]: one element of the last axis for each place of the others."""
    own = "abcdefghijklmnopqrstuvwxyz"[: x.ndim - 1]
    return gather(x, index, f"{own}*,{own}->{own}")


def getitem(x: Expr, key: Any) -> Expr:
    """x[key]: integers, slices, None, an ellipsis, and one integer Expr along one axis."""
    keys = list(key) if isinstance(key, tuple) else [key]
    keys = [_plain_key(item) for item in keys]
    used = sum(item is not None and item is not Ellipsis for item in keys)
    dots = sum(item is Ellipsis for item in keys)
    if used > x.ndim or dots > 1:
        raise ShapeError(f"{describe(x)} has {x.ndim} axes, the index {len(keys)} entries")
    if not dots:
        keys.append(Ellipsis)
    where_dots = next(k for k, item in enumerate(keys) if item is Ellipsis)
    keys[where_dots : where_dots + 1] = [slice(None)] * (x.ndim - used)
    return _apply_key(x, keys)


def _plain_key(item: Any) -> Any:
    if isinstance(item, Expr) or item is None or item is Ellipsis or isinstance(item, slice):
        return item
    if isinstance(item, (list, np.ndarray)):
        return constant(np.asarray(item))
    if isinstance(item, bool) or not hasattr(item, "__index__"):
        raise DtypeError(f"an index is an integer, a slice, None, ... or an Expr, got {item!r}")
    return int(item)


def _apply_key(x: Expr, keys: list[Any]) -> Expr:
    start: list[Dimension] = []
    step: list[int] = []
    length: list[Dimension] = []
    final: list[Dimension] = []
    picked: list[tuple[int, Expr]] = []
    axis = 0
    for item in keys:
        if item is None:
            final.append(1)
            continue
        size = x.shape[axis]
        if isinstance(item, int):
            begin, by, count = _single(item, size, x, axis), 1, 1
        else:
            chosen = slice(None) if isinstance(item, Expr) else item
            begin, by, count = views.slice_bounds(chosen, size, x, axis)  # type: ignore[assignment]
            if isinstance(item, Expr):
                picked.append((len(final), item))
            final.append(count)
        start.append(begin)
        step.append(by)
        length.append(count)
        axis += 1
    sliced = views.slice_of(x, tuple(start), tuple(step), tuple(length))
    result = views.reshape(sliced, tuple(final))
    if len(picked) > 1:
        raise ShapeError("an index may hold one integer array; combine several by sn.take")
    return take(result, picked[0][1], picked[0][0]) if picked else result


def _single(item: int, size: Dimension, x: Expr, axis: int) -> Dimension:
    if isinstance(size, int) and not -size <= item < size:
        raise ShapeError(f"index {item} is out of range for axis {axis} of {describe(x)}")
    return add_sizes(size, item) if item < 0 else item
