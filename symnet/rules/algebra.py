"""Sums as lists of terms and products as lists of factors: matching up to associativity.

Each list is at most `_MOST` long, so that a rule's work at one node is bounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from symnet.expr import Expr, make
from symnet.ops.core import BOOL, BROADCAST, broadcast, number, scalar_constant
from symnet.ops.leaves import INPUT
from symnet.ops.table import add, divide, multiply, negative, power, subtract, where
from symnet.ops.views import PERMUTE, RESHAPE, SLICE
from symnet.rules.match import unnamed
from symnet.rules.rule import is_constant
from symnet.sizes import shape_of

_MOST: Final = 12


@dataclass(frozen=True)
class Product:
    """coefficient * product of above / product of below."""

    coefficient: float
    above: tuple[Expr, ...]
    below: tuple[Expr, ...]


def terms(node: Expr) -> list[tuple[int, Expr]]:
    """The signed terms of a sum, from the left; the node itself if it is no sum."""
    found: list[tuple[int, Expr]] = []
    stack = [(1, node)]
    while stack:
        sign, part = stack.pop()
        bare = unnamed(part)
        if len(stack) + len(found) >= _MOST or bare.op not in (add, subtract, negative):
            found.append((sign, bare))
            continue
        signs = (-sign,) if bare.op is negative else (sign, -sign if bare.op is subtract else sign)
        stack.extend(reversed(list(zip(signs, bare.args, strict=True))))
    return found


def factors(node: Expr) -> Product:
    """A product or quotient by its factors, constants gathered in one coefficient."""
    coefficient = 1.0
    above: list[Expr] = []
    below: list[Expr] = []
    stack = [(False, node)]
    while stack:
        inverse, part = stack.pop()
        bare = unnamed(part)
        value = scalar_constant(bare) if is_constant(bare) else None
        if value is not None:
            coefficient = coefficient / value if inverse else coefficient * value
        elif bare.op is negative:
            coefficient = -coefficient
            stack.append((inverse, bare.args[0]))
        elif bare.op in (multiply, divide) and len(stack) + len(above) + len(below) < _MOST:
            stack.append(((bare.op is divide) != inverse, bare.args[1]))
            stack.append((inverse, bare.args[0]))
        else:
            (below if inverse else above).extend([_base(bare)] * _times(bare))
    return Product(coefficient, tuple(above), tuple(below))


def _times(node: Expr) -> int:
    exponent = scalar_constant(node.args[1]) if node.op.name == "pow" else None
    return int(exponent) if exponent in (2, 3, 4) else 1


def _base(node: Expr) -> Expr:
    return node.args[0] if _times(node) > 1 else node


def product_of(product: Product, like: Expr) -> Expr:
    """The product as an expression, of the shape and dtype of another."""
    top: Expr | None = None
    for factor in product.above:
        top = factor if top is None else multiply(top, factor)
    if top is None:
        top = number(product.coefficient, like.dtype)
    elif product.coefficient == -1:
        top = negative(top)
    elif product.coefficient != 1:
        top = multiply(product.coefficient, top)
    for factor in product.below:
        top = divide(top, factor)
    return broadcast(top, like.shape)


def sum_of_terms(parts: Sequence[tuple[int, Expr]], like: Expr) -> Expr:
    """The sum of signed terms, from the left, of the shape and dtype of another."""
    total: Expr | None = None
    for sign, part in parts:
        if total is None:
            total = part if sign > 0 else negative(part)
        else:
            total = add(total, part) if sign > 0 else subtract(total, part)
    return broadcast(number(0, like.dtype) if total is None else total, like.shape)


def square_root_of(node: Expr) -> Expr | None:
    """u, if the node is u * u or u to an even power."""
    if node.op is multiply and unnamed(node.args[0]) is unnamed(node.args[1]):
        return node.args[0]
    exponent = scalar_constant(node.args[1]) if node.op is power else None
    if exponent is None or exponent <= 0 or exponent % 2 or exponent > 64:
        return None
    return node.args[0] if exponent == 2 else power(node.args[0], exponent / 2)


def without(nodes: Sequence[Expr], gone: Sequence[Expr]) -> tuple[list[Expr], list[Expr]]:
    """The nodes less those in `gone`, and what of `gone` was there, by identity and count."""
    rest, taken = list(nodes), []
    for node in gone:
        place = next((k for k, other in enumerate(rest) if other is node), None)
        if place is not None:
            taken.append(rest.pop(place))
    return rest, taken


def under_repeats(node: Expr) -> Expr:
    """The node under names, broadcasts and reshapes."""
    while unnamed(node).op in (BROADCAST, RESHAPE):
        node = unnamed(node).args[0]
    return unnamed(node)


def view_of(node: Expr, source: Expr) -> list[Expr] | None:
    """The views that lead from a source to a node, outermost first."""
    views: list[Expr] = []
    bare = unnamed(node)
    while bare is not source:
        if bare.op not in (SLICE, RESHAPE, PERMUTE):
            return None
        views.append(bare)
        bare = unnamed(bare.args[0])
    return views


def guarded(test: Expr, x: Expr, inside: float, outside: float) -> tuple[Expr, Expr]:
    """x where the test holds, else `inside`; and x where it does not hold, else `outside`.

    What either branch of a select computes from its own is finite on both.
    """
    return (
        where(test, x, number(inside, x.dtype)),
        where(test, number(outside, x.dtype), x),
    )


def has_number(node: Expr) -> bool:
    """Whether an operand is a number: no rule about two functions fits."""
    return any(scalar_constant(arg) is not None for arg in node.args)


def sample(name: str, *shape: str, dtype: object = "float64") -> Expr:
    """An input for a rule's examples."""
    return make(INPUT, identity=True, name=name, shape=shape_of(shape), dtype=str(dtype))


def sample_test(name: str = "p") -> Expr:
    """A condition for a rule's examples."""
    return sample(name, dtype=BOOL)
