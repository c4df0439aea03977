"""The processor: its model, vectors, the cores this process may use, the caches."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any, Final

from codegen import machine
from codegen.doctor.children import Answer
from codegen.doctor.findings import Finding

PART: Final = "Processor"
_INFORMATION: Final = Path("/proc/cpuinfo")
# Of the many features, those that decide how kernels look.
_TOLD: Final = ("sse4.2", "avx", "avx2", "fma", "avx512f", "avx512bf16", "neon", "sve", "bf16")


def processor(answer: Answer) -> list[Finding]:
    """What there is; answer: that of the probe that compiled, which knows what LLVM says."""
    seen: dict[str, Any] = answer.get("machine", {})
    name = f" ({seen['name']} to LLVM)" if seen else ""
    findings = [Finding(PART, "model", f"{_model()}{name}")]
    if seen:
        present = {one[1:] for one in seen["features"].split(",") if one.startswith("+")}
        features = " ".join(one for one in _TOLD if one in present) or "none of those in use"
        width = seen["vector_bytes"]
        findings.append(Finding(PART, "vectors", f"{8 * width} bits; {features}"))
    findings.append(_cores())
    if seen:
        first, second, third = (seen[f"level{number}"] for number in (1, 2, 3))
        shown = f"level 1 {_size(first)}, level 2 {_size(second)}, level 3 {_size(third)}"
        findings.append(Finding(PART, "caches", shown))
    return findings


def _model() -> str:
    try:
        lines = _INFORMATION.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine() or "unknown"


def _cores() -> Finding:
    quota = machine.quota()
    bound = "no quota of a control group" if quota is None else f"a control group allows {quota}"
    shown = (
        f"{machine.cores()} in use at most: {machine.affinity()} of {os.cpu_count()} by affinity, "
        f"{bound}"
    )
    return Finding(PART, "cores", shown)


def _size(count: int) -> str:
    return f"{count / 2**20:g} MiB" if count >= 2**20 else f"{count / 2**10:g} KiB"
