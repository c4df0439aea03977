"""`symnet export`: files of machine code and PTX, the manifest, and wrong input."""

from __future__ import annotations

import json
import platform
import re
import sys
from pathlib import Path

import pytest

from codegen.cuda import pieces
from symnet.cli import main
from symnet.cli.export import _trainer

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"),
    reason="the compilers for GPUs are for Linux on x86-64 and aarch64",
)
MODEL = """
import symnet as sn

x, y = sn.input("x", ("N",)), sn.input("y", ("N",))
w = sn.parameter("w", init=0.5)
loss = sn.losses.mse(w * x, y)
trainer = sn.Trainer(loss, sn.optim.SGD(1e-2), metrics={"most": sn.max(sn.abs(x))})
"""


@pytest.fixture
def model(tmp_path: Path) -> str:
    path = tmp_path / "model.py"
    path.write_text(MODEL)
    return f"{path}:trainer"


@pytest.mark.parametrize("execution", ["persistent", "launches"])
def test_files_are_written_and_described(
    model: str, tmp_path: Path, execution: str, capsys: pytest.CaptureFixture[str]
):
    place = tmp_path / "out"
    options = ["--cubin", "--ptx", "--execution", execution, "-o", str(place)]
    assert main(["export", model, *options]) == 0
    printed, faults = capsys.readouterr()
    assert faults == ""
    told = json.loads((place / "manifest.json").read_text())
    assert (told["architecture"], told["execution"], told["threads"]) == ("sm_90a", execution, 256)
    assert told["precision"] == "float32"
    kernels = told["kernels"]
    assert (len(kernels) == 1) == (execution == "persistent")
    files = {kernel[suffix] for kernel in kernels for suffix in ("cubin", "ptx")}
    assert {path.name for path in place.iterdir()} == {"manifest.json", *files}
    for kernel in kernels:
        cubin, ptx = (place / kernel["cubin"]).read_bytes(), (place / kernel["ptx"]).read_text()
        assert cubin.startswith(b"\x7fELF")
        assert len(cubin) == kernel["cubin_bytes"]
        assert re.findall(r"\.entry (\w+)\(", ptx) == [kernel["entry"]]
        assert ptx.count(".param .u64 kernel") == len(kernel["parameters"])
        assert 0 < kernel["registers"] <= 255
        assert kernel["entry"] in printed
    lines = [line for kernel in kernels for line in kernel["computes"]]
    assert "v_3 = max_n |x[n]|" in lines
    assert any("rate" in line for line in lines), lines


def test_kernels_of_an_export_before_go_and_other_files_stay(model: str, tmp_path: Path):
    place, others = tmp_path / "out", {"kernel_notes.ptx", "weights.npz"}
    place.mkdir()
    for name in (*others, f"kernel_{'0' * 16}.cubin"):
        (place / name).write_text("")
    for count, execution in ((1, "launches"), (0, "persistent")):
        options = ["--cubin", "--execution", execution, "-o", str(place)]
        assert main(["export", model, *options]) == 0
        told = json.loads((place / "manifest.json").read_text())
        files = {kernel["cubin"] for kernel in told["kernels"]}
        left = {path.name for path in place.iterdir()} - files
        # Without a manifest, it was no export that wrote what is there.
        assert left == {*others, "manifest.json", *[f"kernel_{'0' * 16}.cubin"][:count]}


def test_only_what_is_asked_for(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert main(["export", model, "--ptx"]) == 0
    place = tmp_path / "trainer-cuda"
    assert {path.suffix for path in place.iterdir()} == {".json", ".ptx"}
    assert "cubin" not in json.loads((place / "manifest.json").read_text())["kernels"][0]


def test_a_built_in_model_has_the_trainer_of_symnet_train():
    trainer = _trainer("moons")
    assert list(trainer.model.metrics) == ["accuracy"]
    assert len(trainer.parameters) == 6


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["export", "MODEL"], "say --cubin, --ptx or both"),
        (["export", "MODEL", "--cubin", "-o", "model.py"], "model.py is no folder to write to"),
        (["export", "MODEL", "--cubin", "-o", "no/such"], "no/such is no folder to write to"),
        (["export", "MODEL", "--cubin", "--precision", "fp8"], "there is no precision 'fp8'"),
        (["export", "MODEL", "--cubin", "--execution", "lunch"], "did you mean launches"),
        (["export", "nothing", "--cubin"], "there is no model 'nothing'"),
    ],
)
def test_wrong_input_is_one_line(
    model: str, tmp_path: Path, monkeypatch, capsys, arguments: list[str], told: str
):
    monkeypatch.chdir(tmp_path)
    assert main([model if word == "MODEL" else word for word in arguments]) == 2
    printed, faults = capsys.readouterr()
    assert told in faults
    assert faults.count("\n") == 1
    assert printed == ""
    assert not (tmp_path / "nothing-cuda").exists()


def test_without_the_compilers_it_says_what_to_install(
    model: str, tmp_path: Path, monkeypatch, capsys
):
    monkeypatch.setenv("SYMNET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(pieces, "find", lambda piece: None)
    monkeypatch.setattr("codegen.cache._memory.found", {})
    assert main(["export", model, "--cubin", "-o", str(tmp_path / "out")]) == 2
    faults = capsys.readouterr().err
    assert "libnvvm.so* is missing" in faults
    assert "pip install 'symnet[cuda]'" in faults
