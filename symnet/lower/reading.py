"""Reading one element of a node: views, constants and selections cost no memory.

A node that only says where its elements come from is read through; any other has a buffer.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from codegen.scalar import Affine, Apply, Constant, Index, Indirect, Load, Scalar, affine
from codegen.scalar import Size as SizeScalar
from symnet.expr import Expr
from symnet.lower.builder import Builder, as_scalar
from symnet.ops.gather import parts
from symnet.sizes import Dimension, Shape, add_sizes, scale_size

Reader = Callable[[Builder, Expr, tuple[Index, ...]], Scalar]
ZERO = affine(0)


def read(builder: Builder, node: Expr, index: tuple[Index, ...]) -> Scalar:
    """The scalar that is element `index` of a node whose operands have homes."""
    if node in builder.home:
        return builder.load(builder.home[node], index)
    return READERS[node.op.name](builder, node, index)


def is_virtual(node: Expr) -> bool:
    """Whether a node needs no memory of its own."""
    name = node.op.name
    if name == "constant":
        return not isinstance(node.attrs["value"], np.ndarray)
    if name == "reshape":
        return _only_ones(node)
    if name == "place":
        return all(by == 1 for by in node.attrs["step"])
    if name == "scatter_add":
        return is_dense(node)
    return name in READERS


def is_dense(node: Expr) -> bool:
    """Whether each element of a scatter_add receives at most one value: a masked copy."""
    source, _, out = parts(node.attrs["spec"])
    return set(out) <= set(source)


def materialise(builder: Builder, node: Expr) -> str:
    """The buffer that holds a node; a view is copied into a new one."""
    if node not in builder.home:
        source = READERS[node.op.name]
        name = builder.buffer(builder.fresh("t"), node.shape, str(node.dtype), "step")
        label = f"{node.op.name} at {node.origin}"
        builder.fill(name, node.shape, lambda index: source(builder, node, index), label)
        builder.home[node] = name
    return builder.home[node]


def _only_ones(node: Expr) -> bool:
    (operand,) = node.args
    return [s for s in operand.shape if s != 1] == [s for s in node.shape if s != 1]


def _constant(builder: Builder, node: Expr, index: tuple[Index, ...]) -> Scalar:
    return builder.number(node.attrs["value"], str(node.dtype))


def _size(builder: Builder, node: Expr, index: tuple[Index, ...]) -> Scalar:
    extent = builder.extent(node.attrs["size"])
    value: Scalar = Constant(extent, "int64") if isinstance(extent, int) else SizeScalar(extent)
    return value if str(node.dtype) == "int64" else Apply("cast", (value,), str(node.dtype))


def _iota(builder: Builder, node: Expr, index: tuple[Index, ...]) -> Scalar:
    return as_scalar(index[0])


def _identity(builder: Builder, node: Expr, index: tuple[Index, ...]) -> Scalar:
    same = Apply("equal", (as_scalar(index[0]), as_scalar(index[1])), "bool")
    return same if str(node.dtype) == "bool" else Apply("cast", (same,), str(node.dtype))


def _named(builder: Builder, node: Expr, index: tuple[Index, ...]) -> Scalar:
    return read(builder, node.args[0], index)


def _broadcast(builder: Builder, node: Expr, index: tuple[Index, ...]) -> Scalar:
    (operand,) = node.args
    own = index[node.ndim - operand.ndim :]
    inner = tuple(
        ZERO if size == 1 else place for place, size in zip(own, operand.shape, strict=True)
    )
    return read(builder, operand, inner)


def _permute(builder: Builder, node: Expr, index: tuple[Index, ...]) -> Scalar:
    axes = node.attrs["axes"]
    return read(builder, node.args[0], tuple(index[axes.index(k)] for k in range(len(axes))))


def _reshape(builder: Builder, node: Expr, index: tuple[Index, ...]) -> Scalar:
    own = iter(place for place, size in zip(index, node.shape, strict=True) if size != 1)
    inner = tuple(ZERO if size == 1 else next(own) for size in node.args[0].shape)
    return read(builder, node.args[0], inner)


def _moved(builder: Builder, index: Index, by: int, offset: Dimension) -> Index | None:
    """offset + by * index; None where an indirect index cannot be moved."""
    if isinstance(index, Affine):
        return builder.moved(index, by, offset)
    return index if by == 1 and offset == 0 else None


def _slice(builder: Builder, node: Expr, index: tuple[Index, ...]) -> Scalar:
    start, step = node.attrs["start"], node.attrs["step"]
    moved = [
        _moved(builder, place, by, begin)
        for place, by, begin in zip(index, step, start, strict=True)
    ]
    inner = tuple(place for place in moved if place is not None)
    if len(inner) < len(moved):
        return builder.load(materialise(builder, node), index)
    return read(builder, node.args[0], inner)


def both(tests: list[Scalar]) -> Scalar:
    """The conjunction of boolean scalars; true for none."""
    total: Scalar | None = None
    for test in tests:
        total = test if total is None else Apply("logical_and", (total, test), "bool")
    return Constant(True, "bool") if total is None else total


def zero(node: Expr) -> Constant:
    """Zero in a node's dtype."""
    return Constant(0.0 if node.dtype.kind == "f" else 0, str(node.dtype))


def _place(builder: Builder, node: Expr, index: tuple[Index, ...]) -> Scalar:
    (operand,), start = node.args, node.attrs["start"]
    tests: list[Scalar] = []
    inner: list[Index] = []
    for axis, place in enumerate(index):
        begin, size = start[axis], operand.shape[axis]
        if begin == 0 and size == node.shape[axis]:
            inner.append(place)
            continue
        moved = _moved(builder, place, 1, scale_size(begin, -1))
        if moved is None:
            return builder.load(materialise(builder, node), index)
        inner.append(moved)
        tests += _inside(builder, moved, size)
    value = read(builder, operand, tuple(inner))
    return Apply("select", (both(tests), value, zero(node)), str(node.dtype))


def _inside(builder: Builder, index: Index, size: Dimension) -> list[Scalar]:
    extent = builder.extent(size)
    bound: Scalar = Constant(extent, "int64") if isinstance(extent, int) else SizeScalar(extent)
    value = as_scalar(index)
    return [
        Apply("less_equal", (Constant(0, "int64"), value), "bool"),
        Apply("less", (value, bound), "bool"),
    ]


def _concat(builder: Builder, node: Expr, index: tuple[Index, ...]) -> Scalar:
    axis = node.attrs["axis"]
    ends = _running_sums([arg.shape[axis] for arg in node.args])
    result: Scalar | None = None
    for arg, begin in reversed(list(zip(node.args, ends, strict=True))):
        moved = _moved(builder, index[axis], 1, scale_size(begin, -1))
        if moved is None:
            return builder.load(materialise(builder, node), index)
        part = read(builder, arg, (*index[:axis], moved, *index[axis + 1 :]))
        if result is None:
            result = part
        else:
            test = _inside(builder, moved, arg.shape[axis])[1]
            result = Apply("select", (test, part, result), str(node.dtype))
    assert result is not None
    return result


def _running_sums(sizes: list[Dimension]) -> Shape:
    total: Dimension = 0
    starts: list[Dimension] = []
    for size in sizes:
        starts.append(total)
        total = add_sizes(total, size)
    return tuple(starts)


def _gather(builder: Builder, node: Expr, index: tuple[Index, ...]) -> Scalar:
    source, picked, out = parts(node.attrs["spec"])
    at_letter = dict(zip(out, index, strict=True))
    place = read(builder, node.args[1], tuple(at_letter[letter] for letter in picked))
    if not isinstance(place, Load):
        materialise(builder, node.args[1])
        place = read(builder, node.args[1], tuple(at_letter[letter] for letter in picked))
    assert isinstance(place, Load)
    bound = builder.extent(node.args[0].shape[source.index("*")])
    inner = tuple(
        Indirect(place.ref, bound) if letter == "*" else at_letter[letter] for letter in source
    )
    return read(builder, node.args[0], inner)


def _scatter_add(builder: Builder, node: Expr, index: tuple[Index, ...]) -> Scalar:
    source, picked, out = parts(node.attrs["spec"])
    at_letter = dict(zip(source, index, strict=True))
    place = read(builder, node.args[1], tuple(at_letter[letter] for letter in picked))
    if str(node.args[1].dtype) != "int64":
        place = Apply("cast", (place,), "int64")
    here = Apply("equal", (place, as_scalar(at_letter["*"])), "bool")
    value = read(builder, node.args[0], tuple(at_letter[letter] for letter in out))
    return Apply("select", (here, value, zero(node)), str(node.dtype))


READERS: dict[str, Reader] = {
    "constant": _constant,
    "size": _size,
    "iota": _iota,
    "identity": _identity,
    "named": _named,
    "broadcast": _broadcast,
    "permute": _permute,
    "reshape": _reshape,
    "slice": _slice,
    "place": _place,
    "concat": _concat,
    "gather": _gather,
    "scatter_add": _scatter_add,
}
