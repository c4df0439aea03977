"""Drawings: what stands in the boxes, where they stand, and that the text fits in a browser."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import symnet as sn
from symnet.drawing.draw import MOST_BOXES, Drawing
from symnet.drawing.graph import graph_of
from symnet.drawing.layout import layout
from symnet.drawing.words import shortened, spans, width
from symnet.errors import FeedError, GraphError, ShapeError
from symnet.expr import Expr
from symnet.lazy import MissingDependency, fast_sugiyama
from tests.counting import growth

SVG = "{http://www.w3.org/2000/svg}"


def neuron() -> tuple[Expr, dict[str, float]]:
    x, w, b, y = (sn.input(name) for name in ("x", "w", "b", "y"))
    a = sn.named("a", sn.sigmoid(sn.named("z", w * x + b)))
    return (a - y) ** 2, {"x": 0.5, "w": -1.2, "b": 0.3, "y": 1.0}


def deep(layers: int, width: int = 8) -> Expr:
    x, y = sn.input("X", ("N", width)), sn.input("Y", ("N", width))
    net = sn.nn.Sequential(*[sn.nn.Dense(width, width, activation="tanh") for _ in range(layers)])
    return sn.losses.mse(net(x), y)


def recurrent() -> Expr:
    x, w = sn.input("X", ("N", 3)), sn.parameter("W", (3, 3))
    hidden = sn.tanh(x @ w)
    return sn.mean(sn.tanh(hidden @ w) * hidden)


def texts(svg: str) -> list[str]:
    """The lines of text of a drawing, with indices as they stand in the line."""
    found = ElementTree.fromstring(svg).iter(f"{SVG}text")
    return ["".join(text.itertext()) for text in found]


def test_a_neuron_has_value_and_gradient_beside_each_other() -> None:
    loss, feeds = neuron()
    said = texts(sn.draw(loss, feeds).svg)
    for pair in (("z = v1 + b", "−0.3", "∂L/∂z = −0.2809"), ("w", "−1.2", "∂L/∂w = −0.1404")):
        at = said.index(pair[0])
        assert tuple(said[at : at + 3]) == pair
    a = 1 / (1 + np.exp(0.3))
    slope = 2 * (a - 1) * a * (1 - a)
    assert f"∂L/∂b = {slope:.4g}".replace("-", "−") in said
    assert "∂L/∂L = 1" in said


def test_without_data_boxes_have_shapes_and_symbols() -> None:
    said = texts(sn.draw(recurrent()).svg)
    assert {"W: 3×3", "Z1 = X W", "A1 = tanh(Z1)", "N×3", "Δ1", "∂L/∂W"} <= set(said)
    assert not any("=" in text for text in said if text.startswith(("∂L", "Δ")))


def test_shared_nodes_are_marked_with_their_uses() -> None:
    loss = recurrent()
    graph = graph_of(loss, MOST_BOXES)
    uses = {box.lines[0]: box.uses for box in graph.boxes}
    assert uses["W: 3×3"] == 2
    assert uses["A_1 = tanh(Z_1)"] == 2
    assert uses["Z_1 = X W"] == 1
    svg = sn.draw(loss).svg
    assert svg.count('<rect class="shared"') == 2
    assert texts(svg).count("+2") == 3  # the two, and the legend
    plain, feeds = neuron()
    assert "shared" not in re.sub(r"<style>.*?</style>", "", sn.draw(plain, feeds).svg, flags=re.S)


def test_a_number_added_to_itself_is_used_twice() -> None:
    a = sn.parameter("a", ())
    b = sn.named("b", a + a)
    graph = graph_of(sn.named("c", b + b), MOST_BOXES)
    assert {box.lines[0]: box.uses for box in graph.boxes} == {"a": 2, "b = a + a": 2,
                                                               "c = b + b": 0}  # fmt: skip


def test_arrows_come_back_only_where_a_gradient_does() -> None:
    x, y = sn.input("X", ("N", 3)), sn.input("Y", ("N", 3))
    loss = sn.mean((x @ sn.parameter("W", (3, 3)) - y) ** 2)
    graph = graph_of(loss, MOST_BOXES)
    back = {graph.boxes[source].lines[0]: by for (source, _), by in graph.arrows.items()}
    assert (back["X: N×3"], back["Y: N×3"], back["W: 3×3"]) == (False, False, True)
    svg = sn.draw(loss).svg
    # The legend has one of each as well.
    assert svg.count('class="forward"') == len(graph.arrows) + 1
    assert svg.count('class="back"') == sum(graph.arrows.values()) + 1


@pytest.mark.parametrize(
    "loss",
    [neuron()[0], recurrent(), deep(3), deep(12)],
    ids=["neuron", "shared", "three", "twelve"],
)
def test_boxes_stand_apart_and_arrows_lead_on(loss: Expr) -> None:
    graph = graph_of(loss, MOST_BOXES)
    sizes = [(60.0 + 40 * (k % 5), 30.0 + 10 * (k % 3)) for k in range(len(graph.boxes))]
    placed = layout(sizes, graph.arrows)
    along = 0 if placed.across else 1
    for one, other in combinations(range(len(sizes)), 2):
        gaps = [
            abs(placed.centres[one][k] - placed.centres[other][k])
            - (sizes[one][k] + sizes[other][k]) / 2
            for k in (0, 1)
        ]
        assert max(gaps) > 10
    for (source, target), points in placed.routes.items():
        way = [placed.centres[source], *points, placed.centres[target]]
        steps = [point[along] for point in way]
        assert steps == sorted(steps)
    for centre, size in zip(placed.centres, sizes, strict=True):
        assert all(size[k] / 2 - 1e-9 <= centre[k] <= placed.size[k] - size[k] / 2 + 1e-9
                   for k in (0, 1))  # fmt: skip


def drawn(layers: int) -> Callable[[], Drawing]:
    loss, rng = deep(layers), np.random.default_rng(0)
    feeds = {"X": rng.normal(size=(5, 8)), "Y": rng.normal(size=(5, 8))}
    return lambda: sn.draw(loss, feeds)


def test_a_deep_network_is_drawn_by_layers() -> None:
    loss, drawing = deep(50), drawn(50)()
    assert 50 <= drawing.boxes <= MOST_BOXES
    said = texts(drawing.svg)
    assert {"Z31 = A30 W31 + b31", "A31 = tanh(Z31)", "W31: 8×8, b31: 8"} <= set(said)
    assert len(graph_of(loss, 10**6).boxes) > 150


def test_a_drawing_is_less_work_than_every_pair_of_layers_would_be() -> None:
    drawn(3)()
    assert growth(drawn, 25) < 1.5


def test_a_layer_used_twice_is_no_circle() -> None:
    x, layer = sn.input("X", ("N", 3)), sn.nn.Dense(3, 3, activation="tanh", name="cell")
    hidden = x
    for _ in range(55):
        hidden = layer(hidden)
    graph = graph_of(sn.mean(hidden**2), MOST_BOXES)
    assert all(source < target for source, target in graph.arrows)
    assert 55 < len(graph.boxes) <= MOST_BOXES


def test_the_file_is_a_picture_that_can_be_read_aloud(tmp_path: Path) -> None:
    loss, feeds = neuron()
    drawing = sn.draw(loss, feeds)
    drawing.save(tmp_path / "neuron.svg")
    root = ElementTree.parse(tmp_path / "neuron.svg").getroot()
    assert root.attrib["role"] == "img"
    named = root.attrib["aria-labelledby"].split()
    title, about = (root.find(f"{SVG}{tag}") for tag in ("title", "desc"))
    assert [title.attrib["id"], about.attrib["id"]] == named
    assert title.text == "The graph of L and of its derivatives"
    assert "z = v_1 + b, used by a." in about.text
    assert "prefers-color-scheme: dark" in drawing.svg
    assert drawing._repr_svg_() == drawing.svg
    assert sn.draw(loss, feeds).svg == drawing.svg
    assert repr(drawing) == "<drawing of 9 boxes: .svg, .save(path)>"


def test_signs_that_markup_would_read_are_written_as_they_are() -> None:
    x = sn.parameter("x", ())
    svg = sn.draw(sn.where(x < 1, sn.sin(x), x)).svg
    assert any("{sin" not in text and "if x < 1" in text for text in texts(svg))


def test_text_is_cut_and_indices_are_lowered() -> None:
    assert width("WWW", 10) > width("iii", 10) > 0
    cut = shortened("x + " * 50, 12, 100)
    assert cut.endswith(" …")
    assert width(cut, 12) <= 100
    assert shortened("W_1", 12, 100) == "W_1"
    assert spans("b_1ᵀ", 10).count("<tspan") == 3
    assert ">n,k</tspan>" in spans("Σ_{n,k} x", 10)
    assert ">∘2</tspan>" in spans("v_3^∘2", 10)


def test_faults_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    loss, _ = neuron()
    with pytest.raises(ShapeError, match=r"draw: v \(3\) is not a scalar"):
        sn.draw(sn.input("v", (3,)))
    with pytest.raises(FeedError, match="no data for"):
        sn.draw(loss, {"x": 1.0})
    with pytest.raises(GraphError, match="depends on no parameter"):
        sn.draw(sn.constant(3.0))
    monkeypatch.setattr(fast_sugiyama, "_name", "no_such_layout")
    monkeypatch.setattr(fast_sugiyama, "_module", None)
    with pytest.raises(MissingDependency, match="no_such_layout is not installed"):
        sn.draw(loss)


MEASURE = """<script>
const faults = [];
for (const group of document.querySelectorAll("g")) {
  const box = group.querySelector("rect.box").getBBox();
  for (const text of group.querySelectorAll("text:not(.mark)")) {
    const own = text.getBBox();
    if (own.x < box.x + 2 || own.x + own.width > box.x + box.width - 2 ||
        own.y < box.y - 1 || own.y + own.height > box.y + box.height + 2)
      faults.push(text.textContent);
  }
  const cells = ["value", "gradient"].map(k => group.querySelector("text." + k));
  if (cells[0] && cells[1] &&
      cells[0].getBBox().x + cells[0].getBBox().width > cells[1].getBBox().x - 4)
    faults.push("cells meet: " + cells[0].textContent);
}
document.title = "measured";
document.body.innerHTML = "<p id='found'>" + document.querySelectorAll("g").length + " boxes; " +
  faults.join("; ") + "</p>";
</script>"""


@pytest.mark.slow
def test_text_fits_its_box_in_a_browser(tmp_path: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        assert "SYMNET_REQUIRE_BROWSER" not in os.environ, "there is no chromium"
        pytest.skip("there is no Chromium to measure text with: apt-get install chromium")
    loss, feeds = neuron()
    attention = sn.softmax(recurrent() * sn.parameter("a", (4,)))
    pictures = [sn.draw(loss, feeds), sn.draw(recurrent()), sn.draw(deep(50)), sn.draw(deep(2)),
                sn.draw(sn.mean(attention))]  # fmt: skip
    page = tmp_path / "page.html"
    for picture in pictures:
        page.write_text(f"<meta charset=utf-8><body>{picture.svg}{MEASURE}", encoding="utf-8")
        found = subprocess.run(
            [chromium, "--headless", "--no-sandbox", "--dump-dom", page.as_uri()],
            capture_output=True, text=True, timeout=600, check=True,
        ).stdout  # fmt: skip
        measured = re.search(r'id="found">(\d+) boxes; (.*?)</p>', found)
        assert measured, found[-500:]
        assert measured[1] == str(picture.boxes)
        assert measured[2] == ""


def test_a_network_of_numbers_is_not_swallowed_by_one_box() -> None:
    values = [sn.input(f"x_{k}") for k in range(3)]
    for layer in range(3):
        weights = [
            [sn.parameter(f"w_{layer}_{j}_{k}", ()) for k in range(len(values))] for j in range(4)
        ]
        values = [
            sn.tanh(sum((w * x for w, x in zip(row, values, strict=True)), sn.constant(0.1)))
            for row in weights
        ]
    loss = values[0] * values[1] + values[2] * values[3]
    graph = graph_of(loss, MOST_BOXES)
    assert len(graph_of(loss, 10**6).boxes) > 100
    assert 15 < len(graph.boxes) <= MOST_BOXES
    assert all(source < target for source, target in graph.arrows)
