"""Every pointwise row: partials, conventions, dtypes, and that a wrong partial is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from derivatives import COMPLEX_STEP, complex_step, error, mpmath_difference
from pointwise_cases import SHAPES, arguments

import symnet as sn
from symnet.errors import DtypeError
from symnet.expr import Expr
from symnet.ops.core import DTYPES
from symnet.ops.pointwise import Pointwise, Select
from symnet.ops.table import POINTWISE
from symnet.reference import evaluate

ROWS = list(POINTWISE.values())
SMOOTH = [row for row in ROWS if row.gives == "same" and row.accepts != "bool"]
ids = lambda row: row.name  # noqa: E731


def partial_errors(row: Pointwise, shapes: str, against: Callable) -> list[float]:
    """How far the stated partials are from the true ones: first order, second order, and both
    modes against each other, for every argument."""
    values = arguments(row, shapes)
    floats = [leaf for leaf in values if leaf.dtype.kind == "f"]
    generator = np.random.default_rng(1)
    along = {leaf: generator.uniform(0.5, 1.5, values[leaf].shape) for leaf in floats}
    y = row(*values)
    weight = generator.uniform(0.5, 1.5, evaluate(y, values).shape)
    errors = []
    for x in floats:
        first = sn.jvp(y, x, sn.constant(along[x]))
        (true,) = against([y], values, {x: along[x]})
        errors.append(error(evaluate(first, values), true))
        back = sn.vjp(y, x, sn.constant(weight))
        found = evaluate(back, values)
        errors.append(error(np.sum(found * along[x]), np.sum(true * weight)))
        for other in floats:
            second = sn.jvp(first, other, sn.constant(along[other]))
            (true_second,) = against([first], values, {other: along[other]})
            errors.append(error(evaluate(second, values), true_second))
    return errors


@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize("row", SMOOTH, ids=ids)
def test_partials_equal_the_complex_step(row: Pointwise, shapes: str):
    assert max(partial_errors(row, shapes, complex_step)) <= 1e-11


@pytest.mark.parametrize("row", SMOOTH, ids=ids)
def test_partials_equal_differences_in_many_digits(row: Pointwise):
    assert max(partial_errors(row, "equal", mpmath_difference)) <= 1e-11


def _perturbed(row: Pointwise, index: int) -> Pointwise:
    if isinstance(row, Select):
        return _WrongSelect(**{name: getattr(row, name) for name in row.__dataclass_fields__})
    partials = list(row.partials)
    right = partials[index]

    def wrong(y: Expr, *args: Expr) -> Expr:
        found = right(y, *args)
        return 0.001 + 0 * args[index] if found is None else found * 1.001

    partials[index] = wrong
    return replace(row, partials=tuple(partials))


class _WrongSelect(Select):
    def pullback(self, node: Expr, adjoint: Expr, index: int) -> Expr | None:
        return super().pullback(node, adjoint * 1.001, index)


@pytest.mark.parametrize("against", [complex_step, mpmath_difference])
@pytest.mark.parametrize(
    ("row", "index"),
    [(row, k) for row in SMOOTH for k in range(row.arity)],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_a_perturbed_partial_is_found(row: Pointwise, index: int, against: Callable):
    assert max(partial_errors(_perturbed(row, index), "equal", against)) > 1e-6


def test_what_is_called_analytic_is_analytic():
    """The complex step of the row itself in many directions of the plane: Cauchy and Riemann."""
    for row in SMOOTH:
        if not row.analytic:
            continue
        values = arguments(row, "equal")
        y = row(*values)
        for x in values:
            (true,) = mpmath_difference([y], values, {x: np.ones(values[x].shape)})
            (found,) = complex_step([y], values, {x: np.ones(values[x].shape)})
            assert error(found, true) <= 1e-11, row.name
    assert COMPLEX_STEP < 1e-20


# Per row with a convention: arguments (a string is an input of that value), derivative by each.
INF = np.inf
CONVENTIONS: dict[str, list[tuple[list, list[float]]]] = {
    "pow": [
        ([0.0, "0"], [0.0, 0.0]),
        (["0", 0], [0.0]),
        (["0", 1], [1.0]),
        (["0", 2], [0.0]),
        (["0", 3.5], [0.0]),
        (["0", 0.5], [INF]),
        (["-2", 3], [12.0]),
        (["-2", 2], [-4.0]),
        (["0", "2"], [0.0, 0.0]),
        (["0", "1"], [1.0, 0.0]),
    ],
    "sqrt": [(["0"], [INF])],
    "hypot": [(["0", "0"], [0.0, 0.0]), (["3", "4"], [0.6, 0.8])],
    "xlogy": [(["0", "1"], [0.0, 0.0]), ([0.0, "0"], [0.0])],
    "xlog1py": [(["0", "0"], [0.0, 0.0]), ([0.0, "-1"], [0.0])],
    "abs": [(["0"], [0.0]), (["-2"], [-1.0]), (["3"], [1.0])],
    "sign": [(["0"], [0.0]), (["2"], [0.0])],
    "floor": [(["0"], [0.0]), (["1.5"], [0.0])],
    "maximum": [
        (["1", "1"], [0.5, 0.5]),
        (["1", 1], [0.0]),
        ([1, "1"], [0.0]),
        (["2", 1], [1.0]),
        (["2", "1"], [1.0, 0.0]),
    ],
    "minimum": [
        (["1", "1"], [0.5, 0.5]),
        (["1", 1], [0.0]),
        ([1, "1"], [0.0]),
        (["0", 1], [1.0]),
        (["0", "1"], [1.0, 0.0]),
    ],
}


def test_every_convention_has_its_cases():
    assert set(CONVENTIONS) == {row.name for row in ROWS if row.convention}


@pytest.mark.parametrize(
    ("name", "case"), [(name, case) for name, cases in CONVENTIONS.items() for case in cases]
)
def test_conventions(name: str, case: tuple):
    given, wanted = case
    feeds = {sn.input("ab"[k], (), "float64"): float(v) for k, v in enumerate(given)
             if isinstance(v, str)}  # fmt: skip
    leaves = iter(feeds)
    args = [next(leaves) if isinstance(value, str) else value for value in given]
    y = POINTWISE[name](*args)
    for leaf, true in zip(feeds, wanted[-len(feeds) :], strict=True):
        gradient = sn.grad(y, leaf)
        forward = sn.jvp(y, leaf, sn.ones_like(leaf))
        assert evaluate(gradient, feeds) == true
        assert evaluate(forward, feeds) == true


def test_conventions_of_composites():
    x = sn.input("x", (3,), "float64")
    for y, data, true in (
        (sn.sum(sn.relu(x)), [0, -1, 1], [0, 0, 1]),
        (sn.sum(sn.clip(x, 0, 1)), [0, 0.5, 1], [0, 1, 0]),
        (sn.norm(x), [0, 0, 0], [0, 0, 0]),
        (sn.std(x), [2, 2, 2], [0, 0, 0]),
        (sn.max(x), [1, 1, 0], [0.5, 0.5, 0]),
        (sn.min(x), [1, 1, 2], [0.5, 0.5, 0]),
        (sn.sum(sn.hardtanh(x)), [-1, 0, 1], [0, 1, 0]),
    ):
        assert evaluate(sn.grad(y, x), {x: data}).tolist() == true
        second = sn.hessian(y, x)
        assert np.isfinite(evaluate(second, {x: data})).all()


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "bool"])
@pytest.mark.parametrize("row", ROWS, ids=ids)
def test_dtypes_and_shapes_are_as_stated(row: Pointwise, dtype: str):
    kind = DTYPES[dtype].kind
    values = arguments(row, "row", "float64" if row.accepts == "bool" else "int64")
    if row.accepts != "bool":
        cast = {leaf: array.astype(dtype) for leaf, array in values.items() if array.dtype != bool}
        values = {sn.input(leaf.name, leaf.shape, dtype if leaf in cast else "bool"):
                  cast.get(leaf, array) for leaf, array in values.items()}  # fmt: skip
    refused = (row.accepts == "float" and kind != "f") or (row.accepts == "number" and kind == "b")
    if refused:
        with pytest.raises(DtypeError, match=f"{row.name} takes"):
            row(*values)
        return
    y = row(*values)
    found = evaluate(y, values)
    assert found.dtype == y.dtype
    assert found.shape == y.shape == np.broadcast_shapes(*(leaf.shape for leaf in values))
