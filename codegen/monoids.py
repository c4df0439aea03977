"""The table of monoids: what a Tree loop may fold with, one row each.

A monoid's carrier is a tuple of scalars; a Tree loop yields such a tuple an iteration. The merge is
stated once, as codegen scalars over locals, so that the interpreter and every target share it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from codegen.ir import Let
from codegen.scalar import FLOATS, Apply, Constant, Dtype, Local, Scalar

Carriers = tuple[Local, ...]


@dataclass(frozen=True, slots=True)
class Merge:
    """How two carriers become one: bind the lets in order, then take the values."""

    lets: tuple[Let, ...]
    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Monoid:
    """An associative merge with an identity.

    identity: the values that merge with any carrier without changing it, for the given dtypes.
    merge: the left carrier stands for earlier iterations than the right one.
    ordered: that matters, so each run is one strand.
    """

    name: str
    carriers: int
    identity: Callable[[tuple[Dtype, ...]], tuple[Constant, ...]]
    merge: Callable[[Carriers, Carriers], Merge]
    ordered: bool = False


def lowest(dtype: Dtype) -> Constant:
    """The identity of the maximum."""
    if dtype in FLOATS:
        return Constant(float("-inf"), dtype)
    return Constant(False if dtype == "bool" else int(np.iinfo(dtype).min), dtype)


def highest(dtype: Dtype) -> Constant:
    """The identity of the minimum."""
    if dtype in FLOATS:
        return Constant(float("inf"), dtype)
    return Constant(True if dtype == "bool" else int(np.iinfo(dtype).max), dtype)


def number(value: int, dtype: Dtype) -> Constant:
    """A small whole number as a constant of the dtype."""
    if dtype in FLOATS:
        return Constant(float(value), dtype)
    return Constant(bool(value) if dtype == "bool" else value, dtype)


def _same(function: str, *args: Scalar) -> Apply:
    return Apply(function, args, args[-1].dtype)


def _test(function: str, *args: Scalar) -> Apply:
    return Apply(function, args, "bool")


def _pairwise(name: str, function: str, identity: Callable[[Dtype], Constant]) -> Monoid:
    """The row of a monoid whose merge is one intrinsic."""
    return Monoid(
        name,
        1,
        lambda dtypes: (identity(dtypes[0]),),
        lambda left, right: Merge((), (_same(function, left[0], right[0]),)),
    )


def _argmax_identity(dtypes: tuple[Dtype, ...]) -> tuple[Constant, ...]:
    # Index -1 marks "nothing seen", so that a row of only -inf still has a first element.
    return lowest(dtypes[0]), Constant(-1, dtypes[1])


def _argmax_merge(left: Carriers, right: Carriers) -> Merge:
    (value, index), (other, at) = left, right
    zero = Constant(0, index.dtype)
    prefix = f"{value.name}_{other.name}"
    exceeds = _test("logical_or", _test("less", value, other), _test("not_equal", other, other))
    wins = _test("logical_and", _test("equal", value, value), exceeds)
    empty = _test("less", index, zero)
    seen = _test("less_equal", zero, at)
    takes = Local(f"{prefix}_takes", "bool")
    chosen = _test("logical_and", seen, _test("logical_or", empty, wins))
    return Merge(
        (Let(takes.name, chosen),),
        (_same("select", takes, other, value), _same("select", takes, at, index)),
    )


def _moments_merge(left: Carriers, right: Carriers) -> Merge:
    (count, mean, spread), (count2, mean2, spread2) = left, right
    dtype = mean.dtype
    prefix = f"{count.name}_{count2.name}"
    total = Local(f"{prefix}_total", dtype)
    delta = Local(f"{prefix}_delta", dtype)
    share = Local(f"{prefix}_share", dtype)
    zero = Constant(0.0, dtype)
    ratio = _same("divide", count2, total)
    lets = (
        Let(total.name, _same("add", count, count2)),
        Let(delta.name, _same("subtract", mean2, mean)),
        Let(share.name, _same("select", _test("equal", total, zero), zero, ratio)),
    )
    # delta * (delta * (count * share)), so that a large delta cannot overflow against a zero count.
    between = _same("multiply", delta, _same("multiply", delta, _same("multiply", count, share)))
    return Merge(
        lets,
        (
            total,
            _same("add", mean, _same("multiply", delta, share)),
            _same("add", _same("add", spread, spread2), between),
        ),
    )


def _logsumexp_merge(left: Carriers, right: Carriers) -> Merge:
    (peak, scaled), (peak2, scaled2) = left, right
    top = Local(f"{peak.name}_{peak2.name}_top", peak.dtype)
    low = Constant(float("-inf"), peak.dtype)
    zero = Constant(0.0, scaled.dtype)

    def term(own: Local, amount: Local) -> Scalar:
        shrunk = _same("multiply", amount, _same("exp", _same("subtract", own, top)))
        # At own == top the factor is one; inf - inf must not be computed there.
        kept = _same("select", _test("equal", own, top), amount, shrunk)
        return _same("select", _test("equal", own, low), zero, kept)

    return Merge(
        (Let(top.name, _same("maximum", peak, peak2)),),
        (top, _same("add", term(peak, scaled), term(peak2, scaled2))),
    )


_ROWS = (
    _pairwise("sum", "add", lambda dtype: number(0, dtype)),
    _pairwise("product", "multiply", lambda dtype: number(1, dtype)),
    _pairwise("maximum", "maximum", lowest),
    _pairwise("minimum", "minimum", highest),
    _pairwise("all", "logical_and", lambda dtype: Constant(True, "bool")),
    _pairwise("any", "logical_or", lambda dtype: Constant(False, "bool")),
    # Value and int64 index: the first of equals wins, a NaN wins over numbers.
    Monoid("argmax", 2, _argmax_identity, _argmax_merge, ordered=True),
    # Count, mean and sum of squared deviations, all of one float dtype; yield (1, x, 0).
    Monoid("moments", 3, lambda dtypes: tuple(number(0, d) for d in dtypes), _moments_merge),
    # Running maximum m and sum of exp(x - m); yield (x, 1). Only -inf gives (-inf, 0).
    Monoid("logsumexp", 2, lambda dtypes: (lowest(dtypes[0]), number(0, dtypes[1])),
           _logsumexp_merge),
)  # fmt: skip

MONOIDS: dict[str, Monoid] = {row.name: row for row in _ROWS}
