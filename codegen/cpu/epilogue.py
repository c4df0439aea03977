"""What is done with each finished element of a contraction, as Numba source."""

from __future__ import annotations

from collections.abc import Mapping

from codegen.cpu.errors import CompileError
from codegen.cpu.expressions import Writer, element, store, value
from codegen.cpu.operands import Operands
from codegen.cpu.scratch import scratch
from codegen.cpu.source import KernelSource, finished
from codegen.ir import Buffer, Contraction, Let, Statement, Store
from codegen.passes.contractions import MatrixForm
from codegen.passes.rewrite import Substitution
from codegen.scalar import FLOATS, Affine, Axis, Load, Local, Ref, at
from codegen.walk import nodes, refs_of, root_of, scalars_of

_HEADER = ("batch", "first_row", "last_row", "first_column", "last_column", "block_row")


_NARROW, _TOGETHER = 64, 256
"""Rows of no more columns run together, as many as have so many elements in all."""


def epilogue(
    statement: Contraction, form: MatrixForm, buffers: Mapping[str, Buffer]
) -> KernelSource:
    """The kernel that runs the body for each element of the block in the scratch, whose address is
    its last pointer.

    Short rows leave vectors unused and take longer to begin than to run. Where all that the body
    touches lets them, rows that follow one another without a gap run as one.
    """
    writer = Writer(Operands(buffers))
    row, column, place, result = (writer.fresh(letter) for letter in "iisv")
    writer.locals[statement.result] = result
    first = scratch(statement.dtype).block
    repeated = _repeated(statement, form, buffers)
    width = writer.operands.product(form.columns) if repeated else ""
    writer.lines += _each_run(row, width)
    writer.depth += 1
    writer.line(f"{place} = ({row} - first_row) * block_row + {first} - first_column")
    writer.line(f"for {column} in range(first_column, {'end' if repeated else 'last_column'}):")
    writer.depth += 1
    writer.line(f"{result} = block[{place} + {column}]")
    groups = (form.batch, form.rows, form.columns)
    if max(map(len, groups)) > 1:
        _stored(writer, statement, form, row, column)
    else:
        names = ("batch", row, column)
        present = (name for name, group in zip(names, groups, strict=True) if group)
        writer.axes.update(zip(statement.letters, present, strict=True))
        _body(writer, _with_tiles(writer, statement, repeated or (), column))
    prologue: list[str] = []
    if repeated:
        writer.depth -= 1
        writer.line(f"{row} += together")
        prologue = _rows_together(writer, statement.letters[-1], repeated, width)
    elif repeated is not None:
        prologue = _one_row(writer.operands.product(form.columns))
    cell = len(writer.operands.pointers) + len(writer.operands.clocks)
    writer.lines[:0] = [
        f"    header = int64_at(p, {cell})",
        f"    block = {statement.dtype}_restrict(p, {cell})",
        *(f"    {name} = header[{word}]" for word, name in enumerate(_HEADER)),
        *prologue,
    ]
    return finished(writer, statement.label)


def _each_run(row: str, width: str) -> list[str]:
    """The head of the loop over runs of rows that go together, or over the rows."""
    if not width:
        return [f"    for {row} in range(first_row, last_row):"]
    return [
        f"    {row} = first_row",
        f"    while {row} < last_row:",
        f"        end = last_column + (min(together, last_row - {row}) - 1) * {width}",
    ]


def _repeated(
    statement: Contraction, form: MatrixForm, buffers: Mapping[str, Buffer]
) -> tuple[Load, ...] | None:
    """What the body loads that is the same in all rows, but not in all columns; None if the rows
    cannot run together. They can if all else that it touches is an element at the contraction's
    letters, of an array that has no gaps in between, or the same one everywhere."""
    if not form.columns or not form.rows:
        return None
    extents = dict(statement.extents)
    inner = [extents[letter] for letter in statement.letters[1:]]
    places = tuple(map(at, statement.letters))
    letters = {Axis(letter) for letter in statement.letters}
    found: dict[Load, None] = {}
    for one in statement.body:
        if any(node in letters for scalar in scalars_of(one) for node in nodes(scalar)):
            return None
        loaded = {node.ref: node for scalar in scalars_of(one) for node in nodes(scalar)
                  if isinstance(node, Load)}  # fmt: skip
        for ref in refs_of(one):
            if ref.index == places and [*buffers[ref.buffer].shape[1:]] == inner:
                continue
            if _is_fixed(ref, letters):
                continue
            node = loaded.get(ref)
            if node is None or node.dtype not in FLOATS or len(statement.letters) > 2:
                return None
            if ref.index[-1] != places[-1] or not _is_fixed(Ref("", ref.index[:-1]), letters):
                return None
            found[node] = None
    written = {root_of(one.ref.buffer, buffers) for one in statement.body if isinstance(one, Store)}
    if any(root_of(node.ref.buffer, buffers) in written for node in found):
        return None
    return tuple(found)


def _one_row(width: str) -> list[str]:
    """Lines that make one long row of all rows of the block."""
    return [
        f"    if block_row == {width} and last_column - first_column == {width}:",
        f"        last_column = (last_row - first_row) * {width}",
        "        last_row = first_row + 1",
    ]


def _with_tiles(
    writer: Writer, statement: Contraction, repeated: tuple[Load, ...], column: str
) -> tuple[Statement, ...]:
    """The body, which finds what all rows have in common in tiles as long as the rows together."""
    tiles = {load: Local(f"tile {number}", load.dtype) for number, load in enumerate(repeated)}
    writer.locals.update(
        (local.name, f"q{number}[{column}]") for number, local in enumerate(tiles.values())
    )
    put = Substitution(load=lambda load: tiles.get(load, load), indices=False)
    return tuple(map(put.statement, statement.body))


def _rows_together(
    writer: Writer, letter: str, repeated: tuple[Load, ...], width: str
) -> list[str]:
    """Lines that let rows run together if they are short. Else what all rows have in common is
    read where it stands."""
    lines = ["    together = 1"]
    filled = []
    for number, load in enumerate(repeated):
        writer.axes[letter] = "0"
        pointer, start = element(writer, load.ref)[:-1].split("[", 1)
        writer.axes[letter] = "j"
        lines.append(f"    q{number} = offset({pointer}, {start})")
        filled.append(f"q{number}[k * {width} + j] = {element(writer, load.ref)}")
    return [
        *lines,
        f"    across = last_column - first_column if {width} <= {_NARROW} else -1",
        f"    if block_row == {width} and across == {width}:",
        f"        together = min({_TOGETHER} // max({width}, 1), last_row - first_row)",
        *(f"        q{number} = {load.dtype}_strands()" for number, load in enumerate(repeated)),
        "        for k in range(together):",
        f"            for j in range({width}):",
        *(f"                {line}" for line in filled),
    ]


def _is_fixed(ref: Ref, axes: set[Axis]) -> bool:
    """True if the element is the same one at each of the axes."""
    affine = [index for index in ref.index if isinstance(index, Affine)]
    used = {symbol for index in affine for symbol, _ in index.terms}
    # What an indirect index reads is a ref of its own.
    return not used & axes


def _body(writer: Writer, body: tuple[Statement, ...]) -> None:
    for one in body:
        match one:
            case Let(name=name, value=scalar):
                writer.bind(name, value(writer, scalar))
            case Store(ref=ref, value=scalar):
                store(writer, ref, scalar)
            case _:
                raise CompileError(f"a contraction cannot hold a {type(one).__name__}")


def _stored(
    writer: Writer, statement: Contraction, form: MatrixForm, row: str, column: str
) -> None:
    """Several letters run as one: the body only stores the result, row-major."""
    match statement.body:
        case (Store(ref=ref, value=Local(name=name)),):
            rows, columns = map(writer.operands.product, (form.rows, form.columns))
            where = f"(batch * {rows} + {row}) * {columns} + {column}"
            writer.line(f"{writer.operands.pointer(ref.buffer)}[{where}] = {writer.locals[name]}")
        case _:
            raise CompileError(f"the contraction {statement.label} does more than store its sums")
