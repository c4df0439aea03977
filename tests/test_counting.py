"""The count of work sees a quadratic step beside much that is linear."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from tests.counting import growth, work


def looped(size: int) -> Callable[[], object]:
    """So many times the same thing."""

    def run() -> None:
        for _ in range(100 * size):
            abs(size)

    return run


def listed(size: int) -> Callable[[], object]:
    """The same, and each time a look at everything."""

    def run() -> None:
        looped(size)()
        for one in range(size):
            any(one == other for other in range(size))

    return run


def test_what_is_linear_grows_as_it_should_and_what_is_quadratic_does_not():
    assert growth(looped, 10) == pytest.approx(1, abs=0.01)
    assert growth(listed, 20) > 1.05


def test_the_count_is_the_same_every_time_and_leaves_nothing_behind():
    before = sys.gettrace(), sys.getprofile()
    assert work(listed(20)) == work(listed(20)) > 2000
    assert (sys.gettrace(), sys.getprofile()) == before
