"""Compiling a network takes time in proportion to its depth."""

from __future__ import annotations

import sys
import time
from functools import cache

import symnet as sn
from codegen.check import check
from codegen.cpu.launch import launch
from codegen.ir import Program
from codegen.passes import optimise
from symnet.lower import Training, lower_training
from symnet.step import make_step
from symnet.train.model import build


@cache
def lowered(depth: int) -> Program:
    """The training of so many layers of tanh, as it is before any pass."""
    x, y = sn.input("X", ("N", 16)), sn.input("Y", ("N",), dtype="int64")
    hidden = [sn.nn.Dense(16, 16, activation="tanh") for _ in range(depth - 1)]
    scores = sn.nn.Sequential(*hidden, sn.nn.Dense(16, 4))(x)
    model = build(sn.losses.cross_entropy(scores, y), sn.optim.Adam(1e-3), None, None)
    step = make_step({"loss": model.loss, "rate": model.rate}, model.updates)
    return lower_training(Training(step, (), ("N",), True)).program


def compiled(depth: int) -> None:
    """Everything between lowering and the kernels themselves."""
    program = lowered(depth)
    check(program)
    launch(optimise(program)[-1][1])


def calls(depth: int) -> int:
    """How many calls that makes, of functions of Python and of C."""
    count = 0

    def note(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    lowered(depth)
    sys.setprofile(note)
    try:
        compiled(depth)
    finally:
        sys.setprofile(None)
    return count


def seconds(depth: int) -> float:
    """The time of this process alone, whatever else the machine does."""
    lowered(depth)
    start = time.process_time()
    compiled(depth)
    return time.process_time() - start


def test_each_further_layer_makes_as_many_calls_as_the_one_before() -> None:
    compiled(3)
    few, more, many = calls(8), calls(16), calls(32)
    assert (many - more) / (more - few) < 2.2


def test_ten_times_as_deep_takes_about_ten_times_as_long() -> None:
    compiled(3)
    assert seconds(100) < 20 * min(seconds(10), seconds(10))
