"""Long formulas on several lines, and the formulas of optimizers and schedules."""

from __future__ import annotations

import numpy as np
import pytest
from formula_values import printed_value
from test_formula import is_balanced

import symnet as sn
from symnet.expr import Expr, substitute, topological
from symnet.formula import formula, latex, text
from symnet.formula.layout import broken, columns, indented, latex_columns
from symnet.formula.translate import Translator
from symnet.optim import Optimizer

OPTIMIZERS: dict[str, Optimizer] = {
    "sgd": sn.optim.SGD(0.1, weight_decay=0.01),
    "momentum": sn.optim.Momentum(0.1, dampening=0.2),
    "nesterov": sn.optim.SGD(0.1, momentum=0.9, nesterov=True),
    "adam": sn.optim.Adam(0.1, weight_decay=0.1),
    "amsgrad": sn.optim.Adam(0.1, amsgrad=True),
    "adamw": sn.optim.AdamW(0.1),
}
SCHEDULES: dict[str, Expr] = {
    "constant": sn.schedules.constant(0.1),
    "step_decay": sn.schedules.step_decay(0.1, 0.5, 10),
    "exponential": sn.schedules.exponential(0.1, 0.9, 5),
    "linear": sn.schedules.linear(0.1, 0.01, 50),
    "cosine": sn.schedules.cosine(0.1, 0.001, 80),
    "warmup": sn.schedules.warmup(sn.schedules.cosine(0.1, 0, 80), 5),
    "one_cycle": sn.schedules.one_cycle(0.1, 100),
}
ADAMW = {
    "m": r"\beta_1 m + (1 - \beta_1) g",
    "v": r"\beta_2 v + (1 - \beta_2) g^2",
    "m̂": r"\frac{m}{1 - \beta_1^t}",
    "v̂": r"\frac{v}{1 - \beta_2^t}",
    "w": r"(1 - \eta \lambda) w - \frac{\eta \hat{m}}{\sqrt{\hat{v}} + \epsilon}",
}


def test_adamw_in_latex_is_as_in_its_paper() -> None:
    found = {name: latex(value) for name, value in OPTIMIZERS["adamw"].symbolic()}
    assert found == ADAMW


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_printed_rule_of_an_optimizer_has_its_values(name: str) -> None:
    rng = np.random.default_rng(1)
    for _, expr in OPTIMIZERS[name].symbolic():
        translator = Translator([expr])
        leaves = [str(node.name) for node in topological([expr]) if node.op.name == "input"]
        given = dict(zip(leaves, rng.uniform(0.1, 0.9, len(leaves)), strict=True))
        found = printed_value(translator, translator.whole(expr), given)
        true = sn.evaluate(expr, given, stabilize=False)
        assert float(found) == pytest.approx(float(true), rel=1e-13)


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_printed_schedule_has_its_values(name: str) -> None:
    schedule = SCHEDULES[name]
    assert is_balanced(latex(schedule))
    translator = Translator([schedule])
    translator.define_long([schedule])
    body = translator.whole(schedule)
    for k in (0, 3, 29, 30, 79, 200):
        shown = printed_value(translator, body, {"k": float(k)})
        step = sn.input("k", (), "float64")
        (at,) = substitute([schedule], {sn.schedules.step: step})
        assert float(shown) == pytest.approx(float(sn.evaluate(at, {"k": float(k)})), rel=1e-14)


def test_lines_break_outside_parentheses_first() -> None:
    line = "a_long_name (b + c + d) + another_name (e + f) − third_name (g − h)"
    assert broken(line, 0, 40) == [
        "a_long_name (b + c + d)",
        "+ another_name (e + f)",
        "− third_name (g − h)",
    ]
    assert broken("short + line", 0, 40) == ["short + line"]
    assert broken("x" * 60, 0, 40) == ["x" * 60]
    assert "".join(broken(line, 0, 30)).replace(" ", "") == line.replace(" ", "")


def test_what_follows_stands_below_the_right_side() -> None:
    terms = " + ".join(f"term_{k} factor_{k}" for k in range(9))
    first, second = indented(f"L = {terms}")
    assert columns(first) <= 100
    assert second.startswith("    + term_")


def test_latex_breaks_in_no_braces() -> None:
    names = [sn.input(f"long_{k}") for k in range(14)]
    total = names[0]
    for name in names[1:]:
        total = total + sn.exp(name + 1) / (1 + name)
    shown = formula(total, to="latex")
    assert shown.startswith("\\begin{aligned}\n& ")
    assert is_balanced(shown)
    for row in shown.splitlines()[1:-1]:
        assert row.count("{") == row.count("}"), row
    lines = text(total).splitlines()
    assert len(lines) > 1
    assert all(columns(line) <= 100 for line in lines)


def test_marks_above_letters_take_no_column() -> None:
    assert columns("x̂ = 1") == 5
    assert latex_columns(r"\frac{\alpha}{2} + x") < 8


def test_dotted_names_are_symbols() -> None:
    x = sn.input("x", ("N", 3))
    w, b = sn.parameter("hidden.weight", (3, 2)), sn.parameter("hidden.bias", (2,))
    assert text(x @ w + b) == "x W_hidden + b_hidden"
    assert latex(x @ w + b) == r"x W_{\mathrm{hidden}} + b_{\mathrm{hidden}}"
    other = sn.parameter("W_hidden", (2, 2))
    assert text(x @ w @ other) == "x W_hidden W_hidden_2"
