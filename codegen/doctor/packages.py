"""Python, and the packages that symnet needs or can make use of."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping

from codegen.doctor.children import Answer
from codegen.doctor.findings import Finding
from codegen.doctor.requirements import Asked, Requirement, installed, meets, pip_line

PART = "Python and packages"
CUDA = "cuda"


def python(asked: Asked | None) -> list[Finding]:
    """The interpreter, and whether what symnet asks for can be read at all."""
    version = platform.python_version()
    found = (
        f"{platform.python_implementation()} {version}, {platform.system()} "
        f"{platform.machine()}, {sys.executable}"
    )
    if asked is None:
        return [
            Finding(PART, "Python", found),
            Finding(
                PART, "symnet", "what it requires cannot be read", "wrong",
                "its packages cannot be checked", "pip install --force-reinstall symnet",
            ),
        ]  # fmt: skip
    if meets(version, asked.python):
        return [Finding(PART, "Python", found)]
    fault = f"symnet runs on Python {asked.python}"
    mend = "python3.12 -m venv .venv && .venv/bin/pip install ."
    return [Finding(PART, "Python", found, "wrong", fault, mend)]


def needed(asked: Asked, imports: Mapping[str, str | None]) -> list[Finding]:
    """What symnet cannot do without: there, of a version that will do, and can be imported.

    imports: why a library cannot be imported, None where it can.
    """
    return [_needed(one, imports) for one in asked.of("")]


def _needed(one: Requirement, imports: Mapping[str, str | None]) -> Finding:
    version = installed(one.name)
    if version is None and imports.get(one.name, "") is not None:
        return Finding(
            PART, one.name, "not installed", "wrong", f"symnet needs {one.text}", pip_line(one.text)
        )
    if version and not one.met_by(version):
        fault = f"symnet needs {one.text}"
        return Finding(PART, one.name, version, "wrong", fault, pip_line(one.text))
    fault = imports.get(one.name) or ""
    if fault:
        mend = pip_line(one.text).replace("install", "install --force-reinstall", 1)
        return Finding(PART, one.name, version or "", "wrong", f"import: {fault}", mend)
    return Finding(PART, one.name, version or "of an unknown version")


def optional(asked: Asked) -> list[Finding]:
    """Each extra in a line, that for CUDA aside; what is missing or too old never counts as
    needed. Nothing is imported."""
    return [_extra(extra, asked.of(extra)) for extra in asked.extras if extra != CUDA]


def _extra(extra: str, wanted: tuple[Requirement, ...]) -> Finding:
    versions = {one: installed(one.name) for one in wanted}
    present = [f"{one.name} {version}".strip() for one, version in versions.items() if version]
    missing = [one for one, version in versions.items() if version is None]
    wrong = [one for one, version in versions.items() if version and not one.met_by(version)]
    faults = [f"{one.name} is not installed" for one in missing]
    faults += [f"symnet[{extra}] wants {one.text}" for one in wrong]
    return Finding(
        PART,
        f"extra {extra}",
        ", ".join(present) or "nothing of it",
        "wrong" if wrong else "absent" if missing else "ok",
        "; ".join(faults),
        pip_line(*(one.text for one in (*missing, *wrong))) if faults else "",
        needed=False,
    )


def blas(answer: Answer) -> list[Finding]:
    """The linear algebra of NumPy: the reference computes with it, compiled kernels do not."""
    name = answer.get("blas")
    if name is None:
        return []
    return [Finding(PART, "BLAS of NumPy", name or "NumPy does not say", needed=False)]
