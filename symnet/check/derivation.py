"""Checking a derivation: every claim against numbers that the chain rule had no part in.

The local Jacobian of a step is compared with the complex step of its one op, the adjoint with the
complex step of the loss, where the operand moves only as seen through the uses that the steps so
far went through. Where the two differ, a kink may lie at the point: there one-sided differences
with 50 digits decide.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from symnet.check.numbers import Edge, Edges, Point
from symnet.expr import Expr, topological
from symnet.feeds import Feeds
from symnet.formula import Derivation
from symnet.formula.steps import Step, edges, rule_of, silent_nodes
from symnet.formula.text import TextPrinter
from symnet.sampling import sample_held, sample_inputs
from symnet.sizes import show_shape

Array = np.ndarray[Any, Any]
_TOLERANCE: Final = 1e-9
# What is smaller than this is judged as if it were this: rounding in float64 leaves no more.
_SMALL: Final = 1e-14


@dataclass(frozen=True)
class Finding:
    """One claim of one step. step: its number, 0 for the derivation as a whole.

    error: the largest relative error, None where the claim is none of numbers. fault: what is
    wrong, in words; empty if the claim holds.
    """

    step: int
    claim: str
    error: float | None = None
    fault: str = ""


@dataclass(frozen=True)
class DerivationCheck:
    """What a check of a derivation found; true if every claim holds. `str` is a line a step.

    zeros: the steps whose adjoint is zero at this point, where a wrong sign would not show.
    """

    findings: tuple[Finding, ...]
    labels: tuple[str, ...]
    zeros: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return not any(finding.fault for finding in self.findings)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    def faults(self) -> list[Finding]:
        """The claims that do not hold."""
        return [finding for finding in self.findings if finding.fault]

    def __str__(self) -> str:
        steps = [self._line(number) for number in range(1, len(self.labels))]
        wrong = len({finding.step for finding in self.faults()})
        verdict = f"{wrong} of them WRONG" if wrong else "every step holds"
        count = len(self.findings)
        rows = [*steps, self._line(0), f"{count} claims checked: {verdict}"]
        if self.zeros:
            where = ", ".join(map(str, self.zeros))
            rows.append(f"steps {where}: the adjoint is zero here; other data tell more")
        return "\n".join(rows)

    def _line(self, number: int) -> str:
        own = [finding for finding in self.findings if finding.step == number]
        label = self.labels[number]
        head = f"{number}. {label}" if number else f"the derivative by {label}"
        faults = [f"{finding.claim}: {finding.fault}" for finding in own if finding.fault]
        if faults:
            return f"{head}: WRONG, " + "; ".join(faults)
        shown = [f"{f.claim} {f.error:.0e}" for f in own if f.error is not None]
        return f"{head}: ok  ({', '.join(shown)})"


def check_derivation(
    derivation: Derivation, feeds: Feeds | None = None, *, seed: int = 0
) -> DerivationCheck:
    """Evaluates every claim of a derivation at the feeds, in float64 whatever the dtypes.

    feeds: data by name or Expr; a parameter that is not fed starts as `seed` says. Without feeds
    all numbers are drawn at random. FeedError for data that does not fit, UnknownFunctionError for
    a derivation with unknown functions.
    """
    if feeds is None:
        known = topological([derivation.loss])
        feeds = sample_inputs(known, seed) | sample_held(known, seed)
    return _Checker(derivation, feeds, seed).run()


class _Checker:
    """One derivation at one point."""

    def __init__(self, derivation: Derivation, feeds: Feeds | None, seed: int) -> None:
        self.derivation, self.steps = derivation, derivation.steps
        claims = [claim for step in self.steps for claim in _claims(step)]
        seeds = [step.seed for step in self.steps if not step.seed.args and step.seed.name]
        self.point = Point(derivation.loss, [*claims, derivation.gradient], seeds, feeds, seed)
        order, wrt = self.point.order, derivation.wrt
        active = self.point.depending_on(wrt)
        moving = [node for node in order if node in active and node is not wrt]
        silent = silent_nodes(moving, active, wrt)
        self.all_edges = dict.fromkeys(edges(moving, active))
        self.loud = dict.fromkeys(e for e in self.all_edges if e[0] not in silent)
        # What a silent node stands for.
        self.inner = {e[0]: e[0].args[e[1]] for e in self.all_edges if e[0] in silent}
        # The uses gone through so far that lead to an operand, and the step at hand.
        self.gone: dict[Expr, list[Edge]] = {}
        self.last: dict[Expr, Expr] = {}
        self._at = 0
        self.findings: list[Finding] = []

    def run(self) -> DerivationCheck:
        """Every claim of every step, then what must hold of all together."""
        for place, step in enumerate(self.steps):
            self._at = place + 1
            if self._belongs(place, step):
                self._local(step)
                self._adjoint(step)
        self._at = 0
        self._complete()
        self._gradient()
        labels = [self._label(self.derivation.wrt), *map(self._label_of, self.steps)]
        zeros = [
            s.number for s in self.steps if np.all(np.abs(self.point.value(s.adjoint)) < _SMALL)
        ]
        return DerivationCheck(tuple(self.findings), tuple(labels), tuple(zeros))

    def _label(self, node: Expr) -> str:
        known = self.derivation.notation.symbols
        return TextPrinter().show(known[node]) if node in known else "an unknown node"

    def _label_of(self, step: Step) -> str:
        to = self._label(step.operand) if step.index < len(step.node.args) else "nowhere"
        return f"{self._label(step.node)} to {to}"

    def _belongs(self, place: int, step: Step) -> bool:
        """Whether the step goes along the network, with its number, rule and shape, and in turn."""
        edge = (step.node, step.index)
        if edge not in self.loud:
            self._found("place", fault="the network has no such step")
            return False
        self.gone.setdefault(step.operand, []).append(edge)
        self.last[step.operand] = step.adjoint
        earlier = {(other.node, other.index) for other in self.steps[:place]}
        late = [e for e in self.loud if e not in earlier and self._leads_to(e, step.node)]
        shape = show_shape(step.operand.shape) if step.operand.shape else ""
        known = self.loud.keys() & {(other.node, other.index) for other in self.steps}
        several = sum(node.args[index] is step.operand for node, index in known) > 1
        faults = [
            (step.number != place + 1, "number", f"it is step {place + 1}"),
            (edge in earlier, "place", "it has been gone before"),
            (bool(late), "place", "the adjoint of its node is not complete"),
            (step.rule != rule_of(step.node), "rule", f"it is the {rule_of(step.node)}"),
            (step.shared != several, "shared", "it says otherwise how many steps lead there"),
            (step.shape != shape, "shape", f"it is {shape or 'a number'}"),
        ]
        for wrong, claim, fault in faults:
            self._found(claim, fault=fault if wrong else "")
        return True

    def _leads_to(self, edge: Edge, node: Expr) -> bool:
        """Whether an edge hands on to a node, through silent nodes or at once."""
        below = edge[0].args[edge[1]]
        while below is not node and below in self.inner:
            below = self.inner[below]
        return below is node and self._matters(edge)

    def _matters(self, edge: Edge) -> bool:
        """Whether the loss moves when an operand does at this use."""
        return bool(self.point.slope([edge], edge[0].args[edge[1]]).any())

    def _local(self, step: Step) -> None:
        """The local Jacobian and what is handed on, against the complex step of the one op."""
        point, directions = self.point, self.point.directions(step.operand)
        given, seed = point.value(step.handed), point.value(step.seed)
        if given.shape != directions[0].shape:
            fault = (
                f"it is {show_shape(given.shape)}, the operand {show_shape(directions[0].shape)}"
            )
            self._found("handed on", fault=fault)
            return
        true = [point.moved_op(step.node, step.index, direction) for direction in directions]
        pairs = list(zip(directions, true, strict=True))
        claimed = [point.applied(step.jacobian, *pair) for pair in pairs]
        sizes = [point.applied(step.jacobian, *pair, size=True) for pair in pairs]
        if any(made is None for made in claimed):
            self._found("local Jacobian", fault="its indices do not fit")
            return
        made, scale = np.array(claimed), np.array(sizes)
        error = _error(made, np.array(true), scale)
        if error > _TOLERANCE and self._at_a_kink(step, made):
            # What the convention for the kink says there is what the step has to hand on.
            error, true = 0.0, list(made)
        self._found("local Jacobian", error)
        products = [given * direction for direction in directions]
        expected = np.array([np.sum(seed * one) for one in true])
        self._found("handed on", _error(_sums(products), expected, _sums(np.abs(products))))

    def _at_a_kink(self, step: Step, made: Array) -> bool:
        """Whether the op has a kink here and the claim lies between its one-sided derivatives."""
        pairs = zip(self.point.directions(step.operand), made, strict=True)
        return all(
            _between(one, *self.point.sides_of_op(step.node, step.index, direction))
            for direction, one in pairs
        )

    def _adjoint(self, step: Step) -> None:
        """Each term of the sum, the sum, and the adjoint so far, against the loss itself."""
        gone = self.gone[step.operand]
        terms = [self.point.value(term) for term in step.terms]
        adjoint = self.point.value(step.adjoint)
        shape = np.shape(self.point.base[step.operand])
        if len(terms) != len(gone):
            self._found("sum", fault=f"{len(gone)} paths meet, it has {len(terms)} terms")
            return
        if any(value.shape != shape for value in (*terms, adjoint)):
            self._found("adjoint", fault=f"the operand is {show_shape(shape)}, it is not")
            return
        for edge, term in zip(gone, terms, strict=True):
            self._compare(step, "term", term, [edge])
        self._found("sum", _error(adjoint, np.sum(terms, axis=0), np.sum(np.abs(terms), axis=0)))
        self._compare(step, "adjoint", adjoint, gone)

    def _compare(self, step: Step, claim: str, value: Array, gone: Edges) -> None:
        directions = self.point.directions(step.operand)
        products = [value * direction for direction in directions]
        ours = _sums(products)
        error = _error(ours, self.point.slope(gone, step.operand), _sums(np.abs(products)))
        if error > _TOLERANCE:
            sides = [self.point.sides_of_loss(gone, direction) for direction in directions]
            if all(_between(one, *pair) for one, pair in zip(ours, sides, strict=True)):
                error = 0.0
        self._found(claim, error)

    def _complete(self) -> None:
        """Every use that matters has its step."""
        taken = {(step.node, step.index) for step in self.steps}
        left = [edge for edge in self.loud if edge not in taken and self._matters(edge)]
        fault = f"{len(left)} steps are missing" if left else ""
        self._found("all paths", fault=fault)

    def _gradient(self) -> None:
        wrt, value = self.derivation.wrt, self.point.value(self.derivation.gradient)
        directions = self.point.directions(wrt)
        if value.shape != directions[0].shape:
            self._found("gradient", fault=f"its shape is {show_shape(value.shape)}")
            return
        products = [value * direction for direction in directions]
        error = _error(_sums(products), self.point.slope_of(wrt), _sums(np.abs(products)))
        wrong = any(finding.fault for finding in self.findings)
        if error > _TOLERANCE and wrt in self.gone and not wrong:
            # At a kink the convention counts, which every step has been found to keep to.
            total = self.point.value(self.last[wrt])
            error = _error(value, total, np.abs(total))
        self._found("gradient", error)

    def _found(self, claim: str, error: float | None = None, fault: str = "") -> None:
        if error is not None and not error <= _TOLERANCE:
            fault = f"off by {error:.1e} of its size"
        self.findings.append(Finding(self._at, claim, error, fault))


def _claims(step: Step) -> Iterator[Expr]:
    """Every expression of a step."""
    yield from (step.jacobian.entries, step.seed, step.handed, *step.terms, step.adjoint)
    for index in (*step.jacobian.above, *step.jacobian.below):
        if index.of is not None:
            yield index.of


def _sums(products: Sequence[Array] | Array) -> Array:
    return np.array([np.sum(product) for product in products])


def _error(ours: Array, true: Array, scale: Array) -> float:
    """The largest error, relative to the size of the terms that were added up."""
    with np.errstate(all="ignore"):
        gap = np.where(ours == true, 0.0, np.abs(ours - true))
        relative = gap / (np.abs(scale) + np.abs(true) + _SMALL)
    return float(np.max(np.where(np.isnan(relative), np.inf, relative), initial=0.0))


def _between(value: Array, left: Array, right: Array) -> bool:
    """Whether a value lies between two others, up to rounding."""
    low, high = np.minimum(left, right), np.maximum(left, right)
    room = _TOLERANCE * (np.abs(low) + np.abs(high)) + _SMALL
    return bool(np.all((low - room <= value) & (value <= high + room)))
