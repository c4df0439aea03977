"""Reading the command line: argparse with errors of one line, and the kinds of values."""

from __future__ import annotations

import argparse
import difflib
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NoReturn

WRONG_INPUT: Final = 2
"""The exit status for input that makes no sense."""


class UsageError(Exception):
    """What is wrong with the input, in one sentence."""


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that raises UsageError in place of printing its usage."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings, allow_abbrev=False)

    def options(self) -> list[str]:
        """What may be given by name, such as --epochs."""
        return [name for action in self._actions for name in action.option_strings]

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help")


def close_match(given: str, known: Iterable[str]) -> str:
    """A hint such as "; did you mean digits?", or "" if nothing is close."""
    near = difflib.get_close_matches(given, list(known), 1)
    return f"; did you mean {near[0]}?" if near else ""


def one_of(what: str, known: Sequence[str]) -> Callable[[str], str]:
    """A type for argparse: one of some names."""

    def read(text: str) -> str:
        if text not in known:
            hint = close_match(text.lower(), known)
            raise UsageError(f"there is no {what} {text!r}, there is {', '.join(known)}{hint}")
        return text

    return read


def whole(least: int) -> Callable[[str], int]:
    """A type for argparse: a whole number from `least`."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least:
            needed = f"a whole number from {least} is needed"
            raise argparse.ArgumentTypeError(f"{needed}, got {text.strip()!r}")
        return number

    return read


def positive(text: str) -> float:
    """A type for argparse: a finite number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not (math.isfinite(number) and number > 0):
        raise argparse.ArgumentTypeError(f"a number above 0 is needed, got {text.strip()!r}")
    return number


def batch(text: str) -> int | None:
    """A type for argparse: rows of a step, None for "all"."""
    return None if text == "all" else whole(1)(text)


def point(text: str) -> dict[str, float]:
    """A type for argparse: values of names, such as "d=2, w=-3"."""
    values: dict[str, float] = {}
    for part in text.split(","):
        name, sign, value = (piece.strip() for piece in part.partition("="))
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not (sign and name.isidentifier() and math.isfinite(number)):
            raise argparse.ArgumentTypeError(
                f'a point is written like "d=2, w=-3", {part.strip()!r} is no name=number'
            )
        if name in values:
            raise argparse.ArgumentTypeError(f"{name} is given twice")
        values[name] = number
    return values
