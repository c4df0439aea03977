"""Every example runs, says nothing on stderr, asserts its result and draws what it promises."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").rglob("*.py"))
NAMES = [path.relative_to(ROOT / "examples").with_suffix("").as_posix() for path in EXAMPLES]
PICTURES = {
    "decision_boundary": {"decision_boundary.png", "decision_boundary.gif"},
    "landscape": {"landscape.png"},
    "rates": {"rates.png"},
    "report": {"report.html"},
    "schedules": {"schedules.png"},
    "sgd_vs_batch": {"sgd_vs_batch.png"},
}
CHAPTER = {
    "adam", "binary_classification", "decision_boundary", "derivation", "landscape",
    "micrograd_moons", "network_2_3_1", "neuron", "own_loop", "paths", "rates", "regression",
    "report", "schedules", "sgd_vs_batch", "softmax_cross_entropy", "symmetry", "unknown_function",
}  # fmt: skip


def run(path, folder, *arguments):
    """Runs an example in a folder of its own, warnings being errors."""
    return subprocess.run(
        [sys.executable, "-W", "error", path, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=1800,
        check=False,
    )


def test_every_topic_has_its_example():
    assert set(NAMES) == {"digits", "custom", *(f"chapter/{name}" for name in CHAPTER)}


@pytest.mark.parametrize("path", EXAMPLES, ids=NAMES)
def test_example_runs(path, tmp_path):
    image = pytest.importorskip("PIL.Image")
    result = run(path, tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stderr == ""
    assert 0 < len(result.stdout.splitlines()) <= 40
    drawn = {file.name for file in (tmp_path / "pictures").glob("*")}
    assert drawn == PICTURES.get(path.stem, set())
    assert all((tmp_path / "pictures" / name).stat().st_size > 10_000 for name in drawn)
    assert {file.name for file in tmp_path.iterdir()} <= {"pictures"}
    for name in drawn - {"report.html"}:
        with image.open(tmp_path / "pictures" / name) as picture:
            assert getattr(picture, "n_frames", 1) == (31 if name.endswith(".gif") else 1)


def test_pictures_go_where_the_argument_says(tmp_path):
    result = run(ROOT / "examples" / "chapter" / "rates.py", tmp_path, str(tmp_path / "a" / "b"))
    assert result.returncode == 0, result.stderr
    assert [file.name for file in tmp_path.rglob("*.png")] == ["rates.png"]
    assert (tmp_path / "a" / "b" / "rates.png").exists()


@pytest.mark.parametrize("path", EXAMPLES, ids=NAMES)
def test_example_is_one_page(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 80
    assert text.startswith('"""')
    assert "assert" in text
