"""What is here: cores, vector width, caches, and the processor's name as LLVM knows it."""

from __future__ import annotations

import functools
import math
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from codegen.lazy import llvm

_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_OLD_QUOTA = Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")
_OLD_PERIOD = Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us")


@dataclass(frozen=True, slots=True)
class Machine:
    """One processor. `cores` are those this process may use at once; `vector_bytes` is the width
    of a register; the caches are in bytes, of one core where they are not shared."""

    name: str
    features: str
    cores: int
    vector_bytes: int
    level1: int
    level2: int
    level3: int


@functools.cache
def this_machine() -> Machine:
    """The machine this process runs on, looked at once."""
    features = llvm.get_host_cpu_features()
    caches = _cache_sizes()
    return Machine(
        name=llvm.get_host_cpu_name(),
        features=features.flatten(),
        cores=cores(),
        vector_bytes=_vector_bytes({name for name, present in features.items() if present}),
        level1=caches.get(1, 32 << 10),
        level2=caches.get(2, 512 << 10),
        level3=caches.get(3, 8 << 20),
    )


def _vector_bytes(features: set[str]) -> int:
    if "avx512f" in features:
        return 64
    return 32 if "avx2" in features else 16


def cores() -> int:
    """How many cores this process may use at once."""
    return max(1, min(affinity(), quota() or affinity()))


def affinity() -> int:
    """On how many cores the system may run this process."""
    if sys.platform == "linux":
        present = len(os.sched_getaffinity(0))
    else:
        present = os.cpu_count() or 1
    return present


def quota() -> int | None:
    """How many cores the control group lets this process use, rounded up; None if as many as it
    likes."""
    try:
        if _QUOTA.exists():
            share, period = _QUOTA.read_text().split()
        else:
            share, period = _OLD_QUOTA.read_text(), _OLD_PERIOD.read_text()
    except (OSError, ValueError):
        return None
    if share.strip() in ("max", "-1"):
        return None
    return max(1, math.ceil(int(share) / int(period)))


def _cache_sizes() -> dict[int, int]:
    """Bytes of data cache by level, as far as the system tells."""
    sizes: dict[int, int] = {}
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    for entry in sorted(_CACHES.glob("index*")):
        try:
            if (entry / "type").read_text().strip() == "Instruction":
                continue
            level, size = int((entry / "level").read_text()), (entry / "size").read_text().strip()
        except (OSError, ValueError):
            continue
        sizes[level] = int(size[:-1]) * units[size[-1]] if size[-1] in units else int(size)
    return sizes
