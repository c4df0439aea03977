"""The formulas of a derivation: under which names its nodes, adjoints and Jacobians are written."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from symnet.expr import Expr
from symnet.formula.jacobians import Index
from symnet.formula.naming import intermediates
from symnet.formula.scalars import size_formula
from symnet.formula.steps import Step
from symnet.formula.sums import total
from symnet.formula.translate import Translator
from symnet.formula.tree import (
    Definition,
    Element,
    Formula,
    Hadamard,
    Partial,
    Scaled,
    Sum,
    Symbol,
)
from symnet.ops.leaves import INPUT

_UNNAMED = "v"


@dataclass(frozen=True)
class StepFormulas:
    """A step in formulas.

    equation: the node from its operands. local: an element of the local Jacobian. handed: what the
    operand is handed on; None between numbers, where the local derivative says it. so_far: the
    adjoint of the operand, where paths meet first as the sum of its terms. where: what symbols of
    these stand for.
    """

    equation: Definition
    local: Definition
    handed: Definition | None
    so_far: tuple[Definition, ...]
    where: tuple[Definition, ...]


class Notation:
    """How the steps of one derivation are written.

    Locally every node has a symbol: the user's, else v_1, v_2, ... upwards. Adjoints of arrays are
    Δ_k = ∂L/∂Z_k and δ_k = ∂L/∂v_k, as in the literature; any other is ∂L/∂A. What is `silent` is
    written as its operand, what is `inline` as the formula it is. Names that are `taken` are not
    given again.
    """

    def __init__(
        self,
        loss: Expr,
        wrt: Expr,
        order: Sequence[Expr],
        silent: Collection[Expr],
        inline: Collection[Expr] = (),
        taken: Collection[str] = (),
    ) -> None:
        self.loss, self.wrt, self.order = loss, wrt, order
        self.silent, self.inline = silent, inline
        self.local, self.full, self.leaf = (Translator([loss]) for _ in range(3))
        self.local.names.taken |= set(taken)
        # One stock of names, so that no symbol means two things.
        self.full.names = self.leaf.names = self.local.names
        self.given = set(self.local.named.values())
        self.symbols: dict[Expr, Formula] = {}
        self.unnamed: set[Formula] = set()
        self.deltas: dict[Expr, Formula] = {}
        self._label()
        if any(node.shape for node in order if node is not wrt):
            self._name_adjoints()
            for node, symbol in self.symbols.items():
                self.full.named[node] = symbol

    def _label(self) -> None:
        names = self.local
        if self.loss not in names.named:
            names.named[self.loss] = Symbol(names.names.fresh("L"))
        for node in self.order:
            if node in names.named:
                continue
            if node in self.silent:
                names.named[node] = names.array(node.args[0])
            elif node in self.inline:
                names.named[node] = names.array(node)
            else:
                symbol = Symbol(names.names.fresh(_UNNAMED, numbered=True))
                names.named[node] = symbol
                self.unnamed.add(symbol)
        self.symbols = {node: names.named[node] for node in (*self.order, self.loss, self.wrt)}
        top = self.loss
        while top in self.silent:
            top = top.args[0]
            self.symbols[top] = names.named[top] = self.symbols[self.loss]

    def _name_adjoints(self) -> None:
        made: dict[Formula, Formula] = {}
        for node in self.order:
            symbol = self.symbols[node]
            if node is self.wrt or not isinstance(symbol, Symbol):
                continue
            head, _, below = symbol.name.partition("_")
            letter = {"v": "δ", "Z": "Δ"}.get(head)
            if letter is None or not below or (head == _UNNAMED and symbol not in self.unnamed):
                continue
            if symbol not in made:
                made[symbol] = Symbol(self.local.names.fresh(f"{letter}_{below}"))
            self.deltas[node] = made[symbol]

    def legend(self) -> list[Definition]:
        """What the deltas are."""
        named = {delta.name: self.symbols[node] for node, delta in self.deltas.items()
                 if isinstance(delta, Symbol)}  # fmt: skip
        top, kinds = self.symbols[self.loss], {"Δ": "Z", "δ": "v"}
        found = []
        for letter, base in kinds.items():
            own = [(delta, node) for delta, node in named.items() if delta.startswith(letter)]
            regular = all(node == Symbol(base + delta[1:]) for delta, node in own)
            if len(own) > 1 and regular:
                found.append(Definition(Symbol(f"{letter}_k"), Partial(top, Symbol(f"{base}_k"))))
            else:
                found += [Definition(Symbol(delta), Partial(top, node)) for delta, node in own]
        return found

    def named_by_user(self, node: Expr) -> bool:
        """Whether a node has a name that the user, or a layer, gave it."""
        return self.symbols.get(node) in self.given

    def adjoint(self, node: Expr) -> Formula:
        """The symbol of the derivative of the loss by a node."""
        return self.deltas.get(node) or Partial(self.symbols[self.loss], self.symbols[node])

    def prepare(self, steps: Sequence[Step], gradient: Expr) -> None:
        """Name what would make the formulas of these steps long: the deltas, first of all."""
        outputs = [term for step in steps for term in (*step.terms, step.adjoint)]
        if intermediates(outputs, self.full.named):
            self._by_deltas(steps)
        self.full.define_long(outputs)
        self.leaf.define_long([gradient])

    def _by_deltas(self, steps: Sequence[Step]) -> None:
        """Write later adjoints by those of the layers, and by those where paths have met."""
        whole = {step.operand: step for step in steps}
        for node, step in whole.items():
            delta = self.deltas.get(node)
            layer = isinstance(delta, Symbol) and delta.name.startswith("Δ")
            if delta is not None and step.adjoint.args and (layer or step.meets):
                for translator in (self.full, self.leaf):
                    translator.named.setdefault(step.adjoint, delta)

    def forward(self) -> list[Definition]:
        """Each node on the way from its operands."""
        return [
            self.equation(node)
            for node in self.order
            if node.args and node not in self.silent and node is not self.wrt
        ]

    def equation(self, node: Expr) -> Definition:
        """A node from its operands; an operand that stands twice is written twice."""
        operands = [self.symbols.get(arg) for arg in node.args]
        twice = len(operands) == 2 and operands[0] is not None and node.args[0] is node.args[1]
        if twice and node.op.name in ("add", "multiply"):
            pair = tuple(operand for operand in operands if operand is not None)
            product = Hadamard(pair) if node.shape else Scaled(over=pair)
            return Definition(self.symbols[node], Sum(pair) if node.op.name == "add" else product)
        return self.local.equation(node, self.symbols[node])

    def of(self, step: Step) -> StepFormulas:
        """A step in formulas."""
        equation, local = self.equation(step.node), self._jacobian(step)
        handed = None if step.scalar else self._handed(step)
        shown = [equation.right, local.right, *([handed.right] if handed else [])]
        where = self.local.needed(shown)
        return StepFormulas(equation, local, handed, tuple(self._so_far(step)), tuple(where))

    def result(self, gradient: Expr) -> Definition:
        """The derivative by the variable; by the nodes of the steps, if it is long otherwise."""
        left = Partial(self.symbols[self.loss], self.symbols[self.wrt])
        right = self.leaf.array(gradient)
        long = self.deltas and self.leaf.needed([right])
        return Definition(left, self.full.array(gradient) if long else right)

    def where(self, shown: Iterable[StepFormulas], result: Definition) -> list[Definition]:
        """What symbols in the adjoints so far and in the result stand for."""
        sums = [line.right for formulas in shown for line in formulas.so_far]
        needed = [*self.full.needed([*sums, result.right]), *self.leaf.needed([result.right])]
        return list(dict.fromkeys(needed))

    def _jacobian(self, step: Step) -> Definition:
        jacobian = step.jacobian
        letters = self.local.letters(jacobian.entries.shape)
        above, below = self.symbols[step.node], self.symbols[step.operand]
        with self.local.inside(letters):
            right = self.local.element(jacobian.entries, letters)
            if jacobian.above:
                above = Element(above, tuple(self._index(i, letters) for i in jacobian.above))
            if jacobian.below:
                below = Element(below, tuple(self._index(i, letters) for i in jacobian.below))
        return Definition(Partial(above, below), right)

    def _index(self, index: Index, letters: Sequence[Formula]) -> Formula:
        own = tuple(letters[letter] for letter in index.letters)
        if index.of is not None:
            return self.local.element(index.of, own)
        start, (letter,) = index.start, own
        if index.step != 1:
            letter = Scaled(top=Fraction(index.step), over=(letter,))
        return letter if start == 0 else total([letter, size_formula(start)], scalar=True)

    def _handed(self, step: Step) -> Definition:
        if step.seed.op is INPUT:
            self.local.named[step.seed] = self.adjoint(step.node)
        return Definition(self.adjoint(step.operand), self.local.array(step.handed))

    def _so_far(self, step: Step) -> list[Definition]:
        left = self.adjoint(step.operand)
        own = self.full.named.get(step.adjoint) == left
        right = self.full.body(step.adjoint) if own else self.full.array(step.adjoint)
        if not step.meets:
            return [Definition(left, right)]
        whole = Sum(tuple(self.full.array(term) for term in step.terms))
        return [Definition(left, whole), *([Definition(left, right)] if right != whole else [])]
