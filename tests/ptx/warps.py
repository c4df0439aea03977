"""What the lanes of a warp do together: shuffles, votes, matches, reductions and warp barriers
(PTX ISA, "Data Movement and Conversion Instructions: shfl.sync", "Parallel Synchronization and
Communication Instructions: vote.sync, match.sync, redux.sync, bar.warp.sync")."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.ptx.binding import Array, Handler, commit, items
from tests.ptx.errors import PtxError, Unsupported, WarpDivergence
from tests.ptx.matrix import bind_ldmatrix, bind_mma
from tests.ptx.order import WARP
from tests.ptx.syntax import Constant, Instruction, Name, Vector

ALL = (1 << WARP) - 1


def packed(mask: Array) -> Array:
    """One word of bits for each warp."""
    return np.packbits(mask.reshape(-1, WARP), axis=1, bitorder="little").view(np.uint32)[:, 0]


def spread(words: Array) -> Array:
    """A value of each warp, for each of its lanes."""
    return np.repeat(words, WARP)


@dataclass(slots=True)
class Together:
    """A bound warp-wide instruction. `members` are the lanes that each lane names, None if it waits
    for nobody; `full`: they are all lanes of the warp."""

    machine: Any
    instruction: Instruction
    handler: Handler
    members: Array | None
    full: bool
    guard: tuple[Array, bool] | None

    def _taking_part(self, mask: Array) -> Array:
        if self.guard is None:
            return mask
        predicate, negated = self.guard
        return mask & ~predicate if negated else mask & predicate

    def complete(self, mask: Array, live: Array) -> Array:
        """Those of the threads here that need not wait: all whom they name are here. WarpDivergence
        if a thread does not name itself, or names one that has ended."""
        if self.members is None:
            return mask
        taking = self._taking_part(mask)
        here, alive = spread(packed(taking)), spread(packed(live))
        bits = np.uint32(1) << (np.arange(mask.size, dtype=np.uint32) % np.uint32(WARP))
        itself = (self.members & bits) != 0
        if (taking & ~itself).any():
            self._fault(taking & ~itself, "the thread is not in its own member mask")
        ended = taking & ((self.members & ~alive) != 0)
        if ended.any():
            self._fault(ended, "the member mask names lanes that have ended")
        waiting = taking & ((self.members & ~here) != 0)
        return mask & ~waiting

    def incomplete(self, mask: Array, live: Array) -> None:
        """Raises WarpDivergence: these threads wait for lanes that never come."""
        here = spread(packed(self._taking_part(mask)))
        assert self.members is not None
        lane = int(np.flatnonzero(mask)[0])
        absent = int(self.members[lane] & ~here[lane])
        lanes = [k for k in range(WARP) if absent >> k & 1]
        self._fault(mask, f"lanes {lanes} of its warp are named and never come here")

    def _fault(self, lanes: Array, what: str) -> None:
        self.machine.fault(WarpDivergence, self.instruction, int(np.flatnonzero(lanes)[0]), what)


def bind_together(machine: Any, i: Instruction) -> Together:
    """The bound instruction; Unsupported if it is none of those that are known."""
    try:
        builder, place = _BUILDERS[i.opcode]
        if i.opcode not in ("activemask", "bar", "barrier") and not i.has("sync"):
            raise Unsupported("without .sync")
        handler = builder(machine, i)
        if place is None:
            members = None
        elif place == ALL:
            members = machine.binder.source(Constant(ALL), "u32")
        else:
            members = machine.binder.source(i.operands[place], "u32")
    except (PtxError, KeyError, IndexError, ValueError) as fault:
        raise Unsupported(f"line {i.line}: {i.text}: {fault}") from fault
    full = members is None or (members.strides == (0,) and int(members[0]) == ALL)
    guard = None
    if i.guard is not None:
        guard = machine.binder.guard(i.guard)
        full = False
        handler = _only(handler, guard)
    return Together(machine, i, handler, members, full, guard)


def _only(handler: Handler, guard: tuple[Array, bool]) -> Handler:
    predicate, negated = guard

    def run(where: Any) -> None:
        chosen = ~predicate if negated else predicate.copy()
        if where is not True:
            chosen &= where
        if chosen.any():
            handler(chosen)

    return run


def _shuffle(machine: Any, i: Instruction) -> Handler:
    binder = machine.binder
    results = items(i.operands[0])
    value, step, clamp = (binder.source(operand, "b32") for operand in i.operands[1:4])
    members = binder.source(i.operands[4], "u32")
    target = binder.target(results[0], "b32")
    valid = binder.target(results[1], "pred") if len(results) > 1 else None
    lane = np.arange(machine.count, dtype=np.int64) % WARP
    first = np.arange(machine.count, dtype=np.int64) - lane
    mode = next(word for word in i.modifiers if word in ("up", "down", "bfly", "idx"))

    def run(where: Any) -> None:
        b, c = step.astype(np.int64) & 31, clamp.astype(np.int64)
        segment = (c >> 8) & 31
        last = (lane & segment) | (c & 31 & ~segment)
        source = {
            "up": lane - b,
            "down": lane + b,
            "bfly": lane ^ b,
            "idx": (lane & segment) | (b & ~segment),
        }[mode]
        inside = source >= last if mode == "up" else source <= last
        source = np.where(inside, source, lane)
        if where is not True or not (members == np.uint32(ALL)).all():
            _present(machine, i, where, first, source, members)
        commit(target, value[first + source], where)
        if valid is not None:
            commit(valid, inside, where)

    return run


def _present(
    machine: Any, i: Instruction, where: Any, first: Array, source: Array, members: Array
) -> None:
    """WarpDivergence if a lane reads from one that does not take part."""
    active = np.ones(machine.count, bool) if where is True else where
    named = (members >> source.astype(np.uint32)) & np.uint32(1)
    bad = active & ~(active[first + source] & (named != 0))
    if bad.any():
        at = int(np.flatnonzero(bad)[0])
        machine.fault(
            WarpDivergence, i, at, f"reads from lane {int(source[at])}, which does not take part"
        )


def _groups(members: Array, where: Any, count: int) -> Array:
    """For each lane the bits of the lanes that take part with it."""
    here = np.ones(count, bool) if where is True else where
    found: Array = members & spread(packed(here))
    return found


def _vote(machine: Any, i: Instruction) -> Handler:
    binder = machine.binder
    given = i.operands[1]
    if isinstance(given, Constant):
        predicate, negated = binder.source(given, "pred"), False
    else:
        assert isinstance(given, Name)
        predicate, negated = binder.guard(given)
    members = binder.source(i.operands[2], "u32")
    ballot = i.has("ballot")
    target = binder.target(i.operands[0], "b32" if ballot else "pred")
    mode = next(word for word in i.modifiers if word in ("all", "any", "uni", "ballot"))

    def run(where: Any) -> None:
        group = _groups(members, where, machine.count)
        said = spread(packed(~predicate if negated else np.ascontiguousarray(predicate))) & group
        result = {
            "ballot": said,
            "all": said == group,
            "any": said != 0,
            "uni": (said == group) | (said == 0),
        }[mode]
        commit(target, result, where)

    return run


def _match(machine: Any, i: Instruction) -> Handler:
    binder, t = machine.binder, i.types[-1]
    results = items(i.operands[0])
    value, members = binder.source(i.operands[1], t), binder.source(i.operands[2], "u32")
    target = binder.target(results[0], "b32")
    agreed = binder.target(results[1], "pred") if len(results) > 1 else None
    bits = np.uint32(1) << np.arange(WARP, dtype=np.uint32)
    every = i.has("all")

    def run(where: Any) -> None:
        group = _groups(members, where, machine.count)
        rows = value.reshape(-1, WARP)
        equal = rows[:, :, None] == rows[:, None, :]
        same = (equal * bits).sum(axis=2, dtype=np.uint32).reshape(-1) & group
        if every:
            whole = same == group
            same = np.where(whole, group, np.uint32(0))
            if agreed is not None:
                commit(agreed, whole, where)
        commit(target, same, where)

    return run


def _reduce(machine: Any, i: Instruction) -> Handler:
    binder, t = machine.binder, i.types[-1]
    if t not in ("u32", "s32", "b32"):
        raise Unsupported(f"redux of {t}")
    value, members = binder.source(i.operands[1], t), binder.source(i.operands[2], "u32")
    target = binder.target(i.operands[0], t)
    operations = {
        "add": np.add,
        "min": np.minimum,
        "max": np.maximum,
        "and": np.bitwise_and,
        "or": np.bitwise_or,
        "xor": np.bitwise_xor,
    }
    function = operations[next(word for word in i.modifiers if word in operations)]

    def run(where: Any) -> None:
        group = _groups(members, where, machine.count)
        result = np.empty_like(target)
        active = np.arange(machine.count) if where is True else np.flatnonzero(where)
        for lane in active.tolist():
            start, word = lane - lane % WARP, int(group[lane])
            lanes = [start + k for k in range(WARP) if word >> k & 1]
            result[lane] = function.reduce(value[lanes], dtype=value.dtype)
        commit(target, result, where)

    return run


def _active(machine: Any, i: Instruction) -> Handler:
    target = machine.binder.target(i.operands[0], "b32")

    def run(where: Any) -> None:
        here = np.ones(machine.count, bool) if where is True else where
        commit(target, spread(packed(here)), where)

    return run


def _elect(machine: Any, i: Instruction) -> Handler:
    results = items(i.operands[0])
    assert isinstance(i.operands[0], Vector)
    lane = machine.binder.target(results[0], "b32")
    chosen = machine.binder.target(results[1], "pred")
    members = machine.binder.source(i.operands[1], "u32")

    def run(where: Any) -> None:
        group = _groups(members, where, machine.count).astype(np.int64)
        leader = np.log2(np.maximum(group & -group, 1)).astype(np.uint32)
        commit(lane, leader, where)
        commit(chosen, leader == np.arange(machine.count) % WARP, where)

    return run


def _warp_barrier(machine: Any, i: Instruction) -> Handler:
    def run(where: Any) -> None:
        lanes = np.arange(machine.count) if where is True else np.flatnonzero(where)
        machine.order.within(np.unique(lanes // WARP))

    return run


_BUILDERS: dict[str, tuple[Callable[[Any, Instruction], Handler], int | None]] = {
    "shfl": (_shuffle, 4),
    "vote": (_vote, 2),
    "match": (_match, 2),
    "redux": (_reduce, 2),
    "elect": (_elect, 1),
    "activemask": (_active, None),
    "bar": (_warp_barrier, 0),
    "barrier": (_warp_barrier, 0),
    "mma": (bind_mma, ALL),
    "ldmatrix": (bind_ldmatrix, ALL),
}
"""Of each instruction its builder, and which operand is the member mask; ALL: every lane."""
