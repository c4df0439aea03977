"""Workers that wait in compiled code, and how many of them a run takes."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from codegen import cache, crew
from codegen.choice import SHORT, TRIALS, Choice
from codegen.crew import Crew

COUNTING = """\
from codegen.cpu.calls import meet
from codegen.cpu.operations import *


def kernel(worker, workers, n, p):
    out, control = int64_at(p, 0), int64_at(p, 1)
    for i in range(n[0]):
        meet(control, 16, 0, workers, i)
        out[16 * worker] += workers
"""


class Orders:
    """A kernel in which every worker counts, and meets the others each time."""

    def __init__(self, meetings: int = 3) -> None:
        self.kernel = cache.kernel(COUNTING)
        self.out, self.control = np.zeros(16 * 8, np.int64), np.zeros(64, np.int64)
        self.numbers = np.array([meetings])
        self.cells = np.array([self.out.ctypes.data, self.control.ctypes.data])

    def give(self, to: Crew, workers: int) -> list[int]:
        self.out[:], self.control[:] = 0, 0
        address = self.kernel.loaded.address
        to.run(address, workers, self.numbers.ctypes.data, self.cells.ctypes.data)
        return self.out[::16].tolist()


def threads() -> set[str]:
    """The system's threads of this process."""
    return set(os.listdir("/proc/self/task"))


@pytest.fixture
def staying(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that do not leave by themselves, however long the next order takes to come."""
    monkeypatch.setattr(crew, "_NAPS", 1 << 60)


def gone(before: set[str], by: float = 60.0) -> bool:
    """True as soon as no other threads are left than those before, which may leave too."""
    end = time.monotonic() + by
    while threads() - before and time.monotonic() < end:
        time.sleep(0.01)
    return not threads() - before


@pytest.mark.usefixtures("staying")
def test_every_worker_takes_part_in_every_order():
    orders, workers = Orders(), Crew(4)
    before = threads()
    for count in (1, 4, 2, 3, 1, 2, 4) * 20:
        assert orders.give(workers, count) == [3 * count] * count + [0] * (8 - count)
    assert len(threads() - before) == 3


def test_they_leave_when_there_is_nothing_to_do_and_come_again():
    orders, workers = Orders(), Crew(2)
    before = threads()
    for _ in range(3):
        assert orders.give(workers, 2)[:2] == [6, 6]
        assert gone(before)


def test_leaving_and_being_called_at_once_loses_no_order(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(crew, "_NAPS", 1)
    orders, workers = Orders(), Crew(2)
    random = np.random.default_rng(0)
    for _ in range(100):
        assert orders.give(workers, 2)[:2] == [6, 6]
        time.sleep(random.uniform(0, 0.001))


@pytest.mark.usefixtures("staying")
def test_those_that_nobody_wants_any_more_leave():
    orders, workers = Orders(), Crew(3)
    before = threads()
    assert orders.give(workers, 3)[:3] == [9, 9, 9]
    assert threads() - before
    del workers
    assert gone(before)


def test_what_cannot_be_started_takes_no_part():
    script = textwrap.dedent("""
        import resource
        from codegen import crew
        from tests.codegen.test_crew import Orders
        crew._NAPS = 1 << 60
        orders, workers = Orders(), crew.Crew(3)
        assert orders.give(workers, 2)[:2] == [6, 6]
        size = next(int(line.split()[1]) for line in open("/proc/self/status") if "VmSize" in line)
        # Too little for the stack of another thread.
        resource.setrlimit(resource.RLIMIT_AS, (size * 1024 + (2 << 20), -1))
        assert orders.give(workers, 3)[:3] == [6, 6, 0]
        resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
        assert orders.give(workers, 3)[:3] == [9, 9, 9]
    """)
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_a_forked_child_has_workers_of_its_own():
    script = textwrap.dedent("""
        import os, sys, warnings
        warnings.simplefilter("ignore")
        from codegen.crew import Crew
        from tests.codegen.test_crew import Orders
        orders, workers = Orders(), Crew(2)
        assert orders.give(workers, 2)[:2] == [6, 6]
        child = os.fork()
        assert orders.give(workers, 2)[:2] == [6, 6]
        if child == 0:
            os._exit(0)
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """)
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def run(choice: Choice, seconds: dict[int, float], times: int) -> list[int]:
    """What is picked where a unit takes so many workers so long; a run takes some tenth of a
    second, a trial some units."""
    picked = []
    for _ in range(times):
        workers, trial = choice.pick()
        units = 10 if trial else 100
        choice.note(workers, units * seconds[workers], units)
        picked.append(workers)
    return picked


def test_the_quickest_number_is_chosen_and_the_others_looked_at_again():
    choice = Choice(3)
    picked = run(choice, {1: 3e-3, 2: 1e-3, 3: 2e-3}, 100)
    first, rest = picked[: 3 * TRIALS], picked[3 * TRIALS :]
    assert first == [1] * TRIALS + [2] * TRIALS + [3] * TRIALS
    assert {1, 3} < set(rest)
    assert rest.count(2) > 0.7 * len(rest)
    assert run(choice, {1: 1e-3, 2: 9e-3, 3: 9e-3}, 50)[-10:].count(1) >= 8


def test_a_long_step_is_seldom_tried_with_another_number():
    choice = Choice(2)
    picked = []
    for _ in range(300):
        workers, _ = choice.pick()
        choice.note(workers, 0.2 / workers, 1)
        picked.append(workers)
    assert picked[2 * TRIALS :].count(1) <= 3


def test_the_number_asked_for_is_taken_unless_it_is_much_slower_than_one():
    usual = Choice(3, asked=True)
    picked = run(usual, {1: 1e-3, 3: 1.5e-3}, 60)
    assert picked[: 2 * TRIALS] == [3] * TRIALS + [1] * TRIALS
    assert picked[2 * TRIALS :].count(3) > 40
    contended = {1: 1e-3, 3: 50e-3}
    assert run(usual, contended, 30)[-10:].count(1) >= 8
    assert run(usual, {1: 1e-3, 3: 0.5e-3}, 100)[-8:].count(3) >= 6


def test_one_slow_trial_does_not_count_for_long():
    choice = Choice(2)
    run(choice, {1: 1e-3, 2: 9e-3}, 2 * TRIALS)
    assert run(choice, {1: 1e-3, 2: 0.5e-3}, 40)[-20:].count(2) >= 15


def test_what_is_known_of_a_number_is_told():
    choice = Choice(2)
    assert choice.each(1) is None
    run(choice, {1: 3e-3, 2: 1e-3}, 2 * TRIALS)
    assert (choice.each(1), choice.each(2)) == (pytest.approx(3e-3), pytest.approx(1e-3))


def test_a_run_says_how_long_it_took():
    orders, workers = Orders(20_000), Crew(2)
    for count in (1, 2):
        start = time.perf_counter()
        numbers = orders.numbers.ctypes.data, orders.cells.ctypes.data
        orders.control[:] = 0
        seconds = workers.run(orders.kernel.loaded.address, count, *numbers)
        assert 0 < seconds < time.perf_counter() - start


def test_short_runs_take_one_worker():
    choice = Choice(2)
    for _ in range(30):
        workers, _ = choice.pick()
        choice.note(workers, SHORT / 2, 1)
        assert workers == 1


def test_one_core_leaves_no_choice():
    assert [Choice(1).pick() for _ in range(3)] == [(1, False)] * 3
