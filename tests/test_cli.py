"""The command line as its users meet it: what it prints, its exit status, and wrong input."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from codegen import cache
from symnet.cli import main
from symnet.cli.models import find_model, sample_feeds
from symnet.cli.recipes import RECIPES

TREE = Path(__file__).parents[1]
MODEL = """
import symnet as sn

x, y = sn.input("X", ("N", 3)), sn.input("y", ("N",), dtype="int64")
net = sn.nn.Sequential(sn.nn.Dense(3, 4, activation="tanh"), sn.nn.Dense(4, 5))
loss = sn.losses.cross_entropy(net(x), y)
trainer = sn.Trainer(loss, sn.optim.Adam(1e-3))
number = 3

def make():
    return loss
"""
WRONG_PARTIAL = """
import symnet as sn
from symnet.ops.pointwise import Pointwise

wrong = Pointwise("wrong", lambda xp, x: xp.exp(x), (lambda y, x: 2 * y,))
loss = wrong(sn.parameter("w", init=0.5, dtype="float64"))
"""
CLASSES = ("digits", "moons", "breast-cancer")
AT_LEAST = {"digits": 97.0, "moons": 100.0, "breast-cancer": 95.0, "diabetes": 0.45}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.py"
    path.write_text(MODEL)
    return path


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "symnet", *arguments]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(TREE), "PYTHONIOENCODING": "utf-8"}


def last_number(text: str) -> float:
    return float(re.findall(r"-?\d+\.\d+", text.splitlines()[-1])[-1])


@pytest.mark.parametrize("dataset", RECIPES)
def test_training_reaches_what_it_should(dataset: str, capsys: pytest.CaptureFixture[str]):
    assert main(["train", dataset, "--quiet"]) == 0
    printed, faults = capsys.readouterr()
    assert faults == ""
    what = r"accuracy: \d+\.\d %" if dataset in CLASSES else r"R2: \d\.\d\d"
    assert re.fullmatch(f"test {what}\n", printed)
    assert last_number(printed) >= AT_LEAST[dataset]


def test_training_tells_its_story(capsys: pytest.CaptureFixture[str]):
    assert main(["train", "moons", "--epochs", "30"]) == 0
    printed, faults = capsys.readouterr()
    assert faults == ""
    stories = [
        "data: moons: 200 rows, 2 features, 2 classes; 160 rows to learn from, 40 held out",
        "network: 2 → 16 tanh → 16 tanh → 1, 337 parameters",
        "Δ_3 = 1/N (σ(Z_3) − Y)",
        "∂L/∂W_1 = Xᵀ Δ_1",
        "training: 30 epochs, 150 steps of 32 rows",
        "compiling ... ",
        "epoch  3/30  loss ",
        "epoch 30/30  loss ",
        "trained for ",
        "test accuracy: ",
    ]
    places = [printed.find(story) for story in stories]
    assert -1 not in places
    assert places == sorted(places)
    assert printed.count("epoch ") == 10


def test_the_same_seed_gives_the_same_result_whatever_is_printed(
    capsys: pytest.CaptureFixture[str],
):
    options = ["train", "moons", "--epochs", "20", "--rate", "0.003", "--seed", "3"]
    results = []
    for further in ([], ["--quiet"], ["--quiet", "--threads", "2"]):
        assert main([*options, *further]) == 0
        results.append(capsys.readouterr().out.splitlines()[-1])
    assert len(set(results)) == 1


def test_another_run_of_a_kind_compiles_nothing(capsys: pytest.CaptureFixture[str]):
    assert main(["train", "moons", "--epochs", "2"]) == 0
    before = cache.compiled()
    for options in (["--rate", "0.02"], ["--batch-size", "20"], ["--batch-size", "all"]):
        assert main(["train", "moons", "--epochs", "3", *options]) == 0
    assert cache.compiled() == before
    assert "every kernel was in the cache" in capsys.readouterr().out


def test_a_loss_that_is_not_finite_ends_with_status_1(capsys: pytest.CaptureFixture[str]):
    assert main(["train", "moons", "--rate", "1e30", "--quiet"]) == 1
    printed, faults = capsys.readouterr()
    assert printed == ""
    assert re.fullmatch(r"symnet: the loss is \S+ at step \d+ .*; try a lower --rate\n", faults)


def test_a_derivation_and_its_value(capsys: pytest.CaptureFixture[str]):
    arguments = ["derive", "tanh(d*w + b)", "--wrt", "w", "--at", "d=2,w=-3,b=6.88"]
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2] == "∂L/∂w = (1 − tanh²(d w + b)) d"
    assert lines[-1] == "at d = 2, w = -3, b = 6.88: value 0.7064193204, derivative 1.001943488"


def test_a_derivation_as_latex(capsys: pytest.CaptureFixture[str]):
    assert main(["derive", "x^2", "--wrt", "x", "--latex"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("\\begin{aligned}\n")
    assert "\\frac{\\partial L}{\\partial x} = 2 x" in printed


@pytest.mark.parametrize(
    ("formula", "answer", "status"),
    [
        ("tanh(d*w + b)", "(1 - tanh(d*w + b)^2) * d", 0),
        ("tanh(d*w + b)", "d / cosh(d*w + b)^2", 0),
        ("tanh(d*w + b)", "1 - tanh(d*w + b)^2", 1),
        ("-w^2", "-2*w", 0),
        ("-w^2", "2*w", 1),
        ("sqrt(w)", "1/(2*sqrt(-w))", 1),
        ("(sigmoid(w*x + b) - y)^2", "2*(σ(w x + b) − y)".replace("w x", "w·x"), 1),
    ],
)
def test_an_answer_is_marked(
    formula: str, answer: str, status: int, capsys: pytest.CaptureFixture[str]
):
    assert main(["derive", formula, "--wrt", "w", "--compare", answer]) == status
    printed, faults = capsys.readouterr()
    assert faults == ""
    assert printed.startswith("not equal: " if status else "equal: the derivative by w is ")
    assert printed.count("\n") == 1


def test_a_mark_gives_a_point(capsys: pytest.CaptureFixture[str]):
    assert main(["derive", "w^2", "--wrt", "w", "--compare", "3*w"]) == 1
    found = re.fullmatch(
        r"not equal: at w = (\S+) the answer is (\S+), the derivative (\S+)\n",
        capsys.readouterr().out,
    )
    assert found is not None
    point, answer, derivative = map(float, found.groups())
    assert answer == pytest.approx(3 * point, rel=1e-4)
    assert derivative == pytest.approx(2 * point, rel=1e-4)


@pytest.mark.parametrize("name", RECIPES)
def test_a_built_in_model_passes_its_check(name: str, capsys: pytest.CaptureFixture[str]):
    assert main(["check", name]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[0].split() == [
        "parameter", "shape", "against", "absolute", "relative", "verdict",
    ]  # fmt: skip
    assert printed.rstrip().endswith("comparisons, none wrong")


@pytest.mark.parametrize("name", ["loss", "trainer", "make"])
def test_a_model_of_the_user_is_checked(name: str, model: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["check", f"{model}:{name}"]) == 0
    assert "W_1        3×4" in capsys.readouterr().out


def test_a_trainer_is_checked_with_the_values_it_has(model: Path):
    found = find_model(f"{model}:trainer")
    assert set(found.parameters) == {"W_1", "b_1", "W_2", "b_2"}
    feeds = sample_feeds(found.loss, 0)
    assert feeds["X"].shape == (5, 3)
    assert feeds["y"].max() < 5


def test_a_wrong_gradient_is_found(tmp_path: Path):
    path = tmp_path / "wrong.py"
    path.write_text(WRONG_PARTIAL)
    # In a process of its own: the planted row would stay in the table of ops.
    done = subprocess.run(
        command("check", f"{path}:loss"), capture_output=True, encoding="utf-8", env=environment()
    )
    assert done.returncode == 1, done.stderr
    assert "WRONG" in done.stdout


def test_a_missing_library_is_said_to_be_missing(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("symnet.check.gradient.available", lambda name: False)
    assert main(["check", f"{model}:loss"]) == 0
    assert capsys.readouterr().out.count("not installed") == 8


def test_explain_counts_and_shows_kernels(capsys: pytest.CaptureFixture[str]):
    assert main(["explain", "moons"]) == 0
    printed = capsys.readouterr().out
    assert "contractions" in printed
    assert "times the loss alone" in printed
    assert re.search(r"^\d+ kernels, \d+ compiled anew$", printed, re.MULTILINE)
    assert main(["explain", "moons", "--stage", "schedule"]) == 0
    assert capsys.readouterr().out.startswith("program ")


def test_the_cache_is_listed_and_cleared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("SYMNET_CACHE", str(tmp_path / "kernels"))
    assert main(["cache", "ls"]) == 0
    assert capsys.readouterr().out == f"0 kernels, 0.0 of 512 MiB, in {tmp_path / 'kernels'}\n"
    (tmp_path / "kernels" / f"{'a' * 64}.o").write_bytes(b"x" * 2048)
    assert main(["cache", "ls"]) == 0
    assert capsys.readouterr().out.startswith(f"{'a' * 16}      2.0 KiB  last used ")
    assert main(["cache", "clear"]) == 0
    assert capsys.readouterr().out == f"1 kernel removed from {tmp_path / 'kernels'}\n"
    assert list((tmp_path / "kernels").iterdir()) == []


def test_a_cache_that_others_can_write_to_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    tmp_path.chmod(0o777)
    monkeypatch.setenv("SYMNET_CACHE", str(tmp_path))
    assert main(["cache", "ls"]) == 2
    assert "can be written by others" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for one process")
def test_control_c_keeps_a_usable_model_and_ends_with_130():
    running = subprocess.Popen(
        command("train", "moons", "--epochs", "100000"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env=environment(),
    )
    assert running.stdout is not None
    # The first of ten such lines, as soon as it is written: most of the training is still to come.
    while not running.stdout.readline().startswith("epoch  10000/100000"):
        assert running.poll() is None
    running.send_signal(signal.SIGINT)
    _, faults = running.communicate(timeout=300)
    assert running.returncode == 130
    assert re.fullmatch(
        r"symnet: interrupted at step \d+; so far test accuracy: \d+\.\d %\n", faults
    )


def test_control_c_elsewhere_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("symnet.cli.cache.cache.entries", interrupted)
    assert main(["cache", "ls"]) == 130
    assert capsys.readouterr().err == "symnet: interrupted\n"


def test_a_reader_that_leaves_early_is_no_fault():
    running = subprocess.Popen(
        command("train", "moons", "--epochs", "20"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    assert running.stdout is not None
    running.stdout.close()
    assert running.wait(300) == 141
    assert running.stderr is not None
    assert running.stderr.read() == b""
    running.stderr.close()


def test_a_terminal_without_mathematics_gets_a_mark_instead():
    done = subprocess.run(
        command("derive", "x^2", "--wrt", "x"),
        capture_output=True,
        env={**environment(), "PYTHONIOENCODING": "ascii"},
    )
    assert done.returncode == 0
    assert b"?L/?x = 2 x" in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
def test_on_a_terminal_there_is_a_bar_and_it_stays_out_of_the_output():
    terminal, end = os.openpty()
    done = subprocess.run(
        command("train", "moons", "--epochs", "30"),
        stdout=subprocess.PIPE,
        stderr=end,
        encoding="utf-8",
        env={**environment(), "TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(end)
    bar = os.read(terminal, 1 << 16).decode()
    os.close(terminal)
    assert done.returncode == 0
    assert "30/30" in bar
    assert "loss " in bar
    assert "epoch " not in done.stdout
    assert done.stdout.splitlines()[-1].startswith("test accuracy: ")


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], [], ["train", "--help"], ["derive", "x", "--wrt", "x"]]
)
def test_a_light_command_loads_no_heavy_library(arguments: list[str]):
    code = f"""
import sys
from symnet.cli import main
status = main({arguments!r})
heavy = [name for name in ("numba", "llvmlite", "scipy", "sklearn", "rich") if name in sys.modules]
sys.exit(status or f"loaded {{heavy}}" if heavy else status)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", env=environment()
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
