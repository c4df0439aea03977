"""What a GPU would need: packages, pieces of the toolkit, the driver, and whether they match."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

from codegen.cuda.pieces import NEEDED, PIECES, PIP, Piece, Place, find
from codegen.doctor.children import Answer
from codegen.doctor.findings import Finding, Verdict
from codegen.doctor.requirements import Asked, Requirement, installed, meets, pip_line, release

PART: Final = "CUDA"
EXTRA: Final = "cuda"
_BINDINGS: Final = Requirement("cuda-bindings", ">=13,<14", "cuda-bindings>=13,<14", EXTRA)
# PTX ISA 9, table "PTX release history": the newest PTX that a CUDA release writes and reads.
_PTX_OF_CUDA_12: Final = {6: 5, 7: 6, 8: 7, 9: 8}

Version = tuple[int, int]


def cuda(
    asked: Asked | None, driver: Answer, device_code: Answer, targets: Sequence[str]
) -> list[Finding]:
    """Everything about CUDA, none of it needed for the CPU. device_code: what the probe that
    compiles for a GPU answers; targets: what can be compiled for."""
    findings = [_finding("targets", ", ".join(targets))] if targets else []
    if sys.platform != "linux":
        return [*findings, _finding("toolkit", "for Linux only", "absent")]
    wanted = asked.of(EXTRA) if asked else ()
    # The toolkit is there if its pieces are; who wants one looks for the file, below.
    pieces = {"cuda-toolkit", *(piece.wheel for piece in PIECES)}
    findings += [_package(one) for one in (*wanted, _BINDINGS) if one.name not in pieces]
    places = {piece: find(piece) for piece in PIECES}
    findings += [_piece(piece, place, wanted) for piece, place in places.items()]
    findings.append(_compiling(device_code, _lacking(findings)))
    findings.append(_driver(driver))
    compiler = places[PIECES[0]]
    return [*findings, _ptx(compiler.version if compiler else "", driver)]


def _finding(
    name: str, found: str, verdict: Verdict = "ok", fault: str = "", mend: str = ""
) -> Finding:
    return Finding(PART, name, found, verdict, fault, mend, needed=False)


def _package(one: Requirement) -> Finding:
    version = installed(one.name)
    mend = pip_line(one.text)
    if version is None:
        return _finding(one.name, "not installed", "absent", mend=mend)
    if version and not one.met_by(version):
        return _finding(one.name, version, "wrong", f"symnet[{EXTRA}] wants {one.text}", mend)
    return _finding(one.name, version or "of an unknown version")


def _piece(piece: Piece, place: Place | None, wanted: Sequence[Requirement]) -> Finding:
    versions = _versions(piece, wanted)
    mend = pip_line(f"{piece.wheel}{versions}")
    if place is None:
        return _finding(piece.name, f"missing ({piece.file}: {piece.purpose})", "absent", mend=mend)
    if place.lost:
        fault = f"{piece.wheel} {place.version} is installed, but its {piece.file} is missing"
        again = mend.replace("install", "install --force-reinstall", 1)
        return _finding(piece.name, "missing", "wrong", fault, again)
    origin = f"{piece.wheel} {place.version}" if place.wheel else f"toolkit {place.version}"
    found = f"{origin.strip()}: {place.path}"
    if versions and place.version and not meets(place.version, versions):
        return _finding(piece.name, found, "wrong", f"symnet[{EXTRA}] wants {versions}", mend)
    return _finding(piece.name, found)


def _versions(piece: Piece, wanted: Sequence[Requirement]) -> str:
    """What the extra asks of the piece's wheel, else of the toolkit that brings it."""
    asked = {one.name: one.versions for one in wanted}
    toolkit = asked.get("cuda-toolkit", "") if piece.pinned else ""
    return asked.get(piece.wheel, toolkit)


def _lacking(findings: Sequence[Finding]) -> list[str]:
    """What of all that compiling takes is not there."""
    needed = {"numba-cuda", _BINDINGS.name, *(piece.name for piece in NEEDED)}
    return [one.name for one in findings if one.name in needed and one.verdict == "absent"]


def _compiling(answer: Answer, lacking: Sequence[str]) -> Finding:
    name = "device code"
    if lacking:
        return _finding(name, f"not tried without {', '.join(lacking)}", "absent", mend=PIP)
    if "fault" in answer:
        again = PIP.replace("install", "install --force-reinstall", 1)
        return _finding(name, "failed", "wrong", answer["fault"], again)
    count = answer["images"]
    told = f"{count} kernel{'' if count == 1 else 's'} for {answer['architecture']}"
    return _finding(name, f"{told} compiled in {answer['seconds']:.2f} s, without a GPU")


def _driver(answer: Answer) -> Finding:
    page = "install the NVIDIA driver, https://www.nvidia.com/drivers"
    if "absent" in answer:
        return _finding("driver", "missing (libcuda.so.1)", "absent", answer["absent"], page)
    if "version" not in answer:
        fault = answer.get("fault", "it does not tell its version")
        return _finding("driver", "libcuda.so.1", "wrong", fault, page)
    found = f"libcuda.so.1, for CUDA {_dotted(_version(answer['version']))}"
    if "start" in answer:
        fault = f"cuInit gave error {answer['start']}: no GPU can be used; nvidia-smi says more"
        return _finding("driver", found, "wrong", fault, "nvidia-smi")
    devices = ", ".join(answer.get("devices", [])) or "no GPU"
    return _finding("driver", f"{found}; {devices}")


def _ptx(toolkit: str, driver: Answer) -> Finding:
    """Whether the driver reads the PTX that the toolkit writes."""
    written = ptx_of(_two(release(toolkit)))
    has_driver = "version" in driver
    read = ptx_of(_version(driver["version"])) if has_driver else None
    told = [f"the toolkit writes {_dotted(written)}"] if written else []
    told += [f"the driver reads up to {_dotted(read)}"] if read else []
    found = ", ".join(told) or "no toolkit and no driver to compare"
    if not (written and read):
        return _finding("PTX", found, "absent")
    if written > read:
        major, minor = _version(driver["version"])
        fault = "the driver refuses PTX that is newer than itself"
        mend = pip_line(f"cuda-toolkit[nvvm,nvrtc,nvjitlink]=={major}.{minor}.*")
        return _finding("PTX", found, "wrong", fault, mend)
    return _finding("PTX", found)


def ptx_of(version: Version | None) -> Version | None:
    """The newest PTX of a CUDA release, such as (9, 0) of (13, 0); None if it is not known."""
    if version is None or not 11 <= version[0] <= 13:
        return None
    major, minor = version
    return major - 4, _PTX_OF_CUDA_12.get(minor, minor) if major == 12 else minor


def _version(number: int) -> Version:
    """(13, 0) of 13000, as cuDriverGetVersion counts."""
    return number // 1000, number % 1000 // 10


def _two(numbers: tuple[int, ...]) -> Version | None:
    return (numbers[0], numbers[1]) if len(numbers) > 1 else None


def _dotted(version: Version) -> str:
    return f"{version[0]}.{version[1]}"
