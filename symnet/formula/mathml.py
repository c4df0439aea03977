"""Formulas as MathML Core, which browsers show without a library."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from itertools import pairwise
from unicodedata import normalize

from symnet.formula.algebra import decimal_text, is_negative, negate
from symnet.formula.printer import (
    ATOM,
    CHAIN,
    FACTOR,
    GREEK,
    HADAMARD,
    OPEN,
    PRODUCT,
    RELATION,
    SUM,
    Printer,
    Written,
)
from symnet.formula.tree import (
    ONES,
    RAISED,
    Apply,
    Blocks,
    Chain,
    Definition,
    Element,
    Fence,
    Fold,
    Formula,
    Hadamard,
    Listed,
    Number,
    Partial,
    Piecewise,
    Power,
    Quotient,
    Relation,
    Sum,
    Symbol,
    Transpose,
)

NAMESPACE = "http://www.w3.org/1998/Math/MathML"
_ACCENTS = {
    "\N{COMBINING CIRCUMFLEX ACCENT}": "\N{MODIFIER LETTER CIRCUMFLEX ACCENT}",
    "\N{COMBINING TILDE}": "\N{SMALL TILDE}",
    "\N{COMBINING MACRON}": "\N{MACRON}",
    "\N{COMBINING DOT ABOVE}": "\N{DOT ABOVE}",
}
_FENCES = {"abs": ("|", "|"), "floor": ("⌊", "⌋"), "norm": ("‖", "‖"), "bracket": ("[", "]")}
_FOLDS = {"Σ": "∑", "Π": "∏"}
_PRIMES = ("", "′", "″", "‴")
_THIN = '<mspace width="0.1667em"></mspace>'
_TIMES = "<mo>\N{INVISIBLE TIMES}</mo>"
_OF = "<mo>\N{FUNCTION APPLICATION}</mo>"
_COMMA = '<mo separator="true">,</mo>'
_HIGH = re.compile("<(mfrac|munder|mtable|msqrt)\\b")
_TAG = re.compile(r"<(/?)\w+[^>]*>")
_WORD = re.compile(r"<mi[^>]*>[^<]{2,}</mi>")
_DIGIT_FIRST = re.compile(r"(<(mn|mrow|msup)>)*[0-9]")
_NOT_IN_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _text(text: str) -> str:
    """Text with what XML would read as its own; a character XML cannot hold is replaced."""
    return escape(_NOT_IN_XML.sub("\ufffd", text))


def _identifier(text: str) -> str:
    return f"<mi>{_text(text)}</mi>"


def _number(text: str) -> str:
    return f"<mn>{_text(text)}</mn>"


def _operator(sign: str) -> str:
    return f"<mo>{_text(sign)}</mo>"


def _fenced(left: str, content: str, right: str) -> str:
    """The content between signs, which grow with what is higher than a letter."""
    stretchy = "true" if _HIGH.search(content) else "false"
    signs = [
        f'<mo form="{form}" fence="true" stretchy="{stretchy}">{sign}</mo>' if sign else ""
        for sign, form in ((left, "prefix"), (right, "postfix"))
    ]
    return f"<mrow>{signs[0]}{content}{signs[1]}</mrow>"


def _primed(base: str, primes: int) -> str:
    if not primes:
        return base
    if primes < len(_PRIMES):
        return f'<mrow>{base}<mo lspace="0" rspace="0">{_PRIMES[primes]}</mo></mrow>'
    return _raised(base, _fenced("(", _number(str(primes)), ")"))


def _row(content: str) -> str:
    """The content as the one element that a base, an exponent or a numerator is."""
    return content if _is_one_element(content) else f"<mrow>{content}</mrow>"


def _is_one_element(content: str) -> bool:
    depth = 0
    for tag in _TAG.finditer(content):
        depth += -1 if tag[1] else 1
        if depth == 0:
            # An operator alone would be set as one, with space around it.
            return tag.end() == len(content) and not content.startswith("<mo")
    return False


def _raised(base: str, exponent: str) -> str:
    return f"<msup>{_row(base)}{_row(exponent)}</msup>"


def _lowered(base: str, index: str) -> str:
    return f"<msub>{_row(base)}{_row(index)}</msub>"


def _cell(content: str, align: str) -> str:
    # MathML Core leaves this to CSS, of which the browsers know their own spelling alone.
    return f'<mtd style="text-align: -webkit-{align}">{content}</mtd>'


def _table(rows: Iterable[Sequence[str]], aligns: Sequence[str]) -> str:
    """A table without space between its columns, since the formulas in them run on."""
    lines = []
    for row in rows:
        cells = (_cell(text, align) for text, align in zip(row, aligns, strict=True))
        lines.append(f"<mtr>{''.join(cells)}</mtr>")
    columns = " ".join(aligns)
    how = f'displaystyle="true" columnalign="{columns}" columnspacing="0em"'
    return f"<mtable {how}>{''.join(lines)}</mtable>"


def _part(name: str) -> str:
    """One part of a name: a letter, a number, a Greek letter, or an upright word."""
    if name[-1:] in _ACCENTS and len(name) > 1:
        accent = f'<mo stretchy="false">{_ACCENTS[name[-1]]}</mo>'
        return f'<mover accent="true">{_row(_part(name[:-1]))}{accent}</mover>'
    if name.isdigit():
        return _number(name)
    if len(name) > 1 and name[0].isalpha() and name[1:].isdigit():
        return _lowered(_part(name[0]), _number(name[1:]))
    return _identifier(GREEK.get(name, name))


def name_mathml(name: str) -> str:
    """A user's name: W with the index 1, an upright word, a Greek letter; anything else as text."""
    if name == ONES.name:
        return '<mn style="font-weight: bold">1</mn>'
    name = normalize("NFD", name)
    if name.isdigit():
        return _number(name)
    letters = "".join(sign for sign in name.rstrip("′") if sign not in {"_", ".", *_ACCENTS})
    if not name[:1].isalpha() or not letters.isalnum():
        shown = _text(name)
        return f"<mi>{shown}</mi>" if len(name) == 1 else f"<mtext>{shown}</mtext>"
    bare = name.rstrip("′")
    head, _, tail = bare.partition("_")
    below = [_part(part) for part in tail.split("_") if part]
    base = _identifier(head) if below and head[-1:].isdigit() else _part(head)
    found = _lowered(base, _COMMA.join(below)) if below else base
    return _primed(found, len(name) - len(bare))


class MathMLPrinter(Printer):
    """Writes the inside of a `<math>` element, several elements side by side."""

    minus = '<mo form="prefix">−</mo>'

    def parentheses(self, text: str) -> str:
        return _fenced("(", text, ")")

    def listed(self, formulas: Sequence[Formula]) -> str:
        return _COMMA.join(self.show(formula) for formula in formulas)

    def joined(self, factors: Sequence[str]) -> str:
        text = factors[0]
        for before, factor in pairwise(factors):
            if _DIGIT_FIRST.match(factor):
                text += _operator("·") + factor
            else:
                wide = _WORD.search(before) or _WORD.search(factor)
                text += _TIMES + (_THIN if wide else "") + factor
        return text

    def sum(self, formula: Sum) -> Written:
        pieces = []
        for place, term in enumerate(formula.terms):
            less = is_negative(term)
            sign = "−" if less else "+"
            shown = f'<mo form="{"infix" if place else "prefix"}">{sign}</mo>'
            pieces.append(shown if place or less else "")
            pieces.append(self.inside(negate(term) if less else term, CHAIN))
        return "".join(pieces), SUM

    def number(self, formula: Number) -> Written:
        mantissa, _, exponent = decimal_text(abs(formula.value)).partition("e")
        text = _number(mantissa)
        if exponent:
            raised = (self.minus if exponent[0] == "-" else "") + _number(exponent.lstrip("-"))
            text += _operator("·") + _raised(_number("10"), raised)
        if formula.value < 0:
            return self.minus + text, SUM
        return text, FACTOR if exponent else ATOM

    def symbol(self, formula: Symbol) -> Written:
        return name_mathml(formula.name), ATOM

    def fraction(self, top: str, bottom: str, small: bool) -> str:
        fraction = f"<mfrac>{_row(top)}{_row(bottom)}</mfrac>"
        return f'<mstyle displaystyle="false">{fraction}</mstyle>' if small else fraction

    def dividend(self, formulas: Sequence[Formula]) -> str:
        # The bar itself groups what stands above and below it.
        return self.show(formulas[0]) if len(formulas) == 1 else self.product(formulas, ())[0]

    def divisor(self, formulas: Sequence[Formula]) -> str:
        sizes = all(isinstance(f, Number) or (isinstance(f, Symbol) and f.size) for f in formulas)
        if len(formulas) > 1 and sizes:
            return _operator("·").join(self.factors(formulas, last=False))
        return self.dividend(formulas)

    def hadamard(self, formula: Hadamard) -> Written:
        factors = [self.inside(factor, FACTOR) for factor in formula.factors]
        return _operator("⊙").join(factors), HADAMARD

    def quotient(self, formula: Quotient) -> Written:
        top, bottom = self.inside(formula.top, FACTOR), self.inside(formula.bottom, FACTOR)
        return top + _operator("⊘") + bottom, PRODUCT

    def transposed(self, formula: Transpose) -> Written:
        return _raised(self.inside(formula.base, ATOM), _identifier("\N{DOWN TACK}")), FACTOR

    def power(self, formula: Power) -> Written:
        exponent = self.show(formula.exponent)
        if formula.elementwise and not isinstance(formula.base, Apply):
            return _raised(self.inside(formula.base, ATOM), _operator("∘") + exponent), FACTOR
        if isinstance(formula.base, Apply) and formula.base.name in RAISED:
            arguments = self.parentheses(self.listed(formula.base.arguments))
            return _raised(self._head(formula.base), exponent) + _OF + arguments, FACTOR
        return _raised(self.inside(formula.base, ATOM), exponent), FACTOR

    def _head(self, formula: Apply) -> str:
        # A name of the library is one word; a user's may have an index.
        head = _identifier(formula.name) if formula.latex else name_mathml(formula.name)
        return _primed(head, formula.primes)

    def apply(self, formula: Apply) -> Written:
        if formula.bare and len(formula.arguments) == 1:
            text, level = self.write(formula.arguments[0])
            if level >= OPEN or isinstance(formula.arguments[0], Fold):
                return self._head(formula) + _OF + _THIN + text, OPEN
        return self._head(formula) + _OF + self.parentheses(self.listed(formula.arguments)), ATOM

    def fence(self, formula: Fence) -> Written:
        if formula.kind == "root":
            return f"<msqrt>{self.show(formula.body)}</msqrt>", ATOM
        left, right = _FENCES[formula.kind]
        return _fenced(left, self.show(formula.body), right), ATOM

    def relation(self, formula: Relation) -> Written:
        left, right = self.inside(formula.left, SUM), self.inside(formula.right, SUM)
        return left + _operator(formula.sign) + right, RELATION

    def piecewise(self, formula: Piecewise) -> Written:
        condition = f"<mtext>\u2003if\u00a0</mtext>{self.show(formula.condition)}"
        rows = [
            (self.show(formula.first), condition),
            (self.show(formula.second), "<mtext>\u2003else</mtext>"),
        ]
        return _fenced("{", _table(rows, ("left", "left")), ""), ATOM

    def element(self, formula: Element) -> Written:
        base, level = self.write(formula.base)
        if level < ATOM or base.startswith(("<msub>", "<msup>")):
            base = self.parentheses(base)
        return _lowered(base, self.listed(formula.indices)), ATOM

    def fold(self, formula: Fold) -> Written:
        sign = _FOLDS.get(formula.name)
        word = _identifier(formula.name)
        operator = f'<mo movablelimits="false">{sign}</mo>' if sign else word
        below = _COMMA.join(self.bound(formula))
        gap = "" if sign else _THIN
        body = self.inside(formula.body, CHAIN)
        return f"<munder>{operator}{_row(below)}</munder>{gap}{body}", OPEN

    def partial(self, formula: Partial) -> Written:
        top, bottom = self._differentials(formula)
        return f"<mfrac>{_row(top)}{_row(bottom)}</mfrac>", FACTOR

    def _differentials(self, formula: Partial) -> tuple[str, str]:
        sign = '<mo form="prefix" lspace="0" rspace="0">∂</mo>'
        return sign + self.inside(formula.of, ATOM), sign + self.inside(formula.by, ATOM)

    def chain(self, formula: Chain) -> Written:
        links = []
        for factor, label in zip(formula.factors, formula.labels, strict=True):
            if label is None:
                links.append(self.inside(factor, FACTOR if isinstance(factor, Sum) else CHAIN))
            else:
                brace = f'<munder>{_row(self.show(factor))}<mo stretchy="true">⏟</mo></munder>'
                links.append(f"<munder>{brace}{_row(_OnOneLine().show(label))}</munder>")
        return _operator("·").join(links), CHAIN

    def array(self, formula: Listed) -> Written:
        rows = [item.items for item in formula.items if isinstance(item, Listed)]
        flat = len(rows) < len(formula.items)
        flat = flat or any(isinstance(item, Listed) for row in rows for item in row)
        body = self.listed(formula.items)
        if not flat and len({len(row) for row in rows}) == 1:
            cells = "".join(
                f"<mtr>{''.join(f'<mtd>{self.show(item)}</mtd>' for item in row)}</mtr>"
                for row in rows
            )
            body = f"<mtable>{cells}</mtable>"
        return _fenced("[", body, "]"), ATOM

    def blocks(self, formula: Blocks) -> Written:
        shown = [self.show(item) for item in formula.items]
        rows = [[block] for block in shown] if formula.stacked else [shown]
        body = _table(rows, ("center",) * len(rows[0]))
        return _fenced("[", body, "]"), ATOM

    def definition(self, formula: Definition) -> Written:
        sides = (formula.left, formula.right)
        return _operator("=").join(_row(self.show(side)) for side in sides), RELATION


class _OnOneLine(MathMLPrinter):
    """MathML that writes a partial derivative on one line."""

    def partial(self, formula: Partial) -> Written:
        top, bottom = self._differentials(formula)
        return f"{top}{_operator('/')}{bottom}", PRODUCT


def math(content: str, block: bool = True) -> str:
    """A `<math>` element on a line of its own, or else within one, as large."""
    how = 'display="block"' if block else 'displaystyle="true"'
    return f'<math xmlns="{NAMESPACE}" {how}>{_row(content)}</math>'


def equation(sides: Sequence[Formula]) -> str:
    """A `<math>` element within a line that sets each side equal to the next."""
    printer = MathMLPrinter()
    shown = (_row(printer.show(side)) for side in sides)
    return math(_operator("=").join(shown), block=False)


def aligned(rows: Iterable[tuple[Formula, Formula]]) -> str:
    """A `<math>` element of equations, one a row, their signs of equality below one another."""
    printer = MathMLPrinter()
    sides = [
        (printer.show(left), _operator("=") + _row(printer.show(right))) for left, right in rows
    ]
    return math(_table(sides, ("right", "left")))


def with_definitions(body: Formula, definitions: Sequence[Formula]) -> str:
    """A `<math>` element of a formula and, below it, of what its symbols stand for."""
    printer = MathMLPrinter()
    shown = printer.show(body)
    if not definitions:
        return math(shown)
    rows = [("", shown)]
    for place, definition in enumerate(definitions):
        rows.append(("" if place else "<mtext>where\u2003</mtext>", printer.show(definition)))
    return math(_table(rows, ("right", "left")))
