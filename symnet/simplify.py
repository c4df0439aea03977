"""The engine that applies rules bottom-up, and says which fired where."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from symnet.diff import Nested, flatten, unflatten
from symnet.expr import Derivation, Expr, rebuild, substitute, topological
from symnet.ops.leaves import Leaf
from symnet.rules.exact import SIMPLIFY as SIMPLIFY
from symnet.rules.match import Match, build, instantiate, match, unnamed
from symnet.rules.rule import AnyRule, Rule
from symnet.rules.stable import LAST, LAST_OPS
from symnet.rules.stable import STABILISE as STABILISE

# What a graph may grow by: this many firings for each node it has, and a few for small graphs.
_FIRINGS_A_NODE: Final = 8
_FIRINGS_AT_LEAST: Final = 1000


@dataclass(frozen=True)
class Firing:
    """One application of a rule: `left` of the graph as given became `right`.

    terms: what the rule's variables and terms stand for, as expressions of the graph as given.
    """

    rule: AnyRule
    left: Expr
    right: Expr
    terms: Mapping[str, Expr] = field(default_factory=dict)

    @property
    def remark(self) -> str:
        """What a formula says about the two spellings: "same function, no cancellation"."""
        return self.rule.remark

    def __str__(self) -> str:
        return f"{self.rule.name} at {self.left.origin}"


def simplify(nested: Nested) -> Nested:
    """The expressions with less to compute: equal in the reals, no worse in floating point.

    Nested as given. NaN and infinities stay what they are.
    """
    return simplify_report(nested)[0]


def simplify_report(nested: Nested) -> tuple[Nested, tuple[Firing, ...]]:
    """`simplify`, and which rules fired where."""
    return rewrite(nested, SIMPLIFY)


def stabilize(nested: Nested, smooth: bool = False) -> Nested:
    """The expressions in spellings that neither cancel nor overflow; equal in the reals.

    Nested as given. A derivative that symnet made is made anew from the stable spelling of what
    it is a derivative of: stabilise, differentiate, stabilise. With `smooth`, only spellings that
    may be differentiated again, to any order: take it before the chain rule, and the plain call
    after it.
    """
    return stabilize_report(nested, smooth)[0]


def stabilize_report(nested: Nested, smooth: bool = False) -> tuple[Nested, tuple[Firing, ...]]:
    """`stabilize`, and which rules fired where."""
    roots, early = _made_anew(flatten(nested), frozenset())
    results, late = rewrite(roots, _stable_rules(smooth))
    last: tuple[Firing, ...] = ()
    if not smooth and any(node.op.name in LAST_OPS for node in topological(results)):
        results, last = rewrite(results, LAST)
    return unflatten(nested, results), early + late + last


def stabilize_as_written(nested: Nested) -> tuple[Nested, tuple[Firing, ...]]:
    """`stabilize_report` of the derivatives as they stand, for what is shown beside formulas."""
    results, firings = rewrite(nested, _stable_rules(smooth=False))
    return results, tuple(firing for firing in firings if firing.rule.shown)


def _stable_rules(smooth: bool) -> list[AnyRule]:
    return [rule for rule in STABILISE if rule.smooth or not smooth]


def _made_anew(
    roots: Sequence[Expr], busy: frozenset[Expr]
) -> tuple[list[Expr], tuple[Firing, ...]]:
    """The roots with each derivative made from the stable spelling of its outputs.

    busy: the derivatives that are being made anew, which stand for themselves.
    """
    replaced: dict[Expr, Expr] = {}
    firings: tuple[Firing, ...] = ()
    for derivation, nodes in _derivatives(roots, busy).items():
        outputs, inner = _made_anew(derivation.outputs, busy | set(nodes))
        stable, late = rewrite(outputs, _stable_rules(smooth=True))
        pairs = zip(stable, derivation.outputs, strict=True)
        if all(after is before for after, before in pairs):
            continue
        results = derivation.again(stable)
        replaced |= {node: results[index] for node, index in nodes.items()}
        firings += inner + late
    return (substitute(roots, replaced) if replaced else list(roots)), firings


def _derivatives(roots: Sequence[Expr], busy: frozenset[Expr]) -> dict[Derivation, dict[Expr, int]]:
    """The outermost derivatives in a graph, with their places in what made them."""
    found: dict[Derivation, dict[Expr, int]] = {}
    written: dict[Derivation, set[Expr]] = {}
    stack, seen = list(roots), set(roots)
    while stack:
        node = stack.pop()
        fits = node.derived is not None and node not in busy and _has_leaf(node)
        if fits and not _is_written(node, written):
            assert node.derived is not None
            derivation, index = node.derived
            found.setdefault(derivation, {})[node] = index
            continue
        fresh = [arg for arg in dict.fromkeys(node.args) if arg not in seen]
        seen.update(fresh)
        stack.extend(fresh)
    return found


def _has_leaf(node: Expr) -> bool:
    """Whether anything fed stands in a node.

    What is made of numbers alone is one node in all graphs: it may have been derived in another.
    """
    stack, seen = [node], {node}
    while stack:
        bare = stack.pop()
        if isinstance(bare.op, Leaf):
            return True
        fresh = [arg for arg in bare.args if arg not in seen]
        seen.update(fresh)
        stack.extend(fresh)
    return False


def _is_written(node: Expr, written: dict[Derivation, set[Expr]]) -> bool:
    """Whether a derivative also stands in what it was derived from: sinh x in sinh x - x."""
    derivation = node.derived[0] if node.derived is not None else None
    while derivation is not None:
        if derivation not in written:
            written[derivation] = set(topological(derivation.outputs))
        if node in written[derivation]:
            return True
        earlier = (output.derived[0] for output in derivation.outputs if output.derived)
        derivation = next(earlier, None)
    return False


def rewrite(nested: Nested, rules: Iterable[AnyRule]) -> tuple[Nested, tuple[Firing, ...]]:
    """The expressions with rules applied until none fires, and the firings that were kept.

    Where several rules fit, the first is taken. Time is linear in the size of the graph; a budget
    on firings, proportional to it, ends the work even if rules undo each other.
    """
    roots = flatten(nested)
    engine = _Engine(rules, roots)
    results = [engine.normal_form(root) for root in roots]
    return unflatten(nested, results), engine.kept(results)


class _Engine:
    """Normal forms of nodes, made bottom-up with an explicit stack.

    normal: what a node became. first: which given node one that was made stands for.
    """

    def __init__(self, rules: Iterable[AnyRule], roots: Sequence[Expr]) -> None:
        self.by_root: dict[str, list[AnyRule]] = {}
        for rule in rules:
            for name in rule.roots:
                self.by_root.setdefault(name, []).append(rule)
        self.normal: dict[Expr, Expr] = {}
        self.first: dict[Expr, Expr] = {}
        self.firings: list[Firing] = []
        self.budget = _FIRINGS_AT_LEAST + _FIRINGS_A_NODE * len(topological(roots))

    def normal_form(self, root: Expr) -> Expr:
        """What the rules make of a node."""
        becomes: dict[Expr, Expr] = {}
        stack = [root]
        while stack:
            node = stack[-1]
            if node in self.normal:
                stack.pop()
                continue
            if node in becomes:
                # Undone by other rules on the way: what it became is still being worked on.
                self.normal[node] = self.normal.get(becomes[node], node)
                continue
            pending = [arg for arg in node.args if arg not in self.normal]
            if pending:
                stack.extend(reversed(pending))
                continue
            after = self._step(node)
            if after is node:
                self.normal[node] = node
            else:
                becomes[node] = after
                stack.append(after)
        return self.normal[root]

    def _step(self, node: Expr) -> Expr:
        """The node over its operands' normal forms, or after one rule; itself if nothing fits."""
        rebuilt = rebuild(node, tuple(self.normal[arg] for arg in node.args))
        if rebuilt is not node:
            self.first.setdefault(rebuilt, self.first.get(node, node))
            return rebuilt
        under = {unnamed(arg).op.name for arg in node.args}
        for rule in self.by_root.get(node.op.name, ()):
            if self.budget <= 0:
                break
            if isinstance(rule, Rule):
                if not rule.needs <= under:
                    continue
            elif rule.among and rule.among.isdisjoint(under):
                continue
            after = self._apply(rule, node)
            if after is not None and after is not node:
                self.budget -= 1
                return after
        return node

    def _apply(self, rule: AnyRule, node: Expr) -> Expr | None:
        terms: dict[str, Expr] = {}
        if isinstance(rule, Rule):
            found = match(rule, node)
            if found is None:
                return None
            after = build(rule, node, found)
            terms = self._terms(rule, node, found)
        else:
            rewritten = rule.rewrite(node)
            if rewritten is None:
                return None
            after = rewritten
        left = self.first.get(node, node)
        self.first.setdefault(after, left)
        self.firings.append(Firing(rule, left, after, MappingProxyType(terms)))
        return after

    def _terms(self, rule: Rule, node: Expr, found: Match) -> dict[str, Expr]:
        given = {name: self.first.get(bound, bound) for name, bound in found.bindings.items()}
        as_given = Match(given, found.axes, found.spec)
        return given | {
            name: instantiate(rule, term, as_given, node) for name, term in rule.terms.items()
        }

    def kept(self, results: Sequence[Expr]) -> tuple[Firing, ...]:
        """The firings whose right side is still in the result, under its last form."""
        alive = set(topological(results))
        return tuple(firing for firing in self.firings if self.normal.get(firing.right) in alive)
