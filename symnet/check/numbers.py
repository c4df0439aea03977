"""Numbers of a graph at one point, and how they move when operands move: by the complex step, or
by one-sided differences with 50 digits. The chain rule has no part in any of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, Final

import numpy as np

from symnet.check.wide import widened
from symnet.expr import Expr, topological
from symnet.feeds import Feeds
from symnet.formula.jacobians import Index, Jacobian
from symnet.ops.core import FLOATS
from symnet.reference import bind_leaves, interpret, namespace_of

Array = np.ndarray[Any, Any]
Edge = tuple[Expr, int]
"""A node and which of its operands."""
Edges = Sequence[Edge]
Values = dict[Expr, Any]

_COMPLEX_STEP: Final = 1e-30
_STEP: Final = 1e-20
_DIRECTIONS: Final = 2
# A graph of more numbers is not evaluated with 50 digits: that would take minutes.
_MOST: Final = 20_000


class Point:
    """A loss at given data, in float64 whatever its dtypes; `order` are its nodes.

    claims: expressions over the same leaves, whose values `value` gives; seeds: further leaves of
    theirs, which get random values.
    """

    def __init__(
        self,
        loss: Expr,
        claims: Sequence[Expr],
        seeds: Sequence[Expr],
        feeds: Feeds | None,
        seed: int,
    ) -> None:
        self.loss, self.order = loss, topological([loss])
        known = [*self.order, *claims, *seeds]
        wide, leaves = widened(known)
        self.wide = dict(zip(known, wide, strict=True))
        renamed = {
            leaves.get(key, key) if isinstance(key, Expr) else key: data
            for key, data in (feeds or {}).items()
        }
        bound = bind_leaves([self.wide[loss]], renamed, seed=seed)
        self.sizes, self.leaves = bound.sizes, dict(bound.arrays)
        self.random = np.random.default_rng(seed)
        numpy = namespace_of("numpy")(self.leaves, self.sizes)
        for leaf in seeds:
            shape = numpy.sizes(leaf.shape)
            self.leaves[leaves[leaf]] = self.random.uniform(0.5, 1.5, shape)
        self.sized = numpy.size
        self.base = self._evaluated("complex")
        self._slopes: dict[frozenset[Edge], Array] = {}
        self._directions: dict[Expr, list[Array]] = {}
        self._values = self._claimed([*claims, *seeds])

    def _claimed(self, claims: Sequence[Expr]) -> Values:
        few = sum(np.size(value) for value in self.base.values()) < _MOST // 10
        # What cancels is to count against the chip and not against the claim.
        namespace = namespace_of("mpmath" if few else "numpy")
        wide = [self.wide[claim] for claim in claims]
        with namespace.settings():
            found = interpret(wide, self.leaves, self.sizes, namespace)
            xp = namespace({}, {})
            arrays = [xp.to_numpy(v, w.dtype) for v, w in zip(found, wide, strict=True)]
        return dict(zip(claims, arrays, strict=True))

    def _evaluated(self, name: str) -> Values:
        namespace = namespace_of(name)
        with namespace.settings():
            wide = [self.wide[node] for node in self.order]
            found = interpret(wide, self.leaves, self.sizes, namespace)
        return dict(zip(self.order, found, strict=True))

    @cached_property
    def _digits(self) -> Values:
        """Every node with 50 digits."""
        return self._evaluated("mpmath")

    def value(self, claim: Expr) -> Array:
        """The value of a claim or a seed."""
        found: Array = self._values[claim]
        return found

    def depending_on(self, source: Expr) -> set[Expr]:
        """The source and every number that depends on it."""
        found = {source}
        for node in self.order:
            if node.dtype in FLOATS and any(arg in found for arg in node.args):
                found.add(node)
        return found

    def directions(self, node: Expr) -> list[Array]:
        """A few random directions in which a node moves, always the same; no element is small."""
        if node not in self._directions:
            shape = np.shape(self.base[node])
            self._directions[node] = [
                self.random.uniform(0.5, 1.5, shape) * self.random.choice([-1.0, 1.0], shape)
                for _ in range(_DIRECTIONS)
            ]
        return self._directions[node]

    def _op(self, name: str, node: Expr, args: Sequence[Any]) -> Any:
        wide = self.wide[node]
        xp = namespace_of(name)(self.leaves, self.sizes)
        return xp.finish(wide.op.value(xp, wide, *args), wide.dtype)

    def moved_op(self, node: Expr, index: int, direction: Array) -> Array:
        """How a node moves when its operand `index` alone does, by the complex step."""
        args = [self.base[arg] for arg in node.args]
        args[index] = np.asarray(args[index] + 1j * _COMPLEX_STEP * direction)
        with namespace_of("complex").settings():
            return np.asarray(np.imag(self._op("complex", node, args)) / _COMPLEX_STEP)

    def sides_of_op(self, node: Expr, index: int, direction: Array) -> tuple[Array, Array]:
        """The one-sided derivatives of a node along a direction of one operand."""
        if self.too_large:
            return np.array(np.nan), np.array(np.nan)
        with namespace_of("mpmath").settings():
            sides = []
            for step in (-_STEP, _STEP):
                args = [self._digits[arg] for arg in node.args]
                args[index] = np.asarray(args[index] + step * direction.astype(object))
                change = self._op("mpmath", node, args) - self._digits[node]
                sides.append(np.asarray(change / step).astype(float))
        return sides[0], sides[1]

    @property
    def too_large(self) -> bool:
        """Whether the graph has too many numbers for 50 digits each."""
        return sum(np.size(value) for value in self.base.values()) > _MOST

    def _loss_moved(
        self, name: str, base: Values, gone: frozenset[Edge], change: Any, moved: Values
    ) -> Any:
        """The loss when operands change at some of their uses, or nodes as a whole."""
        changed = dict(moved)
        for node in self.order:
            if node in moved:
                continue
            own = [(node, index) in gone for index in range(len(node.args))]
            if not any(own) and not any(arg in changed for arg in node.args):
                continue
            args = [changed.get(arg, base[arg]) for arg in node.args]
            pairs = zip(args, own, strict=True)
            args = [np.asarray(arg + change) if here else arg for arg, here in pairs]
            changed[node] = self._op(name, node, args)
        return changed.get(self.loss, base[self.loss])

    def slope(self, gone: Iterable[Edge], operand: Expr) -> Array:
        """How the loss moves when an operand does, seen at these uses only: by the complex step,
        one number a direction."""
        key = frozenset(gone)
        if key not in self._slopes:
            self._slopes[key] = self._along(operand, key, {})
        return self._slopes[key]

    def slope_of(self, node: Expr) -> Array:
        """How the loss moves when a node does, one number a direction."""
        return self._along(node, frozenset(), {node: self.base[node]})

    def _along(self, operand: Expr, gone: frozenset[Edge], whole: Values) -> Array:
        found = []
        with namespace_of("complex").settings():
            for direction in self.directions(operand):
                change = 1j * _COMPLEX_STEP * direction
                moved = {node: np.asarray(value + change) for node, value in whole.items()}
                loss = self._loss_moved("complex", self.base, gone, change, moved)
                found.append(float(np.imag(loss) / _COMPLEX_STEP))
        return np.array(found)

    def sides_of_loss(self, gone: Iterable[Edge], direction: Array) -> tuple[Array, Array]:
        """The one-sided derivatives of the loss along a direction, seen at these uses only."""
        if self.too_large:
            return np.array(np.nan), np.array(np.nan)
        sides, uses = [], frozenset(gone)
        with namespace_of("mpmath").settings():
            for step in (-_STEP, _STEP):
                change = step * direction.astype(object)
                loss = self._loss_moved("mpmath", self._digits, uses, change, {})
                sides.append(np.asarray((loss - self._digits[self.loss]) / step).astype(float))
        return sides[0], sides[1]

    def applied(
        self, jacobian: Jacobian, direction: Array, like: Array, size: bool = False
    ) -> Array | None:
        """What a claimed Jacobian makes of a direction, shaped as `like`; None if its indices do
        not fit. size: take the absolute values, which tells how large the terms were."""
        entries = self.value(jacobian.entries)
        grid = np.indices(entries.shape)
        if any(max(i.letters) >= entries.ndim for i in (*jacobian.above, *jacobian.below)):
            return None
        above, below = (
            tuple(self._places(index, grid) for index in own)
            for own in (jacobian.above, jacobian.below)
        )
        if len(above) != like.ndim or len(below) != direction.ndim:
            return None
        try:
            terms = entries * direction[below]
            flat = np.ravel_multi_index(above, like.shape) if above else np.zeros(terms.shape, int)
        except (IndexError, ValueError):
            return None
        weights = np.abs(terms) if size else terms
        return np.bincount(flat.ravel(), weights.ravel(), like.size).reshape(like.shape)

    def _places(self, index: Index, grid: Array) -> Array:
        if index.of is not None:
            found: Array = self.value(index.of)[tuple(grid[letter] for letter in index.letters)]
            return found
        places: Array = self.sized(index.start) + index.step * grid[index.letters[0]]
        return places
