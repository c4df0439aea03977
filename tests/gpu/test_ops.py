"""Every op's row against the reference on a real GPU, and what the PTX interpreter assumes."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import symnet as sn
from symnet.expr import Expr

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
