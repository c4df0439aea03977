"""Whole sheets of formulas from text: definitions line by line, as `str(sn.gradients(loss))` prints
them and as people write them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from symnet.errors import ShapeError
from symnet.expr import Expr
from symnet.parse.formulas import define, grammar_of, meaning_of
from symnet.parse.indices import size_of
from symnet.parse.meaning import Meaning
from symnet.parse.tokens import fault, normal_name, require_text
from symnet.parse.tree import Equation, Name
from symnet.parse.values import known
from symnet.sizes import Dimension, Shape

LONGEST_SHEET = 1_000_000
_COLUMNS = re.compile(r"\S(?:.*?\S)??(?=\s{2,}|\s*$)")
_LEFT = re.compile(r"\s*\S+ *(?== )")
_GOES_ON = re.compile(r"[-+−⊙⊘*·×/=;]\s")
_REMARKS = ("computed as:", "at ")
_Span = tuple[int, int]


@dataclass
class _Entry:
    """What a line says, with the lines below it that go on: equations and the shape of the first.

    Each equation is made of the parts of the text, from where to where, that it stands in.
    """

    equations: list[list[_Span]] = field(default_factory=list)
    shape: _Span | None = None

    def add(self, text: str, part: _Span) -> None:
        """One column more of the text, which goes on with the last equation or begins another."""
        said = text[part[0] : part[1]]
        spans = self.equations[-1] if self.equations else []
        before = " ".join(text[start:end] for start, end in spans)
        if before.endswith("=") or (before and _GOES_ON.match(said)) or _is_open(before):
            self.equations[-1].append(part)
        elif not before or " = " in said or said.endswith(" ="):
            self.equations.append([part])
        elif self.shape is None:
            self.shape = part
        else:
            raise fault(text, part[0], "a definition or nothing belongs here")


def _is_open(text: str) -> bool:
    """Whether a part of a formula ends before all that it opened is closed."""
    return sum(text.count(sign) for sign in "([{") > sum(text.count(sign) for sign in ")]}")


def parse_sheet(
    text: str, names: Mapping[str, Expr], functions: Sequence[str] = ()
) -> dict[str, Expr]:
    """What each name that a sheet defines stands for, in the order of the lines.

    A line says `name = formula`, with the shape of it at the right where the formula does not show
    it, and further definitions that this line needs, two spaces or more between the columns:
    `Δ = 1/N (P − Y)    N×3    Y[n,k] = [y[n] = k]`. Lines that begin with spaces go on with the
    one above, with the rest of its formula or with what stands beside it. A line names what stood
    above it. The gradient by W is called ∂L/∂W. Of a chain a = b = c the last part counts.
    Remarks, which begin with `computed as:` or `at`, say nothing new.

    names: the inputs and parameters. functions: names of unknown functions.

    ParseError, with line, column and a caret, for what is no formula, for names that nothing
    defines, and for arrays that do not fit.
    """
    require_text(text, LONGEST_SHEET)
    given = {normal_name(name): known(expr) for name, expr in names.items()}
    meaning = meaning_of(text, given, names, functions, open=False)
    defined: dict[str, _Entry] = {}
    for entry in _entries(text):
        defined |= dict.fromkeys(_defined(meaning, entry), entry)
    return {name: _known(meaning, name, entry) for name, entry in defined.items() if name}


def _known(meaning: Meaning, name: str, entry: _Entry) -> Expr:
    try:
        return meaning.names[name].expr
    except ShapeError as error:
        raise fault(meaning.text, entry.equations[0][0][0], f"{name}: {error}") from None


def _entries(text: str) -> Iterator[_Entry]:
    """What stands in the lines that say something, each with those that go on with it."""
    start, entry, remark = 0, _Entry(), False
    for line in text.split("\n"):
        if line.strip():
            first = len(line) - len(line.lstrip())
            if not first or not (entry.equations or remark):
                yield entry
                entry, remark = _Entry(), line[first:].startswith(_REMARKS)
            # The left sides are often padded, so that the signs of equality stand in a column.
            left = None if entry.equations else _LEFT.match(line)
            found = [m.span() for m in _COLUMNS.finditer(line, left.end() if left else 0)]
            found[0] = (first, found[0][1])
            for part in found if not remark else []:
                entry.add(text, (start + part[0], start + part[1]))
        start += len(line) + 1
    yield entry


def _defined(meaning: Meaning, entry: _Entry) -> Iterator[str]:
    """Define what a line defines, what stands beside it first."""
    if not entry.equations:
        return
    main, *notes = [_equation(meaning, parts) for parts in entry.equations]
    for note in notes:
        if not _is_notation(meaning, note):
            yield define(meaning, note)
    if not _is_notation(meaning, main):
        yield define(meaning, main, _shape(meaning, entry.shape) if entry.shape else None)


def _equation(meaning: Meaning, parts: Sequence[_Span]) -> Equation:
    grammar = grammar_of(meaning.text, *parts[0], meaning, parts[1:])
    equation = grammar.equation()
    grammar.end()
    return equation


def _is_notation(meaning: Meaning, equation: Equation) -> bool:
    """Whether a line says what a derivative is called, as Δ_k = ∂L/∂Z_k does."""
    right = equation.right
    if not isinstance(right, Name):
        return False
    return right.name.startswith("∂") and right.name not in meaning.names


def _shape(meaning: Meaning, part: _Span) -> Shape:
    """A shape such as N×3; its sizes may be sums."""
    text = meaning.text
    found: list[Dimension] = []
    start = part[0]
    for said in text[part[0] : part[1]].split("×"):
        grammar = grammar_of(text, start, start + len(said), meaning)
        node = grammar.sum()
        grammar.end()
        # Where a shape stands, a name is that of a size, whatever else has it.
        size = size_of(node, meaning.sizes)
        if size is None:
            raise fault(text, start, f"{said!r} is no size: a shape is written as N×3")
        found.append(size)
        start += len(said) + 1
    return tuple(found)
