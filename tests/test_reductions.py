"""Reductions and softmax against NumPy and SciPy: axes, dtypes, empties, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special

import symnet as sn
from symnet.errors import DtypeError, ShapeError
from symnet.functions import FUNCTIONS
from symnet.ops.reduction import REDUCTIONS

ARRAY = np.random.default_rng(0).normal(size=(3, 4, 5))
X = sn.input("x", (3, 4, 5), "float64")
NUMPY = {
    "sum": np.sum, "prod": np.prod, "max": np.max, "min": np.min, "mean": np.mean, "var": np.var,
    "std": np.std, "logsumexp": scipy.special.logsumexp,
    "norm": lambda x, **kept: np.sqrt(np.sum(x * x, **kept)),
}  # fmt: skip
ONE_AXIS = {"argmax": np.argmax, "argmin": np.argmin}


def test_every_row_is_here():
    assert set(REDUCTIONS) <= set(NUMPY) | set(ONE_AXIS)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 1), (2, 0), (-1, -3), (0, 1, 2)])
@pytest.mark.parametrize("name", NUMPY)
def test_axes_are_numpys(name: str, axis: object, keepdims: bool):
    y = FUNCTIONS[name](X, axis=axis, keepdims=keepdims)
    found = sn.evaluate(y, {X: ARRAY})
    true = NUMPY[name](ARRAY, axis=axis, keepdims=keepdims)
    assert y.shape == np.shape(found) == np.shape(true)
    assert np.allclose(found, true, rtol=1e-13, atol=0)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [None, 0, -1])
@pytest.mark.parametrize("name", ONE_AXIS)
def test_positions_are_numpys(name: str, axis: object, keepdims: bool):
    tied = np.round(ARRAY)
    y = FUNCTIONS[name](X, axis=axis, keepdims=keepdims)
    found = sn.evaluate(y, {X: tied})
    true = ONE_AXIS[name](tied, axis=axis, keepdims=keepdims)
    assert np.array_equal(found, true)
    if axis is not None or not keepdims:
        assert y.shape == np.shape(true)


@pytest.mark.parametrize("dtype", ["int32", "int64", "float32", "float64"])
def test_dtypes_stay(dtype: str):
    x = sn.input("x", (2, 3), dtype)
    data = np.arange(1, 7).reshape(2, 3)
    for name in ("sum", "prod", "max", "min"):
        y = FUNCTIONS[name](x, axis=1)
        assert sn.evaluate(y, {x: data}).dtype == y.dtype == np.dtype(dtype)
        assert np.array_equal(sn.evaluate(y, {x: data}), NUMPY[name](data, axis=1))
    assert sn.evaluate(sn.argmax(x, axis=1), {x: data}).dtype == np.int64


def test_integers_have_a_mean_in_the_default_dtype():
    k = sn.input("k", (3,), "int64")
    with sn.default_dtype("float64"):
        assert sn.evaluate(sn.mean(k), {k: [1, 2, 4]}) == pytest.approx(7 / 3, rel=1e-15)
    assert sn.mean(k).dtype == np.float32


def test_empty_axes():
    x = sn.input("x", (0, 2), "float64")
    empty = np.zeros((0, 2))
    assert sn.evaluate([sn.sum(x), sn.prod(x)], {x: empty}) == [0, 1]
    assert sn.evaluate(sn.max(x, axis=1), {x: empty}).shape == (0,)
    for name in ("max", "min", "logsumexp", "argmax"):
        with pytest.raises(ShapeError, match=f"{name} over an empty axis of x"):
            FUNCTIONS[name](x, axis=0)
    n = sn.input("n", ("N",), "float64")
    for name in ("max", "min", "argmax"):
        with pytest.raises(ShapeError, match="empty"):
            sn.evaluate(FUNCTIONS[name](n), {n: []})
    assert sn.evaluate(sn.logsumexp(n), {n: []}) == -np.inf


def test_what_is_refused():
    flag = X > 0
    for name in (*NUMPY, "argmax"):
        with pytest.raises(ShapeError, match="axis 3"):
            FUNCTIONS[name](X, axis=3)
    for name in REDUCTIONS:
        with pytest.raises(DtypeError, match=f"{name} takes numbers"):
            FUNCTIONS[name](flag)
    for wrong in ((0, 0), (0, -3), 1.5, True, "0"):
        with pytest.raises(ShapeError):
            sn.sum(X, axis=wrong)
    with pytest.raises(ShapeError, match="one axis"):
        sn.argmax(X, axis=(0, 1))
    with pytest.raises(DtypeError):
        sn.logsumexp(sn.input("k", (2,), "int64"))
    for row in (sn.softmax, sn.log_softmax):
        with pytest.raises(DtypeError, match="takes floating-point"):
            row(sn.input("k", (2,), "int64"))


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2)])
def test_softmax_is_scipys(axis: object):
    found = sn.evaluate([sn.softmax(X, axis), sn.log_softmax(X, axis)], {X: ARRAY})
    assert np.allclose(found[0], scipy.special.softmax(ARRAY, axis), rtol=1e-13)
    assert np.allclose(found[1], scipy.special.log_softmax(ARRAY, axis), rtol=1e-13)


@pytest.mark.parametrize("axes", [0, 1, (0, 2), None])
def test_product_with_zeros_has_the_right_derivative(axes: object):
    data = np.round(ARRAY * 2)
    data[0, 0, 0], data[1, 1, :2] = 0, 0
    gradient = sn.grad(sn.sum(sn.prod(X, axis=axes) * 3), X)
    found = sn.evaluate(gradient, {X: data})
    whole = range(3) if axes is None else np.atleast_1d(axes)
    for index in ((0, 0, 0), (1, 1, 0), (2, 2, 2), (0, 0, 1)):
        others = data.copy()
        others[index] = 1
        fibre = tuple(slice(None) if k in whole else index[k] for k in range(3))
        assert found[index] == pytest.approx(3 * np.prod(others[fibre]))


def test_ties_share_evenly_in_every_mode():
    data = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])
    x = sn.input("t", (2, 3), "float64")
    y = sn.max(x, axis=1)
    expected = [[0, 0.5, 0.5], [1 / 3] * 3]
    assert np.allclose(sn.evaluate(sn.grad(sn.sum(y), x), {x: data}), expected)
    jacobian = sn.evaluate(sn.jacobian(y, x), {x: data})
    assert np.allclose(jacobian.sum(axis=0), expected)


def test_spreads():
    data = np.arange(4.0)
    x = sn.input("s", (4,), "float64")
    for correction in (0, 1, 2, 0.5):
        found = sn.evaluate([sn.var(x, correction=correction), sn.std(x, correction=correction)],
                            {x: data})  # fmt: skip
        assert found[0] == pytest.approx(5 / (4 - correction))
        assert found[1] == pytest.approx(np.sqrt(5 / (4 - correction)))
