"""The logarithm of a product by its factors, where one of them leaves the range."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from symnet.expr import Expr
from symnet.ops.core import FLOAT32, broadcast, number, scalar_constant
from symnet.ops.reduction import SOFTMAX, SUM
from symnet.ops.table import (
    absolute,
    add,
    equal,
    exp,
    expm1,
    hypot,
    less,
    log,
    log1p,
    logical_and,
    logical_or,
    multiply,
    negative,
    sign,
    sinh,
    softplus,
    subtract,
    tanh,
    where,
)
from symnet.rules.algebra import factors, guarded, square_root_of, terms, under_repeats
from symnet.rules.match import unnamed
from symnet.rules.products import Powers, built, exponential, gathered
from symnet.rules.tails import log_erfc


def log_one_minus_exp(x: Expr) -> Expr:
    """log(1 - exp(x)) for x < 0: the better of two spellings on either side of -log 2."""
    near = less(-math.log(2), x)
    close, far = guarded(near, x, -0.5, -1.0)
    return where(near, log(negative(expm1(close))), log1p(negative(exp(far))))


def log_cosh(x: Expr) -> Expr:
    """log(cosh(x)): near 0 through the half angle, elsewhere without overflow."""
    size = absolute(x)
    small = less(size, 1)
    near, far = guarded(small, x, 0.0, 1.0)
    half, large = sinh(multiply(0.5, near)), absolute(far)
    tail = log1p(exp(multiply(-2, large)))
    close = log1p(multiply(2, multiply(half, half)))
    return where(small, close, add(subtract(large, math.log(2)), tail))


def log_sinh(x: Expr) -> Expr:
    """log(sinh(x)): x + log(1 - exp(-2 x)) - log 2 for large x."""
    large = less(1, x)
    far, near = guarded(large, x, 2.0, 1.0)
    tail = log1p(negative(exp(multiply(-2, far))))
    return where(large, add(subtract(far, math.log(2)), tail), log(sinh(near)))


def _log_tanh(x: Expr) -> Expr:
    """log(tanh(x)): by 1 - tanh(x), which is small, for large x."""
    large = less(0.5, x)
    far, near = guarded(large, x, 1.0, 0.25)
    e = exp(multiply(-2, far))
    return where(large, subtract(log1p(negative(e)), log1p(e)), log(tanh(near)))


def _log_expm1(x: Expr) -> Expr:
    """log(exp(x) - 1)."""
    return add(x, log_one_minus_exp(negative(x)))


def _log_sigmoid(x: Expr) -> Expr:
    return negative(softplus(negative(x)))


_POSITIVE: Final[dict[str, Callable[[Expr], Expr]]] = {"sigmoid": _log_sigmoid, "cosh": log_cosh}
_SIGNED: Final[dict[str, Callable[[Expr], Expr]]] = {
    "sinh": log_sinh,
    "tanh": _log_tanh,
    "expm1": _log_expm1,
}


def argument_of_bell(node: Expr) -> Expr | None:
    """x, if the node is 4 e / (1 + e)^2 with e = exp(-2 |x|), which 1 - tanh(x)^2 became."""
    found = factors(node)
    if found.coefficient != 4 or len(found.above) != 1 or len(found.below) != 2:
        return None
    (e,), (one, other) = found.above, found.below
    if e.op is not exp or one is not other or [p for _, p in terms(one)][-1] is not e:
        return None
    exponent = factors(e.args[0])
    size = exponent.above[0] if len(exponent.above) == 1 and not exponent.below else None
    if size is None or size.op is not absolute or exponent.coefficient != -2:
        return None
    return size.args[0] if len(terms(one)) == 2 else None


def log_of_factors(inner: Expr) -> Expr | None:
    """log(c exp(a) f^n g^m ...) as a sum, for factors whose logarithm is better known."""
    if inner.op is add:
        return _of_squares(inner)
    found = gathered(inner)
    if found.coefficient <= 0 or not math.isfinite(found.coefficient):
        return None
    lone = _lone(found, inner)
    if lone is not None:
        return lone
    parts = [found.exponent.built(inner)] if found.exponent.coefficients else []
    rest = Powers(found.coefficient)
    for base, by in found.powers.items():
        known = _log_of_positive(base)
        if known is None:
            rest.multiply(base, by)
        else:
            parts.append(known if by == 1 else multiply(by, known))
    if not parts:
        return _log_of_many(rest, inner)
    if rest.powers:
        parts.append(log(built(rest, inner)))
    elif rest.coefficient != 1:
        parts.append(number(math.log(rest.coefficient), inner.dtype))
    total = parts[0]
    for part in parts[1:]:
        total = add(total, part)
    return broadcast(total, inner.shape)


def _log_of_positive(base: Expr) -> Expr | None:
    """The logarithm of what is surely positive."""
    if base.op.name in _POSITIVE:
        return _POSITIVE[base.op.name](base.args[0])
    bare = under_repeats(base)
    if bare.op is SOFTMAX or (bare.op is SUM and unnamed(bare.args[0]).op is exp):
        return log(base)
    sums = base.op is add and all(s > 0 and exponential(part) for s, part in terms(base))
    return log(base) if sums or (base.op is add and _squared_terms(base)) else None


def _squared_terms(node: Expr) -> tuple[float, list[Expr]] | None:
    """The number and the roots of a sum of squares and positive numbers."""
    known, roots = 0.0, []
    for sign_, part in terms(node):
        value, root = scalar_constant(part), _root_of(part)
        if sign_ < 0 or (value is None and root is None) or (value is not None and value < 0):
            return None
        if value is not None:
            known += float(value)
        elif root is not None:
            roots.append(root)
    return (known, roots) if roots else None


def _root_of(part: Expr) -> Expr | None:
    """sqrt(c) u for c u^2."""
    product = factors(part)
    if len(product.above) != 2 or product.above[0] is not product.above[1] or product.below:
        return square_root_of(part)
    size = product.coefficient
    return multiply(math.sqrt(size), product.above[0]) if 0 < size < math.inf else None


def _of_squares(inner: Expr) -> Expr | None:
    """log(c + a^2 + b^2), by the logarithm of the hypotenuse where squares leave the range."""
    found = _squared_terms(inner)
    if found is None or found[0] == math.inf or (found[0] == 0 and len(found[1]) < 2):
        return None
    known, roots = found
    plain = _is_plain(inner)
    length = where(plain, 1, roots[0])
    for root in (*roots[1:], *([number(math.sqrt(known), inner.dtype)] if known else ())):
        length = hypot(length, where(plain, 0, root))
    held = [where(plain, root, 0) for root in roots]
    total: Expr | None = None
    for root in held:
        square = multiply(root, root)
        total = square if total is None else add(total, square)
    assert total is not None
    usual = log1p(total) if known == 1 else log(where(plain, inner, 1))
    if known == 0 and len(held) == 2:
        usual = _near_one(held[0], held[1], inner)
    return broadcast(where(plain, usual, multiply(2, log(length))), inner.shape)


def _near_one(a: Expr, b: Expr, inner: Expr) -> Expr:
    """log(a^2 + b^2) by (m - 1)(m + 1) + n^2 where the larger of the two, m, is nearly 1."""
    more = less(absolute(b), absolute(a))
    m, n = absolute(where(more, a, b)), where(more, b, a)
    near = less(absolute(subtract(m, 1)), 0.125)
    gap = add(multiply(subtract(m, 1), add(m, 1)), multiply(n, n))
    total = add(multiply(a, a), multiply(b, b))
    empty = equal(total, 0)
    far = log(where(logical_or(near, empty), 1, total))
    return where(near, log1p(where(near, gap, 0)), far)


def _lone(found: Powers, inner: Expr) -> Expr | None:
    """One function alone: also where it may be negative, or where the number makes it 1 at 0."""
    if len(found.powers) != 1 or found.exponent.coefficients:
        return None
    ((base, by),) = found.powers.items()
    if base.op.name in _SIGNED and by in (1, -1):
        u = base.args[0]
        if unnamed(u).op is where:
            return None
        made = _SIGNED[base.op.name](u)
        made = made if by == 1 else negative(made)
        shift = math.log(found.coefficient)
        return broadcast(add(made, shift) if shift else made, inner.shape)
    if base.op.name == "erfc" and by == 1:
        made_of = log_erfc(found.coefficient, base.args[0])
        return None if made_of is None else broadcast(made_of, inner.shape)
    if base.op.name == "sigmoid" and found.coefficient == 2.0**by:
        u = base.args[0]
        small = less(absolute(u), 1)
        near, far = guarded(small, u, 0.0, 1.0)
        distant = add(_log_sigmoid(far), math.log(2))
        made = where(small, log1p(tanh(multiply(0.5, near))), distant)
        return broadcast(made if by == 1 else multiply(by, made), inner.shape)
    return None


def _log_of_many(found: Powers, inner: Expr) -> Expr | None:
    """log of a product of several factors, by their logarithms where it leaves the range."""
    powers = found.powers
    count = sum(abs(by) for by in powers.values())
    if any(base.op is sign or powers[base] % 1 for base in powers):
        return None
    if count < 2 or (len(powers) < 2 and count == 2):
        return None
    if len(found.powers) == 2 and count == 2 and found.coefficient == 1:
        return None
    apart: Expr = number(math.log(found.coefficient), inner.dtype)
    signs: Expr | None = None
    plain: Expr | None = None
    product = built(found, inner)
    for test in (product, *(_pieces(found, inner))):
        inside = _is_plain(test)
        plain = inside if plain is None else logical_and(plain, inside)
    assert plain is not None
    for base, by in found.powers.items():
        held = where(plain, 1, base)
        apart = add(apart, multiply(by, log(absolute(held))))
        if by % 2:
            signs = sign(held) if signs is None else multiply(signs, sign(held))
    if signs is not None:
        apart = add(apart, log(signs))
    return broadcast(where(plain, log(where(plain, product, 1)), apart), inner.shape)


def _pieces(found: Powers, inner: Expr) -> list[Expr]:
    """The parts above and below the line, which may leave the range where the quotient does not."""
    sides = []
    for side in (1, -1):
        powers = {base: abs(by) for base, by in found.powers.items() if by * side > 0}
        if powers:
            sides.append(built(Powers(1.0, powers), inner))
    return sides


def _is_plain(x: Expr) -> Expr:
    """Whether a product is neither 0, infinite, nor about to be."""
    high = 1e30 if x.dtype == FLOAT32 else 1e290
    size = absolute(x)
    return logical_and(less(1 / high, size), less(size, high))
