"""Composing a sheet: which equations stand on it, in which order, under which names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from symnet.diff import Nested, adjoints, flatten, grad
from symnet.errors import NameClashError
from symnet.expr import Expr, topological
from symnet.formula.algebra import negate
from symnet.formula.chain import Steps, chain_formulas, local_steps
from symnet.formula.graph import (
    active_nodes,
    direct_parts,
    require_scalar,
    targets_of,
)
from symnet.formula.layers import with_names
from symnet.formula.ledger import base_name
from symnet.formula.moves import symbols
from symnet.formula.naming import core, intermediates, is_scalar
from symnet.formula.remarks import Computed as Computed
from symnet.formula.remarks import Rewrites, remark_lines
from symnet.formula.roles import Roles
from symnet.formula.roots import as_read, with_plain_roots
from symnet.formula.sheet import Line, Sheet
from symnet.formula.text import TextPrinter, value_text
from symnet.formula.translate import Translator
from symnet.formula.tree import (
    EULER,
    ONE,
    ZERO,
    Apply,
    Definition,
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
from symnet.ops.pointwise import zeros
from symnet.ops.reduction import SOFTMAX, Reduction
from symnet.ops.table import add, negative, subtract
from symnet.sizes import show_shape

_FEW_DELTAS = 3  # so many are all explained

Values = Callable[[Sequence[Expr]], Sequence[Any]]
"""values(expressions) -> their numbers, at the feeds that the caller has in mind."""


class _Composer:
    """One sheet in the making."""

    def __init__(self, loss: Expr, targets: Sequence[Expr]) -> None:
        self.targets = targets
        self._differentiate(with_names(as_read(loss), targets))
        active = active_nodes(topological([self.loss]), targets)
        self.scalar = bool(self.moving) and all(n.shape == () for n in self.moving)
        self.slopes = [self.adjoints[t] for t in targets if t in self.adjoints]
        self.steps: Steps = local_steps(self.loss, self.moving, targets) if self.scalar else {}
        self.emitted: set[str] = set()
        self._explained = False
        partials = [p for by_part in self.steps.values() for p in by_part.values()]
        self.deltas = [] if self.scalar else self._delta_nodes()
        own = [] if self.scalar else [self.adjoints[node] for node in self.deltas] + self.slopes
        self.roots = [self.loss, *own, *partials]
        self.translator = Translator(self.roots)
        self.extra: list[Expr] = []
        self.delta_symbols: dict[Expr, Symbol] = {}
        self._name_values(active)
        self._name_adjoints()

    def _differentiate(self, loss: Expr) -> None:
        """The adjoints of targets and named nodes, as they are computed and as they are written."""
        order = topological([loss])
        active = active_nodes(order, self.targets)
        chosen = [n for n in order if n.op is NAMED and n is not loss]
        moving = [n for n in chosen if n in active and n not in set(self.targets)]
        found = adjoints({loss: number(1, loss.dtype)}, [*self.targets, *moving])
        self.computed = [found[t] for t in self.targets if t in found]
        written = self.written = with_plain_roots([loss, *found, *found.values()])
        self.loss = written[loss]
        self.named, self.moving = [written[n] for n in chosen], [written[n] for n in moving]
        self.adjoints = {written[node]: written[slope] for node, slope in found.items()}

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

    def _name_values(self, active: set[Expr]) -> None:
        """Names for the loss, for shares, and for what would make formulas too long."""
        names = self.translator
        order = topological(self.roots)
        self.roles = Roles(topological([self.loss]), active, self.adjoints, self.moving)
        for node in order:
            if node.op is SOFTMAX and node not in names.named:
                self._name_value(node, ("P", False))
        self.loss_symbol: Formula = names.named.get(self.loss) or Symbol(names.names.fresh("L"))
        if self.scalar:
            return
        values: set[Expr] = set()
        for node in intermediates(self.roots, self._known(), self.roles.preferred):
            value = node if node in self.roles.forward else self.roles.value_of(node)
            if value is not None and value not in names.named and value is not self.loss:
                values.add(value)
        for value in (node for node in topological([self.loss]) if node in values):
            self._name_value(value, self.roles.name(value))
            if value in self.adjoints:
                self.roles.owners.setdefault(self.adjoints[value], value)

    def _known(self) -> dict[Expr, Formula]:
        """What has a name, or is about to get one as the delta of a layer."""
        deltas = {self.adjoints[node]: self.loss_symbol for node in self.deltas}
        return {**self.translator.named, **deltas}

    def _name_value(self, node: Expr, name: tuple[str, bool]) -> None:
        self.translator.named[node] = Symbol(self.translator.names.fresh(*name))
        self.extra.append(node)

    def _name_adjoints(self) -> None:
        """Deltas for layers and for adjoints that several formulas use; the rest gets names."""
        names = self.translator
        chosen = intermediates(self.roots, self._known(), self.roles.preferred)
        owners = self.roles.owners
        wanted = {owners[node]: None for node in chosen if node in owners and not self.scalar}
        below = {node: place for place, node in enumerate(topological(self.roots))}
        sums = [] if self.scalar else [node for node in self.moving if self._is_summed(node)]
        wanted = dict.fromkeys([*self.deltas, *wanted, *sums])
        for node in sorted(wanted, key=lambda node: below[self.adjoints[node]]):
            symbol = Symbol(names.names.fresh(f"Δ_{self._below(node)}"))
            # Adjoints of two nodes may be one expression: the first name is kept for it. What the
            # loss itself is made of, such as a constant, is no adjoint by name.
            if self.adjoints[node] not in self.roles.forward:
                names.named.setdefault(self.adjoints[node], symbol)
            self.delta_symbols[node] = symbol
        names.define_long(self.roots, self.roles.preferred, self.roles.name)

    def known(self) -> Translator:
        """The translator, which also knows by name what is computed in the place of what is written
        so."""
        for node, written in self.written.items():
            if written in self.translator.named:
                self.translator.named.setdefault(node, self.translator.named[written])
        return self.translator

    def _is_summed(self, node: Expr) -> bool:
        """Whether the adjoint of a node is a sum over rows or columns, as that of a mean is."""
        adjoint = self.adjoints.get(node)
        if adjoint is None or not node.ndim or is_scalar(adjoint):
            return False
        stack = [adjoint]
        while stack:
            part = core(stack.pop())
            if part is adjoint or part not in self.roles.owners:
                if isinstance(part.op, Reduction):
                    return True
                stack.extend(part.args if part.op in (add, subtract, negative) else ())
        return False

    def _below(self, node: Expr) -> str:
        """The subscript of a node's delta: 1 for Z_1, hidden for Z_hidden, else its own name."""
        symbol = self.translator.named[node]
        name = symbol.name if isinstance(symbol, Symbol) else str(node.name)
        return name[2:] if name.startswith("Z_") and len(name) > 2 else name

    def line(
        self, left: Formula, right: Formula, node: Expr, middle: Formula | None = None
    ) -> list[Line]:
        """The line of a node, and before it one for each intermediate that no line defined yet."""
        lines: list[Line] = []
        notes: list[Definition] = []
        for definition in self.translator.needed([right], self.emitted):
            name = base_name(definition.left)
            self.emitted.add(name)
            own = self.translator.defined.get(name)
            if own is None:
                notes.append(definition)
            else:
                shown = show_shape(own.shape) if own.shape else ""
                sides = (definition.left, definition.right, None)
                lines.append(Line(*sides, shown, tuple(notes), own))
                notes = []
        notes += self._sigmoid_legend(right)
        shape = show_shape(node.shape) if node.shape else ""
        return [*lines, Line(left, right, middle, shape, tuple(notes), node)]

    def equation_line(self, node: Expr, symbol: Formula) -> list[Line]:
        """The line that says what a node is."""
        equation = self.translator.equation(node, symbol)
        return self.line(equation.left, equation.right, node)

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
        wanted = {*self.named, *self.extra}
        place = {node: rank for rank, node in enumerate(topological(self.roots))}
        # log P does not hold P: what P is of comes before whatever else is made from that.
        extra = sorted(self.extra, key=lambda node: max(place[arg] for arg in node.args))
        for node in topological([*extra, self.loss]):
            if node in wanted:
                lines += self.equation_line(node, self.translator.named[node])
        return lines + self.line(self.loss_symbol, self.translator.body(self.loss), self.loss)

    def legend(self) -> tuple[Definition, ...]:
        """What the deltas are: one rule for those that are called as their Z, one for others."""
        pairs = [(symbol, self.translator.named[n]) for n, symbol in self.delta_symbols.items()]
        taken = self.translator.names.taken
        other = next((letter for letter in "vuqr" if letter not in taken), "v_0")
        rules: dict[Formula, Definition] = {}
        single: list[Definition] = []
        for symbol, value in pairs:
            name = value.name if isinstance(value, Symbol) else ""
            below = symbol.name.removeprefix("Δ_")
            letter = {f"Z_{below}": "k", below: other}.get(name)
            single.append(Definition(symbol, Partial(self.loss_symbol, value)))
            if letter is not None:
                plain = Symbol(f"Z_{letter}" if letter == "k" else letter)
                left = Symbol(f"Δ_{letter}")
                rules[symbol] = Definition(left, Partial(self.loss_symbol, plain))
        few = len(single) <= _FEW_DELTAS and not all(
            isinstance(rule.left, Symbol) and rule.left.name == "Δ_k" for rule in rules.values()
        )
        if few or len(rules) < len(single):
            return tuple(single)
        return tuple(dict.fromkeys(rules.values()))

    def backward(self) -> list[Line]:
        """The deltas from the loss downwards, then the gradients, last layer first."""
        lines: list[Line] = []
        for node, symbol in self.delta_symbols.items():
            adjoint = self.adjoints[node]
            if self.translator.named.get(adjoint) is symbol:
                lines += self.equation_line(adjoint, symbol)
            else:
                lines += self.line(symbol, self.translator.array(adjoint), adjoint)
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
            return self.line(left, right, self.adjoints[target], middle)
        adjoint = self.adjoints.get(target)
        if adjoint is None:
            return self.line(left, ZERO, zeros(target))
        if adjoint in self.translator.named:
            return self.line(left, self.translator.array(adjoint), adjoint)
        return self.equation_line(adjoint, left)

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
    remarks = []
    if rewrites and not composer.scalar:
        remarks = remark_lines(rewrites(composer.computed), composer.known(), composer.emitted)
    if values is not None:
        remarks.append(composer.values_line(values, mapping))
    return Sheet(loss, mapping, tuple(forward), composer.legend(), tuple(backward), tuple(remarks))
