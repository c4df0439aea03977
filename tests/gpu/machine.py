"""What the machine is: versions, the device, and how fast it copies its own memory."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

PACKAGES = (
    "numpy", "numba", "llvmlite", "numba-cuda", "cuda-bindings", "cuda-core", "nvidia-nvjitlink",
    "nvidia-cuda-nvrtc", "nvidia-nvvm", "torch", "triton", "jax", "jaxlib", "cupy-cuda13x",
    "sympy", "scipy", "scikit-learn", "pytest",
)  # fmt: skip
ABSENT = "not installed"
TOOLKITS = ("/usr/local/cuda", "/usr/local/cuda-13.0", "/usr/local/cuda-13", "/opt/cuda")


def toolkit() -> str | None:
    """A CUDA toolkit that has NVVM, for machines whose packages do not bring it."""
    given = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH")
    compiler = shutil.which("nvcc")
    beside = str(Path(compiler).resolve().parents[1]) if compiler else None
    for place in (given, beside, *TOOLKITS):
        if place and any(_nvvm_in(Path(place))):
            return place
    return None


def _nvvm_in(place: Path) -> Iterator[Path]:
    """The files of NVVM in a toolkit: in a folder of its own, or among its other libraries."""
    yield from place.glob("nvvm/lib*/libnvvm.so*")
    yield from place.glob("lib*/libnvvm.so*")


def environment() -> dict[str, str]:
    """That of every process that is started: with the toolkit, where no package brings NVVM."""
    found = dict(os.environ)
    place = toolkit()
    if place and versions_of(["nvidia-nvvm"])["nvidia-nvvm"] == ABSENT:
        found["CUDA_HOME"] = place
    found["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    return found


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """The version of each that is installed."""
    found = {}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = ABSENT
    return found


def versions() -> dict[str, str]:
    """Python, the packages that are here, the toolkit and what nvidia-smi says."""
    found = {"python": platform.python_version(), "toolkit": toolkit() or "none found"}
    found |= versions_of(PACKAGES)
    fields = "name,driver_version,memory.total,clocks.max.sm,clocks.max.mem"
    try:
        done = subprocess.run(
            ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        found["nvidia-smi"] = done.stdout.strip().splitlines()[0]
    except (OSError, subprocess.SubprocessError, IndexError) as fault:
        found["nvidia-smi"] = f"not available: {fault}"
    return found


def device() -> dict[str, Any]:
    """The GPU as our own runtime sees it."""
    from codegen.cuda.device import current

    here = current()
    return {
        "name": here.name,
        "capability": list(here.capability),
        "multiprocessors": here.multiprocessors,
    }


def copy_bandwidth(size: int = 1 << 28, repeats: int = 50, rounds: int = 5) -> float:
    """Bytes a second, read and written, of copies within the device's memory; the best round.

    Timed with the driver's events around many copies.
    """
    from cuda.bindings import driver

    def ask(function: str, *arguments: Any) -> Any:
        status, *values = getattr(driver, function)(*arguments)
        if int(status):
            raise RuntimeError(f"{function} gave error {int(status)}")
        return values[0] if values else None

    ask("cuInit", 0)
    context = ask("cuDevicePrimaryCtxRetain", ask("cuDeviceGet", 0))
    ask("cuCtxSetCurrent", context)
    source, target = (ask("cuMemAlloc", size) for _ in range(2))
    begin, end = (ask("cuEventCreate", 0) for _ in range(2))
    best = 0.0
    for _ in range(rounds):
        ask("cuEventRecord", begin, 0)
        for _ in range(repeats):
            ask("cuMemcpyDtoDAsync", target, source, size, 0)
        ask("cuEventRecord", end, 0)
        ask("cuEventSynchronize", end)
        milliseconds = ask("cuEventElapsedTime", begin, end)
        best = max(best, 2 * size * repeats / milliseconds * 1e3)
    for address in (source, target):
        ask("cuMemFree", address)
    return best


def make(row: Any, kind: str, start: Any) -> Any:
    """Nothing is made here."""
    raise NotImplementedError
