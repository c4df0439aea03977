"""What runs in place of what prints, one short line each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from symnet.expr import Expr
from symnet.formula.layout import WIDTH, columns, indented
from symnet.formula.ledger import base_name, clumsy
from symnet.formula.moves import Indices
from symnet.formula.naming import intermediates
from symnet.formula.text import TextPrinter
from symnet.formula.translate import Translator
from symnet.formula.tree import Formula, Symbol

_LONGEST = 87  # an equation behind `computed as: `
_LONGEST_PART = 16
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


def remark_lines(entries: Iterable[Computed], translator: Translator, shown: set[str]) -> list[str]:
    """The remarks under the names of a sheet, each difference once.

    What would make one long is named c_1, c_2, ... and said below it. shown: the names that the
    sheet explained.
    """
    texts = [_remark(entry, translator, shown) for entry in entries]
    lines = [line for text in gathered(list(dict.fromkeys(texts))) for line in text.split("\n")]
    return [row for line in lines for row in _fitting(line)]


def _fitting(line: str) -> list[str]:
    """The line, its remark on a line of its own where it is too long with it."""
    if columns(line) <= WIDTH:
        return [line]
    head, gap, remark = line.partition("  (")
    below = [f"    ({remark}"] if gap else []
    return [*indented(head), *below]


def _remark(entry: Computed, translator: Translator, shown: set[str]) -> str:
    """One spelling that runs in place of another."""
    moment = translator.memo.mark()
    whole, formulas = _equation(entry, translator)
    if columns(whole) > _LONGEST:
        translator.memo.undo(moment)
        nodes = [entry.right] if not entry.text else list(entry.terms.values())
        for node in intermediates(nodes, translator.named, longest=_LONGEST_PART):
            translator.define(node, Symbol(translator.names.fresh("c", numbered=True)))
        whole, formulas = _equation(entry, translator)
    head, remark = f"computed as: {whole}", f"  ({entry.remark})" if entry.remark else ""
    lines = [head + remark]
    printer = TextPrinter()
    for definition in translator.needed(formulas, shown):
        shown.add(base_name(definition.left))
        lines.append(f"    where {printer.show(definition)}")
    if isinstance(formulas[0], Symbol) and not entry.text:
        # The other spelling of what has a name is that too, in the remarks that follow.
        translator.named.setdefault(entry.right, formulas[0])
    return "\n".join(lines)


def _equation(entry: Computed, translator: Translator) -> tuple[str, list[Formula]]:
    """Both sides, element by element where one has no matrix form, and the formulas in them."""
    nodes = [entry.left, *([] if entry.text else [entry.right]), *entry.terms.values()]
    moment = translator.moment()
    formulas = {node: translator.array(node) for node in nodes}
    if any(clumsy(formula, translator.makeshift) for formula in formulas.values()):
        translator.undo(moment)
        indices = translator.letters(entry.left.shape)
        with translator.inside(indices):
            formulas = {node: _element(translator, node, indices) for node in nodes}
    printer = TextPrinter()
    left = printer.show(formulas[entry.left])
    right = entry.text or printer.show(formulas[entry.right])
    for name, term in entry.terms.items():
        right = right.replace(f"<{name}>", printer.show(formulas[term]))
    stated = bool(entry.text) and _is_equation(right)
    return right if stated else f"{left} = {right}", list(formulas.values())


def _element(translator: Translator, node: Expr, indices: Indices) -> Formula:
    """An element of a node; of one with fewer axes, by the last letters."""
    return translator.element(node, indices[len(indices) - node.ndim :])


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
