"""`sn.draw`: the graph of a loss, forward and backward, as a picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from symnet.drawing.graph import Box, Graph, graph_of, values_wanted
from symnet.drawing.svg import face, svg
from symnet.evaluating import evaluate
from symnet.expr import Expr
from symnet.feeds import Feeds

# Of more boxes nobody reads each: then a layer is one box.
MOST_BOXES = 60


@dataclass(frozen=True)
class Drawing:
    """A picture of a graph: `svg` is its source, `save` writes it; notebooks show it."""

    svg: str
    boxes: int

    def save(self, path: str | Path) -> None:
        """Writes the SVG file."""
        Path(path).write_text(self.svg, encoding="utf-8")

    def _repr_svg_(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        return f"<drawing of {self.boxes} boxes: .svg, .save(path)>"


def draw(loss: Expr, feeds: Feeds | None = None) -> Drawing:
    """Draws the graph of a scalar loss: values forward, and the derivatives that come back.

    Each box says what it computes, and has its value and the derivative of the loss by it side by
    side; arrays show their shape, or with feeds their smallest and largest element. A node that is
    used more than once is marked: there gradients add up. Of more than 60 boxes each layer becomes
    one. feeds: data for the inputs, and for parameters that are not to take their starting values;
    with it numbers stand in the boxes.

    Raises ShapeError unless the loss is a scalar, GraphError if it depends on nothing, FeedError
    for data that does not fit, MissingDependency without the library fast-sugiyama.
    """
    graph = graph_of(loss, MOST_BOXES)
    numbers = iter(_numbers(graph, feeds))
    faces = []
    for box in graph.boxes:
        value, slope = next(numbers), next(numbers) if box.adjoint is not None else ""
        gradient = f"{box.gradient} = {slope}" if slope else box.gradient
        faces.append(face(box, value or _shape(box), gradient))
    title = f"The graph of {graph.loss} and of its derivatives"
    return Drawing(svg(graph, faces, title, _description(graph)), len(graph.boxes))


def _shape(box: Box) -> str:
    # Inputs and parameters say it beside their names.
    return box.shape if box.node.args else ""


def _numbers(graph: Graph, feeds: Feeds | None) -> list[str]:
    wanted = values_wanted(graph.boxes)
    if feeds is None:
        return [""] * len(wanted)
    return [_brief(value) for value in evaluate(wanted, feeds)]


def _brief(value: Any) -> str:
    """A number to four digits; of an array its smallest and largest element, to two."""
    array = np.asarray(value)
    if array.size == 0:
        return "empty"
    digits = 2 if array.ndim else 4
    ends = (float(array.min()), float(array.max()))
    low, high = (f"{end:.{digits}g}".replace("-", "−") for end in ends)
    return low if low == high else f"{low} … {high}"


def _description(graph: Graph) -> str:
    """The picture in words, for those who hear it."""
    lines = [f"{len(graph.boxes)} boxes, from the inputs to the loss."]
    for place, box in enumerate(graph.boxes):
        lines.append(f"{'; '.join(box.lines)}{_used(graph, place, box)}.")
    return " ".join(lines)


def _used(graph: Graph, place: int, box: Box) -> str:
    users = [graph.boxes[target] for source, target in graph.arrows if source == place]
    heads = [user.lines[-1].partition(" = ")[0] for user in users]
    return f", used by {', '.join(heads)}" if heads else ""
