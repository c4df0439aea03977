"""The words of a formula's text, and how a fault in it is shown."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from symnet.errors import ParseError

LONGEST: Final = 20_000
_SIGNS: Final = {"−": "-", "–": "-", "·": "*", "⋅": "*", "∗": "*", "÷": "/", "∕": "/",
                 "'": "′", "\u2019": "′", "∑": "Σ", "∏": "Π", "∥": "‖"}  # fmt: skip
_SPELLED: Final = {"**": "^", "<=": "≤", ">=": "≥", "!=": "≠", "==": "=", "^∘": "^∘"}
ONES: Final = "\N{MATHEMATICAL BOLD DIGIT ONE}"
_PLAIN: Final = {*"+-*×/^(),|√′⊙⊘ᵀ‖⌊⌋[]{}:;=<>≤≥≠∧¬∂ΣΠ∞\N{LOGICAL OR}", ONES}
_DIGITS: Final = set("0123456789")
_SUPERSCRIPT: Final = {"⁻": "-"} | dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789", strict=True))
_ORDER: Final = {"⁽": "", "⁾": ""} | _SUPERSCRIPT
_SUBSCRIPT: Final = dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True))
_OUTSIDE_NAMES: Final = set("ᵀΣΠ")


@dataclass(frozen=True, slots=True)
class Token:
    """A word of a formula. kind: number, name, power or order (both raised), sign or end.

    spaced: whether a space, or the beginning, is before it; tight: whether none is behind it.
    """

    kind: str
    text: str
    place: int
    spaced: bool = True
    tight: bool = False


def fault(text: str, place: int, message: str) -> ParseError:
    """The error for a place of a text, with the text around it and a caret below.

    In a text of several lines it is the line that is shown, and its number said.
    """
    line = text.count("\n", 0, place)
    if "\n" in text:
        start = text.rfind("\n", 0, place) + 1
        text, place = text[start:].partition("\n")[0], place - start
        message = f"line {line + 1}, column {place + 1}: {message}"
    around = 36
    start = max(0, place - around)
    shown = "".join(c if c.isprintable() else " " for c in text[start : place + around])
    left = "…" if start else ""
    right = "…" if place + around < len(text) else ""
    caret = " " * (4 + len(left) + _width(text[start:place])) + "^"
    return ParseError(f"{message}\n    {left}{shown}{right}\n{caret}")


def _width(text: str) -> int:
    """The columns that a text takes: a combining mark has none of its own."""
    return sum(not unicodedata.combining(character) for character in text)


def require_text(text: object, most: int) -> None:
    """ParseError unless this is a text, of no more than so many characters."""
    if not isinstance(text, str):
        raise ParseError(f"a formula is text, got {type(text).__name__}")
    if len(text) > most:
        raise ParseError(f"a formula has at most {most} characters, this text has {len(text)}")


def tokenize(
    text: str, start: int = 0, end: int | None = None, dotted: Collection[str] = ()
) -> list[Token]:
    """The words of a text, or of a part of it, and an end.

    dotted: names with dots in them, which are read as one word each. ParseError for a character
    that no formula has.
    """
    end = len(text) if end is None else end
    require_text(text[start:end], LONGEST)
    last = start + len(text[start:end].rstrip())
    return [*_tokens(text, start, last, dotted), Token("end", "", last)]


def _tokens(text: str, start: int, last: int, dotted: Collection[str]) -> Iterator[Token]:
    at = start
    while at < last:
        if text[at].isspace():
            at += 1
            continue
        kind, word, end = _word(text, at, dotted)
        spaced = at == start or text[at - 1].isspace()
        yield Token(kind, word, at, spaced, end < last and not text[end].isspace())
        at = end


def _word(text: str, at: int, dotted: Collection[str]) -> tuple[str, str, int]:
    """Kind, text and end of the word that begins here."""
    character = text[at]
    if character in _DIGITS or (character == "." and text[at + 1 : at + 2] in _DIGITS):
        end = _number_end(text, at)
        return "number", text[at:end], end
    if character in _ORDER:
        end = _while(text, at, _ORDER)
        return *_raised(text, at, end), end
    if (character.isalpha() and character not in _OUTSIDE_NAMES) or character == "_":
        end = _name_end(text, at, dotted)
        return "name", _name(text, at, end), end
    pair = text[at : at + 2]
    if pair in _SPELLED:
        return "sign", _SPELLED[pair], at + 2
    sign = _SIGNS.get(character, character)
    if sign not in _PLAIN:
        raise fault(text, at, f"{character!r} has no meaning in a formula")
    return "sign", sign, at + 1


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


def _raised(text: str, start: int, end: int) -> tuple[str, str]:
    """An exponent such as ⁻², or the order of a derivative such as ⁽⁴⁾."""
    raised = text[start:end]
    order = raised[0] == "⁽" and raised[-1] == "⁾"
    digits = "".join(_SUPERSCRIPT.get(c, "?") for c in (raised[1:-1] if order else raised))
    if not digits.removeprefix("" if order else "-").isdecimal():
        raise fault(text, start, f"{raised!r} is not an exponent")
    return ("order" if order else "power"), digits


def _name_end(text: str, at: int, dotted: Collection[str]) -> int:
    for name in dotted:
        behind = at + len(name)
        if text.startswith(name, at) and not _continues(text[behind : behind + 1]):
            return behind
    while at < len(text) and _continues(text[at]):
        at += 1
    return at


def _continues(character: str) -> bool:
    """Whether a character may stand inside a name."""
    if character in _OUTSIDE_NAMES or not character:
        return False
    known = character in _DIGITS or character in _SUBSCRIPT or character == "_"
    return known or character.isalpha() or unicodedata.combining(character) > 0


def _name(text: str, start: int, end: int) -> str:
    """The name, with its subscript as people type it: x₁ is x_1."""
    name = ""
    for place in range(start, end):
        character = text[place]
        if character in _SUBSCRIPT and not (name[-1:].isdecimal() or name[-1:] == "_"):
            name += "_"
        name += _SUBSCRIPT.get(character, character)
    name = normal_name(name)
    if not all(part.isidentifier() for part in name.split(".")):
        raise fault(text, start, f"{name!r} is not a name")
    return name


def normal_name(name: str) -> str:
    """One spelling of the names that look alike."""
    return unicodedata.normalize("NFKC", name)
