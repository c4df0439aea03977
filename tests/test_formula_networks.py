"""Sheets of textbook networks: as a good textbook prints them, and true to the last digit.

`python tests/test_formula_networks.py` writes the goldens anew; look at what changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from formula_networks import GOLDEN, PLAIN, SIZES
from formula_values import sheet_values

import symnet as sn
from symnet.expr import Expr, topological
from symnet.formula import Sheet
from symnet.sizes import Size

NETWORKS = {**GOLDEN, **PLAIN}
DATA = Path(__file__).parent / "data" / "formulas"
WORDS = re.compile(
    r"einsum|fill|broadcast|reshape|permute|concat|place|pad\(|\(0,1\)|->|\bT_\d|\bt_\d|⊘ 1\b"
    r"|(?<![\d.,·(] )(?<![\d.])\b1 ⊙|ᵀᵀ|\+ 0\b(?!\.)|T_\{?\d"
)


def sheet_of(name: str) -> Sheet:
    with sn.default_dtype("float64"):
        return sn.gradients(NETWORKS[name]())


def feeds_of(loss: Expr) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    leaves = [leaf for leaf in topological([loss]) if leaf.name and not leaf.args]
    sizes = {leaf.name: [_number(size) for size in leaf.shape] for leaf in leaves}
    return {str(name): rng.normal(size=shape) for name, shape in sizes.items()}


def _number(size: object) -> int:
    return size.value(SIZES) if isinstance(size, Size) else int(size)  # type: ignore[call-overload]


def shown(name: str) -> dict[str, str]:
    """The sheet in both notations, without what runs instead: that is for the rules to say."""
    sheet = sheet_of(name)
    text, _, _ = str(sheet).partition("\ncomputed as:")
    return {"txt": f"{text}\n", "tex": f"{sheet.latex()}\n"}


@pytest.mark.parametrize("suffix", ["txt", "tex"])
@pytest.mark.parametrize("name", GOLDEN)
def test_a_sheet_is_its_golden(name: str, suffix: str) -> None:
    assert shown(name)[suffix] == (DATA / f"{name}.{suffix}").read_text("utf-8")


@pytest.mark.parametrize("name", NETWORKS)
@sn.default_dtype("float64")
def test_a_sheet_computed_by_hand_gives_the_gradients(name: str) -> None:
    sheet = sheet_of(name)
    given = feeds_of(sheet.loss)
    found = sheet_values(sheet, {**given, **SIZES})
    assert set(found) == set(sheet)
    for parameter, gradient in sheet.items():
        true = sn.evaluate(gradient, given, stabilize=False)
        np.testing.assert_allclose(
            found[parameter], true, rtol=1e-11, atol=1e-13, err_msg=f"{parameter}\n{sheet}"
        )


def lines(name: str) -> Iterator[str]:
    for text in shown(name).values():
        yield from text.splitlines()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_sheet_has_no_word_for_a_sign_and_no_line_too_long(name: str) -> None:
    for line in lines(name):
        assert not WORDS.search(line), line
    for line in str(sheet_of(name)).splitlines():
        assert len(line) <= 100, line
        assert not WORDS.search(line), line


@pytest.mark.parametrize(
    "bad", ["T_3 = X W", "broadcast(b, 3×4)", "X ⊙ 1 ⊙ Y", "Xᵀᵀ", "x + 0", "place(A, 0[1:3])"]
)
def test_a_word_is_seen(bad: str) -> None:
    assert WORDS.search(bad)


def test_a_changed_sign_is_seen() -> None:
    sheet = sheet_of("layer_norm")
    given = feeds_of(sheet.loss)
    right = sheet_values(sheet, {**given, **SIZES})
    wrong = sheet_values(sheet, {**given, **SIZES, "γ": -given["γ"]})
    assert not np.allclose(right["W"], wrong["W"])


@sn.default_dtype("float64")
def test_the_hessian_of_l2_regularised_logistic_regression() -> None:
    x, y = sn.input("X", ("N", 2)), sn.input("y", ("N",))
    w, b = sn.parameter("w", (2,)), sn.parameter("b", ())
    loss = sn.losses.binary_cross_entropy(sn.named("z", x @ w + b), y) + 0.05 * sn.sum(w**2)
    assert str(sn.hessian(loss, w)) == "1/N Xᵀ diag(σ(z) ⊙ (1 − σ(z))) X + 0.1 I"
    assert sn.latex(sn.hessian(loss, w)) == (
        r"\tfrac{1}{N}X^{\top}\operatorname{diag}(\sigma(z) \odot (1 - \sigma(z))) X + 0.1 I"
    )


if __name__ == "__main__":
    for golden in GOLDEN:
        for ending, content in shown(golden).items():
            (DATA / f"{golden}.{ending}").write_text(content, "utf-8")
