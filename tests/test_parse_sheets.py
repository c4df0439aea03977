"""Sheets that people write: definitions line by line, and what is said of those that are wrong."""

from __future__ import annotations

import numpy as np
import pytest

import symnet as sn
from symnet.errors import ParseError
from symnet.expr import Expr
from symnet.parse import parse_formula, parse_sheet
from symnet.parse.tokens import ONES

with sn.default_dtype("float64"):
    NAMES = {
        "X": sn.input("X", ("N", 2)),
        "Y": sn.input("Y", ("N", 3)),
        "y": sn.input("y", ("N",), dtype="int64"),
        "W": sn.parameter("W", (2, 3)),
        "b": sn.parameter("b", (3,)),
        "v": sn.input("v", ("N",)),
    }
rng = np.random.default_rng(2)
FEEDS = {
    "X": rng.normal(size=(4, 2)),
    "Y": rng.normal(size=(4, 3)),
    "y": np.array([0, 2, 1, 1]),
    "W": rng.normal(size=(2, 3)),
    "b": rng.normal(size=3),
    "v": rng.normal(size=4),
}
X, Y, y, W, b, v = FEEDS.values()


def value(expr: Expr) -> np.ndarray:
    return np.asarray(sn.evaluate(expr, FEEDS, stabilize=False))


WRITTEN = """
Z   = X W + b                       N×3
P   = softmax(Z)
L   = −1/N Σ_n log P[n, y[n]]
                                    Δ = ∂L/∂Z
Δ   = 1/N (P − H)                   N×3    H[n,k] = [y[n] = k]
∂L/∂W = Xᵀ Δ                        2×3
∂L/∂b = Σ_n Δ[n,:]
computed as: nothing else
"""


def test_a_sheet_defines_its_names_in_order() -> None:
    found = parse_sheet(WRITTEN, NAMES)
    assert list(found) == ["Z", "P", "L", "H", "Δ", "∂L/∂W", "∂L/∂b"]
    np.testing.assert_allclose(
        value(found["L"]), value(sn.losses.cross_entropy(found["Z"], NAMES["y"]))
    )
    slope = sn.grad(found["L"], NAMES["W"])
    np.testing.assert_allclose(value(found["∂L/∂W"]), value(slope), rtol=1e-12)
    assert found["∂L/∂b"].shape == (3,)


FORMULAS = {
    "v ⊙ Y": v[:, None] * Y,
    "b ⊙ Y": b * Y,
    "v bᵀ + Y": np.outer(v, b) + Y,
    "diag(v) Y": np.diag(v) @ Y,
    "vᵀ v": v @ v,
    "Yᵀ v": Y.T @ v,
    "vᵀ Y": v @ Y,
    "‖Y‖²": (Y**2).sum(),
    "‖v‖": np.linalg.norm(v),
    "W[:,0]": W[:, 0],
    "W[1, -1]": W[1, -1],
    "X[1:3, ::-1]": X[1:3, ::-1],
    "W[:,y]": W[:, y],
    "Σ_n v[n] Y[n,:]": v @ Y,
    "Σ_{n,k} Y[n,k]²": (Y**2).sum(),
    "Σ_{n<N − 1} v[n] v[n + 1]": (v[:-1] * v[1:]).sum(),
    "Σ_n Σ_m [n < m] v[n] v[m]": np.triu(np.outer(v, v), 1).sum(),
    "Σ_n {v[n − 1] if n > 0, else 0}": v[:-1].sum(),
    "max_k Y[:,k]": Y.max(1),
    "Π_k b[k]": b.prod(),
    "log Σ_k e^(b[k])": np.log(np.exp(b).sum()),
    "[Y; Y]": np.vstack([Y, Y]),
    "[X, Y]": np.hstack([X, Y]),
    "[0_1; v; 0_{N − 2}]": np.concatenate([[0], v, np.zeros(2)]),
    "[v; 1]": np.append(v, 1),
    "[1.5, 2, b[0]]": np.array([1.5, 2, b[0]]),
    "mean(Y) + sum(X)": Y.mean() + X.sum(),
    "softmax(Y, axis 0)": np.exp(Y) / np.exp(Y).sum(0),
    "permute(Y, (1,0))": Y.T,
    "reshape(Y, 3×N)": Y.reshape(3, 4),
    "col(v) ⊙ Y": v[:, None] * Y,
    "Y^∘2 ⊘ (1 + |Y|)": Y**2 / (1 + np.abs(Y)),
    "sech²(Y)": 1 / np.cosh(Y) ** 2,
    "N v": 4 * v,
}


@pytest.mark.parametrize("text", FORMULAS)
def test_arrays_are_read(text: str) -> None:
    found = value(parse_formula(text, NAMES).expr)
    assert found.shape == np.shape(FORMULAS[text])
    np.testing.assert_allclose(found, FORMULAS[text], rtol=1e-12)


WRONG = {
    "Z = X W + c": (1, 11, "nothing is called c"),
    "Z = X Y": (1, 7, "N×2 times N×3 does not fit"),
    "Z = X W +\nA = 1": (1, 10, "ends too early"),
    "Z = X W\nZ = X": (2, 1, "Z is defined already"),
    "Z = v v": (1, 7, "two vectors"),
    "Z = X²": (1, 6, "A A"),
    "Z = X W    N×2": (1, 5, "this is N×3, the line says N×2"),
    "Z = X W    N×?": (1, 14, "no meaning"),
    "Z = X W    3    3": (1, 17, "a definition or nothing"),
    "Z = X + Y": (1, 9, "do not fit side by side"),
    "Z = v[n]": (1, 7, "nothing is called n"),
    "Z = Σ_n v[n] + v[n]": (1, 18, "nothing is called n"),
    "Z[n] = X": (1, 8, "each element is one number"),
    "Z[1] = 2": (1, 3, "index letter"),
    "L_12 = Σ_n v[n]\nZ = L_13 W": (2, 5, "did you mean L_12?"),
    "2 = v": (1, 1, "begins with a name"),
    "Z = W[∞,0]": (1, 6, "whole number"),
    "Z = W[2,0]": (1, 7, "out of range"),
    "Z = [0; v; 0]    N": (1, 5, "how many zeros"),
    f"L = v\nZ = {ONES}": (2, 1, "Z: how many elements"),
    "hello": (1, 6, "ends too early"),
}


@pytest.mark.parametrize("text", WRONG)
def test_a_fault_has_its_line_and_column(text: str) -> None:
    line, column, message = WRONG[text]
    with pytest.raises(ParseError) as caught:
        parse_sheet(f"{text}\n", NAMES)
    first, shown, caret = str(caught.value).split("\n")
    assert first.startswith(f"line {line}, column {column}: ")
    assert message in first
    assert shown == f"    {text.splitlines()[line - 1]}"
    assert len(caret) == 4 + column


def test_a_mask_is_a_condition() -> None:
    found = parse_sheet("A = {Y if M, else −1}    N×3    M[n,k] = [k < n]", NAMES)
    np.testing.assert_allclose(value(found["A"]), np.where(np.tri(4, 3, -1) > 0, Y, -1))


def test_a_sheet_is_text() -> None:
    with pytest.raises(ParseError, match="a formula is text"):
        parse_sheet(3, NAMES)  # type: ignore[arg-type]
    assert parse_sheet("", NAMES) == {}


def test_what_waits_for_a_size_for_too_long_is_refused_where_it_does():
    line = " + ".join([ONES] * 400)
    with pytest.raises(ParseError, match="too much has no known size"):
        parse_sheet(f"Y = {line}", {})
