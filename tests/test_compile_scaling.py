"""Compiling a network is work in proportion to its depth, counted, not timed."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

import symnet as sn
from codegen.check import check
from codegen.cpu.launch import launch
from codegen.ir import Program
from codegen.passes import alike, optimise
from symnet.lower import Training, lower_training
from symnet.step import make_step
from symnet.train.model import build
from tests.counting import growth


@cache
def lowered(depth: int) -> Program:
    """The training of so many layers of tanh, as it is before any pass."""
    x, y = sn.input("X", ("N", 16)), sn.input("Y", ("N",), dtype="int64")
    hidden = [sn.nn.Dense(16, 16, activation="tanh") for _ in range(depth - 1)]
    scores = sn.nn.Sequential(*hidden, sn.nn.Dense(16, 4))(x)
    model = build(sn.losses.cross_entropy(scores, y), sn.optim.Adam(1e-3), None, None)
    step = make_step({"loss": model.loss, "rate": model.rate}, model.updates)
    return lower_training(Training(step, (), ("N",), True)).program


def compiled(depth: int) -> Callable[[], object]:
    """Everything between lowering and the kernels themselves."""
    program = lowered(depth)

    def run() -> None:
        # Nothing is remembered of an earlier run of the same depth.
        alike.forget()
        check(program)
        launch(optimise(program)[-1][1])

    return run


@pytest.mark.parametrize("depth", [5, 20])
def test_each_further_layer_is_as_much_work_as_the_one_before(depth: int) -> None:
    compiled(3)()
    assert growth(compiled, depth) < 1.1
