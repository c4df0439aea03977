"""Contractions on tensor cores: operands rounded to tf32 or bf16, sums in float32."""

import re
from dataclasses import replace

import numpy as np
import pytest

from codegen.interpret import interpret
from tests.codegen.test_contraction_kernel import product
from tests.cuda.kernels import compiled
from tests.cuda.products import LAYOUTS, Case, of
from tests.cuda.test_products_on_a_gpu import FORMS, TERMS, finished
from tests.ptx.errors import PtxError

PRECISIONS = ["tf32", "bf16"]
DROPPED = {"tf32": 13, "bf16": 16}


def rounded(array: np.ndarray, precision: str) -> np.ndarray:
    """To nearest: ties away from zero for tf32 (PTX ISA, cvt.rna), to even for bf16 (cvt.rn)."""
    bits = array.astype(np.float32).view(np.uint32).astype(np.int64)
    dropped = DROPPED[precision]
    half = 1 << (dropped - 1)
    if precision == "bf16":
        half += ((bits >> dropped) & 1) - 1
    return ((bits + half) >> dropped << dropped).astype(np.uint32).view(np.float32)


def matches(case: Case, terms, out: str) -> None:
    """The sums of products of rounded operands, within the rounding of float32 sums."""
    case.filled()
    case.run()
    wanted, most = 0.0, 0.0
    for number, (left, right) in enumerate(terms):
        x, y = (rounded(case.arrays[f"{name}{number}"], case.precision).astype(np.float64)
                for name in "xy")  # fmt: skip
        wanted = wanted + np.einsum(f"{left},{right}->{out}", x, y)
        most = most + np.einsum(f"{left},{right}->{out}", np.abs(x), np.abs(y))
    ours = case.arrays["out"].reshape(np.shape(wanted))
    assert (np.abs(ours - wanted) <= 64 * np.finfo(np.float32).eps * most + 1e-30).all()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout(layout):
    left, right, out = LAYOUTS[layout]
    case = Case(*of(layout, a=18, b=21, c=20, d=9, z=2), 2, 2, "tf32", tile=8)
    matches(case, [(left, right)], out)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("shape", ["rows", "square"])
@pytest.mark.parametrize("layout", ["NN", "TT"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form(form, layout, shape, precision):
    left, right, out = LAYOUTS[layout]
    case = Case(*of(layout, **FORMS[form]), precision=precision, shape=shape)
    matches(case, [(left, right)], out)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_terms_and_blocks(precision):
    program = product(*TERMS, out="ac", dtype="float32", static=False)
    sizes = {"A": 40, "B": 35, "C": 76, "D": 50}
    matches(Case(program, sizes, 5, 2, precision, "square", 8), TERMS, "ac")


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_bits_do_not_hang_on_the_blocks(precision):
    made = []
    for blocks, across in ((1, 1), (3, 1), (4, 2)):
        case = Case(*of("NT", a=96, b=50, c=128), blocks, across, precision, "rows", 16)
        case.filled()
        case.run()
        made.append(case.arrays["out"].tobytes())
    assert len(set(made)) == 1


@pytest.mark.parametrize("shape", ["rows", "square"])
@pytest.mark.parametrize("name", ["momentum", "bias and tanh"])
def test_the_body_is_run_for_each_element(name, shape):
    sizes = {"A": 40, "B": 40, "C": 50}
    case = Case(finished(name), sizes, 2, precision="tf32", shape=shape, tile=8)
    case.filled(1)
    wanted = {name: array.copy() for name, array in case.arrays.items()}
    for operand in ("x0", "y0"):
        wanted[operand] = rounded(wanted[operand], "tf32")
    interpret(replace(case.program, body=(case.statement,)), sizes, wanted)
    case.run()
    for name in set(wanted) - {"x0", "y0"}:
        np.testing.assert_allclose(case.arrays[name], wanted[name], rtol=2e-5, atol=2e-5)


def test_a_missing_barrier_is_caught():
    case = Case(*of("NN", a=66, b=70, c=66), precision="bf16", shape="square",
                change=(r"bar\.sync\s+0;|barrier\.sync\s+0;", ""))  # fmt: skip
    case.filled()
    with pytest.raises(PtxError):
        case.run()


def test_rounding_that_is_left_out_is_caught():
    case = Case(*of("NN", a=66, b=70, c=66), precision="tf32", shape="square",
                change=(r"cvt\.rna\.tf32\.f32", "mov.b32"))  # fmt: skip
    with pytest.raises((AssertionError, PtxError)):
        matches(case, [("ab", "bc")], "ac")


@pytest.mark.parametrize("shape", ["rows", "square"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_machine_code(precision, shape):
    made = compiled(Case(*of("NN"), precision=precision, shape=shape).source)
    used = made.resources
    assert used.registers <= (192 if shape == "rows" else 255)
    assert used.stack_bytes == used.spill_load_bytes == used.spill_store_bytes == 0
    assert made.shared <= 48 << 10
    code = made.sass
    wanted = r"HMMA\.1688\.F32\.TF32" if precision == "tf32" else r"HMMA\.16816\.F32\.BF16"
    assert len(re.findall(wanted, code)) >= (2 if shape == "rows" else 22)
    assert re.search(r"LDGSTS\.E\.BYPASS\.128", code)
    assert not re.search(r"\b(LDL|STL)\b", code)


def test_tensor_cores_are_never_used_unasked():
    assert "HMMA" not in compiled(Case(*of("NN"), shape="square").source).sass
