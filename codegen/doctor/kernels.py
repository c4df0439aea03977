"""The folder of compiled kernels, and whether a kernel can be compiled and run."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import Final

from codegen import cache
from codegen.doctor.children import Answer
from codegen.doctor.findings import Finding
from codegen.doctor.requirements import Asked, pip_line

PART: Final = "Kernels"
LEAST: Final = 16 << 20
"""Bytes that should be free where kernels are kept: a program's are a few MiB at most."""
_ELSEWHERE: Final = 'export SYMNET_CACHE="$(mktemp -d)"'


def folder() -> Finding:
    """The folder of the cache: private, can be written to, how full."""
    try:
        place = cache.folder()
        entries = cache.entries()
    except (cache.CacheError, OSError) as error:
        return _unusable(error)
    size = sum(entry.size for entry in entries) / 2**20
    count = f"{len(entries)} kernel{'' if len(entries) == 1 else 's'}"
    found = f"{place}, private, {count}, {size:.1f} of {cache.LIMIT / 2**20:.0f} MiB"
    try:
        with tempfile.NamedTemporaryFile(dir=place, prefix="doctor", suffix=".new") as file:
            file.write(b"symnet")
        free = shutil.disk_usage(place).free
    except OSError as error:
        fault = f"nothing can be written there ({error.strerror or error}): each run compiles anew"
        return Finding(PART, "cache", found, "wrong", fault, _ELSEWHERE, needed=False)
    if free < LEAST:
        fault = f"the disk has {free / 2**20:.1f} MiB left: kernels may not be kept"
        return Finding(PART, "cache", found, "wrong", fault, _ELSEWHERE, needed=False)
    return Finding(PART, "cache", f"{found}, can be written to")


def _unusable(error: Exception) -> Finding:
    chosen = os.environ.get("SYMNET_CACHE", "")
    told = (error.strerror if isinstance(error, OSError) else None) or str(error)
    where = chosen or getattr(error, "filename", None) or "no folder"
    place, open_to_others, _ = told.partition(" can be written by others")
    if open_to_others:
        mend = f"chmod go-w {place}"
    else:
        mend = "unset SYMNET_CACHE" if chosen else _ELSEWHERE
    return Finding(PART, "cache", str(where), "wrong", told, mend)


def compiling(answer: Answer, asked: Asked | None) -> Finding:
    """The answer of the probe that compiles and runs a tiny kernel."""
    broken = [name for name, fault in answer.get("imports", {}).items() if fault]
    names = broken or ["numba", "llvmlite"]
    texts = {one.name: one.text for one in asked.of("")} if asked else {}
    mend = pip_line(*(texts.get(name, name) for name in names)).replace(
        "install", "install --force-reinstall", 1
    )
    if broken:
        fault = f"nothing can be compiled without {' and '.join(broken)}"
        return Finding(PART, "compiling", "not tried", "wrong", fault, mend)
    if "fault" in answer:
        return Finding(PART, "compiling", "failed", "wrong", answer["fault"], mend)
    found = f"{answer['kernels']} kernels compiled and run in {answer['seconds']:.2f} s"
    if not answer["right"]:
        fault = "the numbers that came out are wrong"
        return Finding(PART, "compiling", found, "wrong", fault, mend)
    return Finding(PART, "compiling", f"{found}, the numbers are right")
