"""The sections of a report, each a piece of HTML made from expressions and kernels."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields
from html import escape
from pathlib import Path

from symnet.charts import line_chart
from symnet.cost import Counts, Explanation
from symnet.expr import Expr
from symnet.formula.assignments import Assignments
from symnet.formula.html import Row
from symnet.formula.mathml import MathMLPrinter, equation, name_mathml
from symnet.formula.mathml import math as mathml
from symnet.formula.tree import Definition, Relation
from symnet.lower import Part, came_to, essence, shared
from symnet.ops.leaves import PARAMETER, leaves
from symnet.sizes import Dimension, show_shape

_PLACES_SHOWN = 3


def section(identifier: str, heading: str, body: str) -> str:
    """A section with a heading that the contents link to."""
    return (
        f'<section id="{identifier}" aria-labelledby="{identifier}-heading">'
        f'<h2 id="{identifier}-heading">{escape(heading)}</h2>\n{body}\n</section>'
    )


def grid(head: Sequence[str], rows: Sequence[Sequence[str]], last: bool = False) -> str:
    """A table of cells that are HTML already; the first of each row is its heading. `last`: the
    last row is a total."""
    top = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    lines = []
    for place, (first, *rest) in enumerate(rows):
        kind = ' class="total"' if last and place == len(rows) - 1 else ""
        cells = "".join(f"<td>{cell}</td>" for cell in rest)
        lines.append(f'<tr{kind}><th scope="row">{first}</th>{cells}</tr>')
    body = "".join(lines)
    return (
        f'<div class="wide"><table class="plain"><thead><tr>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def parameters_table(loss: Expr) -> str:
    """Name, shape and number of elements of every parameter."""
    found = leaves([loss], PARAMETER)
    counts = [math.prod(map(int, leaf.shape)) for leaf in found]
    rows = [
        [mathml(name_mathml(str(leaf.name)), block=False), escape(show_shape(leaf.shape) or "1"),
         f"{count:,}", str(leaf.dtype)]
        for leaf, count in zip(found, counts, strict=True)
    ]  # fmt: skip
    rows.append(["together", "", f"{sum(counts):,}", ""])
    return grid(("parameter", "shape", "elements", "dtype"), rows, last=True)


def formula_lines(rows: Sequence[Row], derivations: Mapping[str, str]) -> str:
    """The lines of a sheet; under those that have one, the derivation, folded."""
    lines = []
    for row in rows:
        beside = " ".join([f'<span class="shape">{escape(row.shape)}</span>', *row.notes])
        folded = ""
        if row.name in derivations:
            folded = (
                f"<details><summary>how it comes about</summary>"
                f'<div class="derivation">{derivations[row.name]}</div></details>'
            )
        lines.append(
            f'<li><div class="line"><span class="formula">{row.math}</span>{beside}</div>'
            f"{folded}</li>"
        )
    return f'<ol class="sheet">{"".join(lines)}</ol>'


def computed_as(remarks: Sequence[str], explanation: Explanation) -> str:
    """Where another spelling runs than the one that prints, and which rules made it."""
    said = "".join(f"<li>{escape(remark)}</li>" for remark in remarks)
    places: dict[str, Counter[str]] = {}
    reasons: dict[str, str] = {}
    for firing in explanation.firings:
        name = firing.rule.name
        origin = firing.left.origin
        place = f"{Path(origin.file).name}:{origin.line}"
        places.setdefault(name, Counter())[f"layer {origin.layer}" if origin.layer else place] += 1
        reasons[name] = str(getattr(firing.rule, "reason", ""))
    rows = [
        [escape(name), escape(reasons[name]), str(found.total()),
         escape(", ".join(list(found)[:_PLACES_SHOWN]) + (" …" * (len(found) > _PLACES_SHOWN)))]
        for name, found in places.items()
    ]  # fmt: skip
    spelled = f'<ul class="remarks">{said}</ul>' if said else "<p>Everything runs as it prints.</p>"
    if not rows:
        return spelled
    fired = grid(("rule", "why", "times", "where"), rows)
    summary = f"<summary>the {len(rows)} rules that fired</summary>"
    return f"{spelled}<details>{summary}{fired}</details>"


def costs(explanation: Explanation, sizes: Mapping[str, int]) -> str:
    """Operations as polynomials in the named sizes, kind by kind."""
    entries = {
        "loss": explanation.loss,
        "gradient, each use computed anew": explanation.gradient_tree,
        "gradient, shared": explanation.gradient,
        "gradient, shared and simplified": explanation.rewritten,
        "loss and gradient together": explanation.together,
    }
    kinds = [f.name for f in fields(Counts) if any(getattr(c, f.name) for c in entries.values())]
    moved = {"loss": explanation.loss_bytes, "loss and gradient together": explanation.bytes}
    rows = [
        [label, *(_count(getattr(counts, kind)) for kind in kinds), _count(counts.total),
         _count(moved[label]) if label in moved else ""]
        for label, counts in entries.items()
    ]  # fmt: skip
    note = f"Together {explanation.limit():.3g} times the loss alone, for large sizes"
    if sizes:
        at = ", ".join(f"{name} = {size:,}" for name, size in sizes.items())
        note += f"; at {at} that is {explanation.together.at(sizes):,} operations"
    lines = str(explanation).splitlines()
    reused = next(line for line in lines if line.startswith("the backward pass reuses"))
    said = f"<p>{escape(note)}.</p><p>{escape(reused[0].upper() + reused[1:])}.</p>"
    return grid(("", *kinds, "together", "bytes read and written"), rows) + said


def _count(count: Dimension) -> str:
    text = str(count).replace("*", "·").replace(" - ", " − ")
    return escape(text) if len(text) < 60 else f"{escape(text[:57])}…"


def training(curves: Mapping[str, Mapping[str, Sequence[float]]], rule: str, ended: str) -> str:
    """Curves over the epochs, and the rule by which the parameters moved."""
    drawn = "".join(
        line_chart(series, title, first=1, linear=title == "rate")
        for title, series in curves.items()
    )
    said = f"<p>{escape(ended)}</p>" if ended else ""
    stated = _rule(rule) if rule else ""
    return f'{said}<div class="charts">{drawn}</div>{stated}'


def _rule(rule: str) -> str:
    """The rule as formulas; as text where it was read from a file."""
    if not isinstance(rule, Assignments):
        return f'<pre class="rule">{escape(rule)}</pre>'
    lines = "".join(f"<li>{line}</li>" for line in rule.mathml)
    words = "".join(f"<p>{escape(line)}</p>" for line in rule.words)
    return f'<ul class="assignments">{lines}</ul>{words}'


def machine(rows: Sequence[Row], parts: Sequence[Part], links: Mapping[str, Sequence[int]]) -> str:
    """The lines of the sheet beside the kernels that compute them."""
    by_kernel: dict[int, list[str]] = {}
    lines = []
    for place, row in enumerate(rows):
        kernels = links.get(row.name, ())
        for kernel in kernels:
            by_kernel.setdefault(kernel, []).append(f"sheet-{place}")
        ids = " ".join(f"kernel-{k}" for k in kernels)
        within = row.name in links and not kernels
        none = '<span class="shape">within another formula</span>' if within else ""
        lines.append(
            f'<li id="sheet-{place}" class="linked" tabindex="0" data-links="{ids}">'
            f"{row.math} {none}</li>"
        )
    seen: dict[str, int] = {}
    cards = [_card(part, place, by_kernel.get(place, ()), seen) for place, part in enumerate(parts)]
    cards += [
        f'<li class="linked"><div class="label">{escape(kernel.label)}, for all that finish them'
        f'</div><div class="label">{escape(came_to(kernel))}</div>'
        f"<details><summary>source</summary><pre><code>{escape(_essential(kernel.source))}"
        "</code></pre></details></li>"
        for kernel in shared(parts)
    ]
    return (
        '<p class="hint">Point at a line, or move to it with Tab, to see which kernels compute it; '
        "or at a kernel, to see its lines. Enter goes there.</p>"
        f'<div class="two"><div><h3>what prints</h3><ol class="lines">{"".join(lines)}</ol></div>'
        f'<div><h3>what runs</h3><ol class="kernels">{"".join(cards)}</ol></div></div>'
    )


def _card(part: Part, place: int, lines: Sequence[str], seen: dict[str, int]) -> str:
    """One kernel: formulas, where they were written, instructions, source."""
    formulas = "".join(
        f'<div>{_equation(formula)} <span class="shape">{escape(shape)}</span></div>'
        for formula, shape in zip(part.formulas, part.shapes, strict=True)
    )
    formulas = formulas or f'<div class="label">{escape(part.label or "…")}</div>'
    origins = ", ".join(dict.fromkeys(map(_short, part.origins)))
    key = essence(part.text)
    operands = ", ".join(f"p{k} {name}" for k, name in enumerate(part.operands))
    head = f'<div class="label">{escape(origins)}</div>' if origins else ""
    if key in seen:
        first = seen[key]
        body = (
            f'<div class="label">the same machine code as <a href="#kernel-{first}">kernel '
            f"{first + 1}</a>, on {escape(operands)}</div>"
        )
    else:
        seen[key] = place
        products = f"; finishes {part.products.label}" if part.products is not None else ""
        body = (
            f'<div class="label">{escape(part.came_to + products)}</div>'
            f"<details><summary>source</summary><pre><code># {escape(operands)}\n"
            f"{escape(_essential(part.code))}</code></pre></details>"
        )
    return (
        f'<li id="kernel-{place}" class="linked" tabindex="0" data-links="{" ".join(lines)}">'
        f'<span class="number">{place + 1}</span>{formulas}{head}{body}</li>'
    )


def _equation(formula: Definition | Relation) -> str:
    if isinstance(formula, Definition):
        return equation([formula.left, formula.right])
    return mathml(MathMLPrinter().show(formula), block=False)


def _short(origin: str) -> str:
    """An origin without the folders of its file."""
    layer, comma, place = origin.rpartition(", ")
    return f"{layer}{comma}{Path(place).name}"


def _essential(code: str) -> str:
    """A kernel's text from its first function on."""
    lines = code.splitlines()
    starts = [k for k, line in enumerate(lines) if line.startswith(("def ", "@"))]
    return "\n".join(lines[starts[0] :] if starts else lines)
