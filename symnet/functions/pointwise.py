"""Elementwise functions by their array API names, and the usual activations as formulas."""

from __future__ import annotations

import math

from symnet.expr import Expr
from symnet.ops import table
from symnet.ops.core import operand as _node
from symnet.ops.core import operands

add, subtract, multiply, divide = table.add, table.subtract, table.multiply, table.divide
negative, exp, expm1, log, log1p = table.negative, table.exp, table.expm1, table.log, table.log1p
sqrt, sign, floor, abs = table.sqrt, table.sign, table.floor, table.absolute
sin, cos, tan, asin, acos, atan = (
    table.sin, table.cos, table.tan, table.asin, table.acos, table.atan
)  # fmt: skip
sinh, cosh, tanh = table.sinh, table.cosh, table.tanh
asinh, acosh, atanh, atan2 = table.asinh, table.acosh, table.atanh, table.atan2
erf, erfc = table.erf, table.erfc
sigmoid, softplus = table.sigmoid, table.softplus
maximum, minimum, where = table.maximum, table.minimum, table.where
less, less_equal, equal, not_equal = table.less, table.less_equal, table.equal, table.not_equal
logical_and, logical_or, logical_not = table.logical_and, table.logical_or, table.logical_not
isfinite = table.isfinite


def pow(base: object, exponent: object) -> Expr:
    """base to the power of exponent; x^0 is 1, also at 0."""
    return table.power(base, exponent)


def greater(left: object, right: object) -> Expr:
    """left > right, element by element."""
    return less(right, left)


def greater_equal(left: object, right: object) -> Expr:
    """left >= right, element by element."""
    return less_equal(right, left)


def square(x: object) -> Expr:
    """x squared."""
    return table.power(x, 2)


def reciprocal(x: object) -> Expr:
    """1 / x."""
    return divide(1, x)


def rsqrt(x: object) -> Expr:
    """1 / sqrt(x)."""
    return divide(1, sqrt(x))


def clip(x: object, min: object = None, max: object = None) -> Expr:
    """x held between bounds; the derivative is 0 at the edges."""
    result = _node(x, "clip")
    if min is not None:
        result = maximum(result, min)
    return result if max is None else minimum(result, max)


def logaddexp(left: object, right: object) -> Expr:
    """log(exp(left) + exp(right)), without overflow."""
    first, second = operands("logaddexp", (left, right))
    # Where both are equal the formula must stay smooth, and where both are infinite defined.
    tied = equal(first, second)
    apart = where(tied, 0.0, first - second)
    base = where(isfinite(first), first, 0.0)
    return where(
        tied, first + softplus(second - base), maximum(first, second) + softplus(-abs(apart))
    )


def relu(x: object) -> Expr:
    """max(x, 0); the derivative at 0 is 0."""
    return maximum(x, 0)


def leaky_relu(x: object, slope: object = 0.01) -> Expr:
    """x where positive, slope * x elsewhere; the derivative at 0 is the slope."""
    node = _node(x, "leaky_relu")
    return where(node > 0, node, slope * node)


def prelu(x: object, slope: object) -> Expr:
    """leaky_relu with a slope of its own, often a parameter."""
    return leaky_relu(x, slope)


def elu(x: object, scale: object = 1.0) -> Expr:
    """x where positive, scale * (exp(x) - 1) elsewhere (Clevert et al., 2016)."""
    node = _node(x, "elu")
    return where(node > 0, node, scale * expm1(minimum(node, 0)))


def selu(x: object) -> Expr:
    """The self-normalising unit (Klambauer et al., 2017, eq. 2)."""
    return 1.0507009873554805 * elu(x, 1.6732632423543772)


def log_sigmoid(x: object) -> Expr:
    """log of the sigmoid, without overflow."""
    return -softplus(-_node(x, "log_sigmoid"))


def silu(x: object) -> Expr:
    """x * sigmoid(x), also called swish."""
    node = _node(x, "silu")
    return node * sigmoid(node)


def gelu(x: object, approximate: bool = False) -> Expr:
    """x times the normal distribution function; the tanh form if approximate (Hendrycks, 2016)."""
    node = _node(x, "gelu")
    if approximate:
        inner = math.sqrt(2 / math.pi) * (node + 0.044715 * node**3)
        return 0.5 * node * (1 + tanh(inner))
    return 0.5 * node * (1 + erf(node * math.sqrt(0.5)))


def mish(x: object) -> Expr:
    """x * tanh(softplus(x)) (Misra, 2019)."""
    node = _node(x, "mish")
    return node * tanh(softplus(node))


def softsign(x: object) -> Expr:
    """x / (1 + |x|)."""
    node = _node(x, "softsign")
    return node / (1 + abs(node))


def hardtanh(x: object, low: object = -1.0, high: object = 1.0) -> Expr:
    """x held between low and high."""
    return clip(x, low, high)


def hardswish(x: object) -> Expr:
    """x * clip(x + 3, 0, 6) / 6 (Howard et al., 2019)."""
    node = _node(x, "hardswish")
    return node * clip(node + 3, 0, 6) / 6
