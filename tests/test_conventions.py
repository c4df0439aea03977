"""The table of conventions, as the README prints it: each row interpreted and compiled, in both
formats, value and gradient."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symnet as sn
from symnet.expr import Expr

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
INF = math.inf
DTYPES = ("float32", "float64")


@dataclass(frozen=True)
class Case:
    """A formula of some inputs, where it is looked at, its value there, and its gradient."""

    formula: Callable[..., Expr]
    at: tuple[Any, ...]
    value: float
    gradient: tuple[Any, ...]


def _log_of_sum(x: Expr) -> Expr:
    return sn.log(sn.sum(sn.exp(x)))


def _where_positive(x: Expr) -> Expr:
    return sn.where(x > 0, x, -INF)


# The README's rows, letter by letter, and what each means. A list is a vector.
TABLE: dict[tuple[str, str], list[Case]] = {
    ("abs, relu at 0; maximum(x, constant) at the tie", "0"): [
        Case(sn.abs, (0.0,), 0.0, (0.0,)),
        Case(sn.abs, (-0.0,), 0.0, (0.0,)),
        Case(sn.relu, (0.0,), 0.0, (0.0,)),
        Case(lambda x: sn.maximum(x, 0), (0.0,), 0.0, (0.0,)),
        Case(lambda x: sn.maximum(x, 1.5), (1.5,), 1.5, (0.0,)),
        Case(lambda x: sn.maximum(1.5, x), (1.5,), 1.5, (0.0,)),
        Case(lambda x: sn.minimum(x, 1.5), (1.5,), 1.5, (0.0,)),
        Case(lambda x: sn.maximum(x, sn.constant(1.5)), (2.0,), 2.0, (1.0,)),
    ],
    ("maximum(x, y) where x = y", "a half each"): [
        Case(sn.maximum, (2.0, 2.0), 2.0, (0.5, 0.5)),
        Case(sn.minimum, (2.0, 2.0), 2.0, (0.5, 0.5)),
        Case(sn.maximum, (2.0, 1.0), 2.0, (1.0, 0.0)),
    ],
    ("max or min of an axis, several largest or smallest", "an even share each"): [
        Case(sn.max, ([1.0, 3.0, 3.0],), 3.0, ([0.0, 0.5, 0.5],)),
        Case(sn.min, ([1.0, 1.0, 1.0, 1.0],), 1.0, ([0.25] * 4,)),
    ],
    ("clip at its edges", "0"): [
        Case(lambda x: sn.clip(x, -1, 2), (-1.0,), -1.0, (0.0,)),
        Case(lambda x: sn.clip(x, -1, 2), (2.0,), 2.0, (0.0,)),
        Case(lambda x: sn.clip(x, -1, 2), (1.9375,), 1.9375, (1.0,)),
        Case(sn.hardtanh, (1.0,), 1.0, (0.0,)),
    ],
    ("norm at the zero vector, std of a constant", "0"): [
        Case(sn.norm, ([0.0, 0.0],), 0.0, ([0.0, 0.0],)),
        Case(lambda x: sn.sqrt(sn.sum(x * x)), ([0.0, 0.0],), 0.0, ([0.0, 0.0],)),
        Case(sn.norm, ([3.0, 4.0],), 5.0, ([0.6, 0.8],)),
        Case(lambda x, y: sn.sqrt(x * x + y * y), (0.0, 0.0), 0.0, (0.0, 0.0)),
        Case(sn.std, ([2.0, 2.0, 2.0],), 0.0, ([0.0, 0.0, 0.0],)),
    ],
    ("sqrt at 0", "+∞, which is true"): [
        Case(sn.sqrt, (0.0,), 0.0, (INF,)),
        Case(lambda x: x**0.5, (0.0,), 0.0, (INF,)),
    ],
    ("sign, floor, comparisons", "0 everywhere"): [
        Case(sn.sign, (0.0,), 0.0, (0.0,)),
        Case(sn.sign, (-2.0,), -1.0, (0.0,)),
        Case(sn.floor, (1.0,), 1.0, (0.0,)),
        Case(lambda x: sn.where(x > 1, sn.ones_like(x), 0), (1.0,), 0.0, (0.0,)),
    ],
    ("x^0 at 0", "the value is 1, its derivatives 0"): [
        Case(lambda x: x**0, (0.0,), 1.0, (0.0,)),
        Case(lambda x, n: x**n, (0.0, 0.0), 1.0, (0.0, 0.0)),
        Case(lambda x: x**1, (0.0,), 0.0, (1.0,)),
    ],
    ("x log y where x is 0", "the value is 0, whatever y is"): [
        Case(lambda x: x * sn.log(x), (0.0,), 0.0, (-INF,)),
        Case(lambda x, y: x * sn.log(y), (0.0, 2.0), 0.0, (math.log(2), 0.0)),
        Case(lambda x, y: x * sn.log(y), (0.0, 0.0), 0.0, (-INF, 0.0)),
    ],
    ("a sum, a softmax or a weighted loss, all of it masked", "0"): [
        Case(lambda x: sn.sum(sn.where(x > 0, sn.log(x), 0)), ([-1.0, -2.0],), 0.0, ([0.0] * 2,)),
        Case(lambda x: sn.sum(sn.softmax(_where_positive(x))), ([-1.0, -2.0],), 0.0, ([0.0] * 2,)),
        Case(lambda x: sn.losses.mse(x, sn.zeros_like(x), weight=sn.where(x > 0, 1, 0)),
             ([-1.0, -2.0],), 0.0, ([0.0] * 2,)),
    ],
    ("a logsumexp, all of it masked", "−∞, which is true, and its derivatives 0"): [
        Case(lambda x: sn.logsumexp(_where_positive(x)), ([-1.0, -2.0],), -INF, ([0.0] * 2,)),
        Case(lambda x: _log_of_sum(_where_positive(x)), ([-1.0, -2.0],), -INF, ([0.0] * 2,)),
    ],
}  # fmt: skip
CASES = [case for cases in TABLE.values() for case in cases]


def built(dtype: str) -> tuple[dict[str, list[Any]], dict[str, np.ndarray]]:
    """The value and gradient of every case, by its place, and all their feeds."""
    outputs: dict[str, list[Any]] = {}
    feeds: dict[str, np.ndarray] = {}
    for place, case in enumerate(CASES):
        inputs = [
            sn.input(f"x{place}_{k}", np.shape(value), dtype) for k, value in enumerate(case.at)
        ]
        feeds |= {
            leaf.name: np.array(value, dtype) for leaf, value in zip(inputs, case.at, strict=True)
        }
        value = case.formula(*inputs)
        outputs[f"case{place}"] = [value, *sn.grad(value, inputs)]
    return outputs, feeds


def faults(found: dict[str, list[Any]], dtype: str) -> list[str]:
    """What is not as the table says."""
    told = []
    rounding = {"rtol": 4 * np.finfo(dtype).eps, "atol": 0}
    for place, case in enumerate(CASES):
        parts = [np.asarray(part) for part in found[f"case{place}"]]
        true = [np.array(part, dtype) for part in (case.value, *case.gradient)]
        for got, want in zip(parts, true, strict=True):
            if got.dtype != dtype or not np.allclose(got, want, **rounding):
                told.append(f"case {place}, at {case.at}: {got}, not {want}")
    return told


@pytest.mark.parametrize("dtype", DTYPES)
def test_conventions_interpreted(dtype: str):
    outputs, feeds = built(dtype)
    assert faults(sn.evaluate(outputs, feeds), dtype) == []


@pytest.mark.parametrize("dtype", DTYPES)
def test_conventions_compiled(dtype: str):
    outputs, feeds = built(dtype)
    assert faults(sn.compile(outputs)(feeds), dtype) == []


@pytest.mark.parametrize("dtype", DTYPES)
def test_some_need_the_stable_spelling(dtype: str):
    outputs, feeds = built(dtype)
    missed = faults(sn.evaluate(outputs, feeds, stabilize=False), dtype)
    assert 4 <= len(missed) <= 12


def test_the_readme_prints_this_table():
    section = README.split("## Conventions")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (.*?) \| (.*?) \|$", section, re.MULTILINE)
    assert rows[0] == ("where", "value")
    assert rows[1:] == list(TABLE)
