"""Single expressions as text and LaTeX: mathematics as people write it, and nothing that says
nothing."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import numpy as np
import pytest

import symnet as sn
from symnet.errors import GraphError
from symnet.expr import Expr
from symnet.formula import derive, formula, latex, paths, text
from symnet.ops.table import POINTWISE
from tests.counting import growth

x, y, w = sn.input("x"), sn.input("y"), sn.input("w")
Z, T = sn.input("Z", ("N", "K")), sn.input("T", ("N", "K"))
X, Y = sn.input("X", ("N", 4)), sn.input("Y", ("N", 4))
W = sn.parameter("W_hidden", (4, 4))
v, u = sn.input("v", ("N",)), sn.input("u", ("M",))
labels = sn.input("y", ("N",), dtype="int64")
f = sn.function("f")

# expression, text, LaTeX
CASES: list[tuple[Expr, str, str]] = [
    (w * x + y, "w x + y", "w x + y"),
    (sn.negative(-x), "x", "x"),
    (x + (-y), "x − y", "x - y"),
    (-x + y, "y − x", "y - x"),
    (1 - (1 - x), "1 − (1 − x)", "1 - (1 - x)"),
    (x * 1 + 0, "x", "x"),
    (x * 0.5 * 2, "x", "x"),
    (x + x, "2 x", "2 x"),
    (0.1 * v, "0.1 v", "0.1 v"),
    (sn.constant(np.float32(0.1)) * x, "0.1 x", "0.1 x"),
    (1e-12 * x, "1e-12 x", r"1 \cdot 10^{-12}x"),
    (x / 3, "x/3", r"\frac{x}{3}"),
    (2 * x / 3, "2/3 x", r"\tfrac{2}{3}x"),
    (0.1 * 0.4**x, "0.1 · 0.4^x", r"0.1 \cdot 0.4^x"),
    ((x + 1) / 4, "(x + 1)/4", r"\frac{x + 1}{4}"),
    (sn.sum(v) / 4, "1/4 Σ_n v[n]", None),
    (sn.schedules.step_decay(0.1, 0.4, 80), "0.1 · 0.4^⌊k/80⌋", None),
    (sn.schedules.cosine(1, 0, 80), "(1 + cos(π min(k, 80)/80))/2", None),
    (math.pi * x, "π x", r"\pi x"),
    (sn.cos(-2 * math.pi * x) + math.pi / 3, "cos(−2 π x) + π/3", None),
    (sn.constant(math.pi * 1.5) * x, "4.712389 x", None),
    (x * y * x, "x² y", "x^2 y"),
    (x / (y * w), "x/(y w)", r"\frac{x}{y w}"),
    ((x - y) ** 2, "(x − y)²", "(x - y)^2"),
    (x * x, "x²", "x^2"),
    (x**-1, "x⁻¹", "x^{-1}"),
    (2**x, "2^x", "2^x"),
    (sn.exp(-x), "e^(−x)", "e^{-x}"),
    (sn.exp(-v), "exp(−v)", r"\exp(-v)"),
    (sn.sqrt(x + 1), "√(x + 1)", r"\sqrt{x + 1}"),
    (sn.abs(x - y), "|x − y|", r"\lvert x - y \rvert"),
    (sn.sigmoid(x), "σ(x)", r"\sigma(x)"),
    (sn.log(x * y), "log(x y)", r"\log(x y)"),
    (sn.log(x), "log x", r"\log x"),
    (sn.log1p(x), "log(1 + x)", r"\log(1 + x)"),
    (sn.tanh(x) ** 2, "tanh²(x)", r"\tanh^2(x)"),
    (sn.relu(Z), "max(Z, 0)", r"\max(Z, 0)"),
    (sn.grad(sn.sum(sn.relu(Z)), Z), "[Z > 0]", "[Z > 0]"),
    (sn.where(x > 0, x, y), "{x if x > 0, else y}", None),
    (sn.where(Z > 0, T, 0), "T ⊙ [Z > 0]", r"T \odot [Z > 0]"),
    (sn.where(Z > 0, 0, 0.1 * T), "0.1 T ⊙ [Z ≤ 0]", None),
    (sn.where(x > 0, 1 / x, 0), "{1/x if x > 0, else 0}", None),
    (sn.logical_or(x > 0, y < 1), "(x > 0) \N{LOGICAL OR} (y < 1)", r"(x > 0) \lor (y < 1)"),
    (X @ W, "X W_hidden", r"X W_{\mathrm{hidden}}"),
    (X @ W @ W.T, "X W_hidden W_hiddenᵀ", None),
    (X.T @ Y, "Xᵀ Y", r"X^{\top}Y"),
    (X.T.T, "X", "X"),
    ((X @ W) * Y, "(X W_hidden) ⊙ Y", r"(X W_{\mathrm{hidden}}) \odot Y"),
    (sn.outer(v, u), "v uᵀ", r"v u^{\top}"),
    (sn.dot(v, v), "vᵀ v", r"v^{\top}v"),
    (sn.sum(X @ W, axis=0), "Σ_n (X W_hidden)[n,:]", None),
    (sn.sum(Z, axis=1), "Σ_k Z[:,k]", r"\textstyle\sum_k Z_{:,k}"),
    (sn.mean((X - Y) ** 2), "1/(N·4) ‖X − Y‖²", r"\tfrac{1}{N \cdot 4}\lVert X - Y \rVert^2"),
    (sn.mean(sn.sum(X * X, axis=1)), "1/N ‖X‖²", r"\tfrac{1}{N}\lVert X \rVert^2"),
    (sn.sum(sn.ones_like(v)), "N", "N"),
    (sn.norm(v), "‖v‖", r"\lVert v \rVert"),
    (sn.mean(sn.abs(v)), "1/N Σ_n |v[n]|", None),
    (sn.softmax(Z), "softmax(Z)", r"\operatorname{softmax}(Z)"),
    (sn.log_softmax(Z), "log softmax(Z)", None),
    (sn.max(Z, axis=1), "max_k Z[:,k]", None),
    (sn.logsumexp(Z, axis=1), "log Σ_k e^(Z[:,k])", None),
    (X / Y, "X ⊘ Y", r"X \oslash Y"),
    (X**3, "X^∘3", r"X^{\circ 3}"),
    (X[0:3, 1], "X[0:3, 1]", None),
    (sn.take(W, labels), "W_hidden[y,:]", r"(W_{\mathrm{hidden}})_{y,:}"),
    (sn.one_hot(labels, 10), "Y  where  Y[n,k] = [y[n] = k]", None),
    (sn.constant([1.5, 2.0]), "[1.5, 2]", "[1.5, 2]"),
    (f(w * x), "f(w x)", "f(w x)"),
    (sn.grad(f(w * x), x), "f′(w x) w", "f'(w x) w"),
    (sn.grad(sn.grad(f(w * x), x), x), "f″(w x) w²", None),
    (sn.grad(sn.grad(x * f(3 * x), x), x), "6 f′(3 x) + 9 x f″(3 x)", None),
    (sn.grad(sn.grad(sn.grad(f(w * x), x), x), x), "f‴(w x) w³", "f'''(w x) w^3"),
    (sn.grad(x / (1 + sn.exp(-w * x)), w), "x² e^(−w x)/(1 + e^(−w x))²", None),
    (sn.grad(sn.gelu(x), x), "x e^(−x²/2)/√(2 π) + 0.5 (1 + erf(x/√2))", None),
    (0.1 * v + X @ sn.named("r", X.T @ v), "X r + 0.1 v", None),
    (
        sn.input("m\N{COMBINING CIRCUMFLEX ACCENT}_1"),
        "m\N{COMBINING CIRCUMFLEX ACCENT}_1",
        r"\hat{m}_1",
    ),
    (sn.sum(v) / sn.sum(sn.ones_like(v)), "1/N Σ_n v[n]", None),
]


@pytest.mark.parametrize(("expr", "expected", "_"), CASES, ids=[case[1] for case in CASES])
def test_text(expr: Expr, expected: str, _: str) -> None:
    assert text(expr) == expected


TEX = [(expr, expected) for expr, _, expected in CASES if expected is not None]


@pytest.mark.parametrize(("expr", "expected"), TEX, ids=[case[1] for case in TEX])
def test_latex(expr: Expr, expected: str) -> None:
    assert latex(expr) == expected


def is_balanced(tex: str) -> bool:
    depth = 0
    for sign in re.findall(r"(?<!\\)[{}]", tex):
        depth += 1 if sign == "{" else -1
        if depth < 0:
            return False
    return depth == 0 and tex.count(r"\begin") == tex.count(r"\end")


@pytest.mark.parametrize("expr", [case[0] for case in CASES], ids=[case[1] for case in CASES])
def test_latex_is_balanced_ascii(expr: Expr) -> None:
    assert is_balanced(latex(expr))
    assert latex(expr).isascii()


def test_a_lost_brace_is_seen() -> None:
    assert not is_balanced(r"\frac{1}{2")
    assert not is_balanced(r"}{")


def test_str_repr_and_notebook_use_the_formulas() -> None:
    assert str(x + 1) == "x + 1"
    assert (x + 1)._repr_latex_() == "$x + 1$"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("W_1", "W_1"),
        ("W_12", "W_{12}"),
        ("W_hidden", r"W_{\mathrm{hidden}}"),
        ("alpha", r"\alpha"),
        ("loss", r"\mathrm{loss}"),
        ("x0", "x_0"),
    ],
)
def test_names_in_latex(name: str, expected: str) -> None:
    assert latex(sn.input(name)) == expected


def test_index_form_writes_sums_out() -> None:
    assert formula(X @ W, "index") == "Σ_j X[n,j] W_hidden[j,k]"
    assert formula(sn.softmax(Z), "index") == "e^(Z[n,k])/(Σ_j e^(Z[n,j]))"
    assert formula(sn.mean(Z), "index", "latex") == (
        r"\tfrac{1}{K \cdot N}\textstyle\sum_{n,k} Z_{n,k}"
    )


def test_an_unknown_form_or_notation_is_an_error() -> None:
    with pytest.raises(GraphError, match="matrix, index"):
        formula(x, "tensor")
    with pytest.raises(GraphError, match="text, latex"):
        formula(x, to="html")


def test_what_has_no_matrix_form_is_defined() -> None:
    a, b = sn.input("A", ("B", 3, 4)), sn.input("C", ("B", 4, 5))
    product = sn.einsum("bij,bjk->bik", a, b)
    assert text(product) == "T_1  where  T_1[b,k,j] = Σ_i A[b,k,i] C[b,i,j]"


def test_bound_letters_do_not_meet_names_or_each_other() -> None:
    k = sn.input("k", ("K",))
    shown = text(sn.sum(k))
    assert "k[k]" not in shown
    centred = formula(v - sn.mean(v), "index")
    assert centred == "v[n] − 1/N Σ_m v[m]"


def test_repeated_parts_are_named_once() -> None:
    long = sn.tanh(w * x + y * sn.sin(x) + sn.cos(y * x))
    shown = text(long * sn.exp(long) + long)
    assert shown.count("tanh") == 1
    assert "t_1 = tanh(" in shown
    assert shown == text(long * sn.exp(long) + long)


def chain(length: int, step: Callable[[Expr], Expr]) -> Expr:
    node = x
    for _ in range(length):
        node = step(node)
    return node


@pytest.mark.parametrize("step", [sn.tanh, lambda e: e + sn.sin(e), lambda e: sn.exp(-e) * y])
def test_ten_thousand_nodes_print(step: Callable[[Expr], Expr]) -> None:
    shown = text(chain(10_000, step))
    assert "where" in shown
    assert len(shown) < 10_000 * 60


def layers(depth: int) -> Expr:
    net = sn.nn.Sequential(*[sn.nn.Dense(4, 4, activation="tanh") for _ in range(depth)])
    return sn.losses.mse(net(X), Y)


def test_fifty_layers_print() -> None:
    sheet = sn.gradients(layers(50))
    lines = str(sheet).splitlines()
    assert len(lines) == 253
    assert lines[-1].startswith("computed as: 1 − A_i ⊙ A_i = sech²(Z_i) for i = 1, …, 50  (")
    assert is_balanced(sheet.latex())


def test_a_sheet_is_work_in_proportion_to_the_depth() -> None:
    def printed(depth: int) -> Callable[[], str]:
        loss = layers(depth)
        return lambda: str(sn.gradients(loss)) + sn.gradients(loss).latex()

    printed(3)()
    assert growth(printed, 10) < 1.2


def test_an_unknown_function_keeps_its_derivative() -> None:
    d, a, b = (sn.input(name) for name in "dwb")
    derivation = derive(f(d * a + b), a)
    assert str(derivation).endswith("∂L/∂w = f′(d w + b) d")
    assert [step.rule for step in derivation.steps] == [
        "chain rule, f unknown",
        "sum rule",
        "product rule",
    ]
    assert is_balanced(derivation.latex())


def test_a_derivation_says_where_paths_meet() -> None:
    z = sn.named("z", sn.sin(w))
    derivation = derive(z * w, w)
    assert [step.meets for step in derivation.steps] == [False, False, True]
    assert str(derivation).endswith("∂L/∂w = z + w cos(w)")
    assert derivation.gradient is sn.grad(z * w, w)


def test_a_derivation_with_feeds_has_numbers_in_every_step() -> None:
    z = sn.named("z", sn.sin(w))
    derivation = sn.derive(z * w, w, {"w": 0.5})
    assert [step.values for step in derivation.steps] == [
        "L = 0.239713, ∂L/∂z = 0.5",
        "L = 0.239713, ∂L/∂w = 0.479426",
        "z = 0.479426, ∂L/∂w = 0.918217",
    ]
    assert str(derivation).endswith("\nhere L = 0.239713, ∂L/∂w = 0.918217")
    values = sn.derive(sn.sum(v * v), v, {"v": [1.0, 2.0, -3.0]}).values
    assert values == "L = 14, ∂L/∂v = [2, 4, −6]"
    assert sn.gradients(z * w, w, {"w": 0.5}).remarks[-1] == (
        "at w = 0.5: z = 0.479426, L = 0.239713, ∂L/∂w = 0.918217"
    )


@pytest.mark.parametrize("constant", [sn.floor(x), sn.sin(sn.floor(x)), sn.where(x > 0, 1.0, 2.0)])
def test_a_derivative_of_zero_is_said_to_be_zero(constant: Expr) -> None:
    derivation = sn.derive(constant, x)
    assert str(derivation).endswith("∂L/∂x = 0")
    assert float(sn.evaluate(derivation.gradient, {"x": 0.3})) == 0


def test_derivation_of_a_layer_keeps_shapes() -> None:
    b = sn.parameter("b", (4,))
    z = sn.named("Z_1", X @ W + b)
    derivation = derive(sn.mean((sn.tanh(z) - Y) ** 2), W)
    assert derivation.steps[-1].shape == "4×4"
    assert "product of matrices, ∂L/∂W_hidden = Xᵀ " in str(derivation)
    with pytest.raises(GraphError, match="does not depend"):
        derive(sn.sum(v), x)


def test_paths_add_up_to_the_gradient() -> None:
    a = sn.parameter("a", init=0.7, dtype="float64")
    z = sn.named("z", sn.sin(a))
    loss = z * a + sn.exp(z)
    found = paths(loss, a)
    assert sorted(str(found).splitlines()) == [
        "L → a:  z",
        "L → z → a:  a cos(a)",
        "L → z → a:  e^z cos(a)",
    ]
    parts = sn.evaluate([path.contribution for path in found])
    assert sum(parts) == pytest.approx(float(sn.evaluate(sn.grad(loss, a))), rel=1e-15)
    assert is_balanced(found.latex())


def test_too_many_paths_are_refused() -> None:
    node = x
    for _ in range(20):
        node = node + sn.sin(node)
    with pytest.raises(GraphError, match="1048576 paths"):
        paths(node, x)


@pytest.mark.parametrize("name", POINTWISE)
def test_every_row_prints_with_its_gradient(name: str) -> None:
    row = POINTWISE[name]
    truth = row.accepts == "bool" or name == "where"
    operands = [sn.input(f"x_{k}", ("N", 3)) for k in range(row.arity)]
    if truth:
        operands[0] = sn.input("c", ("N", 3), dtype="bool")
    if row.accepts == "bool":
        operands = [sn.input(f"c_{k}", ("N", 3), dtype="bool") for k in range(row.arity)]
    result = row(*operands)
    shown = [result]
    if result.dtype == operands[-1].dtype and row.accepts != "bool":
        shown.append(sn.grad(sn.mean(result), operands[-1]))
    for expr in shown:
        assert text(expr)
        assert formula(expr, "index")
        assert is_balanced(latex(expr))
        assert is_balanced(formula(expr, "index", "latex"))


@pytest.mark.parametrize("name", sn.nn.ACTIVATIONS)
def test_every_activation_has_a_sheet(name: str) -> None:
    net = sn.nn.Sequential(sn.nn.Dense(4, 3, activation=name), sn.nn.Dense(3, 4))
    sheet = sn.gradients(sn.losses.mse(net(X), Y))
    assert "∂L/∂W_1 = Xᵀ Δ_1" in str(sheet)
    assert is_balanced(sheet.latex())
    assert "einsum" not in str(sheet)


def test_views_and_places_print() -> None:
    parts = [X[:, 1:3], X[:, ::-1], sn.concat([X, Y], axis=1), sn.reshape(X, (-1,)), X[:, None]]
    for part in parts:
        gradient = sn.grad(sn.sum(sn.sin(part)), X)
        for expr in (part, gradient):
            assert text(expr)
            assert is_balanced(latex(expr))
