"""Differences of roots: (a - b) / (sqrt(a) + sqrt(b)), where a - b is simpler than either.

Reference: Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 1.7.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from symnet.expr import Expr
from symnet.ops.core import broadcast, number, scalar_constant
from symnet.ops.table import (
    absolute,
    acosh,
    add,
    asinh,
    divide,
    equal,
    hypot,
    less,
    multiply,
    negative,
    sqrt,
    subtract,
    where,
)
from symnet.rules.algebra import factors, has_number, sample, square_root_of, sum_of_terms, terms
from symnet.rules.linear import linear
from symnet.rules.match import unnamed
from symnet.rules.rule import AnyRule, Structural


def _radicand(node: Expr) -> list[tuple[int, Expr]] | None:
    """The terms of the square of a root, a hypotenuse or a positive constant."""
    bare, value = unnamed(node), scalar_constant(node)
    if value is not None:
        return [(1, _squared(node))] if 0 < value < math.inf else None
    if bare.op is sqrt:
        return _unfactored(bare.args[0]) or terms(bare.args[0])
    if bare.op is hypot:
        return [part for arg in bare.args for part in (_radicand_of_leg(arg))]
    return None


def _unfactored(node: Expr) -> list[tuple[int, Expr]] | None:
    """a^2 - b^2 of (a - b)(a + b)."""
    bare = unnamed(node)
    if bare.op is not multiply:
        return None
    low, high = (linear(arg) for arg in bare.args)
    a, b = high.plus(low).times(0.5), high.plus(low.times(-1)).times(0.5)
    if len(a.coefficients) != 1 or len(b.coefficients) != 1 or len(low.coefficients) != 2:
        return None
    return [(1, _squared(a.built(node))), (-1, _squared(b.built(node)))]


def _radicand_of_leg(leg: Expr) -> list[tuple[int, Expr]]:
    inner = _radicand(leg) if unnamed(leg).op is hypot else None
    return [(1, _squared(leg))] if inner is None else inner


def _squared(node: Expr) -> Expr:
    value = scalar_constant(node)
    # sqrt(c)^2 is c again for a constant that was a radicand or its root.
    return multiply(node, node) if value is None else number(float(value) ** 2, node.dtype)


def _is_root(node: Expr) -> bool:
    bare = unnamed(node)
    return (unnamed(bare.args[0]) if bare.op is negative else bare).op in (sqrt, hypot)


def _difference_of_roots(node: Expr) -> Expr | None:
    if not any(_is_root(arg) for arg in node.args):
        return None
    parts = terms(node)
    if sorted(sign for sign, _ in parts) != [-1, 1] and not _is_minus_constant(parts):
        return None
    (first_sign, first), (second_sign, second) = parts
    value = scalar_constant(second)
    if value is not None and value < 0:
        second, second_sign = number(-value, node.dtype), -second_sign
    if scalar_constant(first) is not None and (scalar_constant(first) or 0) < 0:
        first, first_sign = second, second_sign
        second, second_sign = number(-float(scalar_constant(parts[0][1]) or 0), node.dtype), -1
    if first_sign == second_sign:
        return None
    larger, smaller = _radicand(first), _radicand(second)
    if larger is None or smaller is None:
        return None
    left = _cancelled(larger, smaller)
    if left is None:
        return None
    total = add(first, second)
    if scalar_constant(first) is None and scalar_constant(second) is None:
        total = where(equal(total, 0), 1, total)
    ratio = _ratio(left, total, node)
    return broadcast(ratio if first_sign > 0 else negative(ratio), node.shape)


def _is_minus_constant(parts: Sequence[tuple[int, Expr]]) -> bool:
    values = [scalar_constant(part) for _, part in parts]
    return len(parts) == 2 and any(value is not None and value < 0 for value in values)


def _ratio(left: list[tuple[int, Expr]], total: Expr, node: Expr) -> Expr:
    """The sum of the terms over total; u (u / total) for a lone square, which may overflow."""
    if len(left) == 1:
        root = square_root_of(left[0][1])
        if root is not None:
            ratio = multiply(root, divide(root, total))
            return ratio if left[0][0] > 0 else negative(ratio)
    return divide(sum_of_terms(left, node), total)


def _cancelled(
    larger: list[tuple[int, Expr]], smaller: list[tuple[int, Expr]]
) -> list[tuple[int, Expr]] | None:
    """larger - smaller without the terms and constants that both have; None if none cancel."""
    known = 0.0
    rest: list[tuple[int, Expr]] = []
    for part_sign, part in [*larger, *((-sign, part) for sign, part in smaller)]:
        value = scalar_constant(part)
        if value is not None:
            known += part_sign * float(value)
            continue
        twin = next((k for k, (s, p) in enumerate(rest) if p is part and s == -part_sign), None)
        if twin is None:
            rest.append((part_sign, part))
        else:
            rest.pop(twin)
    given = len(larger) + len(smaller)
    scale = max((abs(float(scalar_constant(p) or 0)) for _, p in larger), default=0.0)
    if abs(known) > 4e-16 * scale:
        rest.append((1 if known > 0 else -1, number(abs(known), larger[0][1].dtype)))
    return rest if len(rest) < given - 1 and len(rest) <= 2 else None


def _root_less_number(node: Expr) -> Expr | None:
    """sqrt(R) - v = (R - v^2) / (sqrt(R) + v) where v is positive and R holds v^2."""
    if has_number(node):
        return None
    parts = terms(node)
    if len(parts) != 2:
        return None
    for (sign, root), (other_sign, other) in (parts, parts[::-1]):
        radicand = _radicand(root) if root.op in (sqrt, hypot) else None
        if radicand is None or other.op in (sqrt, hypot) or scalar_constant(other) is not None:
            continue
        squared = [(s, _plain_square(part)) for s, part in radicand]
        left = _cancelled(squared, [(1, _plain_square(multiply(other, other)))])
        if left is None:
            continue
        v = other if other_sign != sign else negative(other)
        positive = less(0, v)
        up, down = where(positive, v, 1), where(positive, 0, v)
        small = _ratio(left, add(root, up), node)
        made = where(positive, small, subtract(root, down))
        return broadcast(made if sign > 0 else negative(made), node.shape)
    return None


def _one_less_share(node: Expr) -> Expr | None:
    """1 - x / r = (r - x) / r for a root r, where r - x is known to cancel."""
    parts = terms(node)
    if len(parts) != 2:
        return None
    for (one_sign, one), (sign, part) in (parts, parts[::-1]):
        if scalar_constant(one) is None:
            continue
        product = factors(part)
        alone = len(product.above) == 1 and not product.below
        held, coefficient = (product.above[0], product.coefficient) if alone else (part, 1.0)
        root, x = _share(held)
        size = abs(float(scalar_constant(one) or 0)) or math.inf
        if root is None or x is None or abs(coefficient) != size:
            continue
        ratio = sign * coefficient / (one_sign * float(scalar_constant(one) or 0))
        top = subtract(root, x) if ratio < 0 else add(root, x)
        if _root_less_number(top) is None:
            return None
        # Far from 1 the share itself is better known, and so are its derivatives.
        near = less(multiply(0.5, root), x if ratio < 0 else negative(x))
        close = divide(where(near, top, 0), where(near, root, 1))
        rest = where(near, 0, held)
        usual = subtract(1, rest) if ratio < 0 else add(1, rest)
        share = where(near, close, usual)
        whole = one_sign * float(scalar_constant(one) or 0)
        return broadcast(share if whole == 1 else multiply(whole, share), node.shape)
    return None


def _share(node: Expr) -> tuple[Expr | None, Expr | None]:
    """r and x of x / r, also where a select makes that 0 at 0."""
    bare = unnamed(node)
    if bare.op is where and unnamed(bare.args[2]).op is where:
        # By its own leg: the other branch is the quotient.
        bare = unnamed(bare.args[2])
    while bare.op is where and scalar_constant(bare.args[1]) == 0:
        test = unnamed(bare.args[0])
        if test.op is less and unnamed(test.args[0]).op is not absolute:
            # What `_one_less_share` made.
            return None, None
        bare = unnamed(bare.args[2])
    if bare.op is not divide:
        return None, None
    x, root = unnamed(bare.args[0]), unnamed(bare.args[1])
    x = x.args[2] if x.op is where and scalar_constant(x.args[1]) == 0 else x
    if root.op is where and scalar_constant(root.args[1]) == 1:
        root = unnamed(root.args[2])
    return (root, x) if root.op in (sqrt, hypot) and x.shape == root.shape else (None, None)


def _plain_square(node: Expr) -> Expr:
    """u * u for any spelling of u^2, so that equal squares are one node."""
    root = square_root_of(node)
    if root is None:
        return node
    bare = unnamed(root)
    bare = unnamed(bare.args[0]) if bare.op in (negative, absolute) else bare
    return multiply(bare, bare)


def inverse_hyperbolic(node: Expr) -> Expr | None:
    """exp of what: x + sqrt(x^2 + 1), as `_root_less_number` spells it, is that of asinh(x)."""
    if node.op is not where or node.args[2].op is not subtract:
        return None
    root, down = (unnamed(arg) for arg in node.args[2].args)
    if root.op not in (sqrt, hypot) or down.op is not where:
        return None
    u = negative(down.args[2])
    u = unnamed(down.args[2]).args[0] if unnamed(down.args[2]).op is negative else u
    radicand = _radicand(root) or []
    rest = [s * float(v) for s, p in radicand if (v := scalar_constant(p)) is not None]
    squares = [part for s, part in radicand if s > 0 and scalar_constant(part) is None]
    if len(radicand) != 2 or len(squares) != 1 or len(rest) != 1 or abs(rest[0]) != 1:
        return None
    if _plain_square(squares[0]) is not _plain_square(multiply(u, u)):
        return None
    return asinh(u) if rest[0] > 0 else acosh(u)


def _root_examples() -> tuple[Expr, ...]:
    x, y = sample("x"), sample("y")
    return (
        subtract(sqrt(add(multiply(x, x), 1)), x),
        add(negative(x), sqrt(subtract(multiply(x, x), multiply(4, y)))),
    )


def _share_examples() -> tuple[Expr, ...]:
    x = sample("x")
    root = sqrt(add(multiply(x, x), 1))
    return (subtract(1, divide(x, root)), add(divide(negative(x), hypot(x, 1)), 1))


def _difference_examples() -> tuple[Expr, ...]:
    x = sample("x")
    return (
        subtract(sqrt(add(multiply(x, x), 2)), sqrt(add(multiply(x, x), 1))),
        subtract(hypot(x, 3), 3),
        subtract(1, sqrt(add(1, absolute(x)))),
    )


DIFFERENCES: tuple[AnyRule, ...] = (
    Structural(
        "difference of roots",
        ("add", "subtract"),
        _difference_of_roots,
        "two roots that are nearly equal cancel",
        _difference_examples,
        error=1e-15,
    ),
    Structural(
        "root less a number",
        ("add", "subtract"),
        _root_less_number,
        "the root and the number are nearly equal",
        _root_examples,
        error=1e-14,
    ),
    Structural(
        "one less a share of a root",
        ("add", "subtract"),
        _one_less_share,
        "the share is nearly 1",
        _share_examples,
        among=frozenset({"divide", "where", "negative", "multiply"}),
        error=1e-14,
    ),
)
