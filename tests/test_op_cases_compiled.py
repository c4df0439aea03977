"""PyTorch's own test inputs through `sn.compile`: value and vector-Jacobian product in float64.

Each case is compiled by itself: kernels do not depend on sizes or names, so cases of one shape of
loop share theirs, while many cases in one program would be merged into kernels of their own.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from op_case_functions import FUNCTIONS
from op_cases import faults, load

import symnet as sn
from symnet.expr import Expr

CASES = load(Path(__file__).parent / "data")


def compiled(outputs: list[Expr], feeds: dict[Expr, np.ndarray]) -> list[np.ndarray]:
    return sn.compile(outputs)(feeds)


def test_no_case_is_left_out():
    assert {case.op for case in CASES} == set(FUNCTIONS)
    assert len(CASES) > 900


@pytest.mark.parametrize("op", FUNCTIONS)
def test_compiled_value_and_gradient_equal_torch(op: str):
    cases = [case for case in CASES if case.op == op]
    assert [fault for case in cases for fault in faults(case, compiled)] == []


def test_a_wrong_evaluator_is_noticed():
    def off(outputs: list[Expr], feeds: dict[Expr, np.ndarray]) -> list[np.ndarray]:
        *rest, last = compiled(outputs, feeds)
        return [*rest, last * (1 + 1e-9)]

    case = next(case for case in CASES if case.op == "tanh")
    assert list(faults(case, compiled)) == []
    assert len(list(faults(case, off))) == 1
