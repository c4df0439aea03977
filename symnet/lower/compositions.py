"""Pointwise rows without an intrinsic of their own, as compositions of intrinsics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from codegen.scalar import Apply, Constant, Scalar

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
