"""``import symnet`` costs NumPy and our own code."""

import subprocess
import sys
from pathlib import Path

TREE = Path(__file__).parents[1]
HEAVY = ("sympy", "scipy", "numba", "llvmlite", "matplotlib", "sklearn", "rich", "torch", "jax")


def heavy_modules_after(statement: str) -> list[str]:
    """Which of the heavy libraries a fresh interpreter has loaded after ``statement``."""
    code = f"{statement}\nimport sys\nprint(*(name for name in {HEAVY} if name in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=TREE
    )
    return done.stdout.split()


def test_importing_symnet_loads_no_heavy_library():
    assert heavy_modules_after("import symnet") == []


def test_a_heavy_library_would_be_seen():
    assert heavy_modules_after("import rich") == ["rich"]
