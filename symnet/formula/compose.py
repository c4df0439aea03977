"""Composing a sheet: which equations stand on it, in which order, under which names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from symnet.diff import Nested, adjoints, flatten, grad
from symnet.errors import NameClashError
from symnet.expr import Expr, topological
from symnet.formula.algebra import negate
from symnet.formula.chain import Steps, chain_formulas, local_steps
from symnet.formula.elements import symbols
from symnet.formula.graph import (
    active_nodes,
    direct_parts,
    require_scalar,
    targets_of,
    with_names,
)
from symnet.formula.naming import is_scalar
from symnet.formula.sheet import Line, Sheet
from symnet.formula.text import TextPrinter, value_text
from symnet.formula.translate import Translator
from symnet.formula.tree import (
    EULER,
    ONE,
    ZERO,
    Apply,
    Definition,
    Element,
    Formula,
    Partial,
    Power,
    Scaled,
    Sum,
    Symbol,
    walk,
)
from symnet.ops.core import number
from symnet.ops.leaves import NAMED, PARAMETER
from symnet.ops.reduction import SOFTMAX
from symnet.sizes import show_shape

_LONGEST_REMARK = 120
_FEW_REMARKS = 3  # so many alike are all printed

Values = Callable[[Sequence[Expr]], Sequence[Any]]
"""values(expressions) -> their numbers, at the feeds that the caller has in mind."""


@dataclass(frozen=True)
class Computed:
    """What a formula says, what is computed in its place, and a remark.

    text, if given, is printed for the right side; or for the whole equation, where it holds one.
    `<name>` in it stands for the expression of that name in `terms`.
    """

    left: Expr
    right: Expr
    remark: str = ""
    text: str = ""
    terms: Mapping[str, Expr] = field(default_factory=dict)


Rewrites = Callable[[Sequence[Expr]], Iterable[Computed]]
"""rewrites(gradients) -> where another spelling runs than the one that prints."""


class _Composer:
    """One sheet in the making."""

    def __init__(self, loss: Expr, targets: Sequence[Expr]) -> None:
        self.targets = targets
        self.loss = with_names(loss, targets)
        order = topological([self.loss])
        active = active_nodes(order, targets)
        self.named = [n for n in order if n.op is NAMED and n is not self.loss]
        aims = set(targets)
        self.moving = [n for n in self.named if n in active and n not in aims]
        self.scalar = bool(self.moving) and all(n.shape == () for n in self.moving)
        seed = {self.loss: number(1, self.loss.dtype)}
        self.adjoints = adjoints(seed, [*targets, *self.moving])
        self.steps: Steps = local_steps(self.loss, self.moving, targets) if self.scalar else {}
        self.deltas = [] if self.scalar else self._delta_nodes()
        self._emitted: set[str] = set()
        self._explained = False
        self._prepare()

    def _delta_nodes(self) -> list[Expr]:
        """The named nodes made directly from a target, nearest to the loss first."""
        stops = {*self.named, *self.targets}
        wanted = set(self.targets)
        return [
            node
            for node in reversed(self.moving)
            if node in self.adjoints
            and wanted.intersection(direct_parts(node, stops))
            and not is_scalar(self.adjoints[node])
        ]

    def _prepare(self) -> None:
        partials = [p for by_part in self.steps.values() for p in by_part.values()]
        gradients = [self.adjoints[t] for t in self.targets if t in self.adjoints]
        own = [] if self.scalar else [self.adjoints[node] for node in self.deltas] + gradients
        self.roots = [self.loss, *own, *partials]
        self.translator = Translator(self.roots)
        order = topological(self.roots)
        self.softmaxes = [n for n in order if n.op is SOFTMAX and n not in self.translator.named]
        for node in self.softmaxes:
            self.translator.name(node, "P")
        self.loss_symbol: Formula = self.translator.named.get(self.loss) or Symbol(
            self.translator.names.fresh("L")
        )
        self.delta_symbols: dict[Expr, Symbol] = {}
        for node in self.deltas:
            symbol = Symbol(self.translator.names.fresh(f"Δ_{self._below(node)}"))
            # Adjoints of two nodes may be one expression: the first name is kept for it.
            self.translator.named.setdefault(self.adjoints[node], symbol)
            self.delta_symbols[node] = symbol
        self.translator.define_long(self.roots)

    def _below(self, node: Expr) -> str:
        """The subscript of a node's delta: 1 for Z_1, hidden for Z_hidden, else its own name."""
        symbol = self.translator.named[node]
        name = symbol.name if isinstance(symbol, Symbol) else str(node.name)
        return name[2:] if name.startswith("Z_") and len(name) > 2 else name

    def line(self, left: Formula, right: Formula, node: Expr | None, **more: Formula) -> list[Line]:
        """A line, and before it one for each intermediate that it needs and no line defined."""
        lines: list[Line] = []
        notes: list[Definition] = []
        for definition in self.translator.needed([right]):
            key = str(definition.left)
            if key in self._emitted:
                continue
            self._emitted.add(key)
            if isinstance(definition.left, Element):
                notes.append(definition)
            else:
                own = self.translator.shapes.get(definition.left, ())
                shown = show_shape(own) if own else ""
                lines.append(Line(definition.left, definition.right, None, shown, tuple(notes)))
                notes = []
        notes += self._sigmoid_legend(right)
        shape = show_shape(node.shape) if node is not None and node.shape else ""
        return [*lines, Line(left, right, more.get("middle"), shape, tuple(notes))]

    def _sigmoid_legend(self, formula: Formula) -> list[Definition]:
        """σ is explained where it first occurs."""
        found = [p for p in walk(formula) if isinstance(p, Apply) and p.name == "σ"]
        if not found or self._explained:
            return []
        self._explained = True
        (argument,) = found[0].arguments
        scalar = self.scalar and isinstance(argument, Symbol)
        letter = argument if scalar else Symbol(self.translator.names.fresh("t"))
        below = Sum((ONE, Power(EULER, negate(letter))))
        left = Apply("σ", (letter,), r"\sigma")
        return [Definition(left, Scaled(over=(ONE,), under=(below,)))]

    def forward(self) -> list[Line]:
        """Named intermediates in the order of computation, then the loss."""
        lines: list[Line] = []
        wanted = {*self.named, *self.softmaxes}
        for node in topological([*self.softmaxes, self.loss]):
            if node in wanted:
                equation = self.translator.equation(node, self.translator.named[node])
                lines += self.line(equation.left, equation.right, node)
        return lines + self.line(self.loss_symbol, self.translator.body(self.loss), self.loss)

    def legend(self) -> tuple[Definition, ...]:
        """What the deltas are: one rule if they are all numbered as their Z, else one each."""
        pairs = [(symbol, self.translator.named[n]) for n, symbol in self.delta_symbols.items()]
        named = [(s, z.name) for s, z in pairs if isinstance(z, Symbol)]
        if named and all(z == "Z_" + s.name.removeprefix("Δ_") for s, z in named):
            left: Formula = Symbol("Δ_k")
            return (Definition(left, Partial(self.loss_symbol, Symbol("Z_k"))),)
        return tuple(Definition(s, Partial(self.loss_symbol, z)) for s, z in pairs)

    def backward(self) -> list[Line]:
        """The deltas from the loss downwards, then the gradients, last layer first."""
        lines: list[Line] = []
        for node, symbol in self.delta_symbols.items():
            adjoint = self.adjoints[node]
            own = self.translator.named[adjoint]
            right = self.translator.body(adjoint) if own is symbol else own
            lines += self.line(symbol, right, node)
        for target in self._in_order():
            lines += self._gradient_line(target)
        return lines

    def _in_order(self) -> list[Expr]:
        """Targets of the last delta first; within a layer in the order they were given."""
        if not self.deltas:
            return list(self.targets)
        stops = {*self.named, *self.targets}
        place: dict[Expr, int] = {}
        for rank, node in enumerate(self.deltas):
            for part in direct_parts(node, stops):
                place.setdefault(part, rank)
        return sorted(self.targets, key=lambda target: place.get(target, len(self.deltas)))

    def _gradient_line(self, target: Expr) -> list[Line]:
        left = Partial(self.loss_symbol, self.translator.array(target))
        names = {**self.translator.named, self.loss: self.loss_symbol}
        chained = self.scalar and chain_formulas(
            self.loss, target, self.steps, self.translator, names
        )
        if chained:
            middle, right = chained
            return self.line(left, right, target, **({"middle": middle} if middle else {}))
        adjoint = self.adjoints.get(target)
        right = ZERO if adjoint is None else self.translator.array(adjoint)
        return self.line(left, right, target)

    def computed_lines(self, rewrites: Rewrites) -> list[str]:
        """What runs in place of what the formulas say, each difference once."""
        slopes = [self.adjoints[t] for t in self.targets if t in self.adjoints]
        lines = dict.fromkeys(self.computed_line(entry) for entry in rewrites(slopes))
        return gathered(list(lines))

    def computed_line(self, entry: Computed) -> str:
        """One spelling that runs in place of another."""
        right = entry.text or self.side(entry.right)
        for name, term in entry.terms.items():
            right = right.replace(f"<{name}>", self.side(term))
        stated = bool(entry.text) and _is_equation(right)
        whole = right if stated else f"{self.side(entry.left)} = {right}"
        if len(whole) > _LONGEST_REMARK:
            whole = f"{self.side(entry.left)} by a longer formula"
        return f"computed as: {whole}" + (f"  ({entry.remark})" if entry.remark else "")

    def side(self, node: Expr) -> str:
        """An expression of the sheet's graph as text, under the sheet's names."""
        return TextPrinter().show(self.translator.array(node))

    def values_line(self, values: Values, gradients: dict[str, Expr]) -> str:
        """The numbers of a scalar network, or the loss alone of any other."""
        given = [n for n in topological([self.loss]) if not n.args and n.name is not None]
        given.sort(key=lambda leaf: (leaf.op is PARAMETER, leaf.serial))
        leaves_ = given if all(leaf.shape == () for leaf in given) else []
        factors = [p for parts in self.steps.values() for p in parts.values()]
        used = symbols(tuple(self.translator.array(factor) for factor in factors))
        shown = [n for n in self.moving if self.scalar and str(n.name) in used]
        slopes = list(gradients.items()) if leaves_ else []
        nodes = [*leaves_, *shown, self.loss, *(g for _, g in slopes)]
        numbers = [value_text(value) for value in values(nodes)]
        labels = [str(n.name) for n in (*leaves_, *shown)]
        loss = TextPrinter().show(self.loss_symbol)
        labels += [loss, *(f"∂{loss}/∂{name}" for name, _ in slopes)]
        pairs = [f"{label} = {text}" for label, text in zip(labels, numbers, strict=True)]
        head = ", ".join(pairs[: len(leaves_)]) or "the given values"
        return f"at {head}: {', '.join(pairs[len(leaves_) :])}"


def gathered(lines: Sequence[str]) -> list[str]:
    """Lines that differ in one number of their symbols alone, as one line for all these numbers."""
    kinds: dict[str, list[str]] = {}
    for line in lines:
        numbers = set(re.findall(r"_(\d+)\b", line))
        kind = re.sub(r"_\d+\b", "_i", line) if len(numbers) == 1 else line
        kinds.setdefault(kind, []).append(line)
    found: list[str] = []
    for kind, members in kinds.items():
        if len(members) <= _FEW_REMARKS or kind == members[0]:
            found += members
            continue
        places = sorted({int(n) for line in members for n in re.findall(r"_(\d+)\b", line)})
        head, gap, remark = kind.partition("  (")
        found.append(f"{head} for i = {_ranges(places)}{gap}{remark}")
    return found


def _ranges(numbers: Sequence[int]) -> str:
    """1, ..., 50 where they follow one another, else all of them."""
    first, last = numbers[0], numbers[-1]
    whole = last - first + 1 == len(numbers)
    return f"{first}, …, {last}" if whole else ", ".join(map(str, numbers))


def _is_equation(text: str) -> bool:
    """Whether a text is both sides; an equation after `where` belongs to one."""
    return " = " in text.partition(" where ")[0]


def _by_name(targets: Sequence[Expr], values: Iterable[Expr]) -> dict[str, Expr]:
    found: dict[str, Expr] = {}
    for target, value in zip(targets, values, strict=True):
        name = target.name or str(target)
        if name in found:
            raise NameClashError(f"gradients: two quantities are called {name}")
        found[name] = value
    return found


def gradients(
    loss: Expr,
    wrt: Nested | None = None,
    *,
    values: Values | None = None,
    rewrites: Rewrites | None = None,
) -> Sheet:
    """The gradients of a loss as a sheet that prints how they come about.

    wrt: what to differentiate by; the loss's parameters by default, or without any its
    floating-point inputs. values: a function from expressions to their numbers; with it the sheet
    ends in a line of them. rewrites: what is computed in another spelling than the printed one;
    a sheet that shows a chain of factors leaves that out.

    Raises ShapeError unless the loss is a scalar, NameClashError where names are not unique.
    """
    require_scalar(loss, "gradients")
    targets = targets_of(loss, wrt)
    mapping = _by_name(targets, flatten(grad(loss, targets)))
    composer = _Composer(loss, targets)
    forward, backward = composer.forward(), composer.backward()
    remarks = composer.computed_lines(rewrites) if rewrites and not composer.scalar else []
    if values is not None:
        remarks.append(composer.values_line(values, mapping))
    return Sheet(loss, mapping, tuple(forward), composer.legend(), tuple(backward), tuple(remarks))
