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
from codegen.scalar import Affine, Axis, Index, Local
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
    of one of them (from 0), and of the loop's axis; how often each local is used in all."""

    writer: Writer
    first: str
    width: str
    lane: str
    axis: str
    uses: Counter[str]

    @contextmanager
    def lanes(self) -> Iterator[None]:
        """What is written inside runs for each iteration of the block."""
        writer = self.writer
        writer.line(f"for {self.lane} in range({self.width}):")
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
        made = _Block(writer, base, width, lane, axis, uses)
        with turned(writer, loop, (base, width, lane)):
            _body(made, loop.body)


def _used(statement: Statement) -> Iterator[str]:
    for scalar in scalars_of(statement):
        yield from (node.name for node in nodes(scalar) if isinstance(node, Local))


def _body(made: _Block, statements: Sequence[Statement]) -> None:
    plain: list[Let | Store] = []
    for statement in statements:
        if isinstance(statement, Let | Store):
            plain.append(statement)
            continue
        _plain(made, plain)
        plain = []
        match statement:
            case Loop(order=Tree() as order):
                _fold(made, statement, order)
            case Loop():
                _loop(made, statement)
            case _:
                raise CompileError(f"{type(statement).__name__} cannot stand inside a block")
    _plain(made, plain)


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


def _fold(made: _Block, loop: Loop, order: Tree) -> None:
    """The strands of all iterations of the block lie in one array, strand by strand."""
    writer, lane = made.writer, made.lane
    _head(made, loop)
    strands = cells(writer, order.dtypes, "strands")
    if isinstance(loop.extent, int) and 0 < loop.extent <= min(STRANDS, order.leaf):
        _run(made, loop, order, strands, None, writer.operands.number(loop.extent))
    else:
        _runs(made, loop, order, strands)
    for name, one in zip(order.names, strands, strict=True):
        writer.locals[name] = one.read(lane)


def _runs(made: _Block, loop: Loop, order: Tree, strands: Sequence[Cells]) -> None:
    """A fold of any length."""
    writer, lane = made.writer, made.lane
    tower = cells(writer, order.dtypes, "tower")
    with made.lanes():
        clear(writer, order, strands, lane)
    with each_run(writer, loop, order) as (run, runs, first, count):
        _run(made, loop, order, strands, first, count)
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


def _run(
    made: _Block, loop: Loop, order: Tree, strands: Sequence[Cells], first: str | None, count: str
) -> None:
    """One run of every iteration, whose results are left in the first strand. Without a `first` it
    is the only one, and has no more iterations than strands."""
    writer = made.writer
    ordered, alone = MONOIDS[order.monoid].ordered, len(strands) == 1
    # What holds nothing but the identity changes nothing else, where there is one carrier.
    used = "1" if ordered else f"min({count}, {STRANDS})" if alone else f"{STRANDS}"
    number, place, axis, row = (writer.fresh(letter) for letter in "ekiq")
    writer.line(f"{number} = {used}")
    begins = first is None and alone and not ordered
    if not begins:
        writer.line(f"for {place} in range({number} * {LANES}):")
        with writer.indented():
            clear(writer, order, strands, place)
    writer.axes[loop.axis] = axis
    index = f"{first} + {place}" if first else place
    if not first and loop.start != 0:
        index = f"{writer.operands.number(loop.start)} + {place}"
    writer.line(f"for {place} in range({count}):")
    with writer.indented():
        writer.line(f"{axis} = {index}")
        writer.line(f"{row} = 0" if ordered else f"{row} = ({place} & {STRANDS - 1}) * {LANES}")
        _iteration(made, loop, order, strands, row, begins)
    if not ordered:
        _halves(made, order, strands, number, (place, row))


def _iteration(
    made: _Block, loop: Loop, order: Tree, strands: Sequence[Cells], row: str, begins: bool
) -> None:
    """One iteration of the fold; it begins its strand if no other has."""
    before = loop.body[:-1]
    plain: list[Let | Store] = []
    while before and isinstance(one := before[-1], Let | Store):
        plain.insert(0, one)
        before = before[:-1]
    _body(made, before)
    place = f"{row} + {made.lane}"
    with made.lanes():
        _lines(made, plain, {})
        left = [each.read(place) for each in strands]
        if begins:
            left = [literal(constant) for constant in identity(order)]
        texts = merged(made.writer, order, left, given(made.writer, loop))
        for each, text in zip(strands, texts, strict=True):
            each.write(made.writer, place, text)


def _halves(
    made: _Block, order: Tree, strands: Sequence[Cells], number: str, names: tuple[str, str]
) -> None:
    """Merges so many strands, the second half into the first, until one is left."""
    writer, (place, row) = made.writer, names
    half = writer.fresh("h")
    writer.line(f"{half} = {STRANDS // 2}")
    writer.line(f"while {half}:")
    with writer.indented():
        writer.line(f"for {place} in range(min({half}, {number} - {half})):")
        with writer.indented():
            writer.line(f"{row} = {place} * {LANES}")
            with made.lanes():
                right = [one.read(f"{row} + {half} * {LANES} + {made.lane}") for one in strands]
                merge_cells(writer, order, strands, f"{row} + {made.lane}", right)
        writer.line(f"{half} >>= 1")
