"""The naive formula gives the true value and the true derivative (tests/data/stability.json)."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symnet as sn
from symnet.expr import Expr
from tests.data.stability import FORMULAS

POINTS = json.loads((Path(__file__).parent / "data" / "stability.json").read_text())
TOLERANCE = {"float64": 1e-12, "float32": 2e-6}
Point = tuple[tuple[float, ...], float, list[float]]


class Functions:
    """symnet under the names that the formulas use."""

    sqrt_half = 0.5**0.5
    ne = staticmethod(sn.not_equal)

    def __getattr__(self, name: str) -> Callable[..., Expr]:
        return getattr(sn, name)


def points_of() -> dict[str, list[Point]]:
    """The points of each formula: where, value, gradient."""
    found: dict[str, list[Point]] = defaultdict(list)
    for record in POINTS:
        where = tuple(float(number) for number in record["x"])
        found[record["id"]].append((where, float(record["value"]),
                                    [float(number) for number in record["grad"]]))  # fmt: skip
    return found


BY_FORMULA = points_of()

# Points that are not reached: (dtype, id, x) -> why. Empty in float64.
NOT_REACHED: dict[tuple[str, str, tuple[float, ...]], str] = {}


def fits(dtype: str, point: Point) -> bool:
    """Whether every number of a point is 0, infinite or a normal number of that dtype."""
    where, value, gradient = point
    if dtype == "float64":
        return True
    info = np.finfo(dtype)
    low, high = float(info.tiny), float(info.max)
    sizes = [abs(number) for number in (*where, value, *gradient)]
    return all(size in (0, np.inf) or low <= size <= high for size in sizes)


def outputs_of(name: str, dtype: str) -> tuple[Expr, list[Expr]]:
    """The input and the value and gradient of a formula over it."""
    size = len(BY_FORMULA[name][0][0])
    v = sn.input(f"v_{name}", (size,), dtype)
    value = FORMULAS[name][1](Functions(), v)
    return v, [value, sn.grad(value, v)]


def agrees(found: Sequence[Any], point: Point, dtype: str) -> bool:
    true = [np.asarray(point[1]).astype(dtype), np.asarray(point[2]).astype(dtype)]
    return all(
        np.allclose(got, want, rtol=TOLERANCE[dtype], atol=0)
        for got, want in zip(found, true, strict=True)
    )


def check_point(name: str, dtype: str, point: Point, found: Sequence[Any]) -> None:
    """A point that the dtype holds is right, unless it stands in the table; then it is not."""
    if fits(dtype, point):
        reached = agrees(found, point, dtype)
        assert reached != ((dtype, name, point[0]) in NOT_REACHED), (name, point, found)


@pytest.mark.parametrize("dtype", list(TOLERANCE))
@pytest.mark.parametrize("name", list(FORMULAS))
def test_points_interpreted(name: str, dtype: str):
    v, outputs = outputs_of(name, dtype)
    for point in BY_FORMULA[name]:
        if fits(dtype, point):
            check_point(name, dtype, point, sn.evaluate(outputs, {v: np.array(point[0], dtype)}))


@pytest.mark.parametrize("dtype", list(TOLERANCE))
def test_points_compiled(dtype: str):
    every = {name: outputs_of(name, dtype) for name in FORMULAS}
    compiled = sn.compile({name: outputs for name, (_, outputs) in every.items()})
    for turn in range(max(map(len, BY_FORMULA.values()))):
        points = {name: found[turn % len(found)] for name, found in BY_FORMULA.items()}
        held = {name: np.array(point[0] if fits(dtype, point) else [0.5] * len(point[0]), dtype)
                for name, point in points.items()}  # fmt: skip
        results = compiled({every[name][0]: values for name, values in held.items()})
        for name, point in points.items():
            check_point(name, dtype, point, results[name])


def test_naive_spellings_miss_most_points():
    missed = 0
    for name, points in BY_FORMULA.items():
        v, outputs = outputs_of(name, "float64")
        for point in points:
            found = sn.evaluate(outputs, {v: np.array(point[0])}, stabilize=False)
            missed += not agrees(found, point, "float64")
    assert missed > 30


# Formulas of one number, applied to a vector in which the point is one element.
SCALARS: dict[str, Callable[[Any, Any], Any]] = {
    name: formula
    for name, (_, formula) in FORMULAS.items()
    if len(BY_FORMULA[name][0][0]) == 1
}  # fmt: skip
ORDINARY = (0.3, 0.7, 0.45)


def test_points_as_one_element_of_a_vector():
    leaves = {name: sn.input(f"x_{name}", ("N",), "float64") for name in SCALARS}
    rows = {name: SCALARS[name](Functions(), [x]) for name, x in leaves.items()}
    outputs = {name: [y, sn.grad(sn.sum(y), leaves[name])] for name, y in rows.items()}
    compiled = sn.compile(outputs)
    for turn in range(max(len(BY_FORMULA[name]) for name in SCALARS)):
        points = {name: BY_FORMULA[name][turn % len(BY_FORMULA[name])] for name in SCALARS}
        feeds = {leaves[name]: np.array([*ORDINARY, *point[0]]) for name, point in points.items()}
        for results in (sn.evaluate(outputs, feeds), compiled(feeds)):
            for name, point in points.items():
                found = [np.asarray(part) for part in results[name]]
                assert agrees([part[-1:] for part in found], point, "float64"), (name, point)
                assert all(np.all(np.isfinite(part[:-1])) for part in found), name


SECOND = {
    "expm1_over_x": (0.0, 1 / 3), "cosm1_x2": (0.0, -1 / 12), "sinc_where": (0.0, None),
    "logcosh": (0.0, 1.0), "pseudo_huber": (0.0, 1.0), "where_log": (-1.0, 0.0),
    "where_exp": (1000.0, 0.0), "softplus": (-40.0, 4.248354255291589e-18),
    "atanh_naive": (0.0, 0.0), "sech2": (0.0, -2.0),
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name, (_, true) in SECOND.items() if true is not None])
def test_second_derivatives(name: str):
    at, true = SECOND[name]
    x = sn.input("x", (), "float64")
    first = sn.grad(SCALARS[name](Functions(), [x]), x)
    second = sn.grad(first, x)
    assert true is not None
    np.testing.assert_allclose(sn.evaluate(second, {x: at}), true, rtol=1e-12, atol=1e-300)


X = sn.input("x", (), "float64")
V = sn.input("v", (3,), "float64")
INF = np.inf

# formula, where, value, gradient.
VARIANTS: dict[str, tuple[Expr, Any, Any, Any]] = {
    "sinc, reciprocal": (sn.sin(X) * (1 / X), 0.0, 1.0, 0.0),
    "sinc of pi x": (sn.sin(np.pi * X) / (np.pi * X), 0.0, 1.0, 0.0),
    "squared sinc": (sn.sin(X) ** 2 / X**2, 0.0, 1.0, 0.0),
    "one minus exp of minus x": ((1 - sn.exp(-X)) / X, 0.0, 1.0, -0.5),
    "Bernoulli": (X / (sn.exp(X) - 1), 0.0, 1.0, -0.5),
    "log1p over x": (sn.log(1 + X) / X, 0.0, 1.0, -0.5),
    "log over x minus one": (sn.log(X) / (X - 1), 1.0, 1.0, -0.5),
    "tanh over x": (sn.tanh(X) / X, 0.0, 1.0, 0.0),
    "filled expm1": (sn.where(sn.equal(X, 0), 1, (sn.exp(X) - 1) / X), 0.0, 1.0, 0.5),
    "masked root": (sn.where(X > 0, sn.sqrt(X), 0 * X), 0.0, 0.0, 0.0),
    "root of relu": (sn.sqrt(sn.maximum(X, 0)), -1.0, 0.0, 0.0),
    "masked power": (sn.where(X > 0, X**-2 * sn.log(X), 0), 0.0, 0.0, 0.0),
    "sigmoid, quotient": (X / (1 + sn.exp(-X)), -1000.0, 0.0, 0.0),
    "log of a square": (sn.log(X * X), -1e-200, 2 * np.log(1e-200), -2e200),
    "minus root": (1 - sn.sqrt(1 - X * X), 1e-10, 5e-21, 1e-10),
    "difference of roots": (sn.sqrt(X + 1) - sn.sqrt(X), 1e20, 5e-11, -2.5e-31),
    "log of one minus exp": (sn.log(1 - sn.exp(X)), -1e-20, np.log(1e-20), -1e20),
    "upper tail": (1 - sn.erf(X), 10.0, 2.088487583762545e-45, -2 / np.sqrt(np.pi) * np.exp(-100)),
    "tanh as a share": ((sn.exp(X) - sn.exp(-X)) / (sn.exp(X) + sn.exp(-X)), 1000.0, 1.0, 0.0),
    "one minus tanh": (1 - sn.tanh(X), 50.0, 7.440151952041672e-44, -1.4880303904083344e-43),
    "norm": (sn.sqrt(sn.sum(V**2)), [0.0] * 3, 0.0, [0.0] * 3),
    "norm, mean": (sn.sqrt(sn.mean(V * V)), [3e200] * 3, 3e200, [1 / 3] * 3),
    "norm, product": (sn.sqrt(V @ V), [0.0, 3e-200, 4e-200], 5e-200, [0.0, 0.6, 0.8]),
    "smooth norm": (sn.sqrt(1 + sn.sum(V**2)) - 1, [0.0, 0.0, 1e-10], 5e-21, [0.0, 0.0, 1e-10]),
    "spread": (sn.std(V), [0.5] * 3, 0.0, [0.0] * 3),
    "entropy": (-sn.sum(V * sn.log(V)), [0.0, 1.0, 0.0], 0.0, [INF, -1.0, INF]),
    "mean of exponentials": (sn.log(sn.mean(sn.exp(V))), [1e3] * 3, 1e3, [1 / 3] * 3),
    "three exponentials": (
        sn.log(sn.exp(V[0]) + sn.exp(V[1]) + sn.exp(V[2])),
        [1000.0] * 3, 1000.0 + np.log(3.0), [1 / 3] * 3,
    ),
    "share of two": (
        sn.exp(V[0]) / (sn.exp(V[1]) + sn.exp(V[0])), [1000.0, 1000.0, 0.0], 0.5, [0.25, -0.25, 0.0]
    ),
    "log of a ratio of negatives": (
        sn.log(V[0] / V[1]), [-1e-300, -1e300, 1.0], -600 * np.log(10), [-1e300, 1e-300, 0.0]
    ),
    "divergence": (
        sn.sum(V * sn.log(V / sn.constant([0.5, 0.25, 0.25], "float64"))),
        [0.0, 0.5, 0.5], np.log(2.0), [-INF, 1 + np.log(2.0), 1 + np.log(2.0)],
    ),
    "direction": (
        sn.sum(V / sn.sqrt(sn.sum(V**2))), [0.0] * 3, 0.0, [0.0] * 3
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", list(VARIANTS))
def test_variants(name: str):
    formula, at, value, gradient = VARIANTS[name]
    leaf = V if isinstance(at, list) else X
    found = sn.evaluate([formula, sn.grad(formula, leaf)], {leaf: np.array(at)})
    np.testing.assert_allclose(found[0], value, rtol=1e-12, atol=1e-300)
    np.testing.assert_allclose(found[1], gradient, rtol=1e-12, atol=1e-300)


def test_a_gradient_is_that_of_the_stable_spelling_whichever_comes_first():
    naive = sn.log((sn.exp(X) + sn.exp(-X)) / 2)
    raw = sn.grad(naive, X)
    stable = sn.stabilize(sn.grad(sn.stabilize(naive, smooth=True), X))
    assert sn.stabilize(raw) is stable
    assert "cosh" not in str(raw)
    assert np.isnan(sn.evaluate(raw, {X: 1000.0}, stabilize=False))


def test_an_intermediate_is_never_swallowed():
    inner = sn.exp(X)
    slope = sn.grad(sn.log(1 + inner), inner)
    np.testing.assert_allclose(sn.evaluate(slope, {X: 0.5}), 1 / (1 + np.exp(0.5)), rtol=1e-15)


def test_stabilising_twice_changes_nothing():
    for name in FORMULAS:
        _, outputs = outputs_of(name, "float64")
        once = sn.stabilize(outputs)
        assert all(a is b for a, b in zip(sn.stabilize(once), once, strict=True)), name
