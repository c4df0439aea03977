"""Patterns that read as one thing: squares to be summed, guarded roots, rows' own numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from symnet.expr import Expr
from symnet.formula.algebra import literal
from symnet.formula.naming import core, is_scalar, same
from symnet.formula.tree import Formula, Listed, Symbol
from symnet.ops.core import BROADCAST, scalar_constant
from symnet.ops.reduction import SOFTMAX, Reduction
from symnet.ops.table import equal, less, sqrt, where
from symnet.ops.views import RESHAPE
from symnet.sizes import Dimension, add_sizes, scale_size


def column(node: Expr) -> Expr | None:
    """The reduction of which a broadcast repeats one element along each row; None otherwise."""
    inner = node.args[0] if node.op is BROADCAST else node
    source = core(inner)
    if inner.op is not RESHAPE or inner is source or inner.ndim <= source.ndim:
        return None
    if inner.shape != source.shape + (1,) * (inner.ndim - source.ndim):
        return None
    if is_scalar(source):
        return None
    return source if isinstance(source.op, Reduction) and source.shape else None


def guarded_root(node: Expr) -> Expr | None:
    """x of where(x > 0, sqrt(where(x > 0, x, 1)), 0): the root, with derivative 0 at 0. With x = 0
    for the condition, the branches are the other way round."""
    if node.op is not where:
        return None
    condition, root, zero = node.args
    if condition.op is equal:
        root, zero = zero, root
    if root.op is not sqrt or root.args[0].op is not where or scalar_constant(zero) != 0:
        return None
    again, inner, one = root.args[0].args
    if condition.op is equal:
        inner, one = one, inner
    guards = condition is again and scalar_constant(one) == 1
    compared = condition.args[1] if condition.op is less else condition.args[0]
    return inner if guards and condition.op in (less, equal) and compared is inner else None


def index_range(start: Dimension, step: int, size: Dimension) -> Formula:
    """The places start, start + step, ... of an axis: `first:behind last:step`."""
    stop = add_sizes(start, scale_size(size, step))
    if stop == -1:
        stop = ""  # type: ignore[assignment]
    return Symbol(f"{start}:{stop}" + (f":{step}" if step != 1 else ""))


def squared(node: Expr) -> Expr | None:
    """The matrix or vector of which a node is the elementwise square; None if it is none."""
    node = same(node)
    op = node.op.name
    square = op == "pow" and scalar_constant(node.args[1]) == 2
    if not square and not (op == "multiply" and node.args[0] is node.args[1]):
        return None
    base = node.args[0]
    return base if base.ndim in (1, 2) else None


def affine(value: Any) -> list[int] | None:
    """c, a, b, ... of an integer array whose element i, j, ... is c + a i + b j; None if it has
    no such numbers."""
    if not isinstance(value, np.ndarray) or value.dtype.kind != "i" or value.size < 2:
        return None
    corner = value[(0,) * value.ndim]
    found, made = [int(corner)], np.full(value.shape, corner)
    for axis, size in enumerate(value.shape):
        ahead = tuple(1 if k == axis else 0 for k in range(value.ndim))
        by = int(value[ahead] - corner) if size > 1 else 0
        found.append(by)
        made = made + by * np.arange(size).reshape(
            [-1 if k == axis else 1 for k in range(made.ndim)]
        )
    return found if np.array_equal(made, value) else None


def listed(value: np.ndarray[Any, Any]) -> Formula:
    """The elements of a constant array, row by row."""
    if value.ndim == 0:
        return literal(value.item(), value.dtype)
    return Listed(tuple(listed(item) for item in value))


def automatic_name(node: Expr) -> tuple[str, bool]:
    """The name an intermediate gets, and whether such names are numbered from 1."""
    if node.op is SOFTMAX:
        return "P", False
    return ("t" if node.ndim < 2 else "T"), True
