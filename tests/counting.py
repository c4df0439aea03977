"""How much work something is, as a number that neither the machine nor its load can change."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def work(run: Callable[[], object]) -> int:
    """How many lines of Python that runs in this thread, and how many functions of C it calls. The
    garbage collector rests meanwhile: when it would come depends on what was done before."""
    count = 0

    def line(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        count += event == "line"
        return line

    def call(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event == "c_call"

    before = sys.gettrace(), sys.getprofile()
    gc.collect()
    gc.disable()
    sys.settrace(line)
    sys.setprofile(call)
    try:
        run()
    finally:
        sys.settrace(before[0])
        sys.setprofile(before[1])
        gc.enable()
    return count


def growth(make: Callable[[int], Callable[[], object]], size: int) -> float:
    """How the work grows from twice the size to four times, over twice what it grows from the size
    to twice that: 1 where it is linear, 2 where it is quadratic. What `make` itself does is not
    counted."""
    few, more, many = (work(make(size * times)) for times in (1, 2, 4))
    return (many - more) / (2 * (more - few))
