"""Formulas on a page: tables of MathML that stand by themselves, without a script or a style sheet.

Colours and fonts are the page's own, so that a fragment is at home in light and in dark.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

_TABLE = "border-collapse: collapse; margin: 0.5em 0"
_FORMULA = "border: none; padding: 0.25em 1.5em 0.25em 0; text-align: left"
_BESIDE = "border: none; padding: 0.25em 0; text-align: left; white-space: nowrap; opacity: 0.75"


@dataclass(frozen=True)
class Row:
    """A line of a page: a `<math>` element, the shape at the right, and definitions beside it.

    identifier: the id of its row, unique on the page, or empty. name: what the line defines, as
    text. Notes are `<math>` elements as well.
    """

    identifier: str
    name: str
    math: str
    shape: str = ""
    notes: tuple[str, ...] = ()

    def html(self) -> str:
        """The line as a row of a table."""
        beside = " ".join([escape(self.shape), *self.notes])
        named = f' id="{escape(self.identifier)}"' if self.identifier else ""
        return (
            f'<tr{named} data-name="{escape(self.name)}">'
            f'<td style="{_FORMULA}">{self.math}</td>'
            f'<td style="{_BESIDE}">{beside}</td></tr>'
        )


def table(rows: Iterable[Row], remarks: Sequence[str] = ()) -> str:
    """The lines as one table, and under them the remarks, which are text, a line each."""
    lines = "\n".join(row.html() for row in rows)
    below = "\n".join(
        f'<div style="opacity: 0.75"><small>{escape(remark)}</small></div>' for remark in remarks
    )
    return f'<div class="symnet"><table style="{_TABLE}">\n{lines}\n</table>\n{below}</div>'
