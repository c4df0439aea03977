"""Long formulas on several lines, broken before + and −, or at a relation."""

from __future__ import annotations

import re
from collections.abc import Callable

WIDTH = 100
_LEAST = 0.4  # a line is not broken before this share of its width
_OPENING, _CLOSING = "([⌊{", ")]⌋}"
_TIMES = (" ⊙ ", r" \odot ")
_SIGNS = (" + ", " − ", " - ", " = ", " ⊙ ", r" \odot ", ";  ", r",\quad ", ", ")


def columns(text: str) -> int:
    """How many columns a text takes: marks above letters take none."""
    return sum(not 0x300 <= ord(sign) < 0x370 for sign in text)


def latex_columns(text: str) -> int:
    """About how wide LaTeX is when it is set: a command is one sign, braces are none."""
    return len(re.sub(r"\\[a-zA-Z]+|[{}_^&\\]| ", lambda found: found[0][:1].strip("{}_^& "), text))


def broken(
    text: str, first: int, width: int = WIDTH, measure: Callable[[str], int] = columns
) -> list[str]:
    """The lines of a formula: each of at most `width` columns where there is a sign to break at.

    first: the columns that the first line has less. Lines break before + and −, behind = and ;,
    outside parentheses rather than inside, and never inside the braces of LaTeX.
    """
    lines: list[str] = []
    room = width - first
    while measure(text) > room:
        place = _place(text, room, measure)
        if place is None:
            break
        lines.append(text[:place].rstrip())
        text, room = text[place:].lstrip(), width - first
    return [*lines, text]


def _place(text: str, room: int, measure: Callable[[str], int]) -> int | None:
    """Where to break the text: at the outermost sign within the room, the last of several."""
    found: list[tuple[float, int]] = []
    late: list[tuple[int, float]] = []
    for place, depth in _signs(text):
        taken = measure(text[:place])
        if taken <= room and taken >= _LEAST * room:
            found.append((depth, -place))
        elif taken > room:
            late.append((place, depth))
    if found:
        return -min(found)[1]
    return late[0][0] if late else None


def _signs(text: str) -> list[tuple[int, float]]:
    """The places at which a text may be broken, and how many parentheses each stands in; a product
    is half as bad a place as parentheses."""
    found, depth, braces = [], 0, 0
    latex = "\\" in text
    for place, sign in enumerate(text):
        if latex and sign in "{}":
            braces += 1 if sign == "{" else -1
        elif sign in _OPENING:
            depth += 1
        elif sign in _CLOSING:
            depth -= 1
        if sign in " ;," and not braces:
            for one in _SIGNS:
                if text.startswith(one, place):
                    behind = one.strip() == "=" or one[0] in ";,"
                    if one == " = " and depth:
                        continue
                    worse = 0.5 if one in _TIMES else 0
                    found.append((place + (len(one) if behind else 1), depth + worse))
    return found


def indented(text: str, most: int = 24) -> list[str]:
    """The lines of an equation; those behind the first stand below its right side.

    most: the furthest column at which they begin.
    """
    head = text.find(" = ") + 3
    if not 3 <= head <= most:
        first, *rest = broken(text, 4)
        return [first, *(" " * 4 + line for line in rest)]
    first, *rest = broken(text[head:], head)
    return [text[:head] + first, *(" " * head + line for line in rest)]


def latex_rows(left: str, right: str) -> list[str]:
    """An equation as rows of an aligned environment."""
    first, *rest = broken(right, latex_columns(left) + 3, measure=latex_columns)
    return [f"{left} &= {first}", *(rf"&\quad {{}}{line}" for line in rest)]


def aligned(rows: list[str]) -> str:
    """Rows as an aligned environment."""
    return "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}"
