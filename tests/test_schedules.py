"""Schedules against torch's, step by step and past their ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler as theirs

import symnet as sn
from symnet import schedules as ours
from symnet.errors import DtypeError, ShapeError, TrainingError
from symnet.expr import Expr
from symnet.reference import evaluate


def rates(schedule: Expr, steps: int) -> np.ndarray[Any, Any]:
    """The rate at steps 0, 1, ..., steps - 1."""
    assert schedule.shape == ()
    assert schedule.dtype == np.float64
    return np.array([evaluate(schedule, {ours.step: float(k)}) for k in range(steps)])


def torch_rates(
    make: Callable[[torch.optim.Optimizer], Any], steps: int, rate: float = 0.1
) -> np.ndarray[Any, Any]:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=rate)
    schedule = make(optimizer)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return np.array(found)


CASES: dict[str, tuple[Expr, Callable[[torch.optim.Optimizer], Any], int]] = {
    "constant": (ours.constant(0.1), lambda o: theirs.ConstantLR(o, factor=1.0), 5),
    "step_decay": (ours.step_decay(0.1, 0.5, 4), lambda o: theirs.StepLR(o, 4, 0.5), 20),
    "exponential": (ours.exponential(0.1, 0.9), lambda o: theirs.ExponentialLR(o, 0.9), 30),
    "linear": (
        ours.linear(0.1, 0.01, 10),
        lambda o: theirs.LinearLR(o, start_factor=1.0, end_factor=0.1, total_iters=10),
        15,
    ),
    "cosine": (ours.cosine(0.1, 0.01, 10), lambda o: theirs.CosineAnnealingLR(o, 10, 0.01), 11),
    "one_cycle": (ours.one_cycle(0.1, 20), lambda o: theirs.OneCycleLR(o, 0.1, 20), 20),
    "one_cycle, other shares": (
        ours.one_cycle(0.1, 31, rising=0.45, divisor=10.0, final_divisor=100.0),
        lambda o: theirs.OneCycleLR(
            o, 0.1, 31, pct_start=0.45, div_factor=10.0, final_div_factor=100.0
        ),
        31,
    ),
}


@pytest.mark.filterwarnings("ignore:Detected call of")
@pytest.mark.parametrize("case", CASES)
def test_the_rate_is_torchs(case: str):
    schedule, make, steps = CASES[case]
    np.testing.assert_allclose(rates(schedule, steps), torch_rates(make, steps), rtol=1e-12)


@pytest.mark.parametrize(
    ("schedule", "end"),
    [
        (ours.linear(1.0, 0.25, 8), 8),
        (ours.cosine(1.0, 0.25, 8), 8),
        (ours.one_cycle(1.0, 9), 8),
        (ours.warmup(0.5, 8), 7),
        (ours.warmup(ours.linear(1.0, 0.5, 4), 8), 11),
    ],
)
def test_a_schedule_holds_its_last_value(schedule: Expr, end: int):
    found = rates(schedule, end + 6)
    assert len(set(found[end:])) == 1
    assert found[end - 1] != found[end]


def test_linear_is_its_formula_to_the_bit():
    np.testing.assert_array_equal(
        rates(ours.linear(1.0, 0.1, 100), 100), [1.0 + (0.1 - 1.0) * k / 100 for k in range(100)]
    )


def test_warmup_rises_and_then_the_schedule_begins():
    after = ours.cosine(0.2, 0.0, 10)
    found = rates(ours.warmup(after, 4), 14)
    np.testing.assert_allclose(found[:4], [0.05, 0.1, 0.15, 0.2], rtol=1e-15)
    np.testing.assert_allclose(found[3:], rates(after, 11), rtol=1e-12)
    np.testing.assert_allclose(rates(ours.warmup(0.2, 4), 6), [0.05, 0.1, 0.15, 0.2, 0.2, 0.2])


def test_a_schedule_is_any_expression_of_the_step():
    mine = sn.minimum(1e-3, 1e-5 * (ours.step + 1))
    np.testing.assert_allclose(rates(mine, 3), [1e-5, 2e-5, 3e-5], rtol=1e-15)


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: ours.linear(1.0, 0.1, 0), TrainingError, "at least 1"),
        (lambda: ours.linear(1.0, 0.1, 2.5), TrainingError, "integer"),
        (lambda: ours.cosine("a", 0.1, 3), DtypeError, "finite number"),
        (lambda: ours.constant(float("inf")), DtypeError, "finite number"),
        (lambda: ours.constant(sn.input("x", (3,))), ShapeError, "scalar"),
        (lambda: ours.one_cycle(1.0, 3), TrainingError, "no room"),
        (lambda: ours.one_cycle(1.0, 10, rising=1.2), TrainingError, "no room"),
        (lambda: ours.step_decay(1.0, 0.5, -1), TrainingError, "at least 1"),
    ],
)
def test_bad_schedules_are_refused(
    make: Callable[[], object], error: type[Exception], says: str
):
    with pytest.raises(error, match=says):
        make()
