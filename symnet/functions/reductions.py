"""Reductions over axes, and softmax along them."""

from __future__ import annotations

from symnet.expr import Expr, make
from symnet.functions.pointwise import sqrt, where
from symnet.ops import reduction, views
from symnet.ops.core import FLOATS, axes_of, cast, default_dtype, size_value
from symnet.ops.core import operand as _node
from symnet.ops.pointwise import ones, zeros
from symnet.sizes import multiply_sizes


def sum(x: object, axis: object = None, keepdims: bool = False) -> Expr:
    """The sum over None (all), one or several axes."""
    return reduction.reduce(reduction.SUM, _node(x, "sum"), axis, keepdims)


def prod(x: object, axis: object = None, keepdims: bool = False) -> Expr:
    """The product over axes."""
    return reduction.reduce(reduction.PROD, _node(x, "prod"), axis, keepdims)


def max(x: object, axis: object = None, keepdims: bool = False) -> Expr:
    """The largest element over axes; equal largest share the derivative evenly."""
    return reduction.reduce(reduction.MAX, _node(x, "max"), axis, keepdims)


def min(x: object, axis: object = None, keepdims: bool = False) -> Expr:
    """The smallest element over axes; equal smallest share the derivative evenly."""
    return reduction.reduce(reduction.MIN, _node(x, "min"), axis, keepdims)


def argmax(x: object, axis: int | None = None, keepdims: bool = False) -> Expr:
    """The index, int64, of the first largest element along one axis, or of all in row-major."""
    node = _node(x, "argmax")
    if axis is not None:
        return reduction.reduce(reduction.ARGMAX, node, axis, keepdims)
    flat = views.reshape(node, (multiply_sizes(node.shape),))
    found = reduction.reduce(reduction.ARGMAX, flat, 0, keepdims=False)
    return views.reshape(found, (1,) * node.ndim) if keepdims else found


def argmin(x: object, axis: int | None = None, keepdims: bool = False) -> Expr:
    """The index, int64, of the first smallest element."""
    return argmax(-_node(x, "argmin"), axis, keepdims)


def logsumexp(x: object, axis: object = None, keepdims: bool = False) -> Expr:
    """log(sum(exp(x))) over axes, without overflow; -inf where all elements are."""
    return reduction.reduce(reduction.LOGSUMEXP, _node(x, "logsumexp"), axis, keepdims)


def _count(node: Expr, axis: object, what: str, less_by: int = 0) -> Expr:
    sizes = [node.shape[index] for index in axes_of(node, axis, what)]
    count = size_value(multiply_sizes(sizes), node.dtype)
    return count - less_by if less_by else count


def mean(x: object, axis: object = None, keepdims: bool = False) -> Expr:
    """The arithmetic mean over axes."""
    node = _node(x, "mean")
    node = cast(node, default_dtype.current) if node.dtype not in FLOATS else node
    return sum(node, axis, keepdims) / _count(node, axis, "mean")


def var(x: object, axis: object = None, keepdims: bool = False, correction: int = 0) -> Expr:
    """The variance over axes: squared deviations from the mean over the count less correction."""
    node = _node(x, "var")
    deviation = node - mean(node, axis, keepdims=True)
    return sum(deviation**2, axis, keepdims) / _count(node, axis, "var", correction)


def std(x: object, axis: object = None, keepdims: bool = False, correction: int = 0) -> Expr:
    """The standard deviation over axes; of a constant it is 0, with derivative 0."""
    return _safe_sqrt(var(x, axis, keepdims, correction))


def norm(x: object, axis: object = None, keepdims: bool = False) -> Expr:
    """The Euclidean norm over axes; its derivative at 0 is 0."""
    return _safe_sqrt(sum(_node(x, "norm") ** 2, axis, keepdims))


def _safe_sqrt(x: Expr) -> Expr:
    """The root of a sum of squares, whose derivative where it vanishes is 0."""
    positive = x > 0
    return where(positive, sqrt(where(positive, x, ones(x))), zeros(x))


def softmax(x: object, axis: object = -1) -> Expr:
    """exp(x) over its sum along the axes, without overflow."""
    node = _node(x, "softmax")
    axes = axes_of(node, axis, "softmax")
    return make(reduction.SOFTMAX, (node,), axes=axes) if axes else ones(node)


def log_softmax(x: object, axis: object = -1) -> Expr:
    """The logarithm of softmax, without overflow."""
    node = _node(x, "log_softmax")
    axes = axes_of(node, axis, "log_softmax")
    return make(reduction.LOG_SOFTMAX, (node,), axes=axes) if axes else zeros(node)
