"""Sheets of losses that people make up, line by line, and read back to the same gradients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from test_round_trip import assert_same_gradients

import symnet as sn
from symnet.errors import ParseError
from symnet.expr import Expr
from symnet.formula.assignments import Assignments
from symnet.parse import parse_network
from symnet.report import sections

ONES = "\N{MATHEMATICAL BOLD DIGIT ONE}"

with sn.default_dtype("float64"):
    X, Y = sn.input("X", ("N", 4)), sn.input("Y", ("N", 3))
    y, u = sn.input("y", ("N",)), sn.input("u", (4,))
    w, b = sn.parameter("w", (4,), init=[0.1, 0.2, -0.3, 0.4]), sn.parameter("b", init=0.3)
    s = sn.parameter("s", init=0.2)
    W = sn.parameter("W", (4, 3), init=np.linspace(-0.5, 0.4, 12).reshape(4, 3))
    named_as_a_size = sn.input("N", ("N", 2, 4))


def focal() -> Expr:
    p = sn.sigmoid(X @ w + b)
    return -sn.mean(y * (1 - p) ** 2 * sn.log(p) + (1 - y) * p**2 * sn.log(1 - p))


def cosine() -> Expr:
    z = X @ W
    return 1 - sn.mean(sn.sum(z * Y, axis=1) / (sn.norm(z, axis=1) * sn.norm(Y, axis=1)))


def triplet() -> Expr:
    return sn.mean(sn.maximum(0.0, sn.norm(X @ W - Y, axis=1) - sn.norm(X @ W + Y, axis=1) + 0.2))


def slope_of_a_network(place: int = 0) -> Expr:
    """What is trained where the derivative of a network is to vanish."""
    with sn.default_dtype("float64"):
        given = [sn.input("x", ("N", 1)), sn.input("t", ("N", 1))]
        net = sn.nn.Sequential(
            sn.nn.Dense(2, 3, activation="tanh", name="h"), sn.nn.Dense(3, 1, name="o")
        )
    return sn.mean(sn.derivative(net(sn.concat(given, axis=1)), given[place]) ** 2)


LOSSES: dict[str, tuple[Callable[[], Expr], list[str], list[str]]] = {
    # what it is: the loss, what its sheet says, and what it does not say
    "norm": (
        lambda: sn.norm(X @ w - y),
        ["L   = ‖Z_1 − y‖", "Δ_1 = {1/‖Z_1 − y‖ if ‖Z_1 − y‖ > 0, else 0} (Z_1 − y)"],
        ["h_1", "1/2"],
    ),
    "norms of rows": (
        lambda: sn.mean(sn.norm(X @ W - Y, axis=1)),
        ["L      = 1/N Σ_n a_1[n]", "Δ_1 = 1/N ({1 ⊘ a_1 if a_1 > 0, else 0} 𝟏ᵀ) ⊙ (Z_1 − Y)"],
        ["h_1", "else 1}}"],
    ),
    "deviations": (
        lambda: sn.sum(sn.std(X @ W, axis=0)),
        ["a_1[k] = √(1/N Σ_n H_1[n,k]²)", "Δ_H_1 = 1/N {1 ⊘ a_1 if a_1 > 0, else 0} ⊙ H_1"],
        ["h_1"],
    ),
    "unit vector": (
        lambda: sn.sum(w / sn.norm(w) * u),
        ["∂L/∂w = 1/a_1 u − {(Σ_k u[k] w[k])/a_1³ if a_1 > 0, else 0} w"],
        ["√(‖w‖²)"],
    ),
    "cosine": (cosine, ["h_1[n] = √(Σ_k Z_1[n,k]²) √(Σ_k Y[n,k]²)"], ["⊘ h_1) ⊘ h_1"]),
    "triplet": (triplet, ["√(Σ_k"], ["[h_1[n]]"]),
    "log of a sum": (
        lambda: sn.mean(sn.logaddexp(X @ w, y)),
        ["L   = 1/N Σ_n log(A_1[n] + e^(y[n]))", "computed as: Δ_1 = 1/N σ(Z_1 − y)"],
        ["∞", "≠", "sign"],
    ),
    "twice the same": (
        lambda: sn.mean(sn.logaddexp(0.0, X @ w) - y * (X @ w) + sn.softplus(X @ w) - y * (X @ w)),
        ["Δ_1 = 2/N (σ(Z_1) − y)"],
        ["y − y", "sign"],
    ),
    "focal": (focal, ["(1 − A_1[n])² log A_1[n]"], ["g_1 = −1/N", "= −(−"]),
    "likelihood": (
        lambda: sn.mean(0.5 * ((y - X @ w) / sn.exp(s)) ** 2 + s),
        ["∂L/∂s = 1 − 1/N Σ_n h_1[n]²"],
        ["e^s/"],
    ),
    "derivative in a loss": (
        slope_of_a_network,
        [
            f"H_2 = (([col({ONES}), 0] W_h) ⊙ H_1) W_o",
            f"Δ_h = −4/N (H_2 W_oᵀ) ⊙ ([col({ONES}), 0] W_h)",
        ],
        [f"{ONES} {ONES}ᵀ", ") − ("],
    ),
    "derivative by the last input": (
        lambda: slope_of_a_network(1),
        [f"[0, col({ONES})]"],
        [f"{ONES} {ONES}ᵀ"],
    ),
    "standardised columns": (
        lambda: sn.losses.mse(
            (X @ W - sn.mean(X @ W, axis=0)) / sn.sqrt(sn.var(X @ W, axis=0) + 1e-5), Y
        ),
        ["Ẑ_1  = H_1 ⊘ σ", "Δ_H_1 = 2/(N·3) (Ẑ_1 − Y) ⊘ σ + 1/N (Δ_σ ⊘ σ) ⊙ H_1"],
        ["H_2"],
    ),
    "repeated rows": (
        lambda: sn.sum(sn.sum(sn.broadcast_to(w, (5, 4)), axis=0) ** 2),
        ["L = ‖5 w‖²", "∂L/∂w = 50 w"],
        ["Σ"],
    ),
    "an input called as a size": (
        lambda: sn.sum(sn.einsum("bij,jk->bik", named_as_a_size, W) ** 2),
        ["N×2×3"],
        [],
    ),
    "unit matrix": (
        lambda: sn.sum(sn.outer(w, w) * sn.eye(4, dtype="float64")),
        ["∂L/∂w = 2 w"],
        ["Δ_1 = Δ_1"],
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_what_a_sheet_says(name: str) -> None:
    loss, said, unsaid = LOSSES[name]
    text = str(sn.gradients(loss()))
    for part in said:
        assert part in text, text
    for part in unsaid:
        assert part not in text, text


@pytest.mark.parametrize("name", LOSSES)
def test_it_is_read_back(name: str) -> None:
    assert_same_gradients(LOSSES[name][0]())


def test_second_derivatives_by_several_parameters() -> None:
    (ww, wb), (bw, bb) = sn.hessian(sn.losses.binary_cross_entropy(X @ w + b, y), [w, b])
    assert str(ww) == "1/N Xᵀ diag(σ(X w + b) ⊙ (1 − σ(X w + b))) X"
    assert str(wb) == "1/N Xᵀ (σ(X w + b) ⊙ (1 − σ(X w + b)))"
    assert str(bb) == "1/N Σ_n σ((X w)[n] + b) (1 − σ((X w)[n] + b))"
    rng = np.random.default_rng(1)
    data = {"X": rng.normal(size=(5, 4)), "y": rng.uniform(size=5)}
    whole = np.c_[data["X"], np.ones(5)]
    share = 1 / (1 + np.exp(-(data["X"] @ [0.1, 0.2, -0.3, 0.4] + 0.3)))
    wanted = whole.T @ np.diag(share * (1 - share)) @ whole / 5
    found = sn.evaluate([[ww, wb], [bw, bb]], data)
    top = np.c_[found[0][0], found[0][1]]
    np.testing.assert_allclose(np.vstack([top, [*found[1][0], found[1][1]]]), wanted, 1e-12)


def test_the_derivative_of_a_norm_at_nothing_is_zero() -> None:
    point = sn.parameter("v", (3,), init=[0.0, 0.0, 0.0], dtype="float64")
    sheet = sn.gradients(sn.norm(point))
    assert "if ‖v‖ > 0, else 0" in str(sheet)
    np.testing.assert_array_equal(sn.evaluate(sheet["v"]), np.zeros(3))


def test_one_number_beside_every_row_has_no_name() -> None:
    # The row sums of 1/16 P, beside P, are 1/16 each.
    rows = sn.parameter("A", (4, 4), init=np.linspace(0.1, 1.6, 16).reshape(4, 4), dtype="float64")
    shown = sn.constant(np.tril(np.ones((4, 4), bool)))
    loss = sn.mean(sn.softmax(sn.where(shown, rows @ rows.T, -np.inf)) @ rows)
    assert sn.derive(loss, rows).check()


@sn.default_dtype("float64")
def test_what_is_said_twice_in_a_derivation_has_one_name() -> None:
    labels = sn.input("c", ("N",), dtype="int64")
    text = str(sn.derive(sn.losses.cross_entropy(X @ W, labels), W))
    assert "Y_2" not in text
    assert text.splitlines().count("where Y[n,k] = [c[n] = k]") == 1
    assert text.endswith("∂L/∂W = 1/N Xᵀ (softmax(v_1) − Y)")
    last = str(sn.derive(sn.mean(sn.tanh(X @ W)[:, 2]), W))
    assert "e_2_2" not in last
    assert last.splitlines().count("where e_2[k] = [k = 2]") == 1


def test_lines_break_between_the_terms_of_a_product_before_they_break_inside_parentheses() -> None:
    net = sn.nn.Sequential(
        sn.nn.Dense(4, 5, activation="silu", name="hidden"), sn.nn.Dense(5, 3, name="out")
    )
    text = str(sn.gradients(sn.losses.mse(net(X), Y)))
    assert "\n           ⊙ (1 − σ(Z_hidden))" in text


def test_the_optimizers_rule_is_set_as_formulas_in_a_report() -> None:
    trainer = sn.Trainer(sn.mean((X @ w + b - y) ** 2), sn.optim.AdamW(0.01), seed=0)
    rule = trainer.update_formulas()
    assert isinstance(rule, Assignments)
    assert len(rule.mathml) + len(rule.words) == len(rule.splitlines())
    assert all(line.startswith("<math") and "←" in line for line in rule.mathml)
    assert "<mfrac>" in rule.mathml[-1]
    page = sections.training({}, rule, "")
    assert all(line in page for line in rule.mathml)
    assert "<pre" not in page
    assert '<pre class="rule">w ← w &lt; 1</pre>' in sections.training({}, "w ← w < 1", "")


def test_a_size_that_does_not_show_in_a_file_is_pointed_at() -> None:
    text = f"X: N×2\nW: 2×3\nL = ‖X W‖² + Σ_k (2 {ONES})[k]"
    with pytest.raises(ParseError, match=r"line 3, column 1: how many elements this has does not"):
        parse_network(text)
