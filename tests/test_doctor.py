"""`symnet doctor`: what it finds where all is well, and where anything is missing or broken."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from codegen import machine
from codegen.compile import TARGETS
from codegen.doctor import (
    Finding,
    cuda,
    diagnosis,
    healthy,
    kernels,
    packages,
    processor,
    programs,
    requirements,
    shown,
)
from codegen.doctor.children import ask
from symnet.cli import main
from tests.doctoring import named, pretend

TREE = Path(__file__).parents[1]
ASKED = requirements.asked()
assert ASKED is not None


def test_here_all_is_well(capsys: pytest.CaptureFixture[str]):
    assert main(["doctor"]) == 0
    printed, faults = capsys.readouterr()
    assert faults == ""
    for name in ("Python", "numpy", "sympy", "numba", "llvmlite", "scipy", "rich", "model",
                 "vectors", "cores", "caches", "cache", "compiling"):  # fmt: skip
        assert re.search(rf"^  {name} +ok ", printed, re.MULTILINE), name
    for name in ("extra plot", "extra sklearn", "BLAS of NumPy", "nvvm", "device code", "driver",
                 "PTX", "browser", "targets"):  # fmt: skip
        assert re.search(rf"^  {name} +(ok|absent|wrong) ", printed, re.MULTILINE), name
    assert re.search(r"\d kernels compiled and run in \d+\.\d\d s, the numbers are right", printed)
    assert printed.splitlines()[-1].startswith("symnet works on this machine's CPU")


def test_the_json_says_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("symnet.cli.doctor.diagnose", lambda: (Finding("P", "n", "f", "wrong"),))
    assert main(["doctor", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is False
    assert told["findings"] == [
        {"part": "P", "name": "n", "found": "f", "verdict": "wrong", "fault": "", "mend": "",
         "needed": True}
    ]  # fmt: skip


def test_what_is_not_needed_does_not_fail():
    aside = Finding("P", "gpu", "old", "wrong", "too old", "a line", needed=False)
    assert healthy([aside])
    assert shown([aside]).splitlines() == [
        "P",
        "  gpu  wrong   old",
        "               too old",
        "               mend: a line",
        "",
        "symnet works on this machine's CPU; wrong, but not needed: gpu",
    ]
    needed = Finding("P", "numpy", "1.0", "wrong", "too old", "a line")
    assert not healthy([aside, needed])
    assert shown([aside, needed]).endswith("wrong: numpy, gpu")


@pytest.mark.parametrize(
    ("version", "versions", "met"),
    [
        ("2.4.6", ">=2.1,<3", True),
        ("3.0.0", ">=2.1,<3", False),
        ("2.0.9", ">=2.1,<3", False),
        ("2.1", ">=2.1.0", True),
        ("2.10", ">=2.9", True),
        ("2.13.0+cpu", "==2.13.0", True),
        ("2.13.1", "==2.13.0", False),
        ("13.0.88", "==13.0.*", True),
        ("13.1.0", "==13.0.*", False),
        ("13.1.0", "!=13.0.*", True),
        ("1.4.9", "~=1.4.2", True),
        ("1.5.0", "~=1.4.2", False),
        ("1.4.1", "~=1.4.2", False),
        ("2.0rc1", ">=2.0", True),
        ("1.0", "!=1.0", False),
        ("1.0", ">1.0", False),
        ("1.0", "<=1.0", True),
        ("0.1", "", True),
    ],
)
def test_versions_are_compared_as_numbers(version: str, versions: str, met: bool):
    assert requirements.meets(version, versions) is met


@pytest.mark.parametrize(
    ("line", "name", "text", "extra"),
    [
        ("numpy<3,>=2.1", "numpy", "numpy<3,>=2.1", ""),
        ('torch==2.13.0; extra == "bench"', "torch", "torch==2.13.0", "bench"),
        ("numba-cuda[cu13] (>=0.30)", "numba-cuda", "numba-cuda[cu13]>=0.30", ""),
    ],
)
def test_requirements_are_read(line: str, name: str, text: str, extra: str):
    found = requirements.parse(line)
    assert found is not None
    assert (found.name, found.text, found.extra) == (name, text, extra)


def test_requirements_of_other_systems_and_of_symnet_are_left_out():

    assert requirements.parse("a>=1; sys_platform == 'nowhere'") is None
    assert requirements.parse("a>=1; platform_machine == 'x' or platform_machine == 'y'") is None
    here = f"platform_machine == 'x' or platform_machine == '{platform.machine()}'"
    assert requirements.parse(f"a>=1; sys_platform == '{sys.platform}' and ({here})") is not None
    assert requirements.parse("symnet[plot]") is None
    assert requirements.parse("???") is None


def test_what_pip_installed_is_read_where_there_are_no_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    information = tmp_path / "symnet-9.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(
        "Name: symnet\nVersion: 9\nRequires-Python: >=3.11\nRequires-Dist: numpy<3,>=2.1\n"
        'Requires-Dist: pillow>=10; extra == "plot"\nRequires-Dist: symnet[plot]; extra == "test"\n'
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    wanted = requirements.Asked(
        ">=3.11",
        (
            requirements.Requirement("numpy", "<3,>=2.1", "numpy<3,>=2.1"),
            requirements.Requirement("pillow", ">=10", "pillow>=10", "plot"),
        ),
    )
    assert requirements.asked(tmp_path) == wanted
    (tmp_path / "pyproject.toml").write_text("[project\n")
    assert requirements.asked(tmp_path) == wanted
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "other"\ndependencies = []\n')
    assert requirements.asked(tmp_path) == wanted


def test_without_any_metadata_nothing_breaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def absent(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(requirements.importlib.metadata, "metadata", absent)
    assert requirements.asked(tmp_path) is None
    found = packages.python(None)
    assert found[1].verdict == "wrong"
    assert found[1].mend.startswith("pip install")
    assert kernels.compiling({"fault": "x"}, None).mend == (
        'pip install --force-reinstall "numba" "llvmlite"'
    )
    assert cuda.cuda(None, {"absent": "none"}, {"fault": "none"}, TARGETS)


def test_a_library_that_is_missing_or_too_old_is_named_with_its_line(
    monkeypatch: pytest.MonkeyPatch,
):
    pretend(monkeypatch, numpy="1.26.4", scipy=None, numba="0.60.0")
    gone = {"scipy": "ModuleNotFoundError: No module named 'scipy'", "numpy": None}
    found = packages.needed(ASKED, gone)
    numpy, scipy = named(found, "numpy"), named(found, "scipy")
    assert (numpy.verdict, numpy.found, numpy.mend) == (
        "wrong", "1.26.4", 'pip install "numpy>=2.1,<3"',
    )  # fmt: skip
    assert (scipy.verdict, scipy.found) == ("wrong", "not installed")
    assert scipy.mend.startswith('pip install "scipy>=')
    assert named(found, "numba").verdict == "wrong"
    assert named(found, "sympy").verdict == "ok"
    assert not healthy(found)


def test_a_library_that_cannot_be_imported_is_installed_anew():
    found = named(packages.needed(ASKED, {"scipy": "ImportError: libgfortran.so"}), "scipy")
    assert found.fault == "import: ImportError: libgfortran.so"
    assert found.mend.startswith('pip install --force-reinstall "scipy')


def test_an_extra_that_is_missing_or_old_costs_nothing(monkeypatch: pytest.MonkeyPatch):
    pretend(monkeypatch, matplotlib="2.0", pillow=None, scikit_learn=None)
    found = packages.optional(ASKED)
    plot, learn = named(found, "extra plot"), named(found, "extra sklearn")
    assert plot.verdict == "wrong"
    assert "pillow is not installed" in plot.fault
    assert "matplotlib>=" in plot.mend
    assert "pillow>=" in plot.mend
    assert (learn.verdict, learn.mend) == ("absent", 'pip install "scikit-learn>=1.5,<2"')
    assert healthy(found)
    assert "extra cuda" not in {one.name for one in found}


def test_a_python_that_is_too_old_is_wrong(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(packages.platform, "python_version", lambda: "3.9.2")
    (found,) = packages.python(ASKED)
    assert found.verdict == "wrong"
    assert ">=3.11" in found.fault


def planted(folder: Path, **sources: str) -> None:
    """Libraries that come before the real ones."""
    for name, text in sources.items():
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(text)


def test_a_library_that_ends_its_process_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    killed = "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n"
    planted(tmp_path, scipy=killed, numba="raise ImportError('no LLVM here\\nmore of it')")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = diagnosis.diagnose()
    assert named(found, "scipy").fault == "import: the process was ended by SIGSEGV"
    assert named(found, "numba").fault == "import: ImportError: no LLVM here"
    assert named(found, "numpy").verdict == "ok"
    compiling = named(found, "compiling")
    assert compiling.fault == "nothing can be compiled without numba"
    assert compiling.mend.startswith('pip install --force-reinstall "numba')
    assert not healthy(found)


def test_without_numpy_there_is_still_a_doctor(tmp_path: Path):
    planted(tmp_path, numpy="raise ModuleNotFoundError('No module named numpy')")
    done = subprocess.run(
        [sys.executable, "-m", "codegen.doctor"],
        capture_output=True,
        encoding="utf-8",
        cwd=TREE,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{TREE}"},
    )
    assert done.returncode == 1
    assert done.stderr == ""
    assert "import: ModuleNotFoundError: No module named numpy" in done.stdout
    assert 'mend: pip install --force-reinstall "numpy>=' in done.stdout


def test_the_doctor_loads_no_library_into_its_own_process():
    code = (
        "import sys, codegen.doctor\n"
        "names = ('numpy', 'sympy', 'scipy', 'numba', 'llvmlite', 'torch', 'rich')\n"
        "print(*(name for name in names if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=TREE, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("\n", "")


@pytest.mark.parametrize(
    ("program", "told"),
    [
        ("import time\ntime.sleep(60)", "no answer within 1 s"),
        ("raise SystemExit(3)", "it ended with status 3"),
        ("print('[]')", "an answer that makes no sense"),
        ("print('not JSON')\nraise ValueError('oh')", "ValueError: oh"),
    ],
)
def test_a_probe_that_does_not_answer_is_a_finding(
    program: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "probe.py").write_text(program)
    monkeypatch.setattr("codegen.doctor.children.PROBE", "probe")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert ask({"a": ("driver",)}, seconds=1.0 if "sleep" in program else 60.0) == {
        "a": {"fault": told}
    }


def test_no_temporary_folder_and_no_python_are_findings(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "executable", "/no/python")
    assert "cannot be started" in ask({"a": ("driver",)})["a"]["fault"]

    def none(**_: object) -> None:
        raise FileNotFoundError("no usable temporary directory")

    monkeypatch.setattr("codegen.doctor.children.tempfile.TemporaryDirectory", none)
    assert "no temporary folder" in ask({"a": ("driver",)})["a"]["fault"]


def test_a_cache_that_others_can_write_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tmp_path.chmod(0o777)
    monkeypatch.setenv("SYMNET_CACHE", str(tmp_path))
    found = kernels.folder()
    assert found.verdict == "wrong"
    assert found.needed
    assert found.mend == f"chmod go-w {tmp_path}"


def test_a_cache_that_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SYMNET_CACHE", str(tmp_path / "file"))
    found = kernels.folder()
    assert (found.verdict, found.mend) == ("wrong", "unset SYMNET_CACHE")


def test_a_cache_that_cannot_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SYMNET_CACHE", str(tmp_path / "kernels"))
    monkeypatch.setattr("codegen.store.os.access", lambda *_: False)
    found = kernels.folder()
    assert found.verdict == "wrong"
    assert "cannot be written to" in found.fault
    assert found.mend == "unset SYMNET_CACHE"


def test_a_disk_that_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*, dir: Path, **_: object) -> None:
        assert dir == tmp_path / "kernels"
        raise OSError(28, "No space left on device")

    monkeypatch.setenv("SYMNET_CACHE", str(tmp_path / "kernels"))
    monkeypatch.setattr("codegen.doctor.kernels.tempfile.NamedTemporaryFile", full)
    found = kernels.folder()
    assert (found.verdict, found.needed) == ("wrong", False)
    assert "No space left on device" in found.fault
    assert found.mend


def test_a_cache_that_is_well_is_counted_and_left_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SYMNET_CACHE", str(tmp_path / "kernels"))
    (tmp_path / "kernels").mkdir(mode=0o700)
    (tmp_path / "kernels" / f"{'a' * 64}.o").write_bytes(b"x" * (3 << 20))
    found = kernels.folder()
    assert found.verdict == "ok"
    assert "private, 1 kernel, 3.0 of 512 MiB, can be written to" in found.found
    assert [path.name for path in (tmp_path / "kernels").iterdir()] == [f"{'a' * 64}.o"]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"fault": "no answer within 60 s"}, "no answer within 60 s"),
        ({"imports": {"numba": "ImportError"}}, "nothing can be compiled without numba"),
        ({"kernels": 2, "seconds": 1.0, "right": False}, "the numbers that came out are wrong"),
    ],
)
def test_compiling_that_fails_is_wrong(answer: dict, told: str):
    found = kernels.compiling(answer, ASKED)
    assert (found.verdict, found.fault) == ("wrong", told)
    assert found.mend.startswith("pip install")
    assert found.needed


def test_the_processor_without_llvm_and_with_a_quota(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(processor, "_INFORMATION", Path("/no/such/file"))
    monkeypatch.setattr(machine, "quota", lambda: 1)
    found = processor.processor({})
    assert [one.name for one in found] == ["model", "cores"]
    assert named(found, "cores").found.startswith("1 in use at most")
    assert "a control group allows 1" in named(found, "cores").found


def test_the_quota_of_a_control_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "cpu.max"
    monkeypatch.setattr(machine, "_QUOTA", path)
    for text, cores in [("150000 100000", 2), ("max 100000", None), ("x", None)]:
        path.write_text(text)
        assert machine.quota() == cores


@pytest.mark.parametrize(
    ("which", "verdict"), [(lambda name: None, "absent"), (lambda name: f"/bin/{name}", "ok")]
)
def test_the_browser(
    which: Callable[[str], str | None], verdict: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("codegen.doctor.programs.shutil.which", which)
    found = programs.browser()
    assert (found.verdict, found.needed) == (verdict, False)
    assert bool(found.mend) == (verdict == "absent")
