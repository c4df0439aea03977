"""The kernel that runs every contraction of a dtype, written as LLVM code.

Cells of `n`: the axis that is shared out (0 batch, 1 rows, 2 columns), the extent of its first
letter, how many of those are a tile (0: the first worker takes all), how many indices each of them
is; batch, rows, columns; how many products; then for each product its depth and its strides in
elements: left batch, row, depth, right batch, depth, column. Then come the epilogue's own cells.

Cells of `p`: the address of the epilogue, this worker's scratch, the left and the right operand of
each product; then the epilogue's own cells.

The scratch begins with a header for the epilogue; `codegen.cpu.scratch` says what it holds.
"""

# llvmlite has no types.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from llvmlite import ir

from codegen.cpu.code import INDEX, Int, Pointer, loop
from codegen.cpu.scratch import Scratch, scratch
from codegen.cpu.tiles import Tile, multiply, tile_of
from codegen.cpu.tiles_pack import pack

AXIS, EXTENT, TILE, INNER, BATCH, ROWS, COLUMNS, PRODUCTS, FIRST_PRODUCT = range(9)
PRODUCT_CELLS = 7
_FIRST_OPERAND = 2
# When packing the right operand pays, fitted on a Zen 4: bytes that stay in the first cache, rows
# that use a column at least.
_SMALL_BYTES = 16 << 10
_FEW_ROWS = 64
_SQUARE = 16
# A vector is empty if no more than one lane in so many is used.
_EMPTY = 4
_STATUS = ir.IntType(32)
_BYTES = ir.IntType(8).as_pointer()


@dataclass(frozen=True, slots=True)
class _Kernel:
    """What is fixed while the kernel is written: its shape, its functions, and its operands."""

    tile: Tile
    scratch: Scratch
    functions: tuple[Any, Any, Any]
    builder: Any
    worker: Int
    workers: Int
    n: Pointer
    p: Pointer

    @property
    def own(self) -> Pointer:
        """The scratch, as floats."""
        return self.address(self.number(1))

    @property
    def left_lanes(self) -> int:
        """How many rows of the left operand are packed at a time."""
        return min(self.tile.vectors.lanes, self.tile.rows)

    @property
    def size(self) -> int:
        """Bytes of an element."""
        return self.tile.vectors.bits // 8

    def number(self, value: int) -> Int:
        return Int(self.builder, INDEX(value))

    def cell(self, number: int) -> Int:
        return (self.n + number).number()

    def product_cells(self, product: Int) -> Pointer:
        """The cells of `n` that are that product's."""
        return self.n + (product * PRODUCT_CELLS + FIRST_PRODUCT)

    def address(self, cell: Int) -> Pointer:
        """The operand whose address stands in that cell of `p`."""
        kind = self.tile.vectors.real.as_pointer()
        return Pointer(self.builder, (self.p + cell).cast(kind).load())

    def call(self, function: Any, *args: Int | Pointer) -> None:
        self.builder.call(function, [each.value for each in args])


@dataclass(frozen=True, slots=True)
class _Block:
    """A part of the result; `padded` is its width in whole vectors, `stride` leads from one of its
    rows to the next. `uses`: how many rows the packed columns serve; `fresh`: this is the first
    of them. `turned`: rows and columns, and with them the operands, have changed places."""

    batch: Int
    row: Int
    rows: Int
    column: Int
    width: Int
    padded: Int
    stride: Int
    uses: Int
    fresh: Any
    turned: Any
    into: Pointer


def contraction_code(symbol: str, dtype: str, vector_bytes: int) -> str:
    """The LLVM module of the kernel, not yet optimised. `vector_bytes` is the width of a register:
    16, 32 or 64."""
    module = ir.Module(symbol)
    tile = tile_of(dtype, vector_bytes)
    words = INDEX.as_pointer()
    status = _BYTES.as_pointer()
    kind = ir.FunctionType(_STATUS, [status, status, INDEX, INDEX, words, words])
    function = ir.Function(module, kind, symbol)
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    left = replace(tile.vectors, lanes=min(tile.vectors.lanes, tile.rows))
    functions = (multiply(module, tile), pack(module, tile.vectors), pack(module, left))
    _, _, worker, workers, n, p = function.args
    kernel = _Kernel(
        tile, scratch(dtype), functions, builder, Int(builder, worker), Int(builder, workers),
        Pointer(builder, n), Pointer(builder, p),
    )  # fmt: skip
    _blocks(kernel)
    builder.ret(_STATUS(0))
    return str(module)


def _blocks(kernel: _Kernel) -> None:
    """This worker's share, block after block, each handed to the epilogue when it is finished.

    A block is as many rows as fit the first cache, or a fixed number of them if the depth has to
    be cut: then they wait until its last stretch.
    """
    builder, tile, most = kernel.builder, kernel.tile, kernel.scratch
    continued = Pointer(builder, builder.alloca(INDEX))
    parted = _parts(kernel) > 1
    batches, rows_of_all, columns = _share(kernel)
    with loop(*batches) as batch, loop(*columns, most.columns) as column:
        width = (columns[1] - column).at_most(most.columns)
        padded = width.rounded_up(tile.vectors.lanes)
        # Rows of one tile that are stored once, in order, may overlap: each puts right what the
        # one before it wrote past its end. Then the block has no gaps.
        stride = padded.where(builder.or_(parted, width > tile.wide), width)
        height = kernel.number(most.group // tile.rows) // padded * tile.rows
        height = height.where(height > 0, tile.rows).at_most(most.rows)
        height = kernel.number(most.rows).where(parted, height)
        turned = _turns(width, rows_of_all, tile.vectors.lanes)
        height = kernel.number(most.rows).where(turned, height)
        with loop(*rows_of_all, height) as row:
            rows = (rows_of_all[1] - row).at_most(height)
            fresh = builder.or_(parted, row.compare("==", rows_of_all[0]))
            uses = rows.where(parted, rows_of_all[1] - rows_of_all[0])
            block = _Block(batch, row, rows, column, width, padded, stride, uses, fresh, turned,
                           kernel.own + most.block)  # fmt: skip
            _fill(kernel, _turned(kernel, block), continued)
            with builder.if_then(turned):
                _turn_back(kernel, block)
            _hand_over(kernel, replace(block, stride=width.where(turned, stride)))


def _turns(width: Int, rows: tuple[Int, Int], lanes: int) -> Any:
    """Whether so few columns leave a vector so empty that the rows had better be its lanes."""
    many = rows[1] - rows[0] >= lanes
    return width.builder.and_(width <= lanes // _EMPTY, many)


def _turned(kernel: _Kernel, block: _Block) -> _Block:
    """The block to be filled: what follows for rows holds for columns, if they change places."""
    turned, lanes = block.turned, kernel.tile.vectors.lanes
    return replace(
        block,
        rows=block.width.where(turned, block.rows),
        width=block.rows.where(turned, block.width),
        padded=block.rows.rounded_up(lanes).where(turned, block.padded),
        stride=block.rows.rounded_up(lanes).where(turned, block.stride),
        uses=block.width.where(turned, block.uses),
        fresh=kernel.builder.or_(turned, block.fresh),
        into=_aside(kernel).where(turned, block.into),
    )


def _aside(kernel: _Kernel) -> Pointer:
    """Where a turned block is made: it is low, and so is what it becomes."""
    return kernel.own + (kernel.scratch.block + kernel.scratch.rows * kernel.scratch.columns // 2)


def _turn_back(kernel: _Kernel, block: _Block) -> None:
    """Puts the turned block where the epilogue looks for it, row by row without gaps."""
    made, stride = _aside(kernel), block.rows.rounded_up(kernel.tile.vectors.lanes)
    with loop(kernel.number(0), block.rows) as row, loop(kernel.number(0), block.width) as column:
        (block.into + row * block.width + column).store((made + column * stride + row).load())


def _parts(kernel: _Kernel) -> Int:
    """How many stretches of the depth there are, of all products: the block is finished by the
    last."""
    cell = Pointer(kernel.builder, kernel.builder.alloca(INDEX))
    cell.store(INDEX(0))
    with loop(kernel.number(0), kernel.cell(PRODUCTS)) as product:
        depth = kernel.product_cells(product).number()
        parts = (depth + (kernel.scratch.depth - 1)) // kernel.scratch.depth
        cell.store((cell.number() + parts).value)
    return cell.number()


def _share(kernel: _Kernel) -> tuple[tuple[Int, Int], ...]:
    """The batches, rows and columns of this worker: all of them, but for the axis shared out."""
    tile, extent, inner = kernel.cell(TILE), kernel.cell(EXTENT), kernel.cell(INNER)
    alone = tile.compare("==", 0)
    count = (extent + (tile - 1)) // tile.where(kernel.builder.not_(alone), 1)
    bounds = []
    for place, worker in enumerate((kernel.worker, kernel.worker + 1)):
        first = (worker * count // kernel.workers * tile).at_most(extent)
        whole = extent.where(kernel.worker.compare("==", 0), 0) if place else kernel.number(0)
        bounds.append(whole.where(alone, first) * inner)
    shares = []
    for axis, cell in enumerate((BATCH, ROWS, COLUMNS)):
        mine = kernel.cell(AXIS).compare("==", axis)
        shares.append((bounds[0].where(mine, 0), bounds[1].where(mine, kernel.cell(cell))))
    return tuple(shares)


def _fill(kernel: _Kernel, block: _Block, continued: Pointer) -> None:
    """All products over their whole depth; zeros if there is none."""
    builder = kernel.builder
    continued.store(INDEX(0))
    with loop(kernel.number(0), kernel.cell(PRODUCTS)) as product:
        cells = kernel.product_cells(product)
        length = _stretch(cells.number(), kernel.scratch.depth)
        with loop(kernel.number(0), cells.number(), length) as start:
            depth = (cells.number() - start).at_most(length)
            _product(kernel, block, product, start, depth, continued.number() > 0)
            continued.store(INDEX(1))
    with builder.if_then(continued.number().compare("==", 0)):
        none = kernel.number(0)
        _panels(kernel, block, (kernel.own, none, none), none, (kernel.own, none), none, none,
                none > 0)  # fmt: skip


def _stretch(depth: Int, most: int) -> Int:
    """The length of the stretches into which a depth is cut: about equal ones, but whole squares of
    a transposition."""
    parts = (depth + (most - 1)) // most
    each = (depth + (parts - 1)) // parts.where(parts > 0, 1)
    return each.rounded_up(_SQUARE).at_most(most)


def _product(
    kernel: _Kernel, block: _Block, product: Int, start: Int, depth: Int, continued: Any
) -> None:
    """Puts a stretch of a product into the block, or adds it."""
    builder, wide = kernel.builder, kernel.tile.wide
    cells = kernel.product_cells(product)
    left_batch, left_row, left_depth, right_batch, right_depth, right_column = (
        (cells + place).number() for place in range(1, PRODUCT_CELLS)
    )
    left = kernel.address(product * 2 + _FIRST_OPERAND) + block.batch * left_batch
    left = left + block.row * left_row + start * left_depth
    right = kernel.address(product * 2 + (_FIRST_OPERAND + 1)) + block.batch * right_batch
    right = right + start * right_depth + block.column * right_column
    turned = block.turned
    left, right = right.where(turned, left), left.where(turned, right)
    left_row, right_column = (
        right_column.where(turned, left_row), left_row.where(turned, right_column)
    )  # fmt: skip
    left_depth, right_depth = (
        right_depth.where(turned, left_depth), left_depth.where(turned, right_depth)
    )  # fmt: skip
    # Panels of whole vectors may stay where they are.
    beside = right_column.compare("==", 1)
    stays = builder.and_(beside, _may_stay(kernel, block, depth, right_depth))
    whole = block.width.where(block.width.compare("==", block.padded), block.width // wide * wide)
    first_column = whole.where(stays, 0)
    with builder.if_then(block.fresh):
        _pack_right(kernel, block, right, right_column, right_depth, depth, first_column)
    packs = _packs_left(left_row, left_depth)
    whole_rows = block.rows // kernel.tile.rows * kernel.tile.rows
    first_row = kernel.number(0).where(packs, whole_rows)
    _pack_left(kernel, block, left, left_row, left_depth, depth, first_row)
    _panels(kernel, block, (left, left_row, left_depth), first_row, (right, right_depth),
            first_column, depth, continued)  # fmt: skip


def _may_stay(kernel: _Kernel, block: _Block, depth: Int, stride: Int) -> Any:
    """Whether packing the right operand would cost more than it saves."""
    few = block.uses <= _FEW_ROWS
    return kernel.builder.or_(few, depth * stride * kernel.size <= _SMALL_BYTES)


def _packs_left(row: Int, stride: Int) -> Any:
    """Whether neither stride is 1: only then a tile cannot read its rows where they are. To pack
    them never paid otherwise."""
    builder = row.builder
    return builder.not_(builder.or_(row.compare("==", 1), stride.compare("==", 1)))


def _pack_right(
    kernel: _Kernel, block: _Block, right: Pointer, column: Int, stride: Int, depth: Int, first: Int
) -> None:
    """The columns from `first` on as panels of [depth][wide], the last one as narrow as it can."""
    lanes, wide = kernel.tile.vectors.lanes, kernel.tile.wide
    panels = kernel.own + kernel.scratch.right
    with loop(first, block.width, lanes) as lane:
        start = lane // wide * wide
        row = (block.padded - start).at_most(wide)
        into = panels + start * depth + (lane - start)
        kernel.call(kernel.functions[1], right + lane * column, column, stride, depth,
                    block.width - lane, into, row)  # fmt: skip


def _pack_left(
    kernel: _Kernel, block: _Block, left: Pointer, row: Int, stride: Int, depth: Int, first: Int
) -> None:
    """The rows from `first` on as strips of [depth][rows of a tile]."""
    rows = kernel.tile.rows
    strips = kernel.own + kernel.scratch.left
    with loop(first, block.rows, kernel.left_lanes) as lane:
        start = lane // rows * rows
        kernel.call(kernel.functions[2], left + lane * row, row, stride, depth, block.rows - lane,
                    strips + start * depth + (lane - start), kernel.number(rows))  # fmt: skip


def _panels(
    kernel: _Kernel, block: _Block, left: tuple[Pointer, Int, Int], first_row: Int,
    right: tuple[Pointer, Int], first: Int, depth: Int, continued: Any,
) -> None:  # fmt: skip
    """The products of all rows with panel after panel: what stands before `first` and `first_row`
    was not packed."""
    wide = kernel.tile.wide
    own, areas = kernel.own, kernel.scratch
    with loop(kernel.number(0), block.width, wide) as start:
        unpacked = start < first
        panel = (right[0] + start).where(unpacked, own + areas.right + start * depth)
        panel_row = right[1].where(unpacked, (block.padded - start).at_most(wide))
        kernel.call(
            kernel.functions[0], *left, own + areas.left, first_row, panel, panel_row, depth,
            block.into + start, block.stride, block.rows,
            (block.width - start).at_most(wide), Int(kernel.builder, continued),
        )  # fmt: skip


def _hand_over(kernel: _Kernel, block: _Block) -> None:
    """Tells the epilogue which block is finished, and calls it."""
    builder = kernel.builder
    header = Pointer(builder, (kernel.p + 1).cast(INDEX.as_pointer()).load())
    words = (
        block.batch, block.row, block.row + block.rows, block.column, block.column + block.width,
        block.stride,
    )  # fmt: skip
    for place, word in enumerate(words):
        (header + place).store(word.value)
    products = kernel.cell(PRODUCTS)
    n = kernel.n + (products * PRODUCT_CELLS + FIRST_PRODUCT)
    p = kernel.p + (products * 2 + _FIRST_OPERAND)
    kind = builder.function.function_type
    epilogue = builder.inttoptr(kernel.p.load(), kind.as_pointer())
    arguments = builder.function.args
    builder.call(epilogue, [*arguments[:4], n.value, p.value])
