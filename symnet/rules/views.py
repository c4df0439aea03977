"""Structural rules: views of views, sums of what repeats, arithmetic of known numbers."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from symnet.errors import DtypeError, ShapeError
from symnet.expr import Expr, make
from symnet.ops.contraction import EINSUM, contract, split
from symnet.ops.core import (
    BROADCAST,
    CAST,
    CONSTANT,
    FLOAT32,
    FLOAT64,
    broadcast,
    cast,
    common_shape,
    number,
    promote,
    repeated_axes,
    scalar_constant,
    size_value,
)
from symnet.ops.leaves import INPUT
from symnet.ops.pointwise import Pointwise
from symnet.ops.reduction import SUM, sum_over
from symnet.ops.table import POINTWISE, add, divide, multiply, negative
from symnet.ops.views import PERMUTE, RESHAPE, SLICE, permute, reshape
from symnet.rules.rule import Structural
from symnet.sizes import multiply_sizes, named_size

_VIEWS = (BROADCAST, RESHAPE, PERMUTE, SLICE, CAST)


def _uniform(node: Expr) -> Expr | None:
    """The scalar that a broadcast repeats, if it repeats one."""
    if node.op is BROADCAST and node.args[0].shape == ():
        return node.args[0]
    return None


def _collapse_view(node: Expr) -> Expr | None:
    inner = node.args[0]
    scalar = _uniform(inner)
    if node.op is CAST:
        if inner.op is not BROADCAST:
            return None
        return broadcast(cast(inner.args[0], node.dtype), node.shape)
    if scalar is not None or node.op is BROADCAST is inner.op:
        return broadcast(inner.args[0], node.shape)
    if node.op is RESHAPE is inner.op:
        return reshape(inner.args[0], node.shape)
    if node.op is PERMUTE is inner.op:
        axes = inner.attrs["axes"]
        return permute(inner.args[0], tuple(axes[axis] for axis in node.attrs["axes"]))
    if node.op is BROADCAST and inner.op is RESHAPE:
        bare = inner.args[0]
        if inner.shape == (1,) * (inner.ndim - bare.ndim) + bare.shape:
            return broadcast(bare, node.shape)
    return None


def collapsed(node: Expr) -> Expr:
    """The same array with the views at its top in their shortest form."""
    views = []
    while node.op in _VIEWS:
        views.append(node)
        node = node.args[0]
    for view in reversed(views):
        node = make(view.op, (node,), **view.attrs)
        if node.shape == node.args[0].shape and node.op in (BROADCAST, RESHAPE):
            node = node.args[0]
        while node.op in _VIEWS and (shorter := _collapse_view(node)) is not None:
            node = shorter
    return node


def _collapse_cast(node: Expr) -> Expr | None:
    inner = node.args[0]
    if inner.op is not CAST:
        return None
    source = inner.args[0]
    try:
        exact = promote(source.dtype, inner.dtype, "cast") == inner.dtype
    except DtypeError:
        return None
    return cast(source, node.dtype) if exact else None


def _hoist(node: Expr) -> Expr | None:
    """op(broadcast(a), broadcast(b)) -> broadcast(op(a, b)), where that has fewer elements."""
    if not isinstance(node.op, Pointwise) or any(arg.op is not BROADCAST for arg in node.args):
        return None
    inner = [arg.args[0] for arg in node.args]
    try:
        shape = common_shape(node.op.name, inner)
    except ShapeError:
        # A named size would stand on two axes, which the larger shape had allowed.
        return None
    if shape == node.shape:
        return None
    wide = tuple(broadcast(arg, shape) for arg in inner)
    return broadcast(make(node.op, wide, **node.attrs), node.shape)


def _sum_of_repeated(node: Expr) -> Expr | None:
    inner = node.args[0]
    if inner.op is not BROADCAST:
        return None
    axes, source = node.attrs["axes"], inner.args[0]
    gone = tuple(axis for axis in repeated_axes(inner) if axis in axes)
    if not gone:
        return None
    shape = tuple(size for axis, size in enumerate(inner.shape) if axis not in gone)
    extra = inner.ndim - source.ndim
    own = tuple(s for k, s in enumerate(source.shape, extra) if k not in gone)
    rest = tuple(axis - sum(g < axis for g in gone) for axis in axes if axis not in gone)
    times = size_value(multiply_sizes(inner.shape[axis] for axis in gone), node.dtype)
    reduced = sum_over(broadcast(reshape(source, own), shape), rest)
    return multiply(reduced, times)


def _uniform_factor(node: Expr) -> Expr | None:
    """An einsum's operand that repeats one scalar, pulled out of the contraction."""
    letters, out = split(node.attrs["spec"])
    for index, (arg, own) in enumerate(zip(node.args, letters, strict=True)):
        scalar = _uniform(arg) if len(node.args) > 1 else None
        rest = [other for k, other in enumerate(letters) if k != index]
        if scalar is None or not set(own) & set(out) <= set("".join(rest)):
            continue
        sizes = dict(zip(own, arg.shape, strict=True))
        alone = [size for letter, size in sizes.items() if letter not in "".join(rest)]
        factors = [factor for k, factor in enumerate(node.args) if k != index]
        times = multiply(scalar, size_value(multiply_sizes(alone), node.dtype))
        return multiply(contract(f"{','.join(rest)}->{out}", factors), times)
    return None


_ARITHMETIC: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "negative": operator.neg,
    "abs": np.abs,
    "sqrt": np.sqrt,
}


def _fold(node: Expr) -> Expr | None:
    """Arithmetic that IEEE rounds exactly, on known numbers, where the result is finite."""
    values = [scalar_constant(arg) for arg in node.args]
    if node.dtype not in (FLOAT32, FLOAT64) or any(arg.op is not CONSTANT for arg in node.args):
        return None
    if any(value is None for value in values):
        return None
    with np.errstate(all="ignore"):
        result = _ARITHMETIC[node.op.name](*(node.dtype.type(value) for value in values))
    return number(float(result), node.dtype) if math.isfinite(result) else None


def _sample(name: str, *shape: str) -> Expr:
    sizes = tuple(named_size(size) for size in shape)
    return make(INPUT, identity=True, name=name, shape=sizes, dtype=str(FLOAT64))


def _view_examples() -> tuple[Expr, ...]:
    x, s = _sample("x", "N", "M", "K"), _sample("s")
    n, m, k = x.shape
    repeated = make(BROADCAST, (s,), shape=(n, m, k))
    row = make(RESHAPE, (_sample("v", "K"),), shape=(1, k))
    return (
        make(PERMUTE, (make(PERMUTE, (x,), axes=(1, 2, 0)),), axes=(1, 0, 2)),
        make(RESHAPE, (make(RESHAPE, (x,), shape=(n, multiply_sizes((m, k)))),), shape=x.shape),
        make(RESHAPE, (repeated,), shape=(multiply_sizes((n, m)), k)),
        make(PERMUTE, (repeated,), axes=(2, 0, 1)),
        make(SLICE, (repeated,), start=(0, 0, 0), step=(1, 1, 1), shape=(1, m, k)),
        make(CAST, (repeated,), dtype="float32"),
        make(BROADCAST, (make(BROADCAST, (row.args[0],), shape=(m, k)),), shape=(n, m, k)),
        make(BROADCAST, (row,), shape=(m, k)),
    )


def _cast_examples() -> tuple[Expr, ...]:
    low = make(CAST, (_sample("x", "N"),), dtype="float32")
    wide = make(CAST, (low,), dtype="float64")
    return (make(CAST, (wide,), dtype="float32"),)


def _hoist_examples() -> tuple[Expr, ...]:
    s, v = _sample("s"), _sample("v", "K")
    shape = (named_size("N"), named_size("K"))
    return (
        make(add, (broadcast(s, shape), broadcast(v, shape))),
        make(negative, (broadcast(s, shape),)),
    )


def _sum_examples() -> tuple[Expr, ...]:
    s, v, shape = _sample("s"), _sample("v", "K"), (named_size("N"), named_size("K"))
    column = reshape(_sample("u", "N"), (named_size("N"), 1))
    return (
        make(SUM, (broadcast(s, shape),), axes=(0, 1)),
        make(SUM, (broadcast(v, shape),), axes=(0,)),
        make(SUM, (broadcast(v, shape),), axes=(0, 1)),
        make(SUM, (broadcast(column, shape),), axes=(1,)),
    )


def _einsum_examples() -> tuple[Expr, ...]:
    s, x = _sample("s"), _sample("x", "N", "K")
    wide = broadcast(s, (named_size("K"), named_size("M")))
    return (
        make(EINSUM, (x, broadcast(s, x.shape)), spec="ab,ab->a"),
        make(EINSUM, (x, wide), spec="ab,bc->a"),
    )


def _fold_examples() -> tuple[Expr, ...]:
    return (
        make(multiply, (number(0.1, FLOAT32), number(0.3, FLOAT32))),
        make(divide, (number(1.0, FLOAT64), number(3.0, FLOAT64))),
        make(negative, (number(2.0, FLOAT64),)),
    )


STRUCTURAL: tuple[Structural, ...] = (
    Structural(
        "view of a view",
        ("broadcast", "reshape", "permute", "slice", "cast"),
        _collapse_view,
        "moves no element twice",
        _view_examples,
    ),
    Structural(
        "cast of a lossless cast", ("cast",), _collapse_cast, "converts once", _cast_examples
    ),
    Structural(
        "sum of what repeats",
        ("sum",),
        _sum_of_repeated,
        "a sum of n equal terms is n times one of them, rounded once",
        _sum_examples,
    ),
    Structural(
        "scalar factor of a contraction",
        ("einsum",),
        _uniform_factor,
        "multiplies the result once instead of every term",
        _einsum_examples,
    ),
    Structural(
        "arithmetic of constants",
        tuple(_ARITHMETIC),
        _fold,
        "the same correctly rounded number, computed once",
        _fold_examples,
    ),
    Structural(
        "pointwise before broadcast",
        tuple(POINTWISE),
        _hoist,
        "computes each different element once",
        _hoist_examples,
    ),
)
