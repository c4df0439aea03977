"""The words of a formula's text, and how a fault in it is shown."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from symnet.errors import ParseError

LONGEST: Final = 20_000
_SIGNS: Final = {"−": "-", "–": "-", "·": "*", "⋅": "*", "×": "*", "⊙": "*", "∗": "*",
                 "÷": "/", "∕": "/", "'": "′", "\u2019": "′"}  # fmt: skip
_PLAIN: Final = set("+-*/^(),|√′")
_DIGITS: Final = set("0123456789")
_SUPERSCRIPT: Final = {"⁻": "-"} | dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789", strict=True))
_SUBSCRIPT: Final = dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True))


@dataclass(frozen=True, slots=True)
class Token:
    """A word of a formula. kind: number, name, power (a superscript), sign or end."""

    kind: str
    text: str
    place: int


def fault(text: str, place: int, message: str) -> ParseError:
    """The error for a place of a text, with the text around it and a caret below."""
    around = 36
    start = max(0, place - around)
    shown = "".join(c if c.isprintable() else " " for c in text[start : place + around])
    left = "…" if start else ""
    right = "…" if place + around < len(text) else ""
    caret = " " * (4 + len(left) + place - start) + "^"
    return ParseError(f"{message}\n    {left}{shown}{right}\n{caret}")


def tokenize(text: str) -> list[Token]:
    """The words of a text and an end; ParseError for a character that no formula has."""
    if not isinstance(text, str):
        raise ParseError(f"a formula is text, got {type(text).__name__}")
    if len(text) > LONGEST:
        raise ParseError(f"a formula has at most {LONGEST} characters, this text has {len(text)}")
    return [*_tokens(text), Token("end", "", len(text.rstrip()))]


def _tokens(text: str) -> Iterator[Token]:
    at = 0
    while at < len(text):
        character = text[at]
        sign = _SIGNS.get(character, character)
        start = at
        if character.isspace():
            at += 1
            continue
        if character in _DIGITS or (character == "." and text[at + 1 : at + 2] in _DIGITS):
            at = _number_end(text, at)
            yield Token("number", text[start:at], start)
        elif character in _SUPERSCRIPT:
            at = _while(text, at, _SUPERSCRIPT)
            yield Token("power", _exponent(text, start, at), start)
        elif character.isalpha() or character == "_":
            at = _name_end(text, at)
            yield Token("name", _name(text, start, at), start)
        elif sign in _PLAIN:
            at += 2 if text[at : at + 2] == "**" else 1
            yield Token("sign", "^" if at == start + 2 else sign, start)
        else:
            raise fault(text, at, f"{character!r} has no meaning in a formula")


def _while(text: str, at: int, allowed: set[str] | dict[str, str]) -> int:
    while at < len(text) and text[at] in allowed:
        at += 1
    return at


def _number_end(text: str, at: int) -> int:
    at = _while(text, at, _DIGITS)
    if text[at : at + 1] == ".":
        at = _while(text, at + 1, _DIGITS)
    if text[at : at + 1] in ("e", "E"):
        digits = at + 2 if text[at + 1 : at + 2] in ("+", "-") else at + 1
        end = _while(text, digits, _DIGITS)
        # Without digits the letter is a name: `2e` is a product without its sign.
        at = end if end > digits else at
    return at


def _exponent(text: str, start: int, end: int) -> str:
    digits = "".join(_SUPERSCRIPT[c] for c in text[start:end])
    if not digits.removeprefix("-").isdecimal():
        raise fault(text, start, f"{text[start:end]!r} is not an exponent")
    return digits


def _name_end(text: str, at: int) -> int:
    while at < len(text):
        character = text[at]
        if not (character.isalpha() or character in _DIGITS or character in _SUBSCRIPT
                or character == "_"):  # fmt: skip
            break
        at += 1
    return at


def _name(text: str, start: int, end: int) -> str:
    """The name, with its subscript as people type it: x₁ is x_1."""
    name = ""
    for place in range(start, end):
        character = text[place]
        if character in _SUBSCRIPT and not (name[-1:].isdecimal() or name[-1:] == "_"):
            name += "_"
        name += _SUBSCRIPT.get(character, character)
    name = unicodedata.normalize("NFKC", name)
    if not name.isidentifier():
        raise fault(text, start, f"{name!r} is not a name")
    return name
