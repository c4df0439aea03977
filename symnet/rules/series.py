"""Laurent series of an expression about 0, in decimal numbers of many digits.

The recurrences are those of Knuth, The Art of Computer Programming, volume 2, section 4.7.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from typing import Final

from symnet.expr import Expr
from symnet.ops.core import scalar_constant
from symnet.rules.match import unnamed

_ZERO, _ONE = Decimal(0), Decimal(1)
# 2 / sqrt(pi).
_ERF: Final = Decimal("1.12837916709551257389615890312154517168810125865799771368817144")
# Less than this part of what was added is what rounding left of a cancelled sum.
_ROUNDED: Final = Decimal("1e-35")
_CONTEXT: Final = Context(prec=50)
# A function that is not followed further than this from the variable counts as not known.
_NODES: Final = 40


@dataclass(frozen=True)
class Laurent:
    """u^order * (c_0 + c_1 u + ...), as far as it is known; order is that of the first c_k != 0.

    No coefficients: 0 as far as is known.
    """

    order: int
    coefficients: tuple[Decimal, ...]

    @property
    def end(self) -> int:
        """The first power that is not known any more."""
        return self.order + len(self.coefficients)

    def at(self, power: int) -> Decimal:
        """The coefficient of a power below `end`."""
        place = power - self.order
        return self.coefficients[place] if place >= 0 else _ZERO

    def taylor(self, count: int) -> list[Decimal] | None:
        """The coefficients from u^0 on, None for a pole."""
        if self.order < 0 or not self.coefficients:
            return None if self.order < 0 else [_ZERO] * count
        return [self.at(power) for power in range(min(self.end, count))]


class NoSeriesError(ArithmeticError):
    """A function that has no series there, or none that is known here."""


def _made(order: int, coefficients: list[Decimal]) -> Laurent:
    first = next((k for k, value in enumerate(coefficients) if value), len(coefficients))
    return Laurent(order + first, tuple(coefficients[first:]))


def _sum(a: Laurent, b: Laurent, sign: int = 1) -> Laurent:
    low, end = min(a.order, b.order), min(a.end, b.end)
    found = []
    for power in range(low, end):
        left, right = a.at(power), b.at(power) * sign
        total = left + right
        found.append(total if abs(total) > _ROUNDED * (abs(left) + abs(right)) else _ZERO)
    return _made(low, found)


def _product(a: Laurent, b: Laurent) -> Laurent:
    count = min(len(a.coefficients), len(b.coefficients))
    found = []
    for k in range(count):
        parts = [a.coefficients[i] * b.coefficients[k - i] for i in range(k + 1)]
        total = sum(parts, _ZERO)
        size = sum(map(abs, parts), _ZERO)
        found.append(total if abs(total) > _ROUNDED * size else _ZERO)
    return _made(a.order + b.order, found)


def _inverse(a: Laurent) -> Laurent:
    if not a.coefficients:
        raise NoSeriesError
    head = a.coefficients[0]
    found = [_ONE / head]
    for k in range(1, len(a.coefficients)):
        total = sum((a.coefficients[i] * found[k - i] for i in range(1, k + 1)), _ZERO)
        found.append(-total / head)
    return Laurent(-a.order, tuple(found))


def _slope(a: Laurent) -> Laurent:
    return _made(a.order - 1, [value * (a.order + k) for k, value in enumerate(a.coefficients)])


def _integral(a: Laurent, start: Decimal) -> Laurent:
    """The function with that derivative, and `start` at 0."""
    if a.order < 0:
        raise NoSeriesError
    rest = [a.at(power) / (power + 1) for power in range(a.end)]
    return _made(0, [start, *rest])


def _centre(a: Laurent) -> Decimal:
    """The value at 0, of a function that has no pole there."""
    if a.order < 0 or a.end < 1:
        raise NoSeriesError
    return a.at(0)


def _constant(value: Decimal, like: Laurent) -> Laurent:
    count = max(like.end, 1)
    return _made(0, [value, *[_ZERO] * (count - 1)])


def _exp(a: Laurent) -> Laurent:
    value = _centre(a)
    if abs(value) > 1000:
        raise NoSeriesError
    found = [value.exp()]
    for k in range(1, a.end):
        total = sum((a.at(i) * i * found[k - i] for i in range(1, k + 1)), _ZERO)
        found.append(total / k)
    return _made(0, found)


def _log(a: Laurent) -> Laurent:
    value = _centre(a)
    if value <= 0:
        raise NoSeriesError
    return _integral(_product(_slope(a), _inverse(a)), value.ln())


def _power(a: Laurent, exponent: Decimal) -> Laurent:
    """By J.C.P. Miller's recurrence."""
    if exponent == int(exponent) and 0 <= exponent <= 16:
        whole = _constant(_ONE, a)
        for _ in range(int(exponent)):
            whole = _product(whole, a)
        return whole
    if not a.coefficients:
        raise NoSeriesError
    shift = exponent * a.order
    head = a.coefficients[0]
    whole_exponent = exponent == int(exponent)
    if shift != int(shift) or (head < 0 and not whole_exponent):
        raise NoSeriesError
    if not whole_exponent and shift % 2:
        # The root of u^2 is |u|, which is no power of u.
        raise NoSeriesError
    found = [head**exponent]
    for k in range(1, len(a.coefficients)):
        total = sum(
            ((exponent * i - (k - i)) * a.coefficients[i] * found[k - i] for i in range(1, k + 1)),
            _ZERO,
        )
        found.append(total / (k * head))
    return _made(int(shift), found)


def _turning(a: Laurent, sign: int) -> tuple[Laurent, Laurent]:
    """sin and cos for sign -1, sinh and cosh for sign 1, of what is 0 at 0."""
    if _centre(a) != 0:
        raise NoSeriesError
    odd, even = [_ZERO], [_ONE]
    for k in range(1, a.end):
        steps = [(a.at(i) * i, k - i) for i in range(1, k + 1)]
        odd.append(sum((step * even[place] for step, place in steps), _ZERO) / k)
        even.append(sign * sum((step * odd[place] for step, place in steps), _ZERO) / k)
    return _made(0, odd), _made(0, even)


def _expm1(a: Laurent) -> Laurent:
    return _sum(_exp(a), _constant(_ONE, a), -1)


def _hyperbolic(a: Laurent, sign: int) -> Laurent:
    up = _exp(a)
    return _product(_constant(Decimal("0.5"), up), _sum(up, _inverse(up), sign))


def _sigmoid(a: Laurent) -> Laurent:
    down = _inverse(_exp(a))
    return _inverse(_sum(_constant(_ONE, down), down))


def _by_slope(slope: Callable[[Laurent], Laurent]) -> Callable[[Laurent], Laurent]:
    """A function that is 0 at 0, by its derivative."""

    def function(a: Laurent) -> Laurent:
        if _centre(a) != 0:
            raise NoSeriesError
        return _integral(_product(_slope(a), slope(a)), _ZERO)

    return function


def _one_plus_square(a: Laurent, sign: int) -> Laurent:
    return _sum(_constant(_ONE, a), _product(a, a), sign)


def _bell(a: Laurent) -> Laurent:
    square = _product(a, a)
    return _product(_constant(_ERF, a), _exp(_product(_constant(-_ONE, square), square)))


_erf = _by_slope(_bell)
_HALF: Final = Decimal("-0.5")
_FUNCTIONS: Final[dict[str, Callable[[Laurent], Laurent]]] = {
    "negative": lambda a: _product(_constant(-_ONE, a), a),
    "exp": _exp,
    "expm1": _expm1,
    "log": _log,
    "log1p": lambda a: _log(_sum(_constant(_ONE, a), a)),
    "sqrt": lambda a: _power(a, -_HALF),
    "sin": lambda a: _turning(a, -1)[0],
    "cos": lambda a: _turning(a, -1)[1],
    "tan": lambda a: _product(_turning(a, -1)[0], _inverse(_turning(a, -1)[1])),
    "sinh": lambda a: _hyperbolic(a, -1),
    "cosh": lambda a: _hyperbolic(a, 1),
    "tanh": lambda a: _product(_hyperbolic(a, -1), _inverse(_hyperbolic(a, 1))),
    "asin": _by_slope(lambda a: _power(_one_plus_square(a, -1), _HALF)),
    "asinh": _by_slope(lambda a: _power(_one_plus_square(a, 1), _HALF)),
    "atan": _by_slope(lambda a: _inverse(_one_plus_square(a, 1))),
    "atanh": _by_slope(lambda a: _inverse(_one_plus_square(a, -1))),
    "erf": _erf,
    "erfc": lambda a: _sum(_constant(_ONE, a), _erf(a), -1),
    "sigmoid": _sigmoid,
    "softplus": lambda a: _log(_sum(_constant(_ONE, a), _exp(a))),
}
_BINARY: Final[dict[str, Callable[[Laurent, Laurent], Laurent]]] = {
    "add": _sum,
    "subtract": lambda a, b: _sum(a, b, -1),
    "multiply": _product,
    "divide": lambda a, b: _product(a, _inverse(b)),
}
KNOWN: Final = frozenset(_FUNCTIONS) | frozenset(_BINARY) | {"pow"}


def series(node: Expr, variable: Expr, centre: float, count: int) -> Laurent | None:
    """The first coefficients of a function of one variable, in powers of variable - centre.

    None where it depends on anything else, holds an op whose series is not known, or has none.
    """
    start = _made(0, [Decimal(centre), _ONE, *[_ZERO] * (count - 2)])
    found: dict[Expr, Laurent] = {unnamed(variable): start}
    with localcontext(_CONTEXT):
        try:
            if scalar_constant(node) is not None:
                return _value(node, found, count)
            return _series(unnamed(node), found, count)
        except (ArithmeticError, ValueError, OverflowError):
            return None


def _series(node: Expr, found: dict[Expr, Laurent], count: int) -> Laurent:
    stack = [node]
    while stack:
        top = stack[-1]
        args = [unnamed(arg) for arg in top.args]
        pending = [arg for arg in args if arg not in found and scalar_constant(arg) is None]
        if top in found:
            stack.pop()
        elif top.op.name not in KNOWN or len(found) > _NODES:
            raise NoSeriesError
        elif pending:
            stack.extend(pending)
        else:
            found[top] = _applied(top.op.name, [_value(arg, found, count) for arg in args])
    return found[node]


def _value(node: Expr, found: dict[Expr, Laurent], count: int) -> Laurent:
    known = scalar_constant(node)
    if known is None:
        return found[node]
    return _made(0, [Decimal(float(known)), *[_ZERO] * (count - 1)])


def _applied(name: str, args: list[Laurent]) -> Laurent:
    if name in _FUNCTIONS:
        return _FUNCTIONS[name](args[0])
    if name in _BINARY:
        return _BINARY[name](*args)
    base, exponent = args
    if not any(exponent.coefficients[1:]) and exponent.order == 0:
        return _power(base, exponent.coefficients[0])
    return _exp(_product(exponent, _log(base)))
