"""Polynomials with known coefficients, whose derivatives are such polynomials again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symnet.expr import Expr, Tangents, make
from symnet.ops.core import FLOATS
from symnet.ops.pointwise import Pointwise, times, zeros


class Polynomial(Pointwise):
    """c_0 + c_1 x + c_2 x^2 + ... by Horner's rule. attrs: coefficients, the lowest first."""

    def value(self, xp: Any, node: Expr, *args: Any) -> Any:
        *rest, last = node.attrs["coefficients"]
        total = args[0] * 0 + last
        for coefficient in reversed(rest):
            total = total * args[0] + coefficient
        return total

    def _slope(self, node: Expr) -> Expr:
        terms = enumerate(node.attrs["coefficients"])
        return polynomial(node.args[0], [power * term for power, term in terms][1:])

    def pullback(self, node: Expr, adjoint: Expr, index: int) -> Expr | None:
        return times(adjoint, self._slope(node)) if node.dtype in FLOATS else None

    def pushforward(self, node: Expr, tangents: Tangents, lead: int) -> Expr | None:
        (tangent,) = tangents
        return None if tangent is None else times(tangent, self._slope(node))


# The derivative follows from the coefficients, which a partial of a row does not see.
POLYNOMIAL = Polynomial("polynomial", lambda xp, x: x, (lambda y, x: None,))


def polynomial(x: Expr, coefficients: Sequence[float]) -> Expr:
    """The polynomial of x, a floating-point expression, with these coefficients."""
    if not coefficients:
        return zeros(x)
    return make(POLYNOMIAL, (x,), coefficients=tuple(map(float, coefficients)))
