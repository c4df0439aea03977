"""Who executes what next: all threads of the grid in step, block of instructions by block.

Threads at the same place go together. Of several places, the one that stands first in the program
is next, so that threads that parted meet again where their ways join. Threads that went back to
look again for what others write (after an atomic, volatile or acquiring access) are held until the
others can do no more; so no thread starves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.ptx.barriers import Barriers, bind_barrier
from tests.ptx.binding import Array, Handler, build, commit
from tests.ptx.errors import Deadlock, TooLong, Trap, Unsupported
from tests.ptx.order import WARP
from tests.ptx.program import Block, callee
from tests.ptx.syntax import Instruction, Name, Vector
from tests.ptx.warps import Together, bind_together

End = Callable[[Array, Any, int], int]
GONE = -1
"""What an end gives if its threads do not go on together."""
_ROUNDS = 20_000
"""How often all may look in vain for what nobody writes."""


@dataclass(slots=True)
class Bound:
    """A block, bound."""

    together: Together | None
    handlers: list[Handler]
    end: End | None
    length: int


class Schedule:
    """The part of a machine that says who is where."""

    # What the machine has made before.
    program: Any
    binder: Any
    module: Any
    checks: Any
    barriers: Barriers
    order: Any
    random: Any
    kernel: str
    blocks: int
    threads: int
    warps: int
    width: int
    count: int
    table: dict[str, Any]

    def __init__(self) -> None:
        self.ready: dict[int, Array] = {}
        self.held: dict[int, Array] = {}
        self.waiting: dict[int, Array] = {}
        self.executed = 0
        self.rounds = 0
        self.polled = False
        self.existing = np.arange(self.count) % self.width < self.threads
        self.existing_count = int(np.count_nonzero(self.existing))
        self.returns = {name: np.zeros(self.count, np.int64) for name in self.program.entries}
        self.results: dict[int, list[tuple[Array, Array]]] = {}
        self.bound = [self._bind(block) for block in self.program.blocks]

    def _bind(self, block: Block) -> Bound:
        together = None if block.together is None else bind_together(self, block.together)
        handlers = [build(self.table, self, i) for i in block.instructions]
        end = None if block.end is None else self._bind_end(block, block.end)
        return Bound(together, handlers, end, len(handlers) + 2)

    def run(self) -> None:
        """From the first instruction to the end of the last thread."""
        self.live = self.existing.copy()
        self.live_count = self.existing_count
        self.block_live = self.live.reshape(self.blocks, -1).sum(axis=1)
        self.executed = self.rounds = 0
        for places in (self.ready, self.held, self.waiting):
            places.clear()
        self.put_shuffled(self.program.entries[self.kernel], self.live.copy())
        while self.ready or self.held or self.waiting or self.barriers.waiting:
            if not self.ready:
                self._again()
            number = min(self.ready)
            mask = self.ready.pop(number)
            if number in self.waiting:
                mask = mask | self.waiting.pop(number)
            self._go(number, mask)

    def _again(self) -> None:
        """Nobody can go on but those that were held; none of these: nobody ever will."""
        if not self.held:
            if self.waiting:
                number, mask = next(iter(self.waiting.items()))
                together = self.bound[number].together
                assert together is not None
                together.incomplete(mask, self.live)
            self.barriers.stuck()
        self._release()
        self.rounds += 1
        if self.rounds > _ROUNDS:
            mask = next(iter(self.ready.values()))
            block, thread = divmod(int(np.flatnonzero(mask)[0]), self.width)
            raise Deadlock(
                f"{self.kernel}: block {block}, thread {thread} waits in a loop for what nobody"
                " writes; all other threads wait too or have ended"
            )

    def _release(self) -> None:
        """Lets go on all that were held; with a seed, those of some blocks only."""
        if self.random is None:
            self.ready, self.held = self.held, {}
            return
        some = np.logical_or.reduce(list(self.held.values())).reshape(self.blocks, -1).any(axis=1)
        chosen = np.array([self.random.random() < 0.5 for _ in range(self.blocks)]) & some
        if not chosen.any():
            chosen[self.random.choice(np.flatnonzero(some).tolist())] = True
        lanes = np.repeat(chosen, self.width)
        held, self.held = self.held, {}
        for number, mask in held.items():
            for places, those in ((self.ready, mask & lanes), (self.held, mask & ~lanes)):
                if those.any():
                    places[number] = those

    def put(self, number: int, mask: Array) -> None:
        """These threads go on at a block."""
        there = self.ready.get(number)
        self.ready[number] = mask if there is None else there | mask

    def put_shuffled(self, number: int, mask: Array) -> None:
        """The same; with a seed, some warps go much later than others."""
        if self.random is None:
            self.put(number, mask)
            return
        late = [self.random.random() < 0.5 for _ in range(self.blocks * self.warps)]
        later = mask & np.repeat(np.array(late), WARP)
        now = mask & ~later
        if now.any():
            self.put(number, now)
        if later.any():
            self._hold(number, later)

    def _hold(self, number: int, mask: Array) -> None:
        there = self.held.get(number)
        self.held[number] = mask if there is None else there | mask

    def _go(self, number: int, mask: Array) -> None:
        """Runs threads from a block on, as long as no others have to go first or to go along."""
        count = int(np.count_nonzero(mask))
        limit = min(self.ready, default=len(self.bound))
        self.polled = False
        while True:
            block = self.bound[number]
            where: Any = True if count == self.count else mask
            if block.together is not None:
                if where is not True or not block.together.full:
                    mask = self._complete(number, block.together, mask)
                    count = int(np.count_nonzero(mask))
                    if not count:
                        return
                    where = True if count == self.count else mask
                block.together.handler(where)
            for handler in block.handlers:
                handler(where)
            self.executed += block.length
            if self.executed > self.checks.limit:
                raise TooLong(f"{self.kernel} did not end within {self.checks.limit} instructions")
            following = number + 1
            if block.end is not None:
                following = block.end(mask, where, count)
                if following == GONE:
                    return
            if following <= number and self.polled:
                self._hold(following, mask)
                return
            number = following
            if number >= limit or number in self.waiting:
                self.put(number, mask)
                return

    def _complete(self, number: int, together: Together, mask: Array) -> Array:
        """Of the threads before a warp-wide instruction, those whose partners are there too; the
        others wait for theirs."""
        here = together.complete(mask, self.live)
        rest = mask & ~here
        if rest.any():
            self.waiting[number] = rest
        return here

    def _bind_end(self, block: Block, i: Instruction) -> End:
        following = block.number + 1
        makers: dict[str, Callable[[], Callable[[Array, int], int]]] = {
            "bra": lambda: self._branch(i),
            "brx": lambda: self._branch_table(i, block.number),
            "ret": lambda: self._return(block.function),
            "exit": lambda: self._exit,
            "trap": lambda: self._trap(i),
            "call": lambda: self._call(i, following),
            "bar": lambda: self._barrier(i, following),
            "barrier": lambda: self._barrier(i, following),
        }
        try:
            step = makers[i.opcode]()
        except (Unsupported, KeyError) as fault:
            raise Unsupported(f"line {i.line}: {i.text}: {fault}") from fault
        if i.guard is None:
            return lambda mask, where, count: step(mask, block.number)
        return self._conditional(i.guard, step, block.number)

    def _conditional(self, guard: Name, step: Any, number: int) -> End:
        predicate, negated = self.binder.guard(guard)

        def end(mask: Array, where: Any, count: int) -> int:
            taken = predicate if where is True else predicate & mask
            chosen = np.count_nonzero(taken)
            if negated:
                chosen = count - chosen
            if chosen == 0:
                return number + 1
            if chosen == count:
                return step(mask, number)  # type: ignore[no-any-return]
            going = mask & ~predicate if negated else mask & predicate
            self.put(number + 1, mask & ~going)
            target = step(going, number)
            if target != GONE:
                back = target <= number and self.polled
                (self._hold if back else self.put)(target, going)
            return GONE

        return end

    def _branch(self, i: Instruction) -> Callable[[Array, int], int]:
        label = i.operands[0]
        assert isinstance(label, Name)
        target = self.program.labels[label.text]
        return lambda mask, number: target

    def _branch_table(self, i: Instruction, number: int) -> Callable[[Array, int], int]:
        index, table = self.binder.source(i.operands[0], "u32"), i.operands[1]
        assert isinstance(table, Name)
        targets = [self.program.labels[name] for name in self.program.tables[table.text]]

        def go(mask: Array, number: int) -> int:
            chosen = np.unique(index[mask])
            if chosen[-1] >= len(targets):
                lane = int(np.flatnonzero(mask & (index >= len(targets)))[0])
                self.fault(Unsupported, i, lane, f"no branch {int(index[lane])}")  # type: ignore[attr-defined]
            if chosen.size == 1:
                return targets[int(chosen[0])]
            for value in chosen.tolist():
                self.put(targets[value], mask & (index == value))
            return GONE

        return go

    def _return(self, function: str) -> Callable[[Array, int], int]:
        if function == self.kernel:
            return self._exit
        places = self.returns[function]

        def go(mask: Array, number: int) -> int:
            for place in np.unique(places[mask]).tolist():
                back = mask & (places == place)
                for result, value in self.results[place]:
                    np.copyto(result, value, where=back[:, None])
                self.put(place, back)
            return GONE

        return go

    def _exit(self, mask: Array, number: int) -> int:
        self.live &= ~mask
        self.live_count = int(np.count_nonzero(self.live))
        self.block_live = self.live.reshape(self.blocks, -1).sum(axis=1)
        self.rounds = 0
        self.barriers.settle_all()
        return GONE

    def _trap(self, i: Instruction) -> Callable[[Array, int], int]:
        def go(mask: Array, number: int) -> int:
            raise self.failure(Trap, i, int(np.flatnonzero(mask)[0]), "trap")  # type: ignore[attr-defined]

        return go

    def _call(self, i: Instruction, following: int) -> Callable[[Array, int], int]:
        name = callee(i)
        place = next(k for k, operand in enumerate(i.operands) if isinstance(operand, Name))
        function = self.module.functions[name]
        given = [_names(operand) for operand in i.operands]
        results = given[0] if place == 1 else []
        arguments = given[place + 1] if len(given) > place + 1 else []
        parameter = self.binder.parameter
        moves = [
            (parameter(variable.name), parameter(argument))
            for variable, argument in zip(function.parameters, arguments, strict=True)
        ]
        self.results[following] = [
            (parameter(result), parameter(variable.name))
            for result, variable in zip(results, function.results, strict=True)
        ]
        target, places = self.program.entries[name], self.returns[name]

        def go(mask: Array, number: int) -> int:
            for destination, source in moves:
                np.copyto(destination, source, where=mask[:, None])
            commit(places, np.int64(following), mask)
            self.put(target, mask)
            return GONE

        return go

    def _barrier(self, i: Instruction, following: int) -> Callable[[Array, int], int]:
        barrier = bind_barrier(self, i)

        def go(mask: Array, number: int) -> int:
            self.barriers.arrive(barrier, mask, following)
            return GONE

        return go


def _names(operand: Any) -> list[str]:
    if not isinstance(operand, Vector):
        return []
    names = [item.text for item in operand.items if isinstance(item, Name)]
    if len(names) != len(operand.items):
        raise Unsupported("a call with constants")
    return names
