"""Layers: names, shapes, activations against torch, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import symnet as sn
from symnet import init, nn
from symnet.errors import GraphError, NameClashError, ShapeError, SymnetError
from symnet.expr import Expr, topological
from symnet.nn import ACTIVATIONS
from symnet.reference import evaluate, starting_value

TORCH: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "abs": torch.abs,
    "elu": F.elu,
    "exp": torch.exp,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "hardswish": F.hardswish,
    "hardtanh": F.hardtanh,
    "leaky_relu": F.leaky_relu,
    "log_sigmoid": F.logsigmoid,
    "log_softmax": lambda x: F.log_softmax(x, -1),
    "mish": F.mish,
    "relu": F.relu,
    "selu": F.selu,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "sin": torch.sin,
    "softmax": lambda x: F.softmax(x, -1),
    "softplus": F.softplus,
    "softsign": F.softsign,
    "square": torch.square,
    "swish": F.silu,
    "tanh": torch.tanh,
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_and_its_gradient_are_torchs(name: str):
    value = np.random.default_rng(0).normal(size=(5, 7)) * 3
    cotangent = np.random.default_rng(1).normal(size=(5, 7))
    x = sn.input("x", ("N", 7), "float64")
    y = ACTIVATIONS[name](x)
    tensor = torch.tensor(value, requires_grad=True)
    true = TORCH[name](tensor)
    (true * torch.tensor(cotangent)).sum().backward()
    weighted = sn.input("c", ("N", 7), "float64")
    pulled = sn.grad(sn.sum(weighted * y), x)
    found = evaluate([y, pulled], {"x": value, "c": cotangent})
    np.testing.assert_allclose(found[0], true.detach().numpy(), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(found[1], tensor.grad.numpy(), rtol=1e-10, atol=1e-13)


def features(size: int, *ahead: Any, name: str = "X") -> Expr:
    return sn.input(name, (*(ahead or ("N",)), size), "float64")


def names(layer: nn.Dense | nn.Sequential) -> list[str | None]:
    return [node.name for node in layer.parameters()]


def named_in(expr: Expr) -> list[str | None]:
    return [node.name for node in topological([expr]) if node.op.name == "named"]


def test_a_network_computes_what_torch_computes():
    net = nn.Sequential(
        nn.Dense(4, 5, "tanh", dtype="float64", bias_init=init.normal(0.3)),
        nn.Dense(5, 3, bias=False, dtype="float64"),
    )
    data = np.random.default_rng(0).normal(size=(6, 4))
    found = evaluate(net(features(4)), {"X": data}, seed=3)
    w1, b1, w2 = (starting_value(node, 3) for node in net.parameters())
    np.testing.assert_allclose(found, np.tanh(data @ w1 + b1) @ w2, rtol=1e-13)
    assert net[0].weight.shape == (4, 5)
    assert net[0].bias.shape == (5,)
    assert net[1].bias is None


def test_any_axes_may_stand_before_the_features():
    layer = nn.Dense(4, 3, "relu", name="any", dtype="float64")
    assert layer(features(4, "B", "T")).shape == ("B", "T", 3)
    assert layer(sn.input("x", (4,), "float64")).shape == (3,)


def test_names_in_a_sequential_go_by_place():
    net = nn.Sequential(nn.Dense(2, 3, "tanh"), sn.tanh, nn.Dense(3, 3, name="h"), nn.Dense(3, 1))
    assert names(net) == ["W_1", "b_1", "W_h", "b_h", "W_3", "b_3"]
    assert named_in(net(features(2))) == ["Z_1", "A_1", "Z_h", "Z_3"]
    again = nn.Sequential(nn.Dense(2, 3), nn.Dense(3, 1))
    assert names(again) == ["W_1", "b_1", "W_2", "b_2"]


def test_names_of_nested_sequentials():
    encoder = nn.Sequential(nn.Dense(4, 3), nn.Dense(3, 2), name="encoder")
    inner = nn.Sequential(nn.Dense(2, 2), nn.Dense(2, 2))
    net = nn.Sequential(nn.Dense(4, 4), encoder, inner, nn.Dense(2, 1))
    weights = [name for name in names(net) if name and name.startswith("W")]
    assert weights == ["W_1", "W_encoder_1", "W_encoder_2", "W_2", "W_3", "W_4"]


def test_a_layer_alone_takes_a_number_when_it_is_first_used():
    first, second = nn.Dense(2, 2), nn.Dense(2, 2)
    later, earlier = int(second.label), int(first.label)
    assert earlier == later + 1
    assert names(first) == [f"W_{earlier}", f"b_{earlier}"]
    held = nn.Sequential(first)
    assert names(held) == [f"W_{earlier}", f"b_{earlier}"]


def test_a_layer_called_twice_is_shared():
    twin = nn.Dense(4, 2, "tanh", name="twin")
    out = twin(features(4)) - twin(features(4, name="Y"))
    held = {node for node in topological([out]) if node.op.name == "parameter"}
    assert held == set(twin.parameters())
    net = nn.Sequential(nn.Dense(2, 2, name="same"), tied := nn.Dense(2, 2), tied)
    assert names(net) == ["W_same", "b_same", "W_2", "b_2"]


def test_indexing_iteration_and_length():
    layers = [nn.Dense(2, 3), sn.tanh, nn.Dense(3, 1)]
    net = nn.Sequential(*layers)
    assert len(net) == 3
    assert list(net) == layers
    assert net[-1] is layers[2]
    assert net[:2] == tuple(layers[:2])
    empty = nn.Sequential()
    x = features(2)
    assert empty(x) is x
    assert empty.parameters() == []


def test_an_activation_may_bring_parameters():
    slope = sn.parameter("slope", init=0.2, dtype="float64")
    layer = nn.Dense(2, 3, activation=lambda z: sn.prelu(z, slope), name="p", dtype="float64")
    assert slope in set(topological([layer(features(2))]))
    assert names(layer) == ["W_p", "b_p"]


def test_the_dtype_is_that_of_the_making():
    with sn.default_dtype("float64"):
        layer = nn.Dense(2, 3, name="wide")
    assert layer.weight.dtype == np.float64
    assert nn.Dense(2, 3, name="narrow").weight.dtype == np.float32


def test_expressions_know_their_layer():
    out = nn.Dense(2, 3, "tanh", name="hidden")(features(2))
    assert out.origin.layer == "hidden"
    assert out.origin.file == __file__


@pytest.mark.parametrize(
    ("activation", "bound"),
    [("relu", (6 / 200) ** 0.5), ("tanh", (6 / 500) ** 0.5), (None, (6 / 500) ** 0.5)],
)
def test_weights_start_by_the_activations_rule(activation: str | None, bound: float):
    layer = nn.Dense(200, 300, activation, name="start", dtype="float64")
    weight = starting_value(layer.weight)
    assert abs(weight).max() == pytest.approx(bound, rel=1e-3)
    assert (starting_value(layer.bias) == 0).all()
    other = nn.Dense(200, 300, "selu", name="start", dtype="float64")
    assert starting_value(other.weight).std() == pytest.approx(200**-0.5, rel=0.02)


REFUSED: list[tuple[Callable[[], object], type[SymnetError], str]] = [
    (lambda: nn.Dense(4, 3, "tahn"), GraphError, "'tahn'; there are linear, abs, elu"),
    (lambda: nn.Dense(4, 3, 7), GraphError, "a name or a function"),
    (lambda: nn.Dense(4, 3, features(3)), GraphError, "a name or a function"),
    (lambda: nn.Dense(4, 0), ShapeError, "outputs must be at least 1, got 0"),
    (lambda: nn.Dense(4.0, 3), ShapeError, "inputs is an integer, got 4.0"),
    (lambda: nn.Dense(4, 3, name="a b"), NameClashError, "identifier"),
    (
        lambda: nn.Dense(64, 3, name="hidden")(features(32)),
        ShapeError,
        r"layer hidden \(Dense, 64 to 3\): the last axis of X \(N×32\) must be 64, it is 32",
    ),
    (lambda: nn.Dense(64, 3, name="h")(sn.input("x")), ShapeError, "it is no axis"),
    (lambda: nn.Dense(2, 3, name="h")(np.ones((4, 2))), GraphError, "got ndarray"),
    (lambda: nn.Dense(2, 3, lambda z: 1, name="h")(features(2)), GraphError, "returned 1"),
    (lambda: nn.Sequential(3), GraphError, "layer 0 is 3"),
    (lambda: nn.Sequential(lambda x: None)(features(2)), GraphError, "returned None"),
    (
        lambda: nn.Sequential(nn.Dense(2, 2, name="a"), nn.Dense(2, 2, name="a")),
        NameClashError,
        "two layers are called a",
    ),
]


@pytest.mark.parametrize(("make", "error", "says"), REFUSED)
def test_what_makes_no_sense_is_refused(
    make: Callable[[], object], error: type[SymnetError], says: str
):
    with pytest.raises(error, match=says):
        make()


def test_a_refusal_names_the_users_line():
    with pytest.raises(ShapeError, match=r"test_nn\.py:"):
        nn.Dense(3, 3, name="line")(features(2))
