"""The grammar of formulas: from words to a tree. Nothing in the text is ever executed.

    formula   = condition ["where" equation (";" equation)*]
    condition = relation (("and" | "or") relation)*, by their signs
    relation  = sum [("<" | "≤" | ">" | "≥" | "=" | "≠") sum]
    sum       = product (("+" | "-") product)*
    product   = signed (["*" | "×" | "⊙" | "/" | "⊘"] signed)*
    signed    = ("+" | "-")* power
    power     = postfix [("^" | "^∘") signed]
    postfix   = primary (superscript | "ᵀ" | "[" index ("," index)* "]")*
    primary   = number | name | "∂" name "/" "∂" name | "1" in bold | "∞" | ("√" | "¬") primary
              | function "(" condition ("," condition)* ")" | log power
              | "(" condition ")" | "|" sum "|" | "‖" sum "‖" | "⌊" sum "⌋"
              | "[" condition (("," | ";") condition)* "]" | "0_" size
              | "{" sum "if" condition "," "else" sum "}"
              | ("Σ" | "Π" | "max" | "min" | "argmax") "_" letters product

Factors side by side are a product, with a space before what could be read as an argument or an
index: `a (1 − a)` and `a [x > 0]` against `f(x)` and `v[n]`. A sum over letters takes in the whole
product behind it. Also read: · for *, − for -, ** for ^, x₁ for x_1, tanh²(x) for tanh(x)².
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from symnet.parse.primaries import Primaries
from symnet.parse.tokens import Token
from symnet.parse.tree import (
    Compared,
    Equation,
    Negated,
    Node,
    Numeral,
    Part,
    Product,
    Raised,
    Span,
    Total,
    Transposed,
)
from symnet.parse.words import DEEPEST

_RELATIONS: Final = frozenset("<≤>≥=≠")
_JOINED: Final = frozenset("∧\N{LOGICAL OR}")
_FACTORS: Final = frozenset("*×⊙⊘/")


class Grammar(Primaries):
    """Reads the tree of a text. Its recursion is as deep as the text's nesting, and bounded."""

    def formula(self) -> tuple[Node, tuple[Equation, ...]]:
        """A formula, and what is said behind `where`."""
        body = self._side()
        equations = []
        if self.peek().text == "where" and self.peek().kind == "name":
            self.next()
            equations.append(self.equation())
            while self.peek().text == ";":
                self.next()
                equations.append(self.equation())
        self.end()
        return body, tuple(equations)

    def equation(self) -> Equation:
        """left = right; of left = middle = right the middle is read, and left out."""
        left = self._postfix()
        sign = self.next()
        if sign.text != "=":
            self.unexpected(sign)
        right = self._side()
        while self.peek().text == "=":
            self.next()
            right = self._side()
        return Equation(sign.place, left, right)

    def _side(self) -> Node:
        """A side of an equation, or a formula: a sign of equality ends it."""
        return self.condition(_RELATIONS - {"="})

    def condition(self, signs: Collection[str] = _RELATIONS) -> Node:
        """A sum, a relation of sums, or several relations joined."""
        self.deeper()
        left = self._relation(signs)
        before = self.depth
        while self.peek().text in _JOINED:
            sign = self.next()
            self.deeper()
            left = Compared(sign.place, sign.text, left, self._relation(signs))
        self.depth = before - 1
        return left

    def _relation(self, signs: Collection[str]) -> Node:
        left = self.sum()
        if self.peek().text not in signs:
            return left
        sign = self.next()
        return Compared(sign.place, sign.text, left, self.sum())

    def sum(self) -> Node:
        """Terms."""
        place = self.peek().place
        terms = [("+", self.product())]
        while self.peek().text in ("+", "-"):
            sign = self.next().text
            terms.append((sign, self.product()))
        return terms[0][1] if len(terms) == 1 else Total(place, tuple(terms))

    def product(self) -> Node:
        """Factors."""
        place = self.peek().place
        factors = [("", self._signed())]
        while True:
            token = self.peek()
            if token.text in _FACTORS:
                factors.append((self.next().text, self._signed()))
            elif self.begins_factor(token, self.given):
                factors.append(("", self.power()))
            else:
                break
        return factors[0][1] if len(factors) == 1 else Product(place, tuple(factors))

    def _signed(self) -> Node:
        negative, place = False, self.peek().place
        while self.peek().text in ("+", "-"):
            negative ^= self.next().text == "-"
        body = self.power()
        return Negated(place, body) if negative else body

    def power(self) -> Node:
        """A factor without a sign."""
        base = self._postfix()
        sign = self.peek()
        if sign.text not in ("^", "^∘"):
            return base
        self._refuse_tower(sign)
        self.next()
        # A power groups to the right, and its exponent may have a sign.
        self.deeper()
        exponent = self._signed()
        self.depth -= 1
        return Raised(sign.place, base, exponent, elementwise=sign.text == "^∘")

    def _refuse_tower(self, token: Token) -> None:
        """x²^3 could be meant in two ways; (x²)^3 is not."""
        if self.at and self.tokens[self.at - 1].kind == "power":
            raise self.fault(token.place, "a power of a power needs parentheses")

    def _postfix(self) -> Node:
        node = self.indexed(self.primary())
        for _ in range(DEEPEST):
            token = self.peek()
            if token.kind == "power":
                self._refuse_tower(token)
                self.next()
                exponent = Numeral(token.place, float(token.text))
                node = Raised(token.place, node, exponent, raised=True)
            elif token.text == "ᵀ":
                node = Transposed(self.next().place, node)
            elif token.text == "[" and not token.spaced:
                node = self.indexed(node)
            else:
                return node
        raise self.fault(self.peek().place, f"nested deeper than {DEEPEST}")

    def indexed(self, node: Node) -> Node:
        """The node with the indices that stand behind it."""
        for _ in range(DEEPEST):
            opening = self.peek()
            if opening.text != "[" or opening.spaced:
                return node
            self.next()
            indices = [self._index()]
            while self.peek().text == ",":
                self.next()
                indices.append(self._index())
            self.close(opening)
            node = Part(opening.place, node, tuple(indices))
        raise self.fault(self.peek().place, f"nested deeper than {DEEPEST}")

    def _index(self) -> Node:
        place = self.peek().place
        parts: list[Node | None] = [None]
        while self.peek().text not in (",", "]"):
            if self.peek().text == ":" and len(parts) < 3:
                self.next()
                parts.append(None)
            elif parts[-1] is None:
                parts[-1] = self.sum()
            else:
                self.unexpected(self.peek())
        if len(parts) == 1 and parts[0] is not None:
            return parts[0]
        if len(parts) == 1:
            self.unexpected(self.peek())
        return Span(place, *parts)
