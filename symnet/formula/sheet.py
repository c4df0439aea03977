"""The sheet: forward equations, the adjoints of pre-activations, one gradient a parameter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from symnet.expr import Expr
from symnet.formula import layout
from symnet.formula.html import Row, table
from symnet.formula.layout import WIDTH, broken, columns, indented, latex_rows
from symnet.formula.mathml import aligned, equation
from symnet.formula.moves import symbols
from symnet.formula.printer import Printer
from symnet.formula.tex import LatexPrinter
from symnet.formula.text import TextPrinter
from symnet.formula.tree import Definition, Element, Formula
from symnet.formula.written import sheet_equations, shown

_COLUMN = 40


@dataclass(frozen=True)
class Line:
    """left = middle = right, of a shape, with definitions of symbols that it needs.

    node: the expression that the right side writes.
    """

    left: Formula
    right: Formula
    middle: Formula | None = None
    shape: str = ""
    notes: tuple[Definition, ...] = ()
    node: Expr | None = None

    def show(self, printer: Printer, middle: bool) -> str:
        """The equation in a notation, with the middle part or without."""
        sides = [self.left, *([self.middle] if self.middle and middle else []), self.right]
        return " = ".join(printer.show(side) for side in sides)


@dataclass(frozen=True)
class Sheet(Mapping[str, Expr]):
    """The gradients of a loss: a mapping from a parameter's name to its gradient.

    It prints as the forward equations, the adjoints of pre-activations and one gradient a
    parameter; `latex()` is the backward part as an aligned environment.
    """

    loss: Expr
    gradients: Mapping[str, Expr]
    forward: tuple[Line, ...]
    legend: tuple[Definition, ...]
    backward: tuple[Line, ...]
    remarks: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Expr:
        return self.gradients[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.gradients)

    def __len__(self) -> int:
        return len(self.gradients)

    def __str__(self) -> str:
        printer = TextPrinter()
        width = max(columns(printer.show(line.left)) for line in self.forward)
        rows = [row for line in self.forward for row in _rows(printer, line, width)]
        rows += [f"{'':{_COLUMN}} {printer.show(item)}" for item in self.legend]
        rows += [row for line in self.backward for row in _rows(printer, line)]
        return "\n".join([*rows, *self.remarks])

    def latex(self) -> str:
        """The adjoints and gradients as LaTeX, with the definitions their symbols need."""
        printer = LatexPrinter()
        rows = []
        used = symbols(tuple(line.right for line in self.backward))
        for note in (note for line in self.forward for note in line.notes):
            if isinstance(note.left, Element) and not used.isdisjoint(symbols(note.left.base)):
                rows += latex_rows(printer.show(note.left), printer.show(note.right))
        for line in self.backward:
            rows += latex_rows(printer.show(line.left), printer.show(line.right))
            for note in line.notes:
                rows += latex_rows(printer.show(note.left), printer.show(note.right))
        return layout.aligned(rows)

    def scalar(self, to: str = "text") -> str:
        """Every line written out component by component, for small and known sizes.

        to: "text", "latex" or "mathml". GraphError where a size is a name, or where the result
        would be enormous.
        """
        lines = (*self.forward, *self.backward)
        pairs = [(line.left, line.node) for line in lines if line.node is not None]
        return shown(sheet_equations(pairs), [], to)

    def mathml(self) -> str:
        """The whole sheet as one `<math>` element, its equations aligned."""
        legend = [Line(item.left, item.right) for item in self.legend]
        lines: list[Line | Definition] = []
        for line in (*self.forward, *legend, *self.backward):
            lines += [line, *line.notes]
        return aligned((line.left, line.right) for line in lines)

    def rows(self, prefix: str = "") -> list[Row]:
        """The lines for a page, with ids `prefix-1`, `prefix-2`, ... where a prefix is given."""
        printer = TextPrinter()
        legend = [Line(item.left, item.right) for item in self.legend]
        found = []
        for place, line in enumerate((*self.forward, *legend, *self.backward), 1):
            sides = [line.left, *([line.middle] if line.middle else []), line.right]
            notes = tuple(equation([note.left, note.right]) for note in line.notes)
            name, identifier = printer.show(line.left), f"{prefix}-{place}" if prefix else ""
            found.append(Row(identifier, name, equation(sides), line.shape, notes))
        return found

    def html(self, prefix: str = "") -> str:
        """A fragment of a page that needs nothing else: MathML, shapes, what runs instead."""
        return table(self.rows(prefix), self.remarks)

    def _repr_html_(self) -> str:
        return self.html()

    def _repr_latex_(self) -> str:
        return f"${self.latex()}$"

    def __repr__(self) -> str:
        return f"<gradients of the loss by {', '.join(self.gradients)}>"


def _rows(printer: Printer, line: Line, width: int = 0) -> list[str]:
    """The equation, with its shape and its notes beside it, or below it where it is long."""
    left = printer.show(line.left)
    padded = left + " " * (width - columns(left))
    *rows, last = indented(padded + line.show(printer, middle=True).removeprefix(left))
    notes = [note for note in (line.shape, *map(printer.show, line.notes)) if note]
    taken = columns(last)
    last += " " * (_COLUMN - taken if taken < _COLUMN else 3)
    beside = len(notes)
    while beside and columns(f"{last} {'    '.join(notes[:beside])}") > WIDTH:
        beside -= 1
    rows.append(f"{last} {'    '.join(notes[:beside])}".rstrip())
    below = [part for note in notes[beside:] for part in broken(note, _COLUMN + 1)]
    return rows + [f"{'':{_COLUMN}} {part}" for part in below]
