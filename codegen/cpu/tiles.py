"""Register tiles: a few rows times a few vectors of a matrix product, held in registers.

Every element of the result is one chain of fused multiply-adds over the depth, in order, so that
its bits do not depend on the shape of the tile, on packing, or on where the tile begins.
"""

# llvmlite has no types.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from codegen.cpu.code import INDEX, Int, Pointer, Vectors, inner_function, loop

_SHAPES = {64: (8, 2), 32: (4, 3), 16: (8, 2)}
"""Rows and vectors that leave registers for the operands, by the bytes of a register: there are 32
of them with AVX-512 and NEON, 16 with AVX2."""
_UNROLLED = 4

Grid = list[list[Any]]


@dataclass(frozen=True, slots=True)
class Tile:
    """The shape of a tile: rows, and vectors side by side."""

    vectors: Vectors
    rows: int
    count: int

    @property
    def wide(self) -> int:
        """Columns of a whole tile."""
        return self.vectors.lanes * self.count


def tile_of(dtype: str, vector_bytes: int) -> Tile:
    """The tile for registers of that width."""
    rows, count = _SHAPES[vector_bytes]
    real = ir.FloatType() if dtype == "float32" else ir.DoubleType()
    return Tile(Vectors(real, vector_bytes * 8 // (32 if dtype == "float32" else 64)), rows, count)


@dataclass(frozen=True, slots=True)
class Strip:
    """As many rows of the left operand as a tile has; strides count elements. One of them is 1:
    that of the rows if `turned`, else that of the depth."""

    left: Pointer
    row: Int
    stride: Int
    turned: bool


@dataclass(frozen=True, slots=True)
class Job:
    """What a strip is multiplied with, and the block that the product goes into."""

    right: Pointer
    right_stride: Int
    depth: Int
    block: Pointer
    block_row: Int
    continued: Any


def multiply(module: Any, tile: Tile) -> Any:
    """The function (left, row stride, depth stride, packed rows, first, right, depth stride, depth,
    block, row stride, rows, columns, continued) that puts left @ right into the block, or adds it.

    Rows of the left operand from `first`, a multiple of a tile's rows, are read from the packed
    ones: strips of [depth][rows of a tile]. One of the left strides is 1. Of `right` whole vectors
    are read, and of the block whole vectors of whole tiles' rows are written.
    """
    real = tile.vectors.real.as_pointer()
    kinds = [
        real, INDEX, INDEX, real, INDEX, real, INDEX, INDEX, real, INDEX, INDEX, INDEX,
        ir.IntType(1),
    ]  # fmt: skip

    def write(builder: Any, left: Pointer, row: Int, stride: Int, packed: Pointer, first: Int,
              right: Pointer, right_stride: Int, depth: Int, block: Pointer, block_row: Int,
              rows: Int, columns: Int, continued: Int) -> None:  # fmt: skip
        job = Job(right, right_stride, depth, block, block_row, continued.value)
        lanes = tile.vectors.lanes
        for count in range(1, tile.count + 1):
            fits = builder.and_(columns > (count - 1) * lanes, columns <= count * lanes)
            with builder.if_then(fits):
                with builder.if_else(row.compare("==", 1)) as branches:
                    for branch, turned in zip(branches, (True, False), strict=True):
                        with branch:
                            _in_place(tile, count, Strip(left, row, stride, turned), first, job)
                _packed(tile, count, packed, first, rows, job)

    return inner_function(module, "multiply", kinds, write)


def _in_place(tile: Tile, count: int, left: Strip, first: Int, job: Job) -> None:
    with loop(first.constant(0), first, tile.rows) as row:
        strip = Strip(left.left + row * left.row, left.row, left.stride, left.turned)
        _tile(tile, tile.rows, count, strip, row, job)


def _packed(tile: Tile, count: int, packed: Pointer, first: Int, rows: Int, job: Job) -> None:
    with loop(first, rows, tile.rows) as row:
        stride = row.constant(tile.rows)
        strip = Strip(packed + row * job.depth, stride.constant(1), stride, True)
        left = rows - row
        with row.builder.if_else(left <= tile.rows // 2) as (short, whole):
            with short, row.builder.if_else(left <= tile.rows // 4) as (least, half):
                with least:
                    _tile(tile, tile.rows // 4, count, strip, row, job)
                with half:
                    _tile(tile, tile.rows // 2, count, strip, row, job)
            with whole:
                _tile(tile, tile.rows, count, strip, row, job)


def _tile(tile: Tile, rows: int, count: int, strip: Strip, row: Int, job: Job) -> None:
    block = job.block + row * job.block_row
    places = [
        [block + job.block_row * number + j * tile.vectors.lanes for j in range(count)]
        for number in range(rows)
    ]
    sums = _starts(tile, places, job.continued)
    zero = row.constant(0)
    main = job.depth // _UNROLLED * _UNROLLED
    lefts = [_opaque(strip.left + strip.row * number) for number in range(rows)]
    if strip.turned:
        lefts = [strip.left]
    sums = _chains(tile, lefts, strip, job, (zero, main), sums, _UNROLLED)
    sums = _chains(tile, lefts, strip, job, (main, job.depth), sums, 1)
    for row_places, row_sums in zip(places, sums, strict=True):
        for place, total in zip(row_places, row_sums, strict=True):
            place.store(total)


def _opaque(pointer: Pointer) -> Pointer:
    """The pointer, of which LLVM no longer knows where it came from: it would trade the rows' eight
    registers for chains of additions."""
    kind = pointer.value.type
    same = ir.FunctionType(kind, [kind])
    return Pointer(pointer.builder, pointer.builder.asm(same, "", "=r,0", [pointer.value], False))


def _starts(tile: Tile, places: Grid, continued: Any) -> Grid:
    """What the chains start from: what the block holds, or zeros."""
    builder = places[0][0].builder
    entry = builder.block
    with builder.if_then(continued):
        loaded = [[place.load(tile.vectors.kind) for place in row] for row in places]
        held = builder.block
    zeros = [[tile.vectors.zero] * len(row) for row in places]
    return _joined(builder, tile, ((zeros, entry), (loaded, held)))


def _joined(builder: Any, tile: Tile, ways: tuple[tuple[Grid, Any], ...]) -> Grid:
    """The grid that came with the block from which control arrived."""
    (first, _), *_ = ways
    grid = [[builder.phi(tile.vectors.kind) for _ in row] for row in first]
    for values, block in ways:
        _arrive(grid, values, block)
    return grid


def _arrive(grid: Grid, values: Grid, block: Any) -> None:
    for phis, row in zip(grid, values, strict=True):
        for phi, value in zip(phis, row, strict=True):
            phi.add_incoming(value, block)


def _chains(
    tile: Tile, lefts: list[Pointer], strip: Strip, job: Job, part: tuple[Int, Int], starts: Grid,
    unrolled: int,
) -> Grid:  # fmt: skip
    """The loop over a part of the depth: one fused multiply-add an element and step."""
    start, stop = part
    builder = stop.builder
    entry = builder.block
    body, done = builder.append_basic_block("depth"), builder.append_basic_block("done")
    builder.cbranch(start < stop, body, done)
    builder.position_at_end(body)
    index = Int(builder, builder.phi(INDEX))
    index.value.add_incoming(start.value, entry)
    sums = _joined(builder, tile, ((starts, entry),))
    totals = sums
    for step in range(unrolled):
        totals = _step(tile, lefts, strip, job, index + step, totals)
    following = index + unrolled
    index.value.add_incoming(following.value, body)
    _arrive(sums, totals, body)
    builder.cbranch(following < stop, body, done)
    builder.position_at_end(done)
    return _joined(builder, tile, ((starts, entry), (totals, body)))


def _step(tile: Tile, lefts: list[Pointer], strip: Strip, job: Job, index: Int, sums: Grid) -> Grid:
    builder, vectors = index.builder, tile.vectors
    right = job.right + index * job.right_stride
    rights = [(right + j * vectors.lanes).load(vectors.kind) for j in range(len(sums[0]))]
    totals = []
    for number, row in enumerate(sums):
        here = lefts[0] + index * strip.stride + number if strip.turned else lefts[number] + index
        factor = vectors.splat(builder, here.load())
        totals.append([
            vectors.times_plus(builder, factor, right, total)
            for right, total in zip(rights, row, strict=True)
        ])  # fmt: skip
    return totals
