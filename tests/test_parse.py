"""The grammar of formulas: what it reads, and how it says that it cannot."""

from __future__ import annotations

import math
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import symnet as sn
from symnet.errors import ParseError
from symnet.expr import Expr
from symnet.ops.pointwise import Pointwise
from symnet.parse import CALLEES, parse, parse_formula
from symnet.parse.tokens import LONGEST, ONES
from symnet.parse.words import DEEPEST
from symnet.reference import evaluate
from symnet.simplify import simplify

NAMES = {name: sn.input(name, (), "float64") for name in ("x", "y", "w", "W_1", "β")}
x, y, w = NAMES["x"], NAMES["y"], NAMES["w"]


def number(value: float) -> Expr:
    return sn.constant(value, "float64")


READ = {
    "x": x,
    "x + y*w": x + y * w,
    "x - y - w": (x - y) - w,
    "x - (y - w)": x - (y - w),
    "x/y/w": (x / y) / w,
    "x/y*w": (x / y) * w,
    "-x^2": -(x**2),
    "(-x)^2": (-x) ** 2,
    "x^-2": x**-2,
    "x^y^w": x ** (y**w),
    "x**y": x**y,
    "2*-x": 2 * -x,
    "x - -y": x - -y,
    "--x": x,
    "+x": x,
    "-2": number(-2),
    "-2^2": -(number(2) ** 2),
    "x² + y³": x**2 + y**3,
    "x⁻¹": x**-1,
    "(x + y)²": (x + y) ** 2,
    "x·y − w": x * y - w,
    "x × y ⊙ w": (x * y) * w,
    "σ(w*x)": sn.sigmoid(w * x),
    "tanh(x)": sn.tanh(x),
    "max(x, 0)": sn.maximum(x, 0),
    "relu(x)": sn.relu(x),
    "leaky_relu(x, 0.1)": sn.leaky_relu(x, number(0.1)),
    "ln(x) + arctan(y)": sn.log(x) + sn.atan(y),
    "atan2(y, x)": sn.atan2(y, x),
    "|x - y|": abs(x - y),
    "|x|*|y|": abs(x) * abs(y),
    "√x + √(y)": sn.sqrt(x) + sn.sqrt(y),
    "1/(1 + e^(−x))": 1 / (1 + sn.exp(-x)),
    "e^-x^2": sn.exp(-(x**2)),
    "e^x*y": sn.exp(x) * y,
    "2*π": number(2) * number(math.pi),
    "2*pi": number(2) * number(math.pi),
    "1.5e-3*x": 1.5e-3 * x,
    ".5*x + 2.": 0.5 * x + 2,
    "W_1*β + W₁": NAMES["W_1"] * NAMES["β"] + NAMES["W_1"],
    "  x\n\t+ y ": x + y,
    "2 x": 2 * x,
    "2x y": (2 * x) * y,
    "x y/w": (x * y) / w,
    "x/y w": (x / y) * w,
    "2 (x − y)": 2 * (x - y),
    "(x)(y)": x * y,
    "x² y": x**2 * y,
    "1/2 x": number(1) / number(2) * x,
    "tanh²(x) y": sn.tanh(x) ** 2 * y,
    "sech²(x)": (1 / sn.cosh(x)) ** 2,
    "log x y": sn.log(x) * y,
    "log x²": sn.log(x**2),
    "log |x|": sn.log(abs(x)),
    "x |y|": x * abs(y),
    "||x| |y||": abs(abs(x) * abs(y)),
    "| x | * 2": abs(x) * 2,
    "x ⊘ y": x / y,
    "⌊x⌋": sn.floor(x),
    "[x > 0] y": sn.astype(x > 0, "float64") * y,
    "{x if x > 0, else 0.1 x}": sn.where(x > 0, x, 0.1 * x),
    "(x > 0) ∧ (y ≤ 2)": sn.logical_and(x > 0, y <= 2),
    "x != y": sn.not_equal(x, y),
    "¬(x < y)": sn.logical_not(x < y),
    "[¬(x < y)] y": sn.astype(sn.logical_not(x < y), "float64") * y,
    "x < y": x < y,
    "a x  where  a = y + 1": (y + 1) * x,
    "x where σ(t) = 1/(1 + e^(−t))": x,
    "∞": number(math.inf),
}


@pytest.mark.parametrize("text", READ)
def test_text_is_read_as_the_expression(text):
    assert parse(text, NAMES) is READ[text]


REFUSED = {
    "": (0, "ends too early"),
    "x 2": (2, "operator is missing"),
    "(x) 2": (4, "operator is missing"),
    "x(y)": (0, "no function x"),
    "tanhh (x)": (0, "did you mean tanh?"),
    "x +": (3, "ends too early"),
    "x + * y": (4, "'*' is not expected"),
    "(x": (0, "never closed"),
    "x)": (1, "not expected"),
    "tanh(x": (4, "never closed"),
    "tanh()": (5, "not expected"),
    "tanh(x, y)": (0, "takes 1 argument, got 2"),
    "hardtanh(x, 1, 2, 3)": (0, "takes 1 to 3 arguments, got 4"),
    "tanhh(x)": (0, "did you mean tanh?"),
    "tanh": (0, "tanh is a function"),
    "f'(x)": (0, "no function f"),
    "e": (0, "Euler"),
    "x²^3": (2, "parentheses"),
    "x⁻": (1, "not an exponent"),
    "x ; y": (2, "not expected"),
    "x = y": (2, "not expected"),
    "x ? y": (2, "has no meaning"),
    "__import__('os')": (0, "no function __import__"),
    "x.real": (1, "has no meaning"),
    "2e": (1, "Euler"),
    "x² ³": (3, "parentheses"),
    "x where y": (9, "ends too early"),
    "x where tanh = y": (8, "tanh is a function"),
    "x where y = 2; y = 3": (15, "defined already"),
    "x if y": (2, "not expected"),
    "{x if y, else 2}": (6, "a condition such as x > 0"),
    "{x for y, else 2}": (8, "'if' is missing"),
    "v[n]": (1, "1 indices for 0 axes"),
    "Σ v": (0, "needs letters"),
    "∂L": (0, "∂L/∂w"),
    "(x, y)": (0, "several"),
    "tanh(axis)": (9, "not expected"),
    "softmax(x)": (0, "takes an array"),
    f"2 {ONES}": (0, "how many elements"),
    "x²⁽": (1, "not an exponent"),
    "‖x": (0, "never closed"),
    "{x if y > 2": (11, "ends too early"),
    "|x": (0, "never closed"),
    "1e999": (0, "too large"),
    "x, y": (1, "not expected"),
}


@pytest.mark.parametrize("text", REFUSED)
def test_a_fault_is_shown_with_a_caret_under_its_place(text):
    place, message = REFUSED[text]
    with pytest.raises(ParseError) as caught:
        parse(text)
    first, shown, caret = str(caught.value).split("\n")
    assert message in first
    assert shown == f"    {text}"
    assert caret == " " * (4 + place) + "^"


def test_a_long_text_is_shown_around_the_fault():
    text = "x + " * 100 + "? + " + "x + " * 100 + "x"
    with pytest.raises(ParseError) as caught:
        parse(text)
    _, shown, caret = str(caught.value).split("\n")
    assert len(shown) < 90
    assert shown[len(caret) - 1] == "?"


@pytest.mark.parametrize(
    "text",
    ["(" * 10_000 + "x" + ")" * 10_000, "(" * 9000, "tanh(" * 3000 + "x", "2^" * 9000 + "2",
     "|" * 9000],
    ids=["parentheses", "open", "calls", "powers", "bars"],
)  # fmt: skip
def test_nesting_is_bounded_by_a_clear_error(text):
    with pytest.raises(ParseError, match=r"nested deeper than|at most"):
        parse(text)


def test_length_is_bounded_and_long_sums_are_read():
    with pytest.raises(ParseError, match="at most"):
        parse("x" + "+x" * LONGEST)
    assert parse("x" + "+x" * 5000, NAMES).op.name == "add"
    assert parse("-" * 5001 + "x", NAMES) is -x
    assert parse("√" * 5000 + "x", NAMES).op is sn.sqrt
    assert parse("(" * (DEEPEST - 1) + "x" + ")" * (DEEPEST - 1), NAMES) is x


def test_unknown_names_become_float64_scalars_in_order():
    parsed = parse_formula("tanh(d*w + b) + d", {"w": w})
    assert list(parsed.names) == ["d", "w", "b"]
    assert parsed.names["w"] is w
    d = parsed.names["d"]
    assert (d.shape, d.dtype, d.name) == ((), np.float64, "d")
    assert evaluate(parsed.expr, {"d": 1.0, "w": 2.0, "b": -2.0}) == 1.0


def test_numbers_follow_the_dtype_of_the_names():
    low = sn.input("a", ("N", 3), "float32")
    assert parse("2*a + 0.1", {"a": low}).dtype == np.float32
    with pytest.raises(ParseError, match="too large for float32"):
        parse("1e300*a", {"a": low})


def test_unknown_functions_are_read_where_they_are_asked_for():
    f = sn.function("f")
    parsed = parse_formula("f(x)^2 + f'(x) + f′′(x)", {"x": x}, functions=["f"])
    first = simplify(sn.grad(f(x), x))
    assert parsed.expr is f(x) ** 2 + first + simplify(sn.grad(first, x))


def test_a_given_name_wins_over_a_constant():
    e = sn.input("e", (), "float64")
    assert parse("e*2 + e^2", {"e": e}) is e * 2 + e**2


@pytest.mark.parametrize("name", CALLEES)
def test_every_function_is_read(name):
    callee = CALLEES[name]
    for count in range(callee.fewest, callee.most + 1):
        arguments = ", ".join(["x"] * count)
        assert isinstance(parse(f"{name}({arguments})", NAMES), Expr)


def test_only_rows_and_activations_may_be_called():
    rows = {name for name, row in sn.functions.FUNCTIONS.items()
            if isinstance(row, Pointwise) and row.gives == "same" and row.arity <= 2}  # fmt: skip
    assert rows <= set(CALLEES)
    assert not {"sum", "input", "reshape", "less", "where", "isfinite"} & set(CALLEES)


SIGNS = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/", "pow": "^"}
BINDS = {"add": 1, "subtract": 1, "multiply": 2, "divide": 2, "negative": 3, "pow": 4}


def shown(expr: Expr) -> str:
    """A formula with as few parentheses as the precedences allow."""
    operator = expr.op.name
    if operator == "constant":
        value = expr.attrs["value"]
        return repr(value) if value >= 0 else f"({value!r})"
    if expr.name is not None:
        return expr.name
    if operator == "negative":
        return f"-{fenced(expr.args[0], 4)}"
    if operator in SIGNS:
        binds = BINDS[operator]
        left, right = (binds + 1, binds) if operator == "pow" else (binds, binds + 1)
        first = fenced(expr.args[0], left)
        return f"{first} {SIGNS[operator]} {fenced(expr.args[1], right)}"
    return f"{operator}({', '.join(map(shown, expr.args))})"


def fenced(expr: Expr, least: int) -> str:
    text = shown(expr)
    return f"({text})" if BINDS.get(expr.op.name, 9) < least else text


def build(tree: object) -> Expr:
    """The expression that nested tuples (function, operand, ...) describe."""
    if isinstance(tree, tuple):
        return Expr.dispatch[tree[0]](*map(build, tree[1:]))
    return NAMES[tree] if isinstance(tree, str) else number(tree)


trees = st.recursive(
    st.sampled_from("xyw") | st.floats(-1e6, 1e6, allow_nan=False),
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(list(SIGNS)), inner, inner),
        st.tuples(st.sampled_from(["tanh", "exp", "sigmoid"]), inner),
        st.tuples(st.just("negative"), inner.filter(lambda tree: not isinstance(tree, float))),
    ),
    max_leaves=12,
)


@given(trees)
def test_what_is_printed_is_read_back_as_the_same_expression(tree):
    expr = build(tree)
    assert parse(shown(expr), NAMES) is expr


WORDS = [*"xyewA12.+-*/^()|[]{},;:=<>²√σ′ᵀ⊙‖⌊⌋Σ∂∘⁽⁾ ", ONES, "tanh", "log ", "_n", "[n,:]", " if ",
         ", else ", " where ", "softmax(", "axis 0", "∂L/∂", "diag(", "concat(",
         "reshape("]  # fmt: skip


@given(st.lists(st.sampled_from(WORDS), max_size=20).map("".join))
def test_any_text_is_read_or_refused(text):
    matrix = sn.input("A", ("N", 3), "float64")
    with suppress(ParseError):
        assert isinstance(parse(text, {"A": matrix}), Expr)
