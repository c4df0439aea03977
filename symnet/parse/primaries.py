"""The parts of a formula that stand by themselves; see `symnet/parse/grammar.py`."""

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
    Fenced,
    Letter,
    Listed,
    Name,
    Node,
    Numeral,
    Ones,
    Over,
    Raised,
    Roots,
    Zeros,
)
from symnet.parse.words import Words

FOLDS: Final = ("Σ", "Π", "max", "min", "argmax")
BARE: Final = frozenset({"log", "ln"})
_ALIKE: Final = 0.75


class Primaries(Words):
    """Reads what stands by itself; a subclass reads the operators between."""

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

    def condition(self) -> Node:
        """A sum, a relation of sums, or several relations joined."""
        raise NotImplementedError

    def sum(self) -> Node:
        """Terms."""
        raise NotImplementedError

    def product(self) -> Node:
        """Factors."""
        raise NotImplementedError

    def power(self) -> Node:
        """A factor without a sign."""
        raise NotImplementedError

    def indexed(self, node: Node) -> Node:
        """The node with the indices that stand behind it."""
        raise NotImplementedError

    def primary(self) -> Node:
        """What stands by itself: a number, a name, a call, something between signs."""
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
            case "¬":
                return Call(token.place, "not", (self._argument_of_not(),))
            case "Σ" | "Π":
                return self._over(token, token.text, self._below(token))
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

    def _argument_of_not(self) -> Node:
        self.deeper()
        body = self.indexed(self.primary())
        self.depth -= 1
        return body

    def _roots(self, token: Token) -> Node:
        count = 1
        while self.peek().text == "√":
            self.next()
            count += 1
        return Roots(token.place, count, self.indexed(self.primary()))

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

    def _below(self, token: Token) -> tuple[Letter, ...]:
        """The letters under a sign: _n, _{n,k} or _{n<N − 1}."""
        mark = self.next()
        if mark.kind != "name" or mark.text[0] != "_":
            raise self.fault(token.place, f"{token.text} needs letters: {token.text}_n v[n]")
        return (Letter(mark.place, mark.text[1:]),) if mark.text != "_" else self._braced()

    def _braced(self) -> tuple[Letter, ...]:
        opening = self.next()
        if opening.text != "{":
            self.unexpected(opening)
        letters = []
        while True:
            letter = self.next()
            if letter.kind != "name":
                self.unexpected(letter)
            limit = None
            if self.peek().text == "<":
                self.next()
                limit = self.sum()
            letters.append(Letter(letter.place, letter.text, limit))
            sign = self.next()
            if sign.text == "}":
                return tuple(letters)
            if sign.text != ",":
                self.unexpected(sign)

    def _over(self, token: Token, name: str, letters: tuple[Letter, ...]) -> Node:
        self.deeper()
        body = self.product()
        self.depth -= 1
        return Over(token.place, name, letters, body)

    def _name(self, token: Token) -> Node:
        name, behind = token.text, self.peek()
        if name in self.given:
            return Name(token.place, name)
        head, mark, letter = name.partition("_")
        if mark and head in FOLDS and (letter or behind.text == "{"):
            own = (Letter(token.place, letter),) if letter else self._braced()
            return self._over(token, head, own)
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
            body = self.power()
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
