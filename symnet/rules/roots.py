"""Roots of sums of squares, and quotients by them.

References: Blue, A portable Fortran program to find the Euclidean norm of a vector, 1978;
Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 27.8.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from symnet.expr import Expr, make
from symnet.ops.contraction import EINSUM, split
from symnet.ops.core import FLOAT32, broadcast, number, scalar_constant
from symnet.ops.pointwise import zeros
from symnet.ops.reduction import MAX, SUM, restore, sum_over
from symnet.ops.table import (
    absolute,
    add,
    divide,
    equal,
    hypot,
    less,
    logical_and,
    multiply,
    negative,
    power,
    sign,
    sqrt,
    subtract,
    where,
)
from symnet.ops.views import RESHAPE, reshape
from symnet.rules.algebra import factors, sample, square_root_of, terms, under_repeats
from symnet.rules.match import unnamed
from symnet.rules.rule import AnyRule, Structural, is_constant
from symnet.rules.spread import centred
from symnet.sizes import Shape


@dataclass(frozen=True)
class Squares:
    """factor * the sum over axes of root^2, given the shape `kept`; no axes for one square."""

    root: Expr
    axes: tuple[int, ...]
    kept: Shape
    factor: Expr | None = None


def _squares(node: Expr) -> Squares | None:
    """One square, or a sum of squares over axes, times a factor that is surely positive."""
    node, shape = unnamed(node), node.shape
    if node.op in (multiply, divide):
        for scaled, by in ((node.args[0], node.args[1]), node.args[::-1]):
            inner = _squares(scaled) if _is_positive(by) else None
            if inner is not None and (node.op is multiply or by is node.args[1]):
                own = inner.factor
                factor = by if own is None else multiply(own, by)
                if node.op is divide:
                    factor = divide(1, by) if own is None else divide(own, by)
                return Squares(inner.root, inner.axes, inner.kept, factor)
    if node.op is RESHAPE:
        inner = _squares(node.args[0])
        if inner is None or not inner.axes or inner.factor is not None:
            return None
        return Squares(inner.root, inner.axes, shape)
    if node.op is SUM:
        root = square_root_of(unnamed(node.args[0]))
        return None if root is None else Squares(root, node.attrs["axes"], shape)
    if node.op is EINSUM and len(node.args) == 2 and not shape:
        (left, right), out = split(node.attrs["spec"])
        if node.args[0] is node.args[1] and left == right and not out:
            return Squares(node.args[0], tuple(range(node.args[0].ndim)), shape)
    root = square_root_of(node)
    return None if root is None else Squares(root, (), shape)


def _is_positive(node: Expr) -> bool:
    value, bare = scalar_constant(node), under_repeats(node)
    if value is None and bare.op is subtract:
        # A count less a correction.
        first, second = (scalar_constant(arg) for arg in bare.args)
        sized = under_repeats(bare.args[0]).op.name == "size"
        return second is not None and (sized or (first is not None and first > second))
    return bare.op.name == "size" if value is None else 0 < value < math.inf


def _norm(squares: Squares) -> Expr:
    """The root of a sum of squares: scaled by a power of 2 where squares leave the range."""
    u, axes, kept = centred(squares.root), squares.axes, squares.kept
    big, small, up = (1e17, 1e-17, 2.0**80) if u.dtype == FLOAT32 else (1e150, 1e-145, 2.0**600)
    peak = make(MAX, (absolute(u),), axes=axes)
    one = number(1, u.dtype)
    scale = where(less(big, peak), 1 / up, where(less(peak, small), up, one))
    scaled = multiply(u, restore(scale, u, axes))
    total = reshape(sum_over(multiply(scaled, scaled), axes), kept)
    if squares.factor is not None:
        total = multiply(total, squares.factor)
    none = equal(total, 0)
    root = sqrt(where(none, 1, total))
    return where(none, 0, divide(root, reshape(scale, kept)))


def _is_norm(node: Expr) -> bool:
    """Whether a node is what `_norm` makes, a hypotenuse or an absolute value."""
    node = under_repeats(node)
    if node.op in (hypot, absolute):
        return True
    if node.op is not where or scalar_constant(node.args[1]) != 0:
        return False
    length = unnamed(node.args[2])
    return (
        length.op is divide
        and unnamed(length.args[0]).op is sqrt
        and (unnamed(unnamed(length.args[0]).args[0]).op is where)
    )


def _length(node: Expr) -> Expr | None:
    """The root of a sum of squares and positive constants, None for anything else."""
    lengths: list[Expr] = []
    known = 0.0
    for sense, part in terms(node):
        value = scalar_constant(part)
        squares = _squares(part) if sense > 0 and value is None else None
        if sense > 0 and value is not None and 0 <= value < math.inf:
            known += value
        elif squares is None:
            return None
        elif squares.axes:
            lengths.append(_norm(squares))
        else:
            size = absolute(squares.root)
            factor = squares.factor
            lengths.append(size if factor is None else multiply(size, sqrt(factor)))
    if not lengths or (len(lengths) == 1 and not known and scalar_constant(node) is not None):
        return None
    # The sign of a lone square's root matters to nothing but its printing.
    total = lengths[0]
    if len(lengths) > 1 or known:
        total = _bare(total)
    for length in lengths[1:]:
        total = hypot(total, _bare(length))
    return broadcast(hypot(total, math.sqrt(known)) if known else total, node.shape)


def _bare(length: Expr) -> Expr:
    return length.args[0] if length.op is absolute else length


def _root(node: Expr) -> Expr | None:
    if node.op is power and scalar_constant(node.args[1]) != 0.5:
        return None
    return _length(unnamed(node.args[0]))


def _guarded_root(node: Expr) -> Expr | None:
    """where(0 < S, sqrt(where(0 < S, S, 1)), 0) for a sum of squares S: its root."""
    test, root, other = (unnamed(arg) for arg in node.args)
    if test.op is not less or root.op is not sqrt or scalar_constant(other) != 0:
        return None
    total, inner = test.args[1], unnamed(root.args[0])
    if scalar_constant(test.args[0]) != 0 or inner.op is not where:
        return None
    if unnamed(inner.args[0]) is not test or inner.args[1] is not total:
        return None
    return _length(unnamed(total))


def _over_length(node: Expr) -> Expr | None:
    """a / r for a root r of squares: 0 where both are 0."""
    above, below = node.args
    if scalar_constant(above) is not None:
        return None
    if _is_norm(below):
        steep = _over_own_leg(above, below)
        return _quotient(above, below) if steep is None else steep
    length = _length(unnamed(under_repeats(below))) if _shares(above, below) else None
    if length is None:
        return None
    length = broadcast(_fit(length, below), node.shape)
    none = equal(length, 0)
    return divide(_quotient(above, length), where(none, 1, length))


def _over_own_leg(above: Expr, below: Expr) -> Expr | None:
    """x / hypot(x, y) as +-1 / hypot(1, y / x) for |x| > |y|, whose derivative does not cancel."""
    root, x = unnamed(below), unnamed(above)
    if root.op is not hypot or root.shape != x.shape or x.op is where:
        return None
    legs = [unnamed(leg) for leg in root.args]
    if not any(leg is x for leg in legs):
        return None
    y = legs[1] if legs[0] is x else legs[0]
    steep = less(absolute(y), absolute(x))
    large, small = where(steep, x, 1), where(steep, 0, x)
    ratio = divide(where(steep, y, 0), large)
    return where(steep, divide(sign(large), hypot(1, ratio)), _quotient(small, below))


def _fit(length: Expr, below: Expr) -> Expr:
    """A length in the place of the squares under the views of a divisor."""
    views, bare = [], unnamed(below)
    while bare.op.name in ("broadcast", "reshape"):
        views.append(bare)
        bare = unnamed(bare.args[0])
    for view in reversed(views):
        length = make(view.op, (length,), **view.attrs)
    return length


def _quotient(above: Expr, length: Expr) -> Expr:
    none = logical_and(equal(length, 0), equal(above, 0))
    return where(none, zeros(above), divide(above, where(none, 1, length)))


def _shares(above: Expr, below: Expr) -> bool:
    """Whether below is a sum of squares of which above is one root; not one square alone."""
    bare = under_repeats(below)
    own = factors(above).above
    roots = [squares for _, part in terms(bare) if (squares := _squares(part)) is not None]
    if len(roots) < 2 and not (roots and roots[0].axes):
        return False
    return any(unnamed(squares.root) is factor for squares in roots for factor in own)


def _times_reciprocal(node: Expr) -> Expr | None:
    for factor, other in (node.args, node.args[::-1]):
        bare = unnamed(other)
        if bare.op is not divide or scalar_constant(factor) is not None:
            continue
        if is_constant(bare.args[0]) and _is_norm(bare.args[1]):
            return multiply(_quotient(factor, bare.args[1]), bare.args[0])
    return None


def _hypotenuses() -> tuple[Expr, ...]:
    x, y, v = sample("x"), sample("y"), sample("v", "K")
    return (
        sqrt(add(multiply(x, x), power(y, 2))),
        sqrt(multiply(x, x)),
        power(add(multiply(x, x), 4), 0.5),
        sqrt(divide(sum_over(multiply(v, v), (0,)), 3)),
    )


def _over_examples() -> tuple[Expr, ...]:
    x, y, v = sample("x"), sample("y"), sample("v", "K")
    total = add(multiply(x, x), multiply(y, y))
    squares = sum_over(multiply(v, v), (0,))
    return (
        divide(x, hypot(x, y)),
        divide(negative(y), total),
        divide(v, broadcast(squares, v.shape)),
    )


def _guarded_examples() -> tuple[Expr, ...]:
    v = sample("v", "K")
    total = sum_over(multiply(v, v), (0,))
    positive = less(0, total)
    return (where(positive, sqrt(where(positive, total, 1)), 0),)


_RANGE = "squares overflow above 1e154 and underflow below 1e-162"
ROOTS: tuple[AnyRule, ...] = (
    Structural("root of squares", ("sqrt", "pow"), _root, _RANGE, _hypotenuses),
    Structural("guarded root of squares", ("where",), _guarded_root, _RANGE, _guarded_examples),
    Structural(
        "quotient by a length",
        ("divide",),
        _over_length,
        "the quotient and its derivative are 0 where both are 0",
        _over_examples,
    ),
    Structural(
        "product with the reciprocal of a length",
        ("multiply",),
        _times_reciprocal,
        "the product and its derivative are 0 where both are 0",
        lambda: (multiply(sample("x"), divide(1, hypot(sample("y"), sample("z")))),),
        among=frozenset({"divide", "broadcast"}),
    ),
)
