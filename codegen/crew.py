"""Workers that wait in compiled code, and the choice of how many take part in a run."""

from __future__ import annotations

import ctypes
import os
import threading
from pathlib import Path

import numpy as np

from codegen import cache
from codegen.cache import Kernel

_TEXT = Path(__file__).parent / "cpu" / "crew_kernel.py"
_GONE, _PARKED, _RESERVED = 0, 1, 3
_LINE = 16
_NAPS = 500
"""Of a tenth of a millisecond: how long a worker stays when there is nothing to do."""

PROTOTYPE = ctypes.CFUNCTYPE(
    ctypes.c_int32,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_ssize_t,
    ctypes.c_ssize_t,
    ctypes.c_void_p,
    ctypes.c_void_p,
)
"""A kernel: status and error cells that nobody looks at, worker, workers, `n`, `p`."""


class Crew:
    """Up to `most` workers, the calling thread among them. One order at a time."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._kernel: Kernel | None = None
        self._process = os.getpid()
        memory = np.zeros(_LINE * (most + 2), np.int64)
        first = -int(memory.__array_interface__["data"][0]) % 128 // 8
        self._words = memory[first : first + _LINE * (most + 1)]
        self._order = self._words[_LINE * most :]
        self._numbers = np.array([most, _NAPS], np.int64)
        self._cells = np.array([self._words.ctypes.data], np.int64)
        self._scratch = np.zeros(2 * most, np.int64)
        self._places = tuple(
            each.ctypes.data for each in (self._scratch, self._numbers, self._cells)
        )

    def run(self, address: int, workers: int, n: int, p: int) -> None:
        """Lets so many workers run the kernel at the address with these operands, and returns when
        all have. RuntimeError if a worker could not be started; then none has run."""
        if workers == 1:
            scratch = self._places[0]
            PROTOTYPE(address)(scratch, scratch + 8, 0, 1, n, p)
            return
        self._order[:4] = address, workers, n, p
        self._gather(workers)
        self._enter(0, workers)

    def _gather(self, workers: int) -> None:
        """Reserves those that are parked, and starts those that are gone."""
        if self._process != os.getpid():
            # After a fork the threads are the parent's.
            self._words[: _LINE * self.most] = _GONE
            self._process = os.getpid()
        self._enter(-1, workers)
        posts = self._words[_LINE : _LINE * workers : _LINE]
        for worker in range(1, workers):
            if posts[worker - 1] == _GONE:
                try:
                    threading.Thread(target=self._enter, args=(worker, self.most)).start()
                except RuntimeError:
                    posts[posts == _RESERVED] = _PARKED
                    raise
                posts[worker - 1] = _RESERVED

    def _enter(self, worker: int, workers: int) -> None:
        """Calls the crew's kernel as this worker."""
        if self._kernel is None:
            self._kernel = cache.kernel(_TEXT.read_text())
        scratch, numbers, cells = self._places
        scratch += 16 * max(worker, 0)
        PROTOTYPE(self._kernel.loaded.address)(
            scratch, scratch + 8, worker, workers, numbers, cells
        )
