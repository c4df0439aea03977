"""Derivations: what they say, that every step holds, and that no altered step does.

Alterations are generated: every step of every network below, every claim of it, times sign,
transpose, dropped term and swapped index. One that leaves the claim's value as it is (the
transpose of a number, the sign of a zero) is none; what is left must be caught, each one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

import symnet as sn
from symnet.check.numbers import Point
from symnet.errors import FeedError, GraphError, ShapeError
from symnet.expr import Expr
from symnet.formula import Derivation
from symnet.formula.jacobians import Index, Jacobian
from symnet.formula.steps import Step

Made = tuple[Expr, Expr, dict[str, Any]]
RANDOM = np.random.default_rng(11)


def normal(*shape: int) -> Any:
    return RANDOM.normal(size=shape)


def fed(loss: Expr, wrt: Expr, **data: Any) -> Made:
    """A network with random numbers for its parameters, so that no step is zero."""
    own = {p.name: normal(*p.shape) for p in loss.parameters() if p.name not in data}
    return loss, wrt, {**own, **data}


def neuron() -> Made:
    x, w, b, y = (sn.input(name) for name in ("x", "w", "b", "y"))
    z = sn.named("z", w * x + b)
    return (sn.named("a", sn.sigmoid(z)) - y) ** 2, w, {"x": 0.7, "w": -0.4, "b": 0.3, "y": 0.9}


def two_layers() -> Made:
    x, y = sn.input("X", ("N", 2)), sn.input("Y", ("N", 2))
    net = sn.nn.Sequential(sn.nn.Dense(2, 3, activation="tanh"), sn.nn.Dense(3, 2))
    loss = sn.losses.mse(net(x), y)
    return fed(loss, net[0].weight, X=normal(5, 2), Y=normal(5, 2))


def two_layers_bias() -> Made:
    x, y = sn.input("X", ("N", 2)), sn.input("Y", ("N", 2))
    net = sn.nn.Sequential(sn.nn.Dense(2, 3, activation="relu"), sn.nn.Dense(3, 2))
    loss = sn.losses.mse(net(x), y)
    return fed(loss, net[0].bias, X=normal(5, 2), Y=normal(5, 2))


def softmax_cross_entropy() -> Made:
    x, y, w = sn.input("X", ("N", 4)), sn.input("Y", ("N", 3)), sn.parameter("W", (4, 3))
    return fed(sn.losses.cross_entropy(x @ w, y), w, X=normal(5, 4), Y=np.eye(3)[[0, 2, 1, 1, 0]])


def class_cross_entropy() -> Made:
    x, y = sn.input("X", ("N", 4)), sn.input("y", ("N",), "int64")
    w = sn.parameter("W", (4, 3))
    return fed(sn.losses.cross_entropy(x @ w, y), w, X=normal(5, 4), y=[0, 2, 1, 1, 0])


def layer_norm() -> Made:
    x, w = sn.input("X", ("N", 3)), sn.parameter("W", (3, 4))
    g, b = sn.parameter("g", (4,)), sn.parameter("b", (4,))
    z = sn.named("Z_1", x @ w)
    mean, var = sn.mean(z, axis=-1, keepdims=True), sn.var(z, axis=-1, keepdims=True)
    loss = sn.mean(((z - mean) / sn.sqrt(var + 1e-5) * g + b) ** 2)
    return fed(loss, w, X=normal(5, 3))


def attention() -> Made:
    x, y = sn.input("X", ("T", 4)), sn.input("Y", ("T", 2))
    q, k = (sn.parameter(f"W_{name}", (4, 3)) for name in "QK")
    v = sn.parameter("W_V", (4, 2))
    weights = sn.named("A", sn.softmax((x @ q) @ (x @ k).T / 3**0.5))
    return fed(sn.mean((weights @ (x @ v) - y) ** 2), k, X=normal(5, 4), Y=normal(5, 2))


def shared_number() -> Made:
    a = sn.parameter("a", ())
    b = a + a
    return b + b, a, {"a": 0.3}


def shared_weight() -> Made:
    x, w = sn.input("x", ("N", 3)), sn.parameter("W", (3, 3))
    hidden = sn.tanh(x @ w)
    return fed(sn.mean(sn.tanh(hidden @ w) * hidden), w, x=normal(4, 3))


def convolution() -> Made:
    x, w = sn.input("x", (7,)), sn.parameter("w", (3,))
    terms = [x[k : k + 5] * w[k] for k in range(3)]
    return fed(sn.mean(sn.tanh(terms[0] + terms[1] + terms[2]) ** 2), w, x=normal(7))


def moved_about() -> Made:
    w, x = sn.parameter("W", (2, 3)), sn.input("X", (1, 2))
    joined = sn.concat([w.T, x, sn.reshape(sn.flip(w, axis=1), (3, 2))], axis=0)
    far = sn.pad(joined, ((1, 0), (0, 1)))
    loss = sn.logsumexp(far * far) + sn.prod(sn.max(joined, axis=1)[:3]) + sn.sum(sn.std(w, axis=0))
    return fed(loss, w, X=normal(1, 2))


def picked() -> Made:
    table, rows = sn.parameter("E", (5, 3)), sn.input("rows", ("N",), "int64")
    found = sn.take(table, rows, axis=0)
    return fed(sn.sum(sn.sin(found) * found[0]), table, rows=[4, 1, 1, 0])


def hessian_of_a_kind() -> Made:
    x, w = sn.input("X", ("N", 3)), sn.parameter("w", (3,))
    inner = sn.grad(sn.mean(sn.softplus(x @ w)), w)
    return fed(sn.sum(inner * inner), w, X=normal(4, 3))


NETWORKS = [
    neuron, two_layers, two_layers_bias, softmax_cross_entropy, class_cross_entropy, layer_norm,
    attention, shared_number, shared_weight, convolution, moved_about, picked, hessian_of_a_kind,
]  # fmt: skip


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_step_holds(network: Callable[[], Made], dtype: str) -> None:
    with sn.default_dtype(dtype):
        loss, wrt, feeds = network()
    derivation = sn.derive(loss, wrt)
    report = derivation.check(feeds)
    assert report, str(report)
    # The mean under a variance moves nothing: there alone the adjoint is a zero, up to rounding.
    assert len(report.zeros) <= (3 if network in (moved_about, layer_norm) else 0)
    assert max(f.error for f in report if f.error is not None) < 1e-11
    assert "claims checked: every step holds" in str(report)
    assert str(derivation)
    assert derivation.latex().count("{") == derivation.latex().count("}")


@dataclass(frozen=True)
class Alteration:
    """A step's claim under another value: its name, and what makes the step so."""

    name: str
    claims: dict[str, Any]
    old: tuple[Any, ...]
    new: tuple[Any, ...]


def transposed(node: Expr) -> Expr | None:
    if node.ndim < 2:
        return None
    return sn.permute_dims(node, tuple(reversed(range(node.ndim))))


def swapped(node: Expr) -> Expr | None:
    """The first and last element of the last axis of more than one change places."""
    wide = [axis for axis, size in enumerate(node.shape) if size != 1]
    return sn.flip(node, axis=wide[-1]) if wide else None


def dropped(node: Expr) -> Expr | None:
    """A sum or difference without its last term."""
    while node.op.name in ("reshape", "broadcast", "cast", "named"):
        node = node.args[0]
    return node.args[0] if node.op.name in ("add", "subtract") else None


def alterations(step: Step) -> Iterator[Alteration]:
    """Every claim of a step times every way to get it wrong."""
    changes = {"sign": lambda e: -e, "transpose": transposed, "swapped": swapped,
               "dropped term": dropped}  # fmt: skip
    claims = {"handed": step.handed, "adjoint": step.adjoint, "entries": step.jacobian.entries}
    for claim, expr in claims.items():
        for way, change in changes.items():
            other = change(expr)
            if other is None:
                continue
            made = replace(step.jacobian, entries=other) if claim == "entries" else other
            key = "jacobian" if claim == "entries" else claim
            yield Alteration(f"{claim} {way}", {key: made}, (expr,), (other,))
    for place, term in enumerate(step.terms):
        for way, change in changes.items():
            if (other := change(term)) is not None:
                terms = (*step.terms[:place], other, *step.terms[place + 1 :])
                yield Alteration(f"term {place} {way}", {"terms": terms}, (term,), (other,))
                if other.shape == term.shape:
                    both = {"terms": terms, "adjoint": sum(terms[1:], terms[0])}
                    yield Alteration(f"term {place} {way}, its sum too", both, (term,), (other,))
        rest = (*step.terms[:place], *step.terms[place + 1 :])
        yield Alteration(f"term {place} dropped", {"terms": rest}, (), (term,))
        if rest:
            both = {"terms": rest, "adjoint": sum(rest[1:], rest[0])}
            yield Alteration(f"term {place} dropped with its sum", both, (), (term,))
    yield from index_alterations(step)


def index_alterations(step: Step) -> Iterator[Alteration]:
    """Indices of the local Jacobian in another order, off by one, or of another letter."""
    jacobian = step.jacobian
    for side in ("above", "below"):
        own: tuple[Index, ...] = getattr(jacobian, side)
        if len(own) > 1:
            turned = replace(jacobian, **{side: own[::-1]})
            yield Alteration(f"{side} swapped", {"jacobian": turned}, (jacobian,), (turned,))
        for place, index in enumerate(own):
            if index.of is None:
                moved = (*own[:place], replace(index, start=1), *own[place + 1 :])
                shifted = replace(jacobian, **{side: moved})
                yield Alteration(f"{side} shifted", {"jacobian": shifted}, (jacobian,), (shifted,))
    other = len(step.node.args) - 1 - step.index
    if other != step.index and step.node.args[other] is not step.operand:
        yield Alteration("operand swapped", {"index": other}, (), (step.operand,))


def is_altered(derivation: Derivation, step: Step, change: Alteration, feeds: Any) -> bool:
    """Whether the claim has another value: decided by values alone, apart from `check`."""
    if not change.old:
        value = change.new[0]
        (found,) = values(derivation, step, [value], feeds)
        return "dropped" not in change.name or bool((abs(found) > 1e-14).any())
    if isinstance(change.old[0], Jacobian):
        left, right = (dense(derivation, step, one, feeds) for one in (*change.old, *change.new))
    else:
        left, right = values(derivation, step, [*change.old, *change.new], feeds)
    return left is None or right is None or left.shape != right.shape or not np.allclose(
        left, right, rtol=1e-9, atol=1e-14
    )  # fmt: skip


def values(derivation: Derivation, step: Step, exprs: list[Expr], feeds: Any) -> list[Any]:
    seeds = [step.seed] if step.seed.name else []
    point = Point(derivation.loss, exprs, seeds, feeds, 0)
    return [point.value(expr) for expr in exprs]


def dense(derivation: Derivation, step: Step, jacobian: Jacobian, feeds: Any) -> Any:
    """The Jacobian as a matrix, column by column; None where its indices do not fit."""
    picks = [i.of for i in (*jacobian.above, *jacobian.below) if i.of is not None]
    point = Point(derivation.loss, [jacobian.entries, *picks], [], feeds, 0)
    like, moved = point.base[step.node], np.shape(point.base[step.operand])
    units = np.eye(int(np.prod(moved))).reshape(-1, *moved)
    columns = [point.applied(jacobian, unit, np.asarray(like)) for unit in units]
    return None if any(column is None for column in columns) else np.array(columns)


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
def test_every_altered_step_is_caught(network: Callable[[], Made]) -> None:
    loss, wrt, feeds = network()
    derivation = sn.derive(loss, wrt)
    caught = identical = 0
    for step in derivation.steps:
        # Of the long one, which takes a minute, every third.
        for change in list(alterations(step))[:: 3 if network is moved_about else 1]:
            if not is_altered(derivation, step, change, feeds):
                identical += 1
                continue
            report = derivation.altered(step.number, **change.claims).check(feeds)
            assert not report, f"step {step.number}: {change.name} passed"
            found = {finding.step for finding in report.faults()}
            # The two ways down from a sum are as good: gone twice, it is the later one that is not.
            if change.name != "operand swapped":
                assert step.number in found, f"step {step.number}: {change.name} blamed on {found}"
            caught += 1
    assert caught > 5 * len(derivation.steps)
    assert identical < caught


def test_a_step_left_out_or_out_of_turn_is_caught() -> None:
    loss, wrt, feeds = layer_norm()
    derivation = sn.derive(loss, wrt)
    steps = derivation.steps
    for place in range(len(steps)):
        rest = (*steps[:place], *steps[place + 1 :])
        renumbered = tuple(replace(step, number=k) for k, step in enumerate(rest, 1))
        assert not replace(derivation, steps=renumbered).check(feeds), place
    for place in range(len(steps) - 1):
        first, second = steps[place], steps[place + 1]
        turned = (replace(second, number=place + 1), replace(first, number=place + 2))
        changed = replace(derivation, steps=(*steps[:place], *turned, *steps[place + 2 :]))
        report = changed.check(feeds)
        # Two uses that do not lead to one another may be gone in either order.
        if first.operand is second.node or first.operand is second.operand:
            assert not report, place


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("rule", "product rule"),
        ("shape", "4×3"),
        ("number", 7),
        ("index", 5),
        ("index", -1),
        ("shared", True),
    ],
)
def test_the_words_of_a_step_are_claims_too(claim: str, value: Any) -> None:
    loss, wrt, feeds = softmax_cross_entropy()
    derivation = sn.derive(loss, wrt)
    report = derivation.altered(3, **{claim: value}).check(feeds)
    assert not report
    assert "WRONG" in str(report)


def test_another_gradient_is_caught() -> None:
    loss, wrt, feeds = attention()
    derivation = sn.derive(loss, wrt)
    for wrong in (-derivation.gradient, 2 * derivation.gradient, derivation.gradient.T):
        report = replace(derivation, gradient=wrong).check(feeds)
        assert [finding.claim for finding in report.faults()] == ["gradient"]


def test_at_a_kink_the_convention_holds_and_what_lies_outside_does_not() -> None:
    x, y = sn.input("x"), sn.input("y")
    for loss in (sn.relu(x) * 3, sn.abs(x), sn.maximum(x, y)):
        derivation = sn.derive(loss, x)
        assert derivation.check({"x": 0.0, "y": 0.0})
    derivation = sn.derive(sn.maximum(x, y) * 3, x)
    (last,) = (step for step in derivation.steps if step.operand is x)
    for adjoint in (-last.adjoint, last.adjoint * 3):
        altered = derivation.altered(last.number, adjoint=adjoint, terms=(adjoint,))
        assert not altered.check({"x": 0.0, "y": 0.0})


def test_what_prints_is_what_the_step_claims() -> None:
    loss, wrt, _ = two_layers()
    derivation = sn.derive(loss, wrt)
    last = derivation.steps[-1]
    altered = derivation.altered(last.number, handed=-last.handed, adjoint=-last.adjoint)
    assert "∂L/∂W_1 = Xᵀ δ_1\n" in str(derivation)
    assert "∂L/∂W_1 = −Xᵀ δ_1\n" in str(altered)
    assert "so far ∂L/∂W_1 = −2/" in str(altered)


def test_deltas_jacobians_and_sums_are_written_as_in_a_textbook() -> None:
    loss, wrt, _ = two_layers()
    lines = str(sn.derive(loss, wrt)).splitlines()
    assert "Δ_k = ∂L/∂Z_k" in lines
    assert "δ_k = ∂L/∂v_k" in lines
    assert "6. v_2 = A_1 W_2: product of matrices, ∂L/∂A_1 = δ_2 W_2ᵀ" in lines
    assert "   locally ∂v_2[n,k]/∂A_1[n,j] = W_2[j,k]" in lines
    assert "   so far ∂L/∂A_1 = 2/(N·2) v_3 W_2ᵀ  [N×3]" in lines
    numbers = str(sn.derive(*shared_number()[:2]))
    assert "∂L/∂a = 2 + 2 = 4, paths meet: the sum of steps 3 and 4" in numbers


def test_zeros_are_said_to_tell_little() -> None:
    x, w = sn.input("x", (2,)), sn.parameter("w", (2,))
    report = sn.derive(sn.sum(sn.relu(x * w)), w).check({"x": [1.0, 2.0], "w": [-1.0, -1.0]})
    assert report
    assert "the adjoint is zero here; other data tell more" in str(report)


def test_faults_of_the_caller_are_said() -> None:
    loss, wrt, _ = neuron()
    derivation = sn.derive(loss, wrt)
    with pytest.raises(FeedError, match="no data for"):
        derivation.check({"x": 1.0})
    with pytest.raises(GraphError, match="there is no step 99, there are"):
        derivation.altered(99, rule="")
    with pytest.raises(ShapeError, match="not a scalar"):
        sn.derive(sn.input("v", (3,)), wrt)
