"""A derivation for a page: its steps fold out, its formulas are MathML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Protocol

from symnet.expr import Expr
from symnet.formula.mathml import aligned, equation
from symnet.formula.notation import Notation, StepFormulas
from symnet.formula.steps import Step
from symnet.formula.tree import Definition

ELSEWHERE = "elements of local Jacobians that are not written are 0"
_FAINT = 'style="opacity: 0.75"'
_STEP = 'style="margin: 0.4em 0"'
_LINE = 'style="margin: 0.4em 0 0.4em 1.5em"'


class Derived(Protocol):
    """What a page asks of a derivation."""

    @property
    def steps(self) -> tuple[Step, ...]: ...

    @property
    def gradient(self) -> Expr: ...

    @property
    def notation(self) -> Notation: ...

    @property
    def values(self) -> str: ...

    def meeting(self, step: Step) -> str: ...


def page(derivation: Derived, opened: bool) -> str:
    """The derivation as a fragment of HTML that needs no script and no style sheet."""
    notation = derivation.notation
    shown = [notation.of(step) for step in derivation.steps]
    result = notation.result(derivation.gradient)
    parts = [_lines([*notation.forward(), *notation.legend()])]
    parts += [f"<p {_FAINT}>{ELSEWHERE}</p>"] if notation.deltas else []
    for step, formulas in zip(derivation.steps, shown, strict=True):
        parts.append(_step(step, formulas, derivation.meeting(step), opened))
    where = notation.where(shown, result)
    if where:
        parts.append(f"<p {_FAINT}>where</p>{_lines(where)}")
    parts.append(f"<p><strong>{_chain([result])}</strong></p>")
    parts += [f"<p {_FAINT}>{escape(derivation.values)}</p>"] if derivation.values else []
    return '<div class="symnet-derivation">\n' + "\n".join(parts) + "\n</div>"


def _lines(definitions: Iterable[Definition]) -> str:
    return aligned((line.left, line.right) for line in definitions)


def _chain(definitions: Sequence[Definition]) -> str:
    return equation([definitions[0].left, *(line.right for line in definitions)])


def _step(step: Step, formulas: StepFormulas, meeting: str, opened: bool) -> str:
    """One step: its equation and rule, and folded under them what it claims."""
    shape = f" <span {_FAINT}>{escape(step.shape)}</span>" if step.shape else ""
    rows = [("local derivative" if step.scalar else "local Jacobian", _chain([formulas.local]))]
    if formulas.handed is not None:
        handed = formulas.handed
        # Where paths meet this is but a part of the adjoint, and no equation.
        part = (f"to {equation([handed.left])} goes", equation([handed.right]))
        rows.append(part if step.shared else ("hands on", _chain([handed])))
    rows += [("where", _chain([line])) for line in formulas.where]
    rows.append(("so far", _chain(formulas.so_far) + shape + escape(meeting)))
    rows += [("here", escape(step.values))] if step.values else []
    inside = "\n".join(f"<p {_LINE}>{label}: {content}</p>" for label, content in rows)
    head = f"{step.number}. {_chain([formulas.equation])} &nbsp; {escape(step.rule)}"
    how = f"{_STEP}{' open' if opened else ''}"
    return f"<details {how}><summary>{head}</summary>\n{inside}\n</details>"
