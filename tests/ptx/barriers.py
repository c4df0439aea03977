"""Block barriers (PTX ISA, "Parallel Synchronization and Communication Instructions: bar,
barrier"): who waits at which of the 16 barriers of a block, and when they go on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.ptx.binding import Array
from tests.ptx.errors import BarrierDivergence, Deadlock, LaunchFault, Unsupported
from tests.ptx.syntax import Constant, Instruction, Name

WARP = 32


@dataclass(slots=True)
class Arrival:
    """Lanes at a barrier: they go on at block `next`, or need not wait if it is None."""

    barrier: Barrier
    mask: Array
    next: int | None
    count: int | None
    votes: Array | None


@dataclass(slots=True)
class Barrier:
    """A bound barrier instruction: which barrier, how many threads, and what it votes on."""

    instruction: Instruction
    number: Array
    count: Array | None
    vote: Callable[[], Array] | None
    target: Array | None

    @property
    def waits(self) -> bool:
        return not self.instruction.has("arrive")

    @property
    def aligned(self) -> bool:
        return self.instruction.opcode == "bar" or self.instruction.has("aligned")


def bind_barrier(machine: Any, i: Instruction) -> Barrier:
    """`bar.sync a{, b}`, `bar.arrive a, b` and `bar.red.op d, a{, b}, p`, with or without .cta."""
    binder = machine.binder
    if not i.has("sync", "arrive", "red"):
        raise Unsupported("this barrier")
    operands = list(i.operands)
    vote, target = None, None
    if i.has("red"):
        result, last = operands.pop(0), operands.pop()
        assert isinstance(last, Name)
        predicate, negated = binder.guard(last)
        target = binder.target(result, "u32" if i.has("popc") else "pred")
        vote = (lambda: ~predicate) if negated else (lambda: predicate)
    number = binder.source(operands[0] if operands else Constant(0), "u32")
    count = binder.source(operands[1], "u32") if len(operands) > 1 else None
    return Barrier(i, number, count, vote, target)


class Barriers:
    """All barriers of a launch."""

    def __init__(self, machine: Any) -> None:
        self.machine = machine
        self.waiting: dict[int, list[Arrival]] = {}

    def arrive(self, barrier: Barrier, mask: Array, following: int) -> None:
        """Lanes come to a barrier; those that need not wait go on at once."""
        machine, i = self.machine, barrier.instruction
        lanes = np.flatnonzero(mask)
        number = self._uniform(barrier.number, lanes, i)
        count = None if barrier.count is None else self._uniform(barrier.count, lanes, i)
        if number > 15 or (count is not None and (count % WARP or not count)):
            machine.fault(LaunchFault, i, int(lanes[0]), f"barrier {number} for {count} threads")
        votes = None if barrier.vote is None else barrier.vote() & mask
        if not barrier.waits:
            machine.put(following, mask.copy())
        arrival = Arrival(barrier, mask, following if barrier.waits else None, count, votes)
        self._add(self.waiting.setdefault(number, []), arrival)
        self.settle(number)

    def _add(self, arrivals: list[Arrival], new: Arrival) -> None:
        """Lanes of a warp may come to one instruction one after the other."""
        for old in arrivals:
            if old.barrier is new.barrier and old.count == new.count and old.next is not None:
                old.mask = old.mask | new.mask
                if old.votes is not None:
                    old.votes = old.votes | new.votes
                return
        arrivals.append(new)

    def _uniform(self, values: Array, lanes: Array, i: Instruction) -> int:
        first = int(values[lanes[0]])
        if values.strides != (0,) and (values[lanes] != first).any():
            raise self.machine.failure(Unsupported, i, int(lanes[0]), "a barrier that varies")
        return first

    def settle(self, number: int) -> None:
        """Lets go on whoever waited for the last to come."""
        arrivals = self.waiting.get(number)
        if not arrivals:
            return
        machine = self.machine
        if len(arrivals) == 1 and arrivals[0].count is None:
            mask = arrivals[0].mask
            if np.count_nonzero(mask) == machine.live_count:
                blocks = np.flatnonzero(machine.block_live)
            else:
                blocks = self._complete(mask)
        elif all(arrival.count is None for arrival in arrivals):
            mask = np.logical_or.reduce([arrival.mask for arrival in arrivals])
            blocks = self._complete(mask)
        else:
            self._settle_counted(number, arrivals)
            return
        if blocks.size:
            self._release(number, arrivals, blocks)
            machine.order.barrier(blocks)

    def settle_all(self) -> None:
        """After threads have ended: others may have waited for nobody else."""
        for number in list(self.waiting):
            self.settle(number)

    def _complete(self, mask: Array) -> Array:
        """The blocks whose living threads are all among these."""
        machine = self.machine
        arrived = mask.reshape(machine.blocks, -1).sum(axis=1)
        return np.flatnonzero((arrived == machine.block_live) & (arrived > 0))

    def _settle_counted(self, number: int, arrivals: list[Arrival]) -> None:
        machine = self.machine
        count = next(arrival.count for arrival in arrivals if arrival.count is not None)
        for arrival in arrivals:
            if arrival.count != count:
                lane = int(np.flatnonzero(arrival.mask)[0])
                machine.fault(
                    Deadlock, arrival.barrier.instruction, lane,
                    f"barrier {number} is used with {arrival.count} and {count} threads at once",
                )  # fmt: skip
        mask = np.logical_or.reduce([arrival.mask for arrival in arrivals])
        warps = mask.reshape(-1, WARP)
        living = machine.live.reshape(-1, WARP)
        # Threads that need not wait may have ended since.
        whole = (warps | ~living).all(axis=1) & warps.any(axis=1)
        arrived = WARP * whole.reshape(machine.blocks, -1).sum(axis=1)
        blocks = np.flatnonzero(arrived == count)
        if not blocks.size:
            return
        groups = np.flatnonzero(whole).reshape(-1)
        self._release(number, arrivals, blocks)
        for block in blocks.tolist():
            machine.order.meet(groups[groups // machine.warps == block])

    def _release(self, number: int, arrivals: list[Arrival], blocks: Array) -> None:
        machine = self.machine
        chosen = np.zeros(machine.blocks, bool)
        chosen[blocks] = True
        every = bool(chosen.all())
        inside = np.repeat(chosen, machine.width)
        self._check(arrivals, inside)
        results = self._results(arrivals)
        kept = []
        for arrival in arrivals:
            gone = arrival.mask if every else arrival.mask & inside
            if results is not None and arrival.barrier.target is not None:
                np.copyto(arrival.barrier.target, results, casting="unsafe", where=gone)
            if arrival.next is not None and gone.any():
                machine.put_shuffled(arrival.next, gone)
            left = arrival.mask & ~inside
            if not every and left.any():
                kept.append(
                    Arrival(arrival.barrier, left, arrival.next, arrival.count, arrival.votes)
                )
        machine.rounds = 0
        if kept:
            self.waiting[number] = kept
        else:
            del self.waiting[number]

    def _results(self, arrivals: list[Arrival]) -> Array | None:
        """What a bar.red gives to each lane."""
        if arrivals[0].votes is None:
            return None
        machine, i = self.machine, arrivals[0].barrier.instruction
        votes = np.logical_or.reduce([a.votes for a in arrivals]).reshape(machine.blocks, -1)
        here = np.logical_or.reduce([a.mask for a in arrivals]).reshape(machine.blocks, -1)
        if i.has("popc"):
            result = votes.sum(axis=1).astype(np.uint32)
        else:
            result = (votes | ~here).all(axis=1) if i.has("and") else votes.any(axis=1)
        return np.repeat(result, machine.width)

    def _check(self, arrivals: list[Arrival], inside: Array) -> None:
        """All threads of a warp come to the same aligned barrier, none has ended."""
        machine = self.machine
        ended = None
        if machine.live_count != machine.existing_count:
            ended = (machine.existing & ~machine.live).reshape(-1, WARP).any(axis=1)
        if ended is None and len(arrivals) == 1:
            return
        seen = np.zeros(machine.blocks * machine.warps, bool) if ended is None else ended
        for arrival in arrivals:
            if arrival.next is None or not arrival.barrier.aligned:
                continue
            warps = (arrival.mask & inside).reshape(-1, WARP).any(axis=1)
            bad = warps & seen
            if bad.any():
                lane = int(np.flatnonzero(bad)[0]) * WARP
                machine.fault(
                    BarrierDivergence, arrival.barrier.instruction, lane,
                    "threads of this warp have ended, or wait at another barrier instruction",
                )  # fmt: skip
            seen = seen | warps

    def stuck(self) -> None:
        """Nobody can go on: Deadlock, or BarrierDivergence if a part of a warp waits."""
        machine = self.machine
        for number, arrivals in self.waiting.items():
            for arrival in arrivals:
                lanes = np.flatnonzero(arrival.mask)
                block = int(lanes[0]) // machine.width
                first = block * machine.width
                here = arrival.mask[first : first + machine.width]
                missing = machine.existing[first : first + machine.width] & ~here
                absent = np.flatnonzero(missing)
                text = (
                    f"{np.count_nonzero(here)} threads of the block wait at barrier {number}"
                    f" for others that never come, such as thread {absent[:1].tolist()}"
                )
                warps = here.reshape(-1, WARP)
                partial = (warps.any(axis=1) & ~warps.all(axis=1)).any()
                kind = BarrierDivergence if partial and arrival.barrier.aligned else Deadlock
                machine.fault(kind, arrival.barrier.instruction, int(lanes[0]), text)
