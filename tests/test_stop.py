"""Stop rules: what they accept, what they say."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from symnet.errors import TrainingError
from symnet.stop import below, gradient_norm, patience


def test_rules_are_frozen_and_print_in_words():
    rule = patience("validation.loss", epochs=10)
    assert rule.restore_best
    assert str(rule) == "no better validation.loss for 10 epochs"
    assert str(below("loss", 1e-3)) == "loss < 0.001"
    assert str(gradient_norm(1e-6)) == "gradient norm < 1e-06"
    with pytest.raises(dataclasses.FrozenInstanceError):
        rule.epochs = 3


def test_losses_fall_and_metrics_rise_unless_said_otherwise():
    assert patience("validation.loss", 1).better(1.0, 2.0)
    assert patience("accuracy", 1).better(2.0, 1.0)
    assert patience("validation.mae", 1, higher_is_better=False).better(1.0, 2.0)
    for what in ("loss", "accuracy"):
        assert not patience(what, 1).better(1.0, 1.0)
        assert not patience(what, 1).better(float("nan"), 1.0)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: patience("validation", 3), "validation.loss"),
        (lambda: patience("train.loss", 3), "train.loss"),
        (lambda: patience("validation.a.b", 3), "validation.a.b"),
        (lambda: patience(3, 3), "got 3"),
        (lambda: patience("loss", 0), "got 0"),
        (lambda: patience("loss", 2.5), "got 2.5"),
        (lambda: below("lo ss", 1.0), "lo ss"),
        (lambda: below("loss", float("nan")), "finite"),
        (lambda: gradient_norm(0.0), "positive"),
        (lambda: gradient_norm("small"), "finite"),
    ],
)
def test_bad_rules_are_refused(make: Callable[[], object], says: str):
    with pytest.raises(TrainingError, match=says):
        make()
