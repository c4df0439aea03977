"""Backpropagation step by step: which rule was used where, and where paths meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from symnet.errors import GraphError
from symnet.expr import Expr, make, topological
from symnet.formula.compose import Values
from symnet.formula.graph import active_nodes, require_scalar
from symnet.formula.printer import Printer
from symnet.formula.tex import LatexPrinter
from symnet.formula.text import TextPrinter, value_text
from symnet.formula.translate import Translator
from symnet.formula.tree import Definition, Formula, Partial, Symbol
from symnet.ops.core import CAST, number
from symnet.ops.leaves import INPUT, NAMED, UNKNOWN
from symnet.ops.pointwise import zeros
from symnet.ops.views import RESHAPE
from symnet.sizes import show_shape

_RULES = {
    "add": "sum rule",
    "subtract": "sum rule",
    "negative": "sum rule",
    "multiply": "product rule",
    "divide": "quotient rule",
    "pow": "power rule",
    "einsum": "product of matrices",
    "broadcast": "what is repeated collects the sum",
    "sum": "each element of a sum counts once",
    "where": "each branch where its condition holds",
    "gather": "what is picked is added back to its place",
    "permute": "the axes in their former order",
}
_SILENT = (NAMED, CAST, RESHAPE)


@dataclass(frozen=True)
class Step:
    """One step of backpropagation: from a node to one of its operands.

    equation: the node from its operands. rule: in words. local: the derivative of the node by the
    operand, or for arrays the adjoint it hands on. adjoint: that of the operand, all steps so far
    added. meets: whether an earlier step had already reached the operand. values: the node and the
    adjoint so far in numbers, where numbers were given.
    """

    number: int
    node: Expr
    operand: Expr
    equation: Definition
    rule: str
    local: Definition
    adjoint: Definition
    shape: str
    meets: bool
    values: str = ""

    def show(self, printer: Printer) -> list[str]:
        """Equation, local derivative and adjoint so far, in a notation."""
        return [printer.show(part) for part in (self.equation, self.local, self.adjoint)]


@dataclass(frozen=True)
class Derivation:
    """How a derivative comes about, in numbered steps from the loss to the variable.

    values: the loss and the derivative in numbers, where numbers were given.
    """

    gradient: Expr
    forward: tuple[Definition, ...]
    steps: tuple[Step, ...]
    where: tuple[Definition, ...]
    result: Definition
    values: str = ""

    def __str__(self) -> str:
        printer = TextPrinter()
        rows = [printer.show(line) for line in self.forward]
        for step in self.steps:
            equation, local, adjoint = step.show(printer)
            shape = f"  [{step.shape}]" if step.shape else ""
            meets = ", paths meet: the sum" if step.meets else ""
            rows.append(f"{step.number}. {equation}: {step.rule}, {local}")
            rows.append(f"   so far {adjoint}{shape}{meets}")
            rows += [f"   here {step.values}"] if step.values else []
        rows += [f"where {printer.show(line)}" for line in self.where]
        rows += [printer.show(self.result), *([f"here {self.values}"] if self.values else [])]
        return "\n".join(rows)

    def latex(self) -> str:
        """The steps and the result as an aligned environment."""
        printer = LatexPrinter()
        rows = [f"& {printer.show(line)}" for line in self.forward]
        for step in self.steps:
            equation, local, adjoint = step.show(printer)
            rows.append(
                f"\\text{{{step.number}.}}\\quad & {equation} && \\text{{{step.rule}: }} {local} "
                f"&& {adjoint}"
            )
        rows += [f"\\text{{where}}\\quad & {printer.show(line)}" for line in self.where]
        rows.append(f"& {printer.show(self.result)}")
        return "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}"

    def _repr_latex_(self) -> str:
        return f"${self.latex()}$"


def _source(node: Expr) -> Expr:
    """The node that a silent one stands for."""
    while node.op in _SILENT:
        node = node.args[0]
    return node


class _Deriver:
    """One derivation in the making: short names for the local view, formulas for the full one."""

    def __init__(self, loss: Expr, wrt: Expr) -> None:
        self.loss, self.wrt = loss, wrt
        order = topological([loss])
        active = active_nodes(order, [wrt])
        if wrt not in set(order):
            raise GraphError("derive: the loss does not depend on what it is derived by")
        self.order = [node for node in order if node in active]
        self.local = Translator([loss])
        self.symbols: dict[Expr, Formula] = {}
        self.steps: list[tuple[Expr, Expr, Definition, Expr, bool]] = []
        self._label()

    def _label(self) -> None:
        """A symbol for every node on the way: the user's, else v_1, v_2, ... upwards."""
        names = self.local
        if self.loss not in names.named:
            names.named[self.loss] = Symbol(names.names.fresh("L"))
        for node in self.order:
            if node not in names.named:
                inner = node.args[0] if node.op in _SILENT else node
                if inner is node:
                    names.named[node] = Symbol(names.names.fresh("v", numbered=True))
                else:
                    names.named[node] = names.array(inner)
        shown = (*self.order, self.loss, self.wrt)
        self.symbols = {node: names.named[node] for node in shown}
        top = _source(self.loss)
        if top in self.symbols:
            self.symbols[top] = names.named[top] = self.symbols[self.loss]

    def forward(self) -> dict[Expr, Definition]:
        """Each node on the way from its operands."""
        moving = [n for n in self.order if n.args and n.op not in _SILENT and n is not self.wrt]
        return {node: self.local.equation(node, self.symbols[node]) for node in moving}

    def run(self) -> dict[Expr, Expr]:
        """The adjoints, step by step."""
        active = set(self.order)
        found = {self.loss: number(1, self.loss.dtype)}
        for node in reversed(self.order):
            if node not in found or node is self.wrt:
                continue
            for index, operand in enumerate(node.args):
                if operand not in active:
                    continue
                part = node.op.pullback(node, found[node], index)
                if part is None:
                    continue
                meets = operand in found
                found[operand] = found[operand] + part if meets else part
                if node.op not in _SILENT:
                    handed = self._local(node, index)
                    self.steps.append((node, operand, handed, found[operand], meets))
        return found

    def _local(self, node: Expr, index: int) -> Definition:
        """∂node/∂operand for scalars; what the adjoint δ of an array becomes."""
        operand, above = node.args[index], self.symbols[node]
        below = self.symbols[operand]
        if node.shape == operand.shape == ():
            seed = number(1, node.dtype)
            left: Formula = Partial(above, below)
        else:
            seed = make(INPUT, identity=True, name="δ", shape=node.shape, dtype=str(node.dtype))
            self.local.named[seed] = Partial(self.symbols[self.loss], above)
            left = Partial(self.symbols[self.loss], below)
        part = node.op.pullback(node, seed, index)
        assert part is not None
        return Definition(left, self.local.array(part))


def _valued(
    deriver: _Deriver, steps: Sequence[Step], gradient: Expr, values: Values
) -> tuple[list[Step], str]:
    """The steps with their numbers, and those of the loss and the gradient."""
    printer, loss, wrt = TextPrinter(), deriver.loss, deriver.wrt
    states = [state for *_, state, _ in deriver.steps]
    found = list(values([loss, gradient, *(step.node for step in steps), *states]))
    top = deriver.symbols[loss]

    def equation(name: Formula, value: object) -> str:
        return f"{printer.show(name)} = {value_text(value)}"

    made = []
    for place, step in enumerate(steps, 2):
        node = equation(deriver.symbols[step.node], found[place])
        adjoint = equation(step.adjoint.left, found[place + len(steps)])
        made.append(replace(step, values=f"{node}, {adjoint}"))
    slope = equation(Partial(top, deriver.symbols[wrt]), found[1])
    return made, f"{equation(top, found[0])}, {slope}"


def derive(loss: Expr, wrt: Expr, values: Values | None = None) -> Derivation:
    """The derivation of the gradient of a scalar loss by `wrt`, step by step.

    values: a function from expressions to their numbers; with it each step has a line of them.
    Raises ShapeError unless the loss is a scalar, GraphError if it does not depend on `wrt`.
    """
    require_scalar(loss, "derive")
    deriver = _Deriver(loss, wrt)
    adjoints = deriver.run()
    # Where nothing is handed down to it, the derivative is zero: that of floor(x), say.
    gradient = adjoints[wrt] if wrt in adjoints else zeros(wrt)
    full = Translator([loss, *(state for *_, state, _ in deriver.steps)])
    full.define_long([state for *_, state, _ in deriver.steps])
    top = deriver.symbols[loss]
    forward = deriver.forward()
    steps = []
    for place, (node, operand, handed, state, meets) in enumerate(deriver.steps, 1):
        so_far = Definition(Partial(top, deriver.symbols[operand]), full.array(state))
        shape = show_shape(operand.shape) if operand.shape else ""
        rule = _rule(node)
        steps.append(Step(place, node, operand, forward[node], rule, handed, so_far, shape, meets))
    result = Definition(Partial(top, deriver.symbols[wrt]), full.array(gradient))
    where = full.needed([*(step.adjoint.right for step in steps), result.right])
    numbers = ""
    if values is not None:
        steps, numbers = _valued(deriver, steps, gradient, values)
    lines = tuple(forward.values())
    return Derivation(gradient, lines, tuple(steps), tuple(where), result, numbers)


def _rule(node: Expr) -> str:
    if node.op is UNKNOWN:
        return f"chain rule, {node.attrs['name']} unknown"
    return _RULES.get(node.op.name, f"chain rule through {node.op.name}")
