"""The moons network of the reference trace: every loss, accuracy and the first gradient."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symnet as sn

SIZES = ((2, 16), (16, 16), (16, 1))


def unpacked(flat: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    """Weights (inputs, outputs) and biases from neuron-by-neuron order."""
    arrays, place = [], 0
    for inputs, outputs in SIZES:
        block = flat[place : place + outputs * (inputs + 1)].reshape(outputs, inputs + 1)
        arrays += [block[:, :-1].T.copy(), block[:, -1].copy()]
        place += outputs * (inputs + 1)
    return arrays


def build(start: np.ndarray[Any, Any]) -> tuple[sn.Expr, sn.Expr, list[sn.Expr]]:
    x, y = sn.input("X", ("N", 2)), sn.input("y", ("N",))
    parameters = [
        sn.parameter(f"{'Wb'[k % 2]}_{k // 2 + 1}", init=array)
        for k, array in enumerate(unpacked(start))
    ]
    hidden = x
    for layer in range(3):
        hidden = hidden @ parameters[2 * layer] + parameters[2 * layer + 1]
        hidden = sn.relu(hidden) if layer < 2 else hidden
    score = hidden[:, 0]
    penalty = sum((sn.sum(p * p) for p in parameters), start=sn.constant(0.0))
    loss = sn.mean(sn.maximum(0, 1 - y * score)) + 1e-4 * penalty
    right = sn.mean(sn.astype((score > 0) == (y > 0), "float64"))
    return loss, right, parameters


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-4)])
def test_the_trace_of_a_hundred_full_batch_steps(data: Path, dtype: str, tolerance: float) -> None:
    case = np.load(data / "moons_mlp.npz")
    with sn.default_dtype(dtype):
        loss, right, _ = build(case["p0"])
    k = sn.schedules.step
    trainer = sn.Trainer(loss, sn.optim.SGD(1 - 0.9 * k / 100), metrics={"accuracy": right})
    history = trainer.fit({"X": case["X"], "y": case["y"]}, epochs=100, batch_size=None)
    trace = case["trace"]
    np.testing.assert_allclose(history.loss, trace[:, 1], rtol=tolerance)
    np.testing.assert_allclose(100 * np.array(history.metrics["accuracy"]), trace[:, 2], rtol=1e-12)
    assert history.stopped == "all 100 epochs done"


def test_the_first_gradient(data: Path) -> None:
    case = np.load(data / "moons_mlp.npz")
    with sn.default_dtype("float64"):
        loss, _, parameters = build(case["p0"])
    feeds = {"X": case["X"], "y": case["y"]}
    gradients = sn.grad(loss, parameters)
    for found in (sn.evaluate(gradients, feeds), sn.compile(gradients)(feeds)):
        for one, truth in zip(found, unpacked(case["g0"]), strict=True):
            np.testing.assert_allclose(one, truth, rtol=1e-10, atol=1e-14)
