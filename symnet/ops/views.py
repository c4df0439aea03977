"""Views and placements: the same elements under other indices, and leaves that are indices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symnet.errors import DtypeError, ShapeError
from symnet.expr import Attributes, Dtype, Expr, Op, Tangents, make, origin_here
from symnet.ops.core import DTYPES, INT64, broadcast, describe, number
from symnet.sizes import (
    Dimension,
    Shape,
    Size,
    add_sizes,
    divide_sizes,
    multiply_sizes,
    scale_size,
    show_shape,
)


class Iota(Op):
    """0, 1, 2, ... along one axis, int64. attrs: size."""

    name = "iota"

    def infer(self, args: tuple[Expr, ...], attrs: Attributes) -> tuple[Shape, Dtype]:
        return (attrs["size"],), INT64

    def value(self, xp: Any, node: Expr, *args: Any) -> Any:
        return xp.arange(xp.size(node.attrs["size"]))


class Identity(Op):
    """The identity matrix. attrs: size, dtype."""

    name = "identity"

    def infer(self, args: tuple[Expr, ...], attrs: Attributes) -> tuple[Shape, Dtype]:
        return (attrs["size"], attrs["size"]), DTYPES[attrs["dtype"]]

    def value(self, xp: Any, node: Expr, *args: Any) -> Any:
        return xp.identity(xp.size(node.attrs["size"]), node.dtype)


class View(Op):
    """An op that is linear in its first operand and moves elements only."""

    def moved(self, node: Expr, operand: Expr, ahead: Shape) -> Expr:
        """The same view of another operand, which has the axes `ahead` before its own."""
        raise NotImplementedError(self.name)

    def pushforward(self, node: Expr, tangents: Tangents, lead: int) -> Expr | None:
        tangent = tangents[0]
        return None if tangent is None else self.moved(node, tangent, tangent.shape[:lead])


class Reshape(View):
    """The elements in row-major order under another shape. attrs: shape."""

    name = "reshape"

    def infer(self, args: tuple[Expr, ...], attrs: Attributes) -> tuple[Shape, Dtype]:
        (x,), shape = args, attrs["shape"]
        if multiply_sizes(x.shape) != multiply_sizes(shape):
            raise ShapeError(
                f"reshape: {describe(x)} has {multiply_sizes(x.shape)} elements, "
                f"{show_shape(shape)} has {multiply_sizes(shape)} (at {origin_here()})"
            )
        return shape, x.dtype

    def value(self, xp: Any, node: Expr, *args: Any) -> Any:
        return xp.reshape(args[0], xp.sizes(node.shape))

    def pullback(self, node: Expr, adjoint: Expr, index: int) -> Expr | None:
        return reshape(adjoint, node.args[0].shape)

    def moved(self, node: Expr, operand: Expr, ahead: Shape) -> Expr:
        return reshape(operand, (*ahead, *node.shape))


class Permute(View):
    """The axes in another order. attrs: axes, where each axis of the result comes from."""

    name = "permute"

    def infer(self, args: tuple[Expr, ...], attrs: Attributes) -> tuple[Shape, Dtype]:
        return tuple(args[0].shape[axis] for axis in attrs["axes"]), args[0].dtype

    def value(self, xp: Any, node: Expr, *args: Any) -> Any:
        return xp.permute_dims(args[0], node.attrs["axes"])

    def pullback(self, node: Expr, adjoint: Expr, index: int) -> Expr | None:
        axes = node.attrs["axes"]
        return permute(adjoint, tuple(axes.index(axis) for axis in range(len(axes))))

    def moved(self, node: Expr, operand: Expr, ahead: Shape) -> Expr:
        lead = len(ahead)
        return permute(operand, (*range(lead), *(axis + lead for axis in node.attrs["axes"])))


class Slice(View):
    """Element start + step * i along each axis. attrs: start, step, shape (of the result)."""

    name = "slice"

    def infer(self, args: tuple[Expr, ...], attrs: Attributes) -> tuple[Shape, Dtype]:
        return attrs["shape"], args[0].dtype

    def value(self, xp: Any, node: Expr, *args: Any) -> Any:
        start, shape = xp.sizes(node.attrs["start"]), xp.sizes(node.shape)
        return xp.slice(args[0], start, node.attrs["step"], shape)

    def pullback(self, node: Expr, adjoint: Expr, index: int) -> Expr | None:
        return place(adjoint, node.attrs["start"], node.attrs["step"], node.args[0].shape)

    def moved(self, node: Expr, operand: Expr, ahead: Shape) -> Expr:
        start, step = node.attrs["start"], node.attrs["step"]
        free, plain = (0,) * len(ahead), (1,) * len(ahead)
        return slice_of(operand, free + start, plain + step, ahead + node.shape)


class Place(View):
    """Zeros with the operand at start + step * i along each axis: the adjoint of slice.
    attrs: start, step, shape (of the result)."""

    name = "place"

    def infer(self, args: tuple[Expr, ...], attrs: Attributes) -> tuple[Shape, Dtype]:
        return attrs["shape"], args[0].dtype

    def value(self, xp: Any, node: Expr, *args: Any) -> Any:
        start, shape = xp.sizes(node.attrs["start"]), xp.sizes(node.shape)
        return xp.place(args[0], start, node.attrs["step"], shape)

    def pullback(self, node: Expr, adjoint: Expr, index: int) -> Expr | None:
        return slice_of(adjoint, node.attrs["start"], node.attrs["step"], node.args[0].shape)

    def moved(self, node: Expr, operand: Expr, ahead: Shape) -> Expr:
        start, step = node.attrs["start"], node.attrs["step"]
        free, plain = (0,) * len(ahead), (1,) * len(ahead)
        return place(operand, free + start, plain + step, ahead + node.shape)


class Concat(Op):
    """The operands one after another along an axis. attrs: axis."""

    name = "concat"

    def infer(self, args: tuple[Expr, ...], attrs: Attributes) -> tuple[Shape, Dtype]:
        axis, first = attrs["axis"], args[0]
        for arg in args[1:]:
            rest = arg.shape[:axis] + arg.shape[axis + 1 :]
            if rest != first.shape[:axis] + first.shape[axis + 1 :]:
                raise ShapeError(
                    f"concat along axis {axis}: {describe(first)} and {describe(arg)} differ "
                    f"elsewhere (at {origin_here()})"
                )
        total = add_sizes(*(arg.shape[axis] for arg in args))
        return (*first.shape[:axis], total, *first.shape[axis + 1 :]), first.dtype

    def value(self, xp: Any, node: Expr, *args: Any) -> Any:
        return xp.concat(args, node.attrs["axis"])

    def pullback(self, node: Expr, adjoint: Expr, index: int) -> Expr | None:
        axis, arg = node.attrs["axis"], node.args[index]
        start: list[Dimension] = [0] * node.ndim
        start[axis] = add_sizes(*(earlier.shape[axis] for earlier in node.args[:index]))
        return slice_of(adjoint, tuple(start), (1,) * node.ndim, arg.shape)

    def pushforward(self, node: Expr, tangents: Tangents, lead: int) -> Expr | None:
        given = [tangent for tangent in tangents if tangent is not None]
        if not given:
            return None
        ahead = given[0].shape[:lead]
        filled = [
            _zeros(arg, ahead) if tangent is None else tangent
            for arg, tangent in zip(node.args, tangents, strict=True)
        ]
        return concat(filled, node.attrs["axis"] + lead)


IOTA, IDENTITY, RESHAPE, PERMUTE = Iota(), Identity(), Reshape(), Permute()
SLICE, PLACE, CONCAT = Slice(), Place(), Concat()


def _zeros(like: Expr, ahead: Shape) -> Expr:
    return broadcast(number(0, like.dtype), (*ahead, *like.shape))


def iota(size: Dimension) -> Expr:
    """0, 1, ..., size - 1."""
    return make(IOTA, size=size)


def identity(size: Dimension, dtype: Dtype) -> Expr:
    """The identity matrix of that many rows."""
    return make(IDENTITY, size=size, dtype=str(dtype))


def reshape(node: Expr, shape: Shape) -> Expr:
    """The node under another shape; reshapes of reshapes collapse."""
    if node.shape == shape:
        return node
    if node.op is RESHAPE:
        return reshape(node.args[0], shape)
    return make(RESHAPE, (node,), shape=shape)


def infer_one(node: Expr, shape: Sequence[object], dimension: Any) -> Shape:
    """The shape with a single -1 replaced by what is left over."""
    known = [None if isinstance(s, int) and s == -1 else dimension(s) for s in shape]
    if known.count(None) > 1:
        raise ShapeError("reshape: at most one size may be -1")
    given = [size for size in known if size is not None]
    if len(given) == len(known):
        return tuple(given)
    part = multiply_sizes(given)
    rest = divide_sizes(multiply_sizes(node.shape), part)
    if rest is None:
        raise ShapeError(f"reshape: {describe(node)} does not divide by {part}")
    return tuple(rest if size is None else size for size in known)


def permute(node: Expr, axes: tuple[int, ...]) -> Expr:
    """The node with its axes in another order; permutations of permutations collapse."""
    if axes == tuple(range(node.ndim)):
        return node
    if node.op is PERMUTE:
        inner = node.attrs["axes"]
        return permute(node.args[0], tuple(inner[axis] for axis in axes))
    return make(PERMUTE, (node,), axes=axes)


def slice_of(node: Expr, start: Shape, step: tuple[int, ...], shape: Shape) -> Expr:
    """Element start + step * i along each axis, for i below `shape`."""
    if node.shape == shape and not any(start) and all(by == 1 for by in step):
        return node
    return make(SLICE, (node,), start=start, step=step, shape=shape)


def place(node: Expr, start: Shape, step: tuple[int, ...], shape: Shape) -> Expr:
    """Zeros of `shape` with the node's elements at start + step * i."""
    if node.shape == shape and not any(start) and all(by == 1 for by in step):
        return node
    return make(PLACE, (node,), start=start, step=step, shape=shape)


def concat(nodes: Sequence[Expr], axis: int) -> Expr:
    """The nodes joined along an axis; one node is itself."""
    return nodes[0] if len(nodes) == 1 else make(CONCAT, tuple(nodes), axis=axis)


def slice_bounds(
    key: slice, size: Dimension, node: Expr, axis: int
) -> tuple[Dimension, int, Dimension]:
    """Start, step and length that a Python slice selects on an axis.

    On a run-time size only steps of 1 and whole reversals have a length we can state.
    """
    step = 1 if key.step is None else key.step
    if isinstance(size, int):
        first, last, step = key.indices(size)
        return first, step, len(range(first, last, step))
    if step == -1 and key.start is None and key.stop is None:
        return add_sizes(size, -1), -1, size
    if step != 1:
        raise ShapeError(
            f"a step needs a fixed size, axis {axis} of {describe(node)} has the run-time size "
            f"{size} (at {origin_here()})"
        )
    start = _bound(key.start, 0, size)
    stop = _bound(key.stop, size, size)
    return start, 1, add_sizes(stop, scale_size(start, -1))


def _bound(value: Any, default: Dimension, size: Size) -> Dimension:
    if value is None:
        return default
    if not hasattr(value, "__index__"):
        raise DtypeError(f"a slice takes integers, got {value!r}")
    number_ = int(value)
    return add_sizes(size, number_) if number_ < 0 else number_
