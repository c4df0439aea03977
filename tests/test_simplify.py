"""The engine: what it makes of graphs, what it reports, what it must leave alone."""

from __future__ import annotations

from collections.abc import Callable

import mpmath
import numpy as np
import pytest

import symnet as sn
from symnet.expr import Expr, make, topological
from symnet.functions.arrays import pick
from symnet.ops.core import number
from symnet.reference import evaluate
from symnet.rules.rule import Rule, variable
from symnet.simplify import (
    Firing,
    rewrite,
    simplify,
    simplify_report,
    stabilize,
    stabilize_report,
)
from tests.counting import growth


def vector(name: str = "x") -> Expr:
    return sn.input(name, ("N",), "float64")


def test_neutral_elements_go():
    x = vector()
    assert simplify((x * 1 + 0) / 1 - 0) is x
    assert simplify(0 - x) is simplify(x * -1)
    assert simplify(x**1) is x
    assert simplify(sn.where(x > 0, x, x)) is x
    assert simplify(sn.log(sn.exp(x))) is x


def test_what_may_be_a_nan_stays():
    x = vector()
    for kept in (x * 0, x - x, x / x, sn.exp(sn.log(x)), 0 / x):
        assert simplify(kept) is kept


def test_constants_fold_to_the_same_bits():
    x = sn.input("x", (), "float32")
    folded = simplify(x * (number(0.1, x.dtype) * number(0.7, x.dtype)))
    assert folded.args[1].attrs["value"] == float(np.float32(0.1) * np.float32(0.7))
    one, zero = number(1.0, x.dtype), number(0.0, x.dtype)
    undefined = one / zero
    assert simplify(undefined) is undefined


def test_nested_structures_keep_their_form():
    x, y = vector("x"), vector("y")
    result = simplify({"a": [x * 1, (y + 0,)], "b": x})
    assert list(result) == ["a", "b"]
    assert result["a"][0] is result["b"] is x
    assert result["a"][1][0] is y


def test_each_different_element_is_computed_once():
    s = sn.input("s", (), "float64")
    x = sn.input("x", ("N", 3), "float64")
    wide = sn.broadcast_to(s, x.shape)
    simple = simplify(sn.sum(sn.exp(wide) * 2) + sn.sum(x))
    assert not any(node.ndim and node.op.name == "exp" for node in topological([simple]))
    feeds = {"s": 0.3, "x": np.ones((4, 3))}
    assert evaluate(simple, feeds) == pytest.approx(12 * 2 * np.exp(0.3) + 12)


def test_the_report_says_which_rule_fired_where():
    x = vector()
    loss = sn.sum(1 - sn.tanh(x * 1) * sn.tanh(x * 1))
    result, firings = stabilize_report(loss)
    (firing,) = firings
    assert isinstance(firing, Firing)
    assert firing.rule.name == "sech squared"
    assert firing.remark == "same function, no cancellation"
    assert firing.left is loss.args[0]
    assert firing.right is result.args[0]
    assert firing.terms["x"] is x * 1
    assert "test_simplify.py" in str(firing)


def test_what_a_report_names_is_the_graph_as_given():
    x = vector()
    inner = sn.log(1 + sn.exp(x))
    loss = 1 - sn.tanh(inner) * sn.tanh(inner)
    _, firings = stabilize_report(loss)
    assert [firing.rule.name for firing in firings] == ["softplus", "sech squared"]
    assert firings[1].left is loss
    assert firings[1].terms["x"] is inner


def test_a_step_that_another_rule_swallowed_is_not_reported():
    a = sn.sigmoid(vector())
    _, firings = stabilize_report(a * (1 - a))
    assert [firing.rule.name for firing in firings] == ["slope of sigmoid"]
    assert firings[0].left is a * (1 - a)


def test_the_gradient_of_the_tanh_network_does_not_cancel():
    z, target = vector("z"), vector("target")
    gradient = sn.grad(sn.sum((sn.tanh(z) - target) ** 2), z)
    result, firings = stabilize_report(gradient)
    assert [firing.rule.name for firing in firings] == ["sech squared"]
    far = {"z": np.array([25.0, -25.0]), "target": np.zeros(2)}
    true = [float(2 * mpmath.tanh(x) * mpmath.sech(x) ** 2) for x in far["z"]]
    np.testing.assert_allclose(evaluate(result, far), true, rtol=1e-14)
    assert not np.any(evaluate(gradient, far))


WEIGHTS = {
    "mean": lambda rows: -sn.mean(rows),
    "sum": lambda rows: -sn.sum(rows),
    "negated sum": lambda rows: sn.sum(rows),
    "weighted": lambda rows: -sn.sum(rows * sn.input("w", ("N",), "float64")),
}


@pytest.mark.parametrize("first", [simplify, lambda nested: nested], ids=["simplified", "as is"])
@pytest.mark.parametrize("weights", list(WEIGHTS))
def test_the_gradient_of_cross_entropy_does_not_cancel(weights, first):
    z, y = sn.input("Z", ("N", 3), "float64"), sn.input("y", ("N",), "int64")
    rows = pick(sn.log_softmax(z), y)
    gradient = sn.grad(WEIGHTS[weights](rows), z)
    result, firings = stabilize_report(first(gradient))
    (firing,) = firings
    assert firing.rule.name.startswith("gradient of cross-entropy")
    assert firing.rule.text.startswith("<P>[n,k] − 1 = −Σ_{j≠k} <P>[n,j]")
    assert firing.terms["P"] is sn.softmax(z)
    assert firing.terms["y"] is y
    values = np.array([[0.0, -50.0, -60.0], [1.0, 2.0, 3.0]])
    feeds = {"Z": values, "y": np.array([0, 2]), "w": np.ones(2)}
    if weights != "weighted":
        del feeds["w"]
    scale = {"mean": 0.5, "negated sum": -1.0}.get(weights, 1.0)
    with mpmath.workdps(50):
        weights_of = [[mpmath.exp(mpmath.mpf(v)) for v in row] for row in values]
        true = [
            [float(scale * (e / sum(row) - (k == label))) for k, e in enumerate(row)]
            for row, label in zip(weights_of, feeds["y"], strict=True)
        ]
    np.testing.assert_allclose(evaluate(result, feeds), true, rtol=1e-14)
    np.testing.assert_allclose(evaluate(simplify(result), feeds), true, rtol=1e-14)


def test_smooth_spellings_may_be_differentiated_twice():
    x = sn.input("x", (), "float64")
    expr = 1 - sn.tanh(x) ** 2
    assert stabilize(expr, smooth=True) is expr
    soft = stabilize(sn.log(1 + sn.exp(x)), smooth=True)
    assert soft is sn.softplus(x)
    second = stabilize(sn.grad(sn.grad(expr, x), x))
    assert evaluate(second, {"x": 0.0}) == -2.0


@pytest.mark.parametrize("engine", [simplify_report, stabilize_report], ids=lambda f: f.__name__)
def test_a_chain_of_ten_thousand_nodes_is_work_in_proportion_to_its_length(engine):
    def gradient(length: int) -> Callable[[], object]:
        deep = x = sn.input("x", (), "float64")
        for _ in range(length):
            deep = sn.tanh(deep * 1.01 + 0)
        deep = sn.grad(deep, x)
        return lambda: engine(deep)

    assert growth(gradient, 100) < 1.1
    assert len(topological([gradient(2000)()[0]])) >= 10_000


def test_what_vanishes_from_a_chain_is_work_in_proportion_to_its_length():
    def chain(length: int) -> Callable[[], object]:
        deep = sn.input("x", (), "float64")
        for _ in range(length):
            deep = sn.sin(deep * 1 + 0)
        return lambda: simplify(deep)

    assert growth(chain, 250) < 1.1


def test_rules_that_undo_each_other_come_to_an_end():
    a, b = variable("a"), variable("b")
    there = Rule("there", sn.sin(a), sn.cos(a), "for the test")
    back = Rule("back", sn.cos(a), sn.sin(a), "for the test")
    x = vector()
    assert rewrite(sn.exp(sn.sin(x)), [there, back])[0].op is sn.exp
    grow = Rule("grow", sn.add(a, b), sn.add(sn.sin(sn.add(a, b)), b), "for the test")
    result, firings = rewrite(x + 1.0, [grow])
    assert len(firings) <= 1000 + 8 * 4
    assert len(topological([result])) < 10_000


def test_names_and_identities_survive():
    w = sn.parameter("w", (3,), init=1.0, dtype="float64")
    named = sn.named("A", w * 1)
    result = simplify(named + 0)
    assert result.op.name == "named"
    assert result.args[0] is w


def test_rebuilt_views_collapse():
    x = sn.input("x", ("N", 4), "float64")
    turned = make(x.T.op, (sn.exp(x.T) * 1,), axes=(1, 0))
    assert simplify(turned).args[0].op is sn.exp
    assert simplify(sn.astype(sn.astype(sn.astype(x, "float32"), "float64"), "float32")) is (
        sn.astype(x, "float32")
    )


def test_simplified_gradients_have_the_same_values():
    x = sn.input("X", ("N", 3), "float64")
    w = sn.parameter("W", (3, 2), init=np.arange(6.0).reshape(3, 2) / 7, dtype="float64")
    b = sn.parameter("b", (2,), init=[0.1, -0.2], dtype="float64")
    loss = sn.mean((sn.sigmoid(x @ w + b) - 0.5) ** 2)
    gradients = sn.grad(loss, [w, b])
    feeds = {"X": np.random.default_rng(0).normal(size=(5, 3))}
    for kind in (simplify, stabilize, lambda nested: simplify(stabilize(nested))):
        for true, found in zip(evaluate(gradients, feeds), evaluate(kind(gradients), feeds),
                               strict=True):  # fmt: skip
            np.testing.assert_allclose(found, true, rtol=1e-13)


def test_a_common_factor_is_not_pulled_out():
    a, b, c = (sn.input(name, (), "float64") for name in "abc")
    assert simplify(a * b + a * c) is a * b + a * c


ACTIVATIONS = ("relu", "leaky_relu", "elu", "selu", "log_sigmoid", "silu", "gelu", "mish",
               "softsign", "hardtanh", "hardswish", "tanh", "sigmoid", "softplus")  # fmt: skip


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("kind", [simplify, stabilize], ids=lambda f: f.__name__)
def test_activations_and_two_derivatives_keep_their_values(name, kind):
    x = vector()
    first = sn.sum(sn.functions.FUNCTIONS[name](x) ** 2)
    slope = sn.grad(first, x)
    curvature = sn.grad(sn.sum(slope), x)
    points = {"x": np.array([-3.1, -1.0, -0.2, 0.0, 0.3, 1.0, 2.7])}
    for true, found in zip(evaluate([first, slope, curvature], points),
                           evaluate(kind([first, slope, curvature]), points),
                           strict=True):  # fmt: skip
        np.testing.assert_allclose(found, true, rtol=1e-12, atol=1e-14)


def test_the_naive_spellings_become_the_stable_functions():
    x = vector()
    assert stabilize(1 / (1 + sn.exp(-x))) is sn.sigmoid(x)
    assert stabilize(sn.exp(x) / (sn.exp(x) + 1)) is sn.sigmoid(x)
    assert stabilize(sn.log(sn.exp(x) + 1)) is sn.softplus(x)
    assert stabilize(sn.log(1 / (1 + sn.exp(-x)))) is -sn.softplus(-x)
    assert stabilize(sn.log(1 - sn.sigmoid(x))) is -sn.softplus(x)
    assert stabilize(sn.log(1 + x)) is sn.log1p(x)
    assert stabilize(sn.exp(x) - 1) is sn.expm1(x)
    assert stabilize(sn.log(sn.softmax(x))) is sn.log_softmax(x)
    assert stabilize(sn.log(sn.sum(sn.exp(x)))) is sn.logsumexp(x)
    z, y = sn.input("z", ("N", "T", 4), "float64"), sn.input("y", ("N", "T"), "int64")
    assert stabilize(sn.log(pick(sn.softmax(z), y))) is pick(sn.log_softmax(z), y)


@pytest.mark.parametrize("axes", [(), ("N",), ("N", "T")], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cross_entropy_of_any_rank(axes, dtype):
    z, y = sn.input("z", (*axes, 4), dtype), sn.input("y", axes, "int64")
    gradient = sn.grad(-sn.mean(pick(sn.log_softmax(z), y)), z)
    result, firings = stabilize_report(gradient)
    assert len(firings) == 1
    assert (result.shape, result.dtype) == (gradient.shape, gradient.dtype)
    random = np.random.default_rng(0)
    shape = tuple({"N": 3, "T": 2}[name] for name in axes)
    feeds = {"z": random.normal(size=(*shape, 4)).astype(dtype), "y": random.integers(0, 4, shape)}
    true, found = evaluate([gradient, result], feeds)
    np.testing.assert_allclose(found, true, atol=1e-6 if dtype == "float32" else 1e-15)
