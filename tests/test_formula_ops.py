"""Every row of the op table prints in every form, in signs rather than words, and prints the truth.

The matrix form, the index form and the components are computed from the printed formulas alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from formula_values import component_values, printed_value
from samples import SAMPLES, Sample
from test_formula import is_balanced

import symnet as sn
from symnet.errors import GraphError
from symnet.expr import Expr, topological
from symnet.formula import formula
from symnet.formula.translate import Translator
from symnet.formula.tree import Symbol
from symnet.formula.written import scalar_equations
from symnet.ops.leaves import NAMED
from symnet.ops.table import POINTWISE
from symnet.ops.views import IDENTITY
from symnet.sizes import Size

WORDS = re.compile(
    r"\b(add|subtract|multiply|divide|pow|negative|less|equal|not|logical_\w+|isfinite|xlog\w+"
    r"|expm1|log1p|maximum|minimum|absolute|logsumexp|log_softmax|reshape|permute|slice|place"
    r"|concat|einsum|gather|scatter\w*|broadcast|cast|iota|identity|polynomial|axis)\b"
)
FORMS = [(form, to) for form in ("matrix", "index", "scalar") for to in ("text", "latex", "mathml")]


def pointwise_sample(name: str) -> tuple[Expr, dict[str, np.ndarray]]:
    """A row of matrices of different values within its domain."""
    row, rng = POINTWISE[name], np.random.default_rng(2)
    operands, values = [], {}
    for place in range(row.arity):
        low, high = row.domain[min(place, len(row.domain) - 1)]
        truth = row.accepts == "bool" or (name == "where" and not place)
        operand = sn.input(f"x_{place}", (2, 3), "bool" if truth else "float64")
        operands.append(operand)
        values[f"x_{place}"] = (
            rng.integers(0, 2, (2, 3)) > 0 if truth else rng.uniform(low, high, (2, 3))
        )
    return row(*operands), values


def expressions(sample: Sample) -> Iterator[Expr]:
    yield sample.output
    total = sn.sum(sample.output)
    for leaf in sample.wrt:
        yield sn.grad(total, leaf)


def known_to(expr: Expr, given: dict[str, np.ndarray], leaves: Sequence[Expr]) -> dict[str, object]:
    """Data, sizes, the user's intermediates, and the identity matrix if there is one."""
    found: dict[str, object] = dict(given)
    for leaf in leaves:
        pairs = zip(leaf.shape, given[str(leaf.name)].shape, strict=True)
        found |= {str(size): number for size, number in pairs if isinstance(size, Size)}
    for node in topological([expr]):
        if node.op is IDENTITY:
            size = node.attrs["size"]
            found["I"] = np.eye(size.value(found) if isinstance(size, Size) else size)
        if node.op is NAMED:
            found[str(node.name)] = sn.evaluate(node, given)
    return found


def fed(given: dict[str, np.ndarray], leaves: Sequence[Expr]) -> dict[Any, np.ndarray]:
    """The data by its inputs: so it says sizes also where an input is no part of an expression."""
    return {leaf: given[str(leaf.name)] for leaf in leaves} if leaves else dict(given)


def printed(
    expr: Expr, form: str, given: dict[str, np.ndarray], leaves: Sequence[Expr]
) -> tuple[object, object]:
    """The printed formula's value, and the true one: of the last element in index form."""
    true = np.asarray(sn.evaluate(expr, fed(given, leaves), stabilize=False))
    translator = Translator([expr], expand=form == "index")
    translator.define_long([expr])
    env = known_to(expr, given, leaves)
    if form == "matrix":
        found = np.asarray(printed_value(translator, translator.whole(expr), env))
        return np.broadcast_to(found, true.shape), true
    indices = translator.letters(expr.shape)
    with translator.inside(indices):
        element = translator.body_element(expr, indices)
    place = tuple(size - 1 for size in true.shape)
    at = {i.name: k for i, k in zip(indices, place, strict=True) if isinstance(i, Symbol)}
    return printed_value(translator, element, {**env, **at}), true[place]


def check(expr: Expr, given: dict[str, np.ndarray], leaves: Sequence[Expr]) -> None:
    value = np.asarray(sn.evaluate(expr, fed(given, leaves)))
    if any(array.size == 0 for array in (value, *given.values())):
        assert formula(expr)
        return
    for form in ("matrix", "index"):
        found, true = printed(expr, form, given, leaves)
        np.testing.assert_allclose(found, true, rtol=1e-12, atol=1e-14, err_msg=f"{form}: {expr}")
    sizes = [(*node.shape, node.attrs.get("size", 1)) for node in topological([expr])]
    fixed = not any(isinstance(size, Size) for shape in sizes for size in shape)
    for form, to in FORMS if fixed else FORMS[:6]:
        shown = formula(expr, form, to)
        assert to == "mathml" or not WORDS.search(shown), shown
        assert to != "latex" or (is_balanced(shown) and shown.isascii()), shown
    if fixed:
        found = component_values(scalar_equations(expr), given)
        true = np.asarray(sn.evaluate(expr, given, stabilize=False))
        np.testing.assert_allclose(found, true.ravel(), rtol=1e-12, atol=1e-14)
    else:
        with pytest.raises(GraphError, match="named size"):
            formula(expr, "scalar")


@pytest.mark.parametrize("name", POINTWISE)
def test_a_pointwise_row_prints_the_truth(name: str) -> None:
    expr, given = pointwise_sample(name)
    check(expr, given, [])
    leaf = topological([expr])[-2] if expr.args else expr
    floats = [node for node in topological([expr]) if not node.args and node.dtype == "float64"]
    if leaf.args or expr.dtype != "float64":
        return
    for operand in floats:
        check(sn.grad(sn.sum(expr), operand), given, [])


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_every_other_row_prints_the_truth(sample: Sample) -> None:
    given = {str(leaf.name): value for leaf, value in sample.values.items()}
    for expr in expressions(sample):
        check(expr, given, list(sample.values))


def test_a_word_is_seen() -> None:
    assert WORDS.search("not(c)")
    assert WORDS.search("reshape(X, 3)")
    assert not WORDS.search("x  where  x = 1")
