"""Expressions without their axes of size 1, so that what says the same is the same node."""

from __future__ import annotations

from symnet.expr import Expr, make
from symnet.formula.naming import core, is_scalar
from symnet.ops.core import BROADCAST, broadcast
from symnet.ops.pointwise import Pointwise
from symnet.ops.views import RESHAPE, reshape
from symnet.sizes import Shape


def repeated_number(node: Expr, deepest: int = 8) -> Expr | None:
    """The scalar that a node repeats everywhere, also through functions of such, which may be
    nested a little; else None."""
    if is_scalar(node):
        return core(node)
    if not isinstance(node.op, Pointwise) or not deepest:
        return None
    parts = [repeated_number(arg, deepest - 1) for arg in node.args]
    scalars = [part for part in parts if part is not None]
    return make(node.op, tuple(scalars)) if len(scalars) == len(parts) else None


def narrowed(node: Expr) -> Expr:
    """The node without axes of size 1, down through functions element by element."""
    kept = tuple(size for size in node.shape if size != 1)
    return _under(node, kept) if kept != node.shape else node


def _under(node: Expr, shape: Shape) -> Expr:
    """The node under a shape that only drops axes of size 1."""
    if node.shape == shape:
        return node
    number = repeated_number(node)
    if number is not None:
        return broadcast(number, shape)
    if node.op is RESHAPE or node.op is BROADCAST:
        (inner,) = node.args
        if inner.shape == shape:
            return inner
        return reshape(inner, shape) if node.op is RESHAPE else reshape(node, shape)
    if isinstance(node.op, Pointwise):
        return make(node.op, tuple(_under(arg, shape) for arg in node.args))
    return reshape(node, shape)
