"""One probability of a softmax against all others: its complement is a sum, not a difference."""

from __future__ import annotations

import math

from symnet.expr import Expr, make
from symnet.ops.contraction import EINSUM, split
from symnet.ops.core import broadcast, number, scalar_constant
from symnet.ops.gather import GATHER, gather, parts
from symnet.ops.reduction import ARGMAX, LOG_SOFTMAX, LOGSUMEXP, SOFTMAX, SUM, restore, sum_over
from symnet.ops.table import (
    equal,
    isfinite,
    less,
    multiply,
    negative,
    sigmoid,
    softplus,
    subtract,
    where,
)
from symnet.ops.views import RESHAPE, SLICE, iota, reshape, slice_of
from symnet.rules.algebra import (
    factors,
    sample,
    square_root_of,
    sum_of_terms,
    terms,
    under_repeats,
    view_of,
    without,
)
from symnet.rules.linear import linear
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


def _likely(share: Expr) -> Expr:
    """Whether a probability is more than all others together: at most one of a row is."""
    return less(0.5, share)


def _slope(node: Expr) -> Expr | None:
    """p (g - sum of g p), where the g of the likely element is taken from all of them before."""
    for share, other in (node.args, node.args[::-1]):
        p, rest = unnamed(share), unnamed(other)
        if p.op is not SOFTMAX or rest.op is not subtract:
            continue
        g, axes = rest.args[0], p.attrs["axes"]
        total = under_repeats(rest.args[1])
        if total.op is not SUM or total.attrs["axes"] != axes or _is_shifted(g):
            continue
        parts = [unnamed(part) for part in unnamed(total.args[0]).args]
        if unnamed(total.args[0]).op is not multiply or without(parts, [p, unnamed(g)])[0]:
            continue
        level = restore(sum_over(where(_likely(p), g, 0), axes), p, axes)
        shifted = where(_likely(p), 0, subtract(g, level))
        mean = restore(sum_over(multiply(shifted, p), axes), p, axes)
        return multiply(p, subtract(shifted, mean))
    return None


def _is_shifted(g: Expr) -> bool:
    """Whether g is what `_slope` makes of another."""
    bare = unnamed(g)
    return bare.op is where and scalar_constant(bare.args[1]) == 0 and (
        unnamed(bare.args[0]).op is less and scalar_constant(unnamed(bare.args[0]).args[0]) == 0.5
    )  # fmt: skip


def _log_slope(node: Expr) -> Expr | None:
    """g - p sum of g: of the likely element g (1 - p) - p times the sum of the others' g."""
    parts = terms(node)
    if len(parts) != 2:
        return None
    for (sign, g), (other_sign, part) in (parts, parts[::-1]):
        product = factors(part)
        if len(product.above) != 2 or product.below or g.op is SOFTMAX or _is_shifted(g):
            continue
        for share, total in (product.above, product.above[::-1]):
            p, whole = unnamed(share), under_repeats(total)
            if p.op is not SOFTMAX or whole.op is not SUM:
                continue
            axes, summed = p.attrs["axes"], linear(whole.args[0])
            by = other_sign * product.coefficient
            if whole.attrs["axes"] != axes or summed.times(by).over(linear(g)) != -sign:
                continue
            likely = _likely(p)
            rest = restore(sum_over(where(likely, 0, p), axes), p, axes)
            held = where(likely, 0, g)
            others = restore(sum_over(held, axes), p, axes)
            near = subtract(multiply(g, rest), multiply(p, others))
            far = sum_of_terms([(sign, held), (other_sign, part)], node)
            return where(likely, near if sign > 0 else negative(near), far)
    return None


def _less_element(node: Expr) -> Expr | None:
    """logsumexp(z) - z[k] = -log_softmax(z)[k]."""
    parts = terms(node)
    for place, (sign, part) in enumerate(parts):
        total = under_repeats(part)
        if total.op is not LOGSUMEXP or total.shape:
            continue
        for other_place, (other_sign, other) in enumerate(parts):
            views = view_of(other, unnamed(total.args[0]))
            if other_sign != -sign or not views:
                continue
            made = make(LOG_SOFTMAX, total.args, axes=total.attrs["axes"])
            for view in reversed(views):
                made = make(view.op, (made,), **view.attrs)
            kept = [p for k, p in enumerate(parts) if k not in (place, other_place)]
            return sum_of_terms([(-sign, broadcast(made, node.shape)), *kept], node)
    return None


def _impurity(node: Expr) -> Expr | None:
    """1 - sum of p^2 = sum of p (1 - p)."""
    parts = terms(node)
    if len(parts) != 2:
        return None
    for (one_sign, one), (sign, part) in (parts, parts[::-1]):
        total = under_repeats(part)
        p = _squared(total)
        if scalar_constant(one) != one_sign or sign == one_sign or p is None:
            continue
        axes = p.attrs["axes"]
        if len(axes) != 1 or total.shape != tuple(
            size for k, size in enumerate(p.shape) if k not in axes
        ):
            continue
        made = reshape(sum_over(multiply(p, _others(p)), axes), node.shape)
        return made if one_sign > 0 else negative(made)
    return None


def _squared(total: Expr) -> Expr | None:
    """p, if the node is the sum of the squares of the probabilities p."""
    if total.op is EINSUM and len(total.args) == 2 and total.args[0] is total.args[1]:
        (left, right), out = split(total.attrs["spec"])
        p = unnamed(total.args[0])
        alike = left == right and p.op is SOFTMAX
        gone = tuple(k for k, letter in enumerate(left) if letter not in out)
        return p if alike and gone == p.attrs["axes"] else None
    root = square_root_of(unnamed(total.args[0])) if total.op is SUM else None
    if root is None or unnamed(root).op is not SOFTMAX:
        return None
    same = unnamed(root).attrs["axes"] == total.attrs["axes"]
    return unnamed(root) if same else None


def _slope_examples() -> tuple[Expr, ...]:
    x, g = sample("x", "N", "K"), sample("g", "N", "K")
    p = make(SOFTMAX, (x,), axes=(1,))
    total = restore(sum_over(multiply(g, p), (1,)), p, (1,))
    return (multiply(p, subtract(g, total)),)


def _log_slope_examples() -> tuple[Expr, ...]:
    x, g = sample("x", "N", "K"), sample("g", "N", "K")
    p = make(SOFTMAX, (x,), axes=(1,))
    return (subtract(g, multiply(restore(sum_over(g, (1,)), p, (1,)), p)),)


def _element_examples() -> tuple[Expr, ...]:
    x = sample("x", "K")
    own = reshape(make(SLICE, (x,), start=(1,), step=(1,), shape=(1,)), ())
    return (subtract(make(LOGSUMEXP, (x,), axes=(0,)), own),)


def _impurity_examples() -> tuple[Expr, ...]:
    p = make(SOFTMAX, (sample("x", "N", "K"),), axes=(1,))
    return (subtract(1, sum_over(multiply(p, p), (1,))),)


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
    Structural(
        "slope of a softmax",
        ("multiply",),
        _slope,
        "an element and the mean cancel where one probability is nearly 1",
        _slope_examples,
        remark=_CANCELS,
        among=frozenset({"softmax"}),
        error=1e-14,
        shown=False,
    ),
    Structural(
        "slope of a log softmax",
        ("add", "subtract"),
        _log_slope,
        "1 - p cancels where p is nearly 1",
        _log_slope_examples,
        remark=_CANCELS,
        among=frozenset({"multiply", "negative"}),
        error=1e-14,
        shown=False,
    ),
    Structural(
        "log-sum-exp less an element",
        ("add", "subtract"),
        _less_element,
        "both are nearly equal where one probability is nearly 1",
        _element_examples,
        remark=_CANCELS,
        error=1e-14,
    ),
    Structural(
        "impurity",
        ("add", "subtract"),
        _impurity,
        "the sum of squares is 1 where one probability is nearly 1",
        _impurity_examples,
        remark=_CANCELS,
        error=1e-14,
    ),
)
