"""What is printed is read back: text -> grammar -> expression -> the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from test_formula_goldens import SHEETS
from test_formula_networks import NETWORKS, feeds_of
from test_formula_sheets import MODELS

import symnet as sn
from symnet.errors import ShapeError
from symnet.expr import Expr, topological
from symnet.formula import gradients as sheet_of
from symnet.parse import parse_formula, parse_sheet

SIZES = {"N": 6, "K": 3, "M": 2}
RELATIVE, ABSOLUTE = 1e-12, 1e-13


def leaves(*outputs: Expr) -> dict[str, Expr]:
    """The inputs, parameters and intermediates with names."""
    found = [node for node in topological(list(outputs)) if node.name]
    return {str(node.name): node for node in found}


def numbers(names: dict[str, Expr]) -> dict[str, np.ndarray]:
    """Data for them: shares for targets, labels below 3, moderate numbers for the rest."""
    rng = np.random.default_rng(5)
    found = {}
    for name, leaf in names.items():
        shape = [SIZES[size] if isinstance(size, str) else size for size in leaf.shape]
        if leaf.args:
            continue
        if leaf.dtype.kind == "i":
            found[name] = rng.integers(0, 3, shape)
        elif name == "Y":
            found[name] = rng.uniform(0.05, 0.95, shape)
        else:
            found[name] = rng.uniform(-0.8, 0.8, shape)
    return found


def read_back(sheet: object, loss: Expr) -> dict[str, Expr]:
    """What the printed sheet defines, from its text alone."""
    named = {name: leaf for name, leaf in leaves(loss).items() if not leaf.args}
    return parse_sheet(str(sheet), named)


def assert_same_gradients(loss: Expr, sheet: object = None) -> None:
    """The text of the sheet gives the loss and each gradient."""
    sheet = sheet_of(loss) if sheet is None else sheet
    found = read_back(sheet, loss)
    named = [name for name in found if not name.startswith("∂")]
    total = "L" if "L" in found else loss.name
    wanted = {f"∂{total}/∂{name}": gradient for name, gradient in sheet.items()}  # type: ignore[attr-defined]
    assert set(wanted) == {name for name in found if name.startswith("∂")}, str(sheet)
    assert named
    pairs = [(found[name], gradient) for name, gradient in wanted.items()]
    pairs.append((found[str(total)], loss))
    feeds = numbers(leaves(loss))
    values = sn.evaluate([part for pair in pairs for part in pair], feeds)
    for place, (mine, true) in enumerate(zip(values[::2], values[1::2], strict=True)):
        assert mine.shape == true.shape
        note = f"{[*wanted, total][place]}\n{sheet}"
        np.testing.assert_allclose(mine, true, RELATIVE, ABSOLUTE, err_msg=note)
        assert np.isfinite(true).all()


with sn.default_dtype("float64"):
    X, Y = sn.input("X", ("N", 4)), sn.input("Y", ("N", 3))
    labels, rows = sn.input("y", ("N",), dtype="int64"), sn.input("r", ("N",))

SOFT = [
    "mse", "mae", "huber", "hinge", "binary_cross_entropy",
    "binary_cross_entropy_from_probabilities", "cross_entropy", "nll",
    "cross_entropy_from_probabilities", "kl_divergence",
]  # fmt: skip
HARD = ["cross_entropy", "nll", "cross_entropy_from_probabilities"]
LOSSES = [(name, Y) for name in SOFT] + [(name, labels) for name in HARD]
REDUCTIONS = ("mean", "sum", "none")


def loss_of(name: str, output: Expr, target: Expr, **more: object) -> Expr:
    if "probabilities" in name:
        output = sn.sigmoid(output)
    loss = getattr(sn.losses, name)(output, target, **more)
    return loss if loss.shape == () else sn.sum(loss**2)


def chain(depth: int, activation: object) -> Callable[[Expr], Expr]:
    sizes = [*[4, 5, 5][:depth], 3]
    return sn.nn.Sequential(
        *(
            sn.nn.Dense(before, after, activation=activation, name=f"l{k}")
            for k, (before, after) in enumerate(pairwise(sizes))
        )
    )


def test_every_loss_of_the_library_is_here() -> None:
    given = {name for name in dir(sn.losses) if hasattr(getattr(sn.losses, name), "__kwdefaults__")}
    with_reduction = {
        name for name in given if "reduction" in (getattr(sn.losses, name).__kwdefaults__ or {})
    }
    assert with_reduction == set(SOFT)


@pytest.mark.parametrize("activation", sn.nn.ACTIVATIONS)
@sn.default_dtype("float64")
def test_every_layer_with_every_loss(activation: str) -> None:
    for name, target in LOSSES:
        for reduction in REDUCTIONS:
            output = chain(1, activation)(X)
            assert_same_gradients(loss_of(name, output, target, reduction=reduction))


@pytest.mark.parametrize("activation", sn.nn.ACTIVATIONS)
@pytest.mark.parametrize("depth", [2, 3])
@sn.default_dtype("float64")
def test_deeper_networks(depth: int, activation: str) -> None:
    for name, target in (("mse", Y), ("cross_entropy", labels)):
        loss = loss_of(name, chain(depth, activation)(X), target)
        assert_same_gradients(loss, sn.gradients(loss))


@pytest.mark.parametrize("name", SOFT)
@sn.default_dtype("float64")
def test_weighted_losses(name: str) -> None:
    for weight in (rows, sn.input("V", ("N", 3))):
        try:
            loss = loss_of(name, chain(1, None)(X), Y, weight=weight)
        except ShapeError:
            continue  # this loss has one number a row, or one an element
        assert_same_gradients(loss)
        break
    else:
        pytest.fail("no weight fits")


@sn.default_dtype("float64")
def normalized(x: Expr, axis: int) -> Expr:
    gain, shift = sn.parameter("g", (4,)), sn.parameter("h", (4,))
    mean = sn.mean(x, axis=axis, keepdims=True)
    spread = sn.mean((x - mean) ** 2, axis=axis, keepdims=True)
    return (x - mean) / sn.sqrt(spread + 1e-5) * gain + shift


def layer_norm() -> Expr:
    return sn.losses.mse(normalized(X @ sn.parameter("W", (4, 4)), 1), X)


def batch_norm() -> Expr:
    return sn.losses.mse(normalized(X @ sn.parameter("W", (4, 4)), 0), X)


def attention() -> Expr:
    queries, keys, values = (sn.parameter(f"W_{name}", (4, 3)) for name in "qkv")
    scores = (X @ queries) @ (X @ keys).T / np.sqrt(3.0)
    return sn.losses.mse(sn.softmax(scores) @ (X @ values), Y)


def logistic_regression() -> Expr:
    w, b = sn.parameter("w", (4,)), sn.parameter("b", ())
    loss = sn.losses.binary_cross_entropy(X @ w + b, sn.sigmoid(rows))
    return loss + 0.05 * sn.sum(w**2)


def recurrence() -> Expr:
    w, u = sn.parameter("W", (4, 3)), sn.parameter("U", (3, 3))
    state = sn.tanh(X @ w)
    for _ in range(2):
        state = sn.tanh(X @ w + state @ u)
    return sn.losses.mse(state, Y)


def ridge() -> Expr:
    w = sn.parameter("w", (4,))
    return sn.sum((X @ w - rows) ** 2) / 2 + 0.1 * sn.norm(w) ** 2


def margins() -> Expr:
    scores = sn.nn.Dense(4, 3, name="d")(X)
    return sn.mean(sn.max(scores, axis=1) - sn.logsumexp(scores, axis=1) * rows)


def pairs() -> Expr:
    a = sn.tanh(X @ sn.parameter("w", (4,)))
    return sn.mean((a[:, None] - a) ** 2)


def embedding() -> Expr:
    table = sn.parameter("E", (3, 4))
    return sn.losses.mse(sn.take(table, labels), X)


WRITTEN = [
    layer_norm, batch_norm, attention, logistic_regression, recurrence, ridge, margins, embedding,
]  # fmt: skip


@pytest.mark.parametrize("model", [*WRITTEN, *MODELS])
@sn.default_dtype("float64")
def test_networks_that_users_write(model: Callable[[], Expr]) -> None:
    loss = model()
    assert_same_gradients(loss, sn.gradients(loss))


@pytest.mark.parametrize("name", SHEETS)
def test_the_golden_sheets_are_read(name: str) -> None:
    sheet = SHEETS[name]()
    found = read_back(sheet, sheet.loss)
    assert sum(line.startswith("∂") for line in found) == len(sheet)


@pytest.mark.parametrize("model", [attention, logistic_regression])
@sn.default_dtype("float64")
def test_the_text_gives_the_compiled_gradient(model: Callable[[], Expr]) -> None:
    loss = model()
    sheet = sn.gradients(loss)
    found = read_back(sheet, loss)
    names = leaves(loss)
    compiled = sn.compile(list(sheet.values()))
    feeds = numbers(names)
    for name, value in zip(sheet, compiled(feeds), strict=True):
        mine = sn.evaluate(found[f"∂L/∂{name}"], feeds)
        np.testing.assert_allclose(mine, value, RELATIVE, ABSOLUTE)


@sn.default_dtype("float64")
def test_the_comparison_sees_a_sign() -> None:
    loss = sn.losses.mse(sn.nn.Dense(4, 3, name="d")(X), Y)
    text = str(sn.gradients(loss)).replace("= 2/(N·3) (Z_d − Y)", "= 2/(N·3) (Z_d + Y)")
    with pytest.raises(AssertionError):
        assert_same_gradients(loss, _Altered(text, sn.gradients(loss)))


class _Altered(dict):  # type: ignore[type-arg]
    """A sheet with another text."""

    def __init__(self, text: str, sheet: object) -> None:
        super().__init__(sheet)  # type: ignore[call-overload]
        self.text = text

    def __str__(self) -> str:
        return self.text


# Random expressions: each strategy makes expressions of one shape.
with sn.default_dtype("float64"):
    a, b = sn.input("a"), sn.input("b")
    v, u, t = sn.input("v", ("N",)), sn.input("u", ("K",)), sn.input("t", ("N",))
    A, B = sn.input("A", ("N", "K")), sn.input("B", ("N", "K"))
    W = sn.input("W", ("K", "M"))
FUNCTIONS = [sn.tanh, sn.sigmoid, sn.exp, sn.abs, sn.relu, sn.sin, sn.softplus, lambda x: x**2,
             lambda x: -x, lambda x: 1 - x, lambda x: x**3 / 3, lambda x: 0.5 * x]  # fmt: skip
JOINTS = [lambda x, y: x + y, lambda x, y: x - y, lambda x, y: x * y, sn.maximum,
          lambda x, y: x / (1 + y * y), lambda x, y: sn.where(x > y, x, y / 2)]  # fmt: skip
Drawn = st.SearchStrategy[Expr]


def elements(atoms: Drawn, others: Callable[[Drawn], list[Drawn]]) -> Drawn:
    """Expressions of one shape, from atoms, functions of elements, and ways from other shapes."""

    def grown(inner: Drawn) -> Drawn:
        one = st.builds(lambda f, x: f(x), st.sampled_from(FUNCTIONS), inner)
        two = st.builds(lambda f, x, y: f(x, y), st.sampled_from(JOINTS), inner, inner)
        return st.one_of(one, two, *others(inner))

    return st.recursive(atoms, grown, max_leaves=5)


vectors = elements(
    st.sampled_from([v, t]),
    lambda inner: [
        st.builds(lambda x: (A @ u) * x, inner),
        st.builds(lambda x: sn.sum(A * x[:, None], axis=1), inner),
        st.builds(lambda x: a * x + b, inner),
    ],
)
matrices = elements(
    st.sampled_from([A, B]),
    lambda inner: [
        st.builds(lambda x: x + u, inner),
        st.builds(lambda x: x * u - a, inner),
        st.builds(lambda x, y: x * y[:, None], inner, vectors),
        st.builds(lambda x: sn.outer(v, u) - x, inner),
        st.builds(lambda x: (x @ W) @ W.T, inner),
        st.builds(lambda x: x @ (B.T @ x), inner),
        st.builds(lambda x: sn.softmax(x), inner),
        st.builds(lambda x: x - sn.mean(x, axis=1, keepdims=True), inner),
        st.builds(lambda x: x - sn.mean(x, axis=0), inner),
        st.builds(lambda x: (x.T * v).T, inner),
    ],
)
scalars = elements(
    st.sampled_from([a, b]),
    lambda inner: [
        st.builds(lambda x, y: sn.mean(x * y), inner, matrices),
        st.builds(lambda y: sn.sum(y**2), matrices),
        st.builds(lambda y: sn.dot(y, v), vectors),
        st.builds(lambda x: x * sn.log(1 + x * x), inner),
        st.builds(lambda x: sn.sqrt(1 + x * x), inner),
    ],
)


def assert_same_value(expr: Expr) -> None:
    names = leaves(a, b, v, u, t, A, B, W)
    text = sn.formula(expr)
    found = parse_formula(text, names, shape=expr.shape).expr
    feeds = numbers(names)
    mine, true = sn.evaluate([found, expr], feeds, stabilize=False)
    scale = float(np.max(np.abs(true), initial=0.0))
    np.testing.assert_allclose(mine, true, RELATIVE, RELATIVE * scale + ABSOLUTE, err_msg=text)


@settings(max_examples=60)
@given(st.one_of(scalars, vectors, matrices))
def test_random_expressions(expr: Expr) -> None:
    assert_same_value(expr)


@settings(max_examples=25)
@given(scalars)
def test_gradients_of_random_losses(loss: Expr) -> None:
    for leaf in leaves(loss).values():
        assert_same_value(sn.grad(loss, leaf))


@settings(max_examples=25)
@given(scalars)
def test_sheets_of_random_losses(loss: Expr) -> None:
    assume(loss.args)
    given = leaves(a, b, v, u, t, A, B, W)
    sheet = sheet_of(loss)
    found = parse_sheet(str(sheet), given)
    feeds = numbers(given)
    for name, gradient in sheet.items():
        (mine,) = [found[key] for key in found if key.endswith(f"/∂{name}")]
        value, true = sn.evaluate([mine, gradient], feeds, stabilize=False)
        np.testing.assert_allclose(value, true, 1e-11, 1e-12, err_msg=str(sheet))


@pytest.mark.parametrize("name", NETWORKS)
@sn.default_dtype("float64")
def test_textbook_networks(name: str) -> None:
    loss = NETWORKS[name]()
    sheet = sn.gradients(loss)
    found = read_back(sheet, loss)
    feeds = feeds_of(loss)
    for parameter, gradient in sheet.items():
        (mine,) = [found[key] for key in found if key.endswith(f"/∂{parameter}")]
        value, true = sn.evaluate([mine, gradient], feeds)
        scale = float(np.max(np.abs(true), initial=0.0))
        np.testing.assert_allclose(value, true, RELATIVE, RELATIVE * scale + ABSOLUTE)
