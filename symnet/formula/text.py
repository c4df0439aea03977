"""Formulas as text, with the characters of mathematics."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from symnet.formula.algebra import decimal_text
from symnet.formula.printer import (
    ATOM,
    CHAIN,
    FACTOR,
    HADAMARD,
    OPEN,
    PRODUCT,
    RELATION,
    SUM,
    Printer,
    Written,
)
from symnet.formula.tree import (
    EULER,
    RAISED,
    ZERO,
    Apply,
    Blocks,
    Chain,
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

_SUPERSCRIPTS = str.maketrans("0123456789-()", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁽⁾")
_PRIMES = ("", "′", "″", "‴")
_FENCES = {
    "abs": ("|", "|"),
    "floor": ("⌊", "⌋"),
    "norm": ("‖", "‖"),
    "bracket": ("[", "]"),
}


def superscript(exponent: Formula) -> str:
    """A small whole exponent in raised digits; empty for any other."""
    if isinstance(exponent, Number) and exponent.value.denominator == 1:
        return str(exponent.value.numerator).translate(_SUPERSCRIPTS)
    return ""


def value_text(value: object) -> str:
    """A number to six digits, or the elements of an array, of many the first and last."""
    shown = np.array2string(
        np.asarray(value),
        separator=", ",
        threshold=6,
        edgeitems=2,
        formatter={"float_kind": lambda number: f"{number:.6g}"},
    )
    return " ".join(shown.split()).replace("-", "−")


def _zeros(size: object) -> str:
    """A block of so many rows or columns of zeros."""
    below = str(size).replace("-", "−")
    return f"0_{below}" if below.isalnum() else f"0_{{{below}}}"


class TextPrinter(Printer):
    """Writes Unicode text: `Δ_1 = (Δ_2 W_2ᵀ) ⊙ (1 − A_1 ⊙ A_1)`."""

    def number(self, formula: Number) -> Written:
        text = decimal_text(abs(formula.value))
        return (f"−{text}", SUM) if formula.value < 0 else (text, ATOM)

    def symbol(self, formula: Symbol) -> Written:
        return formula.name, ATOM

    def fraction(self, top: str, bottom: str, small: bool) -> str:
        return f"{top}/{bottom}"

    def dividend(self, formulas: Sequence[Formula]) -> str:
        return self.joined(self.factors(formulas, last=False))

    def divisor(self, formulas: Sequence[Formula]) -> str:
        parts = self.factors(formulas, last=False)
        sizes = all(isinstance(f, Number) or (isinstance(f, Symbol) and f.size) for f in formulas)
        if len(parts) == 1:
            return parts[0]
        return f"({'·'.join(parts) if sizes else self.joined(parts)})"

    def hadamard(self, formula: Hadamard) -> Written:
        return " ⊙ ".join(self.inside(f, FACTOR) for f in formula.factors), HADAMARD

    def quotient(self, formula: Quotient) -> Written:
        top, bottom = self.inside(formula.top, FACTOR), self.inside(formula.bottom, FACTOR)
        return f"{top} ⊘ {bottom}", PRODUCT

    def transposed(self, formula: Transpose) -> Written:
        return f"{self.inside(formula.base, ATOM)}ᵀ", FACTOR

    def power(self, formula: Power) -> Written:
        small, base = superscript(formula.exponent), self.inside(formula.base, ATOM)
        if formula.elementwise and not isinstance(formula.base, Apply):
            return f"{base}^∘{self.inside(formula.exponent, ATOM)}", FACTOR
        if small and isinstance(formula.base, Apply) and formula.base.name in RAISED:
            arguments = self.listed(formula.base.arguments)
            return f"{self._head(formula.base)}{small}({arguments})", FACTOR
        if small:
            return f"{base}{small}", FACTOR
        return f"{base}^{self._raised(formula)}", FACTOR

    def _raised(self, formula: Power) -> str:
        # e^(σ(z)) keeps its parentheses, for the eye; e^x and 2^x need none.
        exponent = formula.exponent
        if formula.base != EULER or (isinstance(exponent, Symbol) and "{" not in exponent.name):
            return self.inside(formula.exponent, ATOM)
        return f"({self.show(formula.exponent)})"

    def _head(self, formula: Apply) -> str:
        few = formula.primes < len(_PRIMES)
        order = f"({formula.primes})".translate(_SUPERSCRIPTS)
        return formula.name + (_PRIMES[formula.primes] if few else order)

    def apply(self, formula: Apply) -> Written:
        if formula.bare and len(formula.arguments) == 1:
            text, level = self.write(formula.arguments[0])
            if level >= OPEN or isinstance(formula.arguments[0], Fold):
                return f"{self._head(formula)} {text}", OPEN
        return f"{self._head(formula)}({self.listed(formula.arguments)})", ATOM

    def fence(self, formula: Fence) -> Written:
        if formula.kind == "root":
            return f"√{self.inside(formula.body, ATOM)}", FACTOR
        left, right = _FENCES[formula.kind]
        return f"{left}{self.show(formula.body)}{right}", ATOM

    def relation(self, formula: Relation) -> Written:
        left, right = self.inside(formula.left, SUM), self.inside(formula.right, SUM)
        return f"{left} {formula.sign} {right}", RELATION

    def piecewise(self, formula: Piecewise) -> Written:
        first, second = self.show(formula.first), self.show(formula.second)
        return f"{{{first} if {self.show(formula.condition)}, else {second}}}", ATOM

    def element(self, formula: Element) -> Written:
        shown = [self.show(index) for index in formula.indices]
        separator = ", " if any(len(text) > 1 for text in shown) else ","
        return f"{self.inside(formula.base, ATOM)}[{separator.join(shown)}]", ATOM

    def fold(self, formula: Fold) -> Written:
        letters = ",".join(self.bound(formula)).replace(" < ", "<")
        below = f"_{letters}" if len(letters) == 1 else f"_{{{letters}}}"
        return f"{formula.name}{below} {self.inside(formula.body, CHAIN)}", OPEN

    def partial(self, formula: Partial) -> Written:
        return f"∂{self.inside(formula.of, ATOM)}/∂{self.inside(formula.by, ATOM)}", FACTOR

    def chain(self, formula: Chain) -> Written:
        return " · ".join(self._link(factor) for factor in formula.factors), CHAIN

    def _link(self, factor: Formula) -> str:
        least = CHAIN if not isinstance(factor, Sum) else FACTOR
        return self.inside(factor, least)

    def blocks(self, formula: Blocks) -> Written:
        shown = [self.show(item) for item in formula.items]
        if formula.items.count(ZERO) > 1:
            # How many zeros there are in each would not show.
            pairs = zip(formula.items, formula.sizes, shown, strict=True)
            shown = [_zeros(size) if item == ZERO else text for item, size, text in pairs]
        return f"[{('; ' if formula.stacked else ', ').join(shown)}]", ATOM

    def array(self, formula: Listed) -> Written:
        return f"[{self.listed(formula.items)}]", ATOM
