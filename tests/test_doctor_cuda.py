"""`symnet doctor` on what a GPU would need."""

from __future__ import annotations

import ctypes
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from codegen.compile import TARGETS
from codegen.cuda import pieces
from codegen.doctor import cuda, healthy, probe, requirements
from tests.doctoring import named, pretend

ASKED = requirements.asked()
assert ASKED is not None


@pytest.mark.parametrize(
    ("release", "ptx"),
    [
        ((11, 8), (7, 8)), ((12, 0), (8, 0)), ((12, 5), (8, 5)), ((12, 6), (8, 5)),
        ((12, 9), (8, 8)), ((13, 0), (9, 0)), ((13, 5), (9, 5)), ((10, 2), None), (None, None),
    ],
)  # fmt: skip
def test_the_ptx_of_a_release(release: tuple[int, int] | None, ptx: tuple[int, int] | None):
    assert cuda.ptx_of(release) == ptx


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without anything of CUDA, and a folder for wheels."""
    monkeypatch.setattr(pieces, "_STANDARD", tmp_path / "none")
    for name in ("CUDA_PATH", "CUDA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("codegen.cuda.pieces.shutil.which", lambda name: None)
    pretend(monkeypatch, numba_cuda=None, cuda_bindings=None)
    real = pieces.importlib.metadata.distribution

    def distribution(name: str):
        found = real(name)
        if tmp_path not in Path(str(found.locate_file(""))).parents:
            raise PackageNotFoundError(name)
        return found

    monkeypatch.setattr(pieces.importlib.metadata, "distribution", distribution)
    site = tmp_path / "wheels" / "site"
    site.mkdir(parents=True)
    monkeypatch.syspath_prepend(str(site))
    return site


def wheel(site: Path, name: str, version: str, *files: str) -> None:
    """An installed wheel with some files."""
    information = site / f"{name.replace('-', '_')}-{version}.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")
    (information / "RECORD").write_text("".join(f"{file},,\n" for file in files))
    for file in files:
        (site / file).parent.mkdir(parents=True, exist_ok=True)
        (site / file).write_bytes(b"\x7fELF")


CODE = {"seconds": 1.5, "images": 2, "architecture": "sm_90a"}
ABSENT = {"absent": "libcuda.so.1: cannot open shared object file"}


@pytest.mark.usefixtures("bare")
@pytest.mark.skipif(sys.platform != "linux", reason="CUDA is for Linux")
def test_without_cuda_each_piece_has_its_line():
    found = cuda.cuda(ASKED, ABSENT, CODE, TARGETS)
    assert healthy(found)
    lines = {one.name: one.mend for one in found if one.verdict == "absent"}
    assert lines["numba-cuda"] == 'pip install "numba-cuda[cu13]>=0.30.4,<0.31"'
    assert lines["nvvm"] == 'pip install "nvidia-nvvm>=13.0,<13.1"'
    assert lines["nvjitlink"] == 'pip install "nvidia-nvjitlink>=13.0,<13.1"'
    assert lines["nvdisasm"] == 'pip install "nvidia-cuda-nvdisasm>=13.2,<14"'
    assert lines["cuobjdump"] == 'pip install "nvidia-cuda-cuobjdump>=13.2,<14"'
    assert lines["device code"] == "pip install 'symnet[cuda]'"
    assert "driver" in lines
    assert {one.verdict for one in found if one.name != "targets"} == {"absent"}


def test_the_targets_are_named():
    targets = named(cuda.cuda(ASKED, ABSENT, CODE, TARGETS), "targets")
    assert targets.found == "cpu, cuda"


@pytest.mark.skipif(sys.platform != "linux", reason="CUDA is for Linux")
def test_pieces_of_wheels_are_found_lost_or_too_new(bare: Path):
    wheel(bare, "nvidia-nvvm", "13.5.37", "nvidia/lib/libnvvm.so.4", "nvidia/libdevice.10.bc")
    wheel(bare, "nvidia-nvjitlink", "13.0.88", "nvidia/lib/libnvJitLink.so.13")
    wheel(bare, "nvidia-cuda-nvrtc", "13.0.88", "nvidia/lib/libnvrtc.so.13")
    (bare / "nvidia/lib/libnvrtc.so.13").unlink()
    found = cuda.cuda(ASKED, {"version": 13000, "devices": ["A GPU"]}, CODE, TARGETS)
    assert named(found, "nvvm").verdict == "wrong"
    assert "13.0" in named(found, "nvvm").fault
    assert named(found, "nvjitlink").found.endswith("nvidia/lib/libnvJitLink.so.13")
    lost = named(found, "nvrtc")
    assert lost.verdict == "wrong"
    assert "libnvrtc.so* is missing" in lost.fault
    assert "--force-reinstall" in lost.mend
    assert named(found, "driver").found == "libcuda.so.1, for CUDA 13.0; A GPU"
    ptx = named(found, "PTX")
    assert ptx.found == "the toolkit writes 9.5, the driver reads up to 9.0"
    assert (ptx.verdict, ptx.mend) == (
        "wrong", 'pip install "cuda-toolkit[nvvm,nvrtc,nvjitlink]==13.0.*"',
    )  # fmt: skip
    assert healthy(found)


@pytest.mark.skipif(sys.platform != "linux", reason="CUDA is for Linux")
def test_whether_code_for_a_gpu_can_be_compiled(bare: Path, monkeypatch: pytest.MonkeyPatch):
    code = named(cuda.cuda(ASKED, ABSENT, {"fault": "no libnvvm"}, TARGETS), "device code")
    assert code.verdict == "absent"
    assert code.found == ("not tried without numba-cuda, cuda-bindings, nvvm, libdevice, nvjitlink")
    pretend(monkeypatch, numba_cuda="0.30.4", cuda_bindings="13.0.3")
    wheel(bare, "nvidia-nvvm", "13.0.88", "nvidia/lib/libnvvm.so.4", "nvidia/libdevice.10.bc")
    wheel(bare, "nvidia-nvjitlink", "13.0.88", "nvidia/lib/libnvJitLink.so.13")
    code = named(cuda.cuda(ASKED, ABSENT, {"fault": "no symbol"}, TARGETS), "device code")
    assert (code.verdict, code.fault) == ("wrong", "no symbol")
    assert code.mend == "pip install --force-reinstall 'symnet[cuda]'"
    code = named(cuda.cuda(ASKED, ABSENT, CODE, TARGETS), "device code")
    assert code.verdict == "ok"
    assert code.found == "2 kernels for sm_90a compiled in 1.50 s, without a GPU"


@pytest.mark.skipif(sys.platform != "linux", reason="CUDA is for Linux")
def test_a_toolkit_of_the_system_is_found(bare: Path, monkeypatch: pytest.MonkeyPatch):
    root = bare / "cuda-12.8"
    (root / "nvvm/lib64").mkdir(parents=True)
    (root / "nvvm/lib64/libnvvm.so.4").write_bytes(b"")
    monkeypatch.setenv("CUDA_HOME", str(root))
    found = cuda.cuda(ASKED, {"version": 13000}, CODE, TARGETS)
    assert named(found, "nvvm").found.startswith("toolkit 12.8: ")
    assert named(found, "PTX").verdict == "ok"


@pytest.mark.skipif(sys.platform != "linux", reason="CUDA is for Linux")
@pytest.mark.parametrize(
    ("answer", "verdict", "told"),
    [
        ({"fault": "the process was ended by SIGSEGV"}, "wrong", "SIGSEGV"),
        ({"version": 13000, "start": 100, "devices": []}, "wrong", "cuInit gave error 100"),
        ({"version": 12080, "devices": []}, "ok", ""),
    ],
)
def test_a_driver_that_is_broken(answer: dict, verdict: str, told: str):
    found = named(cuda.cuda(ASKED, answer, CODE, TARGETS), "driver")
    assert found.verdict == verdict
    assert told in found.fault
    assert bool(found.mend) == (verdict == "wrong")


class Driver:
    """What ctypes gives for libcuda: CUDA 13.0 with one device, or an error at start."""

    def __init__(self, start: int) -> None:
        self.start = start

    def cuDriverGetVersion(self, version) -> int:
        version._obj.value = 13000
        return 0

    def cuInit(self, flags: int) -> int:
        return self.start

    def cuDeviceGetCount(self, count) -> int:
        count._obj.value = 1
        return 0

    def cuDeviceGetName(self, name, length: int, number: int) -> int:
        name.value = b"A GPU"
        return 0


def test_the_driver_is_asked(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Driver(0))
    assert probe.driver() == {"version": 13000, "devices": ["A GPU"]}
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Driver(100))
    assert probe.driver() == {"version": 13000, "devices": [], "start": 100}

    def missing(name: str) -> None:
        raise OSError(f"{name}: cannot open")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert probe.driver() == {"absent": "libcuda.so.1: cannot open"}
