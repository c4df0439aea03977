"""What is done with each finished element of a contraction, as Numba source."""

from __future__ import annotations

from collections.abc import Mapping

from codegen.cpu.errors import CompileError
from codegen.cpu.expressions import Writer, store, value
from codegen.cpu.operands import Operands
from codegen.cpu.scratch import scratch
from codegen.cpu.source import KernelSource, finished
from codegen.ir import Buffer, Contraction, Let, Store
from codegen.passes.contractions import MatrixForm
from codegen.scalar import Affine, Axis, Local, Ref, at
from codegen.walk import nodes, refs_of, scalars_of

_HEADER = ("batch", "first_row", "last_row", "first_column", "last_column", "block_row")


def epilogue(
    statement: Contraction, form: MatrixForm, buffers: Mapping[str, Buffer]
) -> KernelSource:
    """The kernel that runs the body for each element of the block in the scratch, whose address is
    its last pointer."""
    writer = Writer(Operands(buffers))
    row, column, place, result = (writer.fresh(letter) for letter in "iisv")
    writer.locals[statement.result] = result
    first = scratch(statement.dtype).block
    writer.line(f"for {row} in range(first_row, last_row):")
    writer.depth += 1
    writer.line(f"{place} = ({row} - first_row) * block_row + {first} - first_column")
    writer.line(f"for {column} in range(first_column, last_column):")
    writer.depth += 1
    writer.line(f"{result} = block[{place} + {column}]")
    groups = (form.batch, form.rows, form.columns)
    if max(map(len, groups)) > 1:
        _stored(writer, statement, form, row, column)
    else:
        names = ("batch", row, column)
        present = (name for name, group in zip(names, groups, strict=True) if group)
        writer.axes.update(zip(statement.letters, present, strict=True))
        _body(writer, statement)
    cell = len(writer.operands.pointers) + len(writer.operands.clocks)
    writer.lines[:0] = [
        f"    header = int64_at(p, {cell})",
        f"    block = {statement.dtype}_restrict(p, {cell})",
        *(f"    {name} = header[{word}]" for word, name in enumerate(_HEADER)),
        *_one_row(writer, statement, form, buffers),
    ]
    return finished(writer, statement.label)


def _one_row(
    writer: Writer, statement: Contraction, form: MatrixForm, buffers: Mapping[str, Buffer]
) -> list[str]:
    """Lines that make one long row of all rows of the block where they follow one another without
    a gap, as they do in all that the body touches: short rows leave vectors unused."""
    if not form.columns or not form.rows or not _is_aligned(statement, buffers):
        return []
    width = writer.operands.product(form.columns)
    return [
        f"    if block_row == {width} and last_column - first_column == {width}:",
        f"        last_column = (last_row - first_row) * {width}",
        "        last_row = first_row + 1",
    ]


def _is_aligned(statement: Contraction, buffers: Mapping[str, Buffer]) -> bool:
    """True if all that the body touches is an element at the contraction's letters, of an array
    that has no gaps in between, or the same one at every row and column."""
    extents = dict(statement.extents)
    inner = [extents[letter] for letter in statement.letters[1:]]
    places = tuple(map(at, statement.letters))
    axes = {Axis(letter) for letter in statement.letters}
    for one in statement.body:
        if any(node in axes for scalar in scalars_of(one) for node in nodes(scalar)):
            return False
        for ref in refs_of(one):
            whole = ref.index == places and [*buffers[ref.buffer].shape[1:]] == inner
            if not (whole or _is_fixed(ref, axes)):
                return False
    return True


def _is_fixed(ref: Ref, axes: set[Axis]) -> bool:
    """True if the element is the same one at each of the axes."""
    affine = [index for index in ref.index if isinstance(index, Affine)]
    used = {symbol for index in affine for symbol, _ in index.terms}
    # What an indirect index reads is a ref of its own.
    return not used & axes


def _body(writer: Writer, statement: Contraction) -> None:
    for one in statement.body:
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
