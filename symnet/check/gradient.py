"""Checking a gradient against differences, the complex step and other libraries' autograd."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from symnet.check.wide import widened
from symnet.diff import Nested, flatten, grad
from symnet.errors import GraphError
from symnet.expr import Expr, topological
from symnet.feeds import Feeds
from symnet.lazy import available, jax, torch
from symnet.ops.core import FLOATS
from symnet.ops.leaves import INPUT, PARAMETER, leaves
from symnet.ops.pointwise import Pointwise
from symnet.ops.reduction import MAX, MIN
from symnet.reference import bind_leaves, interpret, namespace_of
from symnet.sizes import Shape, show_shape

Array = np.ndarray[Any, Any]

# The largest error that passes, relative to the largest component of the parameter's gradient.
TOLERANCES: Final = {
    "finite-difference": 1e-6, "complex-step": 1e-10, "torch": 1e-10, "jax": 1e-10
}  # fmt: skip
# A gradient whose largest component is smaller than this is judged as if that were it.
_SMALL = 1e-3
# Difference steps: a kink may lie within a wide one, rounding spoils a narrow one.
_STEPS = (1e-4, 1e-5, 1e-6)
_COMPLEX_STEP = 1e-30
# So many elements of a parameter are varied one by one; in one more trial all vary at once.
_ELEMENTS = 16


@dataclass(frozen=True)
class Row:
    """One parameter's gradient against one way of computing it.

    absolute, relative: the largest errors, None where nothing was compared. verdict: `ok`,
    `WRONG`, `not analytic` or `not installed`.
    """

    parameter: str
    shape: Shape
    against: str
    absolute: float | None
    relative: float | None
    verdict: str


@dataclass(frozen=True)
class GradientCheck:
    """The rows of a gradient check; true if none is wrong. `str` is a table."""

    rows: tuple[Row, ...]

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __bool__(self) -> bool:
        return all(row.verdict != "WRONG" for row in self.rows)

    def __str__(self) -> str:
        head = ("parameter", "shape", "against", "absolute", "relative", "verdict")
        lines = [head, *(_cells(row) for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        texts = (
            "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True))
            for line in lines
        )
        return "\n".join(text.rstrip() for text in texts)


def _cells(row: Row) -> tuple[str, ...]:
    errors = ("" if error is None else f"{error:.1e}" for error in (row.absolute, row.relative))
    return (row.parameter, show_shape(row.shape), row.against, *errors, row.verdict)


def check_grad(
    loss: Expr,
    feeds: Feeds | None = None,
    against: Sequence[str] = ("finite-difference", "complex-step", "torch", "jax"),
    wrt: Nested = None,
    *,
    seed: int = 0,
) -> GradientCheck:
    """Compares `grad(loss, wrt)` with independent derivatives, in float64 whatever the dtypes.

    wrt: parameters or inputs; by default the parameters of the loss, or if it has none its
    floating-point inputs. Raises ShapeError unless the loss is a scalar, FeedError for data that
    does not fit, GraphError for an unknown way or for a wrt that is no parameter or input.
    """
    unknown = [way for way in against if way not in TOLERANCES]
    if unknown:
        raise GraphError(f"check_grad: {unknown[0]!r} is not one of {', '.join(TOLERANCES)}")
    (wide,), place = widened([loss])
    targets = _targets(loss) if wrt is None else flatten(wrt)
    if any(target not in place for target in targets):
        raise GraphError("check_grad: wrt must be parameters or inputs that the loss depends on")
    renamed = {place.get(key, key) if isinstance(key, Expr) else key: data
               for key, data in (feeds or {}).items()}  # fmt: skip
    bound = bind_leaves([wide], renamed, seed=seed)
    problem = _Problem(wide, [place[target] for target in targets], bound.arrays, bound.sizes)
    rows = []
    for way in against:
        found = problem.compare(way)
        for index, target in enumerate(targets):
            label = (str(target.name), target.shape, way)
            rows.append(_judged(label, found if isinstance(found, str) else found[index]))
    return GradientCheck(tuple(rows))


def _targets(loss: Expr) -> list[Expr]:
    inputs = [node for node in leaves([loss], INPUT) if node.dtype in FLOATS]
    return leaves([loss], PARAMETER) or inputs


def _judged(label: tuple[str, Shape, str], found: str | tuple[Array, Array]) -> Row:
    """The row for our numbers and the true ones, or for the reason why there are none."""
    if isinstance(found, str):
        return Row(*label, None, None, found)
    ours, true = found
    with np.errstate(all="ignore"):
        gap = np.where(ours == true, 0.0, np.abs(ours - true))
        absolute = float(gap.max(initial=0.0))
        relative = absolute / max(_SMALL, float(np.abs(true).max(initial=0.0)))
    passed = relative <= TOLERANCES[label[2]]
    return Row(*label, absolute, relative, "ok" if passed else "WRONG")


@dataclass(frozen=True)
class _Problem:
    """A loss in float64 with the values of its leaves, and what it is differentiated by."""

    loss: Expr
    wrt: list[Expr]
    values: Mapping[Expr, Array]
    sizes: Mapping[str, int]

    def compare(self, way: str) -> str | list[tuple[Array, Array]]:
        """For each parameter our numbers and the true ones; or why there are none."""
        if way in ("torch", "jax"):
            if not available(way):
                return "not installed"
            true = self._torch() if way == "torch" else self._jax()
            return list(zip(self._ours(), true, strict=True))
        if way == "complex-step":
            if not _analytic(self.loss):
                return "not analytic"
            return self._along_directions(self._complex_step)
        return self._along_directions(self._difference)

    def _ours(self) -> list[Array]:
        return self._run(grad(self.loss, self.wrt), {}, "numpy")

    def _run(self, outputs: list[Expr], changed: Mapping[Expr, Any], name: str) -> list[Any]:
        namespace = namespace_of(name)
        with namespace.settings():
            return interpret(outputs, {**self.values, **changed}, self.sizes, namespace)

    def _along_directions(
        self, derivative: Callable[[Expr, Array, float], float]
    ) -> list[tuple[Array, Array]]:
        pairs = []
        for leaf, gradient in zip(self.wrt, self._ours(), strict=True):
            ours, true = [], []
            for direction in _directions(gradient):
                ours.append(float(np.sum(gradient * direction)))
                true.append(derivative(leaf, direction, ours[-1]))
            pairs.append((np.array(ours), np.array(true)))
        return pairs

    def _complex_step(self, leaf: Expr, direction: Array, expected: float) -> float:
        moved = self.values[leaf] + _COMPLEX_STEP * 1j * direction
        (loss,) = self._run([self.loss], {leaf: moved}, "complex")
        return float(np.imag(loss) / _COMPLEX_STEP)

    def _difference(self, leaf: Expr, direction: Array, expected: float) -> float:
        """The central difference over the step that comes closest to what is expected."""
        found = []
        for step in _STEPS:
            ends = [
                self._run([self.loss], {leaf: self.values[leaf] + by * direction}, "numpy")[0]
                for by in (step, -step)
            ]
            found.append(float(ends[0] - ends[1]) / (2 * step))
        return min(found, key=lambda value: abs(value - expected))

    def _torch(self) -> list[Array]:
        points = {leaf: torch.from_numpy(np.array(self.values[leaf])) for leaf in self.wrt}
        for point in points.values():
            point.requires_grad_()
        (loss,) = self._run([self.loss], points, "torch")
        found = torch.autograd.grad(loss, list(points.values()), allow_unused=True)
        return [
            np.zeros(self.values[leaf].shape) if part is None else part.numpy()
            for leaf, part in zip(self.wrt, found, strict=True)
        ]

    def _jax(self) -> list[Array]:
        namespace = namespace_of("jax")

        def loss(points: list[Any]) -> Any:
            changed = {**self.values, **dict(zip(self.wrt, points, strict=True))}
            return interpret([self.loss], changed, self.sizes, namespace)[0]

        with namespace.settings():
            points = [jax.numpy.asarray(self.values[leaf]) for leaf in self.wrt]
            return [np.asarray(part) for part in jax.grad(loss)(points)]


def _directions(gradient: Array) -> Iterator[Array]:
    """Unit vectors of some elements, among them the largest, and a mixture of all."""
    generator = np.random.default_rng(gradient.size)
    chosen = generator.permutation(gradient.size)[:_ELEMENTS].tolist()
    if gradient.size > _ELEMENTS:
        chosen[0] = int(np.argmax(np.abs(gradient)))
    for index in chosen:
        unit = np.zeros(gradient.size)
        unit[index] = 1.0
        yield unit.reshape(gradient.shape)
    if gradient.size > 1:
        yield generator.uniform(-1, 1, gradient.shape) / np.sqrt(gradient.size)


def _analytic(loss: Expr) -> bool:
    """Whether every op that the loss depends on extends to complex numbers."""
    return not any(
        node.op in (MAX, MIN) or (isinstance(node.op, Pointwise) and not node.op.analytic)
        for node in topological([loss])
    )
