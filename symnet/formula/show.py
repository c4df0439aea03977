"""One expression as one formula, with the definitions it needs."""

from __future__ import annotations

from collections.abc import Sequence

from symnet.errors import GraphError
from symnet.expr import Expr
from symnet.formula import written
from symnet.formula.layout import WIDTH, aligned, broken, columns, indented, latex_columns
from symnet.formula.mathml import with_definitions
from symnet.formula.printer import Printer
from symnet.formula.tex import LatexPrinter
from symnet.formula.text import TextPrinter
from symnet.formula.translate import Translator
from symnet.formula.tree import Definition, Formula

_FORMS = ("matrix", "index", "scalar")
_PRINTERS: dict[str, type[Printer]] = {"text": TextPrinter, "latex": LatexPrinter}
_HANGING = 7  # the width of "where  "
_NOTATIONS = (*_PRINTERS, "mathml")


def translated(expr: Expr, form: str) -> tuple[Formula, Sequence[Definition]]:
    """The expression as a formula in "matrix" or "index" form, and the definitions it needs."""
    translator = Translator([expr], expand=form == "index")
    translator.define_long([expr])
    if form == "matrix":
        body = translator.whole(expr)
        return body, translator.needed([body])
    indices = translator.letters(expr.shape)
    with translator.inside(indices):
        body = translator.body_element(expr, indices)
    return body, translator.needed([body])


def formula(expr: Expr, form: str = "matrix", to: str = "text") -> str:
    """The expression as a formula, with the user's names.

    form: "matrix"; "index" for one element with its sums over letters written out; or "scalar" for
    all its components, counted from 1, and those of the named intermediates that they rest on, one
    equation a line. to: "text", "latex" or "mathml". What would make a formula long, or has no
    matrix form, is named and defined behind "where"; lines have at most 100 columns where there is
    a sign to break them at.

    Raises GraphError for any other form or notation, and for a scalar form of an axis that is a
    named size, or of more than 5000 components, terms or symbols.
    """
    if form not in _FORMS:
        raise GraphError(f"a form is one of {', '.join(_FORMS)}, got {form!r}")
    if to not in _NOTATIONS:
        raise GraphError(f"a notation is one of {', '.join(_NOTATIONS)}, got {to!r}")
    if form == "scalar":
        return written.shown(*written.scalar_equations(expr), to)
    body, definitions = translated(expr, form)
    if to == "mathml":
        return with_definitions(body, definitions)
    printer = _PRINTERS[to]()
    shown, legend = printer.show(body), [printer.show(item) for item in definitions]
    return _text(shown, legend) if to == "text" else _latex(shown, legend)


def _text(shown: str, legend: Sequence[str]) -> str:
    """The formula and its legend on one line, or from 100 columns on one definition a line."""
    whole = f"{shown}  where  {';  '.join(legend)}" if legend else shown
    if columns(whole) <= WIDTH:
        return whole
    rows = indented(shown)
    for place, item in enumerate(legend):
        end = ";" if place + 1 < len(legend) else ""
        first, *rest = broken(f"{item}{end}", _HANGING)
        rows.append(f"{'where' if not place else '':{_HANGING}}{first}")
        rows += [f"{'':{_HANGING}}{line}" for line in rest]
    return "\n".join(rows)


def _latex(shown: str, legend: Sequence[str]) -> str:
    """The formula and its legend; aligned rows where it is wide."""
    whole = shown + (r" \quad\text{where } " + r",\quad ".join(legend) if legend else "")
    if latex_columns(whole) <= WIDTH:
        return whole
    first, *rest = broken(shown, 0, measure=latex_columns)
    rows = [f"& {first}", *(rf"&\quad {{}}{line}" for line in rest)]
    for place, item in enumerate(legend):
        first, *rest = broken(item, _HANGING, measure=latex_columns)
        rows.append((r"\text{where }" if not place else "") + rf"&\quad {first}")
        rows += [rf"&\qquad {{}}{line}" for line in rest]
    return aligned(rows)


def text(expr: Expr) -> str:
    """The expression in matrix form as text."""
    return formula(expr)


def latex(expr: Expr) -> str:
    """The expression in matrix form as LaTeX."""
    return formula(expr, to="latex")
