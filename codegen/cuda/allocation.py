"""Device memory: sections of one allocation, and allocations kept for the next binding."""

from __future__ import annotations

import contextlib
import weakref
from dataclasses import dataclass, field

from codegen.cuda.device import Device, DeviceError

_ALIGNED = 256
_KEPT, _MOST = 4, 32
"""Allocations kept of one size, and of all."""
_BYTES = 1 << 30
"""Bytes kept in more than one allocation."""


@dataclass(frozen=True, slots=True)
class Section:
    """Bytes `offset` to `offset + size` of an allocation."""

    offset: int
    size: int


@dataclass(slots=True)
class Sections:
    """A layout in the making; every section begins at a multiple of 256 bytes."""

    total: int = 0

    def add(self, size: int) -> Section:
        """The next section, of that many bytes."""
        section = Section(self.total, size)
        self.total += -(-size // _ALIGNED) * _ALIGNED
        return section


@dataclass(eq=False)
class Pool:
    """Allocations that nobody uses at the moment, by device and size: to ask the driver for memory
    takes longer than a small program runs. The pool keeps the devices it has memory of.

    The sizes given back longest ago go first, where there are too many, or too large ones; all go,
    those of other pools too, where a device has no more memory.
    """

    # (device, size, address), those given back last at the end. One list, each of whose changes is
    # one step: another thread may come between, or the collector with what it finds unused.
    _kept: list[tuple[int, int, int]] = field(default_factory=list)
    _devices: dict[int, Device] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _POOLS.add(self)

    def take(self, device: Device, size: int) -> int:
        """The address of so many bytes, whatever they hold."""
        for entry in self._alike(device, size)[::-1]:
            with contextlib.suppress(ValueError):
                self._kept.remove(entry)
                return entry[2]
        try:
            return device.allocate(size)
        except DeviceError:
            for pool in list(_POOLS):
                pool.clear()
            return device.allocate(size)

    def give(self, device: Device, size: int, address: int) -> None:
        """Takes an allocation back."""
        self._devices[id(device)] = device
        self._kept.append((id(device), size, address))
        alike = self._alike(device, size)
        if len(alike) > _KEPT:
            self._let_go(alike[0])
        while len(kept := list(self._kept)) > 1 and (
            len(kept) > _MOST or sum(each for _, each, _ in kept) > _BYTES
        ):
            self._let_go(kept[0])

    def _alike(self, device: Device, size: int) -> list[tuple[int, int, int]]:
        return [each for each in list(self._kept) if each[:2] == (id(device), size)]

    def _let_go(self, entry: tuple[int, int, int]) -> None:
        # Somebody may have taken it meanwhile. While the interpreter ends, the driver may have gone
        # first.
        with contextlib.suppress(ValueError, DeviceError):
            self._kept.remove(entry)
            self._devices[entry[0]].free(entry[2])

    def clear(self) -> None:
        """Gives back all that nobody uses."""
        for entry in list(self._kept):
            self._let_go(entry)

    def __del__(self) -> None:
        self.clear()


_POOLS: weakref.WeakSet[Pool] = weakref.WeakSet()
