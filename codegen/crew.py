"""Workers that wait in compiled code."""

from __future__ import annotations

import ctypes
import os
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from codegen import cache
from codegen.cache import Kernel

TEXT = Path(__file__).parent / "cpu" / "crew_kernel.py"
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
        self._posts: _Posts | None = None

    def run(self, address: int, workers: int, n: int, p: int) -> float:
        """Lets so many workers run the kernel at the address with these operands, and returns when
        all have: the seconds it took them, without those that Python's lock may cost. Fewer take
        part where the system starts no more threads."""
        if self._posts is None or self._posts.process != os.getpid():
            # After a fork the threads are the parent's.
            self._posts = _Posts(self.most)
            weakref.finalize(self, self._posts.dismiss)
        order = self._posts.order
        order[:4] = address, workers, n, p
        self._posts.enter(0, workers)
        _, began, and_more, ended, more = order[4:9].tolist()
        return float(ended - began + 1e-9 * (more - and_more))


class _Posts:
    """The memory that a crew's threads share, which must outlive them, and their code."""

    def __init__(self, most: int) -> None:
        self.process = os.getpid()
        memory = np.zeros(_LINE * (most + 2), np.int64)
        first = -int(memory.__array_interface__["data"][0]) % 128 // 8
        self.words: npt.NDArray[np.int64] = memory[first : first + _LINE * (most + 1)]
        self.order = self.words[_LINE * most :]
        self._kernel: Kernel = cache.kernel(TEXT.read_text())
        address = self._kernel.loaded.address
        self._numbers = np.array([most, _NAPS], np.int64)
        self._cells = np.array([self.words.ctypes.data, address], np.int64)
        self._scratch = np.zeros(2, np.int64)
        self._call: Any = PROTOTYPE(address)
        status = self._scratch.ctypes.data
        self._status = (status, status + 8)
        self._operands = (self._numbers.ctypes.data, self._cells.ctypes.data)

    def enter(self, worker: int, workers: int) -> None:
        """Calls the crew's kernel as this worker."""
        self._call(*self._status, worker, workers, *self._operands)

    def dismiss(self) -> None:
        """Sends those who are parked away: nobody wants them any more, or Python ends."""
        if self.process == os.getpid():
            self.enter(-1, 0)
