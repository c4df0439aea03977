"""Workers beside everything else that a program does: forks, other trainings, busy threads, its
end. Every number of them gives the same bits."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.forking import CASES, MAKERS, trained

ROOT = Path(__file__).parent.parent
HUNG = 600
"""Seconds after which a process counts as hung."""


@pytest.mark.parametrize("name", MAKERS)
def test_every_number_of_workers_gives_the_same_bits(name: str) -> None:
    alone = trained(name, 1)
    for threads in (2, 3, 8, None):
        assert trained(name, threads) == alone


@pytest.mark.parametrize("case", CASES)
def test_forks_and_the_end_of_a_process(case: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.forking", case],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=HUNG,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    assert done.stdout == "done\n"


def test_two_trainings_at_once_give_the_bits_of_one() -> None:
    alone = trained("digits", 1, 30)
    found: list[list[bytes]] = []

    def train() -> None:
        found.append(trained("digits", 2, 30))

    both = [threading.Thread(target=train) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join(HUNG)
    assert found == [alone] * 2


def test_a_busy_thread_beside_the_training_changes_nothing() -> None:
    alone, over = trained("digits", 1, 30), threading.Event()

    def busy() -> None:
        while not over.is_set():
            sum(range(1000))

    thread = threading.Thread(target=busy)
    thread.start()
    try:
        assert trained("digits", 2, 30) == alone
    finally:
        over.set()
        thread.join()
