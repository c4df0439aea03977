"""The cases of `op_cases.npz`: calls of PyTorch's functions with values and gradients.

`faults(case, evaluator)` says what an evaluator gets wrong: `evaluate`, or anything else that
takes (outputs, feeds) and returns arrays nested as the outputs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from op_case_functions import FUNCTIONS, MISSING

import symnet as sn
from symnet.expr import Expr

Evaluator = Callable[[list[Expr], dict[Expr, np.ndarray]], list[np.ndarray]]
RELATIVE, ABSOLUTE = 1e-10, 1e-12
# Indices that are part of the call, not data.
CONSTANT_INDICES = {"getitem"}


@dataclass(frozen=True)
class Case:
    """One call: its arguments, and what must come out."""

    number: int
    op: str
    args: list[Any]
    kwargs: dict[str, Any]
    outputs: list[np.ndarray]
    cotangents: list[np.ndarray | None]
    gradients: dict[str, np.ndarray]

    def __str__(self) -> str:
        return f"{self.op}-{self.number}"


def load(folder: Path) -> list[Case]:
    """The cases of ops that exist here; not those legal only in PyTorch, nor at kinks."""
    with np.load(folder / "op_cases.npz") as archive:
        arrays = {name: archive[name] for name in archive.files}
    rows = json.loads(bytes(arrays.pop("meta")).decode())
    return [
        Case(
            number,
            row["op"],
            _decoded(row["args"], arrays),
            {key: _decoded(value, arrays) for key, value in row["kwargs"].items()},
            [np.asarray(value) for value in _decoded(row["out"], arrays)],
            _decoded(row["cot"], arrays),
            {path: _decoded(value, arrays) for path, value in row["grads"].items()},
        )
        for number, row in enumerate(rows)
        if not (row["scalar_axis"] or row["kink"] or row["op"] in MISSING)
    ]


def names(folder: Path) -> set[str]:
    """Every op of the file."""
    with np.load(folder / "op_cases.npz") as archive:
        return {row["op"] for row in json.loads(bytes(archive["meta"]).decode())}


def _decoded(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, list):
        return [_decoded(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    if "$" in value:
        return arrays[value["$"]]
    if "slice" in value:
        return slice(*value["slice"])
    if "ellipsis" in value:
        return ...
    return value["dtype"]


def _input(case: Case, name: str, shape: tuple, dtype: Any) -> Expr:
    return sn.input(f"case_{case.number}_{name}", shape, dtype)


def graph(case: Case) -> tuple[list[Expr], dict[str, Expr], dict[Expr, np.ndarray]]:
    """The outputs, the inputs by path such as `args.0`, and their values."""
    leaves: dict[str, Expr] = {}
    feeds: dict[Expr, np.ndarray] = {}

    def build(value: Any, path: str) -> Any:
        if isinstance(value, list):
            return [build(item, f"{path}.{k}") for k, item in enumerate(value)]
        if not isinstance(value, np.ndarray):
            return value
        if value.dtype.kind != "f" and case.op in CONSTANT_INDICES:
            return value
        kind = np.dtype(np.int64) if value.dtype.kind == "u" else value.dtype
        leaf = _input(case, path.replace(".", "_"), value.shape, kind)
        leaves[path], feeds[leaf] = leaf, value
        return leaf

    args = build(case.args, "args")
    kwargs = {key: build(value, f"kwargs.{key}") for key, value in case.kwargs.items()}
    found = FUNCTIONS[case.op](*args, **kwargs)
    return (found if isinstance(found, list) else [found]), leaves, feeds


@dataclass(frozen=True)
class Question:
    """A case as a graph: what to compute from what, and what is true of it."""

    case: Case
    outputs: list[Expr]
    feeds: dict[Expr, np.ndarray]
    labels: list[str]
    true: list[np.ndarray]


def question(case: Case) -> Question:
    """The case's outputs and vector-Jacobian products. Its inputs share no name with another's."""
    outputs, leaves, feeds = graph(case)
    wrt = {path: leaves[path] for path in case.gradients}
    seeded = [
        (output, _input(case, f"cotangent_{k}", output.shape, output.dtype), cotangent)
        for k, (output, cotangent) in enumerate(zip(outputs, case.cotangents, strict=True))
        if cotangent is not None and wrt
    ]
    products: list[Expr] = []
    if seeded:
        reached, seeds, _ = zip(*seeded, strict=True)
        products = sn.vjp(reached, list(wrt.values()), seeds)
    feeds |= {seed: np.asarray(cotangent) for _, seed, cotangent in seeded}
    labels = [*(f"output {k}" for k in range(len(outputs))), *(f"d/d{path}" for path in wrt)]
    true = [*case.outputs, *case.gradients.values()]
    return Question(case, [*outputs, *products], feeds, labels, true)


def compare(asked: Question, found: list[np.ndarray]) -> Iterator[str]:
    """What differs from PyTorch: a value or a vector-Jacobian product, in words."""
    for label, ours, theirs in zip(asked.labels, found, asked.true, strict=True):
        if np.shape(ours) != theirs.shape:
            yield f"{asked.case} {label}: shape {np.shape(ours)}, expected {theirs.shape}"
        elif not np.allclose(ours, theirs, RELATIVE, ABSOLUTE, equal_nan=True):
            with np.errstate(all="ignore"):
                gap = np.nanmax(np.abs(np.asarray(ours, float) - theirs))
            yield f"{asked.case} {label}: off by {gap:.1e}"


def faults(case: Case, evaluator: Evaluator) -> Iterator[str]:
    """What an evaluator gets wrong in one case."""
    asked = question(case)
    yield from compare(asked, evaluator(asked.outputs, asked.feeds))
