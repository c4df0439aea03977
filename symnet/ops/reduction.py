"""Reductions over axes, and softmax along them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from symnet.errors import DtypeError, ShapeError
from symnet.expr import Attributes, Dtype, Expr, Op, Tangents, make, origin_here
from symnet.ops.core import BOOL, FLOATS, INT64, axes_of, broadcast, cast, describe
from symnet.ops.gather import SCATTER_ADD, parts
from symnet.ops.pointwise import times
from symnet.ops.table import equal, where
from symnet.ops.views import identity, reshape
from symnet.sizes import Dimension, Shape, multiply_sizes

Local = Callable[[Expr, Expr, tuple[int, ...]], Expr]
"""local(y, x, axes) -> dy/dx, shaped as x, with y broadcast back to x's shape."""


@dataclass(frozen=True, eq=False, repr=False)
class Reduction(Op):
    """A row: a fold over axes. attrs: axes, sorted. The result lacks those axes.

    local: the derivative of the result by each element, from which both modes follow.
    symbol, latex: how it prints before the reduced expression.
    """

    name: str
    value_of: Callable[..., Any]
    local: Local | None
    convention: str = ""
    text: str = ""
    latex: str = ""
    empty: bool = False

    def infer(self, args: tuple[Expr, ...], attrs: Attributes) -> tuple[Shape, Dtype]:
        (x,), axes = args, attrs["axes"]
        if x.dtype == BOOL:
            raise DtypeError(f"{self.name} takes numbers, {describe(x)} is bool: sn.astype first")
        if self.name in ("logsumexp",) and x.dtype not in FLOATS:
            raise DtypeError(f"{self.name} takes floating-point numbers, got {x.dtype}")
        if self.local is None and len(axes) != 1:
            raise ShapeError(f"{self.name} of {describe(x)} goes along one axis, got {axes}")
        if not self.empty and any(x.shape[axis] == 0 for axis in axes):
            raise ShapeError(f"{self.name} over an empty axis of {describe(x)}")
        kept = tuple(size for axis, size in enumerate(x.shape) if axis not in axes)
        return kept, INT64 if self.name == "argmax" else x.dtype

    def value(self, xp: Any, node: Expr, *args: Any) -> Any:
        return self.value_of(xp, args[0], node.attrs["axes"])

    def _derivative(self, node: Expr) -> Expr | None:
        (x,), axes = node.args, node.attrs["axes"]
        if self.local is None or node.dtype not in FLOATS:
            return None
        return self.local(restore(node, x, axes), x, axes)

    def pullback(self, node: Expr, adjoint: Expr, index: int) -> Expr | None:
        derivative = self._derivative(node)
        if derivative is None:
            return None
        return times(restore(adjoint, node.args[0], node.attrs["axes"]), derivative)

    def pushforward(self, node: Expr, tangents: Tangents, lead: int) -> Expr | None:
        derivative = self._derivative(node)
        if derivative is None or tangents[0] is None:
            return None
        return sum_over(times(tangents[0], derivative), shifted(node, lead))


def shifted(node: Expr, lead: int) -> tuple[int, ...]:
    """The axes of a node's attribute in a tangent with `lead` axes before the node's own."""
    return tuple(axis + lead for axis in node.attrs["axes"])


def restore(reduced: Expr, like: Expr, axes: tuple[int, ...]) -> Expr:
    """A reduction's result broadcast back along the axes it lost."""
    if reduced.shape == ():
        return broadcast(reduced, like.shape)
    kept = tuple(1 if axis in axes else size for axis, size in enumerate(like.shape))
    return broadcast(reshape(reduced, kept), like.shape)


def _ones(y: Expr, x: Expr, axes: tuple[int, ...]) -> Expr:
    from_one: Expr = Expr.dispatch["ones_like"](x)
    return from_one


def _among_winners(y: Expr, x: Expr, axes: tuple[int, ...]) -> Expr:
    winners = cast(equal(x, y), x.dtype)
    return winners / restore(sum_over(winners, axes), x, axes)


def _product_of_others(y: Expr, x: Expr, axes: tuple[int, ...]) -> Expr:
    """For each element the product of the others, right also where some are zero."""
    rest = tuple(axis for axis in range(x.ndim) if axis not in axes)
    flat = _flatten_to_last(x, rest, axes)
    count = flat.shape[-1]
    square = (*flat.shape, count)
    own = broadcast(identity(count, BOOL), square)
    row = broadcast(reshape(flat, (*flat.shape[:-1], 1, count)), square)
    others = make(PROD, (where(own, broadcast_one(row), row),), axes=(len(square) - 1,))
    unflat = reshape(others, tuple(x.shape[axis] for axis in (*rest, *axes)))
    order = (*rest, *axes)
    result: Expr = Expr.dispatch["permute_dims"](
        unflat, tuple(order.index(axis) for axis in range(x.ndim))
    )
    return result


def broadcast_one(like: Expr) -> Expr:
    """Ones shaped as another expression."""
    return _ones(like, like, ())


def _flatten_to_last(x: Expr, rest: tuple[int, ...], axes: tuple[int, ...]) -> Expr:
    moved: Expr = Expr.dispatch["permute_dims"](x, (*rest, *axes))
    kept = tuple(x.shape[axis] for axis in rest)
    return reshape(moved, (*kept, multiply_sizes(x.shape[axis] for axis in axes)))


def _softmax_of(y: Expr, x: Expr, axes: tuple[int, ...]) -> Expr:
    return make(SOFTMAX, (x,), axes=axes)


SUM = Reduction(
    "sum", lambda xp, x, axes: xp.sum(x, axes), _ones, text="Σ", latex=r"\sum", empty=True
)
PROD = Reduction(
    "prod",
    lambda xp, x, axes: xp.prod(x, axes),
    _product_of_others,
    text="Π",
    latex=r"\prod",
    empty=True,
)
MAX = Reduction(
    "max",
    lambda xp, x, axes: xp.max(x, axes),
    _among_winners,
    convention="equal largest elements share the derivative evenly",
    text="max",
    latex=r"\max",
)
MIN = Reduction(
    "min",
    lambda xp, x, axes: xp.min(x, axes),
    _among_winners,
    convention="equal smallest elements share the derivative evenly",
    text="min",
    latex=r"\min",
)
ARGMAX = Reduction(
    "argmax",
    lambda xp, x, axes: xp.argmax(x, axes),
    None,
    convention="the first of equal largest elements",
    text="argmax",
    latex=r"\operatorname{argmax}",
)
LOGSUMEXP = Reduction(
    "logsumexp",
    lambda xp, x, axes: xp.logsumexp(x, axes),
    _softmax_of,
    text="logsumexp",
    latex=r"\operatorname{logsumexp}",
)
REDUCTIONS = {row.name: row for row in (SUM, PROD, MAX, MIN, ARGMAX, LOGSUMEXP)}


class Softmax(Op):
    """exp(x) over its sum along the axes. attrs: axes."""

    name = "softmax"
    log = False

    def infer(self, args: tuple[Expr, ...], attrs: Attributes) -> tuple[Shape, Dtype]:
        if args[0].dtype not in FLOATS:
            raise DtypeError(
                f"{self.name} takes floating-point numbers, {describe(args[0])} is "
                f"{args[0].dtype} (at {origin_here()})"
            )
        return args[0].shape, args[0].dtype

    def value(self, xp: Any, node: Expr, *args: Any) -> Any:
        return xp.softmax(args[0], node.attrs["axes"])

    def pullback(self, node: Expr, adjoint: Expr, index: int) -> Expr | None:
        axes = node.attrs["axes"]
        return node * (adjoint - restore(sum_over(adjoint * node, axes), node, axes))

    def pushforward(self, node: Expr, tangents: Tangents, lead: int) -> Expr | None:
        axes, (tangent,) = shifted(node, lead), tangents
        if tangent is None:
            return None
        return node * (tangent - restore(sum_over(tangent * node, axes), tangent, axes))


class LogSoftmax(Softmax):
    """x less the logarithm of the sum of exp(x) along the axes. attrs: axes."""

    name = "log_softmax"

    def value(self, xp: Any, node: Expr, *args: Any) -> Any:
        return xp.log_softmax(args[0], node.attrs["axes"])

    def pullback(self, node: Expr, adjoint: Expr, index: int) -> Expr | None:
        axes, (x,) = node.attrs["axes"], node.args
        softmax = make(SOFTMAX, (x,), axes=axes)
        return adjoint - restore(sum_over(adjoint, axes), x, axes) * softmax

    def pushforward(self, node: Expr, tangents: Tangents, lead: int) -> Expr | None:
        axes, (tangent,) = shifted(node, lead), tangents
        if tangent is None:
            return None
        softmax = make(SOFTMAX, node.args, axes=node.attrs["axes"])
        return tangent - restore(sum_over(tangent * softmax, axes), tangent, axes)


SOFTMAX, LOG_SOFTMAX = Softmax(), LogSoftmax()


def sum_over(node: Expr, axes: tuple[int, ...]) -> Expr:
    """The sum over axes; nothing is made where a scatter along one of them undoes it.

    The sum over the starred axis of a scatter of one value a place is those values again.
    """
    if not axes:
        return node
    if node.op is SCATTER_ADD:
        source, _, out = parts(node.attrs["spec"])
        if axes == (source.index("*"),) and source.replace("*", "") == out:
            return node.args[0]
    return make(SUM, (node,), axes=axes)


def reduce(row: Op, node: Expr, axis: object, keepdims: bool) -> Expr:
    """The reduction by a row over None (all), one or several axes."""
    axes = axes_of(node, axis, row.name)
    # Asked before anything, since where no axis is left no node is made that would ask.
    row.infer((node,), {"axes": axes})
    if not axes:
        return node
    reduced = sum_over(node, axes) if row is SUM else make(row, (node,), axes=axes)
    if not keepdims:
        return reduced
    kept: list[Dimension] = [1 if index in axes else size for index, size in enumerate(node.shape)]
    return reshape(reduced, tuple(kept))
