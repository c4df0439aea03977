"""Every op's row against the reference on a real GPU, and what the PTX interpreter assumes."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import symnet as sn
from codegen.cuda import device as devices
from symnet.expr import Expr
from tests.ptx.device import SimulatedDevice

pytestmark = pytest.mark.gpu
HERE = Path(__file__).parents[1]
# The cases are read by tests that are no package.
sys.path.insert(0, str(HERE))

from op_batches import batches, faults_of  # noqa: E402
from op_cases import Case, load  # noqa: E402

CASES = load(HERE / "data")
OPS = len({case.op for case in CASES})
FIRST = batches(CASES, 10)[: -(-OPS // 10)]


def compiled(outputs: list[Expr], feeds: dict[Expr, np.ndarray]) -> list[np.ndarray]:
    return sn.compile(outputs, target="cuda")(feeds)


def test_every_op_is_there():
    assert len({case.op for batch in FIRST for case in batch}) == OPS >= 100


@pytest.mark.parametrize("batch", FIRST, ids=lambda batch: "-".join(case.op for case in batch))
def test_values_and_vector_jacobian_products(batch: list[Case]):
    assert list(faults_of(batch, compiled)) == []


@pytest.mark.parametrize("precision", ["float32", "tf32", "bf16"])
def test_the_interpreter_of_ptx_gives_the_devices_bits(
    precision: str, monkeypatch: pytest.MonkeyPatch
):
    # Small whole numbers, so that every sum is exact in every order: where an element of a fragment
    # stood elsewhere, the numbers would differ.
    random = np.random.default_rng(2)
    a, b = sn.input("A", (37, 45)), sn.input("B", (45, 29))
    feeds = {"A": random.integers(-8, 9, (37, 45)), "B": random.integers(-8, 9, (45, 29))}
    wanted = feeds["A"] @ feeds["B"]
    found = sn.compile(a @ b, target="cuda", precision=precision)(feeds)
    np.testing.assert_array_equal(found, wanted)
    simulated = SimulatedDevice()
    monkeypatch.setattr(devices, "current", lambda: simulated)
    again = sn.compile(a @ b, target="cuda", precision=precision)(feeds)
    assert again.tobytes() == found.tobytes()


def test_pointwise_functions_are_the_interpreters(
    monkeypatch: pytest.MonkeyPatch,
):
    x = sn.input("X", ("N",))
    outputs = [sn.exp(x), sn.tanh(x), sn.sin(x), sn.erf(x), sn.log(x * x + 1), sn.sqrt(abs(x))]
    feeds = {"X": np.linspace(-9, 9, 1001, dtype=np.float32)}
    found = sn.compile(outputs, target="cuda")(feeds)
    simulated = SimulatedDevice()
    monkeypatch.setattr(devices, "current", lambda: simulated)
    again = sn.compile(outputs, target="cuda")(feeds)
    for ours, theirs in zip(found, again, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=3e-7, atol=0)
