"""What formulas do with whole arrays: products, transposes, elements, sums over letters."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from symnet.errors import DtypeError, ShapeError
from symnet.expr import Dtype, Expr, topological
from symnet.functions import FUNCTIONS
from symnet.ops import table
from symnet.ops.contraction import contract
from symnet.ops.core import BOOL, FLOAT64, INTEGERS, broadcast, cast, number, size_value
from symnet.ops.gather import gather
from symnet.ops.views import iota, permute, reshape, slice_of
from symnet.parse.alignment import INDEX, as_float, in_common, shown_shape
from symnet.parse.values import COLUMN, PLAIN, ROW, Extent, Value, known, sizes
from symnet.sizes import Dimension, add_sizes, multiply_sizes

Scope = Mapping[str, Extent]


class _Labels:
    """A letter of a specification for each index letter, and fresh ones for axes."""

    def __init__(self) -> None:
        self._pool: Iterator[str] = iter(string.ascii_letters)
        self._of: dict[str, str] = {}

    def of(self, letters: Sequence[str]) -> str:
        """The labels of index letters."""
        for letter in letters:
            if letter not in self._of:
                self._of[letter] = next(self._pool)
        return "".join(self._of[letter] for letter in letters)

    def fresh(self, count: int) -> str:
        """Labels that nothing has."""
        return "".join(next(self._pool) for _ in range(count))


def together(values: Sequence[Value], scope: Scope) -> tuple[str, ...]:
    """The index letters of values, outer ones first."""
    return tuple(letter for letter in scope if any(letter in v.letters for v in values))


def matrix_product(left: Value, right: Value, scope: Scope, dtype: Dtype) -> Value:
    """The product of matrices and vectors, in which a vector is a column.

    ShapeError where they do not fit; for two columns too, which have no product.
    """
    if left.rank > 2 or right.rank > 2:
        raise ShapeError("a product of arrays of more than two axes is written as a sum Σ")
    if 1 == left.rank == right.rank and (left.form == ROW) == (right.form == ROW):
        raise ShapeError(
            "two vectors have no product: u ⊙ v is that of their elements, uᵀ v their inner and "
            "u vᵀ their outer one"
        )
    labels = _Labels()
    first, second = labels.of(left.letters), labels.of(right.letters)
    letters = together((left, right), scope)
    # A column on the left, and a row on the right, are matrices with an inner size of 1.
    inner = Extent(1) if left.rank == 1 and left.form != ROW else left.shape[-1]
    other = Extent(1) if right.rank == 1 and right.form == ROW else right.shape[0]
    if not inner.equate(other):
        raise ShapeError(f"{shown_shape(left)} times {shown_shape(right)} does not fit")
    i, j, k = (labels.fresh(1) for _ in range(3))
    own = {"plain1": i, "column1": i, "row1": k}.get(f"{left.form}{left.rank}", i + k)
    beside = {"plain1": k, "column1": k, "row1": j}.get(f"{right.form}{right.rank}", k + j)
    out = (i if i in own else "") + (j if j in beside else "")
    spec = f"{first}{own},{second}{beside}->{labels.of(letters)}{out}"
    shape = [left.shape[0]] * (i in own) + [right.shape[-1]] * (j in beside)
    form = ROW if out == j else PLAIN

    def build() -> Expr:
        factors = [as_float(expr, dtype) for expr in in_common((left, right), dtype)]
        return contract(spec, factors)

    extents = [scope[letter] for letter in letters] + [*shape, inner]
    return Value(build, shape, letters, form).settle((left, right), extents)


def transposed(value: Value) -> Value:
    """The transpose: of a vector a row, of a row the vector."""
    if value.rank > 2:
        raise ShapeError("the transpose of an array of more than two axes is not defined")
    if value.rank < 2:
        form = PLAIN if value.form == ROW else ROW
        return Value(lambda: value.expr, value.shape, value.letters, form).settle(
            (value,), value.shape
        )
    ahead = len(value.letters)
    axes = (*range(ahead), ahead + 1, ahead)
    return Value(lambda: permute(value.expr, axes), value.shape[::-1], value.letters).settle(
        (value,), value.shape
    )


@dataclass(frozen=True)
class Range:
    """`count` places of an axis from `start` on; sizes may be named. A dropped one has no axis."""

    start: Dimension
    step: int
    count: Dimension
    dropped: bool = False


@dataclass(frozen=True)
class Letter:
    """An index letter by itself."""

    name: str


Index = Range | Letter | Value
"""An index; of a Value its letters and axes become those of the result."""


def element(
    base: Value, indices: Sequence[Index | None], scope: Scope, guarded: bool = False
) -> Value:
    """Elements of an array; None keeps an axis whole.

    guarded: a condition says where they count, so that places outside of the array do no harm.
    """
    for axis, index in enumerate(indices):
        if not isinstance(index, Letter) or scope[index.name].limited:
            continue
        if not scope[index.name].equate(base.shape[axis]):
            raise ShapeError(
                f"{index.name} runs up to {scope[index.name].size}, this axis to "
                f"{base.shape[axis].size}"
            )
    limits = {
        axis: scope[index.name]
        for axis, index in enumerate(indices)
        if isinstance(index, Letter) and scope[index.name].limited
    }
    values = [index for index in indices if isinstance(index, Value)]
    by_letter = {i.name for i in indices if isinstance(i, Letter)}
    letters = tuple(
        a for a in scope if a in by_letter or any(a in v.letters for v in (base, *values))
    )
    shape: list[Extent] = []
    for extent, index in zip(base.shape, indices, strict=True):
        if index is None:
            shape.append(extent)
        elif isinstance(index, Range):
            shape += [] if index.dropped else [Extent(index.count)]
        elif isinstance(index, Value):
            shape += index.shape
    extents = [*(scope[a] for a in letters), *shape, *base.shape]
    found = Value(
        lambda: _picked(_short(base, limits), indices, letters, guarded),
        shape,
        letters,
        truth=base.truth,
    )
    found.mask = base.mask
    return found.settle((base, *values), extents)


def _short(base: Value, limits: Mapping[int, Extent]) -> Value:
    """The base up to where the letters at some of its axes end."""
    if not limits:
        return base
    ahead = len(base.letters)
    shape = list(base.expr.shape)
    for axis, extent in limits.items():
        (shape[ahead + axis],) = sizes([extent])
    zeros, ones = (0,) * len(shape), (1,) * len(shape)
    short = slice_of(base.expr, zeros, ones, tuple(shape))
    return Value(lambda: short, base.shape, base.letters)


def _picked(
    base: Value, indices: Sequence[Index | None], letters: Sequence[str], guarded: bool
) -> Expr:
    labels = _Labels()
    expr = _sliced(base, indices)
    own = labels.of(base.letters)
    out = ""
    places = []
    for index in indices:
        if isinstance(index, Range) and index.dropped:
            continue
        if isinstance(index, Letter):
            own += labels.of([index.name])
            continue
        label = labels.fresh(1)
        own += label
        if isinstance(index, Value):
            places.append((label, index))
        out += label
    for label, index in places:
        new = labels.fresh(index.rank)
        at = _places(index.expr, expr.shape[own.index(label)], guarded)
        expr, own = _gathered(expr, own, label, at, labels.of(index.letters) + new)
        out = out.replace(label, new)
    wanted = labels.of(letters) + out
    if sorted(own) == sorted(wanted):
        order = tuple(own.index(label) for label in wanted)
        return expr if own == wanted else permute(expr, order)
    return contract(f"{own}->{wanted}", [expr])


def _places(index: Expr, size: Dimension, guarded: bool) -> Expr:
    """An index as whole numbers; one that is made of letters alone stays inside if guarded."""
    computed = not any(node.name for node in topological([index]) if not node.args)
    if index.dtype not in INTEGERS:
        if not computed or index.op.name == "constant":
            raise DtypeError(f"an index is a whole number, this one is {index.dtype}")
        index = cast(index, INDEX)
    if not (computed and guarded):
        return index
    least, most = number(0, INDEX), cast(size_value(add_sizes(size, -1), FLOAT64), INDEX)
    return table.minimum(table.maximum(index, least), most)


def _gathered(expr: Expr, own: str, label: str, index: Expr, beside: str) -> tuple[Expr, str]:
    """The elements at computed places of the axis of this label, and the labels of the result."""
    source = own.replace(label, "*")
    new = "".join(a for a in beside if a not in own)
    out = source.replace("*", new)
    return gather(expr, index, f"{source},{beside}->{out}"), out


def _sliced(base: Value, indices: Sequence[Index | None]) -> Expr:
    """The base cut to the ranges among the indices."""
    if not any(isinstance(index, Range) for index in indices):
        return base.expr
    ahead = len(base.letters)
    whole = [Range(0, 1, size) for size in base.expr.shape]
    for axis, index in enumerate(indices, ahead):
        if isinstance(index, Range):
            whole[axis] = index
    start = tuple(part.start for part in whole)
    step = tuple(part.step for part in whole)
    cut = slice_of(base.expr, start, step, tuple(part.count for part in whole))
    return reshape(cut, tuple(part.count for part in whole if not part.dropped))


def narrowed(value: Value) -> Value:
    """The value without its axes of size 1."""
    kept = [extent for extent in value.shape if extent.size != 1]
    ahead = len(value.letters)

    def build() -> Expr:
        return reshape(value.expr, (*value.expr.shape[:ahead], *sizes(kept)))

    return Value(build, kept, value.letters, truth=value.truth).settle((value,), kept)


def over(name: str, body: Value, letters: Sequence[str], scope: Scope, dtype: Dtype) -> Value:
    """A reduction of a body over index letters, which are the last of the scope."""
    outer = tuple(letter for letter in body.letters if letter not in letters)
    axes = tuple(k for k, letter in enumerate(body.letters) if letter in letters)
    unused = [scope[letter] for letter in letters if letter not in body.letters]
    form = body.form

    def build() -> Expr:
        expr = as_float(body.expr, dtype) if body.expr.dtype == BOOL else body.expr
        if axes:
            reduce: Callable[..., Expr] = FUNCTIONS[_FOLDS[name]]  # type: ignore[assignment]
            expr = reduce(expr, axis=axes[0] if name == "argmax" else axes)
        if name == "Σ" and unused:
            times = size_value(multiply_sizes(sizes(unused)), dtype)
            return as_float(expr, dtype) * times
        return expr

    extents = [scope[letter] for letter in body.letters]
    return Value(build, body.shape, outer, form).settle((body,), [*extents, *body.shape, *unused])


_FOLDS = {"Σ": "sum", "Π": "prod", "max": "max", "min": "min", "argmax": "argmax"}


def letter_value(name: str, scope: Scope) -> Value:
    """An index letter as the number that it is."""
    extent = scope[name]
    return Value(lambda: iota(sizes([extent])[0]), (), (name,)).settle((), [extent])


def defined(body: Value, indices: Sequence[str | None], scope: Scope, column: bool) -> Value:
    """The array of which each element is the body; None stands for an axis of one place."""
    shape = [Extent(1) if letter is None else scope[letter] for letter in indices]
    form = COLUMN if column else PLAIN

    def build() -> Expr:
        labels = _Labels()
        own, wanted = labels.of(body.letters), labels.of([a for a in indices if a is not None])
        missing = [a for a in indices if a is not None and a not in body.letters]
        expr = broadcast(body.expr, (*sizes([scope[a] for a in missing]), *body.expr.shape))
        own = labels.of(missing) + own
        expr = expr if own == wanted else permute(expr, tuple(own.index(a) for a in wanted))
        return expr if len(wanted) == len(shape) else reshape(expr, sizes(shape))

    return Value(build, shape, (), form, body.truth).settle((body,), shape)


def shaped(value: Value, shape: Sequence[Dimension]) -> Value:
    """The value as an array of the shape that its line states; ShapeError if it is of another."""
    wanted = [Extent(size) for size in shape]
    own = list(value.shape)
    if value.rank == 1 and len(shape) == 2:
        (size,) = (extent.size for extent in value.shape)
        across = value.form == ROW or (value.form == PLAIN and shape[1] != 1)
        if value.form != ROW and (size == shape[0]) != (size == shape[1]):
            across = size == shape[1]
        own = [Extent(1), *own] if across else [*own, Extent(1)]
    kept = [extent for extent in own if extent.size != 1]
    if len(own) > len(wanted) == len(kept):
        own = kept
    ahead = [Extent(1)] * (len(wanted) - len(own))
    fits = len(own) <= len(wanted) and all(
        extent.size == 1 or extent.equate(size)
        for extent, size in zip([*ahead, *own], wanted, strict=True)
    )
    if not fits:
        stated = "×".join(map(str, shape)) or "a number"
        raise ShapeError(f"this is {shown_shape(value)}, the line says {stated}")

    def build() -> Expr:
        expr = value.expr
        inner = sizes([*ahead, *own])
        expr = expr if expr.shape == inner or not expr.shape else reshape(expr, inner)
        return broadcast(expr, tuple(shape))

    result = Value(build, wanted, truth=value.truth)
    return known(result.settle((value,), ()).expr)
