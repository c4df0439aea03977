"""The chain rule on every op: both modes, jacobians, hessians, higher orders, deep graphs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from derivatives import complex_step, error, mpmath_difference
from samples import SAMPLES, Sample

import symnet as sn
from symnet.errors import DtypeError, GraphError, ShapeError
from symnet.expr import Expr, topological
from symnet.reference import NAMESPACES, bind_leaves, evaluate, interpret
from tests.counting import growth

FIRST_ORDER = [sample for sample in SAMPLES if sample.wrt]
# torch refuses a Jacobian without rows; a cast to float32 is 1e-7 off in every derivative.
NOT_EMPTY = [s for s in FIRST_ORDER if s.label not in ("empty", "nothing", "down and up")]


def _drawn(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Numbers that float32 holds too, so that a cast in a sample changes nothing."""
    drawn = np.random.default_rng(seed).uniform(0.5, 1.5, shape)
    return drawn.astype(np.float32).astype(np.float64)


def _direction(leaf: Expr, values: dict, seed: int) -> tuple[Expr, np.ndarray]:
    """A fixed direction as an input of its own, so that named sizes stay names."""
    return sn.input(f"d{leaf.name}", leaf.shape, "float64"), _drawn(values[leaf].shape, seed)


@pytest.mark.parametrize("sample", FIRST_ORDER, ids=str)
def test_both_modes_equal_the_true_derivative(sample: Sample):
    y, values = sample.output, dict(sample.values)
    cotangent = sn.input("v", y.shape, "float64")
    values[cotangent] = _drawn(evaluate(y, values).shape, 9)
    for k, x in enumerate(sample.wrt):
        tangent, along = _direction(x, values, k)
        forward = sn.jvp(y, x, tangent)
        backward = sn.vjp(y, x, cotangent)
        feeds = values | {tangent: along}
        assert backward.shape == x.shape
        assert forward.shape == y.shape
        found, pulled = evaluate([forward, backward], feeds)
        (true,) = complex_step([y], sample.values, {x: along})
        (exact,) = mpmath_difference([y], sample.values, {x: along})
        assert error(true, exact) <= 1e-11
        assert error(found, true) <= 1e-11
        assert error(np.sum(pulled * along), np.sum(true * values[cotangent])) <= 1e-11


@pytest.mark.parametrize("sample", [s for s in FIRST_ORDER if s.label != "down and up"], ids=str)
def test_second_order_in_all_four_combinations_of_modes(sample: Sample):
    y, values = sample.output, dict(sample.values)
    weights = sn.input("v", y.shape, "float64")
    values[weights] = _drawn(evaluate(y, values).shape, 9)
    x = sample.wrt[0]
    scalar = sn.sum(y * weights * sn.sin(y))
    tangent, along = _direction(x, values, 3)
    values[tangent] = along
    reverse = sn.vjp(scalar, x, sn.constant(1.0, "float64"))
    forward = sn.jvp(scalar, x, tangent)
    (true,) = complex_step([reverse], values, {x: along})
    for second in (
        sn.jvp(reverse, x, tangent),
        sn.grad(forward, x),
        sn.vjp(sn.sum(reverse * tangent), x, sn.constant(1.0, "float64")),
    ):
        assert error(evaluate(second, values), true) <= 1e-11
    twice = evaluate(sn.jvp(forward, x, tangent), values)
    assert error(twice, np.sum(true * along)) <= 1e-11


def _torch_function(sample: Sample):
    """The sample as a function of its first float input in torch."""
    bound = bind_leaves([sample.output], sample.values)
    x = sample.wrt[0]
    run = lambda t: interpret(  # noqa: E731
        [sample.output], bound.arrays | {x: t}, bound.sizes, NAMESPACES["torch"]
    )[0]
    return run, torch.from_numpy(bound.arrays[x].copy())


@pytest.mark.parametrize("sample", NOT_EMPTY, ids=str)
def test_jacobian_equals_torch(sample: Sample):
    x = sample.wrt[0]
    run, point = _torch_function(sample)
    true = torch.autograd.functional.jacobian(run, point).numpy()
    jacobian = sn.jacobian(sample.output, x)
    assert jacobian.shape == (*sample.output.shape, *x.shape)
    assert error(evaluate(jacobian, sample.values), true) <= 1e-11


@pytest.mark.parametrize("sample", NOT_EMPTY, ids=str)
def test_hessian_equals_torch_and_hvp(sample: Sample):
    x = sample.wrt[0]
    run, point = _torch_function(sample)
    true = torch.autograd.functional.hessian(lambda t: (run(t) ** 3).sum(), point).numpy()
    scalar = sn.sum(sample.output**3)
    hessian = evaluate(sn.hessian(scalar, x), sample.values)
    assert error(hessian, true) <= 1e-11
    tangent, along = _direction(x, sample.values, 5)
    product = evaluate(sn.hvp(scalar, x, tangent), sample.values | {tangent: along})
    assert error(product, np.tensordot(hessian, along, along.ndim)) <= 1e-11


def test_nested_results():
    x, w = sn.input("x", (2,), "float64"), sn.parameter("w", (2,), dtype="float64")
    b = sn.parameter("b", dtype="float64")
    y = sn.sum(sn.tanh(w * x + b) ** 2)
    gradient = sn.grad(y, {"w": w, "rest": [b, (x,)]})
    assert gradient["w"] is sn.grad(y, w)
    assert gradient["rest"][0] is sn.grad(y, b)
    assert isinstance(gradient["rest"][1], tuple)
    blocks = sn.hessian(y, [w, b])
    assert [[block.shape for block in row] for row in blocks] == [[(2, 2), (2,)], [(2,), ()]]
    feeds = {x: [0.5, -0.3], w: [0.2, 0.7], b: 0.1}
    crossed = evaluate([blocks[0][1], blocks[1][0]], feeds)
    assert np.allclose(crossed[0], crossed[1], rtol=1e-14)
    jacobians = sn.jacobian(w * b, {"w": w, "b": b})
    assert jacobians["w"].shape == (2, 2)
    assert jacobians["b"].shape == (2,)


def test_sums_over_paths_and_independence():
    x = sn.input("x", (), "float64")
    z = sn.sin(x)
    gradient = sn.grad(z * z + z, x)
    assert evaluate(gradient, {x: 0.3}) == pytest.approx((2 * np.sin(0.3) + 1) * np.cos(0.3))
    other = sn.input("other", (3,), "float64")
    assert evaluate(sn.grad(z, other), {other: [1, 2, 3]}).tolist() == [0, 0, 0]
    assert evaluate(sn.jacobian(z, other), {other: [1, 2, 3]}).tolist() == [0, 0, 0]
    assert evaluate(sn.grad(x, x)) == 1
    assert sn.grad(z, z).shape == ()


def test_derivative_by_an_intermediate():
    x = sn.input("x", (3,), "float64")
    h = x * 2
    y = sn.sum(h**2)
    assert evaluate(sn.grad(y, h), {x: [1, 2, 3]}).tolist() == [4, 8, 12]


@sn.default_dtype("float64")
def _field(x: Expr, t: Expr) -> Expr:
    weights = [sn.constant(np.random.default_rng(k).normal(size=size))
               for k, size in enumerate([(2, 4), (4,), (4, 1)])]  # fmt: skip
    hidden = sn.tanh(sn.concat([x, t], axis=1) @ weights[0] + weights[1])
    return sn.sigmoid(hidden @ weights[2]) * sn.softmax(sn.concat([x, t], axis=1))[:, :1]


@pytest.mark.parametrize("order", [1, 2, 3])
def test_derivative_row_by_row_equals_torch(order: int):
    x, t = sn.input("x", ("N", 1), "float64"), sn.input("t", ("N", 1), "float64")
    u = _field(x, t)
    values = {x: np.linspace(-1, 1, 5)[:, None], t: np.linspace(0, 2, 5)[:, None] ** 2}
    point = torch.from_numpy(values[x].copy()).requires_grad_()
    leaves = {x: point, t: torch.from_numpy(values[t])}
    (true,) = interpret([u], leaves, {"N": 5}, NAMESPACES["torch"])
    for _ in range(order):
        (true,) = torch.autograd.grad(true.sum(), point, create_graph=True)
    found = evaluate(sn.derivative(u, x, order=order), values)
    assert error(found, true.detach().numpy()) <= 1e-11


def test_derivative_refuses_rows_that_mix():
    x = sn.input("x", ("N", 1), "float64")
    w = sn.parameter("w", (1, 1), dtype="float64")
    k = sn.input("k", ("N",), "int64")
    square = sn.input("A", ("N", "N"), "float64")
    for mixed in (
        x * sn.mean(x), x - sn.sum(x, axis=0), x[::-1], square @ x, sn.softmax(x, axis=0),
        sn.take(x, k), x + sn.max(x), sn.sort(x) if hasattr(sn, "sort") else x[::-1] * 2,
    ):  # fmt: skip
        with pytest.raises(ShapeError, match=r"mixes the rows|first axis"):
            sn.derivative(mixed, x)
    for separate in (
        x @ w, sn.softmax(sn.concat([x, 2 * x], axis=1))[:, 1], sn.sum(x, axis=1),
        sn.reshape(x, ("N",)) ** 2, sn.expand_dims(x, -1), sn.where(x > 0, x, 1.0)[:, 0],
        sn.concat([x, x], axis=1)[:, ::-1], sn.einsum("ij,ij->i", x, x),
    ):  # fmt: skip
        assert sn.derivative(separate, x).shape == separate.shape
    with pytest.raises(ShapeError, match="one element a row"):
        sn.derivative(sn.sum(x), x)
    with pytest.raises(ShapeError, match="one element a row"):
        sn.derivative(sn.input("z", ("N", 2), "float64") * 2, sn.input("z", ("N", 2), "float64"))


def test_errors_of_the_chain_rule():
    x, k = sn.input("x", (3,), "float64"), sn.input("k", (3,), "int64")
    with pytest.raises(ShapeError, match="is not a scalar"):
        sn.grad(x * 2, x)
    with pytest.raises(DtypeError, match="k \\(3\\) is int64"):
        sn.grad(sn.sum(x), k)
    with pytest.raises(DtypeError, match="derivatives need floating-point"):
        sn.grad(sn.sum(k), x)
    with pytest.raises(ShapeError, match="the cotangent"):
        sn.vjp(x, x, sn.sum(x))
    with pytest.raises(ShapeError, match="the tangent"):
        sn.jvp(x, x, sn.sum(x))
    with pytest.raises(GraphError, match="expected expressions"):
        sn.grad(sn.sum(x), "x")


def _chain(length: int) -> tuple[Expr, Expr]:
    x = sn.input("x", (), "float64")
    y = x
    for k in range(length):
        y = sn.sin(y) + 0.25 * y if k % 2 else y * 1.01
    return x, y


def test_a_deep_chain_needs_no_recursion():
    x, y = _chain(10_000)
    gradient = sn.grad(y, x)
    forward = sn.jvp(y, x, sn.constant(1.0, "float64"))
    found, again = evaluate([gradient, forward], {x: 0.5})
    (true,) = complex_step([y], {x: np.array(0.5)}, {x: np.array(1.0)})
    assert error(found, true) <= 1e-11
    assert error(again, true) <= 1e-11
    assert len(topological([sn.grad(gradient, x)])) < 1_000_000
    del y, gradient, forward


def test_the_gradient_is_linear_in_the_size_of_the_graph():
    def derived(length: int) -> Callable[[], Expr]:
        x, y = _chain(length)
        return lambda: sn.grad(y, x)

    small, large = (len(topological([derived(length)()])) for length in (1_000, 4_000))
    assert large <= 4.1 * small
    assert growth(derived, 500) < 1.1


def test_a_wide_sum_is_linear():
    x = sn.input("x", (), "float64")
    total = x
    for k in range(3_000):
        total = total + sn.sin(x * float(k))
    assert len(topological([sn.grad(total, x)])) < 10 * len(topological([total]))
