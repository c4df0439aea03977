"""Notebook manners: what models, formulas, histories and reports show of themselves; and the
example notebook, run in a kernel of its own."""

from __future__ import annotations

import asyncio
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import symnet as sn
from symnet.train import History

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "examples" / "notebook.ipynb"


class Cells(HTMLParser):
    """The cells of the tables in a piece of HTML, row by row; every element must be closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def test_a_model_is_a_table_of_layers():
    net = sn.nn.Sequential(
        sn.nn.Dense(64, 128, activation="relu", name="hidden"), sn.tanh, sn.nn.Dense(128, 10)
    )
    head, *rows = Cells(net._repr_html_()).rows
    assert head == ["layer", "result", "parameters", "operations"]
    assert [row[1] for row in rows] == ["N×128", "N×128", "N×10", ""]
    counts = [64 * 128 + 128, 0, 128 * 10 + 10]
    assert [int(row[2].replace(",", "")) for row in rows] == [*counts, sum(counts)]
    # Each product costs a multiplication and an addition an element, the bias one more.
    costs = [2 * 64 * 128 + 128 + 128, 128, 2 * 128 * 10 + 10]
    assert [row[3] for row in rows] == [f"{cost}·N" for cost in (*costs, sum(costs))]
    assert "relu" in rows[0][0]
    assert rows[1][0] == "tanh"
    assert net.parameters()[0].name == "W_hidden"


def test_a_model_whose_input_is_unknown_still_counts_its_parameters():
    net = sn.nn.Sequential(sn.tanh, sn.nn.Dense(3, 2))
    rows = Cells(net._repr_html_()).rows
    assert [row[1:] for row in rows[1:]] == [["", "0", ""], ["", "8", ""], ["", "8", ""]]
    misfit = sn.nn.Sequential(sn.nn.Dense(3, 2), sn.nn.Dense(5, 1), sn.tanh)
    rows = Cells(misfit._repr_html_()).rows
    assert [row[1] for row in rows[1:]] == ["N×2", "", "", ""]
    assert [row[2] for row in rows[1:]] == ["8", "6", "0", "14"]
    assert Cells(sn.nn.Sequential()._repr_html_()).rows[1:] == [["together", "", "0", ""]]


def test_shared_parameters_count_once():
    layer = sn.nn.Dense(3, 3)
    rows = Cells(sn.nn.Sequential(layer, layer)._repr_html_()).rows
    assert [row[2] for row in rows[1:]] == ["12", "0", "12"]


def test_a_history_is_its_curves():
    history = History(
        loss=[1.0, 0.1, 0.01],
        rate=[0.1, 0.1, 0.1],
        metrics={"<b>": [0.5, 0.6, 0.7]},
        validation={"loss": [2.0, 1.0, 3.0]},
        stopped="all 3 epochs done",
    )
    html = history._repr_html_()
    assert html.count("<svg") == 3
    assert "<b>" not in html
    assert "validation" in html
    assert "all 3 epochs done" in html
    Cells(html)
    assert "<svg" not in History(stopped="nothing to do")._repr_html_()


def test_expressions_and_sheets_show_as_mathematics():
    x, w = sn.input("x", ("N", 3)), sn.parameter("w", (3,))
    loss = sn.mean(sn.tanh(x @ w) ** 2)
    assert re.fullmatch(r"\$.*\\tanh.*\$", loss._repr_latex_(), re.DOTALL)
    sheet = sn.gradients(loss)
    assert "<math" in sheet._repr_html_()
    assert sheet._repr_latex_().startswith("$")


def test_a_report_shows_itself_in_a_frame():
    x, w = sn.input("x", ("N", 3)), sn.parameter("w", (3,))
    trainer = sn.Trainer(sn.mean((x @ w) ** 2), sn.optim.SGD(0.1))
    trainer.fit({"x": np.ones((4, 3))}, epochs=2, batch_size=None)
    report = trainer.report(title="small")
    html = report._repr_html_()
    assert html.startswith("<iframe ")
    assert html.count("<") == 2
    assert repr(report).startswith("<report small: ")


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The example notebook after a run, warnings of its own being errors."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    strict = nbformat.v4.new_code_cell("import warnings; warnings.simplefilter('error')")
    notebook.cells.insert(0, strict)
    folder = tmp_path_factory.mktemp("notebook")
    client = nbclient.NotebookClient(
        notebook, timeout=1800, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, "IPYTHONDIR": str(folder)}
    asyncio.run(client.async_execute(env=environment))
    return notebook


def shown(cell, kind):
    """What a cell's result is in one kind of output."""
    found = [out["data"] for out in cell.outputs if out.output_type == "execute_result"]
    return "".join(found[-1].get(kind, "")) if found else ""


def test_the_notebook_runs_and_shows_what_it_says(executed):
    code = [cell for cell in executed.cells if cell.cell_type == "code"]
    assert not any(out.output_type == "error" for cell in code for out in cell.outputs)
    by_text = {cell.source.splitlines()[-1]: cell for cell in code}
    assert "<table" in shown(by_text["net"], "text/html")
    assert "<math" in shown(by_text["sn.gradients(loss)"], "text/html")
    assert "\\partial" in shown(by_text["derivation"], "text/latex")
    assert shown(by_text['bool(derivation.check({"d": 2.0}))'], "text/plain") == "True"
    (drawing,) = (cell for source, cell in by_text.items() if source.startswith("sn.draw("))
    assert shown(drawing, "image/svg+xml").startswith("<svg")
    assert shown(by_text["history"], "text/html").count("<svg") == 3
    assert "<iframe" in shown(by_text['trainer.report(title="Two moons")'], "text/html")
    printed = "".join(out.text for cell in code for out in cell.outputs if "text" in out)
    assert re.search(r"A_1 = tanh\(Z_1\)", printed)
    assert "instructions" in printed


def test_the_notebook_is_kept_without_outputs():
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
    assert len([cell for cell in notebook.cells if cell.cell_type == "markdown"]) >= len(code) / 2
