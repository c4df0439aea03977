"""Products of exponentials and hyperbolic functions, each factor once: infinity never meets zero.

exp(a) exp(b) = exp(a + b), sinh / cosh = tanh, 1 / (1 + exp(a)) = sigmoid(-a), and
exp(a) sigmoid(-a) = sigmoid(a), wherever in a product the factors stand.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from symnet.expr import Expr
from symnet.ops.core import broadcast, scalar_constant
from symnet.ops.table import (
    absolute,
    add,
    cosh,
    divide,
    erfc,
    exp,
    expm1,
    multiply,
    negative,
    power,
    sigmoid,
    sign,
    sinh,
    sqrt,
    subtract,
    tanh,
)
from symnet.rules.algebra import sample, terms
from symnet.rules.linear import Linear, linear
from symnet.rules.match import unnamed
from symnet.rules.rule import AnyRule, Structural
from symnet.rules.tails import erfcx, is_held, square_in

_MOST = 16
_GATHERED = frozenset({"exp", "sigmoid", "sinh", "cosh", "expm1", "erfc"})


@dataclass
class Powers:
    """coefficient * exp(exponent) * the product of base^power, in the order of the bases."""

    coefficient: float = 1.0
    powers: dict[Expr, float] = field(default_factory=dict)
    exponent: Linear = field(default_factory=lambda: Linear({}, {}))
    exponentials: int = 0

    def multiply(self, base: Expr, by: float) -> None:
        """Another factor."""
        total = self.powers.get(base, 0.0) + by
        if total:
            self.powers[base] = total
        else:
            self.powers.pop(base, None)

    def of(self, name: str) -> list[tuple[Expr, Expr, float]]:
        """The factors that are this function: the factor, its argument, its power."""
        return [(b, b.args[0], p) for b, p in self.powers.items() if b.op.name == name]


def gathered(node: Expr) -> Powers:
    """A product by its factors."""
    found = Powers()
    stack: list[tuple[Expr, float]] = [(node, 1.0)]
    while stack:
        part, by = stack.pop()
        bare, value = unnamed(part), scalar_constant(part)
        full = len(stack) + len(found.powers) >= _MOST
        if value is not None and value != 0 and math.isfinite(value):
            found.coefficient *= float(value) ** by if value > 0 or by % 1 == 0 else math.nan
        elif bare.op is negative and by % 1 == 0:
            found.coefficient *= (-1.0) ** by
            stack.append((bare.args[0], by))
        elif bare.op is multiply and by % 1 == 0 and not full:
            stack += [(bare.args[1], by), (bare.args[0], by)]
        elif bare.op is divide and by % 1 == 0 and not full:
            stack += [(bare.args[1], -by), (bare.args[0], by)]
        elif bare.op is power and by % 1 == 0 and (n := _exponent(bare)) is not None:
            stack.append((bare.args[0], by * n))
        elif bare.op is exp and not _is_decay(bare):
            found.exponentials += 1 if by == 1 else 2
            found.exponent = found.exponent.plus(linear(bare.args[0]).times(by))
        else:
            found.multiply(bare, by)
    return found


def _is_decay(node: Expr) -> bool:
    """Whether an exponential is of -|u| or a multiple: it lies between 0 and 1 already."""
    bare = unnamed(node.args[0])
    parts = bare.args if bare.op in (multiply, negative) else ()
    return any(unnamed(part).op is absolute for part in parts)


def _exponent(node: Expr) -> float | None:
    """A whole exponent; any where the base is surely positive."""
    value = scalar_constant(node.args[1])
    if value is None or not math.isfinite(value):
        return None
    whole = value == int(value) and abs(value) <= 8
    return float(value) if whole or unnamed(node.args[0]).op is exp else None


def built(found: Powers, like: Expr) -> Expr:
    """The product as an expression, of the shape and dtype of another."""
    above: Expr | None = None
    below: Expr | None = None
    factors = dict(found.powers)
    if found.exponent.coefficients:
        factors[exp(found.exponent.built(like))] = 1.0
    for base, by in factors.items():
        part = base if abs(by) == 1 else power(base, abs(by))
        if by > 0:
            above = part if above is None else multiply(above, part)
        else:
            below = part if below is None else multiply(below, part)
    factor = found.coefficient
    if below is not None:
        result = divide(factor if above is None else above, below)
        result = result if above is None or factor == 1 else multiply(factor, result)
    elif above is None:
        return broadcast(multiply(factor, linear_one(like)), like.shape)
    else:
        result = above if factor == 1 else negative(above) if factor == -1 else factor * above
    return broadcast(result, like.shape)


def linear_one(like: Expr) -> Expr:
    """1 in the dtype of another expression."""
    return exp(Linear({}, {}).built(like))


def _flip(found: Powers) -> bool:
    """exp(m u) sigmoid(-u)^k and exp(m u) / expm1(u)^k with the other sign of u."""
    for name, sense in (("sigmoid", -1.0), ("expm1", 1.0)):
        for base, u, by in found.of(name):
            ratio = found.exponent.over(linear(u))
            count = 0 if ratio is None else min(ratio * sense, by * -sense)
            if count < 1 or count != int(count):
                continue
            found.multiply(base, count * sense)
            found.exponent = found.exponent.plus(linear(u).times(-count * sense))
            other = sigmoid(_minus(u)) if name == "sigmoid" else expm1(_minus(u))
            found.multiply(other, -count * sense)
            if name == "expm1":
                found.coefficient *= (-1.0) ** count
            return True
    return False


def _minus(u: Expr) -> Expr:
    bare = unnamed(u)
    return bare.args[0] if bare.op is negative else linear(u).times(-1).built(u)


def _scaled_tail(found: Powers) -> bool:
    """exp(u^2) erfc(u) and exp(-u^2) / erfc(u), which neither overflow nor vanish."""
    for base, u, by in found.of("erfc"):
        square = None if is_held(u) else square_in(found.exponent, u)
        if square is None or by != square[1]:
            continue
        rest = {k: v for k, v in found.exponent.coefficients.items() if k != square[0]}
        found.exponent = Linear(rest, found.exponent.nodes)
        found.multiply(base, -by)
        found.multiply(erfcx(u), by)
        return True
    return False


def _ratios(found: Powers) -> bool:
    """sinh / cosh = tanh; expm1(u) / (1 + exp u) = tanh(u / 2)."""
    for base, u, by in found.of("sinh"):
        other = cosh(u)
        down = found.powers.get(other, 0.0)
        if by * down < 0:
            count = min(abs(by), abs(down)) * (1 if by > 0 else -1)
            found.multiply(base, -count)
            found.multiply(other, count)
            found.multiply(tanh(u), count)
            return True
    for base, u, by in found.of("expm1"):
        for other, v, share in found.of("sigmoid"):
            if by >= 1 and share >= 1 and linear(v).over(linear(u)) == -1:
                found.multiply(base, -1)
                found.multiply(other, -1)
                found.multiply(tanh(multiply(0.5, u)), 1)
                return True
    return False


def _shares(found: Powers) -> bool:
    """1 / (c + d exp(a)) by the sigmoid function."""
    for base, by in list(found.powers.items()):
        if base.op.name != "add" or by >= 0 or by % 1:
            continue
        parts = [exponential(part) if s > 0 else None for s, part in terms(base)]
        if len(parts) != 2 or any(part is None for part in parts):
            continue
        (first, c), (second, d) = (part for part in parts if part is not None)
        if _divides(found, second) or (first.coefficients and not _divides(found, first)):
            (first, c), (second, d) = (second, d), (first, c)
        if first.coefficients and not _divides(found, first):
            continue
        gap = first.plus(second.times(-1))
        shift = math.log(c / d)
        if shift:
            key = ((), ())
            gap = gap.plus(Linear({key: shift}, {key: base}))
        found.multiply(base, -by)
        found.multiply(sigmoid(gap.built(base)), -by)
        found.exponent = found.exponent.plus(first.times(by))
        found.coefficient *= c**by
        return True
    return False


def _divides(found: Powers, exponent: Linear) -> bool:
    """Whether the exponential is a factor of the product already."""
    own = found.exponent.over(exponent)
    return own is not None and own >= 1


def exponential(node: Expr) -> tuple[Linear, float] | None:
    """(a, c) where the node is c exp(a) with c > 0."""
    found = gathered(node)
    if found.powers or not 0 < found.coefficient < math.inf:
        return None
    return found.exponent, found.coefficient


def _normal(found: Powers) -> bool:
    """Whether anything but the order of the factors changed."""
    changed = found.exponentials > 1
    fuel = _MOST
    steps = (_shares, _ratios, _flip, _scaled_tail)
    while fuel and any(step(found) for step in steps):
        changed, fuel = True, fuel - 1
    return changed


def _product(node: Expr) -> Expr | None:
    if node.op is power and _exponent(node) is None:
        return None
    if not any(_is_gathered(arg) for arg in node.args[: 1 if node.op is power else 2]):
        return None
    found = gathered(node)
    if math.isnan(found.coefficient) or not _normal(found):
        return None
    return built(found, node)


def _is_gathered(node: Expr) -> bool:
    """Whether a factor near the top is a function that this file is about."""
    stack, seen = [node], 0
    while stack and seen < _MOST:
        bare, seen = unnamed(stack.pop()), seen + 1
        if bare.op.name in _GATHERED:
            return bare.op is not exp or not _is_decay(bare)
        if bare.op.name in ("multiply", "divide", "negative"):
            stack.extend(bare.args)
        elif bare.op is power:
            stack.append(bare.args[0])
        elif bare.op is add:
            stack.extend(arg for arg in bare.args if unnamed(arg).op in (exp, multiply))
    return False


def _root(node: Expr) -> Expr | None:
    inner = unnamed(node.args[0])
    return exp(multiply(0.5, inner.args[0])) if inner.op is exp else None


def _bells(node: Expr) -> Expr | None:
    """1 / cosh and 1 / sinh of large arguments, without their infinities."""
    found = gathered(node)
    changed = False
    for name in ("cosh", "sinh"):
        for base, u, by in found.of(name):
            if by >= 0 or by % 1:
                continue
            size = absolute(u)
            decay = exp(negative(size))
            found.multiply(base, -by)
            if name == "cosh":
                bell = divide(multiply(2, decay), add(1, multiply(decay, decay)))
            else:
                tail = negative(expm1(multiply(-2, size)))
                bell = divide(multiply(multiply(2, sign(u)), decay), tail)
            found.multiply(bell, -by)
            changed = True
    return built(found, node) if changed and math.isfinite(found.coefficient) else None


def _examples() -> tuple[Expr, ...]:
    x, y = sample("x"), sample("y")
    return (
        multiply(exp(x), multiply(y, exp(subtract(y, x)))),
        divide(y, exp(x)),
        divide(exp(x), power(add(1, exp(x)), 2)),
        divide(multiply(3, exp(x)), add(2, multiply(5, exp(x)))),
        divide(expm1(x), add(exp(x), 1)),
        divide(exp(x), power(expm1(x), 2)),
        multiply(divide(y, multiply(cosh(x), cosh(x))), sinh(x)),
        divide(cosh(x), sinh(x)),
        power(exp(x), 3),
        multiply(exp(multiply(x, x)), erfc(x)),
        divide(exp(multiply(-0.5, multiply(x, x))), erfc(multiply(-(0.5**0.5), x))),
    )


def _bell_examples() -> tuple[Expr, ...]:
    x, y = sample("x"), sample("y")
    return (divide(1, cosh(x)), divide(y, power(cosh(x), 2)), divide(y, sinh(x)))


_OVERFLOWS = "same function, no overflow"
PRODUCTS: tuple[AnyRule, ...] = (
    Structural(
        "product of exponentials",
        ("multiply", "divide", "pow"),
        _product,
        "one factor overflows where another vanishes",
        _examples,
        remark=_OVERFLOWS,
        error=1e-14,
    ),
    Structural(
        "root of an exponential",
        ("sqrt",),
        _root,
        "the exponential overflows where its root does not",
        lambda: (sqrt(exp(sample("x"))),),
        remark=_OVERFLOWS,
        among=frozenset({"exp"}),
        error=1e-14,
    ),
)
BELLS: tuple[AnyRule, ...] = (
    Structural(
        "reciprocal of cosh or sinh",
        ("divide", "multiply"),
        _bells,
        "infinity over infinity in the derivative",
        _bell_examples,
        remark=_OVERFLOWS,
        smooth=False,
        error=1e-14,
    ),
)
