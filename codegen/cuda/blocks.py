"""How many blocks a launch takes, and how the columns of a product are shared out among them."""

from __future__ import annotations

from math import prod

import numpy as np
import numpy.typing as npt

from codegen.cpu.launch import CALL
from codegen.cpu.operands import Operand
from codegen.cuda.assembly import Assembled
from codegen.cuda.execution import LARGE, SQUARE
from codegen.cuda.image import THREADS
from codegen.layout import Layout
from codegen.sizes import extent_value

Words = npt.NDArray[np.int64]

# Cells of a product's sizes, as `codegen.cuda.contraction_parts` has them.
_AXIS, _EXTENT, _TILE, _COLUMNS, _PRODUCTS, _FIRST = 0, 1, 2, 6, 7, 8
_CELLS_OF_A_PRODUCT = 7
_EACH = 4
"""Iterations of a loop for each thread."""


def squares(made: Assembled, table: Words, row: int, most: int) -> tuple[int, int, int]:
    """Of the product that the row calls: how many of its first axis are a tile, how many tiles
    there are, and into how many parts the columns are cut, so that there are at most so many
    blocks. Tiles are large where that leaves enough of them for every multiprocessor."""
    place = int(made.table[row, 2])
    cells = [int(cell) for cell in table[0, place : place + _FIRST]]
    tile, columns = cells[_TILE], cells[_COLUMNS]
    side = SQUARE
    if cells[_AXIS] == 1 and tile == SQUARE:
        large = -(-cells[_EXTENT] // LARGE) * -(-columns // LARGE)
        if 2 * large >= most:
            tile = side = LARGE
    tiles = max(-(-cells[_EXTENT] // tile), 1) if tile else 1
    parts = 1 if cells[_AXIS] == 2 else -(-columns // side)
    return tile, tiles, max(1, min(parts, most // tiles))


def spread_products(made: Assembled, table: Words, most: int) -> Words:
    """The table of sizes where every product is cut as `squares` says."""
    changed = table.copy()
    for row, (code, number, place, *_) in enumerate(made.table.tolist()):
        if code == CALL and number in made.products:
            cell = place + _FIRST + _CELLS_OF_A_PRODUCT * int(table[0, place + _PRODUCTS])
            changed[:, place + _TILE], _, changed[:, cell] = squares(made, table, row, most)
    return changed


def blocks_of(made: Assembled, layout: Layout, row: int, most: int) -> int:
    """How many blocks the call of that row takes."""
    source = made.source(row)
    if source.single:
        return 1
    if int(made.table[row, 1]) in made.products:
        _, tiles, parts = squares(made, layout.table, row, most)
        return min(tiles, most) * parts
    values = made.plan.values(layout.free, 0)
    count = prod(_number(operand, values) for operand in source.work)
    return max(1, min(-(-count // (_EACH * THREADS)), most))


def _number(operand: Operand, values: dict[str, int]) -> int:
    if isinstance(operand, tuple):
        return prod(extent_value(extent, values) for extent in operand)
    return extent_value(operand, values)
