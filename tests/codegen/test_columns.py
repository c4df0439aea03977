"""Sums down the columns of a matrix, to the bit, whatever its width; and folds that go together."""

import numpy as np
import pytest

from codegen.compile import Options, assemble
from codegen.interpret import interpret
from codegen.ir import Any, Loop, Program
from tests.codegen.build import argument, call, fold, free, load, local, put

F = "float32"
LEAF, STRANDS = 1024, 16
Array = np.ndarray[tuple[int, ...], np.dtype[np.float32]]


def sums(width: int | str) -> Program:
    """The sum of each column of x, whose height is free."""
    body = (
        fold("sum", "total", "k", "n", load("x", "k", "j", dtype=F), leaf=LEAF),
        put("y", "j", value=local("total", F)),
    )
    sizes = ("n",) if isinstance(width, int) else ("n", width)
    buffers = (argument("x", "n", width, dtype=F), argument("y", width, dtype=F))
    return Program("columns", free(*sizes), buffers, (Loop("j", width, Any(8), body),))


def slowly(x: Array) -> Array:
    """Every strand of every run, one row after the other; at most three runs."""
    total = None
    for first in range(0, len(x), LEAF):
        strands = np.zeros((STRANDS, x.shape[1]), x.dtype)
        for place, row in enumerate(x[first : first + LEAF]):
            strands[place % STRANDS] += row
        while len(strands) > 1:
            half = len(strands) // 2
            strands = strands[:half] + strands[half:]
        total = strands[0] if total is None else total + strands[0]
    return np.zeros(x.shape[1], x.dtype) if total is None else total


@pytest.mark.parametrize("width", [1, 2, 10, 16, 63, 64, 65, 128, 150])
def test_every_width_and_height_to_the_bit(width: int):
    for free_width in (False, True):
        program = sums("m" if free_width else width)
        for workers in (1, 2, 3):
            made = assemble((("given", program),), Options(threads=workers))
            for height in (0, 1, 15, 16, 17, 100, 1024, 1025, 2100):
                x = np.random.default_rng(height).normal(size=(height, width)).astype(F)
                y = np.full(width, np.nan, F)
                sizes = {"n": height} | ({"m": width} if free_width else {})
                made.bind(sizes, {"x": x, "y": y}).run()
                np.testing.assert_array_equal(y, slowly(x), f"{height} rows, {workers} workers")


@pytest.mark.parametrize("classes", [2, 10, 16])
def test_folds_that_go_together_to_the_bit(classes: int):
    """Two sums of the same row, of which neither needs the other, and one that needs both."""
    x = load("x", "i", "k", dtype=F)
    both = call("add", local("plain", F), local("twice", F))
    rest = call("subtract", load("x", "i", "q", dtype=F), both)
    body = (
        fold("sum", "plain", "k", classes, x, leaf=LEAF),
        fold("sum", "twice", "h", classes,
             call("multiply", load("x", "i", "h", dtype=F), 2.0), leaf=LEAF),
        fold("maximum", "most", "q", classes, rest, leaf=LEAF),
        put("y", "i", value=both),
        put("z", "i", value=local("most", F)),
    )  # fmt: skip
    buffers = (argument("x", "n", classes, dtype=F), argument("y", "n", dtype=F),
               argument("z", "n", dtype=F))  # fmt: skip
    program = Program("rows", free("n"), buffers, (Loop("i", "n", Any(8), body),))
    made = assemble((("given", program),), Options(threads=2))
    for count in (1, 36, 64, 100):
        random = np.random.default_rng(count)
        given = {"x": random.normal(size=(count, classes)).astype(F),
                 "y": np.zeros(count, F), "z": np.zeros(count, F)}  # fmt: skip
        wanted = {name: array.copy() for name, array in given.items()}
        interpret(program, {"n": count}, wanted)
        made.bind({"n": count}, given).run()
        for name in ("y", "z"):
            np.testing.assert_array_equal(given[name], wanted[name])
