"""Arrays side by side: which axes of one stand at which of the other, and in what numbers.

A vector beside a matrix stands in every row, numbers that were defined one a row in every column;
where only one of both fits, that is meant. Index letters are axes of their own. See
`symnet/formula/readings.py` for the conventions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

from symnet.errors import ShapeError
from symnet.expr import Dtype, Expr
from symnet.ops.core import BOOL, FLOATS, INTEGERS, broadcast, cast, number
from symnet.ops.views import reshape
from symnet.parse.values import COLUMN, PLAIN, Extent, Value, meet, sizes

INDEX = next(kind for kind in INTEGERS if kind.itemsize == 8)


def in_common(values: Sequence[Value], dtype: Dtype) -> list[Expr]:
    """The expressions of values in one dtype; numbers that were written take that of the others.

    Whole numbers and truth values become floats of `dtype` beside floats.
    """
    kinds = {value.expr.dtype for value in values if value.literal is None}
    whole = all(value.literal is None or float(value.literal).is_integer() for value in values)
    if kinds and kinds <= set(INTEGERS) and whole:
        return [v.expr if v.literal is None else number(int(v.literal), INDEX) for v in values]
    if kinds == {BOOL} and all(value.literal is None for value in values):
        return [value.expr for value in values]
    return [v.expr if v.expr.dtype in FLOATS else cast(v.expr, dtype) for v in values]


def as_float(expr: Expr, dtype: Dtype) -> Expr:
    """The expression; whole numbers and truth values as floats."""
    return expr if expr.dtype in FLOATS else cast(expr, dtype)


def _rank(values: Sequence[Value]) -> int:
    """How many axes the values have together."""
    vectors = [value for value in values if value.rank == 1]
    rank = max((value.rank for value in values), default=0)
    columns = [value for value in vectors if value.form == COLUMN]
    others = [value for value in vectors if value.form != COLUMN]
    if rank == 1 and columns and others:
        # Beside numbers of as many rows they are such numbers too; else both span a matrix.
        first, second = columns[0].shape[0], others[0].shape[0]
        return 1 if first.root() is second.root() or first.size == second.size else 2
    return rank


def _placed(value: Value, rank: int, beside: Sequence[Value]) -> tuple[Extent, ...]:
    """The axes of a value among so many, with axes of one where it is repeated."""
    placed = [Extent(1) for _ in range(rank)]
    for place, extent in zip(_places(value, rank, beside), value.shape, strict=True):
        placed[place] = extent
    return tuple(placed)


def _places(value: Value, rank: int, beside: Sequence[Value]) -> tuple[int, ...]:
    """At which axes of the result those of a value stand.

    They are the last ones, or for numbers one a row the first ones; where the sizes of the arrays
    beside it say otherwise, those that fit.
    """
    last, first = tuple(range(rank - value.rank, rank)), tuple(range(value.rank))
    usual = first if value.form == COLUMN else last
    if value.rank in (0, rank):
        return last
    arrays = [other for other in beside if other.rank == rank]

    def fits(places: tuple[int, ...]) -> bool:
        return any(_fits(value.shape, [other.shape[k] for k in places]) for other in arrays)

    if fits(usual):
        return usual
    others = [places for places in combinations(range(rank), value.rank) if fits(places)]
    return next((places for places in (first, last) if places in others), (*others, usual)[0])


def _fits(own: Sequence[Extent], other: Sequence[Extent]) -> bool:
    """Whether axes are known to have the same sizes."""
    return all(
        left.root() is right.root() or (left.size is not None and left.size == right.size)
        for left, right in zip(own, other, strict=True)
    )


def _joined_form(values: Sequence[Value]) -> str:
    forms = {value.form for value in values if value.rank}
    return forms.pop() if len(forms) == 1 else PLAIN


def elementwise(
    apply: Callable[..., Expr],
    values: Sequence[Value],
    scope: Mapping[str, Extent],
    dtype: Dtype,
    truth: bool = False,
    guarded: int = 0,
) -> Value:
    """A function of arrays, element by element; ShapeError where their axes do not fit.

    scope: the index letters in force, outer ones first. truth: whether the result is true or
    false. guarded: how many of the values, the first ones, keep their dtype.
    """
    letters = tuple(a for a in scope if any(a in value.letters for value in values))
    rank = _rank(values)
    placed = [_placed(value, rank, values) for value in values]
    shape = [Extent(1) for _ in range(rank)]
    for axes in placed:
        for axis, extent in enumerate(axes):
            met = meet(shape[axis], extent)
            if met is None:
                shown = " and ".join(shown_shape(value) for value in values if value.rank)
                raise ShapeError(f"{shown} do not fit side by side")
            shape[axis] = met
    extents = [*(scope[letter] for letter in letters), *shape]

    def build() -> Expr:
        guards = [value.expr for value in values[:guarded]]
        exprs = [*guards, *in_common(values[guarded:], dtype)]
        pairs = zip(exprs, values, placed, strict=True)
        return apply(*(_spread(e, v, axes, letters, scope, extents) for e, v, axes in pairs))

    form = _joined_form(values)
    return Value(build, shape, letters, form, truth).settle(values, extents)


def _spread(
    expr: Expr,
    value: Value,
    axes: Sequence[Extent],
    letters: Sequence[str],
    scope: Mapping[str, Extent],
    extents: Sequence[Extent],
) -> Expr:
    """The expression with an axis wherever the result has one; a number stays a number."""
    if not expr.shape:
        return expr
    ahead = sizes(scope[a] if a in value.letters else Extent(1) for a in letters)
    own = (*ahead, *sizes(axes))
    if own[len(own) - expr.ndim :] != expr.shape:
        expr = reshape(expr, own)
    # Letters may be of one size; that an axis stands twice is then meant.
    return broadcast(expr, sizes(extents)) if letters else expr


def shown_shape(value: Value) -> str:
    """The shape of a value, as far as it is known."""
    if not value.rank:
        return "a number"
    return "×".join("?" if extent.size is None else str(extent.size) for extent in value.shape)
