"""Polynomials as scalar arithmetic."""

from __future__ import annotations

from collections.abc import Sequence

from codegen.scalar import Apply, Constant, Scalar


def horner(dtype: str, x: Scalar, coefficients: Sequence[float]) -> Scalar:
    """The polynomial of x, from the highest coefficient down."""
    *rest, last = (Constant(float(value), dtype) for value in coefficients)
    total: Scalar = last
    for coefficient in reversed(rest):
        total = Apply("add", (Apply("multiply", (total, x), dtype), coefficient), dtype)
    return total
