"""Differences of two values of one function, and of squares and reciprocals.

Reference: Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 1.7.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from symnet.expr import Expr
from symnet.ops.core import broadcast, number, scalar_constant
from symnet.ops.table import (
    absolute,
    add,
    divide,
    erf,
    erfc,
    exp,
    expm1,
    less,
    log,
    log1p,
    logical_and,
    logical_or,
    maximum,
    multiply,
    negative,
    power,
    sigmoid,
    softplus,
    subtract,
    where,
)
from symnet.rules.algebra import (
    Product,
    factors,
    guarded,
    has_number,
    product_of,
    sample,
    square_root_of,
    sum_of_terms,
    terms,
    without,
)
from symnet.rules.linear import linear
from symnet.rules.match import unnamed
from symnet.rules.rule import AnyRule, Structural


def _less(a: Expr, b: Expr) -> Expr:
    """a - b, term by term."""
    return linear(a).plus(linear(b).times(-1)).built(subtract(a, b))


def _exponentials(a: Expr, b: Expr) -> Expr:
    """exp(a) - exp(b)."""
    gap = _less(a, b)
    near = less(absolute(gap), 0.5)
    close, _ = guarded(near, gap, 0.0, 1.0)
    far = subtract(exp(where(near, 1, a)), exp(where(near, 0, b)))
    return where(near, multiply(exp(b), expm1(close)), far)


def _sigmoids(a: Expr, b: Expr) -> Expr:
    """sigmoid(a) sigmoid(-b) (1 - exp(b - a)) where a is larger, else minus that of b and a."""
    larger = less(b, a)
    gap = where(larger, subtract(b, a), subtract(a, b))
    product = where(
        larger,
        multiply(sigmoid(a), sigmoid(negative(b))),
        negative(multiply(sigmoid(b), sigmoid(negative(a)))),
    )
    return multiply(negative(expm1(gap)), product)


def _erfs(a: Expr, b: Expr) -> Expr:
    above = logical_and(less(0.5, a), less(0.5, b))
    below = logical_and(less(a, -0.5), less(b, -0.5))
    upper = subtract(erfc(b), erfc(a))
    lower = subtract(erfc(negative(a)), erfc(negative(b)))
    tail = logical_or(above, below)
    body = subtract(erf(where(tail, 1, a)), erf(where(tail, 0, b)))
    return where(above, upper, where(below, lower, body))


def _logs(a: Expr, b: Expr) -> Expr:
    """log a - log b, by the difference of a and b where they are near."""
    ratio = divide(a, where(less(0, b), b, 1))
    near = logical_and(less(0.5, ratio), less(ratio, 2))
    near = logical_and(near, less(0, b))
    shape = near.shape
    wide, other = broadcast(a, shape), broadcast(b, shape)
    part = divide(where(near, _less(wide, other), 0), where(near, other, 1))
    far = subtract(log(where(near, 1, wide)), log(where(near, 1, other)))
    return where(near, log1p(part), far)


_PAIRS: Final[dict[str, Callable[[Expr, Expr], Expr]]] = {
    "exp": _exponentials,
    "sigmoid": _sigmoids,
    "erf": _erfs,
    "log": _logs,
}


def _two_values(node: Expr) -> Expr | None:
    """k f(a) - k f(b), where k may be a product."""
    if has_number(node):
        return None
    parts = terms(node)
    if len(parts) != 2 or any(scalar_constant(part) is not None for _, part in parts):
        return None
    first, second = ((sign_, factors(part)) for sign_, part in parts)
    products = (first[1], second[1])
    size = products[0].coefficient * first[0]
    left, _ = without(products[0].below, products[1].below)
    if products[1].coefficient * second[0] != -size or left:
        return None
    if len(products[0].below) != len(products[1].below):
        return None
    (rest, taken), (own, _) = (
        without(side.above, other.above) for side, other in (products, products[::-1])
    )
    if len(rest) != 1 or len(own) != 1:
        return None
    (f,), (g,) = rest, own
    spelling = _PAIRS.get(f.op.name)
    if spelling is None or f.op is not g.op or f is g or _is_held(f.args[0]):
        return None
    if f.shape != g.shape:
        return None
    made = spelling(f.args[0], g.args[0])
    shared = Product(size, (made, *taken), products[0].below)
    return product_of(shared, node)


def _is_held(node: Expr) -> bool:
    """Whether an argument is one branch of a select that was made here."""
    bare = unnamed(node)
    return bare.op is where and scalar_constant(bare.args[1]) is not None


def _squares(node: Expr) -> Expr | None:
    """a^2 - b^2 = (a - b)(a + b)."""
    parts = terms(node)
    if len(parts) != 2 or parts[0][0] == parts[1][0]:
        return None
    roots = [_root(part) for _, part in parts]
    found = [root for root in roots if root is not None]
    if len(found) < len(roots):
        return None
    first, second = found
    if parts[0][0] < 0:
        first, second = second, first
    forms = linear(first), linear(second)
    if not forms[0].coefficients or not forms[1].coefficients:
        return None
    difference = forms[0].plus(forms[1].times(-1)).built(node)
    return broadcast(multiply(difference, forms[0].plus(forms[1]).built(node)), node.shape)


def _root(node: Expr) -> Expr | None:
    value = scalar_constant(node)
    if value is not None:
        return broadcast(number(math.sqrt(value), node.dtype), node.shape) if value == 1 else None
    root = square_root_of(node)
    # The squares of these have better ways to be taken from 1.
    opaque = root is None or unnamed(root).op.name in ("tanh", "cos", "sin", "cosh", "sigmoid")
    return None if opaque else root


def _reciprocals(node: Expr) -> Expr | None:
    """c / a - c / b = c (b - a) / (a b), where b - a is simpler than either."""
    if has_number(node):
        return None
    parts = terms(node)
    if len(parts) != 2:
        return None
    products = [factors(part) for _, part in parts]
    if any(p.above or len(p.below) != 1 for p in products):
        return None
    size = products[0].coefficient * parts[0][0]
    if products[1].coefficient * parts[1][0] != -size:
        return None
    a, b = (p.below[0] for p in products)
    forms = linear(a), linear(b)
    gap = forms[1].plus(forms[0].times(-1))
    if len(gap.coefficients) >= max(len(form.coefficients) for form in forms):
        return None
    return broadcast(divide(divide(multiply(size, gap.built(node)), a), b), node.shape)


def _softplus(node: Expr) -> Expr | None:
    """softplus(u) - u = softplus(-u), for u among the terms of a sum."""
    parts = terms(node)
    for place, (sign_, part) in enumerate(parts):
        if part.op is not softplus:
            continue
        form = linear(part.args[0]).times(-sign_)
        for other_place, (other_sign, other) in enumerate(parts):
            if other_place == place or linear(other).times(other_sign).over(form) != 1:
                continue
            turned = softplus(linear(part.args[0]).times(-1).built(part))
            kept = [p for k, p in enumerate(parts) if k not in (place, other_place)]
            return sum_of_terms([(sign_, turned), *kept], node)
    return None


def _with_target(node: Expr) -> Expr | None:
    """softplus(u) - t u = softplus(-|u|) + (1 - t) u for u > 0, which is small where t is 1."""
    parts = terms(node)
    for place, (sign_, part) in enumerate(parts):
        if part.op is not softplus or _is_held(part.args[0]):
            continue
        u = part.args[0]
        for other_place, (other_sign, other) in enumerate(parts):
            target = None if other_place == place else _over(other, u, -sign_ * other_sign)
            if target is None:
                continue
            positive = less(0, u)
            small = softplus(where(positive, negative(u), u))
            slope = multiply(where(positive, subtract(1, target), negative(target)), u)
            kept = [p for k, p in enumerate(parts) if k not in (place, other_place)]
            return sum_of_terms([(sign_, small), (sign_, slope), *kept], node)
    return None


def _over(node: Expr, u: Expr, sign_: int) -> Expr | None:
    """t, if the node is sign * t u for an expression t that is no number."""
    product, form = factors(node), factors(u)
    rest, taken = without([unnamed(part) for part in product.above], form.above)
    if len(taken) < len(form.above) or not form.above or form.below or not rest:
        return None
    left = Product(sign_ * product.coefficient / form.coefficient, tuple(rest), product.below)
    return product_of(left, node)


def _halves(node: Expr) -> Expr | None:
    """max(u, 0) + softplus(-|u|) = softplus(u)."""
    parts = terms(node)
    for place, (sign_, part) in enumerate(parts):
        u = _magnitude(part)
        if u is None:
            continue
        for other_place, (other_sign, other) in enumerate(parts):
            zero = next((a for a in other.args if scalar_constant(a) == 0), None)
            if other.op is not maximum or zero is None or other_sign != sign_:
                continue
            if any(unnamed(arg) is unnamed(u) for arg in other.args):
                kept = [p for k, p in enumerate(parts) if k not in (place, other_place)]
                return sum_of_terms([(sign_, softplus(u)), *kept], node)
    return None


def _magnitude(part: Expr) -> Expr | None:
    """u, if the node is softplus(-|u|)."""
    inner = unnamed(part.args[0]) if part.op is softplus else part
    size = unnamed(inner.args[0]) if inner.op is negative and inner is not part else inner
    return size.args[0] if size.op is absolute and inner.op is negative else None


def _target_examples() -> tuple[Expr, ...]:
    x, t = sample("x"), sample("t")
    return (subtract(softplus(x), multiply(x, t)), add(multiply(negative(t), x), softplus(x)))


def _halves_examples() -> tuple[Expr, ...]:
    x = sample("x")
    return (add(softplus(negative(absolute(x))), maximum(x, 0)),)


def _pair_examples() -> tuple[Expr, ...]:
    x, y = sample("x"), sample("y")
    return (
        subtract(exp(x), exp(y)),
        subtract(multiply(2, sigmoid(y)), multiply(2, sigmoid(x))),
        subtract(erf(x), erf(y)),
        subtract(log(x), log(y)),
    )


def _square_examples() -> tuple[Expr, ...]:
    x, y = sample("x"), sample("y")
    return (subtract(power(x, 2), power(y, 2)), add(1, negative(power(x, 2))))


def _reciprocal_examples() -> tuple[Expr, ...]:
    x = sample("x")
    return (subtract(divide(2, x), divide(2, add(1, x))),)


def _softplus_examples() -> tuple[Expr, ...]:
    x = sample("x")
    return (subtract(softplus(x), x), add(softplus(negative(x)), x))


_CANCELS = "same function, no cancellation"
GAPS: tuple[AnyRule, ...] = (
    Structural(
        "difference of two values",
        ("add", "subtract"),
        _two_values,
        "two nearly equal values cancel",
        _pair_examples,
        remark=_CANCELS,
        error=1e-14,
    ),
    Structural(
        "difference of squares",
        ("add", "subtract"),
        _squares,
        "two nearly equal squares cancel",
        _square_examples,
        among=frozenset({"multiply", "pow", "negative"}),
        remark=_CANCELS,
        error=1e-14,
    ),
    Structural(
        "difference of reciprocals",
        ("add", "subtract"),
        _reciprocals,
        "two nearly equal reciprocals cancel",
        _reciprocal_examples,
        remark=_CANCELS,
        error=1e-14,
    ),
    Structural(
        "softplus less its argument",
        ("add", "subtract"),
        _softplus,
        "softplus(x) is x for large x",
        _softplus_examples,
        among=frozenset({"softplus", "negative", "add", "subtract"}),
        remark=_CANCELS,
        error=1e-14,
    ),
    Structural(
        "halves of softplus",
        ("add", "subtract"),
        _halves,
        "one function whose derivative is known",
        _halves_examples,
        among=frozenset({"softplus", "maximum", "negative", "add", "subtract"}),
        error=1e-14,
    ),
    Structural(
        "softplus less a share of its argument",
        ("add", "subtract"),
        _with_target,
        "softplus(x) is x for large x",
        _target_examples,
        among=frozenset({"softplus", "negative", "add", "subtract"}),
        remark=_CANCELS,
        error=1e-14,
    ),
)
