"""SIMPLIFY: equations that hold in the reals and lose nothing in floating point.

A NaN stays a NaN and an infinity an infinity: x * 0 is 0 only where x is surely finite, x - x and
x / x stay. The one freedom taken is the sign of a zero. a*b + a*c is not factored, since b + c may
cancel or overflow where the two products do not.
"""

from __future__ import annotations

from symnet.expr import Expr
from symnet.ops.core import BOOL, number, scalar_constant
from symnet.ops.table import (
    absolute,
    add,
    divide,
    exp,
    log,
    logical_not,
    maximum,
    minimum,
    multiply,
    negative,
    power,
    subtract,
    where,
)
from symnet.rules.rule import AnyRule, Rule, is_constant, is_surely_finite, variable
from symnet.rules.views import STRUCTURAL


def _is_moderate(node: Expr) -> bool:
    """A constant whose product with another such neither overflows nor underflows."""
    value = scalar_constant(node)
    return is_constant(node) and 1e-12 <= abs(float(value or 0)) <= 1e12


_x, _y = variable("x"), variable("y")
_c, _d = variable("c", accepts=_is_moderate), variable("d", accepts=_is_moderate)
_finite = variable("f", accepts=is_surely_finite)
_test = variable("p", dtype=BOOL)
_true, _false = number(True, BOOL), number(False, BOOL)
_KNOWN = {"c": (1e-3, 1e3), "d": (1e-3, 1e3)}

SIGNS = (
    Rule("minus minus", negative(negative(_x)), _x, "two changes of sign cancel"),
    Rule("plus negative", add(_x, negative(_y)), subtract(_x, _y), "one operation less"),
    Rule("minus negative", subtract(_x, negative(_y)), add(_x, _y), "one operation less"),
    Rule(
        "product of negatives",
        multiply(negative(_x), negative(_y)),
        multiply(_x, _y),
        "two changes of sign cancel",
    ),
    Rule(
        "ratio of negatives",
        divide(negative(_x), negative(_y)),
        divide(_x, _y),
        "two changes of sign cancel",
    ),
)

LOG_OF_EXP = Rule("log of exp", log(exp(_x)), _x, "exp overflows where its logarithm does not")

SIMPLIFY: tuple[AnyRule, ...] = (
    Rule("times one", multiply(_x, 1), _x, "a factor of one changes nothing"),
    Rule("over one", divide(_x, 1), _x, "a divisor of one changes nothing"),
    Rule("plus zero", add(_x, 0), _x, "a term of zero changes nothing"),
    Rule("minus zero", subtract(_x, 0), _x, "a term of zero changes nothing"),
    Rule("zero minus", subtract(0, _x), negative(_x), "a change of sign is exact"),
    Rule("times minus one", multiply(_x, -1), negative(_x), "a change of sign is exact"),
    Rule("over minus one", divide(_x, -1), negative(_x), "a change of sign is exact"),
    Rule("first power", power(_x, 1), _x, "the first power is the number itself"),
    Rule("zeroth power", power(_x, 0), number(1, _x.dtype), "x^0 is 1 everywhere, also at 0"),
    Rule("zero times", multiply(_finite, 0), number(0, _x.dtype), "a finite number is no NaN"),
    *SIGNS,
    Rule("same branches", where(_test, _x, _x), _x, "either branch is the same"),
    Rule("always first", where(_true, _x, _y), _x, "the condition is known"),
    Rule("always second", where(_false, _x, _y), _y, "the condition is known"),
    Rule("not not", logical_not(logical_not(_test)), _test, "two negations cancel"),
    Rule("maximum of one", maximum(_x, _x), _x, "both are the same"),
    Rule("minimum of one", minimum(_x, _x), _x, "both are the same"),
    Rule("abs of abs", absolute(absolute(_x)), absolute(_x), "an absolute value has no sign"),
    Rule("abs of negative", absolute(negative(_x)), absolute(_x), "the sign is dropped anyway"),
    LOG_OF_EXP,
    Rule(
        "constants of a product",
        multiply(multiply(_x, _c), _d),
        multiply(_x, multiply(_c, _d)),
        "one rounding less",
        domain=_KNOWN,
    ),
    Rule(
        "constant over constant",
        divide(multiply(_x, _c), _d),
        multiply(_x, divide(_c, _d)),
        "one division less",
        domain=_KNOWN,
    ),
    Rule(
        "constant times ratio",
        multiply(divide(_c, _y), _d),
        divide(multiply(_c, _d), _y),
        "one rounding less",
        domain=_KNOWN,
    ),
    *STRUCTURAL,
)
