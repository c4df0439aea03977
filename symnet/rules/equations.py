"""Stable spellings that one pattern states: tails, half angles, hyperbolics and shares.

Reference: Abramowitz and Stegun, Handbook of Mathematical Functions, chapters 4 and 7.
"""

from __future__ import annotations

from symnet.expr import Expr, make
from symnet.ops.reduction import SOFTMAX, SUM
from symnet.ops.table import (
    add,
    cos,
    cosh,
    divide,
    equal,
    erf,
    erfc,
    exp,
    multiply,
    negative,
    power,
    sigmoid,
    sin,
    sinh,
    subtract,
    tanh,
    where,
)
from symnet.ops.views import SLICE, reshape
from symnet.rules.algebra import sample, under_repeats, view_of
from symnet.rules.match import unnamed
from symnet.rules.rule import AnyRule, Rule, Structural, variable

_x, _y, _n = variable("x"), variable("y"), variable("n")
_CANCELS = "same function, no cancellation"
_OVERFLOWS = "same function, no overflow"


def _rule(name: str, left: Expr, right: Expr, reason: str, remark: str = _CANCELS) -> Rule:
    return Rule(name, left, right, reason, remark=remark)


_half = multiply(0.5, _x)
TAILS: tuple[AnyRule, ...] = (
    _rule("upper tail", subtract(1, erf(_x)), erfc(_x), "erf(x) is 1 for x above 6"),
    _rule("lower tail", add(1, erf(_x)), erfc(negative(_x)), "erf(x) is -1 for x below -6"),
    _rule("body of a tail", subtract(1, erfc(_x)), erf(_x), "erfc(x) is 1 near 0"),
    _rule(
        "half a lower tail",
        add(0.5, multiply(0.5, erf(_x))),
        multiply(0.5, erfc(negative(_x))),
        "erf(x) is -1 for x below -6",
    ),
    _rule(
        "half an upper tail",
        subtract(0.5, multiply(0.5, erf(_x))),
        multiply(0.5, erfc(_x)),
        "erf(x) is 1 for x above 6",
    ),
)
ANGLES: tuple[AnyRule, ...] = (
    _rule(
        "one minus cos",
        subtract(1, cos(_x)),
        multiply(2, power(sin(_half), 2)),
        "cos(x) is 1 near 0",
    ),
    _rule(
        "cos minus one",
        subtract(cos(_x), 1),
        multiply(-2, power(sin(_half), 2)),
        "cos(x) is 1 near 0",
    ),
    _rule(
        "cos plus minus one",
        add(cos(_x), -1),
        multiply(-2, power(sin(_half), 2)),
        "cos(x) is 1 near 0",
    ),
    _rule(
        "cosh minus one",
        subtract(cosh(_x), 1),
        multiply(2, power(sinh(_half), 2)),
        "cosh(x) is 1 near 0",
    ),
)
_pair = exp(_x), exp(negative(_x))
HYPERBOLICS: tuple[AnyRule, ...] = (
    _rule(
        "sum of exponentials", add(*_pair), multiply(2, cosh(_x)), "one function in place of two"
    ),
    _rule(
        "difference of exponentials",
        subtract(*_pair),
        multiply(2, sinh(_x)),
        "two exponentials cancel near 0",
    ),
    _rule(
        "share of exponentials",
        divide(multiply(2, sinh(_x)), multiply(2, cosh(_x))),
        tanh(_x),
        "infinity over infinity for large x",
        _OVERFLOWS,
    ),
    _rule(
        "sinh over cosh",
        divide(sinh(_x), cosh(_x)),
        tanh(_x),
        "infinity over infinity for large x",
        _OVERFLOWS,
    ),
)
SHARES: tuple[AnyRule, ...] = (
    _rule(
        "over one plus exp",
        divide(_y, add(1, exp(_x))),
        multiply(_y, sigmoid(negative(_x))),
        "exp(x) overflows for x above 709",
        _OVERFLOWS,
    ),
    _rule(
        "exp times sigmoid of minus x",
        multiply(exp(_x), sigmoid(negative(_x))),
        sigmoid(_x),
        "infinity times zero for x above 709",
        _OVERFLOWS,
    ),
    _rule(
        "exp of minus x times sigmoid",
        multiply(exp(negative(_x)), sigmoid(_x)),
        sigmoid(negative(_x)),
        "infinity times zero for x below -709",
        _OVERFLOWS,
    ),
    _rule(
        "share of two",
        divide(exp(_x), add(exp(_x), exp(_y))),
        sigmoid(subtract(_x, _y)),
        "infinity over infinity for large x",
        _OVERFLOWS,
    ),
    _rule(
        "one minus tanh",
        subtract(1, tanh(_x)),
        multiply(2, sigmoid(multiply(-2, _x))),
        "tanh(x) is 1 for x above 19",
    ),
    _rule(
        "one plus tanh",
        add(1, tanh(_x)),
        multiply(2, sigmoid(multiply(2, _x))),
        "tanh(x) is -1 for x below -19",
    ),
)
POWERS: tuple[AnyRule, ...] = (
    Rule(
        "slope of a power",
        multiply(_n, power(_x, subtract(_n, 1))),
        where(equal(_n, 0), 0, multiply(_n, power(_x, subtract(where(equal(_n, 0), 1, _n), 1)))),
        "x^0 is 1 everywhere, so that its derivative is 0, also at 0",
        domain={"x": (0, float("inf"))},
    ),
)


def _part_of_softmax(node: Expr) -> Expr | None:
    """exp(a) / sum(exp(z)), where a is a part of z and the sum goes over all of z."""
    above, below = unnamed(node.args[0]), under_repeats(node.args[1])
    if above.op is not exp or below.op is not SUM or unnamed(below.args[0]).op is not exp:
        return None
    z = unnamed(unnamed(below.args[0]).args[0])
    views = view_of(above.args[0], z)
    if below.shape or views is None:
        return None
    made = make(SOFTMAX, (z,), axes=below.attrs["axes"])
    for view in reversed(views):
        made = make(view.op, (made,), **view.attrs)
    return made


def _softmax_examples() -> tuple[Expr, ...]:
    v = sample("v", "K")
    total = make(SUM, (exp(v),), axes=(0,))
    part = make(SLICE, (v,), start=(1,), step=(1,), shape=(1,))
    return (
        divide(exp(part), reshape(total, (1,))),
        divide(exp(reshape(part, ())), total),
    )


PARTS: tuple[AnyRule, ...] = (
    Structural(
        "part of a softmax",
        ("divide",),
        _part_of_softmax,
        "infinity over infinity for large z",
        _softmax_examples,
        remark=_OVERFLOWS,
        error=1e-14,
    ),
)
EQUATIONS = (*TAILS, *ANGLES, *HYPERBOLICS, *SHARES, *POWERS, *PARTS)
