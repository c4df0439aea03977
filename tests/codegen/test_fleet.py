"""Several bindings in one call give what each gives by itself, and so do several calls at once."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from codegen.compile import Options, compile_program
from codegen.fleet import Fleet
from codegen.runtime import Binding, Executable, Outcome
from tests.codegen.training import training

PROGRAM, SIZES = training()
STATE = ("W1", "b1", "W2", "b2", "m", "v", "losses")
STEPS = 40


@pytest.fixture(scope="module")
def executable() -> Executable:
    return compile_program(PROGRAM, Options(threads=2))


def made(executable: Executable, seed: int) -> tuple[Binding, dict[str, np.ndarray]]:
    """A binding with arrays of its own, which the seed draws, and as its number of steps;
    every fifth sees a NaN."""
    sizes = {**SIZES, "steps": STEPS - seed, "total": 37, "batch": 4, "turns": 10}
    random = np.random.default_rng(seed)
    arrays = {}
    for buffer in executable.plan.given:
        shape = [sizes.get(extent, extent) for extent in buffer.shape]
        arrays[buffer.name] = np.asarray(random.uniform(0.1, 0.5, shape)).astype(buffer.dtype)
    arrays["seed"][...] = seed
    if seed % 5 == 4:
        arrays["X"][5] = np.nan
    return executable.bind(sizes, arrays), arrays


def equal(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return all(one[name].tobytes() == other[name].tobytes() for name in STATE)


@pytest.mark.parametrize("most", [1, 2, 3, 8])
@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_a_fleet_gives_what_single_runs_give(executable: Executable, most: int, count: int) -> None:
    singles = [made(executable, seed) for seed in range(count)]
    alone = [binding.run(workers=1) for binding, _ in singles]
    together = [made(executable, seed) for seed in range(count)]
    assert Fleet(most).run([binding for binding, _ in together], [{}] * count) == alone
    for (_, one), (_, other) in zip(singles, together, strict=True):
        assert equal(one, other)
    assert [outcome.stopped for outcome in alone] == [None, None, None, None, 0, None, None][:count]


def test_a_fleet_runs_again_from_where_it_is(executable: Executable) -> None:
    binding, arrays = made(executable, 1)
    other, others = made(executable, 1)
    fleet = Fleet(2)
    for _ in range(3):
        binding.run()
        fleet.run([other], [{}])
    assert equal(arrays, others)


def test_one_program_runs_several_times_at_once(executable: Executable) -> None:
    """A crew has one order at a time, so each of these takes another."""
    alone = [made(executable, seed) for seed in range(4)]
    beside = [made(executable, seed) for seed in range(4)]
    outcomes: dict[int, list[Outcome]] = {}

    def run(seed: int) -> None:
        outcomes[seed] = [beside[seed][0].run(workers=2) for _ in range(50)]

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for seed, (binding, arrays) in enumerate(alone):
        assert [binding.run(workers=1) for _ in range(50)] == outcomes[seed]
        assert equal(arrays, beside[seed][1])
