"""Whether the rows of one expression depend on the same rows of another only."""

from __future__ import annotations

from symnet.errors import ShapeError
from symnet.expr import Expr, topological
from symnet.ops.contraction import split
from symnet.ops.core import describe, repeated_axes
from symnet.ops.gather import parts
from symnet.sizes import multiply_sizes


def require_separate_rows(u: Expr, x: Expr) -> None:
    """ShapeError unless row i of u depends on row i of x alone (first axes)."""
    rows: dict[Expr, int] = {x: 0}
    for node in topological([u]):
        if node in rows or not any(arg in rows for arg in node.args):
            continue
        axis = _row_axis(node, rows)
        if axis is None:
            raise ShapeError(
                f"derivative: {node.op.name} at {node.origin} mixes the rows of {describe(x)}, so "
                "there is no derivative row by row; use sn.jacobian"
            )
        rows[node] = axis
    if rows.get(u, 0) != 0:
        raise ShapeError(f"derivative: the rows of {describe(x)} are not the first axis of u")


def _row_axis(node: Expr, rows: dict[Expr, int]) -> int | None:
    """The axis of a node that carries the rows; None if it mixes them."""
    given = {index: rows[arg] for index, arg in enumerate(node.args) if arg in rows}
    name, attrs = node.op.name, node.attrs
    if name == "einsum":
        letters, out = split(attrs["spec"])
        return _by_letter({letters[index][axis] for index, axis in given.items()}, out)
    if name in ("gather", "scatter_add"):
        source, _, out = parts(attrs["spec"])
        before, after = (source, out) if name == "gather" else (out, source)
        return _by_letter({before[axis] for axis in given.values()}, after)
    if len(set(given.values())) != 1:
        return None
    (axis,) = set(given.values())
    if name == "broadcast":
        moved = axis + node.ndim - node.args[0].ndim
        return None if moved in repeated_axes(node) else moved
    if name == "reshape":
        return _reshaped(node, axis)
    if name == "permute":
        return list(attrs["axes"]).index(axis)
    if name in ("slice", "place"):
        whole = attrs["start"][axis] == 0 and attrs["step"][axis] == 1
        return axis if whole and node.shape[axis] == node.args[0].shape[axis] else None
    if name == "concat":
        return None if attrs["axis"] == axis else axis
    if "axes" in attrs and axis in attrs["axes"]:
        return None
    if "axes" in attrs and node.ndim != node.args[0].ndim:
        ahead = [gone for gone in attrs["axes"] if gone < axis]
        return axis - len(ahead)
    return axis


def _by_letter(letters: set[str], out: str) -> int | None:
    (letter,) = letters if len(letters) == 1 else ("",)
    return out.index(letter) if letter and letter in out else None


def _reshaped(node: Expr, axis: int) -> int | None:
    before = node.args[0].shape
    ahead = multiply_sizes(before[:axis])
    for place, size in enumerate(node.shape):
        if size == before[axis] and multiply_sizes(node.shape[:place]) == ahead:
            return place
    return None
