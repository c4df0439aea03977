"""The three textbook sheets, exactly in their mathematics (tests/data/formulas/README.md)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import symnet as sn
from symnet.expr import Expr
from symnet.formula import Sheet

SHAPE = re.compile(r"^[A-Z0-9]+(×[A-Z0-9]+)*$")


def neuron() -> Sheet:
    with sn.default_dtype("float64"):
        x, y = sn.input("x"), sn.input("y")
        w, b = sn.parameter("w", init=0.8), sn.parameter("b", init=-0.2)
    z = sn.named("z", w * x + b)
    a = sn.named("a", sn.sigmoid(z))
    return sn.gradients((a - y) ** 2, feeds={"x": 0.5, "y": 1.0})


def two_layers() -> Sheet:
    x, y = sn.input("X", ("N", 2)), sn.input("Y", ("N", 1))
    w1, b1 = sn.parameter("W_1", (2, 3)), sn.parameter("b_1", (3,))
    w2, b2 = sn.parameter("W_2", (3, 1)), sn.parameter("b_2", (1,))
    z1 = sn.named("Z_1", x @ w1 + b1)
    a1 = sn.named("A_1", sn.tanh(z1))
    z2 = sn.named("Z_2", a1 @ w2 + b2)
    return sn.gradients(sn.mean((z2 - y) ** 2))


def softmax_cross_entropy() -> Sheet:
    z, y = sn.input("Z", ("N", "K")), sn.input("y", ("N",), dtype="int64")
    return sn.gradients(sn.losses.cross_entropy(z, y))


SHEETS = {
    "neuron": neuron,
    "two_layer_tanh_mse": two_layers,
    "softmax_cross_entropy": softmax_cross_entropy,
}


def equation_and_shape(line: str) -> tuple[str, str]:
    """The mathematics of a line without its comment, and the shape if the comment has one."""
    parts = re.split(r" {2,}", re.sub(r"^(\S+) += ", r"\1 = ", line).strip())
    shape = parts[1] if len(parts) > 1 and SHAPE.match(parts[1]) else ""
    return parts[0], shape


@pytest.mark.parametrize("name", SHEETS)
def test_a_sheet_says_what_its_golden_says(name: str, data: Path) -> None:
    golden = (data / "formulas" / f"{name}.txt").read_text("utf-8").splitlines()
    shown = str(SHEETS[name]()).splitlines()
    assert [equation_and_shape(line) for line in shown] == [
        equation_and_shape(line) for line in golden
    ]


def test_the_comparison_sees_another_order_of_factors() -> None:
    right = equation_and_shape("∂L/∂W_2 = A_1ᵀ Δ_2                       3×1")
    assert right != equation_and_shape("∂L/∂W_2 = Δ_2 A_1ᵀ                       3×1")
    assert right != equation_and_shape("∂L/∂W_2 = A_1ᵀ Δ_2                       1×3")


def test_latex_of_two_layers_is_the_golden(data: Path) -> None:
    golden = (data / "formulas" / "two_layer_tanh_mse.tex").read_text("utf-8")
    assert two_layers().latex() == golden.strip()


def test_latex_of_the_neuron_groups_its_factors() -> None:
    factors = [("2(a - y)", "L", "a"), ("a(1 - a)", "a", "z"), ("x", "z", "w")]
    grouped = r" \cdot ".join(
        rf"\underbrace{{{factor}}}_{{\partial {of}/\partial {by}}}" for factor, of, by in factors
    )
    assert rf"\frac{{\partial L}}{{\partial w}} &= {grouped} \\" in neuron().latex()


def test_soft_targets_keep_their_row_sums() -> None:
    z, y = sn.input("Z", ("N", "K")), sn.input("Y", ("N", "K"))
    shown = str(sn.gradients(sn.losses.cross_entropy(z, y), z))
    assert "∂L/∂Z = 1/N (P ⊙ s − Y)" in shown
    assert "s[n] = Σ_k Y[n,k]" in shown


def test_a_sheet_is_a_mapping_of_gradients() -> None:
    x = sn.input("X", ("N", 4))
    net = sn.nn.Sequential(sn.nn.Dense(4, 3, "relu", name="hidden"), sn.nn.Dense(3, 2))
    loss = sn.losses.cross_entropy(net(x), sn.input("y", ("N",), dtype="int64"))
    sheet = sn.gradients(loss)
    assert list(sheet) == ["W_hidden", "b_hidden", "W_2", "b_2"]
    assert all(isinstance(value, Expr) for value in sheet.values())
    assert sheet["W_2"] is sn.grad(loss, net[1].weight)
    assert r"\Delta_{\mathrm{hidden}} &= (\Delta_2 W_2^{\top}) \odot [Z_{\mathrm{hidden}} > 0]" in (
        sheet.latex()
    )


def test_layers_without_names_are_named() -> None:
    x, y = sn.input("X", ("N", 2)), sn.input("Y", ("N", 1))
    w1, b1 = sn.parameter("W_1", (2, 3)), sn.parameter("b_1", (3,))
    w2, b2 = sn.parameter("W_2", (3, 1)), sn.parameter("b_2", (1,))
    sheet = sn.gradients(sn.mean((sn.tanh(x @ w1 + b1) @ w2 + b2 - y) ** 2))
    assert sheet.latex() == two_layers().latex()
    assert str(sheet) == str(sn.gradients(sheet.loss))


def test_a_layer_used_twice_has_two_deltas() -> None:
    net = sn.nn.Dense(3, 2, "tanh", name="twin")
    a, b = sn.input("a", ("N", 3)), sn.input("b", ("N", 3))
    shown = str(sn.gradients(sn.sum((net(a) - net(b)) ** 2)))
    assert "∂L/∂W_twin = " in shown
    for name in ("Z_twin ", "Z_twin_2 ", "Δ_twin ", "Δ_twin_2 "):
        assert f"\n{name}" in f"\n{shown}"


def test_several_ways_through_scalars_are_added() -> None:
    x, w = sn.input("x"), sn.parameter("w")
    z = sn.named("z", w * x)
    shown = str(sn.gradients(z * z + 0.1 * w**2))
    assert "∂L/∂w = ∂L/∂z · ∂z/∂w + 0.2 w = 2 z · x + 0.2 w" in shown


def test_an_adjoint_that_is_one_number_has_no_delta() -> None:
    x, w = sn.input("X", ("N", 3)), sn.parameter("w", (3,))
    shown = str(sn.gradients(sn.mean(x @ w)))
    assert "Δ" not in shown
    assert "∂L/∂w = 1/N Xᵀ \N{MATHEMATICAL BOLD DIGIT ONE}" in shown


def test_a_loss_must_be_one_number() -> None:
    with pytest.raises(sn.errors.ShapeError, match="not a scalar"):
        sn.gradients(sn.parameter("w", (3,)) * 2)
