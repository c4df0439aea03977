"""A Tree loop for the threads of a half-warp or of a block, with the bits that the IR states.

The 16 lanes of a half-warp are the 16 strands of a run, and a run's strands are merged by four
exchanges between lanes. Runs are merged by a binary counter, as on a processor (`codegen.cpu.
folds`); its stack lies in registers, level k in those of lane k. The half-warps of a block take 16
neighbouring runs at a time, whose results they merge, by the same tree, through shared memory; or a
strand each, where an iteration holds folds or loops of its own.

A monoid that is ordered has one strand a run: each lane folds a stretch of the run, in order, and
the stretches are merged in order. That is the result of one strand where the merge is exactly
associative, as those of all ordered monoids in the table are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from codegen.cpu.expressions import Writer, literal
from codegen.cpu.folds import given, identity, merged
from codegen.cuda.teams import ALONE, BLOCK, HALF, Scope, comment, fits_a_thread
from codegen.ir import STRANDS, Loop, Statement, Tree
from codegen.monoids import MONOIDS

Body = Callable[[Scope, tuple[Statement, ...]], None]

# Sums, products and conjunctions have the same bits whichever side comes first.
_COMMUTES = ("sum", "product", "all", "any")


@dataclass(frozen=True, slots=True)
class Fold:
    """What the writers below share: `held` are the names of the result so far, one a carrier."""

    scope: Scope
    loop: Loop
    order: Tree
    held: tuple[str, ...]
    body: Body

    @property
    def writer(self) -> Writer:
        return self.scope.writer

    @property
    def ordered(self) -> bool:
        return MONOIDS[self.order.monoid].ordered

    def clear(self, names: Sequence[str]) -> None:
        """The lines that make the identity of each."""
        for name, constant in zip(names, identity(self.order), strict=True):
            self.writer.line(f"{name} = {literal(constant)}")

    def take(self, left: Sequence[str], right: Sequence[str]) -> None:
        """The lines that make the held values left merged with right."""
        texts = merged(self.writer, self.order, left, right)
        for name, text in zip(self.held, texts, strict=True):
            self.writer.line(f"{name} = {text}")

    def fetched(self, text: str) -> tuple[str, ...]:
        """The lines that make a value a carrier of `text`, in which {0} is the held one."""
        names = tuple(self.writer.fresh("v") for _ in self.held)
        for name, held in zip(names, self.held, strict=True):
            self.writer.line(f"{name} = {text.format(held)}")
        return names


def fold(scope: Scope, loop: Loop, order: Tree, body: Body) -> None:
    """Writes the fold for a half-warp or a block and binds its results in all threads of it.
    `body` writes the statements before the Yield."""
    writer = scope.writer
    comment(writer, loop)
    made = Fold(scope, loop, order, tuple(writer.fresh("v") for _ in order.names), body)
    if scope.team is BLOCK and (made.ordered or fits_a_thread(loop.body[:-1])):
        _by_block(made)
    elif scope.team is BLOCK:
        _by_strands(made)
    elif isinstance(loop.extent, int) and loop.extent <= order.leaf:
        _run(made, "0", f"small({writer.operands.number(loop.extent)})")
    else:
        _by_half(made)
    writer.locals.update(zip(order.names, made.held, strict=True))


def runs_of(made: Fold) -> tuple[str, str]:
    """The names of the extent and of how many runs there are."""
    extent, runs = made.writer.fresh("x"), made.writer.fresh("r")
    made.writer.line(f"{extent} = small({made.writer.operands.number(made.loop.extent)})")
    made.writer.line(f"{runs} = ({extent} + {made.order.leaf - 1}) // {made.order.leaf}")
    return extent, runs


def _by_half(made: Fold) -> None:
    writer, leaf = made.writer, made.order.leaf
    extent, runs = runs_of(made)
    counter = Counter.begun(made)
    run, first = writer.fresh("r"), writer.fresh("f")
    writer.line(f"for {run} in range({runs}):")
    with writer.indented():
        writer.line(f"{first} = {run} * {leaf}")
        _run(made, first, f"min({leaf}, {extent} - {first})")
        counter.push(made, run, runs)


def _by_block(made: Fold) -> None:
    """Groups of as many runs as there are half-warps."""
    writer, leaf, scope = made.writer, made.order.leaf, made.scope
    extent, runs = runs_of(made)
    cells = cells_of(made, STRANDS)
    counter = Counter.begun(made)
    group, run, first, groups = (writer.fresh(letter) for letter in "grfr")
    writer.line(f"{groups} = ({runs} + {STRANDS - 1}) // {STRANDS}")
    writer.line(f"for {group} in range({groups}):")
    with writer.indented():
        writer.line(f"{run} = {group} * {STRANDS} + half")
        writer.line(f"if {run} < {runs}:")
        with writer.indented():
            writer.line(f"{first} = {run} * {leaf}")
            inner = Fold(scope.inner(HALF), made.loop, made.order, made.held, made.body)
            _run(inner, first, f"min({leaf}, {extent} - {first})")
            writer.line("if lane == 0:")
            with writer.indented():
                put_held(made, cells, "half")
        _gathered(made, cells, f"min({STRANDS}, {runs} - {group} * {STRANDS})")
        counter.push(made, group, groups)


def _by_strands(made: Fold) -> None:
    """Where an iteration is work for a half-warp, each half-warp of the block takes a strand."""
    writer, leaf = made.writer, made.order.leaf
    extent, runs = runs_of(made)
    cells = cells_of(made, STRANDS)
    counter = Counter.begun(made)
    run, first, count, place = (writer.fresh(letter) for letter in "rfek")
    start = "" if made.loop.start == 0 else f" + {writer.operands.number(made.loop.start)}"
    writer.line(f"for {run} in range({runs}):")
    with writer.indented():
        writer.line(f"{first} = {run} * {leaf}")
        writer.line(f"{count} = min({leaf}, {extent} - {first})")
        made.clear(made.held)
        writer.line(f"{place} = half")
        writer.line(f"while {place} < {count}:")
        with writer.indented():
            axis = writer.axes[made.loop.axis] = writer.fresh("i")
            writer.line(f"{axis} = on({first}, {place}){start}")
            made.body(made.scope.inner(HALF), made.loop.body[:-1])
            made.take(made.held, given(writer, made.loop))
            writer.line(f"{place} += {STRANDS}")
        writer.line("if lane == 0:")
        with writer.indented():
            put_held(made, cells, "half")
        writer.line("block_barrier()")
        get_held(made, cells, "lane")
        # The cells may be written again.
        writer.line("block_barrier()")
        merge_lanes(made)
        counter.push(made, run, runs)


def cells_of(made: Fold, count: int) -> tuple[str, ...]:
    """Pointers to so many cells in shared memory, one array a carrier."""
    writer, cells = made.writer, []
    for at, dtype in enumerate(made.order.dtypes):
        cells.append(writer.fresh("s"))
        size = {"float64": 8, "int64": 8, "bool": 1}.get(dtype, 4)
        writer.line(f"{cells[-1]} = offset(shared_{dtype}(), {at * 8 // size * count})")
    made.scope.shared[0] = max(made.scope.shared[0], 8 * count * len(cells))
    return tuple(cells)


def put_held(made: Fold, cells: Sequence[str], place: str) -> None:
    """The lines that put the held values into their cells."""
    for cell, name, dtype in zip(cells, made.held, made.order.dtypes, strict=True):
        text = f"uint8({name})" if dtype == "bool" else name
        made.writer.line(f"{cell}[{place}] = {text}")


def get_held(made: Fold, cells: Sequence[str], place: str) -> None:
    """The lines that hold what the cells have."""
    for cell, name, dtype in zip(cells, made.held, made.order.dtypes, strict=True):
        made.writer.line(f"{name} = {cell}[{place}]" + (" != 0" if dtype == "bool" else ""))


def _gathered(made: Fold, cells: Sequence[str], count: str) -> None:
    """Merges the first so many half-warps' results, neighbours first; every thread gets it."""
    writer = made.writer
    there, distance = writer.fresh("e"), writer.fresh("w")
    writer.line("block_barrier()")
    writer.line(f"{there} = {count}")
    made.clear(made.held)
    writer.line(f"if lane < {there}:")
    with writer.indented():
        get_held(made, cells, "lane")
    # The cells may be written again.
    writer.line("block_barrier()")
    _neighbours(made, distance, f"lane + {distance} < {there}")
    _spread(made)


def _neighbours(made: Fold, distance: str, present: str) -> None:
    """Merges the lanes' values in order into lane 0; `present` is false where none stands to the
    right."""
    writer = made.writer
    writer.line(f"{distance} = 1")
    writer.line(f"while {distance} < {STRANDS}:")
    with writer.indented():
        right = made.fetched(f"from_across({{0}}, {distance})")
        writer.line(f"if lane & (2 * {distance} - 1) == 0 and {present}:")
        with writer.indented():
            made.take(made.held, right)
        writer.line(f"{distance} *= 2")


def _spread(made: Fold) -> None:
    """Gives all lanes what the first one holds."""
    for name in made.held:
        made.writer.line(f"{name} = from_lane({name}, 0)")


def _run(made: Fold, first: str, count: str) -> None:
    """One run by a half-warp, whose result all its lanes hold."""
    writer, body = made.writer, made.loop.body[:-1]
    number = writer.fresh("e")
    writer.line(f"{number} = {count}")
    start = "" if made.loop.start == 0 else f" + {writer.operands.number(made.loop.start)}"
    place = writer.fresh("k")
    axis = writer.axes[made.loop.axis] = writer.fresh("i")
    made.clear(made.held)
    together = not fits_a_thread(body)
    if together:
        writer.line(f"for {place} in range({number}):")
    else:
        _lanes(made, place, number)
    scope = made.scope if together else _alone(made)
    with writer.indented():
        writer.line(f"{axis} = on({first}, {place}){start}")
        before = scope.pending
        made.body(scope, body)
        scope.pending |= before
        values = given(writer, made.loop)
        if together and not made.ordered:
            writer.line(f"if {place} & {STRANDS - 1} == lane:")
            with writer.indented():
                made.take(made.held, values)
        else:
            made.take(made.held, values)
        if not together:
            writer.line(f"{place} += {1 if made.ordered else STRANDS}")
    if not (together and made.ordered):
        merge_lanes(made)


def _alone(made: Fold) -> Scope:
    return made.scope.inner(ALONE)


def _lanes(made: Fold, place: str, number: str) -> None:
    """The head of the loop over those iterations of a run that are a lane's own."""
    writer, last = made.writer, number
    if made.ordered:
        stretch, last = writer.fresh("q"), writer.fresh("z")
        writer.line(f"{stretch} = ({number} + {STRANDS - 1}) // {STRANDS}")
        writer.line(f"{place} = lane * {stretch}")
        writer.line(f"{last} = min({place} + {stretch}, {number})")
    else:
        writer.line(f"{place} = lane")
    writer.line(f"while {place} < {last}:")


def merge_lanes(made: Fold) -> None:
    """Merges the strands, the second half into the first, and so on; all lanes get the result."""
    writer, distance = made.writer, made.writer.fresh("w")
    if made.ordered:
        _neighbours(made, distance, f"lane + {distance} < {STRANDS}")
        _spread(made)
        return
    writer.line(f"{distance} = {STRANDS // 2}")
    writer.line(f"while {distance}:")
    with writer.indented():
        # Lanes of the second half merge the wrong way round, and are not looked at.
        made.take(made.held, made.fetched(f"from_across({{0}}, {distance})"))
        writer.line(f"{distance} >>= 1")
    if made.order.monoid not in _COMMUTES:
        _spread(made)


@dataclass(frozen=True, slots=True)
class Counter:
    """The stack of finished subtrees, two names a carrier: level k of them lies in lane k & 15, in
    the second one from level 16 on. There are fewer than 2**31 runs, so 32 levels hold them."""

    low: tuple[str, ...]
    high: tuple[str, ...]

    @classmethod
    def begun(cls, made: Fold) -> Counter:
        """The lines of an empty stack, and of the result of no runs."""
        low, high = (tuple(made.writer.fresh("t") for _ in made.held) for _ in range(2))
        for names in (low, high, made.held):
            made.clear(names)
        return cls(low, high)

    def push(self, made: Fold, run: str, runs: str) -> None:
        """The lines that merge a run with the subtrees before it: those of its size, and after the
        last run all that are left."""
        writer = made.writer
        level, mask = writer.fresh("h"), writer.fresh("m")
        writer.line(f"{mask} = {run} if {run} + 1 == {runs} else {run} & ~({run} + 1)")
        writer.line(f"{level} = 0")
        writer.line(f"while {mask} >> {level}:")
        with writer.indented():
            writer.line(f"if ({mask} >> {level}) & 1:")
            with writer.indented():
                left = [writer.fresh("v") for _ in made.held]
                for name, low, high in zip(left, self.low, self.high, strict=True):
                    kept = f"({low} if {level} < {STRANDS} else {high})"
                    writer.line(f"{name} = from_lane({kept}, {level} & {STRANDS - 1})")
                made.take(left, made.held)
            writer.line(f"{level} += 1")
        writer.line(f"if {level} & {STRANDS - 1} == lane:")
        with writer.indented():
            for test, names in ((f"if {level} < {STRANDS}", self.low), ("else", self.high)):
                writer.line(f"{test}:")
                with writer.indented():
                    for name, held in zip(names, made.held, strict=True):
                        writer.line(f"{name} = {held}")
