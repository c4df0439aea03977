"""Whole processes: how long from their start to what they are for, and their peak memory.

`digits`: to the end of the first epoch. `sweep`: 24 widths of digits, 20 epochs each; scikit-learn
draws weights of its own there. symnet and PyTensor start with an empty cache of compiled code, and
once more with the one they have then left ("warm").
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.bench.rounds import say
from tests.bench.worker import TREE, environment

REPEATS = 3
CACHING = ("symnet", "pytensor")


@dataclass
class Started:
    """The processes of one kind: seconds and peak bytes of each, or why there are none."""

    what: str
    library: str
    threads: int = 0
    warm: bool = False
    seconds: list[float] = field(default_factory=list)
    peaks: list[int] = field(default_factory=list)
    missing: str = ""

    @property
    def median(self) -> float:
        """The middle one's seconds."""
        return float(np.median(self.seconds))

    @property
    def label(self) -> str:
        """Library, and whether its cache was warm or how many threads it had."""
        if self.library in CACHING and self.what != "import":
            return f"{self.library}, {'warm' if self.warm else 'empty'} cache"
        return f"{self.library}, {self.threads} threads" if self.threads else self.library

    def as_json(self) -> dict[str, Any]:
        """Everything, for --json."""
        return {
            "what": self.what,
            "who": self.label,
            "seconds": self.seconds,
            "peak_bytes": self.peaks,
            "missing": self.missing,
        }


STARTS = (
    ("digits", "symnet", False),
    ("digits", "symnet", True),
    ("digits", "torch", False),
    ("digits", "jax", False),
    ("digits", "pytensor", False),
    ("digits", "pytensor", True),
    ("import", "symnet", False),
    ("import", "torch", False),
    ("import", "jax", False),
)


def once(kind: Started, cache: str, python: str = sys.executable) -> None:
    """Runs one such process and notes what it took."""
    before = time.time()
    flags = f"base_compiledir={os.path.join(cache, 'pytensor')}"
    done = subprocess.run(
        [python, "-W", "ignore", "-m", "tests.bench.start", kind.what, kind.library],
        env={**environment(kind.threads), "SYMNET_CACHE": cache, "PYTENSOR_FLAGS": flags},
        cwd=TREE,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        kind.missing = (done.stderr.strip().splitlines() or ["failed"])[-1]
        return
    found = json.loads(done.stdout.splitlines()[-1])
    kind.seconds.append(found["done"] - before)
    kind.peaks.append(found["peak"])


def starts(pythons: Mapping[str, str], repeats: int = REPEATS) -> list[Started]:
    """Every kind of start, taking turns; a library in the interpreter that is named for it."""
    kinds = [Started(what, library, warm=warm) for what, library, warm in STARTS]
    for number in range(repeats):
        say(f"starts, {number + 1} of {repeats}")
        with tempfile.TemporaryDirectory() as cache:
            for kind in kinds:
                once(kind, cache, pythons.get(kind.library, sys.executable))
    return kinds


def sweeps(repeats: int = REPEATS) -> list[Started]:
    """The sweep: once in every form, then again in each library's fastest."""
    pairs = [("symnet", 0), *((name, n) for name in ("scikit-learn", "jax") for n in (1, 2))]
    kinds = [Started("sweep", library, threads) for library, threads in pairs]
    for number in range(repeats):
        chosen = kinds if number == 0 else fastest(kinds)
        say(f"sweep, {number + 1} of {repeats}: {'; '.join(kind.label for kind in chosen)}")
        for kind in chosen:
            with tempfile.TemporaryDirectory() as cache:
                once(kind, os.path.join(cache, "symnet"))
    return kinds


def fastest(kinds: list[Started]) -> list[Started]:
    """Of each library the form with the smallest first time."""
    found: dict[str, Started] = {}
    for kind in kinds:
        best = found.get(kind.library)
        if kind.seconds and (best is None or kind.seconds[0] < best.seconds[0]):
            found[kind.library] = kind
    return list(found.values())
