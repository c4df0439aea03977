"""A sheet computed from top to bottom, as a reader would, gives the gradients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from formula_values import sheet_values

import symnet as sn
from symnet.expr import Expr

N, D, H, K = 5, 2, 4, 3


@sn.default_dtype("float64")
def inputs() -> tuple[Expr, Expr, Expr]:
    return sn.input("X", (N, D)), sn.input("Y", (N, K)), sn.input("y", (N,))


X, Y, y = inputs()


def one_output() -> Expr:
    return sn.losses.mse(sn.nn.Dense(D, 1, name="line")(X)[:, 0], y)


def one_output_as_a_column() -> Expr:
    return sn.losses.mse(sn.nn.Dense(D, 1, name="line")(X), y[:, None])


def one_of_several_outputs() -> Expr:
    return sn.losses.mse(sn.tanh(sn.nn.Dense(D, K, name="wide")(X))[:, 1], y)


def two_layers() -> Expr:
    hidden = sn.nn.Dense(D, H, "tanh", name="a")
    return sn.losses.mse(sn.nn.Dense(H, K, "sigmoid", name="b")(hidden(X)), Y)


def with_decay() -> Expr:
    layer = sn.nn.Dense(D, K, "relu", name="a")
    return sn.losses.mse(layer(X), Y) + 0.05 * sn.sum(layer.weight**2)


def weighted_rows() -> Expr:
    return sn.mean((sn.nn.Dense(D, K, name="a")(X) - Y) ** 2 * y[:, None])


def scaled_rows_in_a_product() -> Expr:
    hidden = sn.nn.Dense(D, H, "tanh", name="a")(X)
    return sn.losses.mse(sn.nn.Dense(H, K, name="b")(hidden * y[:, None]), Y)


def one_row() -> Expr:
    return sn.losses.mse(sn.nn.Dense(D, K, "tanh", name="a")(X)[2], Y[0])


def one_vector() -> Expr:
    return sn.sum(sn.tanh(sn.nn.Dense(D, K, name="a")(X[1])) * Y[0])


def logistic() -> Expr:
    return sn.losses.binary_cross_entropy(sn.nn.Dense(D, 1, name="a")(X)[:, 0], y)


def row_sums() -> Expr:
    return sn.mean((sn.sum(sn.nn.Dense(D, K, "tanh", name="a")(X), axis=1) - y) ** 2)


def an_outer_sum() -> Expr:
    a, b = sn.parameter("a", (N,)), sn.parameter("b", (K,))
    return sn.mean(sn.tanh(a[:, None] + b - Y))


MODELS = [
    one_output, one_output_as_a_column, one_of_several_outputs, two_layers, with_decay,
    weighted_rows, scaled_rows_in_a_product, one_row, one_vector, logistic, row_sums, an_outer_sum,
]  # fmt: skip


def feeds(loss: Expr) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    leaves = [X, Y, y, *loss.parameters()]
    return {str(leaf.name): rng.normal(size=[int(str(s)) for s in leaf.shape]) for leaf in leaves}


@pytest.mark.parametrize("model", MODELS)
@sn.default_dtype("float64")
def test_a_sheet_read_from_top_to_bottom_gives_the_gradients(model: Callable[[], Expr]) -> None:
    loss = model()
    given = feeds(loss)
    sheet = sn.gradients(loss)
    found = sheet_values(sheet, given)
    assert set(found) == set(sheet) == {str(p.name) for p in loss.parameters()}
    for name, gradient in sheet.items():
        true = sn.evaluate(gradient, given, stabilize=False)
        np.testing.assert_allclose(found[name], true, rtol=1e-12, atol=1e-14, err_msg=str(sheet))


def test_a_column_of_one_output_is_shown() -> None:
    shown = str(sn.gradients(one_output()))
    assert "‖Z_line[:,0] − y‖²" in shown
    assert "Δ_line = 2/5 col(Z_line[:,0] − y)" in shown


def test_the_hessian_of_a_logistic_regression() -> None:
    w, b = sn.parameter("w", (D,)), sn.parameter("b", ())
    loss = sn.losses.binary_cross_entropy(X @ w + b, y) + 0.05 * sn.sum(w**2)
    assert str(sn.hessian(loss, w)) == ("1/5 Xᵀ diag(σ(X w + b) ⊙ (1 − σ(X w + b))) X + 0.1 I")
    assert str(sn.grad(loss, w)) == "1/5 Xᵀ (σ(X w + b) − y) + 0.1 w"
