"""The trainer against a loop written out over the reference interpreter, and its promises."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import numpy as np
import pytest

import symnet as sn

RNG = np.random.default_rng(7)
ROWS = 37
DATA = {"X": RNG.normal(size=(ROWS, 5)), "y": RNG.normal(size=(ROWS, 1))}


def network(width: int = 6, depth: int = 1, inputs: int = 5) -> tuple[sn.Expr, sn.Expr]:
    x, y = sn.input("X", ("N", inputs)), sn.input("y", ("N", 1))
    layers = [sn.nn.Dense(inputs, width, activation="tanh")]
    layers += [sn.nn.Dense(width, width, activation="tanh") for _ in range(depth - 1)]
    prediction = sn.nn.Sequential(*layers, sn.nn.Dense(width, 1))(x)
    return sn.losses.mse(prediction, y), prediction


@pytest.fixture
def double() -> Any:
    with sn.default_dtype("float64"):
        yield


def written_out(loss: sn.Expr, rate: float, epochs: int, batch: int) -> list[float]:
    """The four steps, with plain SGD, over the reference interpreter; the loss of each step."""
    parameters = loss.parameters()
    values = {p.name: sn.evaluate(p) for p in parameters}
    losses = []
    for _ in range(epochs):
        for first in range(0, ROWS, batch):
            rows = slice(first, first + batch)
            feeds = {"X": DATA["X"][rows], "y": DATA["y"][rows], **values}
            value, gradients = sn.evaluate([loss, sn.grad(loss, parameters)], feeds)
            losses.append(float(value))
            for p, gradient in zip(parameters, gradients, strict=True):
                values[p.name] = values[p.name] - rate * gradient
    return losses


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("batch", [1, 8, 36, 37])
def test_the_loop_equals_the_four_steps_written_out(batch: int) -> None:
    loss, _ = network()
    trainer = sn.Trainer(loss, sn.optim.SGD(0.05))
    history = trainer.fit(DATA, epochs=3, batch_size=batch, shuffle=False)
    truth = written_out(loss, 0.05, 3, batch)
    np.testing.assert_allclose(history.step_loss, truth, rtol=1e-12)
    steps = -(-ROWS // batch)
    means = [np.mean(truth[k * steps : (k + 1) * steps]) for k in range(3)]
    np.testing.assert_allclose(history.loss, means, rtol=1e-12)


@pytest.mark.usefixtures("double")
def test_shuffling_visits_every_row_once_an_epoch_in_another_order() -> None:
    loss, _ = network()
    trainer = sn.Trainer(loss, sn.optim.SGD(0.0), seed=3)
    history = trainer.fit(DATA, epochs=4, batch_size=1)
    epochs = np.array(history.step_loss).reshape(4, ROWS)
    for epoch in epochs[1:]:
        np.testing.assert_allclose(np.sort(epoch), np.sort(epochs[0]), rtol=1e-12)
        assert not np.array_equal(epoch, epochs[0])
    again = sn.Trainer(loss, sn.optim.SGD(0.0), seed=3).fit(DATA, epochs=4, batch_size=1)
    assert again.step_loss == history.step_loss
    other = sn.Trainer(loss, sn.optim.SGD(0.0), seed=4).fit(DATA, epochs=1, batch_size=1)
    assert other.step_loss != history.step_loss[:ROWS]


@pytest.mark.parametrize("drop", [False, True])
def test_the_last_partial_batch_is_kept_unless_dropped(drop: bool) -> None:
    loss, _ = network()
    history = sn.Trainer(loss, sn.optim.SGD(0.01)).fit(
        DATA, epochs=2, batch_size=10, drop_last=drop
    )
    assert len(history.step_loss) == 2 * (3 if drop else 4)


def test_a_second_fit_and_a_saved_trainer_continue_bit_for_bit(tmp_path: Any) -> None:
    loss, _ = network()

    def fresh() -> sn.Trainer:
        return sn.Trainer(loss, sn.optim.Adam(sn.schedules.cosine(1e-2, 0.0, 40)), seed=5)

    whole = fresh()
    one = whole.fit(DATA, epochs=7, batch_size=8)
    parts = fresh()
    first = parts.fit(DATA, epochs=3, batch_size=8)
    parts.save(tmp_path / "trainer.npz")
    second = parts.fit(DATA, epochs=4, batch_size=8)
    loaded = sn.Trainer.load(tmp_path / "trainer.npz")
    third = loaded.fit(DATA, epochs=4, batch_size=8)
    assert first.loss + second.loss == one.loss
    assert third.loss == second.loss
    for name, array in whole.parameters.items():
        assert array.tobytes() == parts.parameters[name].tobytes()
        assert array.tobytes() == loaded.parameters[name].tobytes()
    assert loaded.update_formulas() == whole.update_formulas()
    assert loaded.evaluate(DATA) == whole.evaluate(DATA)


def test_a_trainer_with_inputs_on_two_sizes_samples_the_one_named() -> None:
    x, z = sn.input("x", ("N", 1)), sn.input("z", ("M", 1))
    net = sn.nn.Dense(1, 1, name="line")
    loss = sn.mean(net(x) ** 2) + sn.mean((net(z) - 1) ** 2)
    feeds = {"x": np.ones((10, 1)), "z": np.zeros((4, 1))}
    trainer = sn.Trainer(loss, sn.optim.SGD(0.1))
    history = trainer.fit(feeds, epochs=2, batch_size={"N": 3, "M": None})
    assert len(history.step_loss) == 8
    with pytest.raises(sn.errors.TrainingError, match="say which is sampled"):
        trainer.fit(feeds, epochs=1, batch_size=3)


def test_a_rising_loss_stops_at_that_step_with_the_state_before_it() -> None:
    loss, _ = network()
    trainer = sn.Trainer(loss, sn.optim.SGD(1e9))
    history = trainer.fit(DATA, epochs=50, batch_size=None)
    assert "loss is" in history.stopped
    assert "rate 1e+09" in history.stopped
    assert f"step {len(history.step_loss)}" in history.stopped
    assert np.isfinite(history.step_loss).all()
    assert all(np.isfinite(array).all() for array in trainer.parameters.values())


def test_the_gradient_norm_stops_the_run_and_says_so() -> None:
    w = sn.parameter("w", init=[3.0, 4.0])
    trainer = sn.Trainer(sn.sum(w * w) / 2, sn.optim.SGD(0.5))
    history = trainer.fit({}, epochs=100, batch_size=None, stop=sn.stop.gradient_norm(1e-3))
    # The norm is 5 / 2^k, first below 1e-3 at k = 13; no update is made at that step.
    assert history.stopped == "gradient norm 0.00061 < 0.001 at step 13"
    assert len(history.step_loss) == 13
    np.testing.assert_allclose(trainer.parameters["w"], np.array([3.0, 4.0]) / 2**13)


def test_patience_restores_the_best_epoch() -> None:
    loss, _ = network(width=40)
    trainer = sn.Trainer(loss, sn.optim.Adam(0.05))
    history = trainer.fit(
        DATA, epochs=400, batch_size=8, validation=0.3, stop=sn.stop.patience("validation.loss", 10)
    )
    assert history.stopped == "no better validation.loss for 10 epochs"
    best = int(np.argmin(history.validation["loss"]))
    assert history.best_epoch == best
    assert history.epochs == best + 11


def test_below_and_callbacks_act_after_epochs() -> None:
    loss, _ = network()
    trainer = sn.Trainer(loss, sn.optim.Adam(0.02))
    history = trainer.fit(DATA, epochs=500, stop=sn.stop.below("loss", 0.5))
    assert history.stopped.startswith("loss 0.4")
    assert history.loss[-1] < 0.5 <= min(history.loss[:-1])
    seen = []

    def callback(state: Any) -> str | None:
        seen.append((state.epoch, state.step))
        state.set_rate(0.125)
        return "stop" if state.epoch == 2 else None

    history = sn.Trainer(loss, sn.optim.Adam(0.02)).fit(DATA, epochs=9, callbacks=[callback])
    assert seen == [(0, 2), (1, 4), (2, 6)]
    assert history.rate == [0.02, 0.125, 0.125]
    assert "callback" in history.stopped


def test_ctrl_c_leaves_a_usable_model_and_changes_no_bit() -> None:
    loss, _ = network()
    trainer, whole = (sn.Trainer(loss, sn.optim.Adam(1e-3)) for _ in range(2))
    trainer.fit(DATA, epochs=0, batch_size=8)
    timer = threading.Timer(0.4, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    history = trainer.fit(DATA, epochs=3_000_000, batch_size=8)
    timer.join()
    steps = len(history.step_loss)
    assert history.stopped == f"interrupted at step {steps}"
    rest = -(-(steps + 1) // 5) * 5
    trainer.fit(DATA, epochs=1, batch_size=8)
    whole.fit(DATA, epochs=(steps // 5) + 1, batch_size=8)
    assert rest >= steps
    for name, array in whole.parameters.items():
        assert array.tobytes() == trainer.parameters[name].tobytes()


def test_another_size_of_the_same_kind_compiles_nothing() -> None:
    def train(width: int, depth: int, rate: float, batch: int | None, epochs: int) -> int:
        loss, prediction = network(width, depth)
        trainer = sn.Trainer(loss, sn.optim.Adam(rate))
        trainer.fit(DATA, epochs=epochs, batch_size=batch)
        trainer.predict(prediction, {"X": DATA["X"]})
        return trainer.compiles

    train(6, 2, 1e-3, 8, 1)
    assert train(6, 2, 1e-3, 8, 1) == 0
    assert train(23, 2, 1e-3, 8, 1) == 0
    assert train(6, 2, 0.5, 5, 2) == 0
    assert train(6, 5, 3e-4, 8, 1) == 0
    str(network()[0])
    sn.evaluate(network()[0], DATA)


def test_one_watched_step_shows_what_it_did() -> None:
    loss, _ = network()
    trainer = sn.Trainer(loss, sn.optim.SGD(0.5))
    before = {name: array.copy() for name, array in trainer.parameters.items()}
    truth = sn.evaluate(sn.grad(loss, loss.parameters()), {**DATA, **before})
    watched = trainer.step(DATA)
    assert watched.loss == pytest.approx(float(sn.evaluate(loss, {**DATA, **before})), rel=1e-6)
    for p, gradient in zip(loss.parameters(), truth, strict=True):
        np.testing.assert_allclose(watched.gradients[p.name], gradient, rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(watched.updates[p.name], trainer.parameters[p.name])
        after = before[p.name] - 0.5 * watched.gradients[p.name]
        np.testing.assert_allclose(trainer.parameters[p.name], after, rtol=1e-6, atol=1e-7)
    assert watched.updates["k"] == 1


def test_reset_starts_anew() -> None:
    loss, _ = network()
    trainer = sn.Trainer(loss, sn.optim.Adam(1e-2), seed=1)
    first = trainer.fit(DATA, epochs=3).loss
    trainer.reset()
    assert trainer.fit(DATA, epochs=3).loss == first
    trainer.reset(2)
    assert trainer.fit(DATA, epochs=3).loss != first


def test_parameters_can_be_assigned_and_several_expressions_predicted() -> None:
    loss, prediction = network()
    trainer = sn.Trainer(loss, sn.optim.SGD(0.1))
    trainer.parameters["W_2"] = np.zeros((6, 1))
    trainer.parameters["b_2"] = 0.25
    both = trainer.predict({"y": prediction, "z": [2 * prediction]}, {"X": DATA["X"]})
    np.testing.assert_array_equal(both["y"], np.full((ROWS, 1), 0.25, np.float32))
    np.testing.assert_array_equal(both["z"][0], 2 * both["y"])
    with pytest.raises(sn.errors.FeedError, match="W_2 is 6×1"):
        trainer.parameters["W_2"] = np.zeros(6)
    with pytest.raises(sn.errors.FeedError, match="no 'W_9'"):
        trainer.parameters["W_9"] = 0.0
    assert trainer.kernels >= trainer.compiles


def test_a_run_that_ends_inside_a_chunk_keeps_its_finished_epochs() -> None:
    w = sn.parameter("w", init=[3.0, 4.0])
    trainer = sn.Trainer(sn.sum(w * w) / 2, sn.optim.SGD(0.5))
    history = trainer.fit({}, epochs=100, batch_size=None, stop=sn.stop.gradient_norm(1e-3))
    assert len(history.loss) == len(history.step_loss) == 13


# One past the end reads what may be there by accident; far outside there is nothing to read.
@pytest.mark.parametrize("outside", [3, 10**12, -(10**12)])
def test_a_computed_index_outside_its_axis_ends_the_run(outside: int) -> None:
    table, rows = (
        sn.parameter("table", (4,), init=[1.0, 2.0, 3.0, 4.0]),
        sn.input("rows", ("N",), "int64"),
    )
    trainer = sn.Trainer(sn.mean(sn.take(table, rows + 1) ** 2), sn.optim.SGD(0.1))
    good = trainer.fit({"rows": [0, 2]}, epochs=2, batch_size=None)
    assert good.stopped == "all 2 epochs done"
    before = trainer.parameters["table"].copy()
    history = trainer.fit({"rows": [0, outside]}, epochs=2, batch_size=None)
    assert "must be from 0 to 3, and is not, at step 2" in history.stopped
    np.testing.assert_array_equal(trainer.parameters["table"], before)


def test_the_name_of_the_step_is_taken() -> None:
    k = sn.input("k", ("N",))
    with pytest.raises(sn.errors.NameClashError, match="k is the step that training counts"):
        sn.Trainer(sn.mean(k * sn.parameter("w", init=1.0)), sn.optim.SGD(0.1)).fit(
            {"k": [1.0, 2.0]}, epochs=1, batch_size=None
        )
