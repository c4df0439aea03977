"""What kernels become: shares of workers, vectors, and the bits of folds."""

import ctypes

import numpy as np
import pytest

from codegen.compile import assemble
from codegen.interpret import interpret
from codegen.ir import Any, Buffer, Let, Loop, Program, Sequence
from codegen.machine import this_machine
from codegen.monoids import MONOIDS
from codegen.scalar import Axis, Index, Scalar, affine
from tests.codegen.build import argument, call, fold, free, load, local, number, put

# Numba's convention: room for a result and for an exception come first.
KERNEL = ctypes.CFUNCTYPE(
    ctypes.c_int32, *[ctypes.c_void_p] * 2, *[ctypes.c_ssize_t] * 2, *[ctypes.c_void_p] * 2
)


def one_kernel(body, buffers, sizes=()):
    """The only kernel of a program, compiled."""
    program = Program("one", free(*sizes), tuple(buffers), (body,))
    (kernel,) = assemble((("given", program),)).kernels
    return kernel


def called(kernel, worker, workers, numbers, arrays) -> None:
    """Runs one worker's share."""
    words = np.array([*numbers, 0], np.int64)
    addresses = np.array([array.ctypes.data for array in arrays], np.int64)
    room = np.zeros(2, np.int64)
    given = (room[:1], room[1:], worker, workers, words, addresses)
    run = KERNEL(kernel.kernel.loaded.address)
    run(*(each.ctypes.data if isinstance(each, np.ndarray) else each for each in given))


@pytest.mark.parametrize("workers", [1, 2, 3, 8])
@pytest.mark.parametrize("extent", [0, 1, 4, 5, 31, 32, 33])
def test_a_worker_takes_a_run_of_neighbouring_tiles(extent, workers):
    tile = 4
    body = put("y", "i", value=call("add", load("y", "i"), 1.0))
    kernel = one_kernel(Loop("i", "n", Any(tile), (body,)), [argument("y", "n")], ["n"])
    tiles = -(-extent // tile)
    for worker in range(workers):
        y = np.zeros(extent)
        called(kernel, worker, workers, (extent, tile), (y,))
        first = worker * tiles // workers * tile
        last = min((worker + 1) * tiles // workers * tile, extent)
        wanted = np.zeros(extent)
        wanted[first:last] = 1.0
        np.testing.assert_array_equal(y, wanted)


def test_loops_over_several_arrays_compare_no_addresses():
    new = call("add", load("m", "i", "j", dtype="float32"), load("x", "i", "j", dtype="float32"))
    rate = call("multiply", load("rate", dtype="float32"), new)
    stores = (
        put("m", "i", "j", value=new),
        put("x", "i", "j", value=call("subtract", load("x", "i", "j", dtype="float32"), rate)),
    )
    loop = Loop("i", "n", Any(4), (Loop("j", "k", Any(), stores),))
    buffers = [argument(name, "n", "k", dtype="float32") for name in ("m", "x")]
    kernel = one_kernel(loop, [*buffers, argument("rate", dtype="float32")], ["n", "k"])
    assert f"<{this_machine().vector_bytes // 4} x float>" in kernel.llvm
    assert "memcheck" not in kernel.llvm


def test_a_view_and_its_root_are_one_memory():
    after = affine(1, {Axis("i"): 1})
    chain = put("x", after, 0, value=call("add", load("flat", "i"), 1.0))
    buffers = [argument("x", "n", 1), Buffer("flat", ("n",), "float64", "argument", "x")]
    program = Program("chain", free("n", "m"), tuple(buffers), (
        Loop("i", "m", Sequence(), (chain,)),
    ))  # fmt: skip
    x, expected = np.zeros((100, 1)), np.zeros((100, 1))
    sizes = {"n": 100, "m": 99}
    assemble((("given", program),)).bind(sizes, {"x": x}).run()
    interpret(program, sizes, {"x": expected})
    np.testing.assert_array_equal(x, expected)
    assert x[-1] == 99


SHORT, ROWS = 11, 70
FORMS = ("run", "row", "short", "column")
GIVEN = {
    "moments": lambda x: (number(1, x.dtype), x, number(0, x.dtype)),
    "logsumexp": lambda x: (x, number(1, x.dtype)),
    "argmax": lambda x: (x, Axis("k")),
    "all": lambda x: (call("less", x, 1.5),),
    "any": lambda x: (call("less", x, -1.5),),
}
ROUNDED = {"moments": 1e-5, "logsumexp": 1e-5}


def folded(monoid: str, form: str) -> tuple[Program, list[str]]:
    """A fold of x (one row of it, each row, each short row, each column), and its results."""
    down = form == "column"
    place: tuple[str | Index, ...] = ("k", "i") if down else ("i", "k")
    if form == "run":
        place = (affine(0), "k")
    values: tuple[Scalar, ...] = GIVEN.get(monoid, lambda x: (x,))(
        load("x", *place, dtype="float32")
    )
    extent = SHORT if form == "short" else "n"
    loop = fold(monoid, "v", "k", extent, *values, leaf=32)
    names = loop.order.names
    stores = [
        put(f"out{at}", *(() if form == "run" else ("i",)), value=local(name, each.dtype))
        for at, (name, each) in enumerate(zip(names, values, strict=True))
    ]
    body = (loop, *stores)
    shape = (extent, "m") if down else ("m", extent)
    outs = [
        argument(f"out{at}", *(() if form == "run" else ("m",)), dtype=each.dtype)
        for at, each in enumerate(values)
    ]
    statements = body if form == "run" else (Loop("i", "m", Any(8), body),)
    buffers = (argument("x", *shape, dtype="float32"), *outs)
    return Program("folded", free("n", "m"), buffers, statements), [each.name for each in outs]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("monoid", MONOIDS)
def test_every_form_of_a_fold_has_the_bits_that_are_stated(monoid, form):
    program, outs = folded(monoid, form)
    ready = assemble((("given", program),))
    random = np.random.default_rng(0)
    for extent in (SHORT,) if form == "short" else (0, 1, 15, 16, 17, 33, 100):
        for rows in (1, ROWS) if form in ("short", "column") and extent < 20 else (3,):
            x = random.normal(size=(rows, extent)) * 2.0 ** random.integers(-3, 3, (rows, extent))
            if extent > 2:
                x[:, -1] = x[:, 1]
            arrays = {"x": np.ascontiguousarray(x.T if form == "column" else x, np.float32)}
            for name in outs:
                buffer = program.buffer(name)
                shape = [rows] * len(buffer.shape)
                arrays[name] = np.zeros(shape, buffer.dtype)
            expected = {name: array.copy() for name, array in arrays.items()}
            sizes = {"n": extent, "m": rows}
            ready.bind(sizes, arrays).run()
            with np.errstate(all="ignore"):
                interpret(program, sizes, expected)
            for name in outs:
                np.testing.assert_allclose(
                    arrays[name], expected[name], rtol=ROUNDED.get(monoid, 0), atol=0
                )


@pytest.mark.parametrize("form", FORMS)
def test_a_fold_is_done_with_vectors(form):
    program, _ = folded("sum", form)
    (kernel,) = assemble((("given", program),)).kernels
    wide = "zmm" if this_machine().vector_bytes == 64 else "ymm"
    lines = [line for line in kernel.assembly.splitlines() if "vaddps" in line and wide in line]
    assert lines or this_machine().vector_bytes == 16


def test_what_one_loop_of_a_block_binds_another_uses():
    x = load("x", "k", "i")
    top = fold("maximum", "top", "k", "n", x)
    shifted = call("subtract", x, local("top"))
    total = fold("sum", "total", "k", "n", call("multiply", shifted, local("scale")))
    body = (
        Let("scale", call("add", load("y", "i"), 2.0)),
        top,
        Let("half", call("multiply", local("top"), 0.5)),
        put("y", "i", value=local("half")),
        total,
        put("z", "i", value=call("add", local("total"), local("half"))),
    )
    buffers = [argument("x", "n", "m"), argument("y", "m"), argument("z", "m")]
    program = Program("steps", free("n", "m"), tuple(buffers), (Loop("i", "m", Any(8), body),))
    random = np.random.default_rng(0)
    arrays = {"x": random.normal(size=(20, 70)), "y": random.normal(size=70), "z": np.zeros(70)}
    expected = {name: array.copy() for name, array in arrays.items()}
    sizes = {"n": 20, "m": 70}
    executable = assemble((("given", program),))
    assert "_tower()" in executable.kernels[0].source
    executable.bind(sizes, arrays).run()
    interpret(program, sizes, expected)
    for name, array in expected.items():
        np.testing.assert_allclose(arrays[name], array, rtol=1e-14)


def test_scratch_of_an_iteration_is_not_shared_by_a_block():
    kept = put("t", "k", value=call("multiply", load("x", "i", "k"), 2.0))
    total = fold("sum", "total", "k", 3, load("t", "k"))
    body = (Loop("k", 3, Any(), (kept,)), total, put("y", "i", value=local("total")))
    program = Program(
        "scratch",
        free("m"),
        (argument("x", "m", 3), argument("y", "m"), Buffer("t", (3,), "float64", "tile")),
        (Loop("i", "m", Any(8), body),),
    )
    arrays = {"x": np.arange(30.0).reshape(10, 3), "y": np.zeros(10)}
    assemble((("given", program),)).bind({"m": 10}, arrays).run()
    np.testing.assert_array_equal(arrays["y"], 2 * arrays["x"].sum(1))


def test_places_of_a_permutation_are_drawn_with_vectors():
    seeds = (load("seed", dtype="int64"), load("epoch", dtype="int64"))
    drawn = call("permuted", Axis("i"), load("count", dtype="int64"), *seeds, dtype="int64")
    names = ("count", "seed", "epoch")
    buffers = [argument("y", "n", dtype="int64"), *(argument(n, dtype="int64") for n in names)]
    kernel = one_kernel(Loop("i", "n", Any(64), (put("y", "i", value=drawn),)), buffers, ["n"])
    if "+avx512dq" not in this_machine().features:
        pytest.skip("no products of vectors of words")
    # Six rounds of two products each; the rest of the walk goes number by number.
    assert kernel.assembly.count("vpmullq") >= 12
