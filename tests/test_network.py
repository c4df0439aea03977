"""Networks from text, and `symnet derive` on them."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import symnet as sn
from symnet.cli.main import main
from symnet.errors import ParseError
from symnet.parse import parse_network

EXAMPLES = Path(__file__).parents[1] / "examples" / "networks"
TWO_LAYERS = """X: N×2
Y: N×1
W_1: 2×3
b_1: 3
W_2: 3×1
b_2: 1
Z_1 = X W_1 + b_1
A_1 = tanh(Z_1)
Z_2 = A_1 W_2 + b_2
L   = 1/N ‖Z_2 − Y‖²
"""


def built() -> tuple[sn.Expr, dict[str, np.ndarray]]:
    """The same network from layers, and numbers for either."""
    x, y = sn.input("X", ("N", 2), "float64"), sn.input("Y", ("N", 1), "float64")
    net = sn.nn.Sequential(
        sn.nn.Dense(2, 3, activation="tanh", dtype="float64"), sn.nn.Dense(3, 1, dtype="float64")
    )
    rng = np.random.default_rng(3)
    shapes = {"X": (5, 2), "Y": (5, 1), "W_1": (2, 3), "b_1": (3,), "W_2": (3, 1), "b_2": (1,)}
    return sn.losses.mse(net(x), y), {name: rng.normal(size=s) for name, s in shapes.items()}


def test_a_network_reads_as_its_layers_are() -> None:
    network = parse_network(TWO_LAYERS)
    loss, feeds = built()
    assert list(network.leaves) == ["X", "Y", "W_1", "b_1", "W_2", "b_2"]
    assert [p.name for p in network.parameters()] == ["W_1", "b_1", "W_2", "b_2"]
    assert list(network.defined) == ["Z_1", "A_1", "Z_2", "L"]
    ours, theirs = sn.gradients(network.loss), sn.gradients(loss)
    assert str(ours) == str(theirs)
    found = sn.evaluate([network.loss, *ours.values()], feeds)
    wanted = sn.evaluate([loss, *theirs.values()], feeds)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13)


def test_what_a_sheet_prints_is_a_network_when_its_shapes_are_declared() -> None:
    forward = str(sn.gradients(built()[0])).splitlines()[:4]
    declared = TWO_LAYERS.splitlines()[:6]
    # The shapes at the right of a sheet's lines are no part of an equation.
    equations = [re.sub(r"\s{2,}N×\d$", "", line) for line in forward]
    assert parse_network("\n".join([*declared, *equations])).defined.keys() == {
        "Z_1", "A_1", "Z_2", "L",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("declared", "shape", "op", "dtype"),
    [
        ("w: number", (), "parameter", "float64"),
        ("w: scalar data", (), "input", "float64"),
        ("w: 3", (3,), "parameter", "float64"),
        ("w: 3 x 4", (3, 4), "parameter", "float64"),
        ("w: 3x4", (3, 4), "parameter", "float64"),
        ("w: 3*4 data", (3, 4), "input", "float64"),
        ("w : N, 4", ("N", 4), "input", "float64"),
        ("w: N integer", ("N",), "input", "int64"),
        ("w, u: 2×3  # two", (2, 3), "parameter", "float64"),
        ("γ: 4", (4,), "parameter", "float64"),
    ],
)
def test_declarations(declared: str, shape: tuple[object, ...], op: str, dtype: str) -> None:
    network = parse_network(f"{declared}\nv: number\nL = v²")
    first = next(iter(network.leaves.values()))
    assert (tuple(map(str, first.shape)), first.op.name, str(first.dtype)) == (
        tuple(map(str, shape)), op, dtype,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("", "line 1, column 1", "there is no equation"),
        ("x: number", "line 1, column 1", "the last line says the loss"),
        ("X: N×2\nZ = X W_9", "line 2, column 7", "declare it on a line of its own: W_9: 2×3"),
        ("X: N×2\nW: 2×3\n# so\nL = X W +", "line 4, column 10", "ends too early"),
        ("X: N×2\nW: 3×2\nL = ‖X W‖²", "line 3, column 8", "N×2 times 3×2 does not fit"),
        ("X: N×2\nL = X", "line 2, column 1", "the last line is the loss, a single number"),
        ("X: N×2 floats\nL = 1", "line 1, column 6", "behind it may stand data"),
        ("X: N×\nL = 1", "line 1, column 6", "a size is missing"),
        ("X: N×2\nX: 3\nL = 1", "line 2, column 1", "X is declared already"),
        ("X: N×2\nhello world", "line 2, column 1", "this is neither"),
        ("N: 3\nX: N×2\nL = ‖X‖²", "line 2, column 1", "N is the name of a size and of an array"),
        ("1x: 3\nL = 2", "line 1, column 1", "must be an identifier"),
        ("W: N×2 parameter\nL = 1", "line 1, column 3", "the sizes of a parameter are numbers"),
        ("x: number\nL = x; y", "line 2, column 6", "is not expected here"),
        ("x: number\nL = x\nL = 2 x", "line 3, column 1", "L is defined already"),
        ("x: number\nx = 3", "line 2, column 1", "x is defined already"),
        ("x: number\nL == x", "line 2, column 4", "a definition has one ="),
        ("x: number\nL = __import__('os')", "line 2, column 5", "there is no function"),
        ("x: 99999999999\nL = 1", "line 1, column 4", "is no size"),
    ],
)
def test_faults_have_line_column_caret_and_advice(text: str, place: str, said: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_network(text)
    message = str(caught.value)
    assert said in message
    head, shown, caret = message.split("\n")
    assert head.startswith(place)
    column = int(place.rpartition(" ")[2])
    assert caret == " " * (3 + column) + "^"
    line = int(place.split()[1].rstrip(","))
    assert shown == "    " + [*text.split("\n"), ""][line - 1]


def test_long_texts_and_other_things_are_refused() -> None:
    with pytest.raises(ParseError, match="at most"):
        parse_network("L = 1\n" * 100_000)
    with pytest.raises(ParseError, match="text"):
        parse_network(b"L = 1")  # type: ignore[arg-type]


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = main(["derive", *arguments])
    out, err = capsys.readouterr()
    return status, out, err


@pytest.mark.parametrize("name", ["two_layers", "softmax"])
def test_examples_derive_and_every_step_of_theirs_holds(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(EXAMPLES / f"{name}.txt")
    status, sheet, _ = run(capsys, path)
    assert status == 0
    assert sheet == f"{sn.gradients(parse_network(Path(path).read_text()).loss)}\n"
    status, steps, _ = run(capsys, path, "--steps", "--check")
    parameters = parse_network(Path(path).read_text()).parameters()
    assert status == 0
    assert steps.count("claims checked: every step holds") == len(parameters)


def test_steps_of_one_variable_even_an_intermediate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "net"
    path.write_text(TWO_LAYERS, encoding="utf-8")
    status, out, _ = run(capsys, str(path), "--wrt", "Z_2", "--steps")
    assert status == 0
    assert out.endswith("∂L/∂Z_2 = 2/N (Z_2 − Y)\n")
    status, latex, _ = run(capsys, str(path), "--wrt", "W_1", "--steps", "--latex")
    assert latex.startswith("\\begin{aligned}")
    assert r"\delta_1" in latex
    assert run(capsys, str(path), "--latex")[1] == sn.gradients(built()[0]).latex() + "\n"


@pytest.mark.parametrize("more", [(), ("--steps",), ("--wrt", "W_1", "--steps", "--check")])
def test_a_page_of_html_stands_by_itself(
    more: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "net.txt"
    path.write_text(TWO_LAYERS, encoding="utf-8")
    status, out, _ = run(capsys, str(path), "--html", *more)
    assert status == 0
    assert out.startswith("<!doctype html>")
    assert "<script" not in out
    assert "http" not in out.replace("http://www.w3.org/1998/Math/MathML", "")
    body = out.partition("<body")[2].partition("</body>")[0]
    tree = ElementTree.fromstring(f"<body{body}</body>".replace("&nbsp;", " ").replace("<hr>", ""))
    assert len(list(tree.iter("details"))) == {0: 0, 1: 10 + 10 + 7 + 7, 4: 10}[len(more)]
    assert list(tree.iter("{http://www.w3.org/1998/Math/MathML}math"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("none.txt",), "none.txt: No such file"),
        (("FILE", "--wrt", "W_3"), "--wrt: the file has no 'W_3', it has X, Y, W_1"),
        (("FILE", "--compare", "1"), "--compare and --at are for a formula"),
        (("FILE", "--latex", "--html"), "choose one"),
        (("BAD",), "line 2, column 5: nothing is called y"),
        (("DATA",), "the file declares no parameter: say --wrt NAME"),
        (("BINARY",), "BINARY.txt: "),
    ],
)
def test_wrong_input_ends_with_words_and_status_2(
    arguments: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = {"FILE": TWO_LAYERS, "BAD": "x: number\nL = y²", "DATA": "X: N×2\nL = ‖X‖²"}
    for name, text in texts.items():
        (tmp_path / f"{name}.txt").write_text(text, encoding="utf-8")
    (tmp_path / "BINARY.txt").write_bytes(b"\xff\xfe\x00")
    known = [*texts, "BINARY"]
    given = [str(tmp_path / f"{a}.txt") if a in known else a for a in arguments]
    status, out, err = run(capsys, *given)
    assert (status, out) == (2, "")
    assert err.startswith("symnet: ")
    assert said in err


def test_a_formula_can_be_checked_and_shown_as_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "tanh(d*w + b)", "--wrt", "w", "--check")
    assert status == 0
    assert out.endswith("claims checked: every step holds\n")
    status, out, _ = run(capsys, "tanh(d*w + b)", "--wrt", "w", "--html", "--at", "d=1,w=2,b=3")
    assert out.count("<details") == 3
    assert "value 0.9999" in out
