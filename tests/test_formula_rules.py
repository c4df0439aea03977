"""Optimizers' rules in print, and expressions where Python shows them."""

from __future__ import annotations

import pydoc

import pytest

import symnet as sn
from symnet.formula import latex
from symnet.optim import Optimizer

ADAM = """g ← ∇L(w)
m ← β_1 m + (1 − β_1) g
v ← β_2 v + (1 − β_2) g²
m\N{COMBINING CIRCUMFLEX ACCENT} ← m/(1 − β_1^t)
v\N{COMBINING CIRCUMFLEX ACCENT} ← v/(1 − β_2^t)
w ← (1 − η λ) w − η m\N{COMBINING CIRCUMFLEX ACCENT}/(√v\N{COMBINING CIRCUMFLEX ACCENT} + ε)"""
RULES: list[tuple[Optimizer, str]] = [
    (sn.optim.SGD(0.1), "w ← w − η ∇L(w)"),
    (sn.optim.SGD(0.1, weight_decay=0.01), "g ← ∇L(w) + λ w\nw ← w − η g"),
    (sn.optim.Momentum(0.1), "g ← ∇L(w)\nm ← μ m + g\nw ← w − η m"),
    (
        sn.optim.SGD(0.1, momentum=0.9, nesterov=True),
        "g ← ∇L(w)\nm ← μ m + g\nw ← w − η (g + μ m)",
    ),
    (sn.optim.AdamW(0.01), ADAM),
]


def rule(optimizer: Optimizer, *names: str) -> str:
    x = sn.input("x", ("N",))
    loss = sum((sn.mean((sn.parameter(name, init=1.0) * x - 1) ** 2) for name in names), sn.sum(x))
    return str(sn.Trainer(loss, optimizer).update_formulas())


@pytest.mark.parametrize(("optimizer", "expected"), RULES, ids=["sgd", "decay", "m", "n", "adamw"])
def test_the_rule_of_an_optimizer(optimizer: Optimizer, expected: str) -> None:
    assert rule(optimizer, "a").startswith(f"{expected}\nfor each w of a\nη = 0.")


def test_a_parameter_called_w_is_not_an_each() -> None:
    assert "\nfor the parameter w\n" in rule(sn.optim.SGD(0.1), "w")
    assert "\nfor each of w, b, in the place of w\n" in rule(sn.optim.SGD(0.1), "w", "b")


def test_hats_stand_above_letters() -> None:
    written = dict(sn.optim.Adam(0.01).symbolic())
    assert latex(written["w"]) == r"w - \frac{\eta \hat{m}}{\sqrt{\hat{v}} + \epsilon}"


def test_repr_shows_the_formula_and_what_a_leaf_is() -> None:
    x, w = sn.input("x", ("N", 2)), sn.parameter("w", (2,))
    assert repr(x @ w) == "<x w : N float32>"
    assert repr(x) == "<input x : N×2 float32>"
    assert repr(w) == "<parameter w : 2 float32>"
    assert repr(sn.constant(2.5)) == "<2.5 : scalar float32>"


@pytest.mark.parametrize("function", [sn.tanh, sn.abs, sn.add, sn.where, sn.square])
def test_functions_have_names_and_documentation(function: object) -> None:
    name = function.__name__  # type: ignore[attr-defined]
    assert getattr(sn, name) is function
    assert name in pydoc.render_doc(function)
