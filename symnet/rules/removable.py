"""Functions of one variable that cancel near a point, by their series there.

sin x - x, exp x - 1 - x, (1 - cos x) / x^2, 1 / (exp x - 1) - 1 / x: what is lost near 0 is all of
the value, and 0 over 0 is NaN at 0. The series is that of the function as it was written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from symnet.expr import Expr, substitute
from symnet.ops.core import FLOAT32, FLOATS, broadcast, number, scalar_constant
from symnet.ops.polynomial import POLYNOMIAL, polynomial
from symnet.ops.table import (
    absolute,
    add,
    divide,
    equal,
    exp,
    expm1,
    less,
    log,
    multiply,
    not_equal,
    power,
    sigmoid,
    sin,
    subtract,
    tanh,
    where,
)
from symnet.rules.algebra import sample
from symnet.rules.match import unnamed
from symnet.rules.rule import AnyRule, Structural
from symnet.rules.series import KNOWN, Laurent, series

# How far a variable is looked for, how many of them are tried, and with how many coefficients.
_REACH: Final = 40
_TRIED: Final = 4
_FIRST: Final = 3
_SHORT: Final = 10
_LONG: Final = 44
_TERMS: Final = 30
_RADII: Final = tuple(2.0**k for k in range(10, -40, -1))
_SINGULAR: Final = ("log", "pow", "sqrt", "divide", "asin", "atanh")


@dataclass(frozen=True)
class Place:
    """Where a function of one variable is developed."""

    variable: Expr
    centre: float


@dataclass(frozen=True)
class Near:
    """u^order * the polynomial in u, or in u^2 if `even`, which serves for |u| < radius."""

    order: int
    coefficients: tuple[float, ...]
    radius: float
    even: bool


def _held(node: Expr) -> Expr | None:
    """The variable, if the node is one that a select holds away from a point."""
    bare = unnamed(node)
    if bare.op is not where or scalar_constant(bare.args[1]) is None:
        return None
    test = unnamed(bare.args[0])
    inside = test.op is less and unnamed(test.args[0]).op is absolute
    return unnamed(bare.args[2]) if inside and scalar_constant(test.args[1]) is not None else None


def _away(node: Expr) -> Expr | None:
    """What a select between a series and a function stands for: the function everywhere."""
    if node.op is not where or unnamed(node.args[0]).op is not less:
        return None
    if not any(part.op is POLYNOMIAL for part in _parts(node.args[1], stop=False)):
        return None
    for part in _parts(node.args[2], stop=False):
        variable = _held(part) if part.op is where and part.args[0] is node.args[0] else None
        if variable is not None:
            return substitute([node.args[2]], {part: variable})[0]
    return None


def _parts(node: Expr, stop: bool = True) -> list[Expr]:
    """The nodes of a function, variables first; with `stop`, below what has a series alone."""
    order: list[Expr] = []
    seen: set[Expr] = set()
    stack = [(unnamed(node), False)]
    while stack and len(seen) <= _REACH:
        part, done = stack.pop()
        if done:
            order.append(part)
        elif part not in seen:
            seen.add(part)
            stack.append((part, True))
            if not stop or part.op.name in KNOWN or part.op is where:
                stack += [(unnamed(arg), False) for arg in part.args if arg not in seen]
    return order if len(seen) <= _REACH else []


def as_written(node: Expr) -> Expr:
    """The function without the selects between it and its series that were made before."""
    for part in _parts(node):
        away = _away(part) if part.op is where else None
        if away is not None:
            return as_written(substitute([node], {part: away})[0])
    return node


def _variables(node: Expr) -> Iterator[Expr]:
    """What the node may be a function of: what both operands hold, the innermost first."""
    left, right = (unnamed(arg) for arg in node.args)
    if scalar_constant(left) is not None:
        left, right = right, left
    found = _parts(left)
    if scalar_constant(right) is None:
        others = set(_parts(right))
        found = [part for part in found if part in others]
    found = [part for part in found if scalar_constant(part) is None and part is not node]
    if any(part.op is absolute or _held(part) is not None for part in found):
        return
    for part in found[:_TRIED]:
        if part.dtype in FLOATS and part.shape == node.shape:
            yield part


def _place(node: Expr) -> Place | None:
    for variable in _variables(node):
        for centre in (0.0, 1.0):
            sides = [series(arg, variable, centre, _FIRST) for arg in node.args]
            if None in [side and 1 for side in sides]:
                continue
            place = Place(variable, centre)
            left, right = (side for side in sides if side is not None)
            if _may_vanish(node, left, right):
                whole = series(node, variable, centre, _SHORT)
                if whole is not None and whole.order >= 0 and whole.coefficients:
                    return place
            break
    return None


def _may_vanish(node: Expr, left: Laurent, right: Laurent) -> bool:
    """Whether the first terms of the operands cancel, or there is a pole in one."""
    if node.op.name == "divide":
        return right.order > 0
    if node.op.name == "multiply":
        return left.order < 0 or right.order < 0
    if left.order != right.order or not left.coefficients or not right.coefficients:
        return left.order < 0 or right.order < 0
    first, second = left.coefficients[0], right.coefficients[0]
    total = first - second if node.op.name == "subtract" else first + second
    return abs(total) <= abs(first) * Decimal("1e-30")


def _clean(values: Sequence[Decimal]) -> list[Decimal]:
    """Without what rounding left of coefficients that are 0."""
    padded = [Decimal(0), *map(abs, values), Decimal(0)]
    around = [max(padded[k], padded[k + 2]) for k in range(len(values))]
    return [
        value if abs(value) > size * Decimal("1e-25") else Decimal(0)
        for value, size in zip(values, around, strict=True)
    ]


def _near(found: Laurent, node: Expr) -> Near | None:
    """As many terms as the largest useful radius needs."""
    values = _clean(found.coefficients)
    even = not any(values[1::2])
    terms = [float(value) for value in (values[::2] if even else values)]
    last = 2.0**-30 if node.dtype == FLOAT32 else 2.0**-58
    for radius in _RADII:
        step = radius * radius if even else radius
        sizes = [abs(term) * step**k for k, term in enumerate(terms)]
        count = next((k for k in range(1, len(sizes)) if sum(sizes[k:]) < last * sizes[0]), 0)
        if 0 < count <= _TERMS and sum(sizes[1:]) <= sizes[0]:
            return Near(found.order, tuple(terms[:count]), radius, even)
    return None


def _select(node: Expr, place: Place, near: Near) -> Expr:
    u, centre = place.variable, place.centre
    moved = subtract(u, centre) if centre else u
    inside = less(absolute(moved), near.radius)
    close = where(inside, moved, number(0, u.dtype))
    value = polynomial(multiply(close, close) if near.even else close, near.coefficients)
    if near.order:
        value = multiply(power(close, near.order) if near.order > 1 else close, value)
    far = where(inside, number(centre + near.radius, u.dtype), u)
    return where(inside, value, substitute([node], {u: far})[0])


def _by_series(node: Expr) -> Expr | None:
    if node.dtype not in FLOATS or not _may_cancel(node):
        return None
    written = as_written(node)
    place = _place(written) if written.op is node.op else None
    if place is None:
        return None
    whole = series(written, place.variable, place.centre, _LONG)
    near = None if whole is None else _near(whole, node)
    if near is None:
        return None
    return broadcast(_select(written, place, near), node.shape)


def _may_cancel(node: Expr) -> bool:
    """Whether the operands hold a function whose series is known, before any series is made."""
    first, second = (unnamed(arg) for arg in node.args)
    constants = [scalar_constant(arg) for arg in node.args]
    if node.op.name == "divide":
        return constants == [None, None] and not _never_zero(second)
    if node.op.name == "multiply":
        return constants == [None, None] and (_has_pole(first) or _has_pole(second))
    known = [value for value in constants if value is not None]
    if len(known) == 2 or 0 in known or _of_one_sign(node):
        return False
    return any(arg.op.name in KNOWN or arg.op is where for arg in (first, second))


def _of_one_sign(node: Expr) -> bool:
    """Whether a sum is plainly one of positive numbers."""
    return node.op.name == "add" and all(_is_positive(arg) for arg in node.args)


def _is_positive(node: Expr, fuel: int = 3) -> bool:
    bare, value = unnamed(node), scalar_constant(node)
    if value is not None:
        return value > 0
    if bare.op.name in ("multiply", "divide", "add") and fuel:
        square = bare.op.name == "multiply" and bare.args[0] is bare.args[1]
        return square or all(_is_positive(arg, fuel - 1) for arg in bare.args)
    if bare.op.name == "pow":
        exponent = scalar_constant(bare.args[1])
        return exponent is not None and exponent % 2 == 0
    return bare.op.name in ("exp", "cosh", "sigmoid", "softplus", "sqrt", "abs")


def _never_zero(node: Expr, fuel: int = 4) -> bool:
    """Whether a positive divisor plainly has no zero."""
    bare, value = unnamed(node), scalar_constant(node)
    if value is not None:
        return value != 0
    if not fuel or bare.op.name not in ("add", "multiply", "pow", "sqrt"):
        return bare.op.name in ("exp", "cosh", "sigmoid", "softplus")
    if bare.op.name == "add":
        return _of_one_sign(bare) and any(_never_zero(arg, fuel - 1) for arg in bare.args)
    if bare.op.name == "multiply":
        return all(_never_zero(arg, fuel - 1) for arg in bare.args)
    return _never_zero(bare.args[0], fuel - 1)


def _has_pole(node: Expr) -> bool:
    if node.op.name == "pow":
        return (scalar_constant(node.args[1]) or 0) < 0
    return node.op.name == "divide" and not _never_zero(node.args[1])


def _filled(node: Expr) -> Expr | None:
    """where(x != 0, f(x), f(0)) is f(x)."""
    test, first, second = (unnamed(arg) for arg in node.args)
    if test.op.name not in ("equal", "not_equal"):
        return None
    if test.op.name == "equal":
        first, second = second, first
    for x, zero in (test.args, test.args[::-1]):
        if scalar_constant(zero) != 0 or scalar_constant(x) is not None:
            continue
        value, filling = _at_zero(first, x), _at_zero(second, x)
        if value is not None and filling is not None and abs(value - filling) <= 1e-15:
            return first
    return None


def _at_zero(node: Expr, x: Expr) -> float | None:
    """The limit at x = 0 of a function of x that is finite in a computation at 0, too."""
    value = scalar_constant(node)
    if value is not None:
        return float(value)
    written = as_written(node)
    if any(part.op.name in _SINGULAR for part in _parts(node)) and written is node:
        return None
    found = series(written, x, 0.0, _SHORT)
    limit = None if found is None else found.taylor(1)
    return None if not limit else float(limit[0])


def _examples() -> tuple[Expr, ...]:
    x = sample("x")
    return (
        subtract(sin(x), x),
        divide(subtract(sin(x), x), power(x, 3)),
        subtract(subtract(exp(x), 1), x),
        subtract(divide(1, expm1(x)), divide(1, x)),
        multiply(tanh(x), divide(1, x)),
        add(subtract(log(x), x), 1),
        subtract(sigmoid(x), 0.5),
    )


def _filled_examples() -> tuple[Expr, ...]:
    x = sample("x")
    regular = _by_series(divide(sin(x), x))
    assert regular is not None
    return (
        where(not_equal(x, 0), regular, add(1, multiply(0, x))),
        where(equal(x, 0), 1, regular),
    )


REMOVABLE: tuple[AnyRule, ...] = (
    Structural(
        "removable singularity",
        ("add", "subtract", "divide", "multiply"),
        _by_series,
        "near a point the terms cancel, or it is 0 over 0 there",
        _examples,
        remark="same function, by its series near the point",
        error=1e-15,
    ),
    Structural(
        "filled singularity",
        ("where",),
        _filled,
        "the derivative of what fills the gap is not the function's",
        _filled_examples,
    ),
)
