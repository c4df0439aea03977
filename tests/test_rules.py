"""Every rule is an equation that holds on its whole domain, and fires."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice, product
from typing import Any

import mpmath
import numpy as np
import pytest

import symnet as sn
from symnet.expr import Expr, rebuild, topological
from symnet.ops.core import BOOL, number
from symnet.ops.leaves import INPUT, STEP
from symnet.ops.table import add, multiply, negative
from symnet.reference.evaluation import interpret, namespace_of
from symnet.reference.over_mpmath import MpmathNamespace
from symnet.rules.corrections import CORRECTIONS
from symnet.rules.match import build, match
from symnet.rules.rule import REALS, VARIABLE, AnyRule, Rule, Structural
from symnet.rules.stable import LAST
from symnet.simplify import SIMPLIFY, STABILISE, rewrite, stabilize
from symnet.sizes import size_names

RULES = list(dict.fromkeys([*SIMPLIFY, *STABILISE, *LAST, *CORRECTIONS]))
EQUATIONS = [rule for rule in RULES if isinstance(rule, Rule)]
STRUCTURAL = [rule for rule in RULES if isinstance(rule, Structural)]
# Digits enough to see past the cancellation of 1 - tanh(300)^2, which is of the order 1e-260.
DIGITS = 400
TOLERANCE = mpmath.mpf(10) ** -60
ADVERSARIAL = (
    0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, 5e-324, -5e-324, 1e-200, -1e-200, 1e-17, -1e-17,
    20.0, -20.0, 36.7, -36.7, 300.0, -300.0,
)  # fmt: skip
FAR = (709.9, -745.2, 1e4, -1e4, 1e200, -1e200)


def points(interval: tuple[float, float], many: bool, seed: int) -> list[float]:
    """Random and adversarial points of an interval; the adversarial alone where many multiply."""
    low, high = interval
    random = np.random.default_rng(seed)
    drawn = [*random.normal(0, 3, 20), *random.normal(0, 60, 10)]
    near = [edge + sign * step for edge in interval if math.isfinite(edge)
            for step in (1e-3, 1e-12) for sign in (1, -1)]  # fmt: skip
    candidates = [*ADVERSARIAL, *near, *(drawn[:3] if many else [*drawn, *FAR])]
    return [float(point) for point in candidates if low <= point <= high]


def scalar_cases(rule: Rule) -> list[dict[Expr, np.ndarray[Any, Any]]]:
    """Values for the variables of a rule over scalars: all combinations of points."""
    real = [leaf for leaf in rule.variables if leaf.dtype != BOOL]
    grids = [
        [True, False]
        if leaf.dtype == BOOL
        else points(rule.domain.get(leaf.attrs["name"], REALS), len(real) > 1, seed)
        for seed, leaf in enumerate(rule.variables)
    ]
    rows = np.array(list(islice(product(*grids), 4000)), object)
    if not len(rows):
        return []
    return [{leaf: rows[:, k] for k, leaf in enumerate(rule.variables)}]


def matrix_cases(rule: Rule) -> list[dict[Expr, np.ndarray[Any, Any]]]:
    """Values for a rule over rows: ordinary, large, far apart, equal, one column."""
    random = np.random.default_rng(7)
    cases = []
    for columns, spread in ((4, 1.0), (4, 100.0), (3, 0.0), (1, 2.0), (5, 300.0)):
        values: dict[Expr, np.ndarray[Any, Any]] = {}
        for leaf in rule.variables:
            if leaf.dtype.kind == "i":
                values[leaf] = random.integers(0, columns, 6)
            else:
                shape = (6, columns) if leaf.ndim == 2 else (6,)
                values[leaf] = random.normal(0, 1, shape).astype(object) * spread
        cases.append(values)
    return cases


def cases_of(rule: Rule) -> list[dict[Expr, np.ndarray[Any, Any]]]:
    over_rows = any(leaf.ndim for leaf in rule.variables)
    return matrix_cases(rule) if over_rows else scalar_cases(rule)


def sizes_of(values: Mapping[Expr, np.ndarray[Any, Any]]) -> dict[str, int]:
    return {
        str(size): length
        for leaf, array in values.items()
        for size, length in zip(leaf.shape, array.shape, strict=False)
    }


def check_equal(rule: Rule) -> int:
    """Asserts both sides equal wherever the left is defined; the number of such points."""
    compared = 0
    for values in cases_of(rule):
        typed = {
            leaf: array.astype(leaf.dtype if leaf.dtype.kind in "bi" else np.float64)
            for leaf, array in values.items()
        }
        with mpmath.workdps(DIGITS), MpmathNamespace.settings():
            left, right = interpret(
                [rule.left, rule.right], typed, sizes_of(typed), MpmathNamespace
            )
            for true, found in np.broadcast(left, right):
                if isinstance(true, bool | np.bool_):
                    assert true == found
                elif mpmath.isfinite(true):
                    # Beyond the digits carried, a true value counts as the zero it cancels to.
                    small = mpmath.mpf(10) ** (-DIGITS // 2 - 80)
                    assert abs(true - found) <= TOLERANCE * abs(true) + small, (true, found)
                else:
                    continue
                compared += 1
    return compared


@pytest.mark.parametrize("rule", EQUATIONS, ids=lambda rule: rule.name)
def test_both_sides_are_equal_on_the_whole_domain(rule: Rule):
    assert check_equal(rule) >= 2


def perturbed(rule: Rule) -> Rule:
    """The rule with a right side that is wrong by a part in a thousand, or negated."""
    if rule.right.dtype == BOOL:
        return replace(rule, right=sn.logical_not(rule.right))
    return replace(rule, right=add(multiply(rule.right, 1.001), 1e-4))


@pytest.mark.parametrize("rule", EQUATIONS, ids=lambda rule: rule.name)
def test_a_wrong_right_side_is_found(rule: Rule):
    with pytest.raises(AssertionError):
        check_equal(perturbed(rule))


def sample(rule: Rule) -> dict[Expr, Expr]:
    """An input, or a constant that the variable accepts, for each variable of a rule."""
    chosen: dict[Expr, Expr] = {}
    for leaf in rule.variables:
        name = leaf.attrs["name"]
        accepts = leaf.attrs["accepts"]
        shape = tuple(str(size) for size in leaf.shape) or (() if accepts else ("N", 3))
        chosen[leaf] = number(2.0, leaf.dtype) if accepts else sn.input(name, shape, leaf.dtype)
    return chosen


def instance(pattern: Expr, chosen: Mapping[Expr, Expr]) -> Expr:
    """A pattern with expressions in place of its variables."""
    made: dict[Expr, Expr] = {}
    for node in topological([pattern]):
        args = tuple(made[arg] for arg in node.args)
        if node.op is VARIABLE:
            made[node] = chosen[node]
        elif hasattr(node.op, "arity"):
            made[node] = node.op(*args)
        else:
            made[node] = rebuild(node, args)
    return made[pattern]


@pytest.mark.parametrize("rule", EQUATIONS, ids=lambda rule: rule.name)
def test_each_rule_fires(rule: Rule):
    left = instance(rule.left, sample(rule))
    found = match(rule, left)
    assert found is not None
    right = build(rule, left, found)
    assert right is not left
    assert (right.shape, right.dtype) == (left.shape, left.dtype)
    rewritten, firings = rewrite(left, [rule])
    assert rule in {firing.rule for firing in firings}
    assert rewritten is not left


@pytest.mark.parametrize("rule", EQUATIONS, ids=lambda rule: rule.name)
def test_each_rule_fires_with_its_operands_exchanged(rule: Rule):
    left = instance(rule.left, sample(rule))
    if left.op not in (sn.add, sn.multiply, sn.maximum, sn.minimum):
        return
    assert match(rule, rebuild(left, left.args[::-1])) is not None


def values_for(nodes: list[Expr]) -> tuple[dict[Expr, Any], dict[str, int]]:
    """Random values of the inputs of a graph, and a size for every name."""
    sizes = {"N": 2, "M": 3, "K": 4, "A": 3, "B": 4}
    random = np.random.default_rng(3)
    leaves = [node for node in topological(nodes) if node.op is INPUT]
    values = {
        leaf: np.asarray(
            random.normal(size=tuple(s if isinstance(s, int) else sizes[s] for s in leaf.shape))
        )
        for leaf in leaves
    }
    values = {leaf: x > 0 if leaf.dtype == BOOL else x for leaf, x in values.items()}
    values |= {leaf: np.asarray(6.0) for leaf in topological(nodes) if leaf.op is STEP}
    return values, {name: sizes[name] for leaf in leaves for name in size_names(leaf.shape)} | sizes


def check_structural(rule: Structural) -> None:
    examples = rule.examples()
    assert examples
    reached = 0
    for left in examples:
        assert left.op.name in rule.roots
        right = rule.rewrite(left)
        assert right is not None
        assert right is not left
        assert (right.shape, right.dtype) == (left.shape, left.dtype)
        values, sizes = values_for([left])
        exact = rule not in SIMPLIFY
        namespace = namespace_of("mpmath" if exact else "numpy")
        with mpmath.workdps(60), namespace.settings():
            true, found = (
                np.asarray(side, np.float64)
                for side in interpret([left, right], values, sizes, namespace)
            )
        there = np.isfinite(true)
        np.testing.assert_allclose(found[there], true[there], rtol=max(1e-15, rule.error))
        reached += int(np.sum(there))
    assert reached


@pytest.mark.parametrize("rule", STRUCTURAL, ids=lambda rule: rule.name)
def test_each_structural_rule_keeps_shape_dtype_and_value(rule: Structural):
    check_structural(rule)


@pytest.mark.parametrize("rule", STRUCTURAL, ids=lambda rule: rule.name)
def test_a_wrong_structural_rule_is_found(rule: Structural):
    def wrong(node: Expr) -> Expr | None:
        right = rule.rewrite(node)
        return None if right is None else multiply(right, 1.001)

    with pytest.raises(AssertionError):
        check_structural(replace(rule, rewrite=wrong))


# Rules that are allowed another rounding, or give a true value for an infinity.
ROUNDED = {"log of exp", "constants of a product", "constant over constant", "constant times ratio"}
SPECIAL = (math.nan, math.inf, -math.inf, 0.0, -0.0, 1.7e308, -1.7e308, 5e-324, 0.1, -3.0)


@pytest.mark.parametrize(
    "rule",
    [rule for rule in SIMPLIFY if isinstance(rule, Rule) and rule.name not in ROUNDED],
    ids=lambda rule: rule.name,
)
def test_simplification_keeps_every_bit_of_special_values(rule: Rule):
    finite = {leaf for leaf in rule.variables if leaf.attrs["accepts"]}
    grids = [
        [True, False] if leaf.dtype == BOOL
        else [v for v in SPECIAL if math.isfinite(v) or leaf not in finite]
        for leaf in rule.variables
    ]  # fmt: skip
    rows = list(zip(*product(*grids), strict=True))
    values = {leaf: np.array(row, leaf.dtype) for leaf, row in zip(rule.variables, rows,
                                                                   strict=True)}  # fmt: skip
    namespace = namespace_of("numpy")
    with namespace.settings():
        left, right = interpret([rule.left, rule.right], values, {}, namespace)
    np.testing.assert_array_equal(*np.broadcast_arrays(right, left))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_says_what_it_is_for(rule: AnyRule):
    assert rule.name
    assert rule.reason
    assert str(rule) == f"{rule.name}: {rule.reason}"
    mentioned = rule.text + rule.latex
    for name in rule.terms:
        assert f"<{name}>" in mentioned


def test_names_are_unique():
    assert len({rule.name for rule in RULES}) == len(RULES)


def test_a_rule_matches_through_names_and_squares():
    x = sn.input("x", ("N",), "float64")
    named = sn.named("A", sn.tanh(x))
    rule = next(rule for rule in STABILISE if rule.name == "sech squared")
    for spelling in (1 - named * named, 1 - named**2, 1 - sn.tanh(x) * named):
        assert match(rule, spelling) is not None
    assert match(rule, 1 - named * sn.tanh(2 * x)) is None
    assert match(rule, 2 - named * named) is None


def test_softmax_rules_hold_for_any_rank_and_axes():
    x = sn.input("x", ("N", "M", 4), "float64")
    naive = sn.log(sn.sum(sn.exp(x), axis=(0, 2)))
    assert stabilize(naive) is sn.logsumexp(x, axis=(0, 2))
    kept = sn.exp(x) / sn.sum(sn.exp(x), axis=1, keepdims=True)
    assert stabilize(kept) is sn.softmax(x, axis=1)
    flat = sn.input("v", (5,), "float64")
    share = sn.exp(flat) / sn.sum(sn.exp(flat), keepdims=True)
    assert stabilize(share) is sn.softmax(flat, axis=0)
    assert stabilize(sn.exp(flat) / sn.sum(sn.exp(2 * flat))).op.name == "divide"


def test_a_negative_of_a_negative_is_gone():
    x = sn.input("x", (), "float64")
    assert rewrite(negative(negative(x)), SIMPLIFY)[0] is x
