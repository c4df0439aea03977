"""Linear combinations of products: whether one expression is a multiple of another."""

from __future__ import annotations

from dataclasses import dataclass

from symnet.expr import Expr
from symnet.ops.core import broadcast, number, scalar_constant
from symnet.ops.table import add, multiply, negative, subtract
from symnet.rules.algebra import factors, terms

Key = tuple[tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True)
class Linear:
    """The coefficient of each product, by the identities of its factors; a number's key is empty.

    nodes: an expression for each key, so that identities stay unique.
    """

    coefficients: dict[Key, float]
    nodes: dict[Key, Expr]

    def times(self, factor: float) -> Linear:
        """All coefficients by a factor."""
        return Linear({k: v * factor for k, v in self.coefficients.items()}, self.nodes)

    def plus(self, other: Linear) -> Linear:
        """The sum, without what cancels."""
        total = dict(self.coefficients)
        for key, value in other.coefficients.items():
            total[key] = total.get(key, 0.0) + value
        return Linear({k: v for k, v in total.items() if v}, {**other.nodes, **self.nodes})

    def over(self, other: Linear) -> float | None:
        """The number m with self = m * other, if there is one."""
        if self.coefficients.keys() != other.coefficients.keys() or not self.coefficients:
            return None
        ratios = {value / other.coefficients[key] for key, value in self.coefficients.items()}
        return ratios.pop() if len(ratios) == 1 else None

    def built(self, like: Expr) -> Expr:
        """The combination as an expression, of the dtype and shape of another."""
        total: Expr | None = None
        for key, value in self.coefficients.items():
            part = self.nodes[key]
            size = abs(value)
            if key == ((), ()):
                part = number(size, like.dtype)
            elif size != 1:
                part = multiply(size, part)
            if total is None:
                total = part if value > 0 else negative(part)
            else:
                total = add(total, part) if value > 0 else subtract(total, part)
        return broadcast(number(0, like.dtype) if total is None else total, like.shape)


def linear(node: Expr) -> Linear:
    """A sum as a linear combination of products."""
    found = Linear({}, {})
    for sign, part in terms(node):
        value = scalar_constant(part)
        if value is not None:
            one: Linear = Linear({((), ()): float(sign * value)}, {((), ()): part})
        else:
            product = factors(part)
            above, below = product.above, product.below
            key = (tuple(sorted(map(id, above))), tuple(sorted(map(id, below))))
            bare = above[0] if len(above) == 1 and not below else None
            if bare is None and product.coefficient != 1:
                bare = _without_number(above, below)
            one = Linear({key: sign * product.coefficient}, {key: part if bare is None else bare})
        found = found.plus(one)
    return found


def _without_number(above: tuple[Expr, ...], below: tuple[Expr, ...]) -> Expr | None:
    if not above:
        return None
    total = above[0]
    for factor in above[1:]:
        total = multiply(total, factor)
    for factor in below:
        total = total / factor
    return total
