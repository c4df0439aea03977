"""Certification: naive spellings are flagged, stable ones are clean, and the culprit is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symnet as sn
from symnet.cli import main
from tests.data.stability import FORMULAS

POINTS = json.loads((Path(__file__).parent / "data" / "stability.json").read_text())


def double(name: str, shape: tuple[int, ...] = ()) -> sn.Expr:
    return sn.input(name, shape, dtype="float64")


X = double("x")
NAIVE = [
    (sn.log(1 + sn.exp(X)), [-700.0, 1000.0, -40.0]),
    ((1 - sn.cos(X)) / X**2, [1e-5, 0.0]),
    (1 - sn.tanh(X) ** 2, [12.0, 25.0]),
    (sn.log(1 + X), [1e-12]),
    (sn.sqrt(1 + X**2) - 1, [1e-9]),
]


@pytest.mark.parametrize(("naive", "points"), NAIVE, ids=lambda value: str(value)[:30])
def test_the_naive_spelling_is_flagged_and_the_stable_one_is_clean(
    naive: sn.Expr, points: list[float]
) -> None:
    for point in points:
        stable = sn.certify(naive, {"x": point})
        assert stable, str(stable)
        assert max(row.error for row in stable) < 50
        raw = sn.certify(naive, {"x": point}, stabilize=False)
        assert not raw
        assert "LOST" in str(raw)


def test_one_lost_element_among_good_ones_is_found() -> None:
    v = double("v", (4,))
    points = {"v": np.array([0.5, -1.0, -90.0, 2.0])}
    assert not sn.certify(sn.log(1 + sn.exp(v)), points, stabilize=False)
    assert sn.certify(sn.log(1 + sn.exp(v)), points)


def test_the_node_that_loses_most_is_named() -> None:
    certificate = sn.certify(1 - sn.cos(X), {"x": 1e-7}, stabilize=False)
    assert str(certificate[0].node) == "1 − cos(x)"
    assert [row.name for row in certificate] == ["value", "∂value/∂x"]
    assert "test_certify.py" in str(certificate)


def test_a_network_is_clean_in_both_dtypes() -> None:
    rng = np.random.default_rng(0)
    for dtype in ("float32", "float64"):
        with sn.default_dtype(dtype):
            x, y = sn.input("X", ("N", 3)), sn.input("y", ("N",), dtype="int64")
            net = sn.nn.Sequential(sn.nn.Dense(3, 4, activation="tanh"), sn.nn.Dense(4, 3))
            loss = sn.losses.cross_entropy(net(x), y)
        feeds = {"X": rng.normal(size=(5, 3)).astype(dtype), "y": rng.integers(0, 3, 5)}
        certificate = sn.certify(loss, feeds)
        assert certificate, str(certificate)
        assert len(certificate) == 5


class Functions:
    """symnet under the names that the formulas of stability.json use."""

    sqrt_half = 0.5**0.5
    ne = staticmethod(sn.not_equal)

    def __getattr__(self, name: str) -> Any:
        return getattr(sn, name)


def wrong(found: Any, true: Any) -> bool:
    return not np.allclose(found, np.array(true, float), rtol=1e-10, atol=0)


@pytest.mark.parametrize("record", POINTS, ids=lambda record: f"{record['id']}-{record['x']}")
def test_each_listed_point_is_clean_and_its_naive_spelling_flagged(record: dict[str, Any]) -> None:
    at = np.array([float(number) for number in record["x"]])
    v = double(f"v_{record['id']}", at.shape)
    formula = FORMULAS[record["id"]][1](Functions(), v)
    stable = sn.certify(formula, {v: at})
    assert stable, str(stable)
    value, gradient = sn.evaluate([formula, sn.grad(formula, v)], {v: at}, stabilize=False)
    lost = wrong(value, record["value"]) or wrong(gradient, record["grad"])
    naive = sn.certify(formula, {v: at}, stabilize=False)
    assert bool(naive) != lost, str(naive)


def test_what_would_need_more_digits_than_are_tried_is_clean() -> None:
    odd = sn.log(1 - sn.sigmoid(X))
    for at in (1000.0, 10_000.0):
        assert sn.certify(odd, {"x": at})
        assert not sn.certify(odd, {"x": at}, stabilize=False)


def test_the_line_is_that_of_the_formula_though_a_rule_rewrote_it() -> None:
    z = double("z", (50,))
    naive = sn.log(sn.sum(sn.exp(1.1 * z)))
    line = naive.origin.line
    certificate = sn.certify(naive, {"z": np.random.default_rng(0).normal(size=50)})
    places = {row.origin.line for row in certificate if row.error}
    assert places == {line}, str(certificate)


def test_outputs_keep_their_names() -> None:
    square = sn.named("s", X * X)
    names = [row.name for row in sn.certify({"a": sn.exp(X), "b": square}, {"x": 1.5})]
    assert names == ["a", "∂a/∂x", "b", "∂b/∂x"]
    assert len(sn.certify([square, sn.named("s", X + 1)], {"x": 1.5})) == 4


def test_where_there_is_no_value_none_is_certified() -> None:
    (value, slope) = sn.certify(sn.log(X), {"x": -1.0})
    assert value.undefined
    assert "undefined at these numbers" in str(value)
    assert not slope.undefined


WRONG: list[tuple[Any, Any, str]] = [
    (sn.exp(X), None, "no data for x"),
    (sn.exp(X), {"nowhere": 1.0}, "no input 'nowhere'"),
    (sn.exp(X), {"x": np.ones(3)}, "expected scalar"),
    (sn.exp(X), {"x": "a"}, "expects numbers"),
    (3.0, {"x": 1.0}, "expected expressions, got 3.0"),
    ([], None, "there are no outputs"),
    (X > 0, {"x": 1.0}, "is bool, not floating point"),
    (sn.function("f")(X), {"x": 1.0}, "f is an unknown function"),
]


@pytest.mark.parametrize(("outputs", "feeds", "message"), WRONG)
def test_wrong_input_is_told_in_words(outputs: Any, feeds: Any, message: str) -> None:
    with pytest.raises(sn.errors.SymnetError, match=message):
        sn.certify(outputs, feeds)


MODEL = """
import symnet as sn
v = sn.input("v", ("N",), dtype="float64")
loss = sn.sum(1 - sn.cos(1e-7 * v))
sign = v > 0
"""


def test_the_command_line_certifies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "model.py"
    path.write_text(MODEL)
    assert main(["check", f"{path}:loss", "--certify"]) == 0
    assert "LOST" not in capsys.readouterr().out
    assert main(["check", f"{path}:loss", "--certify", "--naive"]) == 1
    assert "LOST, most at 1 − cos(1e-7 v) " in (told := capsys.readouterr().out)
    assert "model.py:4)" in told
    assert main(["check", f"{path}:loss", "--naive"]) == 2
    assert "give both" in capsys.readouterr().err


def test_integers_are_refused() -> None:
    with pytest.raises(sn.errors.GraphError, match="not floating point"):
        sn.certify(sn.argmax(double("v", (4,))), {"v": np.zeros(4)})
