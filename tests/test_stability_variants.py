"""Formulas of the same families against arithmetic of many digits: value and two derivatives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mpmath
import numpy as np
import pytest

import symnet as sn
from symnet.expr import Expr, topological
from symnet.reference.evaluation import interpret
from symnet.reference.over_mpmath import MpmathNamespace
from tests.data.stability_variants import FORMULAS

DIGITS = 1300
TINY = float(np.finfo(np.float64).tiny)


def truth(nodes: Sequence[Expr], feeds: dict[Expr, Any]) -> list[Any]:
    """What the naive formula and its derivatives are, in arithmetic of many digits."""
    with mpmath.workdps(DIGITS), MpmathNamespace.settings():
        values = {leaf: np.array(array, object) for leaf, array in feeds.items()}
        return [np.ravel(part) for part in interpret(nodes, values, {}, MpmathNamespace)]


def error(found: Any, true: Any) -> float:
    """The relative error; 0 for a true value beyond the range, and for a rounded subnormal."""
    with mpmath.workdps(60):
        if abs(true) > np.finfo(np.float64).max:
            return 0.0
        if not np.isfinite(found):
            return np.inf
        gap = abs(mpmath.mpf(float(found)) - true)
        return float(gap / abs(true)) if abs(true) > TINY else float(gap > 1e-12 * TINY)


def worst(found: Sequence[Any], true: Sequence[Any]) -> float:
    numbers = zip(found, true, strict=True)
    return max(error(f, t) for fs, ts in numbers for f, t in zip(np.ravel(fs), ts, strict=True))


@pytest.mark.parametrize("name", list(FORMULAS))
def test_value_and_two_derivatives(name: str):
    formula, points = FORMULAS[name]
    points = [point if isinstance(point, tuple) else (point,) for point in points[:4]]
    leaves = [sn.input(f"x_{k}", (), "float64") for k in range(len(points[0]))]
    value = formula(*leaves)
    slopes = sn.grad(value, leaves)
    outputs = [value, *slopes, *(part for slope in slopes for part in sn.grad(slope, leaves))]
    stable = sn.stabilize(outputs)
    for point in points:
        feeds = dict(zip(leaves, point, strict=True))
        found = sn.evaluate(stable, feeds, stabilize=False)
        assert worst(found, truth(outputs, feeds)) <= 1e-12, point


def test_the_root_of_a_square_keeps_its_sign():
    x = sn.input("x", (), "float64")
    slope = sn.grad(sn.acos(sn.cos(x)), x)
    found = [float(sn.evaluate(slope, {x: v})) for v in (-0.9, 0.9)]
    np.testing.assert_allclose(found, [-1.0, 1.0], rtol=1e-15)


def test_a_derivative_that_is_a_number_belongs_to_every_graph():
    first = [sn.input(name, (), "float64") for name in ("x", "t")]
    outputs = []
    for x, t in (first, [sn.input(name, (), "float64") for name in ("x", "t")]):
        value = sn.maximum(x, 0) - x * t + sn.log(1 + sn.exp(-abs(x)))
        outputs = [sn.grad(sn.grad(value, t), own) for own in (x, t)]
    found = sn.stabilize([*outputs, x * t])
    assert not {node for node in topological(found) if any(node is own for own in first)}


# Few, since each compiles kernels of its own.
COMPILED = ("s - s^2", "1/cosh", "e/(2+e)", "exp-1-x", "log(1+x^2)", "log Phi", "sqrt(x^2+1)-x",
            "acos(1-x)", "log sech^2 near 0", "hill", "exp/(exp-x)")  # fmt: skip


def test_compiled_as_one_element_of_a_vector():
    leaves = {name: sn.input(f"x_{k}", (4,), "float64") for k, name in enumerate(COMPILED)}
    rows = {name: FORMULAS[name][0](leaf) for name, leaf in leaves.items()}
    outputs = {name: [row, sn.grad(sn.sum(row), leaves[name])] for name, row in rows.items()}
    compiled = sn.compile(outputs)
    for turn in range(2):
        feeds = {}
        for name, leaf in leaves.items():
            points = FORMULAS[name][1]
            feeds[leaf] = np.array([0.3, 0.7, 1.4, points[turn % len(points)]])
        for name, found in compiled(feeds).items():
            own = {leaves[name]: feeds[leaves[name]]}
            assert worst(found, truth(outputs[name], own)) <= 1e-12, (name, own)


V = sn.input("v", (3,), "float64")
T = sn.constant([1.0, 0.0, 0.0])
SATURATED = ([100.0, 0.0, 0.0], [0.0, 0.0, -800.0], [1.0, 2.0, 3.0])
CLOSE = ([1e8 + 1, 1e8 + 2, 1e8 + 4], [1.0, 2.0, 4.0])
VECTORS = {
    "share": (sn.softmax(V)[0], SATURATED),
    "share, written out": (sn.exp(V[0]) / sn.sum(sn.exp(V)), SATURATED),
    "complement of a share": (1 - sn.softmax(V)[0], SATURATED),
    "its logarithm": (sn.log(1 - sn.exp(V[0]) / sn.sum(sn.exp(V))), SATURATED),
    "log of a share": (sn.log(sn.softmax(V)[0]), SATURATED),
    "focal": (-((1 - sn.softmax(V)[0]) ** 2) * sn.log(sn.softmax(V)[0]), SATURATED),
    "odds": (sn.softmax(V)[0] / (1 - sn.softmax(V)[0]), SATURATED),
    "all complements": (sn.sum(sn.log(1 - sn.softmax(V))), SATURATED),
    "one-hot cross-entropy": (-sn.sum(T * sn.log_softmax(V)), SATURATED),
    "one-hot cross-entropy, written out": (-sn.sum(T * sn.log(sn.softmax(V))), SATURATED),
    "log-sum-exp less an element": (sn.log(sn.sum(sn.exp(V))) - V[0], SATURATED),
    "a mean by probabilities": (sn.sum(sn.constant([1.0, 2.0, 3.0]) * sn.softmax(V)), SATURATED),
    "impurity": (1 - sn.sum(sn.softmax(V) ** 2), SATURATED),
    "entropy": (-sn.sum(sn.softmax(V) * sn.log(sn.softmax(V))), SATURATED),
    "variance": (sn.mean(V * V) - sn.mean(V) ** 2, CLOSE),
    "variance, by sums": (sn.sum(V**2) / 3 - (sn.sum(V) / 3) * (sn.sum(V) / 3), CLOSE),
    "variance, by a product": (V @ V / 3 - (sn.sum(V) / 3) ** 2, CLOSE),
}


@pytest.mark.parametrize("name", list(VECTORS))
def test_vectors(name: str):
    value, points = VECTORS[name]
    outputs = [value, sn.grad(value, V)]
    for point in points:
        found = sn.evaluate(outputs, {V: np.array(point)})
        assert worst(found, truth(outputs, {V: point})) <= 1e-12, point


@pytest.mark.parametrize("constant", [0.1, 2.0, 1e10 / 3, -0.7])
def test_the_spread_of_equal_numbers_is_0_with_derivative_0(constant: float):
    spellings = [sn.std(V), sn.std(V, correction=1), sn.sqrt(sn.mean((V - sn.mean(V)) ** 2)),
                 sn.sqrt(sn.mean(V * V) - sn.mean(V) ** 2)]  # fmt: skip
    for spread in spellings:
        found = sn.evaluate([spread, sn.grad(spread, V)], {V: np.full(3, constant)})
        assert not np.any(found[0])
        assert not np.any(found[1])


def test_variances_along_axes_keep_their_shape():
    x = sn.input("x", ("N", 3), "float64")
    rows = np.array([[1e8 + 1, 2.0, 0.1], [1e8 + 2, 2.0, 0.3]])
    for axis, keepdims in ((0, False), (0, True), (1, True)):
        naive = sn.mean(x * x, axis=axis, keepdims=keepdims)
        naive = naive - sn.mean(x, axis=axis, keepdims=keepdims) ** 2
        true = np.var(rows, axis=axis, keepdims=keepdims)
        np.testing.assert_allclose(sn.evaluate(naive, {x: rows}), true, rtol=1e-12, atol=1e-33)
