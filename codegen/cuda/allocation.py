"""Device memory: sections of one allocation, and allocations kept for the next binding."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field

from codegen.cuda.device import Device, DeviceError

_ALIGNED = 256
_KEPT = 4


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


@dataclass
class Pool:
    """Allocations that nobody uses at the moment, by device and size: to ask the driver for memory
    takes longer than a small program runs. The pool keeps the devices it has memory of."""

    _free: dict[tuple[int, int], list[int]] = field(default_factory=dict)
    _devices: dict[int, Device] = field(default_factory=dict)

    def take(self, device: Device, size: int) -> int:
        """The address of so many bytes, whatever they hold."""
        kept = self._free.get((id(device), size))
        return kept.pop() if kept else device.allocate(size)

    def give(self, device: Device, size: int, address: int) -> None:
        """Takes an allocation back."""
        self._devices[id(device)] = device
        kept = self._free.setdefault((id(device), size), [])
        if len(kept) < _KEPT:
            kept.append(address)
        else:
            # While the interpreter ends, the driver may have gone first.
            with contextlib.suppress(DeviceError):
                device.free(address)

    def clear(self) -> None:
        """Gives back all that nobody uses."""
        with contextlib.suppress(DeviceError):
            for (owner, _), kept in self._free.items():
                while kept:
                    self._devices[owner].free(kept.pop())

    def __del__(self) -> None:
        self.clear()
