"""What a derivation prints is what it claims: the formulas of every step, evaluated as a reader
would from the tree that is printed, have the values of the claims that `check` compares."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from itertools import product
from typing import Any

import numpy as np
import pytest

import symnet as sn
from symnet.check.numbers import Point
from symnet.expr import Expr
from symnet.formula import Derivation
from symnet.formula.text import TextPrinter
from symnet.formula.tree import Definition, Element, Formula, Partial, Symbol
from tests.formula_values import value
from tests.test_derivation import (
    Made,
    attention,
    layer_norm,
    neuron,
    shared_number,
    shared_weight,
    softmax_cross_entropy,
    two_layers,
    two_layers_bias,
)

NETWORKS = [
    neuron, two_layers, two_layers_bias, softmax_cross_entropy, layer_norm, attention,
    shared_number, shared_weight,
]  # fmt: skip


def plain(formula: Any) -> Any:
    """The formula with a symbol in the place of each ∂L/∂x, which is the name of a value."""
    if isinstance(formula, Partial):
        return Symbol(TextPrinter().show(formula))
    if isinstance(formula, tuple):
        return tuple(map(plain, formula))
    if not isinstance(formula, Formula):
        return formula
    return replace(formula, **{f.name: plain(getattr(formula, f.name)) for f in fields(formula)})


class Page:
    """The values of all symbols of a derivation at a point."""

    def __init__(self, derivation: Derivation, feeds: dict[str, Any]) -> None:
        self.steps, self.notation = derivation.steps, derivation.notation
        self.translators = (self.notation.local, self.notation.full, self.notation.leaf)
        claims = [c for s in self.steps for c in (*s.terms, s.adjoint, s.jacobian.entries)]
        self.point = Point(derivation.loss, [*claims, derivation.gradient], [], feeds, 0)
        self.env: dict[str, Any] = dict(self.point.sizes)
        known = [n for n in self.point.order if n in self.notation.local.named]
        for node in known:
            self.name(self.notation.local.named[node], np.real(self.point.base[node]))
        for step in self.steps:
            self.name(plain(self.notation.adjoint(step.operand)), self.point.value(step.adjoint))

    def name(self, symbol: Formula, number: Any) -> None:
        if isinstance(symbol, Symbol):
            self.env[symbol.name] = np.asarray(number)

    def define(self, definition: Definition) -> None:
        """Gives what a line defines its value; s_1, s_2 and so on are columns beside a matrix."""
        left, found = definition.left, self.right(definition)
        name = left.base if isinstance(left, Element) else left
        assert isinstance(name, Symbol)
        column = found.ndim == 1 and isinstance(left, Element) and name.name.startswith("s")
        self.name(name, found[:, None] if column else found)

    def right(self, definition: Definition) -> Any:
        """The value of a right side, element by element if the left one is an element."""
        left, right = definition.left, plain(definition.right)
        if not isinstance(left, Element):
            return np.asarray(value(right, self.env))
        letters = [index for index in left.indices if isinstance(index, Symbol)]
        found = np.empty(self.shape_of(left.base))
        for places in product(*map(range, found.shape)):
            at = dict(zip((letter.name for letter in letters), places, strict=True))
            found[places] = value(right, {**self.env, **at})
        return found

    def shape_of(self, symbol: Formula) -> tuple[int, ...]:
        for translator in self.translators:
            for node, own in translator.named.items():
                if symbol in (own, getattr(own, "body", None)):
                    shape = tuple(self.point.sized(size) for size in node.shape)
                    return tuple(size for size in shape if size != 1) or (1,)
        raise AssertionError(symbol)

    def agrees(self, line: Definition, claim: Any) -> bool:
        shown = np.asarray(self.right(line), float)
        wanted = np.asarray(claim, float)
        if shown.size == wanted.size:
            shown = shown.reshape(wanted.shape)
        return bool(np.allclose(np.broadcast_to(shown, wanted.shape), wanted, rtol=1e-11))


def elements(page: Page, definition: Definition, entries: Any) -> Iterator[tuple[Any, Any]]:
    """Each element of a local Jacobian as printed, and as claimed."""
    left = definition.left
    assert isinstance(left, Partial)
    sides = [side for side in (left.of, left.by) if isinstance(side, Element)]
    names = [i.name for side in sides for i in side.indices if isinstance(i, Symbol)]
    names = list(dict.fromkeys(names))
    wide = [size for size in entries.shape if size != 1]
    assert len(names) == len(wide)
    squeezed = np.squeeze(entries)
    for places in product(*map(range, wide)):
        env = {**page.env, **dict(zip(names, places, strict=True))}
        yield value(plain(definition.right), env), squeezed[places]


@pytest.mark.parametrize("network", NETWORKS)
def test_printed_formulas_have_the_values_of_the_claims(network: Callable[[], Made]) -> None:
    loss, wrt, feeds = network()
    derivation = sn.derive(loss, wrt)
    page = Page(derivation, feeds)
    shown = [derivation.notation.of(step) for step in derivation.steps]
    result = derivation.notation.result(derivation.gradient)
    for line in derivation.notation.where(shown, result):
        page.define(line)
    for step, formulas in zip(derivation.steps, shown, strict=True):
        for line in formulas.where:
            page.define(line)
        assert page.agrees(formulas.equation, np.real(page.point.base[step.node]))
        for printed, claimed in elements(
            page, formulas.local, page.point.value(step.jacobian.entries)
        ):
            np.testing.assert_allclose(printed, claimed, rtol=1e-11)
        if formulas.handed is not None:
            assert page.agrees(formulas.handed, page.point.value(step.terms[-1]))
        for line in formulas.so_far:
            assert page.agrees(line, page.point.value(step.adjoint)), str(line)
    assert page.agrees(result, page.point.value(derivation.gradient))


def test_a_misprint_would_be_seen() -> None:
    loss, wrt, feeds = two_layers()
    derivation = sn.derive(loss, wrt)
    page = Page(derivation, feeds)
    last = derivation.steps[-1]
    wrong = derivation.notation.of(replace(last, adjoint=-last.adjoint, terms=(-last.adjoint,)))
    assert not page.agrees(wrong.so_far[0], page.point.value(last.adjoint))


def paths_of(loss: Expr, wrt: Expr, feeds: dict[str, Any]) -> tuple[Any, Any]:
    found = sn.paths(loss, wrt)
    parts = sn.evaluate([path.contribution for path in found], feeds, namespace="mpmath")
    (whole,) = sn.evaluate([sn.grad(loss, wrt)], feeds, namespace="mpmath")
    return parts, whole


@pytest.mark.parametrize("network", [*NETWORKS])
def test_contributions_of_the_paths_sum_to_the_gradient(network: Callable[[], Made]) -> None:
    with sn.default_dtype("float64"):
        loss, wrt, feeds = network()
    parts, whole = paths_of(loss, wrt, feeds)
    np.testing.assert_allclose(sum(parts), whole, rtol=1e-13, atol=1e-15)
    assert all(part.shape == np.shape(whole) for part in parts)
    expected = {shared_number: 4, shared_weight: 3}
    if network in expected:
        assert len(parts) == expected[network]


def test_paths_without_names_on_their_way_are_told_apart() -> None:
    loss, wrt, _ = shared_weight()
    lines = str(sn.paths(loss, wrt)).splitlines()
    assert lines[1] == "L → v_6 → v_5 → v_4 → v_3 → W:  tanh(x W)ᵀ T_1"
    assert {"where v_1 = x W", "where v_5 = v_4 ⊙ v_2"} <= set(lines)
    assert len({line.partition(":")[0] for line in lines[:3]}) == 3
    latex = sn.paths(loss, wrt).latex()
    assert r"L \to v_6 \to v_5" in latex


def test_on_a_page_a_part_of_a_sum_is_no_equation() -> None:
    loss, wrt, feeds = shared_weight()
    derivation = sn.derive(loss, wrt, feeds)
    page = derivation.html()
    assert page.count("<details") == len(derivation.steps)
    assert page.count(" goes: <math") == sum(step.shared and not step.scalar
                                             for step in derivation.steps)  # fmt: skip
    assert "paths meet: the sum of steps" in page
    assert derivation.html(opened=True).count(" open>") == len(derivation.steps)
    assert page.count("here: ") == len(derivation.steps)
