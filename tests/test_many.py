"""Many replicas at once give what single fits give."""

from __future__ import annotations

import numpy as np
import pytest

import symnet as sn

RNG = np.random.default_rng(3)
DATA = {"X": RNG.normal(size=(60, 3)), "y": RNG.normal(size=(60, 1))}


@pytest.fixture
def trainer() -> sn.Trainer:
    x, y = sn.input("X", ("N", 3)), sn.input("y", ("N", 1))
    net = sn.nn.Sequential(sn.nn.Dense(3, 7, activation="tanh"), sn.nn.Dense(7, 1))
    prediction = net(x)
    metrics = {"mae": sn.losses.mae(prediction, y)}
    return sn.Trainer(sn.losses.mse(prediction, y), sn.optim.Adam(1e-2), metrics=metrics, seed=9)


def test_replicas_equal_single_fits_to_the_bit(trainer: sn.Trainer) -> None:
    before = trainer.parameters["W_1"].copy()
    rates = np.logspace(-4, -1, 5)
    runs = trainer.fit_many(DATA, seeds=range(5), rate=rates, epochs=6, batch_size=16)
    assert runs.loss.shape == (5, 6)
    np.testing.assert_array_equal(trainer.parameters["W_1"], before)
    for seed, rate in enumerate(rates):
        single = sn.Trainer(trainer.model.loss, sn.optim.Adam(rate), seed=seed)
        history = single.fit(DATA, epochs=6, batch_size=16)
        assert history.loss == runs[seed].history.loss
        for name, array in single.parameters.items():
            assert array.tobytes() == runs[seed].parameters[name].tobytes()
    best = runs.best()
    assert best.history.loss[-1] == np.min(runs.loss[:, -1])
    assert best.parameters["W_1"].shape == (3, 7)


def test_replicas_compile_nothing_of_their_own_and_stop_by_themselves(trainer: sn.Trainer) -> None:
    trainer.fit_many(DATA, seeds=[1], epochs=1, validation=0.25)
    compiled = trainer.compiles
    runs = trainer.fit_many(
        DATA,
        seeds=range(4),
        epochs=300,
        validation=0.25,
        stop=sn.stop.patience("validation.loss", 3),
    )
    assert trainer.compiles == compiled
    assert len({run.history.epochs for run in runs}) > 1
    assert np.isnan(runs.loss).any()
    assert all("no better" in run.history.stopped for run in runs)
    assert runs.best("validation.loss") in list(runs)
    assert [run.seed for run in runs[1:3]] == [1, 2]


def test_what_does_not_fit_is_refused(trainer: sn.Trainer) -> None:
    with pytest.raises(sn.errors.TrainingError, match="at least one seed"):
        trainer.fit_many(DATA, seeds=[], epochs=1)
    with pytest.raises(sn.errors.TrainingError, match="3 seeds, but 2 rates"):
        trainer.fit_many(DATA, seeds=range(3), rate=[0.1, 0.2], epochs=1)
    with pytest.raises(sn.errors.FeedError, match="no data for"):
        trainer.fit_many({"X": DATA["X"]}, seeds=range(2), epochs=1)
    runs = trainer.fit_many(DATA, seeds=range(2), rate=1e30, epochs=5)
    with pytest.raises(sn.errors.TrainingError, match="no run has a finite"):
        runs.best()
