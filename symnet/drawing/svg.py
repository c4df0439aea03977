"""A drawing as SVG: boxes with value and gradient side by side, arrows forward and back."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from symnet.drawing.graph import Box, Graph
from symnet.drawing.layout import Layout, Point, Size, layout
from symnet.drawing.words import shortened, spans, width

_LINE, _CELL = 14.0, 12.0  # font sizes of an equation, and of a value or gradient
_PAD, _WIDEST, _CELL_WIDEST, _NARROWEST = 9.0, 300.0, 220.0, 64.0
_PORT = 26.0  # between arrows that meet at one side of a box
_ROW, _CELLS = 21.0, 22.0
_MARGIN, _LEGEND = 14.0, 44.0
_PAGE = 1600.0  # what is wider would be too small to read if it were made to fit a page
_APART: Final = 4.0  # of an arrow forward from the one that comes back beside it

_STYLE: Final = """
.ID text { font-family: "DejaVu Sans", Verdana, sans-serif; fill: #1b1f24; }
.ID .box { fill: #ffffff; stroke: #57606a; stroke-width: 1.2; }
.ID .input { fill: #f3f4f6; }
.ID .parameter { fill: #e7f0fb; stroke: #2563a8; }
.ID .loss { stroke-width: 2.4; }
.ID .rule { stroke: #c3c8ce; stroke-width: 1; }
.ID .shared { fill: none; stroke: #b3420e; stroke-width: 1.2; }
.ID .badge { fill: #b3420e; }
.ID text.mark { fill: #ffffff; }
.ID text.gradient { fill: #b3420e; }
.ID text.value { fill: #3d444d; }
.ID .forward { fill: none; stroke: #57606a; stroke-width: 1.3; }
.ID .back { fill: none; stroke: #b3420e; stroke-width: 1.3; stroke-dasharray: 5 3; }
.ID .head { fill: #57606a; }
.ID .headback { fill: #b3420e; }
@media (prefers-color-scheme: dark) {
.ID text { fill: #e6e9ed; }
.ID .box { fill: #1e2329; stroke: #9aa4af; }
.ID .input { fill: #2a3038; }
.ID .parameter { fill: #16304f; stroke: #7fb2ea; }
.ID .rule { stroke: #4b535d; }
.ID .shared { stroke: #f2a07b; }
.ID .badge { fill: #f2a07b; }
.ID text.mark { fill: #1b1f24; }
.ID text.gradient { fill: #f2a07b; }
.ID text.value { fill: #c3cad2; }
.ID .forward { stroke: #9aa4af; }
.ID .back { stroke: #f2a07b; }
.ID .head { fill: #9aa4af; }
.ID .headback { fill: #f2a07b; }
}
"""


@dataclass(frozen=True)
class Face:
    """A box as it is drawn: its lines, cut to fit, and its value and gradient side by side."""

    box: Box
    lines: tuple[str, ...]
    cells: tuple[str, str]
    size: Size
    split: float


def face(box: Box, value: str, gradient: str) -> Face:
    """A box with the texts of its cells, and the size that they need."""
    lines = tuple(shortened(line, _LINE, _WIDEST) for line in box.lines)
    cells = shortened(value, _CELL, _CELL_WIDEST), shortened(gradient, _CELL, _CELL_WIDEST)
    left, right = (width(cell, _CELL) + 2 * _PAD if cell else 0.0 for cell in cells)
    widest = max(width(line, _LINE) for line in lines) + 2 * _PAD
    across = max(widest, left + right, _NARROWEST)
    split = left + (across - left - right) / 2 if left and right else left or 0.0
    height = _ROW * len(lines) + 8 + (_CELLS if left or right else 0)
    return Face(box, lines, cells, (across, height), split)


def svg(graph: Graph, faces: Sequence[Face], title: str, description: str) -> str:
    """The drawing as one SVG element, which carries its own style for light and dark."""
    placed = layout([one.size for one in faces], graph.arrows)
    ports = _ports(placed, faces)
    body = [_arrow(placed, ports, *one) for one in sorted(graph.arrows.items())]
    body += [_face(one, centre) for one, centre in zip(faces, placed.centres, strict=True)]
    wide = max(placed.size[0], 420.0) + 2 * _MARGIN
    high = placed.size[1] + 2 * _MARGIN + _LEGEND
    shared = any(box.uses > 1 for box in graph.boxes)
    content = "\n".join([*body, _legend(placed.size[1] + 8, graph.loss, shared)])
    mark = "symnet-" + hashlib.sha256((title + content).encode()).hexdigest()[:8]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="{mark}" role="img" '
        f'aria-labelledby="{mark}-title {mark}-about" width="{wide:.0f}" height="{high:.0f}" '
        f'viewBox="{-_MARGIN:.0f} {-_MARGIN:.0f} {wide:.0f} {high:.0f}" '
        f'style="{"max-width: 100%; height: auto" if wide < _PAGE else ""}">\n'
        f'<title id="{mark}-title">{escape(title)}</title>\n'
        f'<desc id="{mark}-about">{escape(description)}</desc>\n'
        f"<style>{_STYLE.replace('ID', mark)}</style>\n{content}\n</svg>"
    )


def _text(kind: str, at: Point, text: str, size: float) -> str:
    return (
        f'<text class="{kind}" x="{at[0]:.1f}" y="{at[1]:.1f}" font-size="{size:.0f}" '
        f'text-anchor="middle" xml:space="preserve">{spans(text, size)}</text>'
    )


def _face(one: Face, centre: Point) -> str:
    (wide, high), box = one.size, one.box
    left, top = centre[0] - wide / 2, centre[1] - high / 2
    parts = [f"<title>{escape(_about(box))}</title>"]
    if box.uses > 1:
        parts.append(
            f'<rect class="shared" x="{left - 4:.1f}" y="{top - 4:.1f}" width="{wide + 8:.1f}" '
            f'height="{high + 8:.1f}" rx="9"/>'
        )
    parts.append(
        f'<rect class="box {box.kind}" x="{left:.1f}" y="{top:.1f}" width="{wide:.1f}" '
        f'height="{high:.1f}" rx="6"/>'
    )
    for row, line in enumerate(one.lines):
        parts.append(_text("line", (centre[0], top + _ROW * (row + 1) - 3), line, _LINE))
    parts += _cells(one, left, top)
    if box.uses > 1:
        badge = f"+{box.uses}"
        at = (left + wide - 2, top - 2)
        parts.append(f'<circle class="badge" cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="10"/>')
        parts.append(_text("mark", (at[0], at[1] + 3.5), badge, 10))
    return f"<g>{''.join(parts)}</g>"


def _cells(one: Face, left: float, top: float) -> list[str]:
    value, gradient = one.cells
    if not value and not gradient:
        return []
    (wide, high), line = one.size, top + one.size[1] - _CELLS
    y = top + high - 7
    parts = [
        f'<line class="rule" x1="{left:.1f}" y1="{line:.1f}" x2="{left + wide:.1f}" '
        f'y2="{line:.1f}"/>'
    ]
    if value and gradient:
        x = left + one.split
        parts.append(
            f'<line class="rule" x1="{x:.1f}" y1="{line:.1f}" x2="{x:.1f}" y2="{top + high:.1f}"/>'
        )
        parts.append(_text("value", (left + one.split / 2, y), value, _CELL))
        parts.append(_text("gradient", (left + (one.split + wide) / 2, y), gradient, _CELL))
    else:
        kind = "value" if value else "gradient"
        parts.append(_text(kind, (left + wide / 2, y), value or gradient, _CELL))
    return parts


def _about(box: Box) -> str:
    """What a box says when the pointer rests on it."""
    about = [*box.lines, *([f"shape {box.shape}"] if box.shape else [])]
    if box.inside > 1:
        about.append(f"{box.inside} nodes drawn as one")
    if box.uses > 1:
        about.append(f"used {box.uses} times: its gradients add up")
    return "\n".join(about)


def _ports(placed: Layout, faces: Sequence[Face]) -> dict[tuple[int, int], tuple[Point, Point]]:
    """Where each arrow leaves one box and enters the other, beside others and without crossing."""
    along = 0 if placed.across else 1
    sides: dict[tuple[int, bool], list[tuple[float, tuple[int, int]]]] = {}
    for arrow in sorted(placed.routes):
        route = placed.routes[arrow]
        for box, leaves in ((arrow[0], True), (arrow[1], False)):
            other = arrow[1] if leaves else arrow[0]
            near = (route[0] if leaves else route[-1]) if route else placed.centres[other]
            sides.setdefault((box, leaves), []).append((near[1 - along], arrow))
    found: dict[tuple[int, int], dict[bool, Point]] = {}
    for (box, leaves), arrows in sides.items():
        size = faces[box].size
        apart = min(_PORT, 0.7 * size[1 - along] / len(arrows))
        edge = _moved(placed.centres[box], along, (0.5 if leaves else -0.5) * size[along])
        for rank, (_, arrow) in enumerate(sorted(arrows)):
            aside = (rank - (len(arrows) - 1) / 2) * apart
            found.setdefault(arrow, {})[leaves] = _moved(edge, 1 - along, aside)
    return {arrow: (ends[True], ends[False]) for arrow, ends in found.items()}


def _arrow(
    placed: Layout,
    ports: dict[tuple[int, int], tuple[Point, Point]],
    arrow: tuple[int, int],
    backward: bool,
) -> str:
    """The way forward, and beside it the way back of the gradient."""
    along = 0 if placed.across else 1
    first, last = ports[arrow]
    points = [first, *placed.routes[arrow], last]
    if not backward:
        return _path("forward", points, along, "head")
    there = [_moved(point, 1 - along, -_APART) for point in points]
    back = [_moved(point, 1 - along, _APART) for point in reversed(points)]
    return _path("forward", there, along, "head") + _path("back", back, along, "headback")


def _moved(point: Point, axis: int, by: float) -> Point:
    return (point[0] + by, point[1]) if axis == 0 else (point[0], point[1] + by)


def _path(kind: str, points: Sequence[Point], along: int, head: str) -> str:
    """A smooth line through points, which leaves and arrives along the drawing, and its head."""
    steps = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    toward = 1 if points[-1][along] > points[0][along] else -1
    tip = points[-1]
    ends = [*points[1:-1], _moved(tip, along, -7.0 * toward)]
    here = points[0]
    for there in ends:
        half = (there[along] - here[along]) / 2
        one, two = _moved(here, along, half), _moved(there, along, -half)
        steps.append(
            f"C{one[0]:.1f} {one[1]:.1f} {two[0]:.1f} {two[1]:.1f} {there[0]:.1f} {there[1]:.1f}"
        )
        here = there
    base = _moved(tip, along, -8.0 * toward)
    corners = [tip, _moved(base, 1 - along, 3.4), _moved(base, 1 - along, -3.4)]
    shape = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
    return f'<path class="{kind}" d="{" ".join(steps)}"/><polygon class="{head}" points="{shape}"/>'


def _legend(top: float, loss: str, shared: bool) -> str:
    """What the two kinds of arrows and the mark of a shared node mean."""
    first, second = top + 14, top + 34
    parts = [
        _path("forward", [(0.0, first - 4), (34.0, first - 4)], 0, "head"),
        _left((42.0, first), "values, forward"),
        _path("back", [(194.0, first - 4), (160.0, first - 4)], 0, "headback"),
        _left((202.0, first), f"derivatives of {loss}, back"),
    ]
    if shared:
        parts += [
            f'<circle class="badge" cx="10" cy="{second - 4:.1f}" r="10"/>',
            _text("mark", (10.0, second - 0.5), "+2", 10),
            _left((26.0, second), "used more than once: what comes back is added up"),
        ]
    return "".join(parts)


def _left(at: Point, text: str) -> str:
    return (
        f'<text class="value" x="{at[0]:.1f}" y="{at[1]:.1f}" font-size="{_CELL:.0f}" '
        f'xml:space="preserve">'
        f"{spans(text, _CELL)}</text>"
    )
