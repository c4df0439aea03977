"""Going through the words of a formula one by one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, NoReturn

from symnet.errors import ParseError
from symnet.parse.tokens import ONES, Token, fault

DEEPEST: Final = 60
_WORDS: Final = frozenset({"if", "else", "where"})
_OPENING: Final = frozenset({*"(√‖⌊{¬∂ΣΠ∞", ONES})
_CLOSING: Final = {"(": ")", "[": "]", "|": "|", "‖": "‖", "⌊": "⌋", "{": "}"}


class Words:
    """The words of a text, and how far it has been read."""

    def __init__(self, text: str, tokens: Sequence[Token]) -> None:
        self.text, self.tokens = text, tokens
        self.at = 0
        self.depth = 0

    def end(self) -> None:
        """Nothing more may follow."""
        token = self.next()
        if token.kind != "end":
            self.unexpected(token)

    def peek(self) -> Token:
        """The next word."""
        return self.tokens[self.at]

    def next(self) -> Token:
        """The next word, which is thereby read."""
        token = self.tokens[self.at]
        if token.kind != "end":
            self.at += 1
        return token

    def fault(self, place: int, message: str) -> ParseError:
        """The error for a place of the text."""
        return fault(self.text, place, message)

    def unexpected(self, token: Token) -> NoReturn:
        """A word stands where it has no meaning."""
        if token.kind == "end":
            raise self.fault(token.place, "the formula ends too early")
        if token.kind == "number":
            message = f"an operator is missing before {token.text!r}: write *"
        else:
            message = f"{token.text!r} is not expected here"
        raise self.fault(token.place, message)

    def deeper(self) -> None:
        """One level of nesting more, of which there are not many."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.fault(self.peek().place, f"nested deeper than {DEEPEST}")

    def begins_factor(self, token: Token, given: Collection[str]) -> bool:
        """Whether a word behind a factor begins another one, with no sign between."""
        if token.kind == "name":
            return token.text not in _WORDS or token.text in given
        if token.text in ("|", "‖"):
            # Closing signs have no space before them, or else no operand behind.
            after = self.tokens[self.at + 1]
            operand = after.kind in ("number", "name") or after.text in _OPENING | {*"|[-"}
            return token.spaced and token.tight and operand
        return token.kind == "sign" and (token.text in _OPENING or token.text == "[")

    def close(self, opening: Token) -> None:
        """What was opened is closed here."""
        token = self.next()
        if token.kind == "end":
            raise self.fault(opening.place, f"this {opening.text} is never closed")
        if token.text != _CLOSING[opening.text]:
            self.unexpected(token)
