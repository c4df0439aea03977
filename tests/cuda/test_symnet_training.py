"""Trainings for a GPU, run by the PTX interpreter: the CPU's losses, the same bits in every run, in
both executions; and that what looks at a training sees what was trained."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import symnet as sn
from codegen.cuda import device as devices
from tests.ptx.device import SimulatedDevice

ROWS, EXECUTIONS = 37, ("persistent", "launches")
RANDOM = np.random.default_rng(0)
FEEDS = {
    "X": RANDOM.uniform(-1, 1, (ROWS, 2)).astype(np.float32),
    "Y": RANDOM.integers(0, 3, ROWS),
}


@pytest.fixture(autouse=True)
def device(monkeypatch: pytest.MonkeyPatch) -> SimulatedDevice:
    simulated = SimulatedDevice()
    monkeypatch.setattr(devices, "current", lambda: simulated)
    return simulated


WIDE = 600
"""With so many neurons the weights are too large to come back after every run by themselves."""


def trainer(
    optimizer: sn.optim.Optimizer, target: str, how: str | None = None, width: int = 5
) -> sn.Trainer:
    first = sn.nn.Dense(2, width, activation="tanh", name="one")
    second = sn.nn.Dense(width, 3, name="two")
    scores = sn.nn.Sequential(first, second)(sn.input("X", ("N", 2)))
    labels = sn.input("Y", ("N",), dtype="int64")
    loss = sn.losses.cross_entropy(scores, labels)
    measured = {"accuracy": sn.metrics.accuracy(scores, labels)}
    made = sn.Trainer(loss, optimizer, metrics=measured, target=target, seed=3)
    made._options = replace(made._options, execution=how)
    return made


def state_bits(made: sn.Trainer) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in made.state_dict().items()}


@pytest.mark.parametrize("how", EXECUTIONS)
def test_adam_over_partial_batches_gives_the_cpus_losses_and_the_same_bits_again(how: str):
    asked = {"epochs": 3, "batch_size": 8, "progress": False}
    cpu = trainer(sn.optim.Adam(1e-2), "cpu")
    wanted = cpu.fit(FEEDS, **asked)
    gpu = trainer(sn.optim.Adam(1e-2), "cuda", how)
    found = gpu.fit(FEEDS, **asked)
    assert len(found.step_loss) == 3 * -(-ROWS // 8)
    np.testing.assert_allclose(found.step_loss, wanted.step_loss, rtol=2e-6)
    np.testing.assert_allclose(found.metrics["accuracy"], wanted.metrics["accuracy"], rtol=1e-6)
    for name, array in cpu.state_dict().items():
        np.testing.assert_allclose(gpu.state_dict()[name], array, rtol=1e-4, atol=1e-6)
    (made,) = gpu._programs.values()
    assert made.executable.execution.startswith(how)
    bits = state_bits(gpu)
    gpu.reset()
    assert gpu.fit(FEEDS, **asked).step_loss == found.step_loss
    assert state_bits(gpu) == bits


def test_clipping_momentum_rules_and_callbacks_see_what_is_trained():
    optimizer = sn.optim.SGD(0.5, momentum=0.9, clip_norm=0.05)
    histories, looks = [], []
    for target in ("cpu", "cuda"):
        seen: list[np.ndarray] = []

        def look(state: Any, seen: list[np.ndarray] = seen) -> None:
            seen.append(state.parameters["W_one"].copy())
            state.set_rate(0.5 / (2 + state.epoch))
            if state.epoch == 1:
                state.parameters["b_two"][...] = 0.25

        rules = [sn.stop.patience("validation.loss", 2, restore_best=True),
                 sn.stop.gradient_norm(1e-9)]  # fmt: skip
        made = trainer(optimizer, target, width=WIDE)
        history = made.fit(
            FEEDS, epochs=4, batch_size=16, validation=FEEDS, stop=rules, callbacks=look,
            progress=False,
        )  # fmt: skip
        histories.append(history)
        looks.append([*seen, made.parameters["b_two"], made.parameters["W_one"]])
        assert made.evaluate(FEEDS)["loss"] == pytest.approx(min(history.validation["loss"]))
    cpu, gpu = histories
    np.testing.assert_allclose(gpu.step_loss, cpu.step_loss, rtol=1e-5)
    np.testing.assert_allclose(gpu.step_rate, cpu.step_rate, rtol=1e-6)
    assert len(set(gpu.step_rate)) == gpu.epochs
    np.testing.assert_allclose(gpu.validation["loss"], cpu.validation["loss"], rtol=1e-5)
    assert gpu.stopped == cpu.stopped
    for ours, theirs in zip(*looks, strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=1e-6)
    assert all((a != b).any() for a, b in itertools.pairwise(looks[1][: gpu.epochs]))


@pytest.mark.parametrize("how", EXECUTIONS)
def test_a_loss_that_is_not_finite_stops_it_before_that_step(how: str):
    feeds = {**FEEDS, "X": FEEDS["X"] * np.float32(1e30)}
    histories = []
    for target, asked in (("cpu", None), ("cuda", how)):
        made = trainer(sn.optim.Adam(1e38), target, asked)
        histories.append(made.fit(feeds, epochs=3, batch_size=8, progress=False))
        assert all(np.isfinite(array).all() for array in made.parameters.values())
    assert histories[0].stopped == histories[1].stopped
    assert "the parameters are those before this step" in histories[1].stopped


def test_steps_saving_replicas_and_data_on_the_gpu_are_one_training(
    tmp_path, device: SimulatedDevice
):
    asked = {"epochs": 1, "batch_size": 8, "progress": False}
    made = trainer(sn.optim.Adam(1e-2), "cuda", width=WIDE)
    first = made.fit(FEEDS, **asked)
    made.save(tmp_path / "trained.npz")
    loaded = sn.Trainer.load(tmp_path / "trained.npz", target="cuda")
    assert made.fit(FEEDS, **asked).step_loss == loaded.fit(FEEDS, **asked).step_loss
    assert state_bits(made) == state_bits(loaded)

    placed = {name: sn.to_device(array) for name, array in FEEDS.items()}
    again = trainer(sn.optim.Adam(1e-2), "cuda", width=WIDE)
    assert again.fit(placed, **asked).step_loss == first.step_loss

    runs = made.fit_many(FEEDS, seeds=[3, 4], epochs=1, batch_size=8)
    assert runs[0].history.step_loss == first.step_loss != runs[1].history.step_loss

    before = {name: array.copy() for name, array in made.parameters.items()}
    measured = made.evaluate(placed)
    shown = made.step(FEEDS)
    assert shown.loss == pytest.approx(measured["loss"], rel=1e-6)
    for name, array in made.parameters.items():
        assert array.tobytes() == shown.updates[name].tobytes() != before[name].tobytes()
