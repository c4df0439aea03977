"""Formulas as LaTeX, for amsmath (which KaTeX and MathJax also read)."""

from __future__ import annotations

from collections.abc import Sequence
from unicodedata import normalize

from symnet.formula.algebra import decimal_text
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
    begins_with_digit,
)
from symnet.formula.tree import (
    EULER,
    ONES,
    RAISED,
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

_CHARACTERS = {
    **{"Δ": r"\Delta", "δ": r"\delta", "σ": r"\sigma", "α": r"\alpha", "β": r"\beta"},
    **{"γ": r"\gamma", "ε": r"\epsilon", "η": r"\eta", "θ": r"\theta", "λ": r"\lambda"},
    **{
        "μ": r"\mu",
        "ρ": r"\rho",
        "π": r"\pi",
        "τ": r"\tau",
        "∞": r"\infty",
        ONES.name: r"\mathbf{1}",
    },
}
_SIGNS = {
    **{"≤": r"\le", "≥": r"\ge", "≠": r"\ne", "∧": r"\land", "\N{LOGICAL OR}": r"\lor"},
    **{"←": r"\leftarrow", "<": "<", ">": ">", "=": "="},
}
_MOST_PRIMES = 3  # f''' is the last: then f^{(4)}
_ACCENTS = {"\u0302": "hat", "\u0303": "tilde", "\u0304": "bar", "\u0307": "dot"}
_FENCES = {
    "abs": (r"\lvert ", r" \rvert"),
    "floor": (r"\lfloor ", r" \rfloor"),
    "norm": (r"\lVert ", r" \rVert"),
    "bracket": ("[", "]"),
    "root": (r"\sqrt{", "}"),
}


def _part(name: str) -> str:
    """One part of a name: a letter, a number, a Greek letter, or an upright word."""
    if name[-1:] in _ACCENTS and len(name) > 1:
        return f"\\{_ACCENTS[name[-1]]}{{{_part(name[:-1])}}}"
    if name in GREEK:
        return f"\\{name}"
    if name in _CHARACTERS:
        return _CHARACTERS[name]
    if len(name) == 1 or name.isdigit():
        return name
    if name[0].isalpha() and name[1:].isdigit():
        return f"{_part(name[0])}_{_braced(name[1:])}"
    escaped = name.replace("_", r"\_")
    return f"\\mathrm{{{escaped}}}"


def _braced(text: str) -> str:
    return text if len(text) == 1 else f"{{{text}}}"


def _subscript(name: str) -> str:
    """What stands behind a `_`: a part of a name, or a name with a subscript of its own."""
    if not name or name.isdigit():
        return name
    return name_latex(name) if "_" in name and name[0].isalpha() else _part(name)


def name_latex(name: str) -> str:
    """A user's name: `W_1`, `W_{\\mathrm{hidden}}`, `\\alpha`, `\\mathrm{loss}`."""
    name = normalize("NFD", name)
    if not name[:1].isalpha():
        return _CHARACTERS.get(name, name)
    head, _, digits = name.partition("_{")
    if digits.endswith("}"):
        inner = ",".join(_subscript(part) for part in digits[:-1].split(",") if part)
        return f"{_part(head)}_{_braced(inner)}"
    letters = "".join(sign for sign in name.rstrip("′") if sign not in {"_", ".", *_ACCENTS})
    if not letters.isalnum():
        return f"\\text{{{name}}}"
    primes = len(name) - len(name.rstrip("′"))
    head, _, tail = name.rstrip("′").partition("_")
    below = _subscript(tail.strip("_"))
    if not below:
        return _part(head) + "'" * primes
    if head[-1:].isdigit() and len(head) > 1:
        return f"\\mathrm{{{head}}}_{_braced(below)}" + "'" * primes
    return f"{_part(head)}_{_braced(below)}" + "'" * primes


class LatexPrinter(Printer):
    """Writes LaTeX: `(\\Delta_2 W_2^{\\top}) \\odot (1 - A_1 \\odot A_1)`."""

    minus = "-"

    def joined(self, factors: Sequence[str]) -> str:
        text = factors[0]
        for factor in factors[1:]:
            tight = factor.startswith("(") or text.endswith("}")
            spaced = factor if tight else f" {factor}"
            text += rf" \cdot {factor}" if begins_with_digit(factor) else spaced
        return text

    def number(self, formula: Number) -> Written:
        mantissa, _, exponent = decimal_text(abs(formula.value)).partition("e")
        text = f"{mantissa} \\cdot 10^{{{exponent}}}" if exponent else mantissa
        if formula.value < 0:
            return f"-{text}", SUM
        return text, FACTOR if exponent else ATOM

    def symbol(self, formula: Symbol) -> Written:
        return name_latex(formula.name), ATOM

    def fraction(self, top: str, bottom: str, small: bool) -> str:
        return f"\\{'tfrac' if small else 'frac'}{{{top}}}{{{bottom}}}"

    def dividend(self, formulas: Sequence[Formula]) -> str:
        return self._bar(formulas)

    def divisor(self, formulas: Sequence[Formula]) -> str:
        sizes = all(isinstance(f, Number) or (isinstance(f, Symbol) and f.size) for f in formulas)
        if len(formulas) > 1 and sizes:
            return r" \cdot ".join(self.factors(formulas, last=False))
        return self._bar(formulas)

    def _bar(self, formulas: Sequence[Formula]) -> str:
        # The bar itself groups what stands above and below it.
        return self.show(formulas[0]) if len(formulas) == 1 else self.product(formulas, ())[0]

    def hadamard(self, formula: Hadamard) -> Written:
        return r" \odot ".join(self.inside(f, FACTOR) for f in formula.factors), HADAMARD

    def quotient(self, formula: Quotient) -> Written:
        top, bottom = self.inside(formula.top, FACTOR), self.inside(formula.bottom, FACTOR)
        return f"{top} \\oslash {bottom}", PRODUCT

    def transposed(self, formula: Transpose) -> Written:
        return f"{self.inside(formula.base, ATOM)}^{{\\top}}", FACTOR

    def power(self, formula: Power) -> Written:
        exponent = _braced(self.show(formula.exponent))
        if formula.elementwise and not isinstance(formula.base, Apply):
            raised = self.show(formula.exponent)
            return f"{self.inside(formula.base, ATOM)}^{{\\circ {raised}}}", FACTOR
        if isinstance(formula.base, Apply) and formula.base.name in RAISED:
            arguments = self.listed(formula.base.arguments)
            return f"{self._head(formula.base)}^{exponent}({arguments})", FACTOR
        if formula.base == EULER:
            return f"e^{{{self.show(formula.exponent)}}}", FACTOR
        return f"{self.inside(formula.base, ATOM)}^{exponent}", FACTOR

    def _head(self, formula: Apply) -> str:
        head = formula.latex or name_latex(formula.name)
        few = formula.primes <= _MOST_PRIMES
        return head + ("'" * formula.primes if few else f"^{{({formula.primes})}}")

    def apply(self, formula: Apply) -> Written:
        if formula.bare and len(formula.arguments) == 1:
            text, level = self.write(formula.arguments[0])
            if level >= OPEN or isinstance(formula.arguments[0], Fold):
                return f"{self._head(formula)} {text}", OPEN
        return f"{self._head(formula)}({self.listed(formula.arguments)})", ATOM

    def fence(self, formula: Fence) -> Written:
        left, right = _FENCES[formula.kind]
        return f"{left}{self.show(formula.body)}{right}", ATOM

    def relation(self, formula: Relation) -> Written:
        left, right = self.inside(formula.left, SUM), self.inside(formula.right, SUM)
        return f"{left} {_SIGNS[formula.sign]} {right}", RELATION

    def piecewise(self, formula: Piecewise) -> Written:
        first, second = self.show(formula.first), self.show(formula.second)
        condition = self.show(formula.condition)
        rows = f"{first} & \\text{{if }} {condition} \\\\ {second} & \\text{{else}}"
        return f"\\begin{{cases}} {rows} \\end{{cases}}", ATOM

    def element(self, formula: Element) -> Written:
        indices = ",".join(self.show(index) for index in formula.indices)
        base, level = self.write(formula.base)
        if level < ATOM or "_" in base or "^" in base:
            base = f"({base})"
        return f"{base}_{_braced(indices)}", ATOM

    def fold(self, formula: Fold) -> Written:
        letters = ",".join(self.bound(formula))
        body = self.inside(formula.body, CHAIN)
        return f"\\textstyle{formula.latex}_{_braced(letters)} {body}", OPEN

    def partial(self, formula: Partial) -> Written:
        top, bottom = self.inside(formula.of, ATOM), self.inside(formula.by, ATOM)
        return f"\\frac{{\\partial {top}}}{{\\partial {bottom}}}", FACTOR

    def chain(self, formula: Chain) -> Written:
        links = []
        for factor, label in zip(formula.factors, formula.labels, strict=True):
            if label is None:
                links.append(self.inside(factor, FACTOR if isinstance(factor, Sum) else CHAIN))
            else:
                below = TextStyle().show(label)
                links.append(f"\\underbrace{{{self.show(factor)}}}_{{{below}}}")
        return r" \cdot ".join(links), CHAIN

    def blocks(self, formula: Blocks) -> Written:
        body = (r" \\ " if formula.stacked else " & ").join(map(self.show, formula.items))
        return f"\\begin{{bmatrix}} {body} \\end{{bmatrix}}", ATOM

    def array(self, formula: Listed) -> Written:
        return f"[{self.listed(formula.items)}]", ATOM


class TextStyle(LatexPrinter):
    """LaTeX that writes a partial derivative on one line: `\\partial L/\\partial a`."""

    def partial(self, formula: Partial) -> Written:
        top, bottom = self.inside(formula.of, ATOM), self.inside(formula.by, ATOM)
        return f"\\partial {top}/\\partial {bottom}", PRODUCT
