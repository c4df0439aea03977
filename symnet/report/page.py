"""The report: one HTML file that needs nothing else, and makes no request."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Final

from symnet import cost
from symnet.drawing import draw
from symnet.expr import Expr
from symnet.formula.sheet import Sheet
from symnet.lazy import MissingDependency
from symnet.lower import Part
from symnet.ops.leaves import PARAMETER, leaves
from symnet.report import sections
from symnet.report.boundary import find_plane, pictures
from symnet.report.linking import links, names_of, quantities, same_values
from symnet.report.subject import Subject
from symnet.sheets import derive, gradients

_HERE: Final = Path(__file__).parent
_DERIVED: Final = 400_000
_HEADINGS: Final = {
    "network": "Network",
    "formulas": "Formulas",
    "training": "Training",
    "boundary": "Decision boundary",
    "machine": "From formula to machine",
    "costs": "Operation counts",
}


@dataclass(frozen=True)
class Report:
    """A report as a page. `html` is the whole file; a notebook shows it in a frame."""

    title: str
    html: str

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the page to a file, as UTF-8."""
        Path(path).write_text(self.html, encoding="utf-8")

    def _repr_html_(self) -> str:
        return (
            f'<iframe title="{escape(self.title)}" srcdoc="{escape(self.html)}" '
            'style="width: 100%; height: 40rem; border: 1px solid #8884"></iframe>'
        )

    def __repr__(self) -> str:
        return f"<report {self.title}: {len(self.html.encode()):,} bytes>"


def make_report(subject: Subject) -> Report:
    """The report on a subject. The sections that there is nothing to say in are left out."""
    loss = subject.loss
    sheet = gradients(loss)
    targets = leaves([loss], PARAMETER)
    parts, linked = _machine(subject, sheet)
    explanation = cost.explain(loss)
    plane = _plane(subject)
    bodies = {
        "network": _network(subject),
        "formulas": _formulas(sheet, targets) + _computed(sheet, explanation),
        "training": _training(subject),
        "boundary": _boundary(plane),
        "machine": sections.machine(sheet.rows(), parts, linked),
        "costs": sections.costs(explanation, subject.sizes),
    }
    return Report(subject.title, _page(subject, bodies, {"plane": plane}))


def _machine(subject: Subject, sheet: Sheet) -> tuple[Sequence[Part], Mapping[str, list[int]]]:
    """The kernels under the names of the sheet, and which lines belong to which."""
    found = quantities(sheet, leaves([subject.loss], PARAMETER))
    running = dict.fromkeys(node for part in subject.parts({}) for node in part.nodes)
    likes = same_values(list(found.values()), list(running))
    parts = subject.parts(names_of(sheet, found, likes))
    return parts, links(found, likes, parts)


def _network(subject: Subject) -> str:
    """The graph, forward and backward, and the parameters."""
    try:
        drawn = f'<div class="network">{draw(subject.loss).svg}</div>'
    except MissingDependency as error:
        drawn = f'<p class="hint">No drawing: {escape(str(error))}</p>'
    return f'<div class="beside">{drawn}{sections.parameters_table(subject.loss)}</div>'


def _formulas(sheet: Sheet, targets: Sequence[Expr]) -> str:
    """The lines of the sheet with derivations folded under the gradients.

    What is derived last repeats all before it, so that in a deep network they grow as the square
    of its depth: they stop where they have become `_DERIVED` characters, and the page says so.
    """
    rows = sheet.rows()
    top = rows[len(sheet.forward) - 1].name
    by_name = {f"∂{top}/∂{target.name}": target for target in targets}
    derivations: dict[str, str] = {}
    left_out, size = [], 0
    for name in (row.name for row in rows if row.name in by_name):
        if size > _DERIVED:
            left_out.append(str(by_name[name].name))
            continue
        derivations[name] = derive(sheet.loss, by_name[name]).html()
        size += len(derivations[name])
    note = ""
    if left_out:
        note = (
            f'<p class="hint">The derivations for {escape(", ".join(left_out))} go the same way '
            "further down, and would make this page large; sn.derive(loss, parameter) shows each."
            "</p>"
        )
    return sections.formula_lines(rows, derivations) + note


def _computed(sheet: Sheet, explanation: cost.Explanation) -> str:
    lead = "computed as: "
    said = [text.removeprefix(lead) for text in sheet.remarks if text.startswith(lead)]
    return f"<h3>computed as</h3>{sections.computed_as(said, explanation)}"


def _training(subject: Subject) -> str:
    if not subject.curves and not subject.rule:
        return ""
    return sections.training(subject.curves, subject.rule, subject.ended)


def _plane(subject: Subject) -> dict[str, Any] | None:
    """What the page draws of a problem of two inputs; None where it is none."""
    if not subject.snapshots or not subject.feeds:
        return None
    plane = find_plane(subject.loss, subject.feeds)
    if plane is None:
        return None
    drawn = pictures(plane, subject.feeds, subject.snapshots)
    losses = next(iter(subject.curves.values()), {}).get("loss", ())
    drawn["texts"] = [
        _epoch_text(epoch, share, losses)
        for epoch, share in zip(drawn["epochs"], drawn.pop("shares"), strict=True)
    ]
    return drawn


def _epoch_text(epoch: int, share: float | None, losses: Sequence[float]) -> str:
    text = f"epoch {epoch}" if epoch else "before training"
    if 0 < epoch <= len(losses):
        text += f", loss {losses[epoch - 1]:.4g}"
    return text if share is None else f"{text}, {100 * share:.1f} % of the points right"


def _boundary(plane: Mapping[str, Any] | None) -> str:
    if plane is None:
        return ""
    last = len(plane["epochs"]) - 1
    return (
        '<div class="plane"><canvas id="plane" width="760" height="560" role="img" '
        'aria-label="what the network answers in the plane of its two inputs"></canvas>'
        '<div class="controls"><label for="epoch">epoch, with the arrow keys too</label>'
        f'<input type="range" id="epoch" min="0" max="{last}" value="{last}" step="1">'
        '<output id="epoch-text" for="epoch" aria-live="polite"></output>'
        '<button type="button" id="play">play</button></div></div>'
    )


def _page(subject: Subject, bodies: Mapping[str, str], data: Mapping[str, Any]) -> str:
    shown = {key: body for key, body in bodies.items() if body}
    contents = "".join(f'<li><a href="#{key}">{_HEADINGS[key]}</a></li>' for key in shown)
    body = "\n".join(sections.section(key, _HEADINGS[key], html) for key, html in shown.items())
    title = escape(subject.title)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<link rel="icon" href="data:,">\n'
        f"<title>{title}</title>\n<style>\n{_asset('report.css')}</style>\n</head>\n<body>\n"
        f"<header><h1>{title}</h1></header>\n"
        f'<nav aria-label="contents"><ul>{contents}</ul></nav>\n<main>\n{body}\n</main>\n'
        "<footer>Written by symnet. Formulas stand as differentiated; what runs is the same "
        "function in a stable spelling.</footer>\n"
        f'<script type="application/json" id="report-data">{_embedded(data)}</script>\n'
        f"<script>\n{_asset('report.js')}</script>\n</body>\n</html>\n"
    )


def _asset(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _embedded(data: Mapping[str, Any]) -> str:
    """JSON that cannot end the element it stands in."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
