"""Short rows of arrays stand turned while a block of them is at work: then what the iterations of
the block touch at one time lies side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from codegen.cpu.expressions import Writer
from codegen.cpu.folds import Cells, cells
from codegen.ir import STRANDS, Contraction, Extent, Loop, Statement, Store
from codegen.scalar import FLOATS, Affine, Ref, at
from codegen.walk import refs_of, root_of

LANES = 64
"""How many iterations go together; the cells of a `stack` of `codegen.cpu.operations`."""


@dataclass(frozen=True, slots=True)
class _Rows:
    """A buffer of short rows. `read`: what stands in it before the block is wanted; `written`: the
    block puts something else there."""

    name: str
    read: bool
    written: bool


@contextmanager
def turned(writer: Writer, loop: Loop, names: tuple[str, str, str]) -> Iterator[None]:
    """What is written inside finds rows of at most as many elements as a fold has strands turned.
    names: those of the block's first iteration, of how many there are, and of one of them."""
    found = list(_suitable(writer, loop))
    made = cells_of(writer, found)
    for one, tile in zip(found, made, strict=True):
        if one.read:
            _copy(writer, one, tile, names, into=True)
        writer.moved[one.name] = _place(writer, tile, names[2])
    yield
    for one, tile in zip(found, made, strict=True):
        del writer.moved[one.name]
        if one.written:
            _copy(writer, one, tile, names, into=False)


def cells_of(writer: Writer, found: Sequence[_Rows]) -> tuple[Cells, ...]:
    """An array on the stack for each."""
    return cells(writer, [writer.operands.buffer(one.name).dtype for one in found], "strands")


def _place(writer: Writer, tile: Cells, lane: str) -> Callable[[Ref], str]:
    def text(ref: Ref) -> str:
        return f"{tile.name}[{writer.axes[_column(ref)]} * {LANES} + {lane}]"

    return text


def _copy(
    writer: Writer, one: _Rows, tile: Cells, names: tuple[str, str, str], *, into: bool
) -> None:
    base, width, lane = names
    column, row = writer.fresh("k"), writer.fresh("q")
    pointer, reach = writer.operands.pointer(one.name), writer.operands.dimension(one.name, 1)
    writer.line(f"for {lane} in range({width}):")
    writer.line(f"    {row} = ({base} + {lane}) * {reach}")
    writer.line(f"    for {column} in range({reach}):")
    here, there = f"{tile.name}, {column} * {LANES} + {lane}", f"{pointer}, {row} + {column}"
    pair = (here, there) if into else (there, here)
    writer.line(f"        put_alone({', '.join(pair)})")


def _suitable(writer: Writer, loop: Loop) -> Iterator[_Rows]:
    """The buffers of which the loop touches nothing but elements of its iterations' own rows, and
    all of a row each time."""
    buffers = writer.operands.buffers
    axes: dict[str, Extent] = {}
    touched: dict[str, list[tuple[Ref, bool]]] = {}
    for one in _statements(loop.body):
        if isinstance(one, Loop):
            axes[one.axis] = one.extent if one.start == 0 else -1
        for ref in refs_of(one):
            stored = isinstance(one, Store) and one.ref is ref
            touched.setdefault(root_of(ref.buffer, buffers), []).append((ref, stored))
    for root, refs in touched.items():
        buffer = buffers[root]
        if buffer.dtype not in FLOATS or len(buffer.shape) != 2:
            continue
        width = buffer.shape[1]
        if not isinstance(width, int) or not 1 < width <= STRANDS:
            continue
        if all(
            ref.buffer == root
            and ref.index[0] == at(loop.axis)
            and (column := _column(ref)) != loop.axis
            and axes.get(column) == width
            for ref, _ in refs
        ):
            written = any(stored for _, stored in refs)
            yield _Rows(root, not _begins_stored(loop.body, root), written)


def _column(ref: Ref) -> str:
    """The axis that the last index is; empty if it is none."""
    last = ref.index[-1]
    if isinstance(last, Affine) and len(last.terms) == 1:
        name = last.terms[0][0].name
        return name if last == at(name) else ""
    return ""


def _begins_stored(body: Sequence[Statement], name: str) -> bool:
    """True if a statement stores the rows before any loads of them."""
    for one in body:
        refs = [
            (isinstance(inner, Store) and inner.ref is ref)
            for inner in _statements((one,))
            for ref in refs_of(inner)
            if ref.buffer == name
        ]
        if refs:
            return all(refs)
    return False


def _statements(body: Sequence[Statement]) -> Iterator[Statement]:
    for one in body:
        yield one
        if isinstance(one, Loop | Contraction):
            yield from _statements(one.body)
