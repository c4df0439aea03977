"""Pointwise rows without an intrinsic of their own, as compositions of intrinsics; and compositions
of rows that are one intrinsic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from codegen.scalar import Apply, Constant, Scalar
from symnet.expr import Expr
from symnet.ops.table import divide
from symnet.rules.log_factors import argument_of_bell

Composition = Callable[..., Scalar]


def hypot(dtype: str, a: Scalar, b: Scalar) -> Scalar:
    """m sqrt(1 + (n/m)^2) for the larger |.| m and the smaller n; n/m is 1 where both are equal."""
    first, second = Apply("abs", (a,), dtype), Apply("abs", (b,), dtype)
    large = Apply("maximum", (first, second), dtype)
    small = Apply("minimum", (first, second), dtype)
    one = Constant(1.0, dtype)
    same = Apply("equal", (large, small), "bool")
    ratio = Apply("select", (same, one, Apply("divide", (small, large), dtype)), dtype)
    square = Apply("multiply", (ratio, ratio), dtype)
    root = Apply("sqrt", (Apply("add", (one, square), dtype),), dtype)
    return Apply("multiply", (large, root), dtype)


def _vanishing(logarithm: str, neutral: float) -> Composition:
    """a f(b), which is 0 where a is, whatever b is; f(neutral) is finite."""

    def composed(dtype: str, a: Scalar, b: Scalar) -> Scalar:
        none = Apply("equal", (a, Constant(0.0, dtype)), "bool")
        inner = Apply("select", (none, Constant(neutral, dtype), b), dtype)
        product = Apply("multiply", (a, Apply(logarithm, (inner,), dtype)), dtype)
        return Apply("select", (none, Constant(0.0, dtype), product), dtype)

    return composed


COMPOSITIONS: Final[dict[str, Composition]] = {
    "hypot": hypot,
    "xlogy": _vanishing("log", 1.0),
    "xlog1py": _vanishing("log1p", 0.0),
}


def as_one(node: Expr) -> tuple[str, tuple[Expr, ...]] | None:
    """The intrinsic that is a whole composition, and its operands. The derivative of tanh is found
    so: the intrinsic shares its exponential with the tanh beside it."""
    if node.op is not divide:
        return None
    slope_at = argument_of_bell(node)
    return None if slope_at is None else ("sech_squared", (slope_at,))
