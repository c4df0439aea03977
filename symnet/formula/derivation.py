"""Backpropagation step by step: which rule was used where, and where paths meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from symnet.errors import GraphError
from symnet.expr import Expr, topological
from symnet.formula.compose import Values
from symnet.formula.derivation_page import ELSEWHERE, page
from symnet.formula.graph import active_nodes, require_scalar
from symnet.formula.notation import Notation, StepFormulas
from symnet.formula.printer import Printer
from symnet.formula.steps import Step, backward, silent_nodes
from symnet.formula.tex import LatexPrinter
from symnet.formula.text import TextPrinter, value_text
from symnet.formula.tree import Definition, Partial
from symnet.ops.pointwise import zeros


@dataclass(frozen=True, eq=False)
class Derivation:
    """How a derivative comes about, in numbered steps from the loss to the variable.

    steps, gradient: claims in expressions; what prints is made of them, and `check` evaluates
    them. values: the loss and the derivative in numbers, where numbers were given.
    """

    loss: Expr
    wrt: Expr
    steps: tuple[Step, ...]
    gradient: Expr
    notation: Notation
    values: str = ""

    def check(self, feeds: Any = None, *, seed: int = 0) -> Any:
        """Every claim of every step against numbers that the chain rule had no part in.

        feeds: data for the inputs, and for parameters that are not to start as `seed` says; without
        feeds every number is drawn at random.
        Returns a report, true if every step holds. FeedError for data that does not fit.
        """
        return Expr.dispatch["check_derivation"](self, feeds, seed=seed)

    def altered(self, number: int, /, **claims: Any) -> Derivation:
        """The derivation with other claims in step `number`; GraphError if there is none."""
        if not 1 <= number <= len(self.steps):
            raise GraphError(f"there is no step {number}, there are {len(self.steps)}")
        changed = replace(self.steps[number - 1], **claims)
        steps = (*self.steps[: number - 1], changed, *self.steps[number:])
        return replace(self, steps=steps)

    def __str__(self) -> str:
        printer = TextPrinter()
        rows = [printer.show(line) for line in self.notation.forward()]
        rows += [printer.show(line) for line in self.notation.legend()]
        rows += [ELSEWHERE] if self.notation.deltas else []
        shown = [self.notation.of(step) for step in self.steps]
        for step, formulas in zip(self.steps, shown, strict=True):
            rows += self._text(step, formulas)
        result = self.notation.result(self.gradient)
        rows += [f"where {printer.show(line)}" for line in self.notation.where(shown, result)]
        rows += [printer.show(result), *([f"here {self.values}"] if self.values else [])]
        return "\n".join(rows)

    def _text(self, step: Step, formulas: StepFormulas) -> list[str]:
        printer = TextPrinter()
        head = f"{step.number}. {printer.show(formulas.equation)}: {step.rule}, "
        if formulas.handed is None:
            rows = [head + printer.show(formulas.local)]
        else:
            rows = [
                head + _handed(printer, step, formulas.handed, "to {} goes {}"),
                f"   locally {printer.show(formulas.local)}",
            ]
        rows += [f"   where {printer.show(line)}" for line in formulas.where]
        shape = f"  [{step.shape}]" if step.shape else ""
        rows.append(f"   so far {chained(printer, formulas.so_far)}{shape}{self.meeting(step)}")
        return rows + ([f"   here {step.values}"] if step.values else [])

    def meeting(self, step: Step) -> str:
        """The words for where paths meet: the sum of which steps."""
        if not step.meets:
            return ""
        earlier = self.steps[: step.number - 1]
        before = [str(other.number) for other in earlier if other.operand is step.operand]
        return f", paths meet: the sum of steps {', '.join(before)} and {step.number}"

    def latex(self) -> str:
        """The steps and the result as an aligned environment."""
        printer = LatexPrinter()
        rows = [f"& {printer.show(line)}" for line in self.notation.forward()]
        rows += [f"& {printer.show(line)}" for line in self.notation.legend()]
        rows += [f"& \\text{{{ELSEWHERE}}}"] if self.notation.deltas else []
        shown = [self.notation.of(step) for step in self.steps]
        for step, formulas in zip(self.steps, shown, strict=True):
            local = printer.show(formulas.local)
            rows.append(
                f"\\text{{{step.number}.}}\\quad & {printer.show(formulas.equation)} "
                f"&& \\text{{{step.rule}: }} {local} && {self._latex_sum(step, formulas)}"
            )
            rows += [f"& && \\text{{where }} {printer.show(line)}" for line in formulas.where]
        result = self.notation.result(self.gradient)
        where = self.notation.where(shown, result)
        rows += [f"\\text{{where}}\\quad & {printer.show(line)}" for line in where]
        rows.append(f"& {printer.show(result)}")
        return "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}"

    def _latex_sum(self, step: Step, formulas: StepFormulas) -> str:
        printer = LatexPrinter()
        so_far = chained(printer, formulas.so_far)
        if formulas.handed is None:
            return so_far
        pattern = "\\text{{to }} {} \\text{{ goes }} {}"
        return f"{_handed(printer, step, formulas.handed, pattern)},\\quad {so_far}"

    def html(self, opened: bool = False) -> str:
        """A fragment of a page that needs nothing else: MathML, and each step to fold out.

        opened: whether the steps are unfolded to begin with.
        """
        return page(self, opened)

    def _repr_html_(self) -> str:
        return self.html()

    def _repr_latex_(self) -> str:
        return f"${self.latex()}$"

    def __repr__(self) -> str:
        name = TextPrinter().show(self.notation.result(self.gradient).left)
        return f"<derivation of {name} in {len(self.steps)} steps>"


def _handed(printer: Printer, step: Step, handed: Definition, shared: str) -> str:
    """What a step hands on: the adjoint itself, or a part of it where paths meet."""
    if step.shared:
        return shared.format(printer.show(handed.left), printer.show(handed.right))
    return printer.show(handed)


def chained(printer: Printer, equations: Sequence[Definition]) -> str:
    """Equations of one left side as one: a = b = c."""
    sides = [equations[0].left, *(equation.right for equation in equations)]
    return " = ".join(printer.show(side) for side in sides)


def _valued(derivation: Derivation, values: Values) -> Derivation:
    """The derivation with the numbers of its steps, and those of the loss and the gradient."""
    notation, steps = derivation.notation, derivation.steps
    printer, loss = TextPrinter(), derivation.loss
    nodes = [step.node for step in steps]
    states = [step.adjoint for step in steps]
    found = list(values([loss, derivation.gradient, *nodes, *states]))

    def equation(name: Any, value: object) -> str:
        return f"{printer.show(name)} = {value_text(value)}"

    made = []
    for place, step in enumerate(steps, 2):
        node = equation(notation.symbols[step.node], found[place])
        adjoint = equation(notation.adjoint(step.operand), found[place + len(steps)])
        made.append(replace(step, values=f"{node}, {adjoint}"))
    top = notation.symbols[loss]
    slope = equation(Partial(top, notation.symbols[derivation.wrt]), found[1])
    return replace(derivation, steps=tuple(made), values=f"{equation(top, found[0])}, {slope}")


def derive(loss: Expr, wrt: Expr, values: Values | None = None) -> Derivation:
    """The derivation of the gradient of a scalar loss by `wrt`, step by step.

    values: a function from expressions to their numbers; with it each step has a line of them.
    Raises ShapeError unless the loss is a scalar, GraphError if it does not depend on `wrt`.
    """
    require_scalar(loss, "derive")
    whole = topological([loss])
    active = active_nodes(whole, [wrt])
    if wrt not in set(whole):
        raise GraphError("derive: the loss does not depend on what it is derived by")
    order = [node for node in whole if node in active]
    moving = [node for node in order if node is not wrt]
    silent = silent_nodes(moving, active, wrt)
    steps, adjoints = backward(loss, moving, active, silent)
    # Where nothing is handed down to it, the derivative is zero: that of floor(x), say.
    gradient = adjoints[wrt] if wrt in adjoints else zeros(wrt)
    counts: dict[Expr, int] = {}
    for step in steps:
        counts[step.operand] = counts.get(step.operand, 0) + 1
    shared = [replace(step, shared=counts[step.operand] > 1) for step in steps]
    notation = Notation(loss, wrt, order, silent)
    notation.prepare(shared, gradient)
    derivation = Derivation(loss, wrt, tuple(shared), gradient, notation)
    return derivation if values is None else _valued(derivation, values)
