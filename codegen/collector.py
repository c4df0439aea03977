"""Python's collector of cycles, kept out of what makes many values and no cycles.

Graphs and programs are frozen values made of others: they go when nobody holds them. The collector
looks through all that lives again and again while they are made, which took a third of the time,
and more the larger a network is.
"""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Held:
    """How many stretches of code run uncollected, and whether the collector was on before."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.depth, self.was_on = 0, False

    def hold(self) -> None:
        with self.lock:
            if not self.depth:
                self.was_on = gc.isenabled()
                gc.disable()
            self.depth += 1

    def release(self) -> None:
        with self.lock:
            self.depth = max(self.depth - 1, 0)
            if not self.depth and self.was_on:
                gc.enable()

    def forget(self) -> None:
        """A child has one thread: what others held in its parent, nobody holds here."""
        if self.depth and self.was_on:
            gc.enable()
        self.lock, self.depth, self.was_on = threading.Lock(), 0, False


_held = _Held()
os.register_at_fork(after_in_child=_held.forget)


@contextmanager
def uncollected() -> Iterator[None]:
    """Without the collector, in all threads, until the last who asked for it is done; then it is as
    it was before the first. May be nested."""
    _held.hold()
    try:
        yield
    finally:
        _held.release()
