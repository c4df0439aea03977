"""Clipping of gradients, by value and by their common norm."""

from __future__ import annotations

from collections.abc import Sequence

from symnet.expr import Expr
from symnet.functions.pointwise import clip, minimum, sqrt
from symnet.functions.reductions import sum
from symnet.ops.core import FLOAT64, cast


def by_value(gradients: Sequence[Expr], limit: float) -> list[Expr]:
    """Every element held between -limit and limit, as torch.nn.utils.clip_grad_value_."""
    return [clip(gradient, -limit, limit) for gradient in gradients]


def global_norm(gradients: Sequence[Expr]) -> Expr:
    """The Euclidean norm of all gradients as one vector, a float64 scalar."""
    squares = [cast(sum(gradient**2), FLOAT64) for gradient in gradients]
    total = squares[0]
    for square in squares[1:]:
        total = total + square
    return sqrt(total)


def by_norm(gradients: Sequence[Expr], limit: float) -> list[Expr]:
    """All gradients times min(1, limit / (norm + 1e-6)), where norm is their common norm.

    The 1e-6 is that of torch.nn.utils.clip_grad_norm_, so a clipped norm is a little below limit.
    """
    factor = minimum(limit / (global_norm(gradients) + 1e-6), 1)
    return [gradient * cast(factor, gradient.dtype) for gradient in gradients]
