"""Assignments such as w ← w − η g: their text, line by line, and the same lines as MathML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from symnet.expr import Expr
from symnet.formula.mathml import MathMLPrinter, math, with_definitions
from symnet.formula.show import text, translated
from symnet.formula.tree import Relation, Symbol


class Assignments(str):
    """The text of assignments, and `mathml`: one `<math>` element for each of the first lines.

    What the text says below them, in words, is `words`.
    """

    mathml: tuple[str, ...]
    words: tuple[str, ...]

    def __new__(cls, lines: Iterable[tuple[str, Expr]], words: Sequence[str]) -> Assignments:
        """lines: the name on the left and what it becomes. words: further lines of text."""
        pairs = list(lines)
        made = super().__new__(
            cls, "\n".join([*(f"{name} ← {text(value)}" for name, value in pairs), *words])
        )
        made.mathml = tuple(_mathml(name, value) for name, value in pairs)
        made.words = tuple(words)
        return made


def _mathml(name: str, value: Expr) -> str:
    body, definitions = translated(value, "matrix")
    line = Relation("←", Symbol(name), body)
    if definitions:
        return with_definitions(line, definitions)
    return math(MathMLPrinter().show(line), block=False)
