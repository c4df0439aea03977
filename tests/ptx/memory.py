"""The memories of the machine: byte arenas, seen as elements of each size.

Generic addresses tell their space by windows, as on the device: shared and local memory have one
each, all else is global. The arenas' addresses of shared memory begin at 0 in every block, those of
local memory at 0 in every thread.
"""

from __future__ import annotations

import bisect
from typing import Any

import numpy as np

from tests.ptx.errors import LaunchFault, OutOfBounds, UseAfterFree
from tests.ptx.order import Shadow

Array = np.ndarray[Any, Any]
SHARED_WINDOW = 1 << 40
LOCAL_WINDOW = 2 << 40
WINDOW_END = 3 << 40
GLOBAL_BASE = 0x7F00_0000_0000
ALIGNMENT = 256
"""Of what is allocated, as cuMemAlloc promises."""

ABSENT, FREED, RAW, WRITTEN = range(4)
"""What a byte of device memory is; the more, the more may be done with it."""


class Arena:
    """Bytes, as arrays of unsigned integers of 1, 2, 4 and 8 bytes."""

    def __init__(self, size: int) -> None:
        self.resize(size)
        self.shadows: dict[int, Shadow] = {}

    def resize(self, size: int) -> None:
        """Room for so many bytes; those that were there stay."""
        old = self.views[1] if hasattr(self, "views") else np.zeros(0, np.uint8)
        data = np.zeros(-(-size // 16) * 16, np.uint8)
        data[: old.size] = old
        self.views = {n: data.view(f"u{n}") for n in (1, 2, 4, 8)}
        self.size = data.size

    @property
    def data(self) -> Array:
        return self.views[1]

    def shadow(self, granule: int) -> Shadow:
        """Who read and wrote what, in cells of so many bytes."""
        found = self.shadows.get(granule)
        if found is None or found.cells < self.size // granule:
            found = self.shadows[granule] = Shadow(self.size // granule, granule)
        return found

    def gather(self, places: Array, size: int) -> Array:
        """The bytes there, of shape (places, size)."""
        return self.data[places[:, None] + np.arange(size)]

    def scatter(self, places: Array, values: Array) -> None:
        """Writes bytes of shape (places, size)."""
        self.data[places[:, None] + np.arange(values.shape[1])] = values


class DeviceMemory(Arena):
    """One flat device memory in which allocations are ranges with gaps between them, never reused,
    so that an access after a free is seen. `state` says what each byte is."""

    def __init__(self) -> None:
        super().__init__(1 << 16)
        self.state = np.zeros(self.size, np.uint8)
        self.top = ALIGNMENT
        self.starts: list[int] = []
        self.ranges: dict[int, int] = {}

    def allocate(self, count: int) -> int:
        """The address of so many bytes; what they hold reads as NaN until it is written."""
        start = self.top
        self.top = -(-(start + count + ALIGNMENT) // ALIGNMENT) * ALIGNMENT
        if self.top > self.size:
            self.resize(max(2 * self.size, self.top))
            state = np.zeros(self.size, np.uint8)
            state[: self.state.size] = self.state
            self.state = state
        self.data[start : start + count] = 0xFF
        self.state[start : start + count] = RAW
        self.starts.append(start)
        self.ranges[start] = count
        return GLOBAL_BASE + start

    def free(self, address: int) -> None:
        """Gives an allocation back; UseAfterFree if it was already, OutOfBounds if it is none."""
        start = address - GLOBAL_BASE
        if start not in self.ranges:
            raise OutOfBounds(f"free of {address:#x}, which allocate did not give")
        count = self.ranges[start]
        if count and self.state[start] == FREED:
            raise UseAfterFree(f"free of {address:#x} a second time")
        self.state[start : start + count] = FREED

    def span(self, address: int, count: int, what: str) -> slice:
        """The bytes of a copy; OutOfBounds or UseAfterFree if they are not of one allocation."""
        start = address - GLOBAL_BASE
        found = bisect.bisect_right(self.starts, start) - 1
        begin = self.starts[found] if found >= 0 else 0
        if found < 0 or start < begin or start + count > begin + self.ranges[begin]:
            raise OutOfBounds(f"{what} of {count} bytes at {address:#x} leaves every allocation")
        if count and self.state[start] == FREED:
            raise UseAfterFree(f"{what} of {count} bytes at {address:#x}, which was freed")
        return slice(start, start + count)

    def upload(self, address: int, array: Array) -> None:
        """Copies a C-contiguous array there."""
        if not array.flags.c_contiguous:
            raise LaunchFault("upload of an array that is not C-contiguous")
        span = self.span(address, array.nbytes, "upload")
        self.data[span] = array.reshape(-1).view(np.uint8)
        self.state[span] = WRITTEN

    def download(self, array: Array, address: int) -> None:
        """Fills a C-contiguous array from there."""
        if not array.flags.c_contiguous:
            raise LaunchFault("download into an array that is not C-contiguous")
        span = self.span(address, array.nbytes, "download")
        array.reshape(-1).view(np.uint8)[:] = self.data[span]
