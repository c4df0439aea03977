"""What a part of a formula stands for: an array, whose sizes may not yet show.

A vector of ones is as long as its neighbours need, and `Y[n,k] = [y[n] = k]` does not say how many
k there are. Such sizes are unknown at first and found where the array meets others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from symnet.errors import ShapeError
from symnet.expr import Expr
from symnet.sizes import Dimension

PLAIN, ROW, COLUMN = "plain", "row", "column"
_LONGEST_WAIT = 100


class Extent:
    """The size of an axis, known or to be found.

    limited: whether it is how far an index letter runs, which may end before the axes do. usual:
    the size that it has if nothing says another, as n runs up to N.
    """

    __slots__ = ("_same", "_size", "limited", "usual")

    def __init__(
        self,
        size: Dimension | None = None,
        limited: bool = False,
        usual: Dimension | None = None,
    ) -> None:
        self._size, self.limited, self.usual = size, limited, usual
        self._same: Extent | None = None

    def root(self) -> Extent:
        """The one that stands for all that are equal to this."""
        found = self
        while found._same is not None:
            found = found._same
        return found

    @property
    def size(self) -> Dimension | None:
        """The size; None while it is unknown."""
        return self.root()._size

    def equate(self, other: Extent) -> bool:
        """Make both one size; False if they are known to differ."""
        left, right = self.root(), other.root()
        if left is right:
            return True
        if left._size is None:
            left._same, right.usual = right, right.usual or left.usual
        elif right._size is None:
            right._same = left
        else:
            return left._size == right._size
        return True


class Value:
    """An array of index letters and axes, which is built once its sizes are known.

    letters: the index letters it depends on, outer ones first; `expr` has an axis for each, and
    then those of `shape`. form: of one axis, "row" for a transposed vector, "column" for numbers
    that stand one beside each row of a matrix. truth: whether it is true or false. literal: the
    number that it is, if it was written as one. mask: whether it is 1 where a condition holds, 0
    elsewhere.
    """

    __slots__ = ("_build", "_expr", "form", "letters", "literal", "mask", "shape", "truth", "wait")

    def __init__(
        self,
        build: Callable[[], Expr],
        shape: Sequence[Extent] = (),
        letters: Sequence[str] = (),
        form: str = PLAIN,
        truth: bool = False,
        literal: float | None = None,
    ) -> None:
        self._build = build
        self.shape, self.letters = tuple(shape), tuple(letters)
        self.form = form if len(self.shape) == 1 else PLAIN
        self.truth, self.literal = truth, literal
        self.mask = False
        self.wait = 0
        self._expr: Expr | None = None

    @property
    def rank(self) -> int:
        """How many axes it has besides those of its letters."""
        return len(self.shape)

    @property
    def expr(self) -> Expr:
        """The expression; its sizes must be known."""
        if self._expr is None:
            self._expr = self._build()
        return self._expr

    @property
    def constant(self) -> bool:
        """Whether it is known to be made of numbers that were written."""
        return not self.wait and self.expr.op.name == "constant"

    def settle(self, parts: Iterable[Value], extents: Iterable[Extent]) -> Value:
        """Build it now if nothing is unknown, so that what waits is not nested deeply."""
        waits = [part.wait for part in parts]
        if any(waits) or any(extent.size is None for extent in extents):
            self.wait = 1 + max(waits, default=0)
        else:
            self._expr = self._build()
        return self

    @property
    def waits_too_long(self) -> bool:
        """Whether so much waits for a size that building it would nest too deeply."""
        return self.wait > _LONGEST_WAIT


def known(expr: Expr) -> Value:
    """An expression as it is."""
    extents = [Extent(size) for size in expr.shape]
    value = Value(lambda: expr, extents, truth=expr.dtype.kind == "b")
    return value.settle((), extents)


def meet(left: Extent, right: Extent) -> Extent | None:
    """The size that two axes have together where one that is 1 is repeated; None for no size."""
    sizes = left.size, right.size
    if sizes[0] == 1:
        return right
    if sizes[1] == 1:
        return left
    return left if left.equate(right) else None


def sizes(extents: Iterable[Extent]) -> tuple[Dimension, ...]:
    """The sizes of axes; ShapeError if one is unknown still."""
    roots = [extent.root() for extent in extents]
    found = [root.usual if root.size is None else root.size for root in roots]
    if None in found:
        raise ShapeError("how many elements this has does not show: state the shape of the line")
    return tuple(size for size in found if size is not None)
