"""The report: one safe file, whose formulas, links and pictures say what is so."""

from __future__ import annotations

import base64
import json
import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest

import symnet as sn
from symnet.charts import line_chart
from symnet.cli.main import main
from symnet.data import moons
from symnet.expr import make
from symnet.ops.leaves import INPUT, NAMED, PARAMETER, Start, leaves
from symnet.report import Report
from symnet.report.boundary import find_plane, pictures
from symnet.report.linking import links, quantities, same_values

VOID = {"meta", "link", "input", "br", "img", "hr"}


class Page(HTMLParser):
    """What a browser would make of a page: elements with attributes, and what stands in scripts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.scripts: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data

    def values(self, attribute):
        return [attrs[attribute] for _, attrs in self.elements if attribute in attrs]


def moons_trainer(epochs=20, callbacks=(), hidden=4):
    """A trainer of a small network on two moons, trained a little."""
    data = moons(points=100, noise=0.1, seed=0)
    x, y = sn.input("X", ("N", 2)), sn.input("y", ("N",))
    net = sn.nn.Sequential(sn.nn.Dense(2, hidden, activation="tanh"), sn.nn.Dense(hidden, 1))
    z = net(x)[:, 0]
    metrics = {"accuracy": sn.metrics.accuracy(z, y)}
    loss = sn.losses.binary_cross_entropy(z, y)
    trainer = sn.Trainer(loss, sn.optim.Adam(0.03), metrics=metrics)
    trainer.fit({"X": data.features, "y": data.target}, epochs=epochs, callbacks=callbacks)
    return trainer, z, data


@pytest.fixture(scope="module")
def made():
    recorder = sn.report.Recorder(most=8)
    trainer, z, data = moons_trainer(callbacks=recorder)
    return trainer, z, data, recorder, trainer.report(title="moons")


def embedded(report: Report) -> dict:
    return json.loads(Page(report.html).scripts[0])


def test_the_page_is_one_sound_file_that_asks_for_nothing(made):
    page = Page(made[4].html)
    assert page.open == []
    assert set(page.values("src")) == set()
    assert all(link.startswith(("#", "data:,")) for link in page.values("href"))
    identifiers = page.values("id")
    assert len(identifiers) == len(set(identifiers))
    assert {link[1:] for link in page.values("href") if link[0] == "#"} <= set(identifiers)
    linked = {name for names in page.values("data-links") for name in names.split()}
    assert linked
    assert linked <= set(identifiers)
    style = re.search(r"<style>(.*?)</style>", made[4].html, re.DOTALL)[1]
    assert not re.search(r"@import|url\(", style)
    assert not re.search(r"fetch\(|XMLHttpRequest|import\(", page.scripts[1])
    web = re.findall(r"https?://[^\"'\s]+", made[4].html)
    assert set(web) <= {"http://www.w3.org/1998/Math/MathML", "http://www.w3.org/2000/svg"}
    assert all(attrs.get("tabindex") == "0" for _, attrs in page.elements if "data-links" in attrs)


def test_names_are_data_on_the_page():
    words = {
        "w": "</script><b>", "b": '"onload=alert(1)', "y": "<i>&amp;", "z": "<img src=x>",
        "metric": "<u>", "title": "<script>alert(1)</script>",
    }  # fmt: skip
    x = sn.input("X", ("N", 2))
    y = make(INPUT, identity=True, name=words["y"], shape=x.shape[:1], dtype="float32")
    start = Start(array=np.ones(2, np.float32))
    w = make(PARAMETER, identity=True, name=words["w"], shape=(2,), dtype="float32", start=start)
    zero = Start(array=np.zeros((), np.float32))
    b = make(PARAMETER, identity=True, name=words["b"], shape=(), dtype="float32", start=zero)
    z = make(NAMED, (x @ w + b,), name=words["z"])
    loss = sn.losses.binary_cross_entropy(z, y)
    metrics = {words["metric"]: sn.metrics.accuracy(z, y)}
    trainer = sn.Trainer(loss, sn.optim.SGD(0.1), metrics=metrics)
    points = np.random.default_rng(0).normal(size=(40, 2))
    feeds = {"X": points, words["y"]: (points[:, 0] > 0) * 1.0}
    trainer.fit(feeds, epochs=2, callbacks=sn.report.Recorder())
    report = trainer.report(title=words["title"])
    page = Page(report.html)
    assert page.open == []
    assert not {"b", "i", "u", "img"} & {tag for tag, _ in page.elements}
    assert not {"onload", "onerror"} & {name for _, attrs in page.elements for name in attrs}
    assert len(page.scripts) == 2
    assert json.loads(page.scripts[0])["plane"]["kind"] == "two"
    frame = Page(report._repr_html_())
    assert [tag for tag, _ in frame.elements] == ["iframe"]
    assert Page(frame.values("srcdoc")[0]).elements == page.elements


def test_a_name_that_is_no_identifier_is_refused_at_the_door():
    with pytest.raises(sn.errors.NameClashError, match="identifier"):
        sn.parameter("</script><b>", (2,))


def test_every_gradient_has_its_formula_and_derivation(made):
    html = made[4].html
    assert html.count("how it comes about") == len(made[0].parameters) == 4
    body = html[html.index('<section id="formulas"') : html.index('<section id="training"')]
    assert body.count("<math") >= 9
    for heading in ("computed as", "Training", "Decision boundary", "Operation counts"):
        assert heading in html
    assert "sech²" in html
    assert "all 20 epochs done" in html


def test_lines_of_the_sheet_find_their_kernels(made):
    trainer = made[0]
    sheet = sn.gradients(trainer._written)
    targets = leaves([trainer._written], PARAMETER)
    found = quantities(sheet, targets)
    parts = trainer._parts({})
    running = list(dict.fromkeys(node for part in parts for node in part.nodes))
    likes = same_values(list(found.values()), running)
    places = links(found, likes, parts)
    assert {"L", "Z_1", "A_1", "Z_2", "Δ_1", "Δ_2", "∂L/∂W_1", "∂L/∂b_2"} <= found.keys()
    assert all(places[name] for name in found if name[0] in "LZ∂")
    # The kernel that makes a weight's gradient reads what the formula multiplies.
    (place, *_) = places["∂L/∂W_2"]
    assert "A_1" in parts[place].operands
    # Half a gradient is no gradient, and a sign is not nothing.
    for altered in (0.5 * found["∂L/∂W_1"], -found["∂L/∂W_1"], found["∂L/∂W_1"] + 1):
        assert same_values([altered], running)[altered] == []


def test_kernels_of_a_report_are_written_with_the_names_of_the_sheet(made):
    machine = made[4].html.partition('<section id="machine"')[2]
    kernels = machine.partition("what runs")[2]
    text = re.sub(r"<[^>]+>", "", kernels)
    assert re.search(r"∂\s*L\s*∂\s*W\s*1\s*=", text)
    assert re.search(r"Δ\s*2", text)
    assert "W1←" in text.replace(" ", "")


def test_a_recorder_keeps_the_first_and_the_last_and_stays_small():
    recorder = sn.report.Recorder(most=8)
    trainer, *_ = moons_trainer(epochs=0, callbacks=recorder)
    start = trainer.parameters["W_1"].copy()
    seen = {}

    def watch(state):
        seen[len(seen) + 1] = state.parameters["W_1"].copy()

    data = trainer._past.feeds
    trainer.fit(data, epochs=37, callbacks=[recorder, watch])
    trainer.fit(data, epochs=4, callbacks=[recorder, watch])
    snapshots = recorder.snapshots
    assert list(snapshots) == recorder.epochs == sorted(recorder.epochs)
    assert recorder.epochs[0] == 0
    assert recorder.epochs[-1] == 41
    assert len(recorder.epochs) <= 9
    assert len(set(np.diff(recorder.epochs[:-1]))) == 1
    np.testing.assert_array_equal(snapshots[0]["W_1"], start)
    for epoch in recorder.epochs[1:]:
        np.testing.assert_array_equal(snapshots[epoch]["W_1"], seen[epoch])
    with pytest.raises(ValueError, match="at least 2"):
        sn.report.Recorder(most=1)


def test_the_picture_shows_what_the_network_answers(made):
    trainer, z, _, recorder, report = made
    plane = embedded(report)["plane"]
    assert plane["epochs"] == recorder.epochs
    assert plane["texts"][0].startswith("before training")
    assert plane["texts"][-1].startswith(f"epoch {recorder.epochs[-1]}, loss ")
    shown = np.frombuffer(base64.b64decode(plane["maps"][-1]), np.uint8)
    across = np.linspace(plane["left"][0], plane["right"][0], plane["width"])
    up = np.linspace(plane["right"][1], plane["left"][1], plane["height"])
    grid = np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2).astype(np.float32)
    scores = trainer.predict(z, {"X": grid})
    clear = np.abs(scores) > 0.05
    assert np.mean(clear) > 0.9
    np.testing.assert_array_equal(shown[clear] > 128, scores[clear] > 0)
    share = float(re.search(r"([\d.]+) % of the points right", plane["texts"][-1])[1])
    assert abs(share - 100 * trainer.evaluate(trainer._past.feeds)["accuracy"]) < 0.06


CLASSES = {
    "logits": (lambda s, y: sn.losses.binary_cross_entropy(s, y), (0, 1), 0.0),
    "probabilities": (
        lambda s, y: sn.losses.binary_cross_entropy_from_probabilities(sn.sigmoid(s), y),
        (0, 1),
        0.5,
    ),
    "squares": (lambda s, y: sn.losses.mse(s, y), (0, 1), 0.5),
    "squares of signs": (lambda s, y: sn.losses.mse(s, y), (-1, 1), 0.0),
    "hinge": (lambda s, y: sn.mean(sn.relu(1 - y * s)), (-1, 1), 0.0),
    "with decay": (lambda s, y: sn.losses.mse(s, y) + 0.1 * sn.sum(W**2), (0, 1), 0.5),
}
with sn.default_dtype("float64"):
    X, W = sn.input("X", ("N", 2)), sn.parameter("W", (2,), init=[1.0, -2.0])
    Y, C = sn.input("Y", ("N",)), sn.input("C", ("N",), "int64")
POINTS = np.random.default_rng(3).normal(size=(30, 2))


@pytest.mark.parametrize("name", CLASSES)
def test_the_boundary_is_where_the_loss_prefers_neither_class(name):
    build, (low, high), threshold = CLASSES[name]
    target = np.where(POINTS[:, 0] > 0, high, low).astype(float)
    plane = find_plane(build(X @ W, Y), {X: POINTS, Y: target})
    assert plane.kind == "two"
    assert abs(plane.threshold - threshold) < 1e-2
    shown = pictures(plane, {X: POINTS, Y: target}, {0: {"W": np.array([1.0, -2.0])}})
    margin = POINTS @ [1.0, -2.0] - (threshold if name.startswith("squ") else 0.0)
    margin = margin - 0.5 * (name == "with decay")
    assert shown["shares"] == [np.mean((margin > 0) == (target == high))]


def test_numbers_and_many_classes_and_what_is_no_plane():
    weights = sn.parameter("V", (2, 3), init=[[1.0, 0.0, -1.0], [0.0, 1.0, 0.5]], dtype="float64")
    classes = np.arange(30) % 3
    plane = find_plane(sn.losses.cross_entropy(X @ weights, C), {X: POINTS, C: classes})
    assert plane.kind == "many"
    shown = pictures(plane, {X: POINTS, C: classes}, {0: {}})
    assert shown["classes"] == 3
    right = np.argmax(POINTS @ [[1.0, 0.0, -1.0], [0.0, 1.0, 0.5]], axis=1) == classes
    assert shown["shares"] == [np.mean(right)]
    number = find_plane(sn.losses.mse(X @ W, Y), {X: POINTS, Y: POINTS[:, 0]})
    assert number.kind == "number"
    assert pictures(number, {X: POINTS, Y: POINTS[:, 0]}, {0: {}})["shares"] == [None]
    wide = sn.input("X3", ("N", 3))
    three = sn.losses.mse(sn.sum(wide, axis=1) * sn.parameter("a", ()), sn.input("t", ("N",)))
    assert find_plane(three, {}) is None
    weight = sn.input("r", ("N",), "float64")
    assert find_plane(sn.losses.mse(X @ W, Y, weight=weight), {}) is None


def test_charts_draw_what_is_finite():
    assert line_chart({}, "nothing") == ""
    assert line_chart({"a": [math.nan]}, "nothing") == ""
    broken = line_chart({"a": [1.0, math.inf, 3.0, 4.0]}, "loss <x>")
    assert "loss &lt;x&gt;" in broken
    assert re.search(r'd="M[\d.]+ [\d.]+M[\d.]+ [\d.]+L', broken)
    assert "0.001" in line_chart({"a": [1.0, 0.1, 0.001]}, "falls")
    for values in ([0.0], [0.0, 0.0], [5.0, 5.0], [-3.0, -3.0], [1e-300, 1e300], [-1e9, 1e9]):
        drawn = line_chart({"a": values}, "t")
        places = [float(n) for n in re.findall(r"[ML]([\d.e+-]+) ", drawn)]
        assert places
        assert "nan" not in drawn
    many = line_chart({"a": list(range(100_000))}, "long")
    assert len(many) < 20_000


def test_the_command_writes_a_report(tmp_path, capsys):
    path = tmp_path / "out.html"
    assert main(["explain", "moons", "--epochs", "3", "-o", str(path)]) == 0
    assert f"{path}: " in capsys.readouterr().out
    html = path.read_text(encoding="utf-8")
    assert "<title>moons: " in html
    assert len(json.loads(Page(html).scripts[0])["plane"]["maps"]) == 4


MODEL = """
import symnet as sn
x, y = sn.input("X", ("N", 2)), sn.input("y", ("N",))
w = sn.parameter("w", (2,))
loss = sn.losses.binary_cross_entropy(x @ w, y)
trainer = sn.Trainer(loss, sn.optim.SGD(0.1))
"""


@pytest.mark.parametrize("name", ["loss", "trainer"])
def test_the_command_trains_a_users_model_on_given_arrays(name, tmp_path):
    (tmp_path / "model.py").write_text(MODEL)
    np.savez(tmp_path / "data.npz", X=POINTS, y=(POINTS[:, 1] > 0) * 1.0)
    model, out = f"{tmp_path / 'model.py'}:{name}", str(tmp_path / "out.html")
    assert main(["explain", model, "-o", out]) == 0
    page = Page((tmp_path / "out.html").read_text(encoding="utf-8"))
    assert json.loads(page.scripts[0])["plane"] is None
    data = ["--data", str(tmp_path / "data.npz"), "--epochs", "5"]
    assert main(["explain", model, "-o", out, *data]) == 0
    page = Page((tmp_path / "out.html").read_text(encoding="utf-8"))
    assert json.loads(page.scripts[0])["plane"]["epochs"] == list(range(6))


def test_wrong_ways_to_ask_for_a_report(tmp_path, capsys):
    (tmp_path / "model.py").write_text(MODEL)
    (tmp_path / "no.npz").write_text("no arrays")
    np.save(tmp_path / "one.npy", POINTS)
    np.savez(tmp_path / "objects.npz", X=np.array([{}], dtype=object))
    model, out = f"{tmp_path / 'model.py'}:loss", str(tmp_path / "out.html")
    wrong = [
        (["moons", "--epochs", "3"], "say -o report.html too"),
        (["moons", "-o", str(tmp_path)], "is no place for a file"),
        (["moons", "-o", str(tmp_path / "no" / "out.html")], "is no place for a file"),
        (["moons", "-o", out, "--data", "x.npz"], "moons has data of its own"),
        (["moons", "-o", out, "--stage", "fuse"], "give one of them"),
        ([model, "-o", out, "--epochs", "3"], "give --data too"),
        ([model, "-o", out, "--data", str(tmp_path / "none.npz")], "there is no such file"),
        ([model, "-o", out, "--data", str(tmp_path / "no.npz")], "is no .npz file"),
        ([model, "-o", out, "--data", str(tmp_path / "one.npy")], "without a name"),
        ([model, "-o", out, "--data", str(tmp_path / "objects.npz")], "is no .npz file"),
    ]
    for arguments, told in wrong:
        assert main(["explain", *arguments]) == 2, arguments
        said = capsys.readouterr().err
        assert told in said
        assert said.count("\n") == 1
    assert not (tmp_path / "out.html").exists()


def test_a_deep_network_stays_small_and_says_what_it_leaves_out(monkeypatch):
    monkeypatch.setattr("symnet.report.page._DERIVED", 0)
    trainer, *_ = moons_trainer(epochs=1)
    html = trainer.report().html
    assert html.count("how it comes about") == 1
    assert "The derivations for b_2, W_1, b_1 go the same way" in html


def test_without_the_drawing_library_the_report_says_so(monkeypatch):
    def missing(loss):
        raise sn.lazy.MissingDependency("no <library>")

    monkeypatch.setattr("symnet.report.page.draw", missing)
    trainer, *_ = moons_trainer(epochs=1)
    assert "No drawing: no &lt;library&gt;" in trainer.report().html
