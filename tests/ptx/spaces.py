"""State spaces: from addresses of lanes to bytes of an arena, with every check of an access."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.ptx.errors import InFlight, Misaligned, OutOfBounds, Race, Uninitialised, UseAfterFree
from tests.ptx.memory import ABSENT, FREED, GLOBAL_BASE, RAW, WRITTEN, Arena, DeviceMemory
from tests.ptx.order import Shadow
from tests.ptx.syntax import Instruction

Array = np.ndarray[Any, Any]


@dataclass(slots=True)
class Place:
    """What the lanes access: `bytes` are places in the arena, checked; the methods record the
    access, and raise Race or Uninitialised or InFlight."""

    space: Space
    bytes: Array
    lanes: Array
    size: int
    instruction: Instruction

    def read(self) -> None:
        """A plain read."""
        self.space.watch_read(self)

    def write(self, values: Callable[[], Array]) -> Array | None:
        """A plain write of `values()`, of shape (lanes, bytes); gives which lanes meet others."""
        return self.space.watch_write(self, values)

    def strong(
        self, *, write: bool, acquire: bool = False, release: bool = False, both: bool = False
    ) -> None:
        """A volatile, relaxed, acquire, release or atomic access."""
        self.space.watch_strong(self, write, acquire, release, both)

    def same(self, met: Array, values: Array) -> None:
        """Race if lanes wrote different bytes to one place in one instruction."""
        now = self.space.arena.gather(self.bytes, self.size)
        bad = (now != values).any(axis=1)
        if bad.any():
            lane = self.lanes[bad][0]
            self.space.machine.fault(
                Race, self.instruction, lane,
                f"threads write different values to one place of {self.space.name} memory",
            )  # fmt: skip


class Space:
    """A space whose every block or lane has `stride` bytes, of which `limit` may be used."""

    def __init__(self, machine: Any, name: str, arena: Arena, limit: int) -> None:
        self.machine, self.name, self.arena, self.limit = machine, name, arena, limit
        self.starts: Array = np.zeros(machine.binder.count, np.int64)
        self.watched = False
        self.flying: Array | None = None

    def place(
        self, addresses: Array, lanes: Array, size: int, i: Instruction, *, write: bool
    ) -> Place:
        """The checked bytes; OutOfBounds, Misaligned, UseAfterFree, Uninitialised."""
        if size > 1:
            low = addresses & (size - 1)
            if np.count_nonzero(low):
                self._fault(Misaligned, i, addresses, lanes, low != 0, size)
        return Place(self, self._located(addresses, lanes, size, i, write), lanes, size, i)

    def _located(
        self, addresses: Array, lanes: Array, size: int, i: Instruction, write: bool
    ) -> Array:
        if np.maximum.reduce(addresses.view(np.uint64)) > self.limit - size or self.limit < size:
            bad = (addresses < 0) | (addresses > self.limit - size)
            self._fault(OutOfBounds, i, addresses, lanes, bad, size)
        return addresses + self.starts[lanes]

    def _fault(
        self, kind: Any, i: Instruction, addresses: Array, lanes: Array, bad: Array, size: int
    ) -> None:
        at = int(np.flatnonzero(bad)[0])
        where = f"{size} bytes at {int(addresses[at]):#x} of {self.name} memory"
        if self.name == "shared":
            where += f", of which the block has {self.limit}"
        self.machine.fault(kind, i, int(lanes[at]), where)

    def is_one_for(self, lanes: Array) -> bool:
        """Whether one address is one place for all these lanes, which are in ascending order."""
        return bool(self.starts[lanes[0]] == self.starts[lanes[-1]])

    def watch_read(self, place: Place) -> None:
        if not self.watched:
            return
        order, shadow = self.machine.order, self.arena.shadow(self.machine.granule)
        cells, lanes = shadow.spread(place.bytes, place.lanes, place.size)
        if self.flying is not None and self.flying[cells].any():
            self._flying(place, cells, lanes)
        self._initialised(place, shadow, cells, lanes)
        found = shadow.conflicts(order, cells, lanes, read=True, strong=False)
        if found is not None:
            self._race(place, "a read", *found, lanes)
        shadow.note(order, shadow.read, cells, lanes)

    def watch_uniform(self, place: Place, lanes: Array) -> None:
        """A read of one place by many lanes, in ascending order; `place` is that of the first."""
        if not self.watched:
            return
        order, shadow = self.machine.order, self.arena.shadow(self.machine.granule)
        first = int(place.bytes[0]) // shadow.granule
        cells = slice(first, first + max(place.size // shadow.granule, 1))
        level = order.level(int(lanes[0]), int(lanes[-1]))
        if not self._plain(shadow, cells, level):
            places = np.broadcast_to(place.bytes, lanes.size)
            self.watch_read(Place(self, places, lanes, place.size, place.instruction))
            return
        order.active(lanes)
        shadow.read[cells] = level + (order.now << 32)

    def _plain(self, shadow: Shadow, cells: slice, level: int) -> bool:
        """Whether these cells were written long ago, and since read by the same threads at most."""
        bound = self.machine.order.bound
        if self.flying is not None and self.flying[cells].any():
            return False
        latest = int(shadow.written[cells].max())
        if latest >= bound or (shadow.any_strong and int(shadow.strong[cells].max()) >= bound):
            return False
        if self.name == "shared" and int(shadow.written[cells].min()) < self.machine.order.fresh:
            return False
        return all(old < bound or old & 0xFFFFFFFF == level for old in shadow.read[cells].tolist())

    def watch_write(self, place: Place, values: Callable[[], Array]) -> Array | None:
        if not self.watched:
            return None
        order, shadow = self.machine.order, self.arena.shadow(self.machine.granule)
        cells, lanes = shadow.spread(place.bytes, place.lanes, place.size)
        if self.flying is not None and self.flying[cells].any():
            self._flying(place, cells, lanes)
        found = shadow.conflicts(order, cells, lanes, read=False, strong=False)
        if found is not None:
            # To write again what is there is harmless, if nobody else wrote or read it.
            bad = found[1].reshape(place.lanes.size, -1).any(axis=1)
            changed = (self.arena.gather(place.bytes, place.size) != values()).any(axis=1)
            if found[0] != "a write" or (bad & changed).any():
                self._race(place, "a write", *found, lanes)
        return shadow.note(order, shadow.written, cells, lanes)

    def watch_strong(
        self, place: Place, write: bool, acquire: bool, release: bool, both: bool
    ) -> None:
        if not self.watched:
            return
        order, shadow = self.machine.order, self.arena.shadow(self.machine.granule)
        cells, lanes = shadow.spread(place.bytes, place.lanes, place.size)
        shadow.any_strong = True
        if self.flying is not None and self.flying[cells].any():
            self._flying(place, cells, lanes)
        if not write or both:
            self._initialised(place, shadow, cells, lanes)
        found = shadow.conflicts(order, cells, lanes, read=not write, strong=True)
        if found is not None:
            self._race(place, "an atomic access", *found, lanes)
        shadow.note(order, shadow.strong if write else shadow.strong_read, cells, lanes)
        for byte, lane in zip(place.bytes.tolist(), place.lanes.tolist(), strict=True):
            address = (self.name, byte)
            if not write or both:
                order.saw(address, lane // 32, acquire)
            if write:
                order.wrote(address, lane // 32, release)

    def _initialised(self, place: Place, shadow: Shadow, cells: Array, lanes: Array) -> None:
        """Shared memory is unknown at the start of a launch."""
        if self.name != "shared":
            return
        start = self.machine.order.fresh
        fresh = shadow.written[cells] < start
        if shadow.any_strong and fresh.any():
            fresh &= shadow.strong[cells] < start
        if fresh.any():
            lane = int(lanes[np.flatnonzero(fresh)[0]])
            self.machine.fault(
                Uninitialised, place.instruction, lane, "shared memory that nobody wrote is read"
            )

    def _flying(self, place: Place, cells: Array, lanes: Array) -> None:
        assert self.flying is not None
        lane = int(lanes[np.flatnonzero(self.flying[cells])[0]])
        self.machine.fault(
            InFlight, place.instruction, lane, "shared memory that a cp.async may still be filling"
        )

    def _race(self, place: Place, what: str, earlier: str, bad: Array, lanes: Array) -> None:
        lane = int(np.repeat(place.lanes, lanes.size // place.lanes.size)[np.flatnonzero(bad)[0]])
        self.machine.fault(
            Race, place.instruction, lane,
            f"{what} of {self.name} memory that nothing orders after {earlier} by another thread",
        )  # fmt: skip


class GlobalSpace(Space):
    """The device's memory, where every byte has a state."""

    def __init__(self, machine: Any, arena: DeviceMemory, initialised: bool) -> None:
        super().__init__(machine, "global", arena, 0)
        self.memory, self.initialised = arena, initialised

    def _located(
        self, addresses: Array, lanes: Array, size: int, i: Instruction, write: bool
    ) -> Array:
        places = addresses - GLOBAL_BASE
        state = self.memory.state
        # Below the start is, without a sign, far above the end.
        if np.maximum.reduce(places.view(np.uint64)) > self.memory.size - size:
            outside = (places < 0) | (places > self.memory.size - size)
            self._fault(OutOfBounds, i, addresses, lanes, outside, size)
        first, final = state[places], state[places + (size - 1)]
        worst = min(np.minimum.reduce(first), np.minimum.reduce(final))
        if worst == WRITTEN:
            return places
        for kind, bad_state in ((OutOfBounds, ABSENT), (UseAfterFree, FREED)):
            bad = (first == bad_state) | (final == bad_state)
            if bad.any():
                self._fault(kind, i, addresses, lanes, bad, size)
        self._raw(addresses, places, lanes, size, i, write)
        return places

    def _raw(
        self, addresses: Array, places: Array, lanes: Array, size: int, i: Instruction, write: bool
    ) -> None:
        if write and i.opcode not in ("atom", "red"):
            for k in range(size):
                self.memory.state[places + k] = WRITTEN
        elif self.initialised:
            bad = (self.memory.state[places] == RAW) | (self.memory.state[places + size - 1] == RAW)
            self._fault(Uninitialised, i, addresses, lanes, bad, size)
