"""Whether two expressions are the same function: equal at many points, or a counterexample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from symnet.check.wide import widened
from symnet.errors import NameClashError
from symnet.expr import Dtype, Expr, substitute, topological
from symnet.feeds import limits_of
from symnet.ops.core import BOOL, FLOATS, describe, operands
from symnet.ops.leaves import Leaf
from symnet.reference import interpret, namespace_of
from symnet.sizes import Dimension, Size, show_shape, size_names

Array = np.ndarray[Any, Any]

# Relative to the larger of the two, or to _SMALL: written constants such as 0.1 are rounded.
_TOLERANCE, _SMALL = 1e-10, 1e-3
# Beyond so many numbers in a graph, float64 in place of 50 digits.
_MANY = 300_000
_TOLERANCE_FLOAT64 = 1e-7


@dataclass(frozen=True)
class Equivalence:
    """Whether two expressions agree; true if they do. `str` says it in words.

    reason: why not, or how it was found. point: the counterexample, values by name. left, right:
    what the two are there.
    """

    equal: bool
    reason: str
    point: Mapping[str, Any] = field(default_factory=dict)
    left: Any = None
    right: Any = None

    def __bool__(self) -> bool:
        return self.equal

    def __str__(self) -> str:
        if self.equal or not self.point:
            return f"{'equal' if self.equal else 'not equal'}: {self.reason}"
        point = ", ".join(f"{name} = {_shown(value)}" for name, value in self.point.items())
        return (
            f"not equal: at {point} the first is {_shown(self.left)}, the second "
            f"{_shown(self.right)}"
        )


def _shown(value: Any) -> str:
    text = np.array2string(np.asarray(value), precision=6, threshold=12, separator=", ")
    return " ".join(text.split())


def equivalent(a: object, b: object, samples: int = 16, *, seed: int = 0) -> Equivalence:
    """Compares two expressions at random points of mixed magnitudes, in 50 digits.

    Inputs and parameters are matched by name; named sizes become small. Points where one of the
    two is undefined or infinite are skipped. NameClashError if one name means two shapes.
    """
    left, right = operands("equivalent", (a, b))
    if left is right:
        return Equivalence(True, "they are the same expression")
    if left.shape != right.shape:
        return Equivalence(
            False, f"the first is {show_shape(left.shape)}, the second {show_shape(right.shape)}"
        )
    pair, _ = widened([left, right])
    pair = _same_leaves(pair)
    if pair[0] is pair[1]:
        return Equivalence(True, "they are the same expression")
    compared = 0
    for index in range(samples):
        point = _point(pair, np.random.default_rng((seed, index)), index)
        found = _differs(pair, point)
        if found is None:
            continue
        if found:
            named = {str(leaf.name): value for leaf, value in point.items()}
            return Equivalence(False, "they differ at a point", named, *found)
        compared += 1
    if not compared:
        return Equivalence(False, f"none of {samples} points was found where both are defined")
    return Equivalence(True, f"they agree at {compared} random points")


def _leaves(pair: Sequence[Expr]) -> list[Expr]:
    return [node for node in topological(pair) if isinstance(node.op, Leaf)]


def _same_leaves(pair: list[Expr]) -> list[Expr]:
    """The pair over one set of leaves, matched by name."""
    first: dict[str, Expr] = {}
    replaced: dict[Expr, Expr] = {}
    for leaf in _leaves(pair):
        other = first.setdefault(str(leaf.name), leaf)
        if (other.shape, other.dtype) != (leaf.shape, leaf.dtype):
            raise NameClashError(f"equivalent: {describe(other)} and {describe(leaf)} share a name")
        replaced[leaf] = other
    return substitute(pair, replaced)


def _sizes(pair: Sequence[Expr]) -> dict[str, int]:
    names: set[str] = set()
    for node in topological(pair):
        names |= size_names(node.shape)
    return {name: 2 + index % 3 for index, name in enumerate(sorted(names))}


def _value(size: Dimension, sizes: Mapping[str, int]) -> int:
    return size.value(sizes) if isinstance(size, Size) else size


def _point(pair: list[Expr], generator: np.random.Generator, index: int) -> dict[Expr, Array]:
    sizes, ranges = _sizes(pair), limits_of(pair).ranges
    point = {}
    for leaf in _leaves(pair):
        shape = tuple(_value(size, sizes) for size in leaf.shape)
        below = _value(ranges.get(leaf, 10), sizes)
        point[leaf] = _drawn(leaf.dtype, shape, below, generator, index)
    return point


def _drawn(
    dtype: Dtype, shape: tuple[int, ...], below: int, generator: np.random.Generator, index: int
) -> Array:
    """Numbers where most functions are defined, then of ordinary size, then of mixed size."""
    if dtype == BOOL:
        return generator.random(shape) < 0.5
    if dtype not in FLOATS:
        return generator.integers(0, below, shape).astype(dtype)
    if index % 4 == 0:
        return np.asarray(generator.uniform(0.1, 0.9, shape))
    if index % 4 == 1:
        return np.asarray(generator.uniform(-3, 3, shape))
    magnitude = 10.0 ** generator.uniform(-3, 1.5, shape)
    signs = generator.choice([-1.0, 1.0], shape) if index % 4 == 2 else 1.0
    return np.asarray(magnitude * signs)


def _differs(pair: list[Expr], point: dict[Expr, Array]) -> tuple[Any, ...] | None:
    """The two values if they differ, nothing if they agree, None if nowhere both are defined."""
    sizes = _sizes(pair)
    count = sum(
        int(np.prod([_value(size, sizes) for size in node.shape])) for node in topological(pair)
    )
    exact = count <= _MANY
    namespace = namespace_of("mpmath" if exact else "numpy")
    with namespace.settings():
        left, right = (np.asarray(v) for v in interpret(pair, point, sizes, namespace))
        defined = np.isfinite(left.astype(np.float64)) & np.isfinite(right.astype(np.float64))
        if not defined.any():
            return None
        scale = np.maximum(np.maximum(np.abs(left), np.abs(right)), _SMALL)
        apart = np.abs(left - right) > (_TOLERANCE if exact else _TOLERANCE_FLOAT64) * scale
        if not (apart & defined).any():
            return ()
        return left.astype(np.float64), right.astype(np.float64)
