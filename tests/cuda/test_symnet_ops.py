"""Every op's value and vector-Jacobian product, and every activation of a layer forward, backward
and updated, by the PTX that `target="cuda"` makes of them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import symnet as sn
from codegen.cuda import device as devices
from symnet.expr import Expr
from symnet.nn import ACTIVATIONS
from tests.ptx.device import SimulatedDevice

HERE = Path(__file__).parents[1]
# The cases are read by tests that are no package.
sys.path.insert(0, str(HERE))

from op_batches import batches, faults_of  # noqa: E402
from op_case_functions import FUNCTIONS  # noqa: E402
from op_cases import Case, load  # noqa: E402

SIZE = 15
CASES = load(HERE / "data")
FIRST = batches(CASES, SIZE)[: -(-len(FUNCTIONS) // SIZE)]


@pytest.fixture(autouse=True)
def device(monkeypatch: pytest.MonkeyPatch) -> SimulatedDevice:
    simulated = SimulatedDevice()
    monkeypatch.setattr(devices, "current", lambda: simulated)
    return simulated


def compiled(outputs: list[Expr], feeds: dict[Expr, np.ndarray]) -> list[np.ndarray]:
    return sn.compile(outputs, target="cuda")(feeds)


def test_no_op_is_left_out():
    assert {case.op for batch in FIRST for case in batch} == set(FUNCTIONS)


@pytest.mark.parametrize("batch", FIRST, ids=lambda batch: f"{batch[0].op}-to-{batch[-1].op}")
def test_value_and_vector_jacobian_product_equal_torch(batch: list[Case]):
    assert list(faults_of(batch, compiled)) == []


def test_a_wrong_value_is_noticed():
    def off(outputs: list[Expr], feeds: dict[Expr, np.ndarray]) -> list[np.ndarray]:
        *rest, last = compiled(outputs, feeds)
        return [*rest, last * (1 + 1e-9)]

    tanh = [case for batch in FIRST for case in batch if case.op == "tanh"]
    assert list(faults_of(tanh, compiled)) == []
    assert len(list(faults_of(tanh, off))) == 1


def test_dense_layers_forward_backward_and_updated_at_ragged_sizes():
    random = np.random.default_rng(5)
    x = sn.input("X", ("N", 7))
    losses, names = [], list(ACTIVATIONS)
    for place, name in enumerate(names):
        layer = sn.nn.Dense(7, 3 + place % 4, activation=name, bias=place % 3 > 0)
        losses.append(sn.mean(layer(x) ** 2))
    total = sum(losses[1:], losses[0])
    weights = total.parameters()
    gradients = sn.grad(total, weights)
    updates = [(w, w - 0.5 * g) for w, g in zip(weights, gradients, strict=True)]
    feeds = {"X": random.standard_normal((13, 7)).astype(np.float32)}
    found = {}
    for target in ("cpu", "cuda"):
        f = sn.compile([losses, gradients], updates, target=target)
        values = [f(feeds), f(feeds)]
        held = {name: np.array(array) for name, array in f.parameters.items()}
        found[target] = [*flat(values), *held.values()]
    for ours, theirs in zip(found["cuda"], found["cpu"], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-6)


def flat(values: object) -> list[np.ndarray]:
    """The arrays of nested lists."""
    if isinstance(values, list):
        return [array for value in values for array in flat(value)]
    return [np.asarray(values)]
