"""What the printers share: how tightly each formula binds, and where parentheses stand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from symnet.formula.algebra import is_negative, negate
from symnet.formula.tree import (
    ONE,
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
    MatrixProduct,
    Number,
    Partial,
    Piecewise,
    Power,
    Quotient,
    Relation,
    Scaled,
    Sum,
    Symbol,
    Transpose,
)

# From loose to tight.
RELATION, SUM, CHAIN, PRODUCT, HADAMARD, MATRIX, OPEN, FACTOR, ATOM = range(9)
Written = tuple[str, int]
_GREEK_NAMES = """
alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon
phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega
"""
GREEK = dict(zip(_GREEK_NAMES.split(), "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΦΨΩ", strict=True))
"""Letters by the names that users type."""


def begins_with_digit(text: str) -> bool:
    """Whether a factor would run into a number before it."""
    return text[:1].isascii() and text[:1].isdigit()


class Printer:
    """Writes a formula; subclasses say how each construct is spelled in their notation."""

    minus = "−"

    def show(self, formula: Formula) -> str:
        """The formula in this notation."""
        return self.write(formula)[0]

    def write(self, formula: Formula) -> Written:
        """The formula and how tightly it binds."""
        return _WRITERS[type(formula)](self, formula)

    def inside(self, formula: Formula, least: int) -> str:
        """The formula, in parentheses if it binds less tightly than `least`."""
        text, level = self.write(formula)
        return text if level >= least else self.parentheses(text)

    def parentheses(self, text: str) -> str:
        """The text in parentheses."""
        return f"({text})"

    def listed(self, formulas: Sequence[Formula]) -> str:
        """Arguments separated by commas."""
        return ", ".join(self.show(formula) for formula in formulas)

    def joined(self, factors: Sequence[str]) -> str:
        """Factors side by side, with a dot before a number."""
        text = factors[0]
        for factor in factors[1:]:
            text += f" · {factor}" if begins_with_digit(factor) else f" {factor}"
        return text

    def factors(self, formulas: Sequence[Formula], last: bool = True) -> list[str]:
        """Factors of a product; what runs on to the right may stand only at the end."""
        return [
            self.inside(formula, OPEN if last and place == len(formulas) - 1 else FACTOR)
            for place, formula in enumerate(formulas)
        ]

    def number(self, formula: Number) -> Written:
        raise NotImplementedError

    def symbol(self, formula: Symbol) -> Written:
        raise NotImplementedError

    def fraction(self, top: str, bottom: str, small: bool) -> str:
        """top over bottom; `small` for a coefficient that stands before other factors."""
        raise NotImplementedError

    def divisor(self, formulas: Sequence[Formula]) -> str:
        """What stands below a fraction's bar."""
        raise NotImplementedError

    def dividend(self, formulas: Sequence[Formula]) -> str:
        """What stands above a fraction's bar."""
        raise NotImplementedError

    def scaled(self, formula: Scaled) -> Written:
        if formula.top < 0:
            return f"{self.minus}{self.inside(negate(formula), CHAIN)}", SUM
        body = () if formula.body is None else (formula.body,)
        top = () if formula.top == 1 else (Number(formula.top),)
        bottom = () if formula.bottom == 1 else (Number(formula.bottom),)
        if not formula.under and not bottom:
            return self.product((*top, *formula.over), body)
        ones = top or (ONE,)
        if _is_plain_quotient(formula):
            quotient = self.fraction(
                self.dividend((*top, *formula.over)), self.divisor(bottom), False
            )
            return self.product((), (), quotient)
        if all(isinstance(factor, Symbol) and factor.size for factor in formula.under):
            coefficient = self.fraction(
                self.dividend(ones), self.divisor((*formula.under, *bottom)), True
            )
            return self.product(formula.over, body, coefficient)
        whole = (*top, *formula.over) or ones
        fraction = self.fraction(
            self.dividend(whole), self.divisor((*bottom, *formula.under)), False
        )
        return self.product((), body, fraction)

    def product(
        self, over: Sequence[Formula], body: Sequence[Formula], coefficient: str = ""
    ) -> Written:
        """A coefficient, scalar factors and at most one array, side by side."""
        parts = [coefficient] if coefficient else []
        if len(over) == 1 and not body and not parts:
            return self.write(over[0])
        parts += self.factors(over, last=not body)
        parts += [self.inside(factor, PRODUCT) for factor in body]
        return self.joined(parts), PRODUCT

    def sum(self, formula: Sum) -> Written:
        pieces = []
        for place, term in enumerate(formula.terms):
            less = is_negative(term)
            body = self.inside(negate(term) if less else term, CHAIN)
            sign = self.minus if less else "+"
            pieces.append(f" {sign} {body}" if place else f"{self.minus if less else ''}{body}")
        return "".join(pieces), SUM

    def hadamard(self, formula: Hadamard) -> Written:
        raise NotImplementedError

    def quotient(self, formula: Quotient) -> Written:
        raise NotImplementedError

    def matrix_product(self, formula: MatrixProduct) -> Written:
        return self.joined([self.inside(f, FACTOR) for f in formula.factors]), MATRIX

    def transposed(self, formula: Transpose) -> Written:
        raise NotImplementedError

    def power(self, formula: Power) -> Written:
        raise NotImplementedError

    def apply(self, formula: Apply) -> Written:
        raise NotImplementedError

    def fence(self, formula: Fence) -> Written:
        raise NotImplementedError

    def relation(self, formula: Relation) -> Written:
        raise NotImplementedError

    def piecewise(self, formula: Piecewise) -> Written:
        raise NotImplementedError

    def element(self, formula: Element) -> Written:
        raise NotImplementedError

    def fold(self, formula: Fold) -> Written:
        raise NotImplementedError

    def bound(self, formula: Fold) -> list[str]:
        """The letters of a reduction, with the limits that are written: k<10."""
        limits = formula.limits or (None,) * len(formula.letters)
        return [
            self.show(letter) if limit is None else self.show(Relation("<", letter, limit))
            for letter, limit in zip(formula.letters, limits, strict=True)
        ]

    def partial(self, formula: Partial) -> Written:
        raise NotImplementedError

    def chain(self, formula: Chain) -> Written:
        raise NotImplementedError

    def array(self, formula: Listed) -> Written:
        raise NotImplementedError

    def blocks(self, formula: Blocks) -> Written:
        raise NotImplementedError

    def definition(self, formula: Definition) -> Written:
        return f"{self.show(formula.left)} = {self.show(formula.right)}", RELATION


def _is_plain_quotient(formula: Scaled) -> bool:
    """Whether a scalar over a number is written k/80, as against 2/3 x and 1/4 Σ_n v[n]."""
    if formula.body is not None or formula.under or not formula.over:
        return False
    wide = any(
        isinstance(part, (Fold, Chain)) or (isinstance(part, Fence) and part.kind == "norm")
        for factor in formula.over
        for part in (factor, getattr(factor, "base", factor))
    )
    return not wide and (formula.top == 1 or formula.top.denominator != 1)


_WRITERS: dict[type[Formula], Callable[[Printer, Any], Written]] = {
    Number: lambda printer, formula: printer.number(formula),
    Symbol: lambda printer, formula: printer.symbol(formula),
    Scaled: lambda printer, formula: printer.scaled(formula),
    Hadamard: lambda printer, formula: printer.hadamard(formula),
    Quotient: lambda printer, formula: printer.quotient(formula),
    MatrixProduct: lambda printer, formula: printer.matrix_product(formula),
    Transpose: lambda printer, formula: printer.transposed(formula),
    Sum: lambda printer, formula: printer.sum(formula),
    Power: lambda printer, formula: printer.power(formula),
    Apply: lambda printer, formula: printer.apply(formula),
    Fence: lambda printer, formula: printer.fence(formula),
    Relation: lambda printer, formula: printer.relation(formula),
    Piecewise: lambda printer, formula: printer.piecewise(formula),
    Element: lambda printer, formula: printer.element(formula),
    Fold: lambda printer, formula: printer.fold(formula),
    Partial: lambda printer, formula: printer.partial(formula),
    Chain: lambda printer, formula: printer.chain(formula),
    Listed: lambda printer, formula: printer.array(formula),
    Blocks: lambda printer, formula: printer.blocks(formula),
    Definition: lambda printer, formula: printer.definition(formula),
}
