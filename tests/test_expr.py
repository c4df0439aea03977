"""Expressions: interning and identity, operators, what raises, deep graphs."""

from __future__ import annotations

import copy
import gc
import sys
import threading
import weakref

import numpy as np
import pytest

import symnet as sn
from symnet.errors import DtypeError, GraphError, NameClashError, ShapeError, SymnetError
from symnet.expr import layer_scope, substitute, topological
from symnet.ops.leaves import PARAMETER, leaves

X = sn.input("x", ("N", 3), "float64")
V = sn.input("v", (3,), "float64")


def test_equal_is_identical():
    assert X + 1 is X + 1
    assert sn.exp(X) * V is sn.exp(X) * V
    assert sn.constant([1.0, 2.0]) is sn.constant([1.0, 2.0])
    assert X + 1 is X + 1.0
    assert X[1:] is X[1:]
    assert X is X + 0 or X + 0 is X + 0.0
    assert sn.constant(1.0, "float32") is not sn.constant(1.0, "float64")
    assert sn.constant(1) is not sn.constant(1.0)
    assert V * 0.0 is not V * -0.0
    assert V * float("nan") is V * float("nan")
    assert sn.constant([0.0]) is not sn.constant([-0.0])
    assert V + X[0] is not X[0] + V
    assert sn.sum(X, axis=0) is sn.sum(X, axis=-2)


def test_leaves_are_equal_only_to_themselves():
    assert sn.input("x", (3,)) is not sn.input("x", (3,))
    assert sn.parameter("w", (3,)) is not sn.parameter("w", (3,))
    one, two = sn.input("x", (3,)), sn.input("x", (3,))
    assert one * 2 is not two * 2
    with pytest.raises(NameClashError, match=r"two inputs are called x: one made at .*test_expr"):
        leaves([one + two], one.op)


def test_an_array_constant_is_the_callers_no_longer():
    data = np.array([1.0, 2.0])
    node = sn.constant(data)
    data[0] = 9
    assert sn.evaluate(node).tolist() == [1, 2]
    w = sn.parameter("w", init=data)
    data[1] = 9
    assert sn.evaluate(w).tolist() == [9, 2]


def test_operators_mean_what_numpy_means():
    a, b = np.array([1.5, -2.0, 0.5]), np.array([2.0, -2.0, 3.0])
    x, y = sn.input("a", (3,), "float64"), sn.input("b", (3,), "float64")
    for meaning in (
        lambda p, q: p + q, lambda p, q: p - q, lambda p, q: p * q, lambda p, q: p / q,
        lambda p, q: abs(p) ** q, lambda p, q: p @ q, lambda p, q: 1 + p, lambda p, q: 1 - p,
        lambda p, q: 2 * p, lambda p, q: 2 / p, lambda p, q: 2.0**p, lambda p, q: -p,
        lambda p, q: +p, lambda p, q: abs(p), lambda p, q: p < q, lambda p, q: p <= q,
        lambda p, q: p > q, lambda p, q: p >= q, lambda p, q: p == q, lambda p, q: p != q,
        lambda p, q: (p < q) & (q > 0), lambda p, q: (p < q) | (q > 0), lambda p, q: ~(p < q),
        lambda p, q: p > 1, lambda p, q: p == 1, lambda p, q: p[1:] * q[0],
        lambda p, q: True & (p < q), lambda p, q: (p < q) | False,
    ):  # fmt: skip
        found, true = sn.evaluate(meaning(x, y), {"a": a, "b": b}), meaning(a, b)
        assert found.dtype == np.asarray(true).dtype
        assert np.array_equal(found, true)


def test_numbers_take_the_other_operands_dtype():
    half, k = sn.input("h", (), "float32"), sn.input("k", (), "int64")
    assert (half + 1).dtype == (half * 0.1).dtype == (half / np.float64(3)).dtype == np.float32
    assert (k + 1).dtype == (k * 2.0).dtype == np.int64
    assert (half + sn.input("g", (), "float64")).dtype == np.float64
    for wrong in (lambda: k + 0.5, lambda: k + 2**70, lambda: k + half, lambda: k / 2,
                  lambda: (k < 1) + (k < 2), lambda: sn.sum(k < 1),
                  lambda: half & half):  # fmt: skip
        with pytest.raises(DtypeError):
            wrong()


def test_truth_numbers_and_iteration_are_refused():
    y = V > 0
    for wrong in (lambda: bool(y), lambda: y and y, lambda: not y, lambda: float(V), lambda: int(V),
                  lambda: list(V), lambda: len(V), lambda: 1 in V, lambda: np.asarray(V),
                  lambda: complex(V), lambda: range(V), lambda: max(V, V)):  # fmt: skip
        with pytest.raises(GraphError, match=r".+") as caught:
            wrong()
        assert isinstance(caught.value, (SymnetError, TypeError))
    with pytest.raises(GraphError, match=r"use sn\.where"):
        bool(y)


def test_arrays_do_not_mix_silently():
    array = np.ones(3)
    for wrong in (lambda: array + V, lambda: V + array, lambda: array @ V, lambda: [1, 2] * V,
                  lambda: np.exp(V), lambda: array == V):  # fmt: skip
        with pytest.raises(TypeError):
            wrong()
    with pytest.raises(GraphError, match=r"sn\.constant"):
        V + array
    assert (V + sn.constant(array)).shape == (3,)


def test_one_named_size_never_lands_on_two_axes():
    column, row = sn.input("c", ("N", 1)), sn.input("r", ("N",))
    for wrong in (lambda: column - row, lambda: sn.where(column > 0, row, 0.0),
                  lambda: sn.maximum(row, column), lambda: column == row):  # fmt: skip
        with pytest.raises(ShapeError, match=r"named size N on 2 axes.*x\[:, 0\]"):
            wrong()
    assert (column[:, 0] - row).shape == ("N",)
    square = sn.input("s", ("N", "N"))
    assert (square - row).shape == ("N", "N")
    assert (column @ column.T + 1).shape == ("N", "N")


def test_shape_errors_name_operands_sizes_and_place():
    a, b = sn.input("first", (2, 3)), sn.input("second", (4,))
    with pytest.raises(ShapeError, match=r"first \(2×3\) and second \(4\).*3 and 4.*test_expr.py:"):
        a + b
    with pytest.raises(ShapeError, match=r"first \(2×3\) @ second \(4\): 3 and 4 differ"):
        a @ b
    with layer_scope("hidden"), pytest.raises(ShapeError, match=r"layer hidden, .*test_expr\.py"):
        a + b


def test_names_and_parameters_are_checked():
    for wrong in ("", "2x", "a b", "a-b", None, "a..b"):
        with pytest.raises(NameClashError, match="must be an identifier"):
            sn.input(wrong)
    with pytest.raises(ShapeError, match=r"the value is 2, the shape 3"):
        sn.parameter("w", (3,), init=[1, 2])
    with pytest.raises(ShapeError, match="sizes are fixed"):
        sn.parameter("w", ("N",))
    with pytest.raises(DtypeError):
        sn.parameter("w", (3,), dtype="int64")
    for wrong in ("float16", "complex128", "object", "nothing", 3):
        with pytest.raises(DtypeError, match="a dtype is one of"):
            sn.input("x", (), wrong)
    assert sn.parameter("w", init=[[1, 2]]).shape == (1, 2)
    assert sn.parameter("w", (2,), init=3).shape == (2,)
    assert leaves([sn.parameter("w") * 2], PARAMETER)[0].name == "w"


def test_default_dtype_as_call_context_and_decorator():
    assert sn.input("x").dtype == np.float32
    with sn.default_dtype("float64"):
        assert sn.input("x").dtype == np.float64
        with sn.default_dtype("float32"):
            assert sn.constant(1.0).dtype == np.float32
        assert sn.parameter("w").dtype == np.float64
    assert sn.input("x").dtype == np.float32

    @sn.default_dtype("float64")
    def inside(depth: int = 1) -> np.dtype:
        return inside(depth - 1) if depth else sn.input("x").dtype

    assert sn.input("x").dtype == np.float32
    assert inside() == inside() == np.float64
    assert sn.input("x").dtype == np.float32
    with pytest.raises(ZeroDivisionError), sn.default_dtype("float64"):
        _ = 1 / 0
    assert sn.input("x").dtype == np.float32
    try:
        sn.default_dtype("float64")
        assert sn.input("x").dtype == np.float64
    finally:
        sn.default_dtype("float32")
    with pytest.raises(DtypeError):
        sn.default_dtype("int64")


def _chain(length: int) -> tuple[sn.Expr, sn.Expr]:
    x = y = sn.input("x", (), "float64")
    for _ in range(length):
        y = sn.sin(y + 0.5)
    return x, y


def test_a_chain_of_ten_thousand_nodes():
    assert sys.getrecursionlimit() <= 10_000
    x, y = _chain(10_000)
    assert len(topological([y])) == 20_002
    assert np.isfinite(sn.evaluate(y, {x: 0.3}))
    (other,) = substitute([y], {x: sn.input("z", (), "float64")})
    assert len(topological([other])) == 20_002
    gone = weakref.ref(y.args[0])
    del other, y
    gc.collect()
    assert gone() is None


def test_what_is_not_used_is_forgotten():
    node = sn.exp(X * 123.0)
    gone = weakref.ref(node)
    del node
    gc.collect()
    assert gone() is None
    assert sn.exp(X * 123.0) is sn.exp(X * 123.0)


def test_order_and_substitution():
    y = sn.exp(V) * sn.sum(V)
    order = topological([y, V])
    place = {node: k for k, node in enumerate(order)}
    assert all(place[arg] < place[node] for node in order for arg in node.args)
    assert list(map(id, topological([y]))) == list(map(id, order))
    w = sn.parameter("w", (3,), dtype="float64")
    assert substitute([y], {V: w})[0] is sn.exp(w) * sn.sum(w)
    assert substitute([y], {})[0] is y


def test_interning_from_many_threads():
    found: list[sn.Expr] = []

    def build() -> None:
        y = V
        for k in range(200):
            y = sn.sin(y) + float(k)
        found.append(y)

    threads = [threading.Thread(target=build) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(y) for y in found}) == 1


def test_copies_are_the_same_node():
    assert copy.copy(V) is V
    assert copy.deepcopy(V * 2) is V * 2


@pytest.mark.parametrize("value", ["zeros", [[1, 2], [3]]])
def test_a_parameter_starts_from_numbers(value: object):
    with pytest.raises(sn.errors.DtypeError, match="parameter w: init is an array"):
        sn.parameter("w", (2,), init=value)
