"""Wrong input to the command line: one clear line, status 2, and never a traceback."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from codegen import cache
from symnet.cli import main

TREE = Path(__file__).parents[1]
MODEL = """
import symnet as sn

x, y = sn.input("X", ("N", 3)), sn.input("Y", ("N", 2))
net = sn.nn.Dense(3, 2)
loss = sn.losses.mse(net(x), y)
number = 3

def boom():
    return 1 / 0

def mismatch():
    return sn.input("a", (2,)) + sn.input("b", (3,))

def leave():
    raise SystemExit(5)
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.py"
    path.write_text(MODEL)
    return path


WRONG = [
    (["trian"], "there is no command 'trian', .*; did you mean train"),
    (["--verson"], "there is no command '--verson', .*; did you mean --version"),
    (["-x"], "there is no command '-x'"),
    (["train"], "required: dataset"),
    (["train", "digit"], "there is no data set 'digit', .*; did you mean digits"),
    (["train", "moons", "--epochs", "0"], "--epochs: a whole number from 1 is needed, got '0'"),
    (["train", "moons", "--epochs", "-3"], "--epochs: a whole number .* got '-3'"),
    (["train", "moons", "--epochs", "2.5"], "--epochs: a whole number .* got '2.5'"),
    (["train", "moons", "--epoch", "3"], "does not take '--epoch'; did you mean --epochs"),
    (["train", "moons", "--data", "3"], "train does not take '--data'"),
    (["train", "moons", "--target", "cuda"], "no GPU can be used.*symnet doctor"),
    (["train", "moons", "--target", "tpu"], "a target is one of cpu, cuda, got 'tpu'"),
    (["doctor", "--jsn"], "doctor does not take '--jsn'; did you mean --json"),
    (["train", "moons", "--rate", "fast"], "--rate: a number above 0 is needed, got 'fast'"),
    (["train", "moons", "--rate", "nan"], "--rate: a number above 0 is needed"),
    (["train", "moons", "--rate", "-1"], "--rate: a number above 0 is needed, got '-1'"),
    (["train", "moons", "--seed", "-1"], "--seed: a whole number from 0"),
    (["train", "moons", "--threads", "0"], "--threads: a whole number from 1"),
    (["train", "moons", "--batch-size", "0"], "--batch-size: a whole number from 1"),
    (["train", "moons", "--batch-size", "161"], "--batch-size: 161 rows a step, .* 160 to learn"),
    (["derive", "x^2"], "required: --wrt"),
    (["derive", "x^2 + xy", "--wrt", "y"], "--wrt: the formula has no 'y', it has x, xy"),
    (["derive", "rate^2", "--wrt", "rat"], "it has rate; did you mean rate"),
    (["derive", "3", "--wrt", "x"], "it has no names"),
    (["derive", "x", "--wrt", "x", "--at", "x=a"], "'x=a' is no name=number"),
    (["derive", "x", "--wrt", "x", "--at", "x=1,x=2"], "x is given twice"),
    (["derive", "x*y", "--wrt", "x", "--at", "x=2"], "--at: y has no value"),
    (["derive", "x", "--wrt", "x", "--at", "x=2,z=3"], "--at: there is no z"),
    (["derive", "x^2", "--wrt", "x", "--compare", "2*q"], "--compare: the formula has no 'q'"),
    (["derive", "x", "--wrt", "x", "--compare", "1", "--latex"], "leave --latex and --at out"),
    (["check", "moon"], "there is no model 'moon'.*; did you mean moons"),
    (["derive", "x", "--wrt", "-x"], "the formula has no '-x', it has x"),
    (["check", "/:x"], "/: this is a folder"),
    (["explain", "moons", "-o", "a" * 300], "a: File name too long"),
    (["check", "no.py"], "no.py: which name in it"),
    (["check", "no.py:loss"], "no.py: there is no such file"),
    (["explain", "moons", "--stage", "fus"], "a stage is one of .*, got 'fus'"),
    (["cache", "lss"], "invalid choice: 'lss'"),
]


@pytest.mark.parametrize(("arguments", "told"), WRONG, ids=lambda value: " ".join(value)[:40])
def test_wrong_input_is_one_line_and_status_2(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
):
    assert main(arguments) == 2
    _, faults = capsys.readouterr()
    assert re.search(told, faults)
    assert faults.startswith("symnet: ")
    assert faults.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "told", "caret"),
    [
        (["derive", "tanh(d*w", "--wrt", "w"], "this \\( is never closed", 8),
        (["derive", "x 2", "--wrt", "x"], "an operator is missing before '2': write \\*", 6),
        (["derive", "2 3 x", "--wrt", "x"], "an operator is missing before '3': write \\*", 6),
        (["derive", "x(y)", "--wrt", "x"], r"a product is written x\*\(...\)", 4),
        (["derive", "x^2", "--wrt", "x", "--compare", "2**"], "ends too early", 7),
    ],
)
def test_a_fault_in_a_formula_has_a_caret(
    arguments: list[str], told: str, caret: int, capsys: pytest.CaptureFixture[str]
):
    assert main(arguments) == 2
    faults = capsys.readouterr().err.splitlines()
    assert re.search(told, faults[0])
    assert faults[2] == " " * caret + "^"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("los", "has nothing called 'los'; did you mean loss"),
        ("number", "number is int; a loss .* is needed"),
        ("boom", r"model.py, line 10: ZeroDivisionError: division by zero"),
        ("mismatch", r"model.py:13"),
        ("leave", "ended the program by itself"),
        ("net", "argument"),
    ],
)
def test_a_fault_in_the_users_file_is_one_line(
    name: str, told: str, model: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["check", f"{model}:{name}"]) == 2
    printed, faults = capsys.readouterr()
    assert printed == ""
    assert re.search(told, faults)
    assert faults.count("\n") == 1


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("a.py", "import nothing_there", "a.py, line 1: ModuleNotFoundError"),
        ("a.py", "def (", "a.py, line 1: invalid syntax"),
        ("a.py", "\0", "a.py"),
        ("a.txt", "x = 1", "its name must end in .py"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line(
    file: str, text: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / file).write_text(text)
    assert main(["check", f"{tmp_path / file}:x"]) == 2
    faults = capsys.readouterr().err
    assert re.search(told, faults)
    assert faults.count("\n") == 1


def test_without_scikit_learn_the_pip_line_is_given(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("symnet.data.sources.find_spec", lambda name: None)
    assert main(["train", "digits"]) == 2
    faults = capsys.readouterr().err
    assert 'scikit-learn, which is not installed; try: pip install "symnet[sklearn]"' in faults
    assert faults.count("\n") == 1


@pytest.mark.parametrize(
    ("raised", "told", "status"),
    [
        (PermissionError(13, "Permission denied", "/a/b"), "/a/b: Permission denied", 2),
        (OSError("strange"), "strange", 2),
        (MemoryError(), "there is not enough memory", 2),
        (MemoryError("9 GiB"), "there is not enough memory: 9 GiB", 2),
        (KeyError("x\ny"), r"a fault of symnet itself; .*KeyError in test_cli_faults.py, line", 70),
    ],
)
def test_whatever_goes_wrong_is_one_line(
    raised: Exception,
    told: str,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    def fail() -> None:
        raise raised

    monkeypatch.setattr("symnet.cli.cache.cache.entries", fail)
    assert main(["cache", "ls"]) == status
    faults = capsys.readouterr().err
    assert re.match(f"symnet: {told}", faults)
    assert faults.count("\n") == 1


@pytest.mark.parametrize("command", [["cache", "ls"], ["train", "moons", "--quiet"]])
def test_a_cache_that_cannot_be_made_is_one_line(
    command: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SYMNET_CACHE", str(tmp_path / "file"))
    cache.forget()
    assert main(command) == 2
    faults = capsys.readouterr().err
    assert re.match(r"symnet: SYMNET_CACHE=\S+ cannot hold kernels: File exists\n$", faults)


def in_a_shell(line: str) -> subprocess.CompletedProcess[str]:
    settings = {**os.environ, "PYTHONPATH": str(TREE), "S": f"{sys.executable} -m symnet"}
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        capture_output=True,
        encoding="utf-8",
        cwd=TREE,
        env=settings,
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no disk that is always full")
def test_a_full_disk_is_one_line():
    done = in_a_shell("$S derive x^2 --wrt x > /dev/full")
    assert (done.returncode, done.stderr) == (2, "symnet: No space left on device\n")


def test_a_message_does_not_take_this_program_for_the_users(model: Path):
    model.write_text(f"{MODEL}\nmany = net(x)\n")
    done = in_a_shell(f"$S check {model}:many")
    assert done.returncode == 2
    assert "is not a scalar" in done.stderr
    assert "__main__" not in done.stderr
