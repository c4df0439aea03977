"""A rule in letters: its assignments, in an order in which they can be read one after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from symnet.expr import Expr, substitute, topological
from symnet.ops.core import FLOAT64
from symnet.ops.leaves import NAMED, input

GREEK = {
    "rate": "η",
    "momentum": "μ",
    "beta1": "β_1",
    "beta2": "β_2",
    "epsilon": "ε",
    "weight_decay": "λ",
    "dampening": "τ",
}


def letters_of(
    names: tuple[str, ...], hyperparameters: Mapping[str, Any]
) -> tuple[dict[str, Expr], dict[str, Any]]:
    """Scalar inputs for the operands, and the settings as inputs; those that are 0 stay 0."""
    leaves = {name: input(name, (), FLOAT64) for name in names}
    setting = {
        name: input(GREEK.get(name, name), (), FLOAT64)
        if isinstance(value, Expr) or (value and not isinstance(value, bool))
        else value
        for name, value in hyperparameters.items()
    }
    return leaves, setting


@dataclass(frozen=True, eq=False)
class _Line:
    """An assignment: `letter` stands for its value in the other lines, `before` for what the
    letter of that name meant until now."""

    name: str
    letter: Expr
    before: Expr | None
    value: Expr
    reads: frozenset[Expr]


def lines_of(leaves: Mapping[str, Expr], after: Mapping[str, Expr]) -> list[tuple[str, Expr]]:
    """The assignments of a rule: its named intermediates, its state, and w.

    leaves: the letters. after: the next value of each state and of w. A next value that another
    line uses shows there by its letter. A value that is wanted while its old one still is gets a
    letter of its own first: m_new.
    """
    waiting, order, late = _lines(leaves, after), [], []
    shown: dict[Expr, Expr] = {}
    while waiting:
        line = next((one for one in waiting if _in_place(one, waiting)), None)
        name = line.name if line else ""
        if line is None:
            # Each line waits for another: free the first whose own operands are all known.
            line = next(one for one in waiting if not _missing(one, waiting))
            name = f"{line.name}_new"
            late.append((line.name, input(name, (), FLOAT64)))
            shown[line.letter] = late[-1][1]
        elif line.before is not None:
            shown[line.letter] = line.before
        order.append((name, _replaced(line.value, shown)))
        waiting.remove(line)
    return order + late


def _lines(leaves: Mapping[str, Expr], after: Mapping[str, Expr]) -> list[_Line]:
    names = {node: name for name, node in after.items() if node is not leaves[name]}
    nodes = topological(after.values())
    for node in nodes:
        if node.op is NAMED:
            names.setdefault(node, str(node.name))
    letters = {node: input(name, (), FLOAT64) for node, name in names.items()}
    lines = []
    for node in (node for node in nodes if node in names):
        inner = node.args[0] if node.op is NAMED else node
        here = {other: letter for other, letter in letters.items() if other is not node}
        value = _replaced(inner, here)
        reads = frozenset(topological([value]))
        lines.append(_Line(names[node], letters[node], leaves.get(names[node]), value, reads))
    return lines


def _missing(line: _Line, waiting: Sequence[_Line]) -> bool:
    return any(other.letter in line.reads for other in waiting)


def _in_place(line: _Line, waiting: Sequence[_Line]) -> bool:
    """Whether all that a line reads is known, and nobody else still reads what it overwrites."""
    others = (other for other in waiting if other is not line)
    return not _missing(line, waiting) and not any(line.before in one.reads for one in others)


def _replaced(value: Expr, replacements: Mapping[Expr, Expr]) -> Expr:
    """The value with replacements, which may be whole: what is replaced is not looked into."""
    (result,) = substitute([value], replacements)
    return result
