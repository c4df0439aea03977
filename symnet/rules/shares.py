"""One probability of a softmax against all others: its complement is a sum, not a difference."""

from __future__ import annotations

import math

from symnet.expr import Expr, make
from symnet.ops.core import broadcast, number, scalar_constant
from symnet.ops.gather import GATHER, gather, parts
from symnet.ops.reduction import ARGMAX, LOG_SOFTMAX, LOGSUMEXP, SOFTMAX, restore, sum_over
from symnet.ops.table import equal, isfinite, negative, sigmoid, softplus, subtract, where
from symnet.ops.views import RESHAPE, SLICE, iota, reshape, slice_of
from symnet.rules.algebra import sample, terms
from symnet.rules.match import unnamed
from symnet.rules.rule import AnyRule, Structural


def _places(like: Expr, axis: int) -> Expr:
    """The place of each element along an axis."""
    shape = tuple(size if k == axis else 1 for k, size in enumerate(like.shape))
    return broadcast(reshape(iota(like.shape[axis]), shape), like.shape)


def _log_odds(z: Expr, own: Expr, hot: Expr, axis: int) -> Expr:
    """log(p / (1 - p)) of the probability of `own`, which has size 1 along the axis."""
    base = where(isfinite(own), own, 0)
    gaps = subtract(z, broadcast(base, z.shape))
    others = where(hot, number(-math.inf, z.dtype), gaps)
    total = reshape(make(LOGSUMEXP, (others,), axes=(axis,)), own.shape)
    return subtract(subtract(own, base), total)


def _picked(node: Expr) -> Expr | None:
    """softmax(z)[..., k, ...] = sigmoid(z_k - log of the sum of exp(z_j) over j != k)."""
    share = unnamed(node.args[0])
    if node.op is RESHAPE:
        return _turned(node, share)
    if share.op not in (SOFTMAX, LOG_SOFTMAX) or len(share.attrs["axes"]) != 1:
        return None
    (axis,), (z,) = share.attrs["axes"], share.args
    start, step, shape = (node.attrs[name] for name in ("start", "step", "shape"))
    if shape[axis] != 1 or not isinstance(start[axis], int) or start[axis] < 0:
        return None
    begin = tuple(0 if k == axis else at for k, at in enumerate(start))
    whole = tuple(z.shape[k] if k == axis else size for k, size in enumerate(shape))
    by = tuple(1 if k == axis else stride for k, stride in enumerate(step))
    rows = slice_of(z, begin, by, whole)
    own = make(SLICE, (z,), **node.attrs)
    hot = equal(_places(rows, axis), start[axis])
    odds = _log_odds(rows, own, hot, axis)
    return sigmoid(odds) if share.op is SOFTMAX else negative(softplus(negative(odds)))


def _turned(node: Expr, share: Expr) -> Expr | None:
    """A view of one share, as the function of a view, where the next rule finds it."""
    odds = unnamed(share.args[0]) if share.op is sigmoid else node
    last = unnamed(odds.args[-1]) if odds.op is subtract else node
    if last.op is not RESHAPE or last is node or last.args[0].op is not LOGSUMEXP:
        return None
    return sigmoid(reshape(odds, node.shape))


def _complement(node: Expr) -> Expr | None:
    """1 - p for a picked probability, and for all of them at once."""
    found = [(sign, unnamed(part)) for sign, part in terms(node)]
    if len(found) != 2:
        return None
    ones = [part for sign, part in found if sign > 0 and scalar_constant(part) == 1]
    shares = [part for sign, part in found if sign < 0 and scalar_constant(part) is None]
    if len(ones) != 1 or len(shares) != 1:
        return None
    share = shares[0]
    if share.op is SOFTMAX and len(share.attrs["axes"]) == 1 and share.shape == node.shape:
        return _others(share)
    if share.op is GATHER and unnamed(share.args[0]).op is SOFTMAX:
        return _other_than_picked(share)
    return None


def _others(share: Expr) -> Expr:
    """1 - p: for the largest p the sum of the others."""
    (axis,) = share.attrs["axes"]
    peak = make(ARGMAX, share.args, axes=(axis,))
    hot = equal(_places(share, axis), restore(peak, share, (axis,)))
    rest = where(hot, 0, share)
    return where(hot, restore(sum_over(rest, (axis,)), share, (axis,)), subtract(1, rest))


def _other_than_picked(share: Expr) -> Expr | None:
    softmax, index = unnamed(share.args[0]), share.args[1]
    source, picked, out = parts(share.attrs["spec"])
    axis = source.index("*")
    if softmax.attrs["axes"] != (axis,) or not source.replace("*", "") == picked == out:
        return None
    (z,) = softmax.args
    kept = tuple(1 if k == axis else size for k, size in enumerate(z.shape))
    own = reshape(gather(z, index, share.attrs["spec"]), kept)
    hot = equal(_places(z, axis), broadcast(reshape(index, kept), z.shape))
    return reshape(sigmoid(negative(_log_odds(z, own, hot, axis))), share.shape)


def _picked_examples() -> tuple[Expr, ...]:
    x = sample("x", "N", "K")
    share = make(SOFTMAX, (x,), axes=(1,))
    n = x.shape[0]
    return (make(SLICE, (share,), start=(0, 1), step=(1, 1), shape=(n, 1)),)


def _complement_examples() -> tuple[Expr, ...]:
    x = sample("x", "N", "K")
    return (subtract(1, make(SOFTMAX, (x,), axes=(1,))),)


_CANCELS = "same function, no cancellation"
SOFTMAX_SHARES: tuple[AnyRule, ...] = (
    Structural(
        "one share of a softmax",
        ("slice", "reshape"),
        _picked,
        "its complement and its derivative cancel where it is nearly 1",
        _picked_examples,
        remark=_CANCELS,
        among=frozenset({"softmax", "log_softmax", "sigmoid"}),
        error=1e-14,
    ),
    Structural(
        "complement of a softmax",
        ("add", "subtract"),
        _complement,
        "1 - p cancels where p is nearly 1",
        _complement_examples,
        remark=_CANCELS,
        among=frozenset({"softmax", "gather", "negative"}),
        error=1e-14,
    ),
)
