"""Whole processes: how long from their start to what they are for, and their peak memory.

`digits`: to the end of the first epoch. `sweep`: 24 widths of digits, 20 epochs each; scikit-learn
draws weights of its own there. symnet starts with an empty cache of kernels, and once more with the
one it has then left ("warm").
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.bench.rounds import say
from tests.bench.worker import TREE, environment

REPEATS = 3


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
        if self.library == "symnet" and self.what != "import":
            return f"symnet, {'warm' if self.warm else 'empty'} cache"
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
    ("import", "symnet", False),
    ("import", "torch", False),
    ("import", "jax", False),
)


def once(kind: Started, cache: str) -> None:
    """Runs one such process and notes what it took."""
    before = time.time()
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.bench.start", kind.what, kind.library],
        env={**environment(kind.threads), "SYMNET_CACHE": cache},
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


def starts(repeats: int = REPEATS) -> list[Started]:
    """Every kind of start, taking turns."""
    kinds = [Started(what, library, warm=warm) for what, library, warm in STARTS]
    for number in range(repeats):
        say(f"starts, {number + 1} of {repeats}")
        with tempfile.TemporaryDirectory() as cache:
            for kind in kinds:
                once(kind, cache)
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
