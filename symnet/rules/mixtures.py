"""log(p exp(a) + q exp(b) + r): weighted sums of exponentials, weights of either sign.

Reference: Blanchard, Higham and Higham, Accurately computing the log-sum-exp and softmax
functions, 2021.
"""

from __future__ import annotations

from symnet.expr import Expr
from symnet.ops.core import FLOAT32, FLOATS, broadcast, number
from symnet.ops.table import (
    absolute,
    add,
    exp,
    less,
    log,
    log1p,
    logical_and,
    multiply,
    subtract,
    where,
)
from symnet.rules.algebra import sample, sum_of_terms, terms
from symnet.rules.linear import Linear
from symnet.rules.match import unnamed
from symnet.rules.products import Powers, built, gathered
from symnet.rules.rule import AnyRule, Structural


def _groups(parts: list[tuple[int, Expr]], like: Expr) -> list[tuple[Linear, Expr]] | None:
    """Exponents with their weights: the sum is that of weight * exp(exponent)."""
    found: list[tuple[Linear, list[tuple[int, Expr]]]] = []
    for sign, part in parts:
        product = gathered(part)
        if any(unnamed(own).op is where for own in product.exponent.nodes.values()):
            return None
        rest = built(Powers(product.coefficient, product.powers), part)
        for exponent, weights in found:
            if exponent.coefficients == product.exponent.coefficients:
                weights.append((sign, rest))
                break
        else:
            found.append((product.exponent, [(sign, rest)]))
    return [(exponent, sum_of_terms(weights, like)) for exponent, weights in found]


def _weighted(node: Expr) -> Expr | None:
    """By the larger exponential where one of them may leave the range."""
    inner = node.args[0]
    parts = terms(inner)
    own = _groups(parts, inner) if node.dtype in FLOATS else None
    one = broadcast(number(1, node.dtype), inner.shape)
    groups = own and _groups([(1, one), *parts] if node.op is log1p else parts, inner)
    if not own or not groups or len(groups) != 2:
        return None
    (first, p), (second, q) = groups
    a, b = first.built(inner), second.built(inner)
    limit = 20.0 if inner.dtype == FLOAT32 else 200.0
    plain = logical_and(less(absolute(a), limit), less(absolute(b), limit))
    usual = [
        multiply(weight, exp(where(plain, exponent.built(inner), 0)))
        if exponent.coefficients
        else weight
        for exponent, weight in own
    ]
    larger = less(b, a)
    decay = exp(where(plain, 0, where(larger, subtract(b, a), subtract(a, b))))
    scaled = where(larger, add(p, multiply(q, decay)), add(multiply(p, decay), q))
    apart = add(where(larger, a, b), log(where(plain, 1, scaled)))
    held = where(plain, sum_of_terms([(1, part) for part in usual], inner), _neutral(node))
    made = where(plain, log1p(held) if node.op is log1p else log(held), apart)
    return broadcast(made, node.shape)


def _neutral(node: Expr) -> float:
    return 0.0 if node.op is log1p else 1.0


def _examples() -> tuple[Expr, ...]:
    x, y, p, q = sample("x"), sample("y"), sample("p"), sample("q")
    mixed = add(multiply(p, exp(x)), multiply(subtract(1, p), exp(y)))
    return (
        log(mixed),
        log(add(p, exp(x))),
        log1p(multiply(q, exp(x))),
    )


MIXTURES: tuple[AnyRule, ...] = (
    Structural(
        "logarithm of weighted exponentials",
        ("log", "log1p"),
        _weighted,
        "an exponential overflows, or all of them underflow",
        _examples,
        remark="same function, no overflow",
        among=frozenset({"add", "subtract", "multiply", "divide"}),
        error=1e-14,
    ),
)
