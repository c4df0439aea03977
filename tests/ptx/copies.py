"""Asynchronous copies in flight (PTX ISA, "Data Movement and Conversion Instructions: Asynchronous
copy"): the bytes are written when the thread that asked for them waits for their group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.ptx.spaces import Place

Array = np.ndarray[Any, Any]


@dataclass(slots=True)
class _Batch:
    """What one instruction started: lane by lane a place, its bytes, and the lane's group."""

    to: Place
    source: Place | None
    values: Array
    groups: Array


class Copies:
    """The copies of one launch."""

    def __init__(self, machine: Any, count: int) -> None:
        self.machine = machine
        self.committed = np.zeros(count, np.int64)
        self.batches: list[_Batch] = []

    def begin(self) -> None:
        """A launch: nothing is in flight."""
        self.committed[:] = 0
        self.batches.clear()

    def start(self, to: Place, source: Any, used: Array, where: Any) -> None:
        """Copies into `to`; of each lane's bytes the first `used` come from the source, the others
        are zero."""
        values = np.zeros((to.lanes.size, to.size), np.uint8)
        reading = used > 0
        read = None
        if reading.any():
            chosen = np.zeros(self.committed.size, bool)
            chosen[to.lanes[reading]] = True
            (read,) = source.places(True if chosen.all() else chosen, write=False)
            read.read()
            values[reading] = read.space.arena.gather(read.bytes, to.size)
            values[np.arange(to.size) >= used[:, None]] = 0
        to.write(lambda: values)
        to.space.arena.scatter(to.bytes, np.full_like(values, 0xCD))
        self._fly(to, True)
        self.batches.append(_Batch(to, read, values, self.committed[to.lanes].copy()))

    def commit(self, lanes: Array) -> None:
        """Each lane's copies since its last group are its next group."""
        self.committed[lanes] += 1

    def wait(self, lanes: Array, left: int | None) -> None:
        """These lanes wait until at most `left` of their groups are in flight; None: for all their
        copies, in groups or not."""
        waiting = np.zeros(self.committed.size, bool)
        waiting[lanes] = True
        kept = []
        for batch in self.batches:
            own = batch.to.lanes
            done = waiting[own]
            if left is not None:
                done &= batch.groups < self.committed[own] - left
            if done.any():
                self._arrive(batch, done)
            if not done.all():
                kept.append(_part(batch, ~done))
        self.batches = kept

    def _arrive(self, batch: _Batch, done: Array) -> None:
        part = batch if done.all() else _part(batch, done)
        self._fly(part.to, False)
        # The writing happens now, for whoever is ordered after this wait.
        part.to.write(lambda: part.values)
        if part.source is not None:
            part.source.read()
        part.to.space.arena.scatter(part.to.bytes, part.values)

    def _fly(self, to: Place, flying: bool) -> None:
        space = to.space
        if not space.watched:
            return
        shadow = space.arena.shadow(self.machine.granule)
        if space.flying is None or space.flying.size < shadow.cells:
            space.flying = np.zeros(shadow.cells, bool)
        cells, _ = shadow.spread(to.bytes, to.lanes, to.size)
        space.flying[cells] = flying


def _part(batch: _Batch, chosen: Array) -> _Batch:
    to = batch.to
    source = batch.source
    if source is not None:
        taken = np.isin(source.lanes, to.lanes[chosen])
        source = Place(
            source.space, source.bytes[taken], source.lanes[taken], source.size, source.instruction
        )
    place = Place(to.space, to.bytes[chosen], to.lanes[chosen], to.size, to.instruction)
    return _Batch(place, source, batch.values[chosen], batch.groups[chosen])
