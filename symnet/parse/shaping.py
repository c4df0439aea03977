"""Functions in a formula's text that work on whole arrays, not element by element."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from symnet.errors import ParseError, ShapeError
from symnet.expr import Dtype, Expr
from symnet.ops.contraction import contract
from symnet.ops.core import broadcast, constant, number
from symnet.ops.views import concat, identity, permute, place, reshape
from symnet.parse.alignment import as_float, in_common
from symnet.parse.arrays import Range
from symnet.parse.callees import ALONG, WHOLE
from symnet.parse.indices import index_of
from symnet.parse.tree import Axis, Bracket, Call, Listed, Node, Numeral, Part, Product, Zeros
from symnet.parse.values import Extent, Value, known, sizes
from symnet.sizes import Dimension, add_sizes, scale_size


class Reader(Protocol):
    """What these functions need of the formula that they stand in."""

    scope: Mapping[str, Extent]
    dtype: Dtype

    def of(self, node: Node) -> Value: ...

    def size(self, node: Node) -> Dimension | None: ...

    def fault(self, node: Node, message: str) -> ParseError: ...


def whole(
    apply: Callable[[Expr, tuple[int, ...]], Expr],
    value: Value,
    axes: Sequence[int] | None,
    dtype: Dtype,
) -> Value:
    """One number of a whole array, or of the axes that are given."""
    chosen = range(value.rank) if axes is None else axes
    kept = [extent for k, extent in enumerate(value.shape) if k not in chosen]
    ahead = len(value.letters)

    def build() -> Expr:
        return apply(as_float(value.expr, dtype), tuple(ahead + axis for axis in chosen))

    return Value(build, kept, value.letters).settle((value,), value.shape)


def along(reader: Reader, node: Call) -> Value:
    """A function along axes: the last one, or all for a sum, if none is said."""
    axes = [item.number for item in node.arguments if isinstance(item, Axis)]
    values = [reader.of(item) for item in node.arguments if not isinstance(item, Axis)]
    if len(values) != 1:
        raise reader.fault(node, f"{node.name} takes 1 argument, got {len(values)}")
    (value,) = values
    if any(axis >= value.rank for axis in axes):
        raise reader.fault(node, f"there are {value.rank} axes, the first one is axis 0")
    if node.name in WHOLE:
        return whole(WHOLE[node.name], value, axes or None, reader.dtype)
    if not value.rank:
        raise reader.fault(node, f"{node.name} takes an array")
    apply, ahead = ALONG[node.name], len(value.letters)
    chosen = tuple(ahead + axis for axis in axes or [value.rank - 1])
    return Value(
        lambda: apply(as_float(value.expr, reader.dtype), chosen),
        value.shape,
        value.letters,
        value.form,
    ).settle((value,), value.shape)


def shaping(reader: Reader, node: Call) -> Value:
    """A function that moves elements; ParseError for arguments that it does not take."""
    return _SHAPING[node.name](reader, node)


def bracket(reader: Reader, node: Bracket, values: Sequence[Value | None]) -> Value:
    """A list of numbers, or of lists; arrays as blocks side by side or below each other.

    None stands for a block of zeros whose size is written; a number 0 beside arrays is one too,
    as long as it needs to be.
    """
    arrays = [value for value in values if value is not None]
    if any(value.letters for value in arrays):
        raise reader.fault(node, "a list is of whole arrays, without index letters")
    rank = max((value.rank for value in arrays), default=0)
    if not node.stacked and len(arrays) == len(values) and {v.rank for v in arrays} == {rank}:
        if all(value.literal is not None for value in arrays):
            return known(constant([value.literal for value in arrays], reader.dtype))
        if rank == 0 or all(value.constant for value in arrays):
            return _stacked(reader, arrays)
    return _blocks(reader, node, values, max(rank, 1))


def _stacked(reader: Reader, values: Sequence[Value]) -> Value:
    """A new axis, of as many places as there are values."""
    exprs = in_common(values, reader.dtype)
    if len({expr.shape for expr in exprs}) > 1:
        raise ShapeError("the lists in a list are of one length")
    if all(value.constant for value in values):
        return known(constant([expr.attrs["value"] for expr in exprs], reader.dtype))
    return known(concat([reshape(expr, (1, *expr.shape)) for expr in exprs], 0))


def _blocks(reader: Reader, node: Bracket, values: Sequence[Value | None], rank: int) -> Value:
    axis = 0 if node.stacked else rank - 1
    shape = [Extent() for _ in range(rank)]
    along_axis: list[Extent] = []
    for value, item in zip(values, node.items, strict=True):
        if value is None:
            size = reader.size(item.size) if isinstance(item, Zeros) else None
            if size is None:
                raise reader.fault(item, "zeros are written 0_2 or 0_N, with their number")
            along_axis.append(Extent(size))
        elif value.literal == 0:
            along_axis.append(Extent())
        elif value.rank == 0 and rank == 1:
            along_axis.append(Extent(1))
        elif value.rank != rank:
            raise reader.fault(item, f"a block of {value.rank} axes among those of {rank}")
        else:
            along_axis.append(value.shape[axis])
            pairs = zip(shape, value.shape, strict=True)
            if not all(a.equate(b) for k, (a, b) in enumerate(pairs) if k != axis):
                raise reader.fault(item, "this block does not fit to those before it")
    open_ends = sum(extent.size is None for extent in along_axis)
    if open_ends > 1:
        raise reader.fault(node, "how many zeros there are does not show: 0_2 are two")
    if not open_ends:
        shape[axis] = Extent(add_sizes(*sizes(along_axis)))

    def build() -> Expr:
        whole_shape = sizes(shape)
        given = [extent.size for extent in along_axis if extent.size is not None]
        rest = add_sizes(whole_shape[axis], *(scale_size(size, -1) for size in given))
        parts = []
        for value, extent in zip(values, along_axis, strict=True):
            size = rest if extent.size is None else extent.size
            own = (*whole_shape[:axis], size, *whole_shape[axis + 1 :])
            if value is None or value.literal == 0:
                parts.append(broadcast(number(0, reader.dtype), own))
            else:
                parts.append(reshape(as_float(value.expr, reader.dtype), own))
        return concat(parts, axis)

    return Value(build, shape).settle([v for v in values if v is not None], shape)


def _only(reader: Reader, node: Call, count: int) -> Value:
    if len(node.arguments) != count:
        raise reader.fault(node, f"{node.name} takes {count} arguments, got {len(node.arguments)}")
    value = reader.of(node.arguments[0])
    if value.letters:
        raise reader.fault(node, f"{node.name} takes a whole array, without index letters")
    return value


def _diagonal(reader: Reader, node: Call) -> Value:
    value = _only(reader, node, 1)
    if value.rank != 1:
        raise reader.fault(node, "diag takes a vector")
    (extent,) = value.shape

    def build() -> Expr:
        expr = as_float(value.expr, reader.dtype)
        return contract("i,ij->ij", [expr, identity(sizes([extent])[0], expr.dtype)])

    return Value(build, [extent, extent]).settle((value,), [extent])


def _column(reader: Reader, node: Call) -> Value:
    value = _only(reader, node, 1)
    if value.rank != 1:
        raise reader.fault(node, "col takes a vector")
    return Value(
        lambda: reshape(value.expr, (*value.expr.shape, 1)), [*value.shape, Extent(1)]
    ).settle((value,), value.shape)


def _stated(reader: Reader, node: Node) -> tuple[Dimension, ...]:
    """A shape such as N×3."""
    factors = node.factors if isinstance(node, Product) else (("", node),)
    parts: list[list[tuple[str, Node]]] = []
    for sign, factor in factors:
        if sign == "×" or not parts:
            parts.append([("", factor)])
        else:
            parts[-1].append((sign, factor))
    found = [
        reader.size(part[0][1] if len(part) == 1 else Product(node.place, tuple(part)))
        for part in parts
    ]
    shape = tuple(size for size in found if size is not None)
    if len(shape) < len(found):
        raise reader.fault(node, "a shape is written as N×3")
    return shape


def _reshape(reader: Reader, node: Call) -> Value:
    value = _only(reader, node, 2)
    shape = _stated(reader, node.arguments[1])
    return known(reshape(value.expr, shape))


def _broadcast(reader: Reader, node: Call) -> Value:
    value = _only(reader, node, 2)
    return known(broadcast(value.expr, _stated(reader, node.arguments[1])))


def _permute(reader: Reader, node: Call) -> Value:
    value = _only(reader, node, 2)
    order = node.arguments[1]
    items = order.items if isinstance(order, Listed) else ()
    axes = tuple(int(item.value) for item in items if isinstance(item, Numeral))
    if sorted(axes) != list(range(value.rank)):
        raise reader.fault(node, f"an order of {value.rank} axes is written as (1,0,2)")
    shape = [value.shape[axis] for axis in axes]
    return Value(lambda: permute(value.expr, axes), shape).settle((value,), shape)


def _concat(reader: Reader, node: Call) -> Value:
    axes = [item.number for item in node.arguments if isinstance(item, Axis)]
    values = [reader.of(item) for item in node.arguments if not isinstance(item, Axis)]
    axis = axes[0] if axes else 0
    ranks = {value.rank for value in values}
    if len(axes) > 1 or len(ranks) != 1 or axis >= max(ranks) or any(v.letters for v in values):
        raise reader.fault(node, "concat joins arrays of as many axes along one of them")
    first, *rest = values
    for value in rest:
        for k, (left, right) in enumerate(zip(first.shape, value.shape, strict=True)):
            if k != axis and not left.equate(right):
                raise ShapeError("concat joins arrays that differ along its axis only")
    total = add_sizes(*sizes([value.shape[axis] for value in values]))
    shape = [Extent(total) if k == axis else extent for k, extent in enumerate(first.shape)]
    return Value(lambda: concat(in_common(values, reader.dtype), axis), shape).settle(values, shape)


def _place(reader: Reader, node: Call) -> Value:
    """place(x, 0[1:3, :]): zeros, as many as the line needs, with x at these places."""
    value = _only(reader, node, 2)
    target = node.arguments[1]
    if not isinstance(target, Part) or len(target.indices) != value.rank:
        raise reader.fault(node, "the places are written as 0[1:3, :], with an index for each axis")
    extents = []
    ranges = []
    for item, extent in zip(target.indices, value.shape, strict=True):
        found = index_of(reader, item, Extent())
        if not isinstance(found, Range | None):
            raise reader.fault(item, "a place is a range")
        ranges.append(found)
        extents.append(extent if found is None else Extent())

    def build() -> Expr:
        start = tuple(0 if part is None else part.start for part in ranges)
        step = tuple(1 if part is None else part.step for part in ranges)
        return place(value.expr, start, step, sizes(extents))

    return Value(build, extents).settle((value,), extents)


_SHAPING: Final[Mapping[str, Callable[[Reader, Call], Value]]] = {
    "diag": _diagonal,
    "col": _column,
    "reshape": _reshape,
    "broadcast": _broadcast,
    "permute": _permute,
    "concat": _concat,
    "place": _place,
}
