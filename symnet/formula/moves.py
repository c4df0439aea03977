"""Elements of views: where an element of a reshape, a slice, a join or a placement comes from.

Every index is known here: a letter, a number, or an expression in letters. The index `:`, which
keeps an axis whole, passes where the axis is moved whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fractions import Fraction

from symnet.expr import Expr
from symnet.formula.algebra import multiply, negate, scaled
from symnet.formula.naming import Names, is_squeeze
from symnet.formula.readings import pick
from symnet.formula.scalars import size_formula
from symnet.formula.sums import total
from symnet.formula.tree import (
    COLON,
    ZERO,
    Fence,
    Formula,
    Number,
    Piecewise,
    Relation,
    Scaled,
    Sum,
    Symbol,
    walk,
)
from symnet.ops.views import RESHAPE, SLICE
from symnet.sizes import (
    Dimension,
    Shape,
    add_sizes,
    divide_sizes,
    multiply_sizes,
    scale_size,
)

Indices = tuple[Formula, ...]


def symbols(formula: object) -> set[str]:
    """The names of all symbols in a formula, or in a tuple of them."""
    return {part.name for part in walk(formula) if isinstance(part, Symbol)}


def shifted(index: Formula, by: Formula, factor: int = 1) -> Formula:
    """factor · index + by, for an index: k − 3 + 3 is k."""
    moved = multiply(Scaled(top=Fraction(factor)), scaled(index, True))
    terms = [*_terms(moved), *_terms(by)]
    number = sum((term.value for term in terms if isinstance(term, Number)), Fraction(0))
    rest = [term for term in terms if not isinstance(term, Number)]
    return total([*rest, *([Number(number)] if number or not rest else [])], True)


def _terms(formula: Formula) -> tuple[Formula, ...]:
    return formula.terms if isinstance(formula, Sum) else (formula,)


def bracket(sign: str, left: Formula, right: Formula) -> Formula:
    """[left sign right]: 1 where that holds, else 0."""
    return Fence("bracket", Relation(sign, left, right))


@dataclass(frozen=True)
class Progression:
    """Slices of one source that follow each other at a distance along one axis."""

    source: Expr
    first: Shape
    axis: int
    distance: int


def progression(nodes: Sequence[Expr]) -> Progression | None:
    """What x[:, 0:4], x[:, 1:5], x[:, 2:6], ... have in common; None for anything else."""
    parts = [node.args[0] if node.op is RESHAPE and is_squeeze(node) else node for node in nodes]
    if len(parts) < 2 or any(part.op is not SLICE for part in parts):
        return None
    source, steps = parts[0].args[0], parts[0].attrs["step"]
    starts = [part.attrs["start"] for part in parts]
    alike = all(part.args[0] is source and part.shape == parts[0].shape for part in parts)
    if not alike or any(part.attrs["step"] != steps for part in parts) or set(steps) != {1}:
        return None
    moved = [axis for axis in range(source.ndim) if starts[1][axis] != starts[0][axis]]
    if len(moved) != 1:
        return None
    (axis,) = moved
    distance = add_sizes(starts[1][axis], scale_size(starts[0][axis], -1))
    if not isinstance(distance, int):
        return None
    for place, start in enumerate(starts):
        wanted = add_sizes(starts[0][axis], distance * place)
        if start != (*starts[0][:axis], wanted, *starts[0][axis + 1 :]):
            return None
    return Progression(source, starts[0], axis, distance)


class Moves:
    """Writes elements of views, given how elements of their operands are written."""

    named: dict[Expr, Formula]
    names: Names
    cut: set[str]

    def array(self, node: Expr) -> Formula:
        """The node in matrix form."""
        raise NotImplementedError

    def element(self, node: Expr, indices: Indices) -> Formula:
        """One element of a node; an index `:` keeps that axis whole."""
        raise NotImplementedError

    def letters(self, sizes: Sequence[Dimension], used: Iterable[str] = ()) -> Indices:
        """An index for each axis: a letter, or 0 where there is but one place."""
        raise NotImplementedError

    def inside(self, indices: Indices) -> AbstractContextManager[None]:
        """While the block runs, these letters are taken."""
        raise NotImplementedError

    def folded(
        self, indices: Sequence[Formula], sizes: Sequence[Dimension], body: Formula
    ) -> Formula:
        """The sum of the body over the indices that are letters."""
        raise NotImplementedError

    def bracketed(self, node: Expr, indices: Indices) -> Formula:
        """The element of the array as it is written whole."""
        return pick(self.array(node), indices)

    def element_of_reshape(self, node: Expr, indices: Indices) -> Formula:
        (inner,) = node.args
        if is_squeeze(node):
            rest = iter(i for i, size in zip(indices, node.shape, strict=True) if size != 1)
            own = tuple(ZERO if size == 1 else next(rest) for size in inner.shape)
            return self.element(inner, own)
        found = _regrouped(inner.shape, node.shape, indices)
        self.cut |= symbols(indices)
        return self.bracketed(node, indices) if found is None else self.element(inner, found)

    def element_of_permute(self, node: Expr, indices: Indices) -> Formula:
        axes = node.attrs["axes"]
        return self.element(node.args[0], tuple(indices[axes.index(k)] for k in range(len(axes))))

    def element_of_slice(self, node: Expr, indices: Indices) -> Formula:
        (inner,), moved = node.args, []
        starts, steps = node.attrs["start"], node.attrs["step"]
        for axis, index in enumerate(indices):
            start, step = starts[axis], steps[axis]
            whole = (start, step, node.shape[axis]) == (0, 1, inner.shape[axis])
            if index == COLON and not whole:
                return self.bracketed(node, indices)
            alone = node.shape[axis] == 1
            by = size_formula(start)
            self.cut |= set() if whole else symbols(index)
            moved.append(index if whole else by if alone else shifted(index, by, step))
        return self.element(inner, tuple(moved))

    def element_of_concat(self, node: Expr, indices: Indices) -> Formula:
        """Case by case; slices at equal distances are one slice whose start moves."""
        axis = node.attrs["axis"]
        index = indices[axis]
        if index == COLON:
            return self.bracketed(node, indices)
        alike = progression(node.args) if all(a.shape[axis] == 1 for a in node.args) else None
        if alike is not None:
            rest = self._stacked(node, indices, alike)
            if rest is not None:
                return rest
        before: Dimension = 0
        cases: list[tuple[Formula, Formula]] = []
        for arg in node.args:
            own = ZERO if arg.shape[axis] == 1 else shifted(index, negate(size_formula(before)))
            value = self.element(arg, (*indices[:axis], own, *indices[axis + 1 :]))
            end = add_sizes(before, arg.shape[axis])
            single = arg.shape[axis] == 1
            sign, limit = ("=", before) if single else ("<", end)
            cases.append((Relation(sign, index, size_formula(limit)), value))
            before = end
        found = cases[-1][1]
        for condition, value in reversed(cases[:-1]):
            found = Piecewise(condition, value, found)
        return found

    def _stacked(self, node: Expr, indices: Indices, alike: Progression) -> Formula | None:
        """The element of the source: the place on the new axis moves the start of the slice."""
        axis, first = node.attrs["axis"], node.args[0]
        part = first.args[0] if first.op is RESHAPE else first
        rest = iter(i for i, size in zip(indices, first.shape, strict=True) if size != 1)
        moved = []
        for k, size in enumerate(part.shape):
            start = size_formula(alike.first[k])
            own = start if size == 1 else shifted(next(rest), start)
            moved.append(shifted(indices[axis], own, alike.distance) if k == alike.axis else own)
        return None if COLON in indices else self.element(alike.source, tuple(moved))

    def element_of_place(self, node: Expr, indices: Indices) -> Formula:
        """The value at the place, where there is one: brackets say where."""
        (inner,), starts, steps = node.args, node.attrs["start"], node.attrs["step"]
        own: list[Formula] = []
        conditions: list[Formula] = []
        bound: list[Formula] = []
        sizes: list[Dimension] = []
        for axis, index in enumerate(indices):
            start, step, size, whole = (
                starts[axis],
                steps[axis],
                inner.shape[axis],
                node.shape[axis],
            )
            if (start, step, size) == (0, 1, whole):
                own.append(index)
                continue
            if index == COLON:
                return self.bracketed(node, indices)
            if size == 1:
                own.append(ZERO)
                conditions.append(bracket("=", index, size_formula(start)))
            elif step == 1:
                own.append(shifted(index, negate(size_formula(start))))
                conditions += _between(index, start, size, whole)
            else:
                (letter,) = self.letters([size], [*symbols(indices), *symbols(tuple(bound))])
                bound.append(letter)
                sizes.append(size)
                own.append(letter)
                at = shifted(letter, size_formula(start), step)
                conditions.append(bracket("=", index, at))
        with self.inside(tuple(bound)):
            found = self.element(inner, tuple(own))
        for condition in conditions:
            found = multiply(scaled(found, True), scaled(condition, True))
        self.cut |= symbols(tuple(bound))
        return self.folded(bound, sizes, found) if bound else found


def _between(index: Formula, start: Dimension, size: Dimension, whole: Dimension) -> list[Formula]:
    """Brackets for start <= index < start + size, as far as the axis does not say so already."""
    end = add_sizes(start, size)
    below = [] if start == 0 else [bracket("≥", index, size_formula(start))]
    above = [] if end == whole else [bracket("<", index, size_formula(end))]
    return below + above


def _groups(before: Shape, after: Shape) -> list[tuple[list[int], list[int]]] | None:
    """Axes that together hold the same elements in both shapes; None if that is not known."""
    found = []
    first = second = 0
    while first < len(before) or second < len(after):
        left, right = [first], [second]
        if first == len(before) or second == len(after):
            return None
        while True:
            many = multiply_sizes(before[k] for k in left)
            wanted = multiply_sizes(after[k] for k in right)
            if many == wanted:
                break
            grow_left = isinstance(many, int) and isinstance(wanted, int) and many < wanted
            if not isinstance(many, int) or not isinstance(wanted, int):
                grow_left = divide_sizes(wanted, many) is not None
            grown, limit = (left, len(before)) if grow_left else (right, len(after))
            if grown[-1] + 1 >= limit:
                return None
            grown.append(grown[-1] + 1)
        found.append((left, right))
        first, second = left[-1] + 1, right[-1] + 1
        while first < len(before) and before[first] == 1:
            found[-1][0].append(first)
            first += 1
        while second < len(after) and after[second] == 1:
            found[-1][1].append(second)
            second += 1
    return found


def _regrouped(before: Shape, after: Shape, indices: Indices) -> Indices | None:
    """The indices into a row-major array of shape `before`, from those of shape `after`."""
    groups = _groups(before, after)
    if groups is None:
        return None
    own: list[Formula] = []
    for left, right in groups:
        real = [k for k in right if after[k] != 1]
        wide = [k for k in left if before[k] != 1]
        if len(real) == len(wide) == 1:
            flat = indices[real[0]]
        elif any(indices[k] == COLON for k in real):
            return None
        else:
            flat = ZERO
            for k in real:
                size = scaled(size_formula(after[k]), True)
                flat = total([multiply(size, scaled(flat, True)), indices[k]], True)
        own += _unravelled(flat, [before[k] for k in left])
    return tuple(own)


def _unravelled(flat: Formula, sizes: Sequence[Dimension]) -> list[Formula]:
    """The place on each axis of the element with this row-major number."""
    wide = [k for k, size in enumerate(sizes) if size != 1]
    found: list[Formula] = [ZERO] * len(sizes)
    if len(wide) == 1:
        found[wide[0]] = flat
        return found
    above: Formula | None = None
    for k in wide:
        behind = multiply_sizes(sizes[k + 1 :])
        number = _floored(flat, behind)
        size = scaled(size_formula(sizes[k]), True)
        less = None if above is None else negate(multiply(size, scaled(above, True)))
        found[k] = number if less is None else total([number, less], True)
        above = number
    return found


def _floored(flat: Formula, by: Dimension) -> Formula:
    if by == 1:
        return flat
    return Fence("floor", Scaled(over=(flat,), under=(size_formula(by),)))
