"""Loop nests as texts for a GPU mean what the IR's interpreter says, whatever the number of blocks;
their PTX is run by the interpreter of PTX, which watches for races."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from codegen.cpu.errors import CompileError
from codegen.cuda.sources import nest as nest_source
from codegen.cuda.sources import single
from codegen.interpret import interpret
from codegen.ir import Any, Buffer, Let, Loop, Program, Sequence, SizeRule, Tree, Until, Yield
from codegen.passes import optimise
from codegen.scalar import Axis, affine
from codegen.walk import index_buffers
from tests.codegen.build import (
    argument,
    call,
    cast,
    fold,
    load,
    local,
    nest,
    number,
    put,
    ref,
    state,
)
from tests.codegen.running import scheduled
from tests.codegen.samples import SAMPLES, Sample
from tests.codegen.test_random_programs import programs
from tests.cuda.kernels import compiled, run, simulated
from tests.ptx.errors import PtxError, Race

Arrays = dict[str, np.ndarray]


def both(program: Program, sizes: Mapping[str, int], arrays: Arrays, blocks: int) -> tuple:
    """The arrays after the PTX ran, and after the interpreter of the IR ran."""
    ours, wanted = ({name: a.copy() for name, a in arrays.items()} for _ in range(2))
    run(program, sizes, ours, blocks)
    interpret(program, sizes, wanted)
    return ours, wanted


def assert_close(ours: Arrays, wanted: Arrays, tolerance: float = 1e-12) -> None:
    for name, want in wanted.items():
        np.testing.assert_allclose(
            ours[name], want, rtol=tolerance, atol=tolerance, err_msg=name, equal_nan=True
        )


@pytest.mark.parametrize("name", SAMPLES)
def test_an_optimised_sample(name: str):
    sample = SAMPLES[name]
    program = list(optimise(sample.program))[-1][1]
    for blocks in (1, 3):
        assert_close(*both(program, sample.sizes, sample.arrays(), blocks))


@pytest.mark.parametrize("name", ["broadcast", "softmax", "pad", "strided"])
def test_a_sample_as_it_stands(name: str):
    sample = SAMPLES[name]
    program = scheduled(sample.program)
    assert_close(*both(program, sample.sizes, sample.arrays(), 2))


@settings(
    max_examples=4, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(programs())
def test_a_random_program(sample: Sample):
    program = list(optimise(sample.program))[-1][1]
    assert_close(*both(program, sample.sizes, sample.arrays(), 2), tolerance=1e-9)


def tiled(loop: Loop, tile: int = 2) -> Loop:
    return replace(loop, order=Any(tile))


def folds(dtype: str, leaf: int) -> tuple:
    """Every monoid over row i of x, each result stored in a column of `out`."""
    x, one = load("x", "i", "j", dtype=dtype), number(1.0, dtype)
    positive = call("less", 0.0, x)
    made = [
        ("sum", (x,)), ("product", (x,)), ("maximum", (x,)), ("minimum", (x,)),
        ("all", (positive,)), ("any", (positive,)), ("argmax", (x, Axis("j"))),
        ("moments", (one, x, number(0.0, dtype))), ("logsumexp", (x, one)),
    ]  # fmt: skip
    body = []
    column = 0
    for monoid, values in made:
        tree = fold(monoid, f"f_{monoid}", "j", "m", *values, leaf=leaf)
        body.append(tree)
        for name, value in zip(tree.order.names, values, strict=True):
            result = cast(local(name, value.dtype), dtype)
            body.append(put("out", "i", column, value=result))
            column += 1
    return tuple(body), column


def fold_program(dtype: str, leaf: int, *, block: bool) -> Program:
    body, columns = folds(dtype, leaf)
    loop: tuple = (tiled(nest({"i": "n"}, *body)),)
    if block:
        loop = (Loop("i", "n", Sequence(), body),)
    buffers = (argument("x", "n", "m", dtype=dtype), state("out", "n", columns, dtype=dtype))
    return Program("folds", (SizeRule("n"), SizeRule("m")), buffers, loop)


# Sums of squared deviations and of exponentials contract a product and a sum into one operation.
EXACT = [0, 1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("dtype", "leaf", "block"),
    [("float64", 3, False), ("float64", 3, True), ("float32", 1024, False)],
)
def test_folds_have_the_bits_of_the_tree(dtype: str, leaf: int, block: bool):
    program = fold_program(dtype, leaf, block=block)
    columns = program.buffers[1].shape[1]
    random = np.random.default_rng(3)
    # Many runs and one, rests of all kinds, and no iterations at all.
    for m in (0, 1, 15, 16, 17, 40, (53 if leaf < 9 else 2) * leaf - 1):
        x = random.uniform(-1.5, 1.5, (3, m)).astype(dtype)
        if m > 2:
            x[0, 1:] = x[0, :-1].copy()
            x[1, m // 2] = np.nan
            x[2] = -np.inf
        arrays = {"x": x, "out": np.zeros((3, columns), dtype)}
        ours, wanted = both(program, {"n": 3, "m": m}, arrays, 2)
        np.testing.assert_array_equal(ours["out"][:, EXACT], wanted["out"][:, EXACT])
        assert_close(ours, wanted, 1e-5 if dtype == "float32" else 1e-12)


@pytest.mark.parametrize("leaf", [3, 1024])
def test_folds_down_columns(leaf: int):
    """16 columns at a time, a strand a half-warp; what follows the folds is once a column."""
    x = load("x", "i", "j")
    top = fold("maximum", "top", "i", "n", call("multiply", x, load("scale")), leaf=leaf)
    total = fold("sum", "total", "i", "n", x, leaf=leaf)
    both_folds = Let("both", call("add", local("total"), local("top")))
    less = put("b", "j", value=call("subtract", load("b", "j"), local("both")))
    loop = tiled(nest({"j": "m"}, total, top, both_folds, less), 9)
    buffers = (argument("x", "n", "m"), argument("scale"), state("b", "m"))
    program = Program("columns", (SizeRule("n"), SizeRule("m")), buffers, (loop,))
    assert "lane * 17 + half" in nest_source(loop, index_buffers(program)).text
    random = np.random.default_rng(2)
    for n, m in ((0, 5), (1, 1), (17, 16), (53, 40)):
        arrays = {"x": random.uniform(-1, 1, (n, m)), "b": random.uniform(-1, 1, m),
                  "scale": np.array(-2.0)}  # fmt: skip
        ours, wanted = both(program, {"n": n, "m": m}, arrays, 2)
        np.testing.assert_array_equal(ours["b"], wanted["b"])


@pytest.mark.parametrize("leaf", [7, 1024])
def test_a_fold_of_folds_in_one_tile(leaf: int):
    """Of all elements of a matrix: a strand of the rows a half-warp."""
    x = load("x", "i", "j")
    row = fold("sum", "row", "j", "m", x)
    tree = Tree("sum", ("all",), ("float64",), leaf)
    given = Yield((call("maximum", local("row"), number(0.0)),))
    body = Loop("i", "n", tree, (row, given), start=1), put("y", value=local("all"))
    buffers = (argument("x", 40, "m"), state("y"))
    program = Program("all", (SizeRule("n"), SizeRule("m")), buffers, body)
    for n, m in ((0, 3), (1, 1), (16, 20), (39, 5)):
        arrays = {"x": np.random.default_rng(n).normal(size=(40, m)), "y": np.zeros(())}
        ours, wanted = both(program, {"n": n, "m": m}, arrays, 2)
        np.testing.assert_array_equal(ours["y"], wanted["y"])


@pytest.mark.parametrize("order", [Any(2), Sequence()], ids=["half", "block"])
def test_an_ordered_fold_of_folds(order: Any | Sequence):
    """The first of the rows with the largest sum."""
    row = fold("sum", "row", "k", 3, load("x", "i", "j", "k"))
    tree = Tree("argmax", ("top", "at"), ("float64", "int64"), 4)
    best = Loop("j", "m", tree, (row, Yield((local("row"), Axis("j")))))
    body = (best, put("y", "i", value=local("at", "int64")))
    buffers = (argument("x", "n", "m", 3), state("y", "n", dtype="int64"))
    loop = Loop("i", "n", order, body)
    program = Program("best", (SizeRule("n"), SizeRule("m")), buffers, (loop,))
    x = np.random.default_rng(8).integers(0, 3, (4, 23, 3)).astype(float)
    ours, wanted = both(program, {"n": 4, "m": 23}, {"x": x, "y": np.zeros(4, np.int64)}, 2)
    np.testing.assert_array_equal(ours["y"], wanted["y"])
    np.testing.assert_array_equal(ours["y"], x.sum(2).argmax(1))


def test_a_value_that_the_inner_loop_overwrites_is_read_before():
    """Each row less its first element, in place."""
    y = load("y", "i", "j")
    inner = nest({"j": "m"}, put("y", "i", "j", value=call("subtract", y, local("first"))))
    loop = tiled(nest({"i": "n"}, Let("first", load("y", "i", 0)), inner))
    program = Program("in_place", (SizeRule("n"), SizeRule("m")), (state("y", "n", "m"),), (loop,))
    assert "half_barrier()" in nest_source(loop, index_buffers(program)).text
    y = np.random.default_rng(9).normal(size=(37, 21))
    ours, wanted = both(program, {"n": 37, "m": 21}, {"y": y}, 2)
    np.testing.assert_array_equal(ours["y"], wanted["y"])
    np.testing.assert_array_equal(ours["y"], y - y[:, :1])


@pytest.mark.parametrize("order", [Any(2), Sequence()], ids=["half", "block"])
def test_a_fold_that_begins_later(order: Any | Sequence):
    tree = fold("sum", "s", "j", 21, load("x", "i", "j"), leaf=4)
    body = (replace(tree, start=5), put("y", "i", value=local("s")))
    buffers = (argument("x", "n", 26), state("y", "n"))
    program = Program("later", (SizeRule("n"),), buffers, (Loop("i", "n", order, body),))
    arrays = {"x": np.random.default_rng(4).normal(size=(5, 26)), "y": np.zeros(5)}
    ours, wanted = both(program, {"n": 5}, arrays, 2)
    np.testing.assert_array_equal(ours["y"], wanted["y"])


def test_folds_of_integers():
    x = load("x", "i", "j", dtype="int32")
    body = (
        fold("sum", "s", "j", "m", x, leaf=4), put("out", "i", 0, value=local("s", "int32")),
        fold("maximum", "t", "j", "m", x, leaf=4), put("out", "i", 1, value=local("t", "int32")),
        fold("product", "u", "j", "m", x, leaf=4), put("out", "i", 2, value=local("u", "int32")),
    )  # fmt: skip
    buffers = (argument("x", "n", "m", dtype="int32"), state("out", "n", 3, dtype="int32"))
    loop = tiled(nest({"i": "n"}, *body))
    program = Program("integers", (SizeRule("n"), SizeRule("m")), buffers, (loop,))
    x = np.random.default_rng(1).integers(-(2**31), 2**31, (4, 45), np.int32)
    arrays = {"x": x, "out": np.zeros((4, 3), np.int32)}
    ours, wanted = both(program, {"n": 4, "m": 45}, arrays, 2)
    np.testing.assert_array_equal(ours["out"], wanted["out"])


def deep() -> tuple[Program, dict[str, int], Arrays]:
    """Folds inside folds, loops inside sequences inside loops, and values between loops; members
    read what others wrote all along."""
    inner = fold("sum", "s", "j", "m", call("multiply", load("x", "i", "j"), load("w", "j", "k")))
    outer = Loop(
        "k", "k", Tree("maximum", ("top",), ("float64",), 2), (inner, Yield((local("s"),)))
    )
    walk = Loop("t", 3, Sequence(), (
        nest({"j": "m"}, put("y", "i", "j", value=call("add", load("y", "i", "j"), local("top")))),
        fold("sum", "z", "j", "m", load("y", "i", "j")),
        put("z", "i", value=call("multiply", local("z"), 0.5)),
        Let("seen", load("z", "i")),
        nest({"j": "m"}, put("y", "i", "j", value=call("subtract", load("y", "i", "j"),
                                                     local("seen")))),
    ))  # fmt: skip
    row = (outer, put("z", "i", value=local("top")), walk,
           nest({"j": "m"}, Let("shrunk", call("exp", load("z", "i"))),
                nest({"k": "k"}, put("cube", "i", "j", "k", value=call(
                    "add", local("shrunk"), load("y", "i", "j"))))))  # fmt: skip
    buffers = (argument("x", "n", "m"), argument("w", "m", "k"), state("y", "n", "m"),
               state("z", "n"), state("cube", "n", "m", "k"))  # fmt: skip
    sizes = tuple(map(SizeRule, "nmk"))
    program = Program("deep", sizes, buffers, (tiled(nest({"i": "n"}, *row), 3),))
    random = np.random.default_rng(5)
    known = {"n": 7, "m": 19, "k": 5}
    arrays = {
        one.name: random.uniform(-0.3, 0.3, [known[str(e)] for e in one.shape]) for one in buffers
    }
    return program, known, arrays


def test_a_deep_nest():
    for blocks in (1, 2):
        assert_close(*both(*deep(), blocks))


def test_a_deep_nest_in_one_tile():
    """The same statements as a part of one sequence: by a whole block."""
    program, sizes, arrays = deep()
    (loop,) = program.body
    assert isinstance(loop, Loop)
    # A sequence over i that holds no Any loop directly: the rows are walked by all threads.
    made = single((replace(loop, order=Sequence()),), index_buffers(program))
    assert made.single
    assert "block_barrier()" in made.text
    wanted = {name: a.copy() for name, a in arrays.items()}
    interpret(replace(program, body=(loop,)), sizes, wanted)
    ours = {name: a.copy() for name, a in arrays.items()}
    numbers = np.array([sizes.get(str(s), s) for s in made.sizes], np.int64)
    simulated(compiled(made), 2, numbers, [ours[name] for name in made.buffers])
    assert_close(ours, wanted)


def test_an_until_inside_a_tile():
    """Newton's steps for a root, row by row, until they are small."""
    y = load("y", "i")
    move = call("multiply", call("subtract", y, call("divide", load("x", "i"), y)), 0.5)
    steps = Loop("t", 50, Sequence(), (
        Let("move", move),
        put("y", "i", value=call("subtract", y, local("move"))),
        put("done", "i", value=call("less", call("abs", local("move")), 1e-9)),
        Until(ref("done", "i")),
        put("count", "i", value=call("add", load("count", "i"), 1.0)),
    ))  # fmt: skip
    total = fold("sum", "s", "j", 3, load("count", "i"))
    buffers = (argument("x", "n"), state("y", "n"), state("count", "n"), state("total", "n"),
               state("done", "n", dtype="bool"))  # fmt: skip
    for body in ((steps,), (steps, total, put("total", "i", value=local("s")))):
        loop = tiled(nest({"i": "n"}, *body))
        program = Program("newton", (SizeRule("n"),), buffers, (loop,))
        arrays = {"x": np.linspace(1, 9, 21), "y": np.ones(21), "count": np.zeros(21),
                  "total": np.zeros(21), "done": np.zeros(21, bool)}  # fmt: skip
        assert_close(*both(program, {"n": 21}, arrays, 2))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "bool"])
def test_whole_arrays_of_every_dtype_and_length(dtype: str):
    x, y = load("x", "i", dtype=dtype), load("y", "i", dtype=dtype)
    function = "logical_or" if dtype == "bool" else "maximum"
    # What is stored is loaded again by the same iteration.
    body = (put("y", "i", value=call(function, x, y)), put("z", "i", value=y))
    buffers = tuple(state(name, "n", dtype=dtype) for name in "xyz")
    loop = tiled(nest({"i": "n"}, *body), 7)
    program = Program("whole", (SizeRule("n"),), buffers, (loop,))
    assert "put_four" in nest_source(loop, index_buffers(program)).text
    random = np.random.default_rng(6)
    for count in (0, 1, 3, 4, 1030):
        arrays = {name: random.integers(0, 2 if dtype == "bool" else 99, count).astype(dtype)
                  for name in "xyz"}  # fmt: skip
        ours, wanted = both(program, {"n": count}, arrays, 3)
        assert all(np.array_equal(ours[name], wanted[name]) for name in "xyz"), count


def test_whole_arrays_are_moved_by_vectors():
    program = list(optimise(SAMPLES["adam"].program))[-1][1]
    made = compiled(nest_source(program.body[0], index_buffers(program)))
    assert "LDG.E.128" in made.sass
    assert "STG.E.128" in made.sass
    assert made.resources.stack_bytes == made.resources.spill_load_bytes == 0


def test_a_value_before_no_iterations_is_not_computed():
    """The scalar that is the same in all iterations is loaded only if there are any."""
    scale = Let("scale", load("scales", affine(5)))
    inner = nest({"j": "m"}, put("y", "i", "j", value=call(
        "multiply", load("x", "i", "j"), local("scale"))))  # fmt: skip
    buffers = (argument("x", "n", "m"), argument("scales", "k"), state("y", "n", "m"))
    loop = tiled(nest({"i": "n"}, scale, inner))
    program = Program("none", tuple(map(SizeRule, "nmk")), buffers, (loop,))
    for n, m, k in ((0, 3, 1), (3, 4, 6)):
        arrays = {"x": np.ones((n, m)), "scales": np.arange(1.0, k + 1), "y": np.zeros((n, m))}
        assert_close(*both(program, {"n": n, "m": m, "k": k}, arrays, 2))


def without(text: str, line: str) -> str:
    """The text with `pass` for one of its lines."""
    assert line in text
    return text.replace(line, "pass")


@pytest.mark.parametrize("team", ["half", "block"])
def test_a_missing_barrier_is_a_race(team: str):
    program, sizes, arrays = deep()
    (loop,) = program.body
    buffers = index_buffers(program)
    made = nest_source(loop, buffers)
    if team == "block":
        made = single((replace(loop, order=Sequence()),), buffers)
    numbers = np.array([sizes.get(str(s), s) for s in made.sizes], np.int64)
    given = [arrays[name] for name in made.buffers]
    simulated(compiled(made), 1, numbers, given)
    broken = replace(made, text=without(made.text, f"{team}_barrier()"))
    with pytest.raises(Race):
        simulated(compiled(broken), 1, numbers, given)


def test_a_reach_too_far_is_caught():
    x = load("x", affine(1, {Axis("i"): 1}))
    loop = tiled(nest({"i": "n"}, put("y", "i", value=x)))
    buffers = (argument("x", "n"), state("y", "n"))
    program = Program("beyond", (SizeRule("n"),), buffers, (loop,))
    with pytest.raises(PtxError):
        run(program, {"n": 64}, {"x": np.ones(64), "y": np.ones(64)})


def test_memory_of_a_tile_is_refused():
    buffers = (Buffer("t", ("n",), "float64", "tile"), state("y", "n"))
    loop = tiled(nest({"i": "n"}, put("t", "i", value=number(1.0)),
                      put("y", "i", value=load("t", "i"))))  # fmt: skip
    with pytest.raises(CompileError, match="belongs to a tile"):
        nest_source(loop, {one.name: one for one in buffers})
