"""What a fit does with its data before the first step: look at it once, copy it only where need be,
and lay nothing out anew."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import codegen.runtime
import symnet as sn
from symnet.errors import FeedError
from symnet.feeds import bind, limits_of
from symnet.train.data import prepare

ROWS = 200
RNG = np.random.default_rng(5)
FEATURES = RNG.normal(size=(ROWS, 4)).astype(np.float32)
LABELS = RNG.integers(0, 3, ROWS)


SCORES = sn.nn.Dense(4, 3)(sn.input("X", ("N", 4)))
LOSS = sn.losses.cross_entropy(SCORES, sn.input("Y", ("N",), dtype="int64"))


def classifier() -> sn.Trainer:
    return sn.Trainer(LOSS, sn.optim.SGD(0.1))


def prepared(feeds: dict[str, Any], held: list[Any] | None) -> dict[str, Any]:
    made = prepare(classifier().inputs, limits_of([LOSS]), feeds, 32, False, held)
    return {str(leaf.name): array for leaf, array in made.arrays.items()}


def test_floats_stay_where_they_lie_and_indices_are_copied():
    arrays = prepared({"X": FEATURES, "Y": LABELS}, [np.zeros(3)])
    assert arrays["X"] is FEATURES
    assert not np.shares_memory(arrays["Y"], LABELS)


def test_data_is_copied_for_callbacks_and_where_the_training_would_write_to_it():
    for held in (None, [FEATURES[3]]):
        arrays = prepared({"X": FEATURES, "Y": LABELS}, held)
        assert not np.shares_memory(arrays["X"], FEATURES)
        np.testing.assert_array_equal(arrays["X"], FEATURES)


def test_data_in_another_order_in_memory_gives_the_same_bits():
    runs = []
    for features in (FEATURES, np.asfortranarray(FEATURES), np.repeat(FEATURES, 2, 0)[::2]):
        trainer = classifier()
        runs.append(trainer.fit({"X": features, "Y": LABELS}, epochs=2).step_loss)
    assert runs[0] == runs[1] == runs[2]


def test_a_callback_that_writes_to_the_data_changes_nothing_of_this_fit():
    def spoil(state: Any) -> None:
        data["X"][:] = 0.0
        data["Y"][:] = 10**9

    plain = classifier()
    wanted = plain.fit({"X": FEATURES, "Y": LABELS}, epochs=3).step_loss
    data = {"X": FEATURES.copy(), "Y": LABELS.copy()}
    trainer = classifier()
    assert trainer.fit(data, epochs=3, callbacks=spoil).step_loss == wanted
    with pytest.raises(FeedError, match="Y picks one of 3"):
        trainer.fit(data, epochs=1)


def test_what_was_trained_may_be_fed_to_the_next_fit():
    x, w = sn.input("X", ("N", 3)), sn.parameter("w", init=np.ones((2, 3)))
    trainer = sn.Trainer(sn.losses.mse(x - sn.sum(w, axis=0), 0 * x), sn.optim.SGD(0.1))
    data = trainer.parameters["w"]
    copied = data.copy()
    losses = trainer.fit({"X": data}, epochs=3, batch_size=None).step_loss
    trainer.reset()
    assert trainer.fit({"X": copied}, epochs=3, batch_size=None).step_loss == losses


@pytest.mark.parametrize("where", [(0, 0), (77, 2), (ROWS - 1, 3)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_nan_is_found_wherever_it_is_and_infinities_are_none(where, dtype):
    features = FEATURES.astype(dtype)
    features[5, 1], features[6, 2] = np.inf, -np.inf
    features[where] = np.nan
    trainer = classifier()
    with pytest.raises(FeedError, match=rf"X holds 1 NaN, the first at \[{where[0]}, {where[1]}\]"):
        trainer.fit({"X": features, "Y": LABELS}, epochs=1)
    features[where] = 0.0
    assert "loss is" in trainer.fit({"X": features, "Y": LABELS}, epochs=1).stopped


@pytest.mark.parametrize("row", [0, 63, 64, 150, ROWS - 1])
def test_rounding_of_a_single_number_is_noted_wherever_it_is(row):
    x = sn.input("X", ("N", 4))
    wide = FEATURES.astype(np.float64)
    assert bind([x], {"X": wide}).notes == ()
    wide[row, 2] = 0.1
    assert bind([x], {"X": wide}).notes == ("X: float64 data rounded to float32",)


@pytest.mark.parametrize("value", [1e39, -1e39])
def test_an_overflow_is_named_but_infinities_and_nan_pass(value):
    x = sn.input("X", ("N",))
    data = np.array([1.0, np.inf, -np.inf, np.nan])
    np.testing.assert_array_equal(bind([x], {"X": data}).arrays[x], data.astype(np.float32))
    with pytest.raises(FeedError, match=rf"{value:g} overflows".replace("+", r"\+")):
        bind([x], {"X": np.append(data, value)})


def test_a_single_number_is_rounded_too():
    a = sn.input("a", ())
    bound = bind([a], {"a": np.array(0.1)})
    assert bound.arrays[a] == np.float32(0.1)
    assert bound.notes == ("a: float64 data rounded to float32",)
    with pytest.raises(FeedError, match="overflows"):
        bind([a], {"a": np.array(1e300)})


@pytest.mark.parametrize("dtype", ["int8", "int32", "uint32", "int64", "uint64"])
@pytest.mark.parametrize("wanted", ["float32", "float64"])
def test_integers_become_floats_exactly_as_python_says(dtype, wanted):
    x = sn.input("X", ("N",), dtype=wanted)
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    near = [sign * (2**power + off) for power in (0, 24, 31, 32, 53, 62, 63, 64)
            for off in (-1, 0, 1, 2) for sign in (1, -1)]  # fmt: skip
    for number in {low, high, *(n for n in near if low <= n <= high)}:
        with np.errstate(all="ignore"):
            exact = int(np.array(number, dtype).astype(wanted)) == number
        data = {"X": np.array([0, number, 1], dtype)}
        if exact:
            assert bind([x], data).arrays[x][1] == number
        else:
            with pytest.raises(FeedError, match="some integers are not exact as floats"):
                bind([x], data)


def test_further_epochs_and_seeds_lay_nothing_out_anew(monkeypatch):
    made: list[Any] = []
    before = codegen.runtime.lay_out
    monkeypatch.setattr(codegen.runtime, "lay_out", lambda *a: made.append(a) or before(*a))
    data = {"X": FEATURES, "Y": LABELS}
    once, parts = (classifier() for _ in range(2))
    whole = once.fit(data, epochs=4).step_loss
    assert len(made) == 1
    pieces = [loss for _ in range(4) for loss in parts.fit(data, epochs=1).step_loss]
    assert pieces == whole
    assert len(made) == 2
    runs = parts.fit_many(data, seeds=[0, 9], epochs=4)
    assert runs[0].history.step_loss == whole != runs[1].history.step_loss
    assert len(made) == 2
    parts.fit({"X": FEATURES[:-1], "Y": LABELS[:-1]}, epochs=1)
    assert len(made) == 3
