"""What kernels become: shares of workers, vectors, and the bits of folds."""

import ctypes

import numpy as np
import pytest

from codegen.compile import assemble
from codegen.interpret import interpret
from codegen.ir import Any, Buffer, Loop, Program, Sequence
from codegen.machine import this_machine
from codegen.scalar import Axis, affine
from tests.codegen.build import argument, call, free, load, put

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
