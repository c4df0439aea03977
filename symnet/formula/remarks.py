"""What runs in place of what prints, one short line each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from symnet.expr import Expr
from symnet.formula.text import TextPrinter
from symnet.formula.translate import Translator

_LONGEST = 100
_FEW = 3  # so many alike are all printed


@dataclass(frozen=True)
class Computed:
    """What a formula says, what is computed in its place, and a remark.

    text, if given, is printed for the right side; or for the whole equation, where it holds one.
    `<name>` in it stands for the expression of that name in `terms`.
    """

    left: Expr
    right: Expr
    remark: str = ""
    text: str = ""
    terms: Mapping[str, Expr] = field(default_factory=dict)


Rewrites = Callable[[Sequence[Expr]], Iterable[Computed]]
"""rewrites(gradients) -> where another spelling runs than the one that prints."""


def remark_lines(entries: Iterable[Computed], translator: Translator) -> list[str]:
    """The remarks under the names of a sheet, each difference once."""
    return gathered(list(dict.fromkeys(_line(entry, translator) for entry in entries)))


def _line(entry: Computed, translator: Translator) -> str:
    """One spelling that runs in place of another."""

    def side(node: Expr) -> str:
        return TextPrinter().show(translator.array(node))

    right = entry.text or side(entry.right)
    for name, term in entry.terms.items():
        right = right.replace(f"<{name}>", side(term))
    stated = bool(entry.text) and _is_equation(right)
    whole = right if stated else f"{side(entry.left)} = {right}"
    if len(whole) > _LONGEST:
        whole = f"{side(entry.left)} by a longer formula"
    return f"computed as: {whole}" + (f"  ({entry.remark})" if entry.remark else "")


def gathered(lines: Sequence[str]) -> list[str]:
    """Lines that differ in one number of their symbols alone, as one line for all these numbers."""
    kinds: dict[str, list[str]] = {}
    for line in lines:
        numbers = set(re.findall(r"_(\d+)\b", line))
        kind = re.sub(r"_\d+\b", "_i", line) if len(numbers) == 1 else line
        kinds.setdefault(kind, []).append(line)
    found: list[str] = []
    for kind, members in kinds.items():
        if len(members) <= _FEW or kind == members[0]:
            found += members
            continue
        places = sorted({int(n) for line in members for n in re.findall(r"_(\d+)\b", line)})
        head, gap, remark = kind.partition("  (")
        found.append(f"{head} for i = {_ranges(places)}{gap}{remark}")
    return found


def _ranges(numbers: Sequence[int]) -> str:
    """1, ..., 50 where they follow one another, else all of them."""
    first, last = numbers[0], numbers[-1]
    whole = last - first + 1 == len(numbers)
    return f"{first}, …, {last}" if whole else ", ".join(map(str, numbers))


def _is_equation(text: str) -> bool:
    """Whether a text is both sides; an equation after `where` belongs to one."""
    return " = " in text.partition(" where ")[0]
