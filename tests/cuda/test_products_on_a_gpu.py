"""Contractions as device functions: every layout, form of a tile, and way of sharing out, run by an
interpreter of PTX."""

import re
from dataclasses import replace

import numpy as np
import pytest

from codegen.cpu.errors import CompileError
from codegen.cuda.contraction import contraction
from codegen.interpret import interpret
from codegen.ir import Any, Contraction, Factor, Let, Loop, Program, Store, contraction_into
from codegen.scalar import Axis
from codegen.walk import index_buffers
from tests.codegen.build import argument, call, cast, free, load, local, number, ref, state
from tests.codegen.test_contraction_kernel import product
from tests.cuda.kernels import compiled
from tests.cuda.products import LAYOUTS, Case, chain, of
from tests.ptx.errors import PtxError

TERMS = [("ab", "bc"), ("da", "dc"), ("ab", "cb")]
SMALL = {"a": 5, "b": 19, "c": 3, "d": 4, "z": 3}
# One for each form of a tile: few elements, several rows, narrow and tall, squares of 64, of 128.
FORMS = {
    "shallow": {"a": 21, "b": 5, "c": 30},
    "one": {"a": 7, "b": 37, "c": 19},
    "four": {"a": 21, "b": 70, "c": 45},
    "tall": {"a": 150, "b": 33, "c": 6},
    "square": {"a": 66, "b": 40, "c": 60},
    "large": {"a": 130, "b": 20, "c": 72},
}


def matches(case: Case, terms, out: str, dtype: str = "float32") -> None:
    case.filled()
    case.run()
    wanted = chain(terms, out, case.arrays, dtype)
    np.testing.assert_array_equal(case.arrays["out"].reshape(wanted.shape), wanted)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout(layout):
    case = Case(*of(layout, **SMALL), blocks=2, columns_shared=1)
    left, right, out = LAYOUTS[layout]
    matches(case, [(left, right)], out)


@pytest.mark.parametrize("layout", ["NN", "TN", "NT", "TT"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_in_rows(form, layout):
    left, right, out = LAYOUTS[layout]
    matches(Case(*of(layout, **FORMS[form])), [(left, right)], out)


@pytest.mark.parametrize("layout", ["NN", "TT"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_in_squares(form, layout):
    left, right, out = LAYOUTS[layout]
    case = Case(*of(layout, **FORMS[form]), shape="square")
    matches(case, [(left, right)], out)


@pytest.mark.parametrize("shape", ["rows", "square"])
@pytest.mark.parametrize("form", ["shallow", "four", "square"])
def test_float64(form, shape):
    case = Case(*of("NT", "float64", **FORMS[form]), shape=shape)
    case.filled()
    case.run()
    wanted = case.arrays["x0"] @ case.arrays["y0"].T
    np.testing.assert_allclose(case.arrays["out"], wanted, rtol=1e-13, atol=1e-12)


@pytest.mark.parametrize("sizes", [(32, 64, 64), (64, 32, 128)])
@pytest.mark.parametrize("layout", ["NN", "TN"])
def test_operands_that_are_copied_sixteen_bytes_at_a_time(sizes, layout):
    left, right, out = LAYOUTS[layout]
    case = Case(*of(layout, **dict(zip("abc", sizes, strict=True))), shape="square")
    matches(case, [(left, right)], out)


@pytest.mark.parametrize("shape", ["rows", "square"])
@pytest.mark.parametrize(("blocks", "columns_shared"), [(1, 3), (2, 1), (3, 3), (4, 2), (5, 2)])
def test_blocks_are_a_grid(blocks, columns_shared, shape):
    program, sizes = of("NN", a=33, b=20, c=70)
    case = Case(program, sizes, blocks, columns_shared, shape=shape)
    matches(case, [("ab", "bc")], "ac")


@pytest.mark.parametrize("tile", [None, 1, 7, 64])
def test_tiles_of_the_first_axis(tile):
    matches(Case(*of("NN", a=20, b=18, c=9), blocks=3, tile=tile), [("ab", "bc")], "ac")


@pytest.mark.parametrize("shape", ["rows", "square"])
def test_terms_are_one_chain(shape):
    program = product(*TERMS, out="ac", dtype="float32", static=False)
    case = Case(program, {"A": 40, "B": 35, "C": 36, "D": 50}, shape=shape)
    matches(case, TERMS, "ac")


@pytest.mark.parametrize("empty", ["a", "b", "c", "ab"])
def test_nothing_to_sum_or_to_make(empty):
    sizes = {letter: 0 if letter in empty else 20 for letter in "abc"}
    case = Case(*of("NN", **sizes))
    case.filled()
    if case.arrays["out"].size:
        case.run()
    assert (case.arrays["out"] == 0).all()


def test_a_term_of_depth_zero_adds_nothing():
    program = product(*TERMS, out="ac", dtype="float32", static=False)
    matches(Case(program, {"A": 9, "B": 35, "C": 9, "D": 0}), TERMS, "ac")


@pytest.mark.parametrize("shape", ["rows", "square"])
def test_infinities_and_negative_zeros_stay_where_they_are(shape):
    case = Case(*of("NN", a=40, b=21, c=40), shape=shape)
    case.filled()
    case.arrays["x0"][39, 20] = np.inf
    case.arrays["x0"][3] = -0.0
    case.arrays["y0"][:, 5] = np.abs(case.arrays["y0"][:, 5])
    case.run()
    wanted = chain([("ab", "bc")], "ac", case.arrays, "float32")
    assert case.arrays["out"].tobytes() == wanted.tobytes()


def epilogues() -> dict[str, tuple]:
    """Bodies by name: what else is read and written, and the statements."""
    F = "float32"
    total = local("total", F)
    here = ("a", "c")
    weight = load("weight", *here, dtype=F)
    speed = call("add", call("multiply", load("speed", *here, dtype=F), number(0.9, F)), total)
    masked = call("select", call("less", cast(Axis("a"), F), number(7.0, F)), total,
                  number(0.0, F))  # fmt: skip
    bias = call("tanh", call("add", total, load("bias", "c", dtype=F)))
    scaled = call("multiply", call("subtract", total, load("mean", "a", dtype=F)), number(0.5, F))
    return {
        "bias and tanh": (["bias"], [Store(ref("out", *here), bias)]),
        "mask": ([], [Store(ref("out", *here), masked)]),
        "scaled": (["mean"], [Store(ref("out", *here), scaled)]),
        "momentum": (
            ["weight", "speed"],
            [
                Let("moved", speed),
                Store(ref("speed", *here), local("moved", F)),
                Store(ref("weight", *here),
                      call("subtract", weight, call("multiply", local("moved", F),
                                                    number(0.01, F)))),
                Store(ref("out", *here), local("moved", F)),
            ],
        ),
    }  # fmt: skip


EPILOGUES = epilogues()


def finished(name: str) -> Program:
    """out = an epilogue of x0 @ y0."""
    program = product(("ab", "bc"), out="ac", dtype="float32", static=False)
    shapes = {"bias": ("C",), "mean": ("A",), "weight": ("A", "C"), "speed": ("A", "C")}
    more, body = EPILOGUES[name]
    buffers = [state(one, *shapes[one], dtype="float32") for one in more]
    statement = replace(program.body[0], body=tuple(body), result="total")
    return replace(program, buffers=(*program.buffers, *buffers), body=(statement,))


@pytest.mark.parametrize("shape", ["rows", "square"])
@pytest.mark.parametrize("sizes", [(9, 4, 5), (37, 40, 50)])
@pytest.mark.parametrize("name", EPILOGUES)
def test_the_body_is_run_for_each_element(name, sizes, shape):
    known = dict(zip("ABC", sizes, strict=True))
    case = Case(finished(name), known, 2, shape=shape)
    case.filled(1)
    wanted = {name: array.copy() for name, array in case.arrays.items()}
    interpret(replace(case.program, body=(case.statement,)), known, wanted)
    case.run()
    for name, array in case.arrays.items():
        np.testing.assert_allclose(array, wanted[name], rtol=2e-5, atol=2e-5, err_msg=name)


def test_a_part_of_longer_buffers():
    statement = contraction_into(
        Factor("out", ("a", "c")),
        ((Factor("x", ("a", "b")), Factor("y", ("b", "c"))),),
        (("a", "A"), ("b", 30), ("c", 20)),
        "float32",
    )
    buffers = [argument("x", 50, 30, dtype="float32"), argument("y", 33, 20, dtype="float32"),
               argument("out", 51, 20, dtype="float32")]  # fmt: skip
    case = Case(Program("part", free("A"), tuple(buffers), (statement,)), {"A": 41}, 2)
    arrays = case.filled()
    case.run()
    np.testing.assert_allclose(arrays["out"][:41], arrays["x"][:41] @ arrays["y"][:30], rtol=2e-5,
                               atol=2e-5)  # fmt: skip
    assert np.isnan(arrays["out"][41:]).all()


@pytest.mark.parametrize("shape", ["rows", "square"])
def test_a_missing_barrier_is_caught(shape):
    program, sizes = of("NN", a=66, b=70, c=66)
    case = Case(program, sizes, shape=shape, change=(r"bar\.sync\s+0;|barrier\.sync\s+0;", ""))
    case.filled()
    with pytest.raises(PtxError):
        case.run()


def test_a_copy_that_nobody_waits_for_is_caught():
    program, sizes = of("NN", a=40, b=70, c=40)
    case = Case(program, sizes, change=(r"cp\.async\.wait_group\s+0;", ""))
    case.filled()
    with pytest.raises(PtxError):
        case.run()


def test_a_wrong_stride_is_caught():
    program, sizes = of("NN", a=40, b=20, c=33)
    case = Case(program, {**sizes})
    case.filled()
    case.program = replace(
        program, buffers=tuple(replace(b, shape=("A", "C")) if b.name == "x0" else b
                               for b in program.buffers))  # fmt: skip
    with pytest.raises((PtxError, CompileError, AssertionError)):
        matches_as_it_is(case)


def matches_as_it_is(case: Case) -> None:
    case.run()
    wanted = chain([("ab", "bc")], "ac", case.arrays, "float32")
    np.testing.assert_array_equal(case.arrays["out"], wanted)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", ["rows", "square"])
def test_the_machine_code(shape, dtype):
    program, _ = of("NN", dtype)
    case = Case(program, {}, shape=shape)
    made = compiled(case.source)
    used = made.resources
    assert used.registers <= (184 if shape == "rows" else 255)
    assert used.stack_bytes == used.spill_load_bytes == used.spill_store_bytes == 0
    assert made.shared <= 48 << 10
    assert ".func" not in made.ptx
    code = made.sass
    assert re.search(r"LDGSTS\.E\.BYPASS\.128", code)
    assert "LDS.128" in code
    assert ("FFMA" if dtype == "float32" else "DFMA") in code
    assert not re.search(r"\b(LDL|STL)\b", code)


def test_a_text_is_blind_to_sizes():
    one = Case(product(("ab", "bc"), out="ac", dtype="float32", static=True), {})
    other = Case(*of("TT", **SMALL))
    assert one.source.text == other.source.text


def test_what_cannot_be_made_is_refused():
    program, _ = of("NN", "float64")
    buffers = index_buffers(program)
    (statement,) = program.body
    assert isinstance(statement, Contraction)
    with pytest.raises(CompileError, match="float64"):
        contraction(statement, buffers, "tf32")
    with pytest.raises(CompileError, match="fp8"):
        contraction(statement, buffers, "fp8")
    inner = Loop("k", 3, Any(), ())
    with pytest.raises(CompileError, match="cannot hold a Loop"):
        contraction(replace(statement, body=(inner,)), buffers)
