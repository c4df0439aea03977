"""What prints is true: the printed formula, computed as a reader would, is the expression's value.

All sizes differ, so that an axis that is dropped or confused with another does not fit.
"""

from __future__ import annotations

import numpy as np
import pytest
from formula_values import printed_value

import symnet as sn
from symnet.expr import Expr, topological
from symnet.formula.translate import Translator
from symnet.formula.tree import Symbol

N, K, M = 4, 3, 5
F = "float64"
Z, T = sn.input("Z", (N, K), F), sn.input("T", (N, K), F)
X, W = sn.input("X", (N, 2), F), sn.input("W", (2, K), F)
C, R = sn.input("C", (N, 1), F), sn.input("R", (1, K), F)
v, b, u = sn.input("v", (N,), F), sn.input("b", (K,), F), sn.input("u", (M,), F)
one, c = sn.input("q", (1,), F), sn.input("c", (), F)
mean = sn.mean(Z, axis=1, keepdims=True)
spread = sn.sqrt(sn.mean((Z - mean) ** 2, axis=1, keepdims=True) + 0.1)

GRAPHS: dict[str, Expr] = {
    "column of a matrix": C[:, 0],
    "column less a vector": C[:, 0] - v,
    "row of a matrix": R[0],
    "a column sliced": Z[:, 1],
    "a column kept": Z[:, 1:2],
    "a column kept, squared": sn.sum((Z[:, 1:2] - C) ** 2),
    "an element": Z[2, 1] * c,
    "a vector as a column": v[:, None],
    "a vector as a row": b[None, :],
    "a vector as a column beside one": v[:, None] + C,
    "a vector beside each column": Z * v[:, None],
    "a sum beside each column": Z + v[:, None] + b,
    "a column beside each column": Z * C,
    "a row beside each row": Z * R,
    "a row less a vector": R - b,
    "a vector beside each row": Z * b - b,
    "two vectors": v[:, None] * b,
    "two vectors' sum": v[:, None] + b,
    "a quotient by a column": Z / (1 + sn.exp(v[:, None])),
    "a vector repeated": sn.broadcast_to(b, Z.shape),
    "a vector repeated and summed": sn.sum(sn.broadcast_to(b**2, Z.shape)),
    "a sum repeated and summed": sn.sum(Z * 0 + sn.sum(b)),
    "row sums repeated and summed": sn.sum(sn.broadcast_to(mean, Z.shape)),
    "a column repeated": sn.broadcast_to(C, Z.shape),
    "a number repeated": sn.broadcast_to(c, Z.shape) * 2,
    "one number of a vector": one[0] * Z,
    "a vector of one beside a matrix": X @ W[:, 0:1] + one,
    "a function of a repeated vector": sn.tanh(sn.broadcast_to(b, Z.shape)),
    "a repeated vector in a product": sn.broadcast_to(b, Z.shape) @ W.T,
    "a number in a product": X @ sn.broadcast_to(c, W.shape),
    "a column in a product": v[:, None] @ R,
    "a row in a product": b[None, :] @ W.T,
    "rows scaled in a product": (Z * v[:, None]) @ b,
    "columns scaled in a product": (Z * b) @ W.T,
    "both scaled in a product": (Z * v[:, None] * b * 2) @ W.T,
    "a scaled transpose": Z.T @ (X * sn.sigmoid(v)[:, None]),
    "the transpose of a product": (Z.T @ (X * v[:, None])).T,
    "the transpose of a sum": (Z + b).T @ X,
    "the transpose of a whole sum": (Z - 2 * T).T @ X,
    "the transpose of a sum with a column": (Z + v[:, None]).T,
    "means times a vector": sn.mean(sn.sin(Z), axis=0) @ b,
    "sums of products": sn.sum(Z * b, axis=0),
    "sums of products of rows": sn.sum(Z * T * b, axis=0) + b,
    "sums over columns": sn.sum(Z * v[:, None], axis=1),
    "sums of a column": sn.sum(C, axis=1),
    "sums kept": sn.sum(Z, axis=0, keepdims=True),
    "sums kept as a column": sn.sum(Z, axis=1, keepdims=True),
    "shares": Z / sn.sum(sn.exp(Z), axis=1, keepdims=True),
    "a normalised layer": (Z - mean) / spread * b,
    "the largest": sn.max(Z, axis=1),
    "an outer product": sn.outer(v, b) + Z,
    "softmax": sn.softmax(Z + b),
    "a slice placed": sn.grad(sn.sum(sn.sin(Z[:, 1])), Z),
    "a row placed": sn.grad(sn.sum(sn.sin(Z[2])), Z),
    "an element placed": sn.grad(sn.sin(v[2]), v),
    "a branch": sn.where(b < Z, Z, v[:, None]),
}
LOSSES: dict[str, tuple[Expr, list[Expr]]] = {
    "one output": (sn.mean((C[:, 0] - v) ** 2), [C, v]),
    "one output of a layer": (sn.mean(((X @ W[:, 0:1] + one)[:, 0] - v) ** 2), [W, X, one]),
    "column against column": (sn.mean((C - v[:, None]) ** 2), [C, v]),
    "weights a row": (sn.mean(sn.sin(Z) * v[:, None]), [Z, v]),
    "weights a column": (sn.mean(sn.sin(Z) * b), [Z, b]),
    "a column beside a matrix": (sn.sum(sn.tanh(Z * C)), [Z, C]),
    "a row beside a matrix": (sn.sum(sn.tanh(Z - R)), [Z, R]),
    "an outer sum": (sn.sum(sn.tanh(v[:, None] + b)), [v, b]),
    "a normalised layer": (sn.sum(((Z - mean) / spread * b) ** 2), [Z, b]),
    "a plain sum": (2 * sn.sum(Z), [Z]),
    "a product of a scaled matrix": (sn.sum(((Z * v[:, None]) @ W.T) ** 2), [Z, v, W]),
}
GRADIENTS = {
    f"{name}, by {target.name}": sn.grad(loss, target)
    for name, (loss, targets) in LOSSES.items()
    for target in targets
}
HESSIAN = sn.hessian(sn.mean(sn.softplus(Z @ b + c)) + 0.05 * sn.sum(b**2), b)
CASES = {**GRAPHS, **GRADIENTS, "a Hessian": HESSIAN}


def feeds_of(expr: Expr) -> dict[str, np.ndarray]:
    leaves = [leaf for leaf in topological([expr]) if leaf.name and not leaf.args]
    rng = np.random.default_rng(7)
    return {
        str(leaf.name): rng.normal(size=[int(str(size)) for size in leaf.shape]) for leaf in leaves
    }


def printed(expr: Expr) -> np.ndarray:
    """The value of the expression's formula, from what is printed."""
    translator = Translator([expr])
    translator.define_long([expr])
    formula = translator.body(expr)
    return np.asarray(printed_value(translator, formula, {**feeds_of(expr), "I": np.eye(K)}))


@pytest.mark.parametrize("name", CASES)
def test_the_printed_formula_has_the_value(name: str) -> None:
    expr = CASES[name]
    value, true = printed(expr), np.asarray(sn.evaluate(expr, feeds_of(expr), stabilize=False))
    if "where" in str(expr) and value.shape == (*true.shape, 1):
        value = value[..., 0]  # a name of the legend that stands beside rows
    assert np.broadcast_shapes(value.shape, true.shape) == true.shape, str(expr)
    whole = np.broadcast_to(value, true.shape)
    np.testing.assert_allclose(whole, true, rtol=1e-12, atol=1e-14, err_msg=str(expr))


@pytest.mark.parametrize("name", CASES)
def test_the_index_form_has_the_value_of_an_element(name: str) -> None:
    expr = CASES[name]
    true = np.asarray(sn.evaluate(expr, feeds_of(expr), stabilize=False))
    translator = Translator([expr], expand=True)
    translator.define_long([expr])
    indices = translator.letters(expr.shape)
    with translator.inside(indices):
        element = translator.body_element(expr, indices)
    place = tuple(size - 1 for size in true.shape)
    at = {i.name: k for i, k in zip(indices, place, strict=True) if isinstance(i, Symbol)}
    env = {**feeds_of(expr), "I": np.eye(K), **at}
    assert printed_value(translator, element, env) == pytest.approx(true[place], rel=1e-12)
