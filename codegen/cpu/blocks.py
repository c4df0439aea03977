"""Loops whose iterations lie side by side: 64 at a time go through the body, a statement at a time.

That is how a fold runs down the columns of a matrix, where the elements of a row are neighbours in
memory, and how many short folds run at once. The innermost loops are then over the iterations,
which are independent, and become vectors. Locals that one such loop binds and another uses are kept
in arrays on the stack.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from codegen.cpu.errors import CompileError
from codegen.cpu.expressions import Writer, literal, store, value
from codegen.cpu.folds import (
    Cells,
    begin_push,
    cells,
    clear,
    each_run,
    end_push,
    given,
    identity,
    merge_cells,
    merged,
)
from codegen.cpu.turning import LANES, turned
from codegen.ir import STRANDS, Barrier, Contraction, Let, Loop, Statement, Store, Tree, Until
from codegen.monoids import MONOIDS
from codegen.scalar import Affine, Axis, Index, Local, at
from codegen.walk import nodes, refs_of, root_of, scalars_of


def suits(loop: Loop, writer: Writer) -> bool:
    """True if the loop holds folds, and either all its inner loops are short or all that it touches
    lies side by side along its own axis and not along theirs."""
    inner = list(_loops(loop.body))
    everything = list(_statements(loop.body))
    if not any(isinstance(one.order, Tree) for one in loop.body if isinstance(one, Loop)):
        return False
    if any(isinstance(one, Until | Barrier | Contraction) for one in everything):
        return False
    refs = [ref for one in everything for ref in refs_of(one)]
    buffers = writer.operands.buffers
    if any(buffers[root_of(ref.buffer, buffers)].scope == "tile" for ref in refs):
        # It is one iteration's at a time.
        return False
    if all(isinstance(one.extent, int) and one.extent <= STRANDS for one in inner):
        return True
    last = [ref.index[-1] for ref in refs if ref.index]
    others = {one.axis for one in inner}
    return any(_steps(index, loop.axis) for index in last) and not any(
        others & set(_axes(index)) for index in last
    )


def _statements(body: Sequence[Statement]) -> Iterator[Statement]:
    for one in body:
        yield one
        if isinstance(one, Loop):
            yield from _statements(one.body)


def _loops(body: Sequence[Statement]) -> Iterator[Loop]:
    return (one for one in _statements(body) if isinstance(one, Loop))


def _steps(index: Index, axis: str) -> bool:
    return isinstance(index, Affine) and (Axis(axis), 1) in index.terms


def _axes(index: Index) -> Iterator[str]:
    if isinstance(index, Affine):
        yield from (symbol.name for symbol, _ in index.terms if isinstance(symbol, Axis))
    else:
        for inner in index.ref.index:
            yield from _axes(inner)


@dataclass(frozen=True, slots=True)
class _Block:
    """What the writers below share: the names of a block's first iteration, of how many there are,
    of one of them (from 0), and of the loop's axis; how often each local is used; the loop."""

    writer: Writer
    first: str
    width: str
    lane: str
    axis: str
    uses: Counter[str]
    loop: Loop

    @contextmanager
    def lanes(self, reach: str = "") -> Iterator[None]:
        """What is written inside runs for each iteration of the block, or for as many as said."""
        writer = self.writer
        writer.line(f"for {self.lane} in range({reach or self.width}):")
        with writer.indented():
            writer.line(f"{self.axis} = {self.first} + {self.lane}")
            start = len(writer.lines)
            yield
            name = re.compile(rf"\b{self.axis}\b")
            if not any(name.search(line) for line in writer.lines[start:]):
                # Each line costs compile time.
                del writer.lines[start - 1]


def block(writer: Writer, loop: Loop, first: str, last: str) -> None:
    """Writes the loop from `first` up to `last`."""
    base, width, lane, axis = (writer.fresh(letter) for letter in "bwji")
    writer.axes[loop.axis] = axis
    uses = Counter(name for one in _statements(loop.body) for name in _used(one))
    writer.line(f"for {base} in range({first}, {last}, {LANES}):")
    with writer.indented():
        writer.line(f"{width} = min({LANES}, {last} - {base})")
        made = _Block(writer, base, width, lane, axis, uses, loop)
        with turned(writer, loop, (base, width, lane)):
            _body(made, loop.body)


def _used(statement: Statement) -> Iterator[str]:
    for scalar in scalars_of(statement):
        yield from (node.name for node in nodes(scalar) if isinstance(node, Local))


def _body(made: _Block, statements: Sequence[Statement]) -> None:
    for group in _groups(statements):
        match group[0]:
            case Let() | Store():
                _plain(made, [one for one in group if isinstance(one, Let | Store)])
            case Loop(order=Tree()):
                _folds(made, [one for one in group if isinstance(one, Loop)])
            case Loop() as loop:
                _loop(made, loop)
            case other:
                raise CompileError(f"{type(other).__name__} cannot stand inside a block")


def _groups(statements: Sequence[Statement]) -> Iterator[list[Statement]]:
    """Statements that are written as one loop: Lets and Stores in a row, and folds that may go
    together."""
    group: list[Statement] = []
    for one in statements:
        alike = group and (
            all(isinstance(each, Let | Store) for each in (*group, one))
            or all(isinstance(each, Loop) and isinstance(one, Loop) and _together(each, one)
                   for each in group)
        )  # fmt: skip
        if group and not alike:
            yield group
            group = []
        group.append(one)
    if group:
        yield group


def _plain(made: _Block, statements: Sequence[Let | Store]) -> None:
    if statements:
        kept = _kept(made, statements)
        with made.lanes():
            _lines(made, statements, kept)
        _recall(made, kept)


def _kept(made: _Block, statements: Sequence[Statement]) -> dict[str, Cells]:
    """Arrays for the locals that these statements bind and others use."""
    within = Counter(name for one in statements for name in _used(one))
    bound = {one.name: one.value.dtype for one in statements if isinstance(one, Let)}
    crossing = {name: dtype for name, dtype in bound.items() if made.uses[name] > within[name]}
    return dict(zip(crossing, cells(made.writer, list(crossing.values()), "stack"), strict=True))


def _recall(made: _Block, kept: dict[str, Cells]) -> None:
    made.writer.locals.update((name, one.read(made.lane)) for name, one in kept.items())


def _lines(made: _Block, statements: Sequence[Let | Store], kept: dict[str, Cells]) -> None:
    writer = made.writer
    for statement in statements:
        if isinstance(statement, Store):
            store(writer, statement.ref, statement.value)
            continue
        writer.bind(statement.name, value(writer, statement.value))
        if statement.name in kept:
            kept[statement.name].write(writer, made.lane, writer.locals[statement.name])


def _head(made: _Block, loop: Loop) -> None:
    for line in loop.label.splitlines():
        made.writer.line(f"# {line}")


def _loop(made: _Block, loop: Loop) -> None:
    writer = made.writer
    _head(made, loop)
    axis, reach = writer.fresh("i"), writer.operands.number(loop.extent)
    if loop.start != 0:
        start = writer.operands.number(loop.start)
        reach = f"{start}, {start} + {reach}"
    writer.axes[loop.axis] = axis
    writer.line(f"for {axis} in range({reach}):")
    with writer.indented():
        _body(made, loop.body)


@dataclass(frozen=True, slots=True)
class _Fold:
    """A fold and the arrays of its strands."""

    loop: Loop
    order: Tree
    strands: tuple[Cells, ...]


def _folds(made: _Block, loops: Sequence[Loop]) -> None:
    """Folds that go together. The strands of all iterations of the block lie in one array a
    carrier, strand by strand."""
    writer = made.writer
    found = []
    for loop in loops:
        _head(made, loop)
        assert isinstance(loop.order, Tree)
        found.append(_Fold(loop, loop.order, cells(writer, loop.order.dtypes, "strands")))
    if _is_short(loops[0]):
        _run(made, found, None, writer.operands.number(loops[0].extent))
    else:
        _runs(made, found[0])
    for one in found:
        for name, cell in zip(one.order.names, one.strands, strict=True):
            writer.locals[name] = cell.read(made.lane)


def _is_short(loop: Loop) -> bool:
    """Whether one run without a first iteration of its own is all of the fold."""
    assert isinstance(loop.order, Tree)
    return isinstance(loop.extent, int) and 0 < loop.extent <= min(STRANDS, loop.order.leaf)


def _together(loop: Loop, other: Loop) -> bool:
    """Whether a fold may run in the same loop as the one before it: nothing of that is used."""
    if not (isinstance(loop.order, Tree) and isinstance(other.order, Tree)):
        return False
    for one in (loop, other):
        assert isinstance(one.order, Tree)
        if len(one.order.dtypes) > 1 or MONOIDS[one.order.monoid].ordered or not _is_short(one):
            return False
    if any(isinstance(one, Loop) for each in (loop, other) for one in each.body):
        return False
    uses = {name for one in other.body for name in _used(one)}
    same = (loop.extent, loop.start) == (other.extent, other.start)
    return same and not uses & set(loop.order.names)


def _runs(made: _Block, fold: _Fold) -> None:
    """A fold of any length."""
    writer, lane = made.writer, made.lane
    loop, order, strands = fold.loop, fold.order, fold.strands
    tower = cells(writer, order.dtypes, "tower")
    with made.lanes():
        clear(writer, order, strands, lane)
    with each_run(writer, loop, order) as (run, runs, first, count):
        _run(made, [fold], first, count)
        level = begin_push(writer, run, runs)
        with writer.indented(), made.lanes():
            left = [one.read(f"{level} * {LANES} + {lane}") for one in tower]
            right = [one.read(lane) for one in strands]
            for one, text in zip(strands, merged(writer, order, left, right), strict=True):
                one.write(writer, lane, text)
        end_push(writer, level)
        with made.lanes():
            for one, other in zip(tower, strands, strict=True):
                one.write(writer, f"{level} * {LANES} + {lane}", other.read(lane))


def _run(made: _Block, loops: Sequence[_Fold], first: str | None, count: str) -> None:
    """One run of every iteration of folds that go together, whose results are left in their first
    strands. Without a `first` it is the only one, and has no more iterations than strands.

    The strands of the block's iterations lie without gaps, one strand after the other.
    """
    writer, width = made.writer, made.width
    loop, order = loops[0].loop, loops[0].order
    ordered, alone = MONOIDS[order.monoid].ordered, len(loops[0].strands) == 1
    # What holds nothing but the identity changes nothing else, where there is one carrier.
    used = "1" if ordered else f"min({count}, {STRANDS})" if alone else f"{STRANDS}"
    number, place, axis, row = (writer.fresh(letter) for letter in "ekiq")
    writer.line(f"{number} = {used}")
    begins = first is None and alone and not ordered
    if not begins:
        writer.line(f"for {place} in range({number} * {width}):")
        with writer.indented():
            clear(writer, order, loops[0].strands, place)
    for one in loops:
        writer.axes[one.loop.axis] = axis
    index = f"{first} + {place}" if first else place
    if not first and loop.start != 0:
        index = f"{writer.operands.number(loop.start)} + {place}"
    gapless = None if begins else _gapless(made, loops[0])
    if gapless is None:
        writer.line(f"for {place} in range({count}):")
        with writer.indented():
            writer.line(f"{axis} = {index}")
            strand = f"({place} & {STRANDS - 1}) * {width}"
            writer.line(f"{row} = {0 if ordered else strand}")
            _iteration(made, loops, row, begins, width)
    else:
        _gapless_run(made, loops, gapless, (number, place, axis, row, index, count))
    if not ordered:
        _halves(made, loops, number, place)


def _gapless_run(
    made: _Block, loops: Sequence[_Fold], length: str, names: tuple[str, str, str, str, str, str]
) -> None:
    """A run over rows of that length. Of whole blocks each strand is folded by itself: a number of
    lanes that is known lets it stay in registers. Of short rows as many as there are strands run
    as one where there is no gap between them: one alone would leave vectors unused."""
    writer, width = made.writer, made.width
    number, place, axis, row, index, count = names
    writer.line(f"if {width} == {LANES}:")
    with writer.indented():
        writer.line(f"for {row} in range({number}):")
        with writer.indented():
            writer.line(f"for {place} in range({row}, {count}, {STRANDS}):")
            with writer.indented():
                writer.line(f"{axis} = {index}")
                _iteration(made, loops, f"{row} * {LANES}", False, f"{LANES}")
    writer.line("else:")
    with writer.indented():
        together = writer.fresh("g")
        writer.line(f"{together} = {STRANDS} if {width} == {length} else 1")
        writer.line(f"{place} = 0")
        writer.line(f"while {place} < {count}:")
        with writer.indented():
            writer.line(f"{axis} = {index}")
            writer.line(f"{row} = ({place} & {STRANDS - 1}) * {width}")
            reach = f"min({together}, {count} - {place}) * {width}"
            _iteration(made, loops, row, False, reach)
            writer.line(f"{place} += {together}")


def _gapless(made: _Block, fold: _Fold) -> str | None:
    """The length of a row, where the fold reads nothing but elements at its own and the block's
    axis of arrays that are no wider than the block's loop, and what is the same everywhere."""
    writer, loop = made.writer, fold.loop
    if len(loop.body) != 1 or MONOIDS[fold.order.monoid].ordered or made.loop.start != 0:
        return None
    buffers, found = writer.operands.buffers, None
    inside = [node for scalar in scalars_of(loop.body[0]) for node in nodes(scalar)]
    if any(isinstance(node, Local | Axis) for node in inside):
        return None
    for ref in refs_of(loop.body[0]):
        if not any(set(_axes(index)) & {loop.axis, made.loop.axis} for index in ref.index):
            continue
        if ref.index != (at(loop.axis), at(made.loop.axis)) or ref.buffer in writer.moved:
            return None
        if buffers[ref.buffer].shape[1] != made.loop.extent:
            return None
        found = writer.operands.dimension(ref.buffer, 1)
    return found


def _iteration(made: _Block, loops: Sequence[_Fold], row: str, begins: bool, reach: str) -> None:
    """One iteration of the folds; it begins their strands if no other has."""
    plain: list[list[Let | Store]] = [[] for _ in loops]
    for one, last in zip(loops, plain, strict=True):
        before = one.loop.body[:-1]
        while before and isinstance(inner := before[-1], Let | Store):
            last.insert(0, inner)
            before = before[:-1]
        _body(made, before)
    place = f"{row} + {made.lane}"
    with made.lanes(reach):
        for one, lines in zip(loops, plain, strict=True):
            _lines(made, lines, {})
            left = [each.read(place) for each in one.strands]
            if begins:
                left = [literal(constant) for constant in identity(one.order)]
            texts = merged(made.writer, one.order, left, given(made.writer, one.loop))
            for each, text in zip(one.strands, texts, strict=True):
                each.write(made.writer, place, text)


def _halves(made: _Block, loops: Sequence[_Fold], number: str, place: str) -> None:
    """Merges so many strands, the second half into the first, until one is left."""
    writer, width = made.writer, made.width
    half = writer.fresh("h")
    writer.line(f"{half} = {STRANDS // 2}")
    writer.line(f"while {half}:")
    with writer.indented():
        writer.line(f"for {place} in range(min({half}, {number} - {half}) * {width}):")
        with writer.indented():
            for one in loops:
                right = [each.read(f"{place} + {half} * {width}") for each in one.strands]
                merge_cells(writer, one.order, one.strands, place, right)
        writer.line(f"{half} >>= 1")
