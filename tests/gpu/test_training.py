"""Trainings on a real GPU: the CPU's losses, the same bits in every run, in both executions."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import symnet as sn
from tests.bench.ours import network

pytestmark = pytest.mark.gpu
STEPS = 100
EXECUTIONS = ("persistent", "launches")


def data(features: int, classes: int, rows: int = 150) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        "X": random.uniform(-1, 1, (rows, features)).astype(np.float32),
        "Y": random.integers(0, classes, rows),
    }


def trainer(widths: tuple[int, ...], activation: str, target: str, how: str | None) -> sn.Trainer:
    scores = network(widths, activation)(sn.input("X", ("N", widths[0])))
    labels = sn.input("Y", ("N",), dtype="int64")
    loss = sn.losses.cross_entropy(scores, labels)
    measured = {"accuracy": sn.metrics.accuracy(scores, labels)}
    made = sn.Trainer(loss, sn.optim.Adam(1e-3), metrics=measured, target=target, seed=3)
    made._options = replace(made._options, execution=how)
    return made


def fitted(widths: tuple[int, ...], activation: str, target: str, how: str | None) -> Any:
    """The losses of 100 steps, with a partial batch at the end of each epoch, and the bits."""
    made = trainer(widths, activation, target, how)
    feeds = data(widths[0], widths[-1])
    history = made.fit(feeds, epochs=STEPS // 5, batch_size=32, progress=False)
    assert len(history.step_loss) == STEPS
    bits = {name: array.tobytes() for name, array in made.state_dict().items()}
    return np.array(history.step_loss), bits, history


@pytest.mark.parametrize("how", EXECUTIONS)
@pytest.mark.parametrize(
    ("widths", "activation"),
    [((2, 16, 16, 2), "tanh"), ((64, 128, 10), "relu"), ((33, 65, 17, 5), "gelu")],
)
def test_losses_equal_the_cpus_and_bits_do_not_change(
    widths: tuple[int, ...], activation: str, how: str
):
    wanted, _, cpu = fitted(widths, activation, "cpu", None)
    found, bits, gpu = fitted(widths, activation, "cuda", how)
    np.testing.assert_allclose(found, wanted, rtol=2e-4, atol=1e-6)
    np.testing.assert_allclose(gpu.metrics["accuracy"], cpu.metrics["accuracy"], atol=0.02)
    again, same, _ = fitted(widths, activation, "cuda", how)
    assert found.tobytes() == again.tobytes()
    assert bits == same


@pytest.mark.parametrize("how", EXECUTIONS)
def test_stop_rules_validation_and_callbacks_see_what_is_trained(how: str):
    made = trainer((2, 8, 2), "tanh", "cuda", how)
    feeds, seen = data(2, 2), []

    def look(state: Any) -> None:
        seen.append(state.parameters["W_1"].copy())
        state.set_rate(1e-3 / (state.epoch + 1))

    rules = [sn.stop.patience("validation.loss", 3)]
    history = made.fit(feeds, epochs=8, validation=0.2, stop=rules, callbacks=look, progress=False)
    assert len(seen) == history.epochs
    assert all((a != b).any() for a, b in itertools.pairwise(seen))
    assert history.step_rate[-1] < 1e-3
    assert made.evaluate(feeds)["loss"] == pytest.approx(history.loss[-1], rel=0.2)


@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_tensor_cores_are_near_and_the_same_every_run(precision: str):
    feeds = data(64, 10, 256)
    scores = sn.nn.Dense(64, 96, activation="relu")(sn.input("X", ("N", 64)))
    exact = sn.compile(scores)(X=feeds["X"])
    f = sn.compile(scores, target="cuda", precision=precision)
    found = f(X=feeds["X"])
    bound = {"tf32": 2e-3, "bf16": 2e-2}[precision]
    np.testing.assert_allclose(found, exact, rtol=bound, atol=bound)
    assert (found != exact).any(), "rounded factors give other sums"
    assert found.tobytes() == f(X=feeds["X"]).tobytes()
    # nvdisasm is not everywhere that a GPU is; what was asked for shows in the PTX too.
    assert "mma.sync" in f.ptx


def test_many_replicas_are_those_of_trainers_by_themselves():
    made = trainer((2, 8, 2), "tanh", "cuda", None)
    runs = made.fit_many(data(2, 2), seeds=[1, 2], epochs=3)
    single = trainer((2, 8, 2), "tanh", "cuda", None)
    single.reset(2)
    assert single.fit(data(2, 2), epochs=3, progress=False).loss == runs[1].history.loss
