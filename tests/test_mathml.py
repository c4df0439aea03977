"""Formulas as MathML: well formed, with every symbol in its place, safe for any name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from xml.etree import ElementTree

import pytest
from samples import SAMPLES, Sample
from test_formula import CASES
from test_formula_goldens import SHEETS
from test_formula_sheets import MODELS

import symnet as sn
from symnet.errors import GraphError
from symnet.expr import Expr
from symnet.formula.html import Row, table
from symnet.formula.mathml import MathMLPrinter, name_mathml
from symnet.formula.tree import Listed, Number, Relation
from symnet.ops.table import POINTWISE

CHILDREN = {"mfrac": 2, "msub": 2, "msup": 2, "munder": 2, "mover": 2, "math": 1}
LEAVES = {"mi", "mn", "mo", "mtext", "mspace"}
GROUPS = {"mrow", "mstyle", "msqrt", "mtable", "mtr", "mtd", *CHILDREN}
SPACE = "{http://www.w3.org/1998/Math/MathML}"
PLAIN = {ord(sign): "" for sign in "\N{INVISIBLE TIMES}\N{FUNCTION APPLICATION}\u2003\u00a0"}
PLAIN[ord("\N{DOWN TACK}")] = "T"


def parsed(text: str) -> ElementTree.Element:
    """The tree of one or more elements, each with as many children as its kind demands."""
    root = ElementTree.fromstring(f"<page>{text}</page>")
    for element in root.iter():
        name = element.tag.removeprefix(SPACE)
        if not element.tag.startswith(SPACE):
            continue
        assert name in LEAVES | GROUPS, name
        assert len(element) == CHILDREN.get(name, len(element)), ElementTree.tostring(element)
        assert not (name in LEAVES and len(element))
        if name in GROUPS:
            assert not (element.text or "").strip(), "text outside of a leaf"
        assert not (element.tail or "").strip() or name == "math"
    return root


def read(element: ElementTree.Element) -> str:
    """The formula on one line: a_(b) for what is lowered, a^(b) for what is raised."""
    name = element.tag.removeprefix(SPACE)
    parts = [read(child) for child in element]
    if name in LEAVES:
        return (element.text or "").translate(PLAIN)
    match name:
        case "mfrac":
            return f"({parts[0]})/({parts[1]})"
        case "msub" | "munder":
            return f"{parts[0]}_({parts[1]})"
        case "msup" | "mover":
            return f"{parts[0]}^({parts[1]})"
        case "msqrt":
            return f"√({''.join(parts)})"
    return "".join(parts)


def shown(expr: Expr, form: str = "matrix") -> str:
    return read(parsed(sn.formula(expr, form=form, to="mathml")))


x, y, w = sn.input("x"), sn.input("y"), sn.input("w")
X, Y, v = sn.input("X", ("N", 4)), sn.input("Y", ("N", 4)), sn.input("v", ("N",))
Z = sn.input("Z", ("N", "K"))
W = sn.parameter("W_hidden", (4, 4))
f = sn.function("f")

EXACT = [
    (w * x - y, "wx−y"),
    (-x, "−x"),
    ((x - y) ** 2, "(x−y)^(2)"),
    (2 * x / 3, "(2)/(3)x"),
    (0.1 * 0.4**x, "0.1·0.4^(x)"),
    (1e-12 * x, "1·10^(−12)x"),
    (x / (y * w), "(x)/(yw)"),
    (sn.exp(-x), "e^(−x)"),
    (sn.sqrt(x + 1), "√(x+1)"),
    (sn.tanh(x) ** 2, "tanh^(2)(x)"),
    (sn.log(x), "logx"),
    (sn.where(x < 0, x, y), "{xifx<0yelse"),
    ((X @ W) * Y, "(XW_(hidden))⊙Y"),
    (X.T @ Y, "X^(T)Y"),
    (X / Y, "X⊘Y"),
    (X**3, "X^(∘3)"),
    (sn.mean((X - Y) ** 2), "(1)/(N·4)‖X−Y‖^(2)"),
    (sn.sum(Z, axis=1), "∑_(k)Z_(:,k)"),
    (sn.max(Z, axis=1), "max_(k)Z_(:,k)"),
    (sn.abs(x - y), "|x−y|"),
    (sn.grad(f(w * x), x), "f′(wx)w"),
    (sn.grad(sn.mean(X @ W), W), "(1)/(N·4)X^(T)11^(T)"),
    (sn.one_hot(sn.input("y", ("N",), dtype="int64"), 3), "YwhereY_(n,k)=[y_(n)=k]"),
]


@pytest.mark.parametrize(("expr", "expected"), EXACT, ids=[case[1] for case in EXACT])
def test_a_formula_is_written(expr: Expr, expected: str) -> None:
    assert shown(expr) == expected


def words(text: str) -> set[str]:
    """The letters and numbers that a formula is made of."""
    return set(re.findall(r"[^\W\d_]+|\d+", text))


@pytest.mark.parametrize("expr", [case[0] for case in CASES], ids=[case[1] for case in CASES])
def test_whatever_text_says_mathml_says(expr: Expr) -> None:
    text = sn.formula(expr)
    for word in words(text) - {"where", "e", "ᵀ"}:
        if word.isascii() and "e" not in word:
            assert word in shown(expr), text


@pytest.mark.parametrize("name", POINTWISE)
def test_every_row_of_the_table_prints(name: str) -> None:
    row = POINTWISE[name]
    kind = "bool" if row.accepts == "bool" else "float64"
    for shape in ((), ("N", 3)):
        operands = [sn.input(f"a_{k}", shape, kind) for k in range(row.arity)]
        if name == "where":
            operands[0] = operands[0] > 0
        for form in ("matrix", "index"):
            assert "a_(0)" in shown(row(*operands), form)


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_every_other_op_prints_with_its_gradient(sample: Sample) -> None:
    total = sn.sum(sample.output)
    for expr in (sample.output, *(sn.grad(total, leaf) for leaf in sample.wrt)):
        for form in ("matrix", "index"):
            assert shown(expr, form)


@pytest.mark.parametrize("name", SHEETS)
def test_the_golden_sheets_print(name: str) -> None:
    sheet = SHEETS[name]()
    parsed(sheet.mathml())
    page = parsed(sheet.html("line"))
    rows = list(page.iter("tr"))
    names = [line.split(" = ")[0].strip() for line in str(sheet).splitlines()]
    found = [row.attrib["data-name"] for row in rows]
    assert found == [name for name in names if name in found]
    assert [row.attrib["id"] for row in rows] == [f"line-{k}" for k in range(1, len(rows) + 1)]
    assert all(remark in "".join(page.itertext()) for remark in sheet.remarks)


@pytest.mark.parametrize("model", MODELS)
def test_sheets_of_models_print(model: Callable[[], Expr]) -> None:
    with sn.default_dtype("float64"):
        sheet = sn.gradients(model())
    parsed(sheet.mathml())
    parsed(sheet._repr_html_())


def test_a_chain_has_its_labels_below() -> None:
    text = read(parsed(SHEETS["neuron"]().mathml()))
    assert "2(a−y)_(⏟)_(∂L/∂a)·a(1−a)_(⏟)_(∂a/∂z)·x_(⏟)_(∂z/∂w)" in text


def test_negative_and_nested_constants() -> None:
    printer = MathMLPrinter()
    rows = Listed((Listed((Number(1), Number(-2))), Listed((Number(3), Number(4)))))
    assert len(list(parsed(math_of(printer.show(rows))).iter(f"{SPACE}mtr"))) == 2
    assert read(parsed(math_of(printer.show(rows)))) == "[1−234]"


def math_of(content: str) -> str:
    return f'<math xmlns="{SPACE[1:-1]}"><mrow>{content}</mrow></math>'


def test_relations_are_escaped() -> None:
    less = Relation("<", Number(1), Number(2))
    assert read(parsed(math_of(MathMLPrinter().show(less)))) == "1<2"


NAMES = {
    "W_1": "W_(1)",
    "W_hidden": "W_(hidden)",
    "x1": "x_(1)",
    "alpha": "α",
    "beta_1": "β_(1)",
    "loss": "loss",
    "m\N{COMBINING CIRCUMFLEX ACCENT}_1": "m^(\N{MODIFIER LETTER CIRCUMFLEX ACCENT})_(1)",
    "w′": "w′",
    "<script>alert(1)</script>": "<script>alert(1)</script>",
    "a & b": "a & b",
    'quo"te': 'quo"te',
    "bell\x07": "bell\ufffd",
    "½": "½",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_data(name: str) -> None:
    text = name_mathml(name)
    assert read(parsed(math_of(text))) == NAMES[name]
    assert "<script" not in text


def test_what_stands_on_a_page_is_escaped() -> None:
    hostile = '"><script>alert(1)</script>'
    page = table([Row(hostile, hostile, "", hostile)], [hostile])
    parsed(page)
    assert "<script" not in page


def test_unknown_notations_are_refused() -> None:
    with pytest.raises(GraphError, match="text, latex, mathml"):
        sn.formula(x, to="html")


def leaves(element: ElementTree.Element) -> Iterator[str]:
    yield from (leaf.text or "" for leaf in element.iter() if leaf.tag == f"{SPACE}mi")


def test_ones_are_bold_and_greek_is_greek() -> None:
    text = sn.formula(sn.grad(sn.sum(sn.sigmoid(sn.input("alpha", ("N",))) @ v), v), to="mathml")
    assert "σ" in list(leaves(parsed(text)))
    assert "α" in list(leaves(parsed(text)))
    ones = sn.formula(sn.grad(sn.sum(X @ W), W), to="mathml")
    assert '<mn style="font-weight: bold">1</mn>' in ones
