"""Picking by integers, slices and their adjoints, against NumPy's indexing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import symnet as sn
from symnet.errors import DtypeError, FeedError, ShapeError
from symnet.expr import topological
from symnet.feeds import limits_of
from symnet.functions import FUNCTIONS
from symnet.ops.gather import GATHER, SCATTER_ADD
from symnet.ops.views import PLACE, SLICE, place, slice_of

ARRAY = np.arange(60, dtype=np.float64).reshape(3, 4, 5)
X = sn.input("x", (3, 4, 5), "float64")

BOUND = st.none() | st.integers(-6, 6)
STEP = st.none() | st.integers(1, 3) | st.integers(-3, -1)
SLICES = st.builds(slice, BOUND, BOUND, STEP)


@given(st.tuples(SLICES, SLICES | st.integers(-4, 3), SLICES | st.none()))
def test_slices_are_numpys_with_their_adjoint(key: tuple):
    true = ARRAY[key]
    y = X[key]
    weights = np.arange(1.0, true.size + 1).reshape(true.shape)
    pulled = sn.grad(sn.sum(y * sn.constant(weights)), X)
    found, gradient = sn.evaluate([y, pulled], {X: ARRAY})
    assert y.shape == found.shape == true.shape
    assert np.array_equal(found, true)
    expected = np.zeros_like(ARRAY)
    expected[key] = weights
    assert np.array_equal(gradient, expected)


@pytest.mark.parametrize("key", [
    (), ..., 0, -1, (0, ..., 1), (None, 0), (..., None), (slice(None), None, 2), (1, 2, 3),
    (np.int64(1), np.uint8(2)), (..., [0, 2, 2]), ([1, 0], slice(1, 3)),
    np.array([[0, 1], [2, 2]]), (None, [1, 0], None),
])  # fmt: skip
def test_keys_are_numpys(key: object):
    found = sn.evaluate(X[key], {X: ARRAY})
    assert np.array_equal(found, ARRAY[key])


def test_keys_that_are_refused():
    for key, error in (
        (3, ShapeError), ((0, 0, 0, 0), ShapeError), ((..., ...), ShapeError), (1.5, DtypeError),
        (True, DtypeError), ("a", DtypeError), (([0], [1]), ShapeError), (-4, ShapeError),
        (slice(0.5, None), (DtypeError, TypeError)), ([0.5], DtypeError), (slice(None, None, 0),
        (ShapeError, ValueError)),
    ):  # fmt: skip
        with pytest.raises(error):
            X[key]
    n = sn.input("n", ("N",))
    with pytest.raises(ShapeError, match="a step needs a fixed size"):
        n[::2]


def test_slices_of_named_sizes():
    n = sn.input("n", ("N", 2), "float64")
    data = np.arange(10.0).reshape(5, 2)
    for key in (slice(1, None), slice(None, -1), slice(-2, None), slice(None, 3), 0, -1,
                slice(None, None, -1), (slice(1, -1), 1)):  # fmt: skip
        found, gradient = sn.evaluate([n[key], sn.grad(sn.sum(n[key]), n)], {n: data})
        expected = np.zeros_like(data)
        expected[key] = 1
        assert np.array_equal(found, data[key])
        assert np.array_equal(gradient, expected)


def test_a_slice_beyond_a_named_size_is_refused_at_run_time():
    n = sn.input("n", ("N",), "float64")
    for key in (slice(3), slice(-3, None), 4, -3, slice(3, -1)):
        with pytest.raises(FeedError, match=r"at .*test_gather.* reaches outside axis 0.*N is 2"):
            sn.evaluate(n[key], {n: [1.0, 2.0]})
        sn.evaluate(n[key], {n: np.arange(5.0)})
    assert sn.evaluate(n[::-1], {n: []}).shape == (0,)
    assert sn.evaluate(n[:], {n: []}).shape == (0,)
    assert limits_of([n[:-1], n[0], n[::-1], n * 2]).conditions[0][0] == "N - 1"


@pytest.mark.parametrize(("axis", "index"), [
    (0, [2, 0, 0]), (1, [[3, 3], [0, 1]]), (-1, 4), (2, []), (0, np.zeros((1, 1, 2), int)),
])  # fmt: skip
def test_take_is_numpys_with_its_adjoint(axis: int, index: object):
    index = np.asarray(index, np.int64)
    k = sn.input("k", index.shape, "int64")
    y = sn.take(X, k, axis)
    true = np.take(ARRAY, index, axis)
    assert y.shape == true.shape
    found, gradient = sn.evaluate([y, sn.grad(sn.sum(y), X)], {X: ARRAY, k: index})
    assert np.array_equal(found, true)
    counts = np.bincount(index.ravel(), minlength=ARRAY.shape[axis]).astype(float)
    wide = [1, 1, 1]
    wide[axis] = -1
    assert np.array_equal(gradient, np.broadcast_to(counts.reshape(wide), ARRAY.shape))


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_take_along_axis_is_numpys(axis: int):
    shape = list(ARRAY.shape)
    shape[axis] = 2
    index = np.random.default_rng(0).integers(0, ARRAY.shape[axis], shape)
    k = sn.input("k", shape, "int32")
    found = sn.evaluate(sn.take_along_axis(X, k, axis), {X: ARRAY, k: index})
    assert np.array_equal(found, np.take_along_axis(ARRAY, index, axis))


def test_indices_are_checked():
    k = sn.input("k", (3,), "int64")
    with pytest.raises(DtypeError, match="an index must be int32 or int64"):
        sn.take(X, X[:, 0, 0])
    with pytest.raises(ShapeError, match="differ in rank"):
        sn.take_along_axis(X, k)
    with pytest.raises(ShapeError, match="do not fit"):
        sn.take_along_axis(X[..., 0], sn.input("j", (2, 3), "int64"), 1)
    with pytest.raises(ShapeError, match="axis 3"):
        sn.take(X, k, 3)
    for wrong in ([0, 1, 3], [0, -1, 0]):
        with pytest.raises(FeedError):
            sn.evaluate(sn.take(X, k + 0), {X: ARRAY, k: wrong})
    with pytest.raises((ShapeError, FeedError)):
        sn.evaluate(X[[0, 7]], {X: ARRAY})


def test_the_gradient_of_picked_logits_is_one_scatter():
    z, y = sn.input("z", ("N", 5), "float64"), sn.input("y", ("N",), "int64")
    loss = sn.sum(FUNCTIONS["pick"](z, y) ** 2)
    ops = [node.op for node in topological([sn.grad(loss, z)])]
    assert ops.count(GATHER) == 1
    assert ops.count(SCATTER_ADD) == 1


def test_views_that_change_nothing_are_nothing():
    assert X[...] is X
    assert X[:, :, :] is X
    assert sn.flip(sn.flip(X)) is not None
    assert slice_of(X, (0, 0, 0), (1, 1, 1), (3, 4, 5)) is X
    assert place(X, (0, 0, 0), (1, 1, 1), (3, 4, 5)) is X
    assert {SLICE, PLACE} <= {n.op for n in topological([sn.grad(sn.sum(X[1:] ** 2), X)])}
