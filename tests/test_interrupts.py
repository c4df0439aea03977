"""Ctrl-C at any instant: a whole number of steps, nothing lost, nothing done twice, no hang."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
QUIT = 3.0
"""Seconds to the end of a process that is done; most of it is Python's own."""


@pytest.mark.parametrize(
    ("how", "threads", "count"),
    [
        ("once", "1", 45),
        ("once", "2", 45),
        ("once", "none", 45),
        ("twice", "1", 15),
        ("twice", "2", 20),
        ("many", "2", 30),
    ],
)
def test_interrupted(how: str, threads: str, count: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.pressing", how, threads, str(count)],
        cwd=ROOT,
        # NumPy's own threads are not ours to count.
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    assert time.time() - float(done.stdout.split()[1]) < QUIT
