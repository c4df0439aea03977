"""The reference: four libraries agree on every row, dtypes are exact, the door is loud."""

from __future__ import annotations

import pkgutil
import warnings
from importlib import import_module

import numpy as np
import pytest
from derivatives import error
from pointwise_cases import arguments
from samples import SAMPLES, SIZES, Sample

import symnet as sn
import symnet.ops
from symnet.errors import FeedError, GraphError, ShapeError, SymnetError, UnknownFunctionError
from symnet.expr import Op, topological
from symnet.ops.leaves import INPUT, PARAMETER, STATE, STEP, UNKNOWN, state_leaf, step
from symnet.ops.pointwise import Pointwise
from symnet.ops.table import POINTWISE
from symnet.reference import evaluate, starting_value

OTHERS = ("torch", "jax", "mpmath", "complex")


def all_ops() -> set[Op]:
    """Every row, wherever in symnet.ops it stands."""
    names = [found.name for found in pkgutil.iter_modules(symnet.ops.__path__)]
    modules = [import_module(f"symnet.ops.{name}") for name in names]
    return {op for module in modules for op in vars(module).values() if isinstance(op, Op)}


def test_every_op_has_a_sample():
    have = {node.op for sample in SAMPLES for node in topological([sample.output])}
    leaves = {INPUT, PARAMETER, STATE, STEP, UNKNOWN}
    rest = {op.name for op in all_ops() - have - leaves if not isinstance(op, Pointwise)}
    assert rest == set()
    assert {sample.op for sample in SAMPLES} <= {op.name for op in all_ops()}


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_samples_hold_their_op_and_their_stated_shape(sample: Sample):
    found = evaluate(sample.output, sample.values)
    assert found.dtype == sample.output.dtype
    shape = tuple(
        size if isinstance(size, int) else size.value(SIZES) for size in sample.output.shape
    )
    assert found.shape == shape


@pytest.mark.parametrize("namespace", OTHERS)
@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_libraries_agree_on_every_sample(sample: Sample, namespace: str):
    found = evaluate(sample.output, sample.values, namespace=namespace)
    assert found.dtype == sample.output.dtype
    assert error(found, evaluate(sample.output, sample.values)) <= 1e-13


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("namespace", OTHERS)
@pytest.mark.parametrize("row", POINTWISE.values(), ids=lambda row: row.name)
def test_libraries_agree_on_every_pointwise_row(row: Pointwise, namespace: str, dtype: str):
    values = arguments(row, "column", dtype)
    y = row(*values)
    found = evaluate(y, values, namespace=namespace)
    assert found.dtype == y.dtype
    limit = 1e-5 if dtype == "float32" else 1e-13
    assert error(found, evaluate(y, values)) <= limit


EXTREME = np.array([-np.inf, -800.0, -90.0, -0.0, 0.0, 90.0, 800.0, np.inf])


@pytest.mark.parametrize("namespace", ["numpy", "torch", "jax", "mpmath"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_stable_where_the_naive_formula_is_not(namespace: str, dtype: str):
    x = sn.input("x", (8,), dtype)
    sigmoid, softplus = evaluate([sn.sigmoid(x), sn.softplus(x)], {x: EXTREME}, namespace=namespace)
    small = np.exp(np.asarray([-90.0], dtype))[0]
    assert np.allclose(sigmoid[[0, 3, 4, 7]], [0, 0.5, 0.5, 1])
    assert np.allclose([sigmoid[2], softplus[2]], small, rtol=1e-4)
    assert softplus[[0, 5, 6, 7]].tolist() == [0, 90, 800, np.inf]
    rows = np.array([[-np.inf, -np.inf], [0.0, -np.inf], [1000.0, 1000.0]])
    y = sn.input("y", (3, 2), dtype)
    found = evaluate([sn.logsumexp(y, axis=1), sn.softmax(y), sn.log_softmax(y)], {y: rows},
                     namespace=namespace)  # fmt: skip
    assert np.allclose(found[0], [-np.inf, 0, 1000 + np.log(2)])
    assert np.allclose(found[1], [[0, 0], [1, 0], [0.5, 0.5]])
    assert np.allclose(found[2], [[-np.inf] * 2, [0, -np.inf], [-np.log(2)] * 2])


def test_no_warning_escapes():
    x = sn.input("x", (3,), "float64")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for y in (sn.log(x), sn.sqrt(x), 1 / x, sn.exp(1e4 * x), sn.astype(1 / x, "int64"), x**-1):
            evaluate(y, {x: [0.0, -1.0, 1.0]})


def test_results_are_nested_as_outputs_and_belong_to_the_caller():
    x = sn.input("x", (2,), "float64")
    data = np.array([1.0, 2.0])
    outputs = {"a": [x, sn.sum(x)], "b": (2 * x,), "c": sn.broadcast_to(x, (2, 2))}
    found = evaluate(outputs, {x: data})
    assert isinstance(found["a"][1], np.float64)
    assert isinstance(found["b"], tuple)
    for array in (found["a"][0], found["c"]):
        array[...] = 0
    assert data.tolist() == [1, 2]


def test_leaves_that_need_no_feed():
    w = sn.parameter("w", (2,), init=[1, 2])
    drawn = sn.parameter("v", (3, 2), init=lambda shape, generator: generator.normal(size=shape))
    m = state_leaf("m", (2,), w.dtype)
    assert evaluate([w, m, step, sn.where(sn.training, 1.0, 2.0)])[0].tolist() == [1, 2]
    assert evaluate([m, step, sn.where(sn.training, 1.0, 2.0)])[1:] == [0, 2]
    assert evaluate(sn.where(sn.training, 1.0, 2.0), {"training": True}) == 1
    assert evaluate(step + 0, {step: 3}) == 3
    assert evaluate(w, {"w": [3, 4]}).tolist() == evaluate(w, {w: [3, 4]}).tolist() == [3, 4]
    first, again = evaluate([drawn, drawn * 1])
    assert np.array_equal(first, again)
    assert np.array_equal(first, starting_value(drawn, seed=0))
    assert not np.array_equal(first, evaluate(drawn, seed=1))


def test_an_unknown_function_has_no_value():
    x = sn.input("x")
    with pytest.raises(UnknownFunctionError, match="f′ is an unknown function"):
        evaluate(sn.grad(sn.function("f")(x), x), {x: 1})


def test_a_size_that_nothing_says():
    with pytest.raises(FeedError, match="no input says what the size N is"):
        evaluate(sn.arange("N"))


def test_empty_extremes_and_indices_out_of_range_are_our_errors():
    x, k = sn.input("x", ("N",)), sn.input("k", (2,), "int64")
    with pytest.raises(ShapeError, match="an axis is empty"):
        evaluate(sn.max(x), {x: []})
    for namespace in ("numpy", "torch", "jax", "mpmath"):
        with pytest.raises(FeedError, match="an index must be from 0 to 2, got 3"):
            evaluate(sn.take(x, k + 1), {x: [1, 2, 3], k: [0, 2]}, namespace=namespace)
    with pytest.raises(GraphError, match="a namespace is one of numpy"):
        evaluate(x, {x: []}, namespace="cupy")
    with pytest.raises(SymnetError):
        evaluate("x")
