"""Dtypes, constants, promotion and broadcasting: what every op's construction shares."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ContextDecorator
from typing import Any, TypeVar

import numpy as np

from symnet.errors import DtypeError, GraphError, ShapeError
from symnet.expr import Attributes, Dtype, Expr, Op, Tangents, make, origin_here
from symnet.sizes import Dimension, Shape, Size, show_shape, size_names

BOOL, INT32, INT64 = np.dtype(np.bool_), np.dtype(np.int32), np.dtype(np.int64)
FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
DTYPES = {str(dtype): dtype for dtype in (BOOL, INT32, INT64, FLOAT32, FLOAT64)}
FLOATS, INTEGERS = (FLOAT32, FLOAT64), (INT32, INT64)

Function = TypeVar("Function", bound=Callable[..., Any])

# Promotions that lose nothing. Everything else is written: sn.astype(x, dtype).
_EXACT = {
    BOOL: (BOOL, INT32, INT64, FLOAT32, FLOAT64),
    INT32: (INT32, INT64, FLOAT64),
    INT64: (INT64,),
    FLOAT32: (FLOAT32, FLOAT64),
    FLOAT64: (FLOAT64,),
}


def dtype_of(value: object) -> Dtype:
    """The NumPy dtype for a name, type or dtype; DtypeError unless it is one of ours."""
    try:
        found = DTYPES.get(str(np.dtype(value)))  # type: ignore[call-overload]
    except TypeError:
        found = None
    if found is None:
        raise DtypeError(f"a dtype is one of {', '.join(DTYPES)}, got {value!r}")
    return found


class default_dtype(ContextDecorator):
    """Sets the dtype of inputs and parameters that state none.

    `default_dtype("float64")` sets it at once; as a context manager or a decorator, for the block
    or the call. It is read when an input or parameter is made. The default is float32.
    """

    current: Dtype = FLOAT32

    def __init__(self, dtype: object = None) -> None:
        self.wanted = dtype_of(dtype)
        if self.wanted not in FLOATS:
            raise DtypeError(f"the default dtype must be float32 or float64, got {dtype!r}")
        self._outer = [default_dtype.current]
        default_dtype.current = self.wanted

    def __enter__(self) -> default_dtype:
        default_dtype.current = self.wanted
        return self

    def __exit__(self, *exc: object) -> None:
        default_dtype.current = self._outer[0]

    def __call__(self, function: Function) -> Function:
        default_dtype.current = self._outer[0]
        return super().__call__(function)


class Constant(Op):
    """A number or an array of numbers. attrs: value, dtype."""

    name = "constant"

    def infer(self, args: tuple[Expr, ...], attrs: Attributes) -> tuple[Shape, Dtype]:
        value = attrs["value"]
        return (value.shape if isinstance(value, np.ndarray) else ()), DTYPES[attrs["dtype"]]

    def value(self, xp: Any, node: Expr, *args: Any) -> Any:
        return xp.constant(node.attrs["value"], node.dtype)


class SizeValue(Op):
    """A size of the graph as a number. attrs: size, dtype."""

    name = "size"

    def infer(self, args: tuple[Expr, ...], attrs: Attributes) -> tuple[Shape, Dtype]:
        return (), DTYPES[attrs["dtype"]]

    def value(self, xp: Any, node: Expr, *args: Any) -> Any:
        return xp.constant(xp.size(node.attrs["size"]), node.dtype)


CONSTANT, SIZE_VALUE = Constant(), SizeValue()


def number(value: float, dtype: Dtype) -> Expr:
    """The scalar constant `value` of that dtype; DtypeError if the dtype cannot hold it."""
    if isinstance(value, np.generic):
        value = value.item()
    if dtype in INTEGERS:
        if float(value) != int(value):
            raise DtypeError(f"{value} would lose its fraction as {dtype}: write sn.astype first")
        value = int(value)
        if not np.iinfo(dtype).min <= value <= np.iinfo(dtype).max:
            raise DtypeError(f"{value} does not fit {dtype}")
    elif dtype == BOOL:
        if value not in (0, 1):
            raise DtypeError(f"{value} is not a truth value")
        value = bool(value)
    else:
        value = float(value)
    return make(CONSTANT, value=value, dtype=str(dtype))


def constant(value: object, dtype: object = None) -> Expr:
    """A constant from a number, a nested list or an array.

    Numbers and lists of floats take the default dtype unless `dtype` says otherwise; arrays keep
    theirs. DtypeError for anything else than booleans, integers and floats.
    """
    if isinstance(value, Expr):
        return value
    array = np.asarray(value)
    if dtype is not None:
        kind = dtype_of(dtype)
    elif isinstance(value, (np.ndarray, np.generic)) or array.dtype.kind in "bi":
        kind = dtype_of(array.dtype)
    elif array.dtype.kind == "f":
        kind = default_dtype.current
    else:
        raise DtypeError(f"a constant is made of numbers, got {value!r}")
    if array.ndim == 0:
        return number(array.item(), kind)
    stored = array.astype(kind)
    stored.setflags(write=False)
    return make(CONSTANT, value=stored, dtype=str(kind))


def size_value(size: Dimension, dtype: Dtype) -> Expr:
    """The size as a scalar: a constant if it is fixed, else a run-time value."""
    if isinstance(size, Size):
        return make(SIZE_VALUE, size=size, dtype=str(dtype))
    return number(size, dtype)


def peel(node: Expr) -> Expr:
    """The node under any broadcasts, reshapes and casts."""
    while node.op.name in ("broadcast", "reshape", "cast"):
        node = node.args[0]
    return node


def scalar_constant(node: Expr) -> float | int | bool | None:
    """The Python number that every element of a node equals, if that is plain to see."""
    node = peel(node)
    if node.op is CONSTANT and not isinstance(node.attrs["value"], np.ndarray):
        value: float | int | bool = node.attrs["value"]
        return value
    return None


def is_number(value: object) -> bool:
    """Whether a value is a plain number that takes the other operand's dtype."""
    return isinstance(value, (bool, int, float, np.bool_, np.integer, np.floating))


def promote(left: Dtype, right: Dtype, what: str) -> Dtype:
    """The smaller dtype that holds both without loss; DtypeError if there is none."""
    for candidate in _EXACT[left]:
        if candidate in _EXACT[right]:
            return candidate
    raise DtypeError(
        f"{what}: {left} and {right} do not mix without loss; write sn.astype(x, dtype) "
        f"(at {origin_here()})"
    )


def operands(what: str, values: Sequence[object]) -> list[Expr]:
    """Expressions of one common dtype from expressions and numbers.

    A plain number takes the dtype of the expressions; without any, the default dtype. DtypeError
    for arrays (write sn.constant) and for numbers the dtype cannot hold.
    """
    kinds = [value.dtype for value in values if isinstance(value, Expr)]
    common = kinds[0] if kinds else default_dtype.current
    for kind in kinds[1:]:
        common = promote(common, kind, what)
    if common == BOOL and any(is_number(v) and not isinstance(v, (bool, np.bool_)) for v in values):
        common = default_dtype.current
    made = []
    for value in values:
        if isinstance(value, Expr):
            made.append(cast(value, common))
        elif is_number(value):
            made.append(number(value, common))  # type: ignore[arg-type]
        else:
            raise GraphError(
                f"{what}: got {type(value).__name__}; an array becomes part of a formula as "
                f"sn.constant(array), data as sn.input(...) (at {origin_here()})"
            )
    return made


def operand(value: object, what: str) -> Expr:
    """One operand as an expression; see `operands`."""
    return operands(what, (value,))[0]


class Cast(Op):
    """The value in another dtype. attrs: dtype."""

    name = "cast"

    def infer(self, args: tuple[Expr, ...], attrs: Attributes) -> tuple[Shape, Dtype]:
        return args[0].shape, DTYPES[attrs["dtype"]]

    def value(self, xp: Any, node: Expr, *args: Any) -> Any:
        return xp.astype(args[0], node.dtype)

    def pullback(self, node: Expr, adjoint: Expr, index: int) -> Expr | None:
        return cast(adjoint, node.args[0].dtype) if node.args[0].dtype in FLOATS else None

    def pushforward(self, node: Expr, tangents: Tangents, lead: int) -> Expr | None:
        (tangent,) = tangents
        return None if tangent is None or node.dtype not in FLOATS else cast(tangent, node.dtype)


CAST = Cast()


def cast(node: Expr, dtype: Dtype) -> Expr:
    """The node in another dtype; the node itself if it has it already."""
    if node.dtype == dtype:
        return node
    if node.op is CONSTANT and not isinstance(node.attrs["value"], np.ndarray):
        return number(node.attrs["value"], dtype)
    return make(CAST, (node,), dtype=str(dtype))


class Broadcast(Op):
    """The operand repeated along new leading axes and axes of size 1. attrs: shape."""

    name = "broadcast"

    def infer(self, args: tuple[Expr, ...], attrs: Attributes) -> tuple[Shape, Dtype]:
        return attrs["shape"], args[0].dtype

    def value(self, xp: Any, node: Expr, *args: Any) -> Any:
        return xp.broadcast_to(args[0], xp.sizes(node.shape))

    def pullback(self, node: Expr, adjoint: Expr, index: int) -> Expr | None:
        operand = node.args[0]
        summed = Expr.dispatch["sum"](adjoint, axis=tuple(repeated_axes(node)))
        back: Expr = Expr.dispatch["reshape"](summed, operand.shape)
        return back

    def pushforward(self, node: Expr, tangents: Tangents, lead: int) -> Expr | None:
        (tangent,) = tangents
        if tangent is None:
            return None
        ahead, own = tangent.shape[:lead], tangent.shape[lead:]
        aligned = (*ahead, *(1,) * (node.ndim - len(own)), *own)
        return broadcast(Expr.dispatch["reshape"](tangent, aligned), (*ahead, *node.shape))


BROADCAST = Broadcast()


def repeated_axes(node: Expr) -> Iterator[int]:
    """The axes of a broadcast along which it repeats its operand."""
    inner = node.args[0].shape
    extra = node.ndim - len(inner)
    for axis, size in enumerate(node.shape):
        if axis < extra or (inner[axis - extra] == 1 and size != 1):
            yield axis


def broadcast(node: Expr, shape: Shape) -> Expr:
    """The node broadcast to `shape`, by NumPy's rule; ShapeError if it does not fit."""
    if node.shape == shape:
        return node
    if node.op is BROADCAST:
        return broadcast(node.args[0], shape)
    extra = len(shape) - node.ndim
    pairs = zip(node.shape, shape[max(extra, 0) :], strict=False)
    if extra < 0 or any(inner not in (1, outer) for inner, outer in pairs):
        raise ShapeError(f"cannot broadcast {show_shape(node.shape)} to {show_shape(shape)}")
    return make(BROADCAST, (node,), shape=shape)


def describe(node: Expr) -> str:
    """An operand in an error message: its name or op, with its shape."""
    label = node.name or node.op.name
    return f"{label} ({show_shape(node.shape)})"


def common_shape(what: str, nodes: Sequence[Expr]) -> Shape:
    """The shape NumPy broadcasting gives.

    ShapeError where sizes differ, and where one named size would come to stand on two axes, as
    it does for (N, 1) with (N,).
    """
    rank = max(node.ndim for node in nodes)
    shape: list[Dimension] = [1] * rank
    for node in nodes:
        for axis, size in enumerate(node.shape, rank - node.ndim):
            if shape[axis] == 1:
                shape[axis] = size
            elif size not in (1, shape[axis]):
                raise ShapeError(
                    f"{what}: {' and '.join(map(describe, nodes))} do not fit: "
                    f"{shape[axis]} and {size} differ (at {origin_here()})"
                )
    for name in size_names(tuple(shape)):
        axes = [axis for axis, size in enumerate(shape) if name in size_names((size,))]
        if len(axes) > 1 and not any(_stands_twice(node, name) for node in nodes):
            raise ShapeError(
                f"{what}: {' and '.join(map(describe, nodes))} would broadcast to "
                f"{show_shape(tuple(shape))}, with the named size {name} on {len(axes)} axes; "
                f"give both the same shape, for instance by x[:, 0] (at {origin_here()})"
            )
    return tuple(shape)


def _stands_twice(node: Expr, name: str) -> bool:
    return sum(name in size_names((size,)) for size in node.shape) > 1


def axes_of(node: Expr, axis: object, what: str) -> tuple[int, ...]:
    """Sorted non-negative axes from None (all), an integer or a tuple; ShapeError if off."""
    if axis is None:
        return tuple(range(node.ndim))
    listed = axis if isinstance(axis, (tuple, list)) else (axis,)
    found = []
    for item in listed:
        if isinstance(item, bool) or not isinstance(item, (int, np.integer)):
            raise ShapeError(f"{what}: an axis is an integer, got {item!r}")
        if not -node.ndim <= item < node.ndim:
            raise ShapeError(
                f"{what}: axis {item} of {describe(node)}, which has {node.ndim} axes "
                f"(at {origin_here()})"
            )
        found.append(int(item) % node.ndim)
    if len(set(found)) != len(found):
        raise ShapeError(f"{what}: an axis is given twice in {axis}")
    return tuple(sorted(found))
