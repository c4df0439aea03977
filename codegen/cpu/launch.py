"""From a program to a launch table: which kernel runs when, on which sizes and which pointers.

A row of the table is eight words; the first says what it is:

    0 call     address of the kernel, its place in the sizes, its place in the pointers
    1 barrier
    2 begin    own row, clock, places of start and extent, row of the end, ragged rules, depth
    3 end      row of the begin
    4 until    row of the begin, clock that holds the flag, number of the Until

Ragged rules are written as 256 * first + count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from codegen.cpu.contraction import ContractionSource, contraction
from codegen.cpu.errors import CompileError
from codegen.cpu.operands import Operand
from codegen.cpu.source import KernelSource, flag, nest, single
from codegen.ir import (
    Any,
    Barrier,
    Buffer,
    Contraction,
    Loop,
    Program,
    Ragged,
    Sequence,
    Statement,
    Until,
    is_driver,
)

ROW = 8
CALL, BARRIER, BEGIN, END, UNTIL = range(5)
RAGGED_LIMIT = 8


@dataclass(frozen=True, slots=True)
class Pointer:
    """A cell of a kernel's `p`. kind: `buffer` (then `name` says which), `clock` or `kernel` (then
    `number` says which), or `scratch`, the worker's own for contractions."""

    kind: str
    name: str = ""
    number: int = 0


@dataclass(frozen=True, slots=True)
class Launch:
    """The table of a program. The address of a call's kernel is still its number in `loaded`.

    `kernels` has one a call, in order; that of a contraction is its epilogue, and what is called
    is one of `products`, of which there is one a dtype.
    `sizes` and `pointers` are those of all kernels, one after the other, and the driver's own.
    `ragged` holds for each rule the places of its batch and its total.
    """

    kernels: tuple[KernelSource, ...]
    rows: tuple[tuple[int, ...], ...]
    sizes: tuple[Operand, ...]
    pointers: tuple[Pointer, ...]
    clocks: int
    rules: tuple[Ragged, ...]
    ragged: tuple[int, ...]
    untils: tuple[Until, ...]
    products: tuple[KernelSource, ...]

    @property
    def loaded(self) -> tuple[KernelSource, ...]:
        """All kernels that must be in memory."""
        return (*self.kernels, *self.products)


Buffers = Mapping[str, Buffer]


@dataclass(frozen=True, slots=True)
class Makers:
    """How a target writes the kernels of a loop that is shared out, of what is one tile, of an
    Until, and of a contraction."""

    nest: Callable[[Loop, Buffers], KernelSource]
    single: Callable[[tuple[Statement, ...], Buffers], KernelSource]
    flag: Callable[[Until, Buffers], KernelSource]
    contraction: Callable[[Contraction, Buffers], ContractionSource | KernelSource]


ON_THE_CPU = Makers(nest, single, flag, contraction)


@dataclass(slots=True)
class _Builder:
    buffers: Buffers
    makers: Makers
    kernels: list[KernelSource] = field(default_factory=list)
    rows: list[list[int]] = field(default_factory=list)
    sizes: list[Operand] = field(default_factory=list)
    pointers: list[Pointer] = field(default_factory=list)
    clocks: int = 0
    rules: list[Ragged] = field(default_factory=list)
    ragged: list[int] = field(default_factory=list)
    untils: list[Until] = field(default_factory=list)
    # By text, and the rows that call each.
    products: dict[str, tuple[KernelSource, list[int]]] = field(default_factory=dict)
    # The clocks of the sequences around the statement at hand, and their rows.
    axes: dict[str, int] = field(default_factory=dict)
    open: list[int] = field(default_factory=list)

    def row(self, *words: int) -> int:
        self.rows.append([*words, *[0] * (ROW - len(words))])
        return len(self.rows) - 1

    def size(self, operand: Operand) -> int:
        self.sizes.append(operand)
        return len(self.sizes) - 1

    def clock(self) -> int:
        self.clocks += 1
        return self.clocks - 1


def launch(program: Program, makers: Makers = ON_THE_CPU) -> Launch:
    """The kernels of a program in the order of its statements, and the table that runs them."""
    builder = _Builder({buffer.name: buffer for buffer in program.buffers}, makers)
    _statements(builder, program.body)
    if len(builder.rules) > RAGGED_LIMIT:
        raise CompileError(f"{program.name} has more than {RAGGED_LIMIT} ragged sizes")
    products: list[KernelSource] = []
    for source, rows in builder.products.values():
        for row in rows:
            builder.rows[row][1] = len(builder.kernels) + len(products)
        products.append(source)
    return Launch(
        kernels=tuple(builder.kernels),
        rows=tuple(map(tuple, builder.rows)),
        sizes=tuple(builder.sizes),
        pointers=tuple(builder.pointers),
        clocks=builder.clocks,
        rules=tuple(builder.rules),
        ragged=tuple(builder.ragged),
        untils=tuple(builder.untils),
        products=tuple(products),
    )


def _statements(builder: _Builder, body: tuple[Statement, ...]) -> None:
    for group in _groups(body):
        match group[0]:
            case Barrier():
                builder.row(BARRIER)
            case Until() as until:
                _until(builder, until)
            case Contraction() as statement:
                _contraction(builder, statement)
            case Loop() as loop if is_driver(loop):
                _sequence(builder, loop)
            case Loop(order=Any()) as loop:
                _call(builder, builder.makers.nest(loop, builder.buffers))
            case _:
                _call(builder, builder.makers.single(group, builder.buffers))


def _groups(body: tuple[Statement, ...]) -> Iterator[tuple[Statement, ...]]:
    """Statements that are one kernel: those that are one tile go together, since what one binds
    another may use."""
    waiting: list[Statement] = []
    for statement in body:
        alone = isinstance(statement, Barrier | Until | Contraction) or (
            isinstance(statement, Loop)
            and (isinstance(statement.order, Any) or is_driver(statement))
        )
        if not alone:
            waiting.append(statement)
            continue
        if waiting:
            yield tuple(waiting)
            waiting = []
        yield (statement,)
    if waiting:
        yield tuple(waiting)


def _call(builder: _Builder, source: KernelSource, *more: Pointer) -> None:
    """The row that calls a kernel, to whose pointers `more` are added."""
    builder.row(CALL, len(builder.kernels), len(builder.sizes), len(builder.pointers))
    builder.kernels.append(source)
    _operands(builder, source)
    builder.pointers += more


def _operands(builder: _Builder, source: KernelSource) -> None:
    for axis in source.clocks:
        if axis not in builder.axes:
            raise CompileError(f"no loop runs over the axis {axis!r} in: {source.label}")
    builder.sizes += source.sizes
    builder.pointers += [Pointer("buffer", name) for name in source.buffers]
    builder.pointers += [Pointer("clock", number=builder.axes[axis]) for axis in source.clocks]


def _contraction(builder: _Builder, statement: Contraction) -> None:
    """The row that calls the kernel of the products, which calls that of the epilogue; or the one
    kernel that is both."""
    made = builder.makers.contraction(statement, builder.buffers)
    if not isinstance(made, ContractionSource):
        _call(builder, made)
        return
    finish, own = Pointer("kernel", number=len(builder.kernels)), Pointer("scratch")
    row = builder.row(CALL, 0, len(builder.sizes), len(builder.pointers))
    builder.products.setdefault(made.products.text, (made.products, []))[1].append(row)
    builder.kernels.append(made.epilogue)
    builder.pointers += [finish, own]
    _operands(builder, made.products)
    _operands(builder, made.epilogue)
    builder.pointers.append(own)


def _until(builder: _Builder, until: Until) -> None:
    if not builder.open:
        raise CompileError("an Until stands outside of every sequence")
    clock = builder.clock()
    source = builder.makers.flag(until, builder.buffers)
    _call(builder, source, Pointer("clock", number=clock))
    builder.row(UNTIL, builder.open[-1], clock, len(builder.untils))
    builder.untils.append(until)


def _sequence(builder: _Builder, loop: Loop) -> None:
    order = loop.order
    assert isinstance(order, Sequence)
    first = len(builder.rules)
    builder.rules += order.ragged
    for rule in order.ragged:
        builder.ragged += [builder.size(rule.batch), builder.size(rule.total)]
    clock = builder.clock()
    begin = builder.row(
        BEGIN, len(builder.rows), clock, builder.size(loop.start), builder.size(loop.extent), 0,
        256 * first + len(order.ragged), len(builder.open),
    )  # fmt: skip
    builder.open.append(begin)
    builder.axes[loop.axis] = clock
    _statements(builder, loop.body)
    del builder.axes[loop.axis]
    builder.open.pop()
    builder.rows[begin][5] = builder.row(END, begin)
