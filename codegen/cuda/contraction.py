"""Contractions in matrix form as device functions: the body is run where the sum is made.

Unless tensor cores are asked for, each element is one chain of fused multiply-adds over the depths
of all products, in order, so that it has the bits that the CPU's kernel gives it, whichever thread
makes it.
"""

from __future__ import annotations

from collections.abc import Mapping

from codegen.cpu.contraction import operands
from codegen.cpu.errors import CompileError
from codegen.cpu.expressions import Writer, store, value
from codegen.cpu.operands import Operand, Operands
from codegen.cuda.image import THREADS
from codegen.cuda.sources import DeviceSource, finished
from codegen.ir import Buffer, Contraction, Let, Store
from codegen.passes.contractions import MatrixForm, matrix_form
from codegen.scalar import Local
from codegen.walk import root_of

PRECISIONS = ("float32", "tf32", "bf16")
SHAPES = ("rows", "square")
ARENA_BYTES = 2 * 32 * (128 + 8 + 16 + 8) * 4
"""Two stretches of the largest tile."""


def contraction(
    statement: Contraction,
    buffers: Mapping[str, Buffer],
    precision: str = "float32",
    shape: str = "rows",
    columns_shared: Operand = 1,
) -> DeviceSource:
    """The function of a contraction in matrix form; CompileError if it has none, or if tensor cores
    are asked for where it is not of float32.

    precision: "float32" leaves the dtype as it is; "tf32" and "bf16" round operands to nearest and
    add up in float32 on tensor cores. shape: "rows" for blocks that have a few rows each, "square"
    for blocks that have squares of 64 or 128. Cells of `n` are those of
    `codegen.cuda.contraction_parts`, then `columns_shared` (into how many parts the columns are
    cut, so that blocks are a grid), then the body's own.
    """
    form = matrix_form(statement, buffers)
    if form is None:
        raise CompileError(f"the contraction {statement.label} is no matrix product")
    if precision not in PRECISIONS or shape not in SHAPES:
        raise CompileError(f"no product is made in {precision!r} and {shape!r}")
    if precision == "float32":
        precision = statement.dtype
    elif statement.dtype != "float32":
        raise CompileError(
            f"the contraction {statement.label} is of {statement.dtype}, which {precision} cannot "
            "stand for"
        )
    sizes, pointers = operands(statement, form)
    across = len(sizes)
    given = Operands(buffers, sizes=[*sizes, columns_shared])
    # One pointer each, even of the same memory: they are reached by their place.
    given.pointers += [root_of(name, buffers) for name in pointers]
    writer = Writer(given)
    _tiles(writer, statement, form, _names(statement.dtype, precision, shape), across)
    return finished(
        writer,
        statement.label,
        work=(form.batch, form.rows, form.columns),
        single=statement.tile is None,
        shared=ARENA_BYTES,
    )


_TILES = """\
part = parts(worker, workers, n, n{across})
batches, height, width = part[1] - part[0], part[3] - part[2], part[5] - part[4]
form, shift = {form_of}(n, batches, height, width, {largest})
tiles, beside, below = number_of_tiles(form, shift, batches, height, width)
for tile in range(tiles):
"""
# Each thread has one element, or four below one another, and finishes them where they are.
_ROWS = """\
    sums = {sums}()
    batch, row, column = rows_{precision}(n, p, tile, form, shift, beside, below, part, sums)
    for _ in range(4 if form == FOUR else 1):
        result = sums[0]
        if row < part[3] and column < part[5]:
"""
_AFTER_ROWS = """\
        row += 1
        next_sum(sums)
"""
# Squares pass through shared memory, so that neighbouring threads finish neighbouring elements.
_SQUARES = """\
    sums = {sums}()
    batch, top, start = {make}(n, p, tile, form, shift, beside, below, part, sums)
    turns, together = {turns_of}(form)
    for turn in range(turns):
        if form >= {first_staged}:
            {staged}(form, shift, sums)
        for place in range(me, together, {threads}):
            row, column, result = taken_{precision}(form, shift, turn, place, top, start, sums)
            if row < part[3] and column < part[5]:
"""


def _names(dtype: str, precision: str, shape: str) -> dict[str, str]:
    """What the functions are called that make tiles."""
    large = "LARGE" if dtype == "float32" else "SMALL"
    largest = large if shape == "square" else ("FOUR" if precision == dtype else "EIGHT")
    made = "rows" if shape == "rows" else "squares"
    if precision == dtype:
        sums = f"four_{dtype}" if shape == "rows" else f"sums_{dtype}"
        forms, turns, first, staged = "form_of", "turns_of", "SMALL", f"staged_{dtype}"
    else:
        sums = "eight_float32" if shape == "rows" else "sums_float32"
        forms, turns, first = "tensor_form_of", "tensor_turns", "EIGHT"
        staged = f"staged_{made}_{precision}"
    return {
        "form_of": forms, "turns_of": turns, "first_staged": first, "staged": staged,
        "sums": sums, "make": f"{made}_{precision}", "largest": largest, "precision": precision,
    }  # fmt: skip


def _tiles(
    writer: Writer, statement: Contraction, form: MatrixForm, names: dict[str, str], across: int
) -> None:
    """Tile after tile of this block's part, each finished by the body."""
    in_place = names["largest"] == "FOUR"
    text = _TILES + (_ROWS if in_place else _SQUARES)
    for line in text.format(threads=THREADS, across=across, **names).splitlines():
        writer.line(line)
    deeper = 3 if in_place else 4
    writer.depth += deeper
    _finish(writer, statement, form)
    writer.depth -= deeper
    for line in _AFTER_ROWS.splitlines() if in_place else ():
        writer.line(line)


def _finish(writer: Writer, statement: Contraction, form: MatrixForm) -> None:
    """The body for the element `result` at `batch`, `row` and `column`."""
    writer.locals[statement.result] = "result"
    groups = (form.batch, form.rows, form.columns)
    if max(map(len, groups)) > 1:
        _stored(writer, statement, form)
        return
    present = (
        name for name, group in zip(("batch", "row", "column"), groups, strict=True) if group
    )
    writer.axes.update(zip(statement.letters, present, strict=True))
    for one in statement.body:
        match one:
            case Let(name=name, value=scalar):
                writer.bind(name, value(writer, scalar))
            case Store(ref=ref, value=scalar):
                store(writer, ref, scalar)
            case _:
                raise CompileError(f"a contraction cannot hold a {type(one).__name__}")


def _stored(writer: Writer, statement: Contraction, form: MatrixForm) -> None:
    """Several letters run as one: the body only stores the result, row-major."""
    match statement.body:
        case (Store(ref=ref, value=Local()),):
            rows, columns = map(writer.operands.product, (form.rows, form.columns))
            where = f"(batch * {rows} + row) * {columns} + column"
            writer.line(f"{writer.operands.pointer(ref.buffer)}[{where}] = result")
        case _:
            raise CompileError(f"the contraction {statement.label} does more than store its sums")
