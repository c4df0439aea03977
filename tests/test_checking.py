"""check_grad finds wrong gradients and says what is missing; equivalent marks answers."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
import pytest

import symnet as sn
from symnet.check import Equivalence, GradientCheck, Row, check_grad, equivalent
from symnet.errors import FeedError, GraphError, NameClashError, ShapeError
from symnet.functions import FUNCTIONS
from symnet.ops import table
from symnet.ops.table import POINTWISE

DATA = np.random.default_rng(0).normal(size=(5, 3))
LABELS = np.array([0, 2, 1, 2, 0])


def _network(activation):
    x, y = sn.input("X", ("N", 3)), sn.input("y", ("N",), "int64")
    w, v = (sn.parameter(n, init=np.random.default_rng(k).normal(size=(3, 3))) for k, n in
            enumerate("wv"))  # fmt: skip
    b = sn.parameter("b", (3,), init=0.1)
    logits = activation(x @ w + b) @ v
    losses = sn.logsumexp(logits, axis=1) - FUNCTIONS["pick"](logits, y)
    return sn.mean(losses), {"X": DATA, "y": LABELS}


@pytest.mark.parametrize("activation", [sn.tanh, sn.softplus, sn.gelu, sn.log_sigmoid, sn.sigmoid])
def test_every_way_agrees_on_a_smooth_network(activation):
    loss, feeds = _network(activation)
    report = check_grad(loss, feeds)
    assert report
    assert len(report) == 12
    assert {row.verdict for row in report} == {"ok"}
    assert {row.parameter for row in report} == {"w", "v", "b"}


@pytest.mark.parametrize("activation", [sn.relu, abs, sn.hardswish])
def test_a_network_with_kinks_is_not_analytic(activation):
    loss, feeds = _network(activation)
    report = check_grad(loss, feeds)
    assert report
    verdicts = {row.against: row.verdict for row in report}
    assert verdicts == {"finite-difference": "ok", "complex-step": "not analytic", "torch": "ok",
                        "jax": "ok"}  # fmt: skip


def test_a_wrong_partial_is_reported(monkeypatch: pytest.MonkeyPatch):
    # Under another name, since an op's nodes are interned by its name.
    wrong = replace(
        POINTWISE["tanh"], name="wrong", partials=(lambda y, x: 1.00001 * (1 - y * y),)
    )  # fmt: skip
    loss, feeds = _network(wrong)
    report = check_grad(loss, feeds)
    assert not report
    wrongs = {row.against for row in report if row.verdict == "WRONG" and row.parameter == "w"}
    assert wrongs == {"finite-difference", "complex-step", "torch", "jax"}
    assert {row.verdict for row in report if row.parameter == "v"} == {"ok"}


def test_the_table_and_what_is_not_installed(monkeypatch: pytest.MonkeyPatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "jax" else found(name)
    )
    w = sn.parameter("w", (2, 1), init=[[1.0], [2.0]])
    report = check_grad(sn.sum(w * w), against=("complex-step", "jax"))
    assert report
    assert [row.verdict for row in report] == ["ok", "not installed"]
    assert str(report).splitlines()[0].split() == [
        "parameter", "shape", "against", "absolute", "relative", "verdict"
    ]  # fmt: skip
    assert str(report).splitlines()[2] == "w          2×1    jax                               " \
                                          "not installed"  # fmt: skip


def test_a_gradient_that_is_not_a_number_is_wrong():
    w = sn.parameter("w", init=0.0)
    assert not check_grad(sn.sqrt(w) * w, against=("torch",))
    assert not GradientCheck((Row("w", (), "torch", 1.0, 1.0, "WRONG"),))


def test_what_is_differentiated_by():
    x, k = sn.input("x", (2,)), sn.input("k", (), "int64")
    w = sn.parameter("w", init=2.0)
    loss = sn.sum(x**2) * sn.astype(k, "float32")
    feeds = {"x": [1, 2], "k": 3}
    assert [row.parameter for row in check_grad(loss, feeds, ("torch",))] == ["x"]
    both = check_grad(loss * w, {x: [1, 2], k: 3, w: 1.0}, ("jax",), wrt={"a": [w], "b": x})
    assert both
    assert [row.parameter for row in both] == ["w", "x"]


def test_many_elements_and_a_deep_chain():
    w = sn.parameter("w", (40, 30), init=np.linspace(-1, 1, 1200).reshape(40, 30))
    y = w
    for _ in range(200):
        y = sn.tanh(y) * 1.05
    assert check_grad(sn.mean(y * y))


def test_errors_of_check_grad():
    x, w = sn.input("x", (2,)), sn.parameter("w", (2,))
    with pytest.raises(ShapeError, match="not a scalar"):
        check_grad(w * x, {x: [1, 2]})
    with pytest.raises(FeedError, match="no data for x"):
        check_grad(sn.sum(w * x))
    with pytest.raises(GraphError, match="'numeric' is not one of"):
        check_grad(sn.sum(w), against=("numeric",))
    with pytest.raises(GraphError, match="wrt must be parameters"):
        check_grad(sn.sum(w), wrt=w * 2)


def _neuron():
    x, y = sn.input("x", ("N", 3)), sn.input("y", ("N",))
    w, b = sn.parameter("w", (3,)), sn.parameter("b")
    a = sn.sigmoid(x @ w + b)
    return x, y, w, a, sn.sum((a - y) ** 2)


def test_a_right_answer_is_marked_right():
    x, y, w, a, loss = _neuron()
    answer = sn.einsum("n,nj->j", 2 * (a - y) * a * (1 - a), x)
    report = equivalent(sn.grad(loss, w), answer)
    assert report
    assert str(report) == "equal: they agree at 16 random points"
    assert equivalent(answer, answer).reason == "they are the same expression"


def test_a_wrong_answer_gets_a_counterexample():
    x, y, w, a, loss = _neuron()
    report = equivalent(sn.grad(loss, w), sn.einsum("n,nj->j", (a - y) * a * (1 - a), x))
    assert not report
    assert set(report.point) == {"x", "y", "w", "b"}
    left, right = sn.evaluate([sn.grad(loss, w), sn.grad(loss, w) / 2], report.point)
    assert np.allclose(report.left, left, rtol=1e-4)
    assert np.allclose(report.right, right, rtol=1e-4)
    assert str(report).startswith("not equal: at x = [[")
    assert "the second [" in str(report)
    assert "\n" not in str(report)


def test_identities_and_near_misses():
    x, y = sn.input("x", (), "float64"), sn.input("y", (), "float64")
    for left, right in (
        (sn.sin(x) ** 2 + sn.cos(x) ** 2, 1.0),
        (0.1 * x, x / 10),
        (sn.log(x * x), 2 * sn.log(abs(x))),
        ((x + y) * (x - y), x**2 - y**2),
        (sn.sigmoid(x), 1 / (1 + sn.exp(-x))),
        (sn.maximum(x, y), (x + y + abs(x - y)) / 2),
        (sn.expm1(x), sn.exp(x) - 1),
        (sn.where(x > y, 1.0, 0.0), 1.0 - sn.where(y >= x, 1.0, 0.0)),
        (sn.atan2(y, abs(x)), sn.atan(y / abs(x))),
    ):
        assert equivalent(left, right), str(equivalent(left, right))
    for left, right in (
        (x, abs(x)),
        (sn.tanh(x), x - x**3 / 3),
        (x, x + 1e-6),
        (sn.erf(x), sn.tanh(1.1283791670955126 * x)),
        (sn.relu(x), sn.softplus(20 * x) / 20),
        (x * y, x * y * 1.0000001),
    ):
        assert not equivalent(left, right, samples=64)


def test_different_leaves_of_one_name_and_shapes():
    one, two = sn.input("x", ("N",)), sn.input("x", ("N",), "float32")
    assert equivalent(sn.sum(one**2), sn.sum(two * two))
    assert not equivalent(one, sn.sum(two))
    with pytest.raises(NameClashError):
        equivalent(sn.sum(one), sn.sum(sn.input("x", (2,))))


def test_points_where_nothing_is_defined_prove_nothing():
    x = sn.input("x")
    report = equivalent(sn.sqrt(-1 - x * x), sn.log(-1 - x * x))
    assert not report
    assert "none of 16 points" in str(report)
    assert isinstance(report, Equivalence)


def test_labels_stay_in_their_range():
    z, y = sn.input("z", ("N", 4)), sn.input("y", ("N",), "int64")
    pick = FUNCTIONS["pick"]
    assert equivalent(sn.logsumexp(z, axis=1) - pick(z, y), -pick(sn.log_softmax(z), y))
    assert table.exp is POINTWISE["exp"]
