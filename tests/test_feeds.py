"""The door: what is converted, what is refused, and in which words."""

from __future__ import annotations

import numpy as np
import pytest

import symnet as sn
from symnet.errors import FeedError, NameClashError
from symnet.feeds import bind, limits_of

X = sn.input("X", ("N", 64))
LABELS = sn.input("y", ("N",), "int64")


def test_shapes_and_sizes():
    assert bind([X], {"X": np.zeros((5, 64))}).sizes == {"N": 5}
    with pytest.raises(FeedError, match="input X: expected N×64, got 10×63"):
        bind([X], {"X": np.zeros((10, 63))})
    with pytest.raises(FeedError, match="input X: expected N×64, got 64"):
        bind([X], {"X": np.zeros(64)})
    with pytest.raises(FeedError, match="the size N is 5 in X and 4 in y"):
        bind([X, LABELS], {"X": np.zeros((5, 64)), "y": np.zeros(4, int)})
    longer = sn.input("z", (X.shape[0], 2))
    with pytest.raises(FeedError, match="the size N"):
        bind([longer, LABELS], {"z": np.zeros((3, 2)), "y": [1, 2]})


def test_sizes_that_are_sums():
    a, b = sn.input("a", ("N",)), sn.input("b", ("M",))
    c = sn.input("c", sn.concat([a, b]).shape)
    assert bind([a, b, c], {a: [1], b: [1, 2], c: [1, 2, 3]}).sizes == {"N": 1, "M": 2}
    with pytest.raises(FeedError, match=r"c has an axis M \+ N = 3, got 2"):
        bind([a, b, c], {a: [1], b: [1, 2], c: [1, 2]})
    with pytest.raises(FeedError, match="no input says"):
        bind([c], {c: [1, 2]})


def test_names():
    w = sn.parameter("w_first", (2,))
    with pytest.raises(FeedError, match="no data for X \\(N×64\\); given: nothing"):
        bind([X], None)
    with pytest.raises(FeedError, match=r"there is no input 'w_frist', .* did you mean w_first"):
        bind([], {"w_frist": [1, 2]}, optional=[w])
    with pytest.raises(FeedError, match="fed twice"):
        bind([w], {"w_first": [1, 2], w: [1, 2]})
    with pytest.raises(FeedError, match="is no input or parameter of this expression"):
        bind([w], {sn.parameter("w_first", (2,)): [1, 2]})
    with pytest.raises(FeedError, match="is no input or parameter of this expression"):
        bind([w], {w * 2: [1, 2]})
    with pytest.raises(NameClashError, match="both called w_first"):
        bind([w, sn.input("w_first", (2,))], {})


def test_data_that_nothing_reaches():
    other = sn.input("other_data", ("K", 2))
    data = {"other_data": np.zeros((3, 2)), "y": [0]}
    assert bind([LABELS], data).sizes == {"N": 1, "K": 3}
    assert set(bind([LABELS], {other: np.zeros((3, 2)), "y": [0]}).arrays) == {LABELS}
    with pytest.raises(FeedError, match="there is no input 'other_data', there is y"):
        bind([LABELS], data, allow_unreached=False)
    with pytest.raises(FeedError, match="is no input or parameter"):
        bind([LABELS], {other: np.zeros((3, 2)), "y": [0]}, allow_unreached=False)
    del other
    with pytest.raises(FeedError, match="there is no input 'nobody'"):
        bind([LABELS], {"nobody": 1, "y": [0]})


def test_a_hessian_without_the_labels_takes_them():
    x, y = sn.input("Xs", ("N", 2)), sn.input("ys", ("N",))
    w = sn.parameter("w", (2,))
    hessian = sn.hessian(sn.sum((x @ w - y) ** 2), w)
    found = sn.evaluate(hessian, {"Xs": np.eye(2), "ys": [1, 2], "w": [0, 0]})
    assert found.tolist() == [[2, 0], [0, 2]]


def _bound(leaf: sn.Expr, data: object) -> np.ndarray:
    return bind([leaf], {leaf: data}).arrays[leaf]


def test_dtypes():
    f, g = sn.input("f", (2,), "float32"), sn.input("g", (2,), "float64")
    i, j = sn.input("i", (2,), "int32"), sn.input("j", (2,), "int64")
    flag = sn.input("flag", (2,), "bool")
    assert _bound(f, [0.1, 2]).dtype == np.float32
    assert _bound(f, np.array([1, 2], np.int64)).tolist() == [1, 2]
    assert _bound(f, np.array([True, False])).tolist() == [1, 0]
    assert _bound(g, np.float32([0.1, 2])).dtype == np.float64
    assert _bound(i, np.array([1, -2], np.int64)).dtype == np.int32
    assert _bound(j, np.array([1, 2], np.uint8)).dtype == np.int64
    assert _bound(flag, [True, False]).tolist() == [True, False]
    for leaf, data, message in (
        (f, np.array([2**24 + 1, 0]), "not exact"),
        (g, np.array([2**53 + 1, 0]), "not exact"),
        (g, np.array([2**63 - 1, 0]), "not exact"),
        (g, np.array([-(2**53) - 1, 0]), "not exact"),
        (f, np.array([1e300, 0]), "overflows"),
        (i, np.array([2**31, 0]), "do not fit int32"),
        (j, np.array([2**63, 0], np.uint64), "do not fit int64"),
        (j, [1.0, 2.0], "floats never become integers"),
        (flag, [0, 1], "array != 0"),
        (g, ["a", "b"], "expects numbers"),
        (g, [1j, 2], "expects numbers"),
        (g, [None, 1], "expects numbers"),
        (g, [[1, 2], [3]], "is fed list"),
        (g, g, "is fed an expression"),
        (g, np.ma.masked_array([1.0, 2.0], [True, False]), "masked"),
    ):
        with pytest.raises(FeedError, match=message):
            bind([leaf], {leaf: data})


def test_rounding_is_reported_once_and_only_where_something_was_rounded():
    f = sn.input("f", (2,), "float32")
    assert bind([f], {f: np.array([0.1, 2])}).notes == ("f: float64 data rounded to float32",)
    for silent in (np.array([0.5, np.nan]), [0.1, 2], np.float32([0.1, 2]), np.array([1, 2])):
        assert bind([f], {f: silent}).notes == ()
    assert bind([f], {f: np.array([np.inf, -np.inf])}).notes == ()


def test_the_callers_array_is_never_written_nor_kept():
    g = sn.input("g", (2,), "float64")
    data = np.array([1.0, 2.0])
    found = sn.evaluate(g, {g: data})
    found[0] = 9
    assert data[0] == 1


def test_nan_and_empty():
    f = sn.input("f", ("N", 2))
    data = np.zeros((3, 2))
    data[1, 1] = np.nan
    assert np.isnan(_bound(f, data)[1, 1])
    with pytest.raises(FeedError, match=r"f holds 1 NaN, the first at \[1, 1\]"):
        bind([f], {f: data}, allow_nan=False)
    data[1, 1], data[0, 0] = np.inf, -np.inf
    bind([f], {f: data}, allow_nan=False)
    with pytest.raises(FeedError, match="f is empty: its shape is 0×2"):
        bind([f], {f: np.zeros((0, 2))}, allow_empty=False)
    assert _bound(f, np.zeros((0, 2))).shape == (0, 2)
    assert _bound(LABELS, []).shape == (0,)


def test_labels_out_of_range():
    z = sn.input("z", ("N", 10))
    loss = sn.mean(sn.logsumexp(z, axis=1) - sn.take_along_axis(z, LABELS[:, None], 1)[:, 0])
    assert limits_of([loss]).ranges == {LABELS: 10}
    data = np.zeros((3, 10))
    for labels, wrong in (([0, 10, 1], "10 at \\[1\\]"), ([0, 1, -1], "-1 at \\[2\\]")):
        with pytest.raises(FeedError, match=f"y picks one of 10: .* 0 to 9, got {wrong}"):
            sn.evaluate(loss, {"z": data, "y": labels})
    sn.evaluate(loss, {"z": data, "y": [0, 9, 1]})


def test_ranges_that_are_named_or_several():
    table, k = sn.input("table", ("V", 2)), sn.input("k", ("N",), "int64")
    y = sn.take(table, k)
    with pytest.raises(FeedError, match="k picks one of 3"):
        sn.evaluate(y, {table: np.zeros((3, 2)), k: [3]})
    two = sn.sum(sn.take(sn.input("a", (5,)), k)) + sn.sum(sn.take(sn.input("b", (4,)), k))
    assert limits_of([two, sn.grad(two, table)]).ranges == {k: 4}


def test_what_is_held_may_be_fed_and_other_arrays_are_used_in_place():
    w, g = sn.parameter("w", init=np.arange(5.0)), sn.input("g", (5,))
    turn = sn.compile([], [(w, sn.concat([g[1:], g[:1]], axis=0))])
    turn(g=turn.parameters["w"])
    assert turn.parameters["w"].tolist() == [1, 2, 3, 4, 0]
    data, held = np.arange(5, dtype=w.dtype), [turn.parameters["w"]]
    assert bind([g], {"g": data}, held=held).arrays[g] is data
    for near in (held[0][::-1], held[0], data[::-1]):
        bound = bind([g], {"g": near}, held=held).arrays[g]
        assert not np.shares_memory(bound, near)
        assert bound.tolist() == near.tolist()
    assert bind([g], {"g": data}).arrays[g] is not data


def test_a_namesake_of_what_is_fed_says_no_sizes():
    b = sn.input("b", ("N", 2), dtype="float64")
    jacobian = sn.jacobian(sn.sum(b, axis=0), b)
    assert sn.evaluate(jacobian, {"b": np.zeros((5, 2))}).shape == (2, 5, 2)
    namesake = sn.input("b", (3, "N"), dtype="float64")
    # By its shape it can only be one of them, or it is said which; else nobody knows.
    assert sn.evaluate(jacobian, {"b": np.zeros((5, 2))}).shape == (2, 5, 2)
    assert sn.evaluate(jacobian, {b: np.zeros((3, 2))}).shape == (2, 3, 2)
    with pytest.raises(sn.errors.FeedError, match="no input says what the size N is"):
        sn.evaluate(jacobian, {"b": np.zeros((3, 2))})
    assert namesake is not b
