"""Words of a drawing: formulas as SVG text, and how wide they are at most."""

from __future__ import annotations

import re
from html import escape
from typing import Final

# Widths in ems of DejaVu Sans, the widest font in common use: what fits in it fits in others.
_NARROW: Final = dict.fromkeys("ijlIJ.,:;'|!()[]/ ‖", 0.4)
_WIDE: Final = dict.fromkeys("mwMWQO@%⊙⊘∘Σ∂∏→…=+−≥≤ΔN", 0.87)
_USUAL: Final = 0.66
_SMALL: Final = 0.72  # the size of an index to that of its line
_NAME = "[0-9A-Za-z\u0391-\u03c9]+"  # Latin, Greek and digits, but no raised ones
_INDEX = re.compile(rf"(?<=[^\W\d_])_(\{{[^}}]*\}}|{_NAME}(?:_{_NAME})*)|\^(∘?[^\s()]+|\([^()]*\))")


def _pieces(text: str) -> list[tuple[str, str]]:
    """The text in parts, each `line`, `below` for an index or `above` for an exponent."""
    found, at = [], 0
    for match in _INDEX.finditer(text):
        found.append(("line", text[at : match.start()]))
        found.append(
            ("below", match[1].strip("{}")) if match[1] else ("above", match[2].strip("()"))
        )
        at = match.end()
    return [piece for piece in [*found, ("line", text[at:])] if piece[1]]


def width(text: str, size: float) -> float:
    """How wide the text is at most, in the unit of its font size."""
    total = 0.0
    for kind, part in _pieces(text):
        ems = sum(_NARROW.get(sign, _WIDE.get(sign, _USUAL)) for sign in part)
        total += ems * size * (1 if kind == "line" else _SMALL)
    return total


def shortened(text: str, size: float, most: float) -> str:
    """The text, or its beginning and an ellipsis, not wider than `most`."""
    if width(text, size) <= most:
        return text
    while text and width(text + " …", size) > most:
        text = text[:-1]
    return text.rstrip("_^ (") + " …"


def spans(text: str, size: float) -> str:
    """The text as the content of an SVG text element, with indices lowered."""
    found, moved = [], 0.0
    for kind, part in _pieces(text):
        shift = {"line": 0.0, "below": 0.22, "above": -0.36}[kind] * size
        by = f' dy="{shift - moved:.1f}"' if shift != moved else ""
        smaller = f' font-size="{_SMALL * size:.1f}"' if kind != "line" else ""
        found.append(f"<tspan{by}{smaller}>{escape(part)}</tspan>")
        moved = shift
    return "".join(found)
