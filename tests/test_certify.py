"""Certification: naive spellings are flagged, stable ones are clean, and the culprit is named."""

from __future__ import annotations

import numpy as np
import pytest

import symnet as sn


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


def test_integers_are_refused() -> None:
    with pytest.raises(sn.errors.GraphError, match="not floating point"):
        sn.certify(sn.argmax(double("v", (4,))), {"v": np.zeros(4)})
