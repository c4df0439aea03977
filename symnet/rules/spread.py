"""Variances by deviations from the mean, and the mean from deviations from one element.

Reference: Chan, Golub and LeVeque, Algorithms for computing the sample variance, 1983.
"""

from __future__ import annotations

from dataclasses import dataclass

from symnet.expr import Expr
from symnet.ops.contraction import EINSUM, split
from symnet.ops.core import broadcast, number, size_value
from symnet.ops.reduction import SUM, restore, sum_over
from symnet.ops.table import divide, multiply, power, subtract
from symnet.ops.views import reshape, slice_of
from symnet.rules.algebra import factors, has_number, sample, square_root_of, terms, under_repeats
from symnet.rules.match import unnamed
from symnet.rules.rule import AnyRule, Structural


@dataclass(frozen=True)
class Mean:
    """scale / size * the sum over axes of the product of both factors; no size: 1."""

    factors: tuple[Expr, ...]
    axes: tuple[int, ...]
    scale: float
    size: Expr | None

    def of(self, x: Expr) -> Expr:
        """The same mean of something else."""
        total = multiply(number(self.scale, x.dtype), sum_over(x, self.axes))
        return total if self.size is None else divide(total, self.size)

    def like(self, other: Mean) -> bool:
        """Whether both count the same elements."""
        return (self.axes, self.scale) == (other.axes, other.scale) and self.size is other.size


def _mean(node: Expr) -> Mean | None:
    """A sum over axes over a number or a size, under any views."""
    product = factors(under_repeats(node))
    sizes = [under_repeats(part) for part in product.below]
    if len(product.above) != 1 or len(sizes) > 1 or any(s.op.name != "size" for s in sizes):
        return None
    total, size = under_repeats(product.above[0]), sizes[0] if sizes else None
    if total.op is SUM:
        inner = unnamed(total.args[0])
        root = square_root_of(inner)
        both = tuple(map(unnamed, inner.args)) if inner.op is multiply else (inner,)
        both = both if root is None else (unnamed(root), unnamed(root))
        return Mean(both, total.attrs["axes"], product.coefficient, size)
    if total.op is EINSUM and len(total.args) == 2 and not total.shape:
        (left, right), _ = split(total.attrs["spec"])
        if left == right:
            both = tuple(map(unnamed, total.args))
            return Mean(both, tuple(range(len(left))), product.coefficient, size)
    return None


def _centred(x: Expr, mean: Mean) -> Expr:
    """x less its mean, exactly 0 where all elements are equal."""
    shape = tuple(1 if k in mean.axes else size for k, size in enumerate(x.shape))
    first = slice_of(x, (0,) * x.ndim, (1,) * x.ndim, shape)
    gaps = subtract(x, broadcast(first, x.shape))
    return subtract(gaps, restore(mean.of(gaps), x, mean.axes))


def centred(node: Expr) -> Expr:
    """x - mean(x) with the mean from the deviations from one element; any other node as it is."""
    bare = unnamed(node)
    if bare.op is not subtract:
        return node
    x, mean = unnamed(bare.args[0]), _mean(bare.args[1])
    if mean is None or len(mean.factors) != 1 or mean.factors[0] is not x:
        return node
    whole = restore(mean.of(x), x, mean.axes)
    return _centred(x, mean) if whole.shape == bare.shape else node


def _variance(node: Expr) -> Expr | None:
    """mean(a b) - mean(a) mean(b) = mean((a - mean(a)) (b - mean(b))), over any axes."""
    if has_number(node):
        return None
    parts = terms(node)
    if len(parts) != 2 or parts[0][0] == parts[1][0]:
        return None
    for (sign, whole), (_, product) in (parts, parts[::-1]):
        found = _mean(whole)
        if found is None or len(found.factors) != 2:
            continue
        root = square_root_of(product)
        sides = (root, root) if root is not None else product.args
        means = [_mean(side) for side in sides] if len(sides) == 2 else []
        if not means or any(m is None or len(m.factors) != 1 or not m.like(found) for m in means):
            continue
        over = [m.factors[0] for m in means if m is not None]
        if sorted(map(id, over)) != sorted(map(id, found.factors)):
            continue
        first, second = (_centred(x, found) for x in over)
        made = reshape(found.of(multiply(first, second)), node.shape)
        return made if sign > 0 else multiply(-1, made)
    return None


def _examples() -> tuple[Expr, ...]:
    x, y = sample("x", "N", "K"), sample("y", "N", "K")
    count = size_value(x.shape[0], x.dtype)

    def mean(z: Expr) -> Expr:
        return divide(sum_over(z, (0,)), count)

    return (
        subtract(mean(multiply(x, x)), power(mean(x), 2)),
        subtract(mean(multiply(x, y)), multiply(mean(y), mean(x))),
    )


SPREADS: tuple[AnyRule, ...] = (
    Structural(
        "variance in two passes",
        ("add", "subtract"),
        _variance,
        "the mean of the squares and the square of the mean cancel",
        _examples,
        remark="same function, no cancellation",
        error=1e-13,
    ),
)
