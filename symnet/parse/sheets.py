"""Whole sheets of formulas from text: definitions line by line, as `str(sn.gradients(loss))` prints
them and as people write them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from symnet.expr import Expr
from symnet.parse.formulas import define, grammar_of, meaning_of
from symnet.parse.meaning import Meaning
from symnet.parse.tokens import fault, normal_name, require_text
from symnet.parse.tree import Equation, Name
from symnet.parse.values import known
from symnet.sizes import Dimension, Shape

LONGEST_SHEET = 1_000_000
_COLUMNS = re.compile(r"\S(?:.*?\S)??(?=\s{2,}|\s*$)")
_LEFT = re.compile(r"\s*\S+ *(?== )")
_REMARKS = ("computed as:", "at ")


@dataclass(frozen=True)
class _Column:
    """A part of the text: an equation, or a shape beside one."""

    start: int
    end: int


def parse_sheet(
    text: str, names: Mapping[str, Expr], functions: Sequence[str] = ()
) -> dict[str, Expr]:
    """What each name that a sheet defines stands for, in the order of the lines.

    A line says `name = formula`, with the shape of it at the right where the formula does not show
    it, and further definitions that this line needs, two spaces or more between the columns:
    `Δ = 1/N (P − Y)    N×3    Y[n,k] = [y[n] = k]`. A line names what stood above it. The gradient
    by W is called ∂L/∂W. Of a chain a = b = c the last part counts. Remarks, which begin with
    `computed as:` or `at`, say nothing new.

    names: the inputs and parameters. functions: names of unknown functions.

    ParseError, with line, column and a caret, for what is no formula, for names that nothing
    defines, and for arrays that do not fit.
    """
    require_text(text, LONGEST_SHEET)
    given = {normal_name(name): known(expr) for name, expr in names.items()}
    meaning = meaning_of(text, given, names, functions, open=False)
    defined: dict[str, None] = {}
    for columns in _lines(text):
        defined |= dict.fromkeys(_line(meaning, columns))
    return {name: meaning.names[name].expr for name in defined if name}


def _lines(text: str) -> Iterator[list[_Column]]:
    """The columns of each line that says something."""
    start = 0
    for line in text.split("\n"):
        if line.strip() and not line.lstrip().startswith(_REMARKS):
            left = _LEFT.match(line)
            # The left sides are often padded, so that the signs of equality stand in a column.
            behind = left.end() if left else 0
            found = [_Column(start + m.start(), start + m.end())
                     for m in _COLUMNS.finditer(line, behind)]  # fmt: skip
            first = start + len(line) - len(line.lstrip())
            yield [_Column(first, found[0].end), *found[1:]]
        start += len(line) + 1


def _line(meaning: Meaning, columns: Sequence[_Column]) -> Iterator[str]:
    """Define what a line defines, the notes beside it first."""
    text = meaning.text
    shape: Shape | None = None
    for column in columns[1:]:
        if " = " in text[column.start : column.end]:
            yield define(meaning, _equation(meaning, column))
        elif shape is None:
            shape = _shape(meaning, column)
        else:
            raise fault(text, column.start, "a definition or nothing belongs here")
    equation = _equation(meaning, columns[0])
    if not _is_notation(meaning, equation):
        yield define(meaning, equation, () if shape is None else shape)


def _equation(meaning: Meaning, column: _Column) -> Equation:
    grammar = grammar_of(meaning.text, column.start, column.end, meaning)
    equation = grammar.equation()
    grammar.end()
    return equation


def _is_notation(meaning: Meaning, equation: Equation) -> bool:
    """Whether a line says what a derivative is called, as Δ_k = ∂L/∂Z_k does."""
    right = equation.right
    if not isinstance(right, Name):
        return False
    return right.name.startswith("∂") and right.name not in meaning.names


def _shape(meaning: Meaning, column: _Column) -> Shape:
    """A shape such as N×3; its sizes may be sums."""
    text = meaning.text
    found: list[Dimension] = []
    start = column.start
    for part in text[column.start : column.end].split("×"):
        grammar = grammar_of(text, start, start + len(part), meaning)
        node = grammar.sum()
        grammar.end()
        size = meaning.size(node)
        if size is None:
            raise fault(text, start, f"{part!r} is no size: a shape is written as N×3")
        found.append(size)
        start += len(part) + 1
    return tuple(found)
