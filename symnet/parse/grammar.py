"""The grammar of formulas: from words to a tree. Nothing in the text is ever executed.

    formula   = condition ["where" equation (";" equation)*]
    condition = relation (("and" | "or") relation)*, by their signs
    relation  = sum [("<" | "≤" | ">" | "≥" | "=" | "≠") sum]
    sum       = product (("+" | "-") product)*
    product   = signed (["*" | "×" | "⊙" | "/" | "⊘"] signed)*
    signed    = ("+" | "-")* power
    power     = postfix [("^" | "^∘") signed]
    postfix   = primary (superscript | "ᵀ" | "[" index ("," index)* "]")*
    primary   = number | name | "∂" name "/" "∂" name | "1" in bold | "∞" | "√" primary
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

from collections.abc import Collection, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Final

from symnet.parse.callees import unknown
from symnet.parse.tokens import ONES, Token
from symnet.parse.tree import (
    Axis,
    Bracket,
    Call,
    Cases,
    Compared,
    Equation,
    Fenced,
    Listed,
    Name,
    Negated,
    Node,
    Numeral,
    Ones,
    Over,
    Part,
    Product,
    Raised,
    Roots,
    Span,
    Total,
    Transposed,
    Zeros,
)
from symnet.parse.words import DEEPEST, Words

FOLDS: Final = ("Σ", "Π", "max", "min", "argmax")
BARE: Final = frozenset({"log", "ln"})
_RELATIONS: Final = frozenset("<≤>≥=≠")
_JOINED: Final = frozenset("∧\N{LOGICAL OR}")
_FACTORS: Final = frozenset("*×⊙⊘/")
_ALIKE: Final = 0.75


class Grammar(Words):
    """Reads the tree of a text. Its recursion is as deep as the text's nesting, and bounded."""

    def __init__(
        self,
        text: str,
        words: Sequence[Token],
        given: Collection[str],
        functions: Collection[str],
        callees: Collection[str],
    ) -> None:
        super().__init__(text, words)
        self.given, self.functions, self.callees = given, functions, callees

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
        terms = [("+", self._product())]
        while self.peek().text in ("+", "-"):
            sign = self.next().text
            terms.append((sign, self._product()))
        return terms[0][1] if len(terms) == 1 else Total(place, tuple(terms))

    def _product(self) -> Node:
        place = self.peek().place
        factors = [("", self._signed())]
        while True:
            token = self.peek()
            if token.text in _FACTORS:
                factors.append((self.next().text, self._signed()))
            elif self.begins_factor(token, self.given):
                factors.append(("", self._power()))
            else:
                break
        return factors[0][1] if len(factors) == 1 else Product(place, tuple(factors))

    def _signed(self) -> Node:
        negative, place = False, self.peek().place
        while self.peek().text in ("+", "-"):
            negative ^= self.next().text == "-"
        body = self._power()
        return Negated(place, body) if negative else body

    def _power(self) -> Node:
        base = self._postfix()
        sign = self.peek()
        if sign.text not in ("^", "^∘"):
            return base
        self.next()
        if isinstance(base, Raised) and base.raised:
            raise self.fault(sign.place, "a power of a power needs parentheses")
        # A power groups to the right, and its exponent may have a sign.
        self.deeper()
        exponent = self._signed()
        self.depth -= 1
        return Raised(sign.place, base, exponent, elementwise=sign.text == "^∘")

    def _postfix(self) -> Node:
        node = self._indexed(self._primary())
        for _ in range(DEEPEST):
            token = self.peek()
            if token.kind == "power":
                if isinstance(node, Raised) and node.raised:
                    raise self.fault(token.place, "a power of a power needs parentheses")
                self.next()
                exponent = Numeral(token.place, float(token.text))
                node = Raised(token.place, node, exponent, raised=True)
            elif token.text == "ᵀ":
                node = Transposed(self.next().place, node)
            elif token.text == "[" and not token.spaced:
                node = self._indexed(node)
            else:
                return node
        raise self.fault(self.peek().place, f"nested deeper than {DEEPEST}")

    def _indexed(self, node: Node) -> Node:
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

    def _primary(self) -> Node:
        token = self.next()
        if token.kind == "number":
            return self._number(token)
        if token.kind == "name":
            return self._name(token)
        match token.text:
            case "√":
                return self._roots(token)
            case "(":
                return self._parentheses(token)
            case "|" | "‖" | "⌊":
                body = self.condition()
                self.close(token)
                return Fenced(token.place, token.text, body)
            case "[":
                return self._bracket(token)
            case "{":
                return self._cases(token)
            case "Σ" | "Π":
                return self._over(token, token.text, self.below(token))
            case "∂":
                return self._partial(token)
            case "∞":
                return Numeral(token.place, float("inf"))
            case word if word == ONES:
                return Ones(token.place)
        self.unexpected(token)

    def _number(self, token: Token) -> Node:
        """A number; `0_2` and `0_{N − 1}` are blocks of zeros."""
        mark = self.peek()
        if token.text != "0" or mark.kind != "name" or mark.text[0] != "_" or mark.spaced:
            return Numeral(token.place, float(token.text))
        self.next()
        if mark.text != "_":
            size = mark.text[1:]
            digits = size.isdecimal()
            return Zeros(
                token.place,
                Numeral(mark.place, float(size)) if digits else Name(mark.place, size),
            )
        opening = self.next()
        if opening.text != "{":
            self.unexpected(opening)
        body = self.sum()
        self.close(opening)
        return Zeros(token.place, body)

    def _bracket(self, opening: Token) -> Node:
        items = [self.condition()]
        separator = self.peek().text
        while separator in (",", ";") and self.peek().text == separator:
            self.next()
            items.append(self.condition())
        self.close(opening)
        return Bracket(opening.place, tuple(items), stacked=separator == ";")

    def _items(self, opening: Token) -> tuple[Node, ...]:
        found = [self._argument()]
        while self.peek().text == ",":
            self.next()
            found.append(self._argument())
        self.close(opening)
        return tuple(found)

    def _argument(self) -> Node:
        """A value, or `axis 0`."""
        token = self.peek()
        if token.text != "axis" or "axis" in self.given:
            return self.condition()
        self.next()
        number = self.next()
        if number.kind != "number" or not number.text.isdecimal():
            self.unexpected(number)
        return Axis(token.place, int(number.text))

    def _parentheses(self, opening: Token) -> Node:
        body = self.condition()
        items = [body]
        while self.peek().text == ",":
            self.next()
            items.append(self.condition())
        self.close(opening)
        return body if len(items) == 1 else Listed(opening.place, tuple(items))

    def _roots(self, token: Token) -> Node:
        count = 1
        while self.peek().text == "√":
            self.next()
            count += 1
        return Roots(token.place, count, self._indexed(self._primary()))

    def _cases(self, opening: Token) -> Node:
        first = self.sum()
        self._word("if")
        condition = self.condition()
        comma = self.next()
        if comma.text != ",":
            self.unexpected(comma)
        self._word("else")
        second = self.sum()
        self.close(opening)
        return Cases(opening.place, condition, first, second)

    def _word(self, word: str) -> None:
        token = self.next()
        if token.kind != "name" or token.text != word:
            raise self.fault(token.place, f"{word!r} is missing here: {{a if x > 0, else b}}")

    def _partial(self, token: Token) -> Node:
        """∂L/∂w, as one name."""
        words = [self.next() for _ in range(4)]
        kinds = [word.text if word.kind == "sign" else word.kind for word in words]
        if kinds != ["name", "/", "∂", "name"]:
            raise self.fault(token.place, "a derivative is written as ∂L/∂w")
        return Name(token.place, f"∂{words[0].text}/∂{words[3].text}")

    def _over(self, token: Token, name: str, letters: tuple[str, ...]) -> Node:
        self.deeper()
        body = self._product()
        self.depth -= 1
        return Over(token.place, name, letters, body)

    def _name(self, token: Token) -> Node:
        name, behind = token.text, self.peek()
        if name in self.given:
            return Name(token.place, name)
        head, mark, letter = name.partition("_")
        if mark and head in FOLDS and (letter or behind.text == "{"):
            return self._over(token, head, (letter,) if letter else self.braced())
        called = behind.text == "(" and (not behind.spaced or name in self.callees)
        if called or behind.text == "′" or behind.kind == "order":
            return self._call(token)
        if name not in self.callees or name in self.functions:
            self._check_product(token, behind)
            return Name(token.place, name)
        if behind.kind == "power":
            return self._raised_call(token)
        if name in BARE and (behind.kind == "number" or self.begins_factor(behind, self.given)):
            self.deeper()
            body = self._power()
            self.depth -= 1
            return Call(token.place, name, (body,))
        if name == "σ":
            return Name(token.place, name)
        raise self.fault(token.place, f"{name} is a function: write {name}(...)")

    def _check_product(self, token: Token, behind: Token) -> None:
        """`tanhh (x)` is a slip of the pen rather than a product."""
        slip = len(token.text) > 2 and behind.text == "("
        if slip and get_close_matches(token.text, self.callees, 1, _ALIKE):
            raise self.fault(token.place, unknown(token.text, self.functions))

    def _raised_call(self, token: Token) -> Node:
        """tanh²(x)."""
        power = self.next()
        if self.peek().text != "(" or power.text.startswith("-"):
            raise self.fault(token.place, f"{token.text} is a function: write {token.text}(...)")
        exponent = Numeral(power.place, float(power.text))
        return Raised(power.place, self._call(token), exponent)

    def _call(self, token: Token) -> Node:
        name, order = token.text, 0
        if self.peek().kind == "order":
            order = int(self.next().text)
        while self.peek().text == "′":
            self.next()
            order += 1
        if name not in self.functions and (order or name not in self.callees):
            raise self.fault(token.place, unknown(name, self.functions))
        opening = self.next()
        if opening.text != "(":
            self.unexpected(opening)
        return replace(Call(token.place, name, self._items(opening)), order=order)
