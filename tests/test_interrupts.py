"""Ctrl-C at any instant: a whole number of steps, nothing lost, nothing done twice, no hang."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HUNG = 600
"""Seconds after which a process counts as hung; its trainings would take longer than that."""


@pytest.mark.parametrize(
    ("how", "threads", "count"),
    [
        ("once", "1", 45),
        ("once", "2", 45),
        ("once", "none", 45),
        ("twice", "1", 8),
        ("twice", "2", 12),
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
        timeout=HUNG,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    assert done.stdout == "done\n"
