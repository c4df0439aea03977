"""The benchmark for GPUs, played by processes that need none: what hangs, ends, differs or is not
there is a line of the table, and the rest is measured."""

from __future__ import annotations

import os
import sys
import time
from types import SimpleNamespace

import pytest

from tests.gpu import machine, measuring, run_all
from tests.gpu.cases import FORMS, OURS, ROWS, Form, small
from tests.gpu.measuring import Bench
from tests.gpu.table import table


class Played:
    """A training that takes time only by the clock of its process, which it sets."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._now = 0.0
        clock = SimpleNamespace(perf_counter=lambda: self._now, monotonic=time.monotonic)
        vars(sys.modules["__main__"])["time"] = clock

    def weights(self) -> list[float]:
        return [1.0]

    def losses(self, count: int) -> list[float]:
        if self._kind == "hangs":
            time.sleep(3600)
        if self._kind == "ends":
            os._exit(3)
        if self._kind == "raises":
            raise ModuleNotFoundError("No module named 'nowhere'")
        return [0.5 + (self._kind == "differs")] * count

    def train(self, epochs: int) -> None:
        self._now += 1e-3 * epochs * (1 + (self._kind == "slow"))
        if self._kind == "stops later":
            time.sleep(3600)

    def told(self) -> dict[str, str]:
        return {"execution": "played"}


def make(row: object, kind: str, start: object) -> Played:
    """A form, as tests.gpu.workers asks for it."""
    return Played(kind)


def test_what_goes_wrong_is_a_line_and_the_rest_is_measured(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(measuring, "_TURN", 10)
    kinds = ("slow", "hangs", "ends", "raises", "differs", "stops later")
    # What hangs in building is given up soon; the others may be as slow as the machine is.
    forms = [OURS.__class__("symnet", "", "tests.test_gpu_bench", 600)]
    building = {kind: 2 if kind == "hangs" else 600 for kind in kinds}
    forms += [Form("played", kind, "tests.test_gpu_bench", building[kind]) for kind in kinds]
    monkeypatch.setattr("tests.gpu.table.FORMS", forms)
    monkeypatch.setattr("tests.gpu.table.OURS", forms[0])
    monkeypatch.setattr("tests.gpu.measuring.OURS", forms[0])
    result = Bench(small(ROWS[0]), dict(os.environ), lambda: 600.0, forms).run([])
    why = {one.form.kind: one.missing for one in result.timings if one.missing}
    assert why.keys() == set(kinds) - {"slow"}
    assert "no answer within" in why["hangs"]
    assert "status 3" in why["ends"]
    assert why["raises"] == "ModuleNotFoundError: No module named 'nowhere'"
    assert "its losses differ by 1.0e+00" in why["differs"]
    assert "no answer within" in why["stops later"]
    assert result.told == {"execution": "played"}
    assert result.fastest_peer is result.of("played slow")
    assert result.ahead == pytest.approx(2)
    printed = table([result], None)
    assert printed.count("not available") == 5
    assert "[≥10]" in printed.splitlines()[2]


def test_without_a_gpu_it_says_so(tmp_path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setattr(run_all, "asked", lambda *_: "not available: no driver")
    monkeypatch.setattr(run_all, "versions", lambda: {"python": "3"})
    assert run_all.main(["--json", str(tmp_path / "found.json")]) == 2
    assert "no GPU" in capsys.readouterr().out
    assert "no driver" in (tmp_path / "found.json").read_text()


def test_every_form_and_workload_of_the_issue_is_there():
    assert [row.name for row in ROWS if row.goal == 10] == ["moons", "digits"]
    assert {row.name for row in ROWS if row.goal == 3} == {"mnist-small", "deep"}
    assert {"mnist", "wide", "update"} <= {row.name for row in ROWS}
    columns = {form.column for form in FORMS}
    wanted = {"torch eager", "torch compile", "torch reduce-overhead", "torch graph", "jax scan"}
    assert columns == wanted | {"symnet"}


def test_the_toolkit_is_named_only_where_no_package_brings_its_compiler(tmp_path, monkeypatch):
    (tmp_path / "nvvm" / "lib64").mkdir(parents=True)
    (tmp_path / "nvvm" / "lib64" / "libnvvm.so.4").touch()
    monkeypatch.delenv("CUDA_PATH", raising=False)
    monkeypatch.delenv("CUDA_HOME", raising=False)
    monkeypatch.setattr(machine, "TOOLKITS", [str(tmp_path)])
    monkeypatch.setattr(machine.shutil, "which", lambda name: None)
    for version, named in ((machine.ABSENT, str(tmp_path)), ("13.0.88", None)):
        held = SimpleNamespace(version=version)
        monkeypatch.setattr(
            machine, "versions_of", lambda names, h=held: {"nvidia-nvvm": h.version}
        )
        assert machine.environment().get("CUDA_HOME") == named
