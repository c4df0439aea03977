"""Local Jacobians: the derivative of a node by one of its operands, element by element.

A Jacobian of arrays is mostly zeros. What is not zero stands where the indices of the node and of
the operand meet: ∂Z[n,k]/∂W[j,k] = X[n,j] says that the other elements of Z do not move.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from symnet.expr import Expr, make
from symnet.ops.contraction import contract, split
from symnet.ops.core import BROADCAST, broadcast, number, repeated_axes
from symnet.ops.gather import parts
from symnet.ops.pointwise import Pointwise, ones, times
from symnet.ops.reduction import SOFTMAX, Reduction
from symnet.ops.views import identity, permute, reshape
from symnet.sizes import Dimension, Shape, add_sizes, multiply_sizes


@dataclass(frozen=True)
class Index:
    """An index of an array: start + step · letter, or what `of` holds at its letters.

    letters: places among the letters of a Jacobian; one, but for `of`.
    """

    letters: tuple[int, ...]
    start: Dimension = 0
    step: int = 1
    of: Expr | None = None


@dataclass(frozen=True, eq=False)
class Jacobian:
    """∂node[above]/∂operand[below] = entries[letters], and 0 where no letters give the indices.

    entries: an expression with one axis a letter. above, below: one index an axis of the node and
    of the operand, which together use every letter.
    """

    entries: Expr
    above: tuple[Index, ...]
    below: tuple[Index, ...]


def _plain(axes: Sequence[int]) -> tuple[Index, ...]:
    return tuple(Index((axis,)) for axis in axes)


def local_jacobian(node: Expr, index: int) -> Jacobian | None:
    """The derivative of a node by its operand `index`; None where that is zero everywhere."""
    if isinstance(node.op, Pointwise):
        return _diagonal(node, index)
    if isinstance(node.op, Reduction):
        return _reduced(node)
    return _KINDS.get(node.op.name, _diagonal)(node, index)


def _diagonal(node: Expr, index: int) -> Jacobian | None:
    entries = node.op.pullback(node, ones(node), index)
    axes = _plain(range(node.ndim))
    return None if entries is None else Jacobian(entries, axes, axes)


def _reduced(node: Expr) -> Jacobian | None:
    operand, gone = node.args[0], node.attrs["axes"]
    entries = node.op.pullback(node, ones(node), 0)
    if entries is None:
        return None
    kept = [axis for axis in range(operand.ndim) if axis not in gone]
    return Jacobian(entries, _plain(kept), _plain(range(operand.ndim)))


def _spread(node: Expr, letters: str, own: str, sizes: dict[str, Dimension]) -> Expr:
    """A node whose axes are `own`, repeated along the other letters."""
    inner = permute(node, tuple(own.index(a) for a in letters if a in own))
    narrow = tuple(sizes[a] if a in own else 1 for a in letters)
    return broadcast(reshape(inner, narrow), tuple(sizes[a] for a in letters))


def _product(node: Expr, index: int) -> Jacobian:
    """The product of the other factors, where the letters agree."""
    specs, out = split(node.attrs["spec"])
    sizes = {
        letter: size
        for own, arg in zip(specs, node.args, strict=True)
        for letter, size in zip(own, arg.shape, strict=True)
    }
    own = specs[index]
    letters = out + "".join(a for a in dict.fromkeys(own) if a not in out)
    others = [k for k in range(len(specs)) if k != index]
    left = [specs[k] for k in others]
    kept = "".join(a for a in letters if any(a in other for other in left))
    if others:
        rest = contract(f"{','.join(left)}->{kept}", [node.args[k] for k in others])
    else:
        rest = number(1, node.dtype)
    entries = _spread(rest, letters, kept, sizes)
    return Jacobian(
        entries,
        _plain([letters.index(a) for a in out]),
        _plain([letters.index(a) for a in own]),
    )


def _repeated(node: Expr, index: int) -> Jacobian:
    operand = node.args[0]
    again = set(repeated_axes(node))
    extra = node.ndim - operand.ndim
    below, shape = [], list(node.shape)
    for axis in range(operand.ndim):
        if axis + extra in again:
            below.append(len(shape))
            shape.append(1)
        else:
            below.append(axis + extra)
    entries = broadcast(number(1, node.dtype), tuple(shape))
    return Jacobian(entries, _plain(range(node.ndim)), _plain(below))


def _permuted(node: Expr, index: int) -> Jacobian:
    axes = node.attrs["axes"]
    below = [axes.index(axis) for axis in range(len(axes))]
    return Jacobian(ones(node), _plain(range(node.ndim)), _plain(below))


def _reshaped(node: Expr, index: int) -> Jacobian:
    operand = node.args[0]
    wide = [axis for axis, size in enumerate(node.shape) if size != 1]
    if [node.shape[axis] for axis in wide] == [size for size in operand.shape if size != 1]:
        places, shape, below = iter(wide), list(node.shape), []
        for size in operand.shape:
            below.append(len(shape) if size == 1 else next(places))
            shape += [1] if size == 1 else []
        entries = broadcast(number(1, node.dtype), tuple(shape))
        return Jacobian(entries, _plain(range(node.ndim)), _plain(below))
    square = identity(multiply_sizes(node.shape), node.dtype)
    entries = reshape(square, (*node.shape, *operand.shape))
    last = range(node.ndim, entries.ndim)
    return Jacobian(entries, _plain(range(node.ndim)), _plain(last))


def _affine(node: Expr) -> tuple[Index, ...]:
    rows = zip(node.attrs["start"], node.attrs["step"], strict=True)
    return tuple(Index((axis,), start, step) for axis, (start, step) in enumerate(rows))


def _sliced(node: Expr, index: int) -> Jacobian:
    return Jacobian(ones(node), _plain(range(node.ndim)), _affine(node))


def _placed(node: Expr, index: int) -> Jacobian:
    operand = node.args[0]
    return Jacobian(ones(operand), _affine(node), _plain(range(operand.ndim)))


def _joined(node: Expr, index: int) -> Jacobian:
    operand, along = node.args[index], node.attrs["axis"]
    before = add_sizes(0, *(arg.shape[along] for arg in node.args[:index]))
    above = tuple(Index((axis,), before if axis == along else 0) for axis in range(operand.ndim))
    return Jacobian(ones(operand), above, _plain(range(operand.ndim)))


def _starred(spec: str, picker: Expr) -> tuple[Index, ...]:
    source, own, out = parts(spec)
    places = tuple(out.index(letter) for letter in own)
    return tuple(
        Index(places, of=picker) if letter == "*" else Index((out.index(letter),))
        for letter in source
    )


def _picked(node: Expr, index: int) -> Jacobian:
    below = _starred(node.attrs["spec"], node.args[1])
    return Jacobian(ones(node), _plain(range(node.ndim)), below)


def _scattered(node: Expr, index: int) -> Jacobian:
    values = node.args[0]
    above = _starred(node.attrs["spec"], node.args[1])
    return Jacobian(ones(values), above, _plain(range(values.ndim)))


def _normalized(node: Expr, index: int) -> Jacobian:
    """softmax: P[n,k] ([k = j] − P[n,j]); its logarithm: [k = j] − P[n,j]."""
    axes, (x,) = node.attrs["axes"], node.args
    letters = string.ascii_letters[: node.ndim + len(axes)]
    own = letters[: node.ndim]
    other = dict(zip(axes, letters[node.ndim :], strict=True))
    moved = "".join(other.get(axis, letter) for axis, letter in enumerate(own))
    shape: Shape = (*node.shape, *(node.shape[axis] for axis in axes))
    sizes = dict(zip(letters, shape, strict=True))
    squares = [identity(node.shape[axis], node.dtype) for axis in axes]
    hit = number(1, node.dtype)
    for square, axis in zip(squares, axes, strict=True):
        hit = times(hit, _spread(square, letters, own[axis] + other[axis], sizes))
    share = make(SOFTMAX, (x,), axes=axes)
    entries = hit - _spread(share, letters, moved, sizes)
    if node.op is SOFTMAX:
        entries = _spread(node, letters, own, sizes) * entries
    below = [letters.index(letter) for letter in moved]
    return Jacobian(entries, _plain(range(node.ndim)), _plain(below))


_KINDS: Final[dict[str, Callable[[Expr, int], Jacobian | None]]] = {
    "einsum": _product,
    BROADCAST.name: _repeated,
    "permute": _permuted,
    "reshape": _reshaped,
    "slice": _sliced,
    "place": _placed,
    "concat": _joined,
    "gather": _picked,
    "scatter_add": _scattered,
    "softmax": _normalized,
    "log_softmax": _normalized,
}
