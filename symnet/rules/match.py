"""Matching a pattern against a graph, and building a pattern's other side.

A match is up to commutativity, up to the broadcasts and casts of constants, and through names.
Patterns are a few nodes deep, so both recursions are over the pattern, never over the graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from symnet.expr import Dtype, Expr, make
from symnet.ops.core import BROADCAST, broadcast, number, scalar_constant
from symnet.ops.gather import GATHER, SCATTER_ADD, parts
from symnet.ops.leaves import NAMED
from symnet.ops.pointwise import Pointwise
from symnet.ops.reduction import restore, sum_over
from symnet.ops.views import IOTA, RESHAPE, iota, reshape
from symnet.rules.rule import VARIABLE, Rule
from symnet.rules.views import collapsed
from symnet.sizes import Shape

COMMUTATIVE = {"add", "multiply", "maximum", "minimum", "equal", "not_equal", "logical_and",
               "logical_or"}  # fmt: skip
_VIEWS = (BROADCAST, RESHAPE)


@dataclass(frozen=True)
class Match:
    """What the variables of a pattern stand for, and which axes its axis 1 stands for."""

    bindings: Mapping[str, Expr] = field(default_factory=dict)
    axes: tuple[int, ...] | None = None
    spec: str = ""


def match(rule: Rule, node: Expr) -> Match | None:
    """The first way in which the rule's left side is this node; None if there is none."""
    return next(_matches(rule.left, node, Match()), None)


def unnamed(node: Expr) -> Expr:
    """The node under any names."""
    while node.op is NAMED:
        node = node.args[0]
    return node


def _matches(pattern: Expr, node: Expr, found: Match) -> Iterator[Match]:
    value = scalar_constant(pattern)
    if pattern.op is VARIABLE:
        yield from _bind(pattern, node, found)
    elif value is not None:
        if scalar_constant(node) == value:
            yield found
    elif pattern.op in _VIEWS:
        yield from _match_view(pattern, unnamed(node), found)
    else:
        yield from _match_op(pattern, unnamed(node), found)


def _bind(pattern: Expr, node: Expr, found: Match) -> Iterator[Match]:
    name, accepts = pattern.attrs["name"], pattern.attrs["accepts"]
    if name in found.bindings:
        if unnamed(found.bindings[name]) is unnamed(node):
            yield found
    elif accepts is None or accepts(node):
        yield replace(found, bindings={**found.bindings, name: node})


def _match_op(pattern: Expr, node: Expr, found: Match) -> Iterator[Match]:
    first = pattern.args[0]
    if pattern.op.name == "multiply" and pattern.args[1] is first and node.op.name == "pow":
        if scalar_constant(node.args[1]) == 2:
            yield from _matches(first, node.args[0], found)
        return
    if node.op is not pattern.op or len(node.args) != len(pattern.args):
        return
    fitted = _fit_axes(pattern, node, found)
    if fitted is None:
        return
    yield from _match_all(pattern.args, node.args, fitted)
    if pattern.op.name in COMMUTATIVE and node.args[0] is not node.args[1]:
        yield from _match_all(pattern.args, node.args[::-1], fitted)


def _match_all(patterns: Sequence[Expr], nodes: Sequence[Expr], found: Match) -> Iterator[Match]:
    if not patterns:
        yield found
        return
    for partial in _matches(patterns[0], nodes[0], found):
        yield from _match_all(patterns[1:], nodes[1:], partial)


def _fit_axes(pattern: Expr, node: Expr, found: Match) -> Match | None:
    """The match with the node's axes as what axis 1 stands for; None if it stands for others."""
    axes, spec = node.attrs.get("axes"), found.spec
    if pattern.op in (GATHER, SCATTER_ADD):
        spec = node.attrs["spec"]
        source, index, out = parts(spec)
        if not source.replace("*", "") == index == out:
            return None
        axes = (source.index("*"),)
    if axes is None or found.axes == axes:
        return found
    return None if found.axes is not None else replace(found, axes=axes, spec=spec)


def _match_view(pattern: Expr, node: Expr, found: Match) -> Iterator[Match]:
    """A reduced pattern broadcast (A, B), or kept as (A, 1), against a node of that shape."""
    inner = _under_views(pattern)
    kept = pattern.shape[-1] == 1
    if inner.op is VARIABLE:
        candidates = [found.bindings[inner.attrs["name"]]] if _is_bound(inner, found) else []
    else:
        candidates = [_under_views(node)]
    for candidate in candidates:
        for partial in _matches(inner, candidate, found):
            axes = partial.axes or ()
            if candidate.ndim + len(axes) != node.ndim:
                continue
            if kept and any(node.shape[axis] != 1 for axis in axes):
                continue
            view = reshape(candidate, node.shape) if kept else restore(candidate, node, axes)
            if collapsed(view) is collapsed(node):
                yield partial


def _is_bound(inner: Expr, found: Match) -> bool:
    return inner.attrs["name"] in found.bindings


def _under_views(node: Expr) -> Expr:
    while node.op in _VIEWS or node.op is NAMED:
        node = node.args[0]
    return node


def build(rule: Rule, node: Expr, found: Match) -> Expr:
    """The rule's right side in place of `node`, of the same shape and dtype."""
    made = instantiate(rule, rule.right, found, node)
    return broadcast(made, node.shape)


def instantiate(rule: Rule, pattern: Expr, found: Match, node: Expr) -> Expr:
    """A pattern over the rule's variables, with what they stand for in the match at `node`."""
    matrices = (v for v in rule.variables if v.ndim == 2)
    full = next((found.bindings[v.attrs["name"]] for v in matrices), node)
    return _Builder(found, full, node.dtype).build(pattern)


class _Builder:
    """Builds a pattern's instance. full: an expression of the shape that (A, B) stands for."""

    def __init__(self, found: Match, full: Expr, dtype: Dtype) -> None:
        self.found, self.full, self.dtype = found, full, dtype
        self.axes = found.axes or ()
        self.made: dict[Expr, Expr] = {}

    def build(self, pattern: Expr) -> Expr:
        """The instance of a pattern; one that stands there twice is built once."""
        made = self.made.get(pattern)
        if made is None:
            made = self.made[pattern] = self._build(pattern)
        return made

    def _build(self, pattern: Expr) -> Expr:
        value = scalar_constant(pattern)
        if pattern.op is VARIABLE:
            return self.found.bindings[pattern.attrs["name"]]
        if value is not None:
            return number(value, self.dtype)
        if pattern.op in _VIEWS:
            return self._view(pattern)
        if pattern.op is IOTA:
            return iota(self.full.shape[self.axes[0]])
        args = tuple(self.build(arg) for arg in pattern.args)
        if isinstance(pattern.op, Pointwise):
            return pattern.op(*args)
        if pattern.op.name == "sum":
            return sum_over(args[0], self.axes)
        if pattern.op is GATHER:
            return make(GATHER, args, spec=self.found.spec)
        return make(pattern.op, args, axes=self.axes)

    def _view(self, pattern: Expr) -> Expr:
        inner = _under_views(pattern)
        made = self.build(inner)
        if inner.op is IOTA:
            return broadcast(reshape(made, self._along()), self.full.shape)
        if pattern.shape[-1] == 1:
            return reshape(made, self._kept())
        return restore(made, self.full, self.axes)

    def _kept(self) -> Shape:
        shape = self.full.shape
        return tuple(1 if axis in self.axes else size for axis, size in enumerate(shape))

    def _along(self) -> Shape:
        shape = self.full.shape
        return tuple(size if axis in self.axes else 1 for axis, size in enumerate(shape))
