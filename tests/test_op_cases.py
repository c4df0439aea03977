"""PyTorch's own test inputs: value and vector-Jacobian product of every op that exists here."""

from __future__ import annotations

from pathlib import Path

import pytest
from op_case_functions import FUNCTIONS, MISSING
from op_cases import faults, load, names

from symnet.reference import evaluate

DATA = Path(__file__).parent / "data"
CASES = load(DATA)


def test_what_is_not_there_yet():
    print("ops of op_cases.npz that symnet has not yet:", ", ".join(sorted(MISSING)))
    assert names(DATA) == set(FUNCTIONS) | MISSING
    assert not set(FUNCTIONS) & MISSING
    assert len(CASES) > 900


@pytest.mark.parametrize("op", FUNCTIONS)
def test_value_and_gradient_equal_torch(op: str):
    cases = [case for case in CASES if case.op == op]
    assert cases
    assert [fault for case in cases for fault in faults(case, evaluate)] == []
