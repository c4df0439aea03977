"""Loop nests as kernel texts: one readable Python source each, blind to sizes and names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from codegen.cpu.blocks import block, suits
from codegen.cpu.errors import CompileError
from codegen.cpu.expressions import Writer, element, store, value
from codegen.cpu.folds import cells, fold
from codegen.cpu.operands import Operand, Operands
from codegen.cpu.turning import LANES
from codegen.ir import Any, Barrier, Buffer, Let, Loop, Statement, Store, Tree, Until
from codegen.scalar import Apply, Local

_HEADER = """\
from math import inf, nan

from numba import float32, float64, int32, int64, uint8

from codegen.cpu.operations import *


def kernel(worker, workers, n, p):
"""


@dataclass(frozen=True, slots=True)
class KernelSource:
    """A kernel before it is compiled.

    `text` defines `kernel(worker, workers, n, p)`, or `llvm(symbol)` that writes it as LLVM code:
    cell k of `n` holds `sizes[k]`; the cells of `p` hold the addresses of `buffers` and those of
    the `clocks` (the values of enclosing axes).
    """

    text: str
    label: str
    sizes: tuple[Operand, ...]
    buffers: tuple[str, ...]
    clocks: tuple[str, ...] = ()


def nest(loop: Loop, buffers: Mapping[str, Buffer]) -> KernelSource:
    """The kernel of an Any loop cut into tiles: each worker takes a run of neighbouring ones.

    Of c tiles worker w takes w * c // workers up to (w + 1) * c // workers, so loops of equal
    extents and tiles give an iteration to the same worker.
    """
    order = loop.order
    if not isinstance(order, Any):
        raise CompileError(f"the loop over {loop.axis} cannot be shared out")
    writer = Writer(Operands(buffers))
    extent = writer.operands.number(loop.extent)
    tile = writer.operands.number(order.tile or 1)
    writer.line(f"first = share(worker, workers, {extent}, {tile})")
    writer.line(f"last = share(worker + 1, workers, {extent}, {tile})")
    reach = "first", "last"
    if loop.start != 0:
        start = writer.operands.number(loop.start)
        reach = f"{start} + first", f"{start} + last"
    _iterations(writer, loop, *reach)
    return finished(writer, loop.label)


def single(statements: tuple[Statement, ...], buffers: Mapping[str, Buffer]) -> KernelSource:
    """The kernel of statements that are one tile together: the first worker runs them."""
    writer = Writer(Operands(buffers))
    writer.line("if worker == 0:")
    writer.depth += 1
    _body(writer, statements)
    labels = [each.label for each in statements if isinstance(each, Loop) and each.label]
    return finished(writer, "; ".join(labels))


def flag(until: Until, buffers: Mapping[str, Buffer]) -> KernelSource:
    """The kernel by which each worker reads the flag for itself: it puts 0 or 1 into the word whose
    address follows those of the clocks."""
    writer = Writer(Operands(buffers))
    text = element(writer, until.ref)
    cell = len(writer.operands.pointers) + len(writer.operands.clocks)
    writer.line(f"int64_at(p, {cell})[0] = int64({text})")
    return finished(writer, f"until {until.ref.buffer}")


def finished(writer: Writer, label: str) -> KernelSource:
    """The kernel whose body the writer holds."""
    lines = ["    " + line for line in writer.operands.prologue()] + writer.lines
    comment = "".join(f"# {line}\n" for line in label.splitlines())
    operands = writer.operands
    return KernelSource(
        text=comment + _HEADER + "\n".join(lines) + "\n",
        label=label,
        sizes=tuple(operands.sizes),
        buffers=tuple(operands.pointers),
        clocks=tuple(operands.clocks),
    )


def _body(writer: Writer, statements: tuple[Statement, ...]) -> None:
    if not statements:
        writer.line("pass")
    for statement in statements:
        match statement:
            case Let(name=name, value=scalar):
                writer.bind(name, value(writer, scalar))
            case Store(ref=ref, value=scalar):
                store(writer, ref, scalar)
            case Loop(order=Tree() as order):
                _comment(writer, statement)
                fold(writer, statement, order, _folded)
            case Loop():
                _loop(writer, statement)
            case Until(ref=ref):
                writer.line(f"if {element(writer, ref)} != 0:")
                writer.lines.append("    " * (writer.depth + 1) + "break")
            case Barrier():
                # One worker runs all of a tile: what stands above is done.
                writer.line("pass")
            case _:
                raise CompileError(f"{type(statement).__name__} cannot stand inside a kernel")


def _folded(writer: Writer, statements: tuple[Statement, ...]) -> None:
    if statements:
        _body(writer, statements)


def _comment(writer: Writer, loop: Loop) -> None:
    for line in loop.label.splitlines():
        writer.line(f"# {line}")


def _loop(writer: Writer, loop: Loop) -> None:
    _comment(writer, loop)
    extent = writer.operands.number(loop.extent)
    if loop.start == 0:
        _iterations(writer, loop, "0", extent)
    else:
        start = writer.operands.number(loop.start)
        _iterations(writer, loop, start, f"{start} + {extent}")


def _iterations(writer: Writer, loop: Loop, first: str, last: str) -> None:
    if isinstance(loop.order, Any) and suits(loop, writer):
        block(writer, loop, first, last)
        return
    if isinstance(loop.order, Any) and (drawn := _drawn(loop)) is not None:
        _drawings(writer, loop, drawn, first, last)
        return
    axis = writer.fresh("i")
    writer.line(f"for {axis} in range({last if first == '0' else f'{first}, {last}'}):")
    writer.axes[loop.axis] = axis
    with writer.indented():
        _body(writer, loop.body)


def _drawn(loop: Loop) -> Apply | None:
    """The place in a permutation with which an iteration begins, if it does."""
    match loop.body[0]:
        case Let(value=Apply("permuted") as drawn) | Store(value=Apply("permuted") as drawn):
            return drawn
    return None


def _drawings(writer: Writer, loop: Loop, drawn: Apply, first: str, last: str) -> None:
    """The loop in blocks: for most iterations the first step of the walk is the last one, and all
    of a block make it side by side."""
    base, width, lane, axis = (writer.fresh(letter) for letter in "bwji")
    (places,) = cells(writer, ("int64",), "stack")
    writer.axes[loop.axis] = axis
    place = Local("the place drawn", "int64")
    writer.locals[place.name] = places.read(lane)
    head = loop.body[0]
    kept = Let(head.name, place) if isinstance(head, Let) else head
    if isinstance(head, Store):
        kept = Store(head.ref, place)
    writer.line(f"for {base} in range({first}, {last}, {LANES}):")
    writer.depth += 1
    writer.line(f"{width} = min({LANES}, {last} - {base})")
    for step in ("once", "further", ""):
        writer.line(f"for {lane} in range({width}):")
        with writer.indented():
            writer.line(f"{axis} = {base} + {lane}")
            if not step:
                _body(writer, (kept, *loop.body[1:]))
                continue
            start, *others = (value(writer, argument) for argument in drawn.args)
            given = start if step == "once" else places.read(lane)
            places.write(writer, lane, f"permuted_{step}({', '.join([given, *others])})")
    writer.depth -= 1
