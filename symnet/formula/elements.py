"""Expressions in index form: one element of a node, given the formula of each index."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from typing import ClassVar

from symnet.expr import Expr, make
from symnet.formula.algebra import multiply, plain, scaled, single
from symnet.formula.moves import Indices, Moves, shifted, symbols
from symnet.formula.naming import Names, is_elided, is_scalar
from symnet.formula.narrow import repeated_number
from symnet.formula.patterns import affine
from symnet.formula.products import as_matrix_product
from symnet.formula.readings import Reading
from symnet.formula.scalars import (
    Operands,
    log_formula,
    pointwise_formula,
    size_formula,
)
from symnet.formula.sums import total
from symnet.formula.tree import (
    COLON,
    EULER,
    ONE,
    ZERO,
    Fence,
    Fold,
    Formula,
    Number,
    Power,
    Relation,
    Scaled,
    Symbol,
)
from symnet.ops.contraction import split
from symnet.ops.core import BOOL, BROADCAST, CONSTANT, FLOAT32
from symnet.ops.gather import parts
from symnet.ops.leaves import NAMED, UNKNOWN
from symnet.ops.pointwise import Pointwise
from symnet.ops.reduction import SOFTMAX, SUM, Reduction
from symnet.ops.views import IOTA, RESHAPE
from symnet.sizes import Dimension, multiply_sizes


def mentions(formula: object, names: set[str]) -> bool:
    """Whether a formula, or a tuple of them, contains one of these symbols."""
    return not names.isdisjoint(symbols(formula))


def _shown(node: Expr, indices: Indices) -> Indices:
    """The indices that are written: not those of axes of size 1, if another index remains."""
    kept = tuple(i for i, size in zip(indices, node.shape, strict=True) if size != 1)
    return indices if COLON in indices or not kept else kept


def keeps_axis(node: Expr, indices: Indices) -> bool:
    """Whether an element with these indices, of which `:` keeps an axis, is still an array."""
    while indices and is_elided(node) and not (node.op is RESHAPE and COLON in indices):
        (inner,) = node.args
        if node.op is BROADCAST:
            kept = indices[node.ndim - inner.ndim :]
            indices = tuple(i for i, size in zip(kept, inner.shape, strict=True) if size != 1)
            if len(indices) < inner.ndim:
                break
        node = inner
    return COLON in indices and not is_scalar(node)


def fold(
    row: Reduction,
    indices: Sequence[Formula],
    sizes: Sequence[Dimension],
    body: Formula,
    cut: Container[str] = (),
) -> Formula:
    """A reduction over index letters of these sizes; what a sum does not bind stands before it.

    cut: the letters that end before an axis at which they stand; their limits are written.
    """
    limits = {
        index.name: size_formula(size)
        for index, size in zip(indices, sizes, strict=True)
        if isinstance(index, Symbol) and index.name in cut
    }
    letters = [index for index in indices if isinstance(index, Symbol)]
    used = symbols(body)
    if row is not SUM:
        return _folded(row, [letter for letter in letters if letter.name in used], body, limits)
    many = [
        size
        for index, size in zip(indices, sizes, strict=True)
        if isinstance(index, Symbol) and index.name not in used
    ]
    times = size_formula(multiply_sizes(many))
    letters = [letter for letter in letters if letter.name in used]
    names = {letter.name for letter in letters}
    product = multiply(scaled(times, True), scaled(body, True)) if many else body
    whole = scaled(product, True)
    if not letters or mentions(whole.under, names):
        return multiply(scaled(times, True), scaled(_folded(row, letters, body, limits), True))
    free = tuple(f for f in whole.over if not mentions(f, names))
    bound = tuple(f for f in whole.over if mentions(f, names))
    within = mentions(whole.body, names)
    outside = replace(whole, over=free, body=None if within else whole.body)
    inside = plain(Scaled(over=bound, body=whole.body if within else None))
    if isinstance(inside, Fold) and inside.name == row.text:
        pairs = zip(inside.letters, inside.limits, strict=False)
        limits |= {letter.name: limit for letter, limit in pairs if limit is not None}
        letters, inside = [*letters, *inside.letters], inside.body
    return multiply(outside, scaled(_folded(row, letters, inside, limits), True))


def _folded(
    row: Reduction, letters: Sequence[Symbol], body: Formula, limits: Mapping[str, Formula]
) -> Formula:
    """The reduction as one factor, an array where its body keeps an axis whole."""
    if not letters:
        return body
    ends = tuple(limits.get(letter.name) for letter in letters)
    inner = Fold(row.text or row.name, row.latex, tuple(letters), body, ends if any(ends) else ())
    product = scaled(body, scalar=True)
    whole = product.body is not None or COLON.name in symbols(body)
    return Scaled(body=inner) if whole else inner


class Elements(Moves):
    """Writes elements of nodes. `named` holds the nodes that are written by a symbol.

    With `expand`, products and softmax are written out as sums over letters too.
    """

    def __init__(self, named: dict[Expr, Formula], names: Names, expand: bool) -> None:
        self.named, self.names, self.expand = named, names, expand
        self._scope: list[str] = []
        self.cut: set[str] = set()

    def loose(self, node: Expr) -> Reading:
        """The node as it stands beside other operands: what is repeated is not written out."""
        raise NotImplementedError

    def letters(self, sizes: Sequence[Dimension], used: Iterable[str] = ()) -> Indices:
        """An index for each axis: a letter, or 0 where there is but one place."""
        chosen: list[Formula] = []
        blocked = [*self._scope, *used]
        for size in sizes:
            if size == 1:
                chosen.append(ZERO)
                continue
            letter = self.names.letter(size, blocked)
            blocked.append(letter.name)
            chosen.append(letter)
        return tuple(chosen)

    @contextmanager
    def inside(self, indices: Indices) -> Iterator[None]:
        """While the block runs, these letters are taken."""
        before = len(self._scope)
        self._scope.extend(index.name for index in indices if isinstance(index, Symbol))
        self.cut -= symbols(indices)
        try:
            yield
        finally:
            del self._scope[before:]

    def element(self, node: Expr, indices: Indices) -> Formula:
        """One element of a node; an index `:` keeps that axis whole."""
        if node in self.named or not node.args:
            return self._leaf(node, indices)
        if isinstance(node.op, Pointwise) or node.op is UNKNOWN:
            formulas = [self.element(arg, indices) for arg in node.args]
            numbers = [not keeps_axis(arg, indices) for arg in node.args]
            found = pointwise_formula(Operands(node, formulas, numbers))
            return single(found) if node.dtype == FLOAT32 else found
        if isinstance(node.op, Reduction):
            return self._reduction(node, indices)
        writer = self._WRITERS.get(node.op.name)
        if writer is None:
            return self.bracketed(node, indices)
        return writer(self, node, indices)

    def body_element(self, node: Expr, indices: Indices) -> Formula:
        """One element of what the node is, even if it has a name of its own."""
        inner = node.args[0] if node.op is NAMED else node
        name = self.named.pop(inner, None) if inner.args and inner.op is not NAMED else None
        try:
            return self.element(inner, indices)
        finally:
            if name is not None:
                self.named[inner] = name

    def _leaf(self, node: Expr, indices: Indices) -> Formula:
        if node.op is IOTA and COLON not in indices:
            return indices[0]
        if node.op is CONSTANT and node.ndim and COLON not in indices:
            slopes = affine(node.attrs["value"])
            if slopes is not None:
                terms = [shifted(i, ZERO, by) for i, by in zip(indices, slopes[1:], strict=True)]
                return total([*terms, Number(Fraction(slopes[0]))], True)
        identity = node.op.name == "identity" and node not in self.named
        if identity and COLON not in indices:
            return Fence("bracket", Relation("=", *indices))
        return self.bracketed(node, _shown(node, indices))

    def folded(
        self, indices: Sequence[Formula], sizes: Sequence[Dimension], body: Formula
    ) -> Formula:
        return self.fold(SUM, indices, sizes, body)

    def fold(
        self,
        row: Reduction,
        indices: Sequence[Formula],
        sizes: Sequence[Dimension],
        body: Formula,
    ) -> Formula:
        """A reduction over letters of elements; limits are written where the elements do not say
        them."""
        found = fold(row, indices, sizes, body, self.cut)
        self.cut -= symbols(tuple(indices))
        return found

    def _broadcast(self, node: Expr, indices: Indices) -> Formula:
        inner = node.args[0]
        kept = indices[node.ndim - inner.ndim :]
        return self.element(
            inner,
            tuple(
                ZERO if size == 1 and index != COLON else index
                for size, index in zip(inner.shape, kept, strict=True)
            ),
        )

    def _cast(self, node: Expr, indices: Indices) -> Formula:
        inner = self.element(node.args[0], indices)
        return Fence("bracket", inner) if node.args[0].dtype == BOOL else inner

    def _gather(self, node: Expr, indices: Indices) -> Formula:
        source, index, out = parts(node.attrs["spec"])
        by_letter = dict(zip(out, indices, strict=True))
        picked = self.element(node.args[1], tuple(by_letter[letter] for letter in index))
        by_letter["*"] = picked
        return self.element(node.args[0], tuple(by_letter[letter] for letter in source))

    def _scatter(self, node: Expr, indices: Indices) -> Formula:
        source, index, out = parts(node.attrs["spec"])
        by_letter = dict(zip(source, indices, strict=True))
        sizes = dict(zip(out, node.args[0].shape, strict=True))
        gone = [letter for letter in out if letter not in source]
        bound = self.letters([sizes[a] for a in gone], symbols(indices))
        by_letter |= dict(zip(gone, bound, strict=True))
        with self.inside(bound):
            place = self.element(node.args[1], tuple(by_letter[a] for a in index))
            value = self.element(node.args[0], tuple(by_letter[a] for a in out))
        hit = Fence("bracket", Relation("=", place, by_letter["*"]))
        body = multiply(scaled(value, True), scaled(hit, True))
        return self.fold(SUM, bound, [sizes[a] for a in gone], body)

    def _einsum(self, node: Expr, indices: Indices) -> Formula:
        spec = node.attrs["spec"]
        if as_matrix_product(spec) and not self.expand:
            return self.bracketed(node, indices)
        letters, out = split(spec)
        by_letter = dict(zip(out, indices, strict=True))
        sizes = {
            a: size
            for own, arg in zip(letters, node.args, strict=True)
            for a, size in zip(own, arg.shape, strict=True)
        }
        gone = [letter for letter in sizes if letter not in out]
        bound = self.letters([sizes[a] for a in gone], symbols(indices))
        by_letter |= dict(zip(gone, bound, strict=True))
        product: Formula = ONE
        number = True
        with self.inside(bound):
            for own, arg in zip(letters, node.args, strict=True):
                places = tuple(by_letter[a] for a in own)
                factor = scaled(self.element(arg, places), not keeps_axis(arg, places))
                product = multiply(scaled(product, number), factor)
                number &= not keeps_axis(arg, places)
        return self.fold(SUM, bound, [sizes[a] for a in gone], product)

    def _reduction(self, node: Expr, indices: Indices) -> Formula:
        (arg,), axes = node.args, node.attrs["axes"]
        if node.op is SUM and repeated_number(arg) is not None:
            return self.repeated_sum(node)
        sizes = [arg.shape[axis] for axis in axes]
        bound = self.letters(sizes, symbols(indices))
        kept, folded = iter(indices), dict(zip(axes, bound, strict=True))
        with self.inside(bound):
            own = tuple(folded[k] if k in folded else next(kept) for k in range(arg.ndim))
            body = self.element(arg, own)
        if node.op.name == "logsumexp":
            return log_formula(self.fold(SUM, bound, sizes, Power(EULER, body)))
        assert isinstance(node.op, Reduction)
        return self.fold(node.op, bound, sizes, body)

    def repeated_sum(self, node: Expr) -> Formula:
        """The sum of one number repeated: as many times the number."""
        arg = node.args[0]
        times = size_formula(multiply_sizes([arg.shape[axis] for axis in node.attrs["axes"]]))
        one = repeated_number(arg)
        one = arg if one is None else one
        return multiply(scaled(times, True), scaled(self.loose(one).formula, True))

    def _softmax(self, node: Expr, indices: Indices) -> Formula:
        if not self.expand and node.attrs["axes"] == (node.ndim - 1,):
            return self.bracketed(node, indices)
        top = Power(EULER, self.element(node.args[0], indices))
        axes = node.attrs["axes"]
        sizes = [node.shape[axis] for axis in axes]
        bound = self.letters(sizes, symbols(indices))
        folded = dict(zip(axes, bound, strict=True))
        own = tuple(folded.get(k, index) for k, index in enumerate(indices))
        with self.inside(bound):
            below = self.fold(SUM, bound, sizes, Power(EULER, self.element(node.args[0], own)))
        return Scaled(over=(top,), under=(below,))

    def _log_softmax(self, node: Expr, indices: Indices) -> Formula:
        softmax = make(SOFTMAX, node.args, axes=node.attrs["axes"])
        return log_formula(self.element(softmax, indices))

    _WRITERS: ClassVar[dict[str, Callable[[Elements, Expr, Indices], Formula]]] = {
        "broadcast": _broadcast,
        "cast": _cast,
        "reshape": Moves.element_of_reshape,
        "permute": Moves.element_of_permute,
        "slice": Moves.element_of_slice,
        "place": Moves.element_of_place,
        "concat": Moves.element_of_concat,
        "gather": _gather,
        "scatter_add": _scatter,
        "einsum": _einsum,
        "softmax": _softmax,
        "log_softmax": _log_softmax,
        "named": lambda self, node, indices: self.element(node.args[0], indices),
    }
