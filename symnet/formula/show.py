"""One expression as one formula, with the definitions it needs."""

from __future__ import annotations

from collections.abc import Sequence

from symnet.errors import GraphError
from symnet.expr import Expr
from symnet.formula.mathml import with_definitions
from symnet.formula.printer import Printer
from symnet.formula.tex import LatexPrinter
from symnet.formula.text import TextPrinter
from symnet.formula.translate import Translator
from symnet.formula.tree import Definition, Formula

_FORMS = ("matrix", "index")
_PRINTERS: dict[str, type[Printer]] = {"text": TextPrinter, "latex": LatexPrinter}
_NOTATIONS = (*_PRINTERS, "mathml")


def _translated(expr: Expr, form: str) -> tuple[Formula, Sequence[Definition]]:
    translator = Translator([expr], expand=form == "index")
    translator.define_long([expr])
    if form == "matrix":
        body = translator.body(expr)
        return body, translator.needed([body])
    indices = translator.letters(expr.shape)
    with translator.inside(indices):
        body = translator.body_element(expr, indices)
    return body, translator.needed([body])


def formula(expr: Expr, form: str = "matrix", to: str = "text") -> str:
    """The expression as a formula, with the user's names.

    form: "matrix", or "index" for one element with its sums over letters written out. to: "text",
    "latex" or "mathml". What would make it long, or has no matrix form, is named and defined behind
    "where". GraphError for any other form or notation.
    """
    if form not in _FORMS:
        raise GraphError(f"a form is one of {', '.join(_FORMS)}, got {form!r}")
    if to not in _NOTATIONS:
        raise GraphError(f"a notation is one of {', '.join(_NOTATIONS)}, got {to!r}")
    body, definitions = _translated(expr, form)
    if to == "mathml":
        return with_definitions(body, definitions)
    printer = _PRINTERS[to]()
    shown = printer.show(body)
    if not definitions:
        return shown
    where, comma = ("  where  ", ";  ") if to == "text" else (r" \quad\text{where } ", r",\quad ")
    return shown + where + comma.join(printer.show(definition) for definition in definitions)


def text(expr: Expr) -> str:
    """The expression in matrix form as text."""
    return formula(expr)


def latex(expr: Expr) -> str:
    """The expression in matrix form as LaTeX."""
    return formula(expr, to="latex")
