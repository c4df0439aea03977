"""The named functions: their formulas, their values at the ends, making and shaping arrays."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
import torch

import symnet as sn
from symnet.errors import DtypeError, GraphError, ShapeError
from symnet.functions import FUNCTIONS

X = sn.input("x", (7,), "float64")
DATA = np.array([-30.0, -2.5, -0.5, 0.25, 1.0, 2.75, 40.0])
T = torch.nn.functional
TORCH = {
    "relu": T.relu, "leaky_relu": T.leaky_relu, "elu": T.elu, "selu": T.selu, "silu": T.silu,
    "log_sigmoid": T.logsigmoid, "gelu": T.gelu, "mish": T.mish, "softsign": T.softsign,
    "hardtanh": T.hardtanh, "hardswish": T.hardswish, "rsqrt": lambda x: torch.rsqrt(abs(x)),
    "square": torch.square, "reciprocal": torch.reciprocal,
}  # fmt: skip


@pytest.mark.parametrize("name", TORCH)
def test_activations_and_their_derivatives_are_torchs(name: str):
    row = FUNCTIONS[name]
    y = row(abs(X)) if name == "rsqrt" else row(X)
    point = torch.from_numpy(DATA.copy()).requires_grad_()
    true = TORCH[name](point)
    true.sum().backward()
    found, gradient = sn.evaluate([y, sn.grad(sn.sum(y), X)], {X: DATA})
    assert np.allclose(found, true.detach().numpy(), rtol=1e-12, atol=1e-14)
    assert np.allclose(gradient, point.grad.numpy(), rtol=1e-12, atol=1e-14)


def test_parameters_of_activations():
    point = torch.from_numpy(DATA)
    for y, true in (
        (sn.leaky_relu(X, 0.3), T.leaky_relu(point, 0.3)),
        (sn.prelu(X, sn.constant(0.2)), T.prelu(point, torch.tensor([0.2]).double())),
        (sn.elu(X, 1.7), T.elu(point, 1.7)),
        (sn.gelu(X, approximate=True), T.gelu(point, approximate="tanh")),
        (sn.hardtanh(X, -0.3, 2), T.hardtanh(point, -0.3, 2)),
        (sn.clip(X, min=0.1), point.clamp(min=0.1)),
        (sn.clip(X, max=0.1), point.clamp(max=0.1)),
        (sn.clip(X), point),
    ):
        assert np.allclose(sn.evaluate(y, {X: DATA}), true.numpy(), rtol=1e-7)


@pytest.mark.parametrize("pair", [(1, 2), (1000, 999.5), (-1000, -1000), (0, -800), (-np.inf, 3),
                                  (np.inf, 3), (-np.inf, -np.inf)])  # fmt: skip
def test_logaddexp_at_the_ends(pair: tuple):
    a, b = sn.input("a", (), "float64"), sn.input("b", (), "float64")
    found = sn.evaluate(sn.logaddexp(a, b), {a: pair[0], b: pair[1]})
    assert found == pytest.approx(np.logaddexp(*pair), rel=1e-14)


@pytest.mark.parametrize("name", [
    "exp", "expm1", "log", "log1p", "sqrt", "sin", "cos", "tan", "asin", "acos", "atan", "sinh",
    "cosh", "tanh", "asinh", "acosh", "atanh", "erf", "erfc",
])  # fmt: skip
def test_transcendental_functions_are_mpmaths(name: str):
    row = FUNCTIONS[name]
    (low, high), *_ = row.domain
    points = np.linspace(low, high, 7)
    found = sn.evaluate(row(X), {X: points})
    true = [float(getattr(mpmath, name)(mpmath.mpf(v))) for v in points]
    assert np.allclose(found, true, rtol=1e-14, atol=1e-15)


def test_numbers_alone_make_constants():
    assert sn.evaluate(sn.exp(0)) == 1
    assert sn.exp(0).dtype == np.float32
    assert sn.evaluate(sn.maximum(1, 2)) == 2
    assert sn.evaluate(sn.where(True, 1.0, 2.0)) == 1
    with pytest.raises(DtypeError, match="boolean condition"):
        sn.where(X, 1.0, 2.0)
    with pytest.raises(GraphError, match=r"sn\.constant"):
        sn.exp(np.ones(3))
    with pytest.raises(GraphError):
        sn.exp("x")


def test_making_arrays():
    assert sn.evaluate(sn.arange(4)).tolist() == [0, 1, 2, 3]
    assert sn.evaluate(sn.eye(2)).tolist() == [[1, 0], [0, 1]]
    assert sn.eye("N").shape == ("N", "N")
    assert sn.evaluate([sn.ones_like(X), sn.zeros_like(X)], {X: DATA})[0].tolist() == [1] * 7
    k = sn.input("k", ("N",), "int64")
    hot = sn.one_hot(k, 3)
    assert hot.shape == ("N", 3)
    assert sn.evaluate(hot, {k: [2, 0]}).tolist() == [[0, 0, 1], [1, 0, 0]]
    assert hot.dtype == np.float32


def test_casts():
    found = sn.evaluate(sn.astype(X, "int64"), {X: DATA})
    assert found.tolist() == [-30, -2, 0, 0, 1, 2, 40]
    assert sn.evaluate(sn.astype(X, "bool"), {X: [0, 0, 1, -1, 0.1, np.nan, 2]}).tolist() == [
        False, False, True, True, True, True, True
    ]  # fmt: skip
    assert sn.astype(X, "float64") is X
    with pytest.raises(DtypeError, match="a dtype is one of"):
        sn.astype(X, "float16")


def test_shaping():
    x = sn.input("x", (2, 3, 4))
    n = sn.input("n", ("N", 6))
    assert sn.reshape(x, (4, -1)).shape == (4, 6)
    assert sn.reshape(x, -1).shape == (24,)
    assert sn.reshape(n, ("N", 2, 3)).shape == ("N", 2, 3)
    assert sn.reshape(n, -1).shape == ("6*N",)
    assert sn.reshape(n, (-1, 3)).shape == ("2*N", 3)
    assert sn.reshape(sn.reshape(x, 24), (2, 3, 4)) is x
    assert sn.permute_dims(x, (-1, 0, 1)).shape == (4, 2, 3)
    assert sn.permute_dims(sn.permute_dims(x, (1, 2, 0)), (2, 0, 1)) is x
    assert sn.expand_dims(x, -1).shape == (2, 3, 4, 1)
    assert sn.expand_dims(x, 1).shape == (2, 1, 3, 4)
    assert sn.matrix_transpose(x).shape == (2, 4, 3)
    assert sn.stack([x, x], axis=-1).shape == (2, 3, 4, 2)
    assert sn.concat([n, n]).shape == ("2*N", 6)
    assert sn.broadcast_to(sn.input("r", (6,)), ("N", 6)).shape == ("N", 6)
    assert n.T.shape == (6, "N")


def test_shaping_that_is_refused():
    x = sn.input("x", (2, 3, 4))
    n = sn.input("n", ("N", 3))
    for wrong in (
        lambda: sn.reshape(x, (5, 5)), lambda: sn.reshape(x, (-1, -1)),
        lambda: sn.reshape(x, (5, -1)), lambda: sn.reshape(n, (-1, 2)), lambda: x.T,
        lambda: sn.reshape(sn.input("e", (0, 3)), (0, -1)), lambda: sn.permute_dims(x, (0, 1)),
        lambda: sn.permute_dims(x, (0, 1, 1)), lambda: sn.permute_dims(x, (0, 1, 3)),
        lambda: sn.squeeze(x, 0), lambda: sn.squeeze(n, 0), lambda: sn.expand_dims(x, 5),
        lambda: sn.expand_dims(x, -5), lambda: sn.concat([x, n]), lambda: sn.concat([x, x[0]]),
        lambda: sn.concat([x, x[..., :2]]), lambda: sn.stack([x, x[0]]), lambda: sn.concat([]),
        lambda: sn.broadcast_to(x, (4,)), lambda: sn.broadcast_to(x, (2, 3, 5)),
        lambda: sn.broadcast_to(n, (3, 3)), lambda: sn.matrix_transpose(n[:, 0]),
        lambda: sn.pad(x, ((1, 1),)), lambda: sn.concat([x], axis=3), lambda: sn.flip(x, 3),
        lambda: sn.stack([x, x], axis=4),
    ):  # fmt: skip
        with pytest.raises(ShapeError):
            wrong()


@pytest.mark.parametrize("value", [0.0, 1.5, -math.inf])
@pytest.mark.parametrize("width", [((1, 2), (0, 3)), ((0, 0), (0, 0)), ((-1, 1), (2, -2))])
def test_pad_is_numpys(width: tuple, value: float):
    data = np.arange(1.0, 13).reshape(3, 4)
    x = sn.input("x", (3, 4), "float64")
    cut = tuple(slice(max(-a, 0), n - max(-b, 0)) for (a, b), n in zip(width, (3, 4), strict=True))
    wide = [(max(a, 0), max(b, 0)) for a, b in width]
    true = np.pad(data[cut], wide, constant_values=value)
    y = sn.pad(x, width, value)
    assert y.shape == true.shape
    assert np.array_equal(sn.evaluate(y, {x: data}), true)


def test_an_unknown_function_prints_its_derivative_and_has_no_value():
    f = sn.function("f")
    x = sn.input("x")
    twice = sn.grad(sn.grad(f(x) * 2, x), x)
    assert "f" in str(twice)
    with pytest.raises(sn.errors.UnknownFunctionError, match=r"f″|f′′"):
        sn.evaluate(twice, {x: 1})


def test_a_named_intermediate_keeps_its_value_and_derivative():
    z = sn.named("z", X * 2)
    assert z.name == "z"
    assert sn.evaluate(sn.grad(sn.sum(z**2), X), {X: DATA}).tolist() == (8 * DATA).tolist()


def test_logaddexp_is_smooth_at_ties_and_stable_far_from_them():
    a, b = sn.input("a", (4,), "float64"), sn.input("b", (4,), "float64")
    y = sn.logaddexp(a, b)
    feeds = {a: [2.0, 1e3, 0.0, -np.inf], b: [2.0, 1e3, -40.0, -np.inf]}
    value, gradient, second = sn.evaluate(
        [y, sn.grad(sn.sum(y), a), sn.jvp(sn.grad(sn.sum(y), a), a, sn.ones_like(a))], feeds
    )
    assert value[:3] == pytest.approx([2 + np.log(2), 1e3 + np.log(2), np.exp(-40)], rel=1e-14)
    assert gradient[:3] == pytest.approx([0.5, 0.5, 1.0])
    assert second[:2].tolist() == [0.25, 0.25]
    assert not np.isnan(gradient).any()
