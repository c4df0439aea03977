"""States that a training carries along, and the boolean that says it is training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import symnet as sn

RNG = np.random.default_rng(0)
DATA = {"X": 3 + 2 * RNG.normal(size=(64, 2)), "y": RNG.normal(size=(64, 1))}


def centred() -> tuple[sn.Expr, sn.Expr]:
    """A line on centred data: by the batch's mean in training, else by the mean that was met."""
    with sn.default_dtype("float64"):
        x, y = sn.input("X", ("N", 2)), sn.input("y", ("N", 1))
        batch = sn.mean(x, axis=0)
        running = sn.state("running", np.zeros(2), next=lambda m: 0.9 * m + 0.1 * batch)
        inner = x - sn.where(sn.training, batch, running)
        prediction = sn.nn.Dense(2, 1, name="line")(inner)
    return sn.losses.mse(prediction, y), inner


def test_fit_moves_the_state_and_nothing_else_does(tmp_path: Path) -> None:
    loss, inner = centred()
    trainer = sn.Trainer(loss, sn.optim.SGD(0.01))
    first = trainer.predict(inner, {"X": DATA["X"]})
    np.testing.assert_allclose(first, DATA["X"], rtol=1e-12)
    trainer.fit(DATA, epochs=3, batch_size=None)
    mean = DATA["X"].mean(axis=0)
    expected = mean * (1 - 0.9**3)
    np.testing.assert_allclose(trainer.state_dict()["running"], expected, rtol=1e-12)
    trainer.evaluate(DATA)
    seen = trainer.predict(inner, {"X": DATA["X"]})
    np.testing.assert_allclose(seen, DATA["X"] - expected, rtol=1e-12)
    trainer.save(tmp_path / "t.npz")
    loaded = sn.Trainer.load(tmp_path / "t.npz")
    for one in (trainer, loaded):
        one.fit(DATA, epochs=1, batch_size=None)
        np.testing.assert_allclose(one.state_dict()["running"], mean * (1 - 0.9**4), rtol=1e-12)


def test_training_is_false_unless_it_is_fed() -> None:
    loss, inner = centred()
    feeds = {"X": DATA["X"]}
    for evaluate in (sn.evaluate, lambda outputs, data: sn.compile(outputs)(data)):
        np.testing.assert_allclose(evaluate(inner, feeds), DATA["X"])
        trained = evaluate(inner, {**feeds, "training": True})
        np.testing.assert_allclose(trained.mean(axis=0), 0, atol=1e-12)
    assert [p.name for p in loss.parameters()] == ["W_line", "b_line"]


def test_a_next_value_must_be_like_its_state() -> None:
    with pytest.raises(sn.errors.ShapeError, match="running is 2"):
        sn.state("running", [0.0, 0.0], next=lambda m: sn.sum(m))
