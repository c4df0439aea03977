"""Quotients whose parts both overflow: by the largest term above and below the line.

x^2 / (1 + x^2) is 1 / (1 + 1 / x^2) for large x; exp(x) / (exp(x) - x) is 1 / (1 - x exp(-x)).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from symnet.expr import Expr
from symnet.ops.core import FLOAT32, FLOATS, broadcast, scalar_constant
from symnet.ops.table import (
    absolute,
    add,
    divide,
    exp,
    less,
    multiply,
    negative,
    power,
    subtract,
    where,
)
from symnet.rules.algebra import Product, product_of, sample, sum_of_terms, terms
from symnet.rules.linear import Linear
from symnet.rules.match import unnamed
from symnet.rules.products import gathered
from symnet.rules.rule import AnyRule, Structural

# From where one exponential is so much larger than what grows like a power that it is divided by.
_LARGE: Final = 20.0
_GROWS: Final = frozenset({"exp", "cosh", "sinh", "expm1", "sigmoid", "erfc", "where"})


def _degree(part: Expr) -> tuple[float, Expr, float] | None:
    """(c, x, k) of c x^k with a whole k > 1."""
    product = gathered(part)
    if len(product.powers) != 1 or product.exponentials:
        return None
    ((base, by),) = product.powers.items()
    whole = 1 < by <= 64 and by == int(by)
    return (product.coefficient, base, by) if whole else None


def _rational(node: Expr) -> Expr | None:
    """b x^a / (c + d x^k) = b x^(a - k) / (d + c / x^k) for large x, where a <= k."""
    above, below = node.args
    parts = terms(below)
    numbers = [s * float(v) for s, p in parts if (v := scalar_constant(p)) is not None]
    others = [(s, p) for s, p in parts if scalar_constant(p) is None]
    degree = _degree(others[0][1]) if len(others) == 1 and len(numbers) == 1 else None
    if degree is None or unnamed(degree[1]).op is where or node.dtype not in FLOATS:
        return None
    (size, x, k), c = degree, numbers[0]
    size *= others[0][0]
    top = gathered(above)
    a = top.powers.get(x, 0.0)
    if not 0 < a <= k or c * size <= 0 or top.coefficient == 0:
        return None
    limit = 10.0 ** ((12.0 if node.dtype == FLOAT32 else 100.0) / k)
    large = less(limit, absolute(x))
    far, held = where(large, x, limit), where(large, 1, x)
    rest = Product(top.coefficient, tuple(_others(top.powers, x)), ())
    ratio = divide(1.0, add(size, divide(c, power(far, k))))
    ratio = ratio if a == k else divide(ratio, power(far, k - a) if k - a > 1 else far)
    lead = power(held, a) if a > 1 else held
    near = divide(lead, add(c, multiply(size, power(held, k))))
    quotient = where(large, ratio, near)
    return broadcast(multiply(product_of(rest, node), quotient) if _is_more(rest) else quotient,
                     node.shape)  # fmt: skip


def _is_more(product: Product) -> bool:
    return bool(product.above) or product.coefficient != 1


def _others(powers: dict[Expr, float], x: Expr) -> list[Expr]:
    return [base if by == 1 else power(base, by) for base, by in powers.items() if base is not x]


def _leading(node: Expr) -> Linear | None:
    """The exponent a of the one term c exp(a) of a sum whose other terms grow less."""
    found: Linear | None = None
    parts = terms(node)
    for _, part in parts:
        product = gathered(part)
        if any(_holds_growth(base) for base in product.powers):
            return None
        if not product.exponentials:
            continue
        if found is not None or not product.exponent.coefficients or product.powers:
            return None
        if any(unnamed(own).op is where for own in product.exponent.nodes.values()):
            return None
        found = product.exponent
    if found is None or len(parts) < 2 or all(_is_known(part) for _, part in parts):
        return None
    return found


def _is_known(part: Expr) -> bool:
    return scalar_constant(part) is not None or bool(gathered(part).exponentials)


def _holds_growth(base: Expr) -> bool:
    stack, seen = [base], 0
    while stack and seen < 16:
        bare, seen = unnamed(stack.pop()), seen + 1
        if bare.op.name in _GROWS:
            return True
        stack.extend(bare.args)
    return bool(stack)


def _over_exponential(node: Expr) -> Expr | None:
    """(c exp(a) + p) / (d exp(a) + q) = (c + p exp(-a)) / (d + q exp(-a)) for large a."""
    above, below = node.args
    exponent = _leading(below)
    if exponent is None or node.dtype not in FLOATS:
        return None
    parts = terms(above)
    if not all(_fits(part, exponent) for _, part in parts):
        return None
    if not any(gathered(part).exponentials for _, part in parts):
        return None
    a = exponent.built(node)
    large = less(_LARGE, a)
    grown, decay = exp(where(large, 0, a)), exp(negative(where(large, a, _LARGE)))
    near = divide(_with(above, grown, None), _with(below, grown, None))
    far = divide(_with(above, None, decay), _with(below, None, decay))
    return broadcast(where(large, far, near), node.shape)


def _fits(part: Expr, exponent: Linear) -> bool:
    product = gathered(part)
    if any(_holds_growth(base) for base in product.powers):
        return False
    return not product.exponentials or product.exponent.over(exponent) == 1


def _with(total: Expr, grown: Expr | None, decay: Expr | None) -> Expr:
    """A sum with another expression for its exponential, or divided by that."""
    made: list[tuple[int, Expr]] = []
    for sign, part in terms(total):
        product = gathered(part)
        if not product.exponentials:
            made.append((sign, part if decay is None else multiply(part, decay)))
            continue
        rest = product_of(
            Product(product.coefficient, tuple(_others(product.powers, total)), ()), part
        )
        lone = product.coefficient == 1 and not product.powers
        made.append((sign, rest if grown is None else grown if lone else multiply(rest, grown)))
    return sum_of_terms(made, total)


def _rational_examples() -> tuple[Expr, ...]:
    x, y = sample("x"), sample("y")
    square = multiply(x, x)
    return (
        divide(square, add(1, square)),
        divide(multiply(y, x), add(multiply(3, square), 2)),
        divide(power(x, 3), add(power(x, 3), 8)),
    )


def _over_examples() -> tuple[Expr, ...]:
    x, y = sample("x"), sample("y")
    return (
        divide(exp(x), subtract(exp(x), x)),
        divide(add(multiply(2, exp(y)), x), add(exp(y), multiply(x, x))),
    )


def _quotient(
    name: str, rewrite: Callable[[Expr], Expr | None], examples: Callable[[], tuple[Expr, ...]]
) -> Structural:
    return Structural(
        name,
        ("divide",),
        rewrite,
        "infinity over infinity",
        examples,
        remark="same function, no overflow",
        among=frozenset({"add", "subtract"}),
        error=1e-14,
    )


INFINITY: tuple[AnyRule, ...] = (
    _quotient("quotient of powers", _rational, _rational_examples),
    _quotient("quotient of sums with an exponential", _over_exponential, _over_examples),
)
