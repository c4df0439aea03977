"""Arrays put together from blocks: joins, and sums of arrays placed into zeros."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from symnet.expr import Expr
from symnet.ops.table import add
from symnet.ops.views import CONCAT, PLACE
from symnet.sizes import Dimension, add_sizes, scale_size


@dataclass(frozen=True)
class Block:
    """A node that fills an axis from `start` on, or None where there are zeros."""

    node: Expr | None
    start: Dimension
    size: Dimension


@dataclass(frozen=True)
class Row:
    """Blocks that follow one another along one axis and fill it."""

    axis: int
    blocks: tuple[Block, ...]


def row_of(node: Expr, named: Container[Expr]) -> Row | None:
    """The node as blocks along one axis; None if it is no join or sum of placements."""
    if node.op is CONCAT:
        return _joined(node)
    terms = _terms(node, named)
    if any(term.op is not PLACE or set(term.attrs["step"]) != {1} for term in terms):
        return None
    axes = {axis for term in terms for axis in _moved(term)}
    if len(axes) != 1:
        return None
    (axis,) = axes
    placed = [Block(t.args[0], t.attrs["start"][axis], t.args[0].shape[axis]) for t in terms]
    blocks = _filled(placed, node.shape[axis])
    return None if blocks is None else Row(axis, blocks)


def _joined(node: Expr) -> Row:
    axis = node.attrs["axis"]
    blocks: list[Block] = []
    at: Dimension = 0
    for arg in node.args:
        blocks.append(Block(arg, at, arg.shape[axis]))
        at = add_sizes(at, arg.shape[axis])
    return Row(axis, tuple(blocks))


def _terms(node: Expr, named: Container[Expr]) -> list[Expr]:
    found: list[Expr] = []
    stack = [node]
    while stack:
        term = stack.pop()
        if term.op is add and (term is node or term not in named):
            stack.extend(reversed(term.args))
        else:
            found.append(term)
    return found


def _moved(term: Expr) -> list[int]:
    """The axes along which a placement leaves zeros."""
    inner = term.args[0].shape
    return [axis for axis, size in enumerate(term.shape) if inner[axis] != size]


def _filled(placed: list[Block], whole: Dimension) -> tuple[Block, ...] | None:
    """The blocks in order, with zeros between; None if they overlap or their order is not known."""
    found: list[Block] = []
    waiting = list(placed)
    at: Dimension = 0
    while waiting:
        gaps = [_gap(at, block.start) for block in waiting]
        known = [gap for gap in gaps if gap is not None]
        if not known:
            return None
        gap = min(known)
        block = waiting.pop(gaps.index(gap))
        if gap:
            found.append(Block(None, at, gap))
        found.append(block)
        at = add_sizes(block.start, block.size)
    rest = add_sizes(whole, scale_size(at, -1))
    if rest != 0:
        found.append(Block(None, at, rest))
    return tuple(found)


def _gap(at: Dimension, start: Dimension) -> int | None:
    """How many zeros stand before a start, if that is known and not negative."""
    gap = add_sizes(start, scale_size(at, -1))
    return gap if isinstance(gap, int) and gap >= 0 else None
