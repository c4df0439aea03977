"""The scalar form: networks of fixed sizes written out component by component, and true."""

from __future__ import annotations

import numpy as np
import pytest
from formula_values import component_values, value

import symnet as sn
from symnet.errors import GraphError
from symnet.expr import Expr
from symnet.formula import Sheet, formula
from symnet.formula.tree import Element, Partial, Symbol
from symnet.formula.written import scalar_equations, sheet_equations

GIVEN = {
    "x": np.array([0.5, -1.2]),
    "y": np.array(0.3),
    "W_1": np.array([[0.1, -0.4, 0.7], [0.9, 0.2, -0.6]]),
    "b_1": np.array([0.05, -0.1, 0.2]),
    "w_2": np.array([0.8, -0.5, 0.4]),
    "b_2": np.array(-0.3),
}


@sn.default_dtype("float64")
def network() -> tuple[Expr, dict[str, Expr]]:
    """2-3-1: two inputs, three hidden units, one output."""
    x, y = sn.input("x", (2,)), sn.input("y", ())
    weights = {n: sn.parameter(n, GIVEN[n].shape) for n in ("W_1", "b_1", "w_2", "b_2")}
    z = sn.named("z_1", x @ weights["W_1"] + weights["b_1"])
    a = sn.named("a_1", sn.tanh(z))
    out = sn.named("z_2", a @ weights["w_2"] + weights["b_2"])
    return (out - y) ** 2, weights


def test_a_network_is_written_out() -> None:
    loss, _ = network()
    assert formula(loss, "scalar").splitlines() == [
        "L = (z_2 − y)²",
        "where z_{1,1} = x_1 W_{1,11} + x_2 W_{1,21} + b_{1,1}",
        "      z_{1,2} = x_1 W_{1,12} + x_2 W_{1,22} + b_{1,2}",
        "      z_{1,3} = x_1 W_{1,13} + x_2 W_{1,23} + b_{1,3}",
        "      a_{1,1} = tanh(z_{1,1})",
        "      a_{1,2} = tanh(z_{1,2})",
        "      a_{1,3} = tanh(z_{1,3})",
        "      z_2 = a_{1,1} w_{2,1} + a_{1,2} w_{2,2} + a_{1,3} w_{2,3} + b_2",
    ]


def test_every_partial_is_written_out() -> None:
    loss, weights = network()
    shown = formula(sn.grad(loss, weights["W_1"]), "scalar").splitlines()
    assert shown[:6] == [
        f"∂L/∂W_{{1,{i}{j}}} = 2 x_{i} (z_2 − y) w_{{2,{j}}} (1 − a_{{1,{j}}}²)"
        for i in (1, 2)
        for j in (1, 2, 3)
    ]
    assert shown[6].startswith("where z_{1,1} = ")
    tex = formula(sn.grad(loss, weights["b_1"]), "scalar", "latex").splitlines()
    assert tex[1] == (
        r"\frac{\partial L}{\partial b_{1,1}} &= 2(z_2 - y) w_{2,1}(1 - a_{1,1}^2) \\"
    )
    assert formula(loss, "scalar", "mathml").startswith("<math")


@pytest.mark.parametrize("name", ["loss", "W_1", "b_1", "w_2", "b_2"])
def test_the_components_have_the_values(name: str) -> None:
    loss, weights = network()
    expr = loss if name == "loss" else sn.grad(loss, weights[name])
    true = np.asarray(sn.evaluate(expr, GIVEN, stabilize=False)).ravel()
    np.testing.assert_allclose(component_values(scalar_equations(expr), GIVEN), true, rtol=1e-14)


def sheet_components(sheet: Sheet) -> dict[str, float]:
    lines = (*sheet.forward, *sheet.backward)
    pairs = [(line.left, line.node) for line in lines if line.node is not None]
    known = {"x_1": 0.5, "x_2": -1.2, "y": 0.3}
    for name in ("W_1", "b_1", "w_2", "b_2"):
        for place in np.ndindex(*GIVEN[name].shape):
            below = "".join(str(k + 1) for k in place)
            head, number = name.split("_")
            known[f"{head}_{{{number},{below}}}" if below else name] = float(GIVEN[name][place])
    for row in sheet_equations(pairs):
        left = row.left
        name = f"∂{left.by.name}" if isinstance(left, Partial) else left.name  # type: ignore[attr-defined]
        known[name] = float(value(row.right, known))
    return known


def test_a_sheet_is_written_out_from_top_to_bottom() -> None:
    loss, _ = network()
    sheet = sn.gradients(loss)
    shown = sheet.scalar().splitlines()
    assert "∂L/∂W_{1,12} = x_1 Δ_{z_1,2}" in shown
    assert shown.index("L = (z_2 − y)²") < shown.index("∂L/∂b_2 = 2 (z_2 − y)")
    found = sheet_components(sheet)
    true = sn.evaluate(sheet["W_1"], GIVEN, stabilize=False)
    assert found["∂W_{1,12}"] == pytest.approx(true[0, 1], rel=1e-13)
    assert found["∂W_{1,23}"] == pytest.approx(true[1, 2], rel=1e-13)
    assert "\\begin{aligned}" in sheet.scalar("latex")
    assert "<math" in sheet.scalar("mathml")


def test_layers_without_names_are_named() -> None:
    x = sn.input("x", (2,))
    net = sn.tanh(x @ sn.parameter("W_1", (2, 3))) @ sn.parameter("W_2", (3, 1))
    shown = formula(sn.sum((net - 1) ** 2), "scalar")
    assert "      A_{1,3} = tanh(Z_{1,3})" in shown
    assert shown.startswith("L = (")


def test_a_named_size_is_refused_by_name() -> None:
    x = sn.input("X", ("N", 2))
    with pytest.raises(GraphError, match=r"axis 0 of X \(N×2\) has the named size N: give it a n"):
        formula(sn.sum(sn.tanh(x)), "scalar")


def test_what_would_be_enormous_is_refused_with_its_limit() -> None:
    a = sn.input("A", (100, 100))
    with pytest.raises(GraphError, match=r"at most 5000 .* A \(100×100\) needs 10000"):
        formula(a, "scalar")
    b = sn.input("B", (20, 20))
    with pytest.raises(GraphError, match="needs 8000"):
        formula(b @ b, "scalar")
    v = sn.input("v", (2,))
    with pytest.raises(GraphError, match="more than 5000 symbols"):
        formula(sn.sum(sn.softmax(sn.concat([v * k for k in range(1, 50)]))), "scalar")


def test_data_picks_by_brackets_and_known_places_are_decided() -> None:
    w, k = sn.input("w", (3,)), sn.input("k", (), "int64")
    assert formula(sn.take(w, k), "scalar") == "w_1 [k = 0] + w_2 [k = 1] + w_3 [k = 2]"
    assert formula(w[1] * sn.eye(2)[0, 0] + w[2] * sn.eye(2)[0, 1], "scalar") == "w_2"
    assert formula(sn.sum(w), "scalar") == "w_1 + w_2 + w_3"
    assert formula(sn.max(w), "scalar") == "max(w_1, w_2, w_3)"


def test_components_of_ten_and_more_stand_apart() -> None:
    shown = formula(sn.input("W", (2, 11)) * 2, "scalar").splitlines()
    assert shown[-1] == "f_{2,11} = 2 W_{2,11}"


def test_elements_and_symbols_are_told_apart() -> None:
    results, where = scalar_equations(network()[0])
    assert not any(isinstance(row.left, Element) for row in (*results, *where))
    assert all(isinstance(row.left, Symbol) for row in (*results, *where))
