"""The README is true: its blocks run and print what it shows, and what it names exists."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TREE = Path(__file__).parents[1]
TEXT = (TREE / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
PROGRAMS = [
    (text, BLOCKS[place + 1][1]) for place, (kind, text) in enumerate(BLOCKS) if kind == "python"
]
COMMANDS = [
    tuple(part.split("\n", 1))
    for kind, text in BLOCKS
    if kind == "console"
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]
]


def output_of(*command: str) -> str:
    settings = {**os.environ, "PYTHONPATH": str(TREE), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        encoding="utf-8",
        cwd=TREE,
        env=settings,
        timeout=1200,
    )
    assert done.stderr == ""
    return done.stdout


def same(shown: str, printed: str) -> bool:
    return doctest.OutputChecker().check_output(shown, printed, doctest.ELLIPSIS)


def test_the_blocks_are_found():
    assert len(PROGRAMS) == 3
    assert len(COMMANDS) == 4
    assert {kind for kind, _ in BLOCKS} == {"sh", "python", "text", "console"}


@pytest.mark.parametrize(("program", "shown"), PROGRAMS)
def test_a_program_prints_what_is_shown(program: str, shown: str):
    if 'target="cuda"' in program and sys.platform != "linux":
        pytest.skip("there are compilers for GPUs on Linux only")
    printed = output_of("-c", program)
    assert same(shown, printed), printed


@pytest.mark.parametrize(("command", "shown"), COMMANDS)
def test_a_command_prints_what_is_shown(command: str, shown: str):
    words = [quoted or plain for quoted, plain in re.findall(r'"([^"]*)"|(\S+)', command)]
    assert words.pop(0) == "symnet"
    printed = output_of("-m", "symnet", *words)
    if words[0] == "train":
        # A processor with other vectors rounds otherwise, and some digit may change its class.
        shown, printed = (re.sub(r"9[78]\.\d", "#", text) for text in (shown, printed))
    assert same(shown, printed), printed


def test_the_install_lines_are_those_of_the_project():
    (lines,) = (text for kind, text in BLOCKS if kind == "sh")
    assert [line.split("  ")[0] for line in lines.splitlines()] == [
        "make demo",
        "pip install '.[sklearn,plot]'",
    ]
    assert "\ndemo:" in (TREE / "Makefile").read_text()


def test_the_row_shown_is_in_the_table():
    (row,) = (text for kind, text in BLOCKS if kind == "text" and "Pointwise(" in text)
    assert row in (TREE / "symnet" / "ops" / "table.py").read_text()


def test_the_map_of_examples_is_complete():
    rows = re.findall(r"^\| .* \| `(examples/\S+\.py)` \| (.*?) ?\|$", TEXT, re.MULTILINE)
    there = {path.relative_to(TREE).as_posix() for path in (TREE / "examples").rglob("*.py")}
    assert {file for file, _ in rows} == there
    for file, picture in rows:
        text = (TREE / file).read_text(encoding="utf-8")
        assert bool(picture) == ("savefig" in text or ".report(" in text), file
