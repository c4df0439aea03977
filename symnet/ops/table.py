"""The pointwise primitives, one row each: meaning, partial derivatives, conventions, printing.

Derivatives: Abramowitz and Stegun, Handbook of Mathematical Functions, chapters 4 and 7.
"""

from __future__ import annotations

import math
from typing import Any

from symnet.expr import Expr
from symnet.ops.core import scalar_constant
from symnet.ops.pointwise import Pointwise, Select, indicator, ones, zeros

_TWO_OVER_SQRT_PI = 2 / math.sqrt(math.pi)
_UNIT = ((-0.95, 0.95),)
_POSITIVE = ((0.05, 4.0),)
_TWO = ((-3.0, 3.0), (-3.0, 3.0))


def _half_at_tie(first: Expr, second: Expr, wins: Expr) -> Expr:
    """The partial of max or min by `first`: ties between two variables split evenly; against a
    constant the tie counts 0."""
    chosen = indicator(wins, first)
    if scalar_constant(first) is not None or scalar_constant(second) is not None:
        return chosen
    return chosen + 0.5 * indicator(equal(first, second), first)


def _power_by_base(y: Expr, x: Expr, n: Expr) -> Expr:
    exponent = scalar_constant(n)
    if exponent == 0:
        return zeros(x)
    if exponent == 1:
        return ones(x)
    if exponent == 2:
        return 2 * x
    if exponent is not None:
        return exponent * x ** (exponent - 1)
    return n * x ** (n - 1)


def _power_by_exponent(y: Expr, x: Expr, n: Expr) -> Expr:
    # x^n log x tends to 0 with x for n > 0, and 0^0 is 1 here whatever n does.
    return where(equal(x, 0), zeros(x), y * log(where(equal(x, 0), ones(x), x)))


def _guarded_ratio(above: Expr, below: Expr) -> Expr:
    """above / below, and 0 where below is 0."""
    none = equal(below, 0)
    return where(none, zeros(above), above / where(none, ones(below), below))


def _no_share(above: Expr, below: Expr) -> Expr:
    """above / below, and 0 where above is 0."""
    none = equal(above, 0)
    return where(none, zeros(above), above / where(none, ones(below), below))


def _hypot(xp: Any, a: Any, b: Any) -> Any:
    first, second = xp.abs(a), xp.abs(b)
    large, small = xp.maximum(first, second), xp.minimum(first, second)
    same = xp.equal(small, large)
    # Where both are equal, 0 and inf among them, the ratio is 1.
    ratio = xp.where(same, large * 0 + 1, xp.divide(small, xp.where(same, large * 0 + 1, large)))
    return xp.where(xp.isfinite(large), large * xp.sqrt(1 + ratio * ratio), large)


def _vanishing(xp: Any, a: Any, b: Any, logarithm: Any, neutral: float) -> Any:
    none = xp.equal(a, 0)
    return xp.where(none, a, a * logarithm(xp.where(none, a + neutral, b)))


negative: Pointwise = Pointwise(
    "negative", lambda xp, x: -x, (lambda y, x: -ones(x),), accepts="number"
)
add: Pointwise = Pointwise(
    "add",
    lambda xp, a, b: a + b,
    (lambda y, a, b: ones(a), lambda y, a, b: ones(b)),
    accepts="number",
    domain=_TWO,
)
subtract: Pointwise = Pointwise(
    "subtract",
    lambda xp, a, b: a - b,
    (lambda y, a, b: ones(a), lambda y, a, b: -ones(b)),
    accepts="number",
    domain=_TWO,
)
multiply: Pointwise = Pointwise(
    "multiply",
    lambda xp, a, b: a * b,
    (lambda y, a, b: b, lambda y, a, b: a),
    accepts="number",
    domain=_TWO,
)
divide: Pointwise = Pointwise(
    "divide",
    lambda xp, a, b: xp.divide(a, b),
    (lambda y, a, b: 1 / b, lambda y, a, b: -y / b),
    domain=((-3.0, 3.0), (0.1, 3.0)),
)
power: Pointwise = Pointwise(
    "pow",
    lambda xp, a, b: xp.power(a, b),
    (_power_by_base, _power_by_exponent),
    domain=((0.05, 3.0), (-3.0, 3.0)),
    convention="x^0 is 1 at 0; the derivative by the exponent is 0 where the base is 0",
)
exp: Pointwise = Pointwise(
    "exp", lambda xp, x: xp.exp(x), (lambda y, x: y,), text="exp", latex=r"\exp"
)
expm1: Pointwise = Pointwise(
    "expm1", lambda xp, x: xp.expm1(x), (lambda y, x: exp(x),), text="expm1"
)
log: Pointwise = Pointwise(
    "log",
    lambda xp, x: xp.log(x),
    (lambda y, x: 1 / x,),
    domain=_POSITIVE,
    text="log",
    latex=r"\log",
)
log1p: Pointwise = Pointwise(
    "log1p",
    lambda xp, x: xp.log1p(x),
    (lambda y, x: 1 / (1 + x),),
    domain=((-0.9, 3.0),),
    text="log1p",
)
sqrt: Pointwise = Pointwise(
    "sqrt",
    lambda xp, x: xp.sqrt(x),
    (lambda y, x: 1 / (2 * y),),
    domain=_POSITIVE,
    convention="the derivative at 0 is +inf, which is true",
)
absolute: Pointwise = Pointwise(
    "abs",
    lambda xp, x: xp.abs(x),
    (lambda y, x: sign(x),),
    accepts="number",
    analytic=False,
    convention="the derivative at 0 is 0",
)
sign: Pointwise = Pointwise(
    "sign",
    lambda xp, x: xp.sign(x),
    (lambda y, x: None,),
    accepts="number",
    analytic=False,
    convention="the derivative is 0 everywhere",
    text="sign",
)
floor: Pointwise = Pointwise(
    "floor",
    lambda xp, x: xp.floor(x),
    (lambda y, x: None,),
    analytic=False,
    convention="the derivative is 0 everywhere",
)
sin: Pointwise = Pointwise(
    "sin", lambda xp, x: xp.sin(x), (lambda y, x: cos(x),), text="sin", latex=r"\sin"
)
cos: Pointwise = Pointwise(
    "cos", lambda xp, x: xp.cos(x), (lambda y, x: -sin(x),), text="cos", latex=r"\cos"
)
tan: Pointwise = Pointwise(
    "tan",
    lambda xp, x: xp.tan(x),
    (lambda y, x: 1 + y * y,),
    domain=((-1.4, 1.4),),
    text="tan",
    latex=r"\tan",
)
asin: Pointwise = Pointwise(
    "asin",
    lambda xp, x: xp.asin(x),
    (lambda y, x: 1 / sqrt((1 - x) * (1 + x)),),
    domain=_UNIT,
    text="arcsin",
    latex=r"\arcsin",
)
acos: Pointwise = Pointwise(
    "acos",
    lambda xp, x: xp.acos(x),
    (lambda y, x: -1 / sqrt((1 - x) * (1 + x)),),
    domain=_UNIT,
    text="arccos",
    latex=r"\arccos",
)
atan: Pointwise = Pointwise(
    "atan",
    lambda xp, x: xp.atan(x),
    (lambda y, x: 1 / (1 + x * x),),
    text="arctan",
    latex=r"\arctan",
)
sinh: Pointwise = Pointwise(
    "sinh", lambda xp, x: xp.sinh(x), (lambda y, x: cosh(x),), text="sinh", latex=r"\sinh"
)
cosh: Pointwise = Pointwise(
    "cosh", lambda xp, x: xp.cosh(x), (lambda y, x: sinh(x),), text="cosh", latex=r"\cosh"
)
tanh: Pointwise = Pointwise(
    "tanh", lambda xp, x: xp.tanh(x), (lambda y, x: 1 - y * y,), text="tanh", latex=r"\tanh"
)
asinh: Pointwise = Pointwise(
    "asinh",
    lambda xp, x: xp.asinh(x),
    (lambda y, x: 1 / sqrt(1 + x * x),),
    text="arsinh",
    latex=r"\operatorname{arsinh}",
)
acosh: Pointwise = Pointwise(
    "acosh",
    lambda xp, x: xp.acosh(x),
    (lambda y, x: 1 / (sqrt(x - 1) * sqrt(x + 1)),),
    domain=((1.05, 4.0),),
    text="arcosh",
    latex=r"\operatorname{arcosh}",
)
atanh: Pointwise = Pointwise(
    "atanh",
    lambda xp, x: xp.atanh(x),
    (lambda y, x: 1 / ((1 - x) * (1 + x)),),
    domain=_UNIT,
    text="artanh",
    latex=r"\operatorname{artanh}",
)
atan2: Pointwise = Pointwise(
    "atan2",
    lambda xp, a, b: xp.atan2(a, b),
    (lambda y, a, b: b / (a * a + b * b), lambda y, a, b: -a / (a * a + b * b)),
    domain=_TWO,
    analytic=False,
    text="atan2",
    latex=r"\operatorname{atan2}",
)
erf: Pointwise = Pointwise(
    "erf",
    lambda xp, x: xp.erf(x),
    (lambda y, x: _TWO_OVER_SQRT_PI * exp(-(x * x)),),
    text="erf",
    latex=r"\operatorname{erf}",
)
erfc: Pointwise = Pointwise(
    "erfc",
    lambda xp, x: xp.erfc(x),
    (lambda y, x: -_TWO_OVER_SQRT_PI * exp(-(x * x)),),
    text="erfc",
    latex=r"\operatorname{erfc}",
)
sigmoid: Pointwise = Pointwise(
    "sigmoid", lambda xp, x: xp.sigmoid(x), (lambda y, x: y * (1 - y),), text="σ", latex=r"\sigma"
)
softplus: Pointwise = Pointwise(
    "softplus",
    lambda xp, x: xp.softplus(x),
    (lambda y, x: sigmoid(x),),
    text="softplus",
    latex=r"\operatorname{softplus}",
)
hypot: Pointwise = Pointwise(
    "hypot",
    _hypot,
    (lambda y, a, b: _guarded_ratio(a, y), lambda y, a, b: _guarded_ratio(b, y)),
    domain=_TWO,
    convention="the derivative at 0 is 0, the subgradient of least norm",
    text="hypot",
    latex=r"\operatorname{hypot}",
)
xlogy: Pointwise = Pointwise(
    "xlogy",
    lambda xp, a, b: _vanishing(xp, a, b, xp.log, 1),
    (lambda y, a, b: log(b), lambda y, a, b: _no_share(a, b)),
    domain=((-3.0, 3.0), (0.05, 4.0)),
    convention="x log y is 0 where x is 0, whatever y is",
    text="xlogy",
    latex=r"\operatorname{xlogy}",
)
xlog1py: Pointwise = Pointwise(
    "xlog1py",
    lambda xp, a, b: _vanishing(xp, a, b, xp.log1p, 0),
    (lambda y, a, b: log1p(b), lambda y, a, b: _no_share(a, 1 + b)),
    domain=((-3.0, 3.0), (-0.9, 3.0)),
    convention="x log(1 + y) is 0 where x is 0, whatever y is",
    text="xlog1py",
    latex=r"\operatorname{xlog1py}",
)
maximum: Pointwise = Pointwise(
    "maximum",
    lambda xp, a, b: xp.maximum(a, b),
    (
        lambda y, a, b: _half_at_tie(a, b, less(b, a)),
        lambda y, a, b: _half_at_tie(b, a, less(a, b)),
    ),
    accepts="number",
    domain=_TWO,
    analytic=False,
    convention="ties between two variables split evenly; against a constant the tie counts 0",
    text="max",
    latex=r"\max",
)
minimum: Pointwise = Pointwise(
    "minimum",
    lambda xp, a, b: xp.minimum(a, b),
    (
        lambda y, a, b: _half_at_tie(a, b, less(a, b)),
        lambda y, a, b: _half_at_tie(b, a, less(b, a)),
    ),
    accepts="number",
    domain=_TWO,
    analytic=False,
    convention="ties between two variables split evenly; against a constant the tie counts 0",
    text="min",
    latex=r"\min",
)
where: Pointwise = Select(
    "where",
    lambda xp, c, a, b: xp.where(c, a, b),
    (lambda y, c, a, b: None, lambda y, c, a, b: None, lambda y, c, a, b: None),
    accepts="any",
    domain=((0.0, 1.0), (-3.0, 3.0), (-3.0, 3.0)),
    analytic=False,
)
_NONE = (lambda y, a, b: None, lambda y, a, b: None)
less: Pointwise = Pointwise(
    "less",
    lambda xp, a, b: xp.less(a, b),
    _NONE,
    accepts="any",
    gives="bool",
    domain=_TWO,
    analytic=False,
)
less_equal: Pointwise = Pointwise(
    "less_equal",
    lambda xp, a, b: xp.less_equal(a, b),
    _NONE,
    accepts="any",
    gives="bool",
    domain=_TWO,
    analytic=False,
)
equal: Pointwise = Pointwise(
    "equal",
    lambda xp, a, b: xp.equal(a, b),
    _NONE,
    accepts="any",
    gives="bool",
    domain=_TWO,
    analytic=False,
)
not_equal: Pointwise = Pointwise(
    "not_equal",
    lambda xp, a, b: xp.not_equal(a, b),
    _NONE,
    accepts="any",
    gives="bool",
    domain=_TWO,
    analytic=False,
)
logical_and: Pointwise = Pointwise(
    "logical_and",
    lambda xp, a, b: xp.logical_and(a, b),
    _NONE,
    accepts="bool",
    gives="bool",
    domain=_TWO,
    analytic=False,
)
logical_or: Pointwise = Pointwise(
    "logical_or",
    lambda xp, a, b: xp.logical_or(a, b),
    _NONE,
    accepts="bool",
    gives="bool",
    domain=_TWO,
    analytic=False,
)
logical_not: Pointwise = Pointwise(
    "logical_not",
    lambda xp, a: xp.logical_not(a),
    (lambda y, a: None,),
    accepts="bool",
    gives="bool",
    analytic=False,
)
isfinite: Pointwise = Pointwise(
    "isfinite", lambda xp, x: xp.isfinite(x), (lambda y, x: None,), gives="bool", analytic=False
)

POINTWISE: dict[str, Pointwise] = {
    row.name: row for row in list(globals().values()) if isinstance(row, Pointwise)
}
