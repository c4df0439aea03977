"""Functions read from SymPy: as written, right in value and derivative, loud where they cannot."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sympy

import symnet as sn
from symnet.errors import DtypeError, GraphError, NameClashError, ShapeError, SymnetError
from symnet.expr import Expr
from symnet.pointwise import pointwise
from symnet.reference import evaluate

x = sn.input("x", ("N",), "float64")
y = sn.input("y", ("N",), "float64")
POINTS = {"x": np.array([0.3, 0.7, 0.51]), "y": np.array([0.2, 0.9, 1.4])}

# What the formula is -> what it must become, node by node.
AS_WRITTEN: list[tuple[Callable[[Any, Any], Any], Callable[[Expr, Expr], Expr]]] = [
    (lambda a, b: a - b, lambda a, b: a - b),
    (lambda a, b: b + a, lambda a, b: b + a),
    (lambda a, b: a - 1 + b, lambda a, b: a - 1 + b),
    (lambda a, b: 1 - (1 - a), lambda a, b: 1 - (1 - a)),
    (lambda a, b: a * (1 / b), lambda a, b: a / b),
    (lambda a, b: 2 * a / b / 3, lambda a, b: 2 * a / b / 3),
    (lambda a, b: a / 3, lambda a, b: a / 3),
    (lambda a, b: -a * b, lambda a, b: -a * b),
    (lambda a, b: -(a * b) - 2 * b, lambda a, b: -(a * b) - 2 * b),
    (lambda a, b: a - 2.5 * b * a - b / 3, lambda a, b: a - 2.5 * b * a - b / 3),
    (lambda a, b: a - -2 * b - 0.5, lambda a, b: a + 2 * b - 0.5),
    (lambda a, b: 0.1 * (a + 1), lambda a, b: 0.1 * (a + 1)),
    (lambda a, b: (a + b) + (a + b), lambda a, b: (a + b) + (a + b)),
    (lambda a, b: a * (b * a), lambda a, b: a * (b * a)),
    (lambda a, b: sympy.sqrt(a) * sympy.sqrt(a), lambda a, b: sn.sqrt(a) * sn.sqrt(a)),
    (lambda a, b: a / (1 + sympy.exp(-b * a)), lambda a, b: a / (1 + sn.exp(-b * a))),
    (lambda a, b: a**2 + b**-2, lambda a, b: a**2 + b**-2),
    (lambda a, b: 1 / sympy.sqrt(a), lambda a, b: 1 / sn.sqrt(a)),
    (lambda a, b: a ** sympy.Rational(-1, 2), lambda a, b: 1 / sn.sqrt(a)),
    (lambda a, b: a ** sympy.Rational(2, 3), lambda a, b: a ** (2 / 3)),
    (lambda a, b: a**b, lambda a, b: a**b),
    (lambda a, b: sympy.E**a, lambda a, b: sn.exp(a)),
    (lambda a, b: sympy.sqrt(2 / sympy.pi) * a, lambda a, b: math.sqrt(2 / math.pi) * a),
    (lambda a, b: sympy.log(a, 2), lambda a, b: sn.log(a) / math.log(2)),
    (lambda a, b: sympy.Max(a, b), lambda a, b: sn.maximum(a, b)),
]


@pytest.mark.parametrize(("formula", "expected"), AS_WRITTEN)
def test_the_formula_is_taken_as_written(
    formula: Callable[[Any, Any], Any], expected: Callable[[Expr, Expr], Expr]
):
    assert pointwise("f", formula)(x, y) is expected(x, y)


NUMERIC: list[Callable[[Any], Any]] = [
    getattr(sympy, name)
    for name in (
        "exp", "log", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh",
        "asinh", "atanh", "sec", "csc", "cot", "sech", "csch", "coth", "Abs", "sign", "floor",
        "ceiling", "erf", "erfc",
    )
]  # fmt: skip
NUMERIC += [
    lambda a: sympy.acosh(a + 1),
    lambda a: sympy.atan2(a, 2 * a + 1),
    lambda a: sympy.Heaviside(a - 0.51),
    lambda a: sympy.Heaviside(a - 0.51, 0.25),
    lambda a: sympy.Min(a, 0.4, a**2),
    lambda a: sympy.Max(0, a - 0.4),
    lambda a: sympy.Piecewise((a**2, a < 0.4), (sympy.sin(a), a <= 0.6), (1 - a, True)),
    lambda a: sympy.Piecewise((0, a < 0.4), (1, sympy.Eq(a, 0.7)), (2, True)),
    lambda a: sympy.Piecewise((1, (a > 0.4) & ~(a > 0.6)), (0, True)),
    lambda a: sympy.Piecewise((1, (a < 0.4) | sympy.Ne(a, 0.7)), (0, True)),
    lambda a: sympy.Rational(1, 3) * a**3 + sympy.pi * a + sympy.E,
    lambda a: sympy.GoldenRatio + 0 * a,
]


@pytest.mark.parametrize("formula", NUMERIC, ids=range(len(NUMERIC)))
def test_values_are_sympys(formula: Callable[[Any], Any]):
    symbol = sympy.Symbol("a", real=True)
    tree = formula(symbol)
    true = [float(tree.subs(symbol, sympy.Float(value)).evalf(30)) for value in POINTS["x"]]
    # A SymPy class has no signature of its own.
    found = evaluate(pointwise("f", lambda a: formula(a))(x), {"x": POINTS["x"]})
    np.testing.assert_allclose(found, true, rtol=1e-14, atol=1e-15)


def test_the_derivative_follows():
    swish = pointwise("swish", lambda x, beta: x / (1 + sympy.exp(-beta * x)))
    beta = sn.parameter("beta", init=1.5, dtype="float64")
    total = sn.sum(swish(x, beta))
    by_x, by_beta = evaluate(sn.grad(total, [x, beta]), {"x": POINTS["x"]})
    a, b = sympy.symbols("a b")
    tree = a / (1 + sympy.exp(-b * a))
    values = [{a: value, b: 1.5} for value in POINTS["x"]]
    np.testing.assert_allclose(
        by_x, [float(tree.diff(a).subs(at)) for at in values], rtol=1e-13
    )
    assert by_beta == pytest.approx(sum(float(tree.diff(b).subs(at)) for at in values), rel=1e-13)


def test_operands_broadcast_and_have_defaults():
    f = pointwise("f", lambda x, beta=2.0: beta * x)
    single = sn.input("z", ("N", 3))
    assert f(single).dtype == np.float32
    assert f(x=single) is f(single, 2.0)
    assert f(single, sn.input("b", (3,))).shape == ("N", 3)
    constant = pointwise("c", lambda a, b: a)
    assert constant(sn.input("s"), single).shape == ("N", 3)
    assert pointwise("one", lambda a: 1)(single).shape == ("N", 3)
    assert evaluate(pointwise("two", lambda a: 2)(3.0)) == 2
    assert repr(f) == "f(x, beta)"


def test_a_name_may_be_defined_again():
    first = pointwise("again", lambda a: a + 1)(x)
    second = pointwise("again", lambda a: a + 2)(x)
    np.testing.assert_allclose(np.subtract(*evaluate([second, first], {"x": POINTS["x"]})), 1)


def test_a_shared_subtree_is_read_once():
    def logistic_map(a: Any) -> Any:
        for _ in range(60):
            a = 3.7 * a * (1 - a)
        return a

    value = evaluate(pointwise("chaos", logistic_map)(x), {"x": POINTS["x"]})
    np.testing.assert_array_equal(value, logistic_map(POINTS["x"]))


def test_sympy_is_left_as_it_was():
    with pytest.raises(ZeroDivisionError):
        pointwise("f", lambda a: 1 / 0)
    a = sympy.Symbol("a")
    assert a - a == 0


def decides(a: Any) -> Any:
    return a if a > 0 else -a


REFUSED: list[tuple[Callable[[], object], type[SymnetError], str]] = [
    (lambda: pointwise("f", decides), GraphError, "sympy.Piecewise in place of if"),
    (lambda: pointwise("f", lambda a: math.exp(a)), GraphError, "in place of math.exp"),
    (lambda: pointwise("f", lambda a: np.exp(a)), GraphError, "in place of math.exp"),
    (lambda: pointwise("f", lambda a: sympy.besselj(0, a)), GraphError, "besselj has no prim"),
    (lambda: pointwise("f", lambda a: a * sympy.I), GraphError, "I is not a real number"),
    (lambda: pointwise("f", lambda a: a + sympy.nan), GraphError, "nan is not a real number"),
    (lambda: pointwise("f", lambda a: a + sympy.Symbol("b")), GraphError, "b is not a real"),
    (lambda: pointwise("f", lambda a: a > 0), GraphError, "is a condition"),
    (lambda: pointwise("f", lambda a: "a + 1"), GraphError, "returned 'a . 1'"),
    (lambda: pointwise("f", lambda *a: a[0]), GraphError, "must be named"),
    (lambda: pointwise("f", lambda: 1), GraphError, "must be named"),
    (lambda: pointwise("f", "x + 1"), GraphError, "expected a function"),
    (lambda: pointwise("f g", lambda a: a), NameClashError, "identifier"),
    (
        lambda: pointwise("f", lambda a: sympy.Piecewise((a, a > 0))),
        GraphError,
        r"must be \(value, True\)",
    ),
    (lambda: pointwise("f", lambda a: a)(x, y), GraphError, "too many positional"),
    (lambda: pointwise("f", lambda a: a)(POINTS["x"]), GraphError, "got ndarray"),
    (lambda: pointwise("f", lambda a: a)(sn.input("k", (), "int64")), DtypeError, "k .* int64"),
    (
        lambda: pointwise("f", lambda a, b: a * b)(x, sn.input("m", ("M",), "float64")),
        ShapeError,
        "N and M differ",
    ),
]


@pytest.mark.parametrize(("make", "error", "says"), REFUSED)
def test_what_cannot_be_read_is_refused(
    make: Callable[[], object], error: type[SymnetError], says: str
):
    with pytest.raises(error, match=says):
        make()
