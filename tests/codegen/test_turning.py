"""Short rows are turned while a block of them is at work, where nothing else of them is touched."""

import numpy as np
import pytest

from codegen.compile import Options, assemble
from codegen.interpret import interpret
from codegen.ir import Any, Loop, Program, Statement
from codegen.scalar import Index, affine, at
from tests.codegen.build import argument, call, fold, free, load, local, nest, put, state

F = "float32"
CLASSES = [1, 2, 3, 10, 16, 17]


def rows(classes: int, *more: Statement, reads: str | Index = "i") -> Program:
    """Of each row: its sum, itself less that, and a state that is read before it is changed."""
    x = load("x", reads, "k", dtype=F)
    total = local("total", F)
    later = call("add", load("s", "i", "j", dtype=F), load("y", "i", "j", dtype=F))
    body: tuple[Statement, ...] = (
        fold("sum", "total", "k", classes, x, leaf=1024),
        nest({"m": classes}, put("y", "i", "m",
             value=call("subtract", load("x", "i", "m", dtype=F), total))),
        nest({"j": classes}, put("s", "i", "j", value=later)),
        *more,
    )  # fmt: skip
    buffers = (
        argument("x", "n", classes, dtype=F), argument("y", "n", classes, dtype=F),
        state("s", "n", classes, dtype=F), argument("z", "n", classes, dtype=F),
    )  # fmt: skip
    return Program("rows", free("n"), buffers, (Loop("i", "n", Any(8), body),))


def check(program: Program, turned: set[str]) -> None:
    """As interpreted, by any number of workers; those buffers are turned, and no others."""
    names = [buffer.name for buffer in program.buffers]
    for workers in (1, 3):
        made = assemble((("given", program),), Options(threads=workers))
        source = made.kernels[0].source
        lines = [line for line in source.splitlines() if "put_alone" in line]
        pointers = made.launch.kernels[0].buffers
        found = {pointers[int(part[1:])] for line in lines
                 for part in line.split("(")[1].split(", ") if part[0] == "p"}  # fmt: skip
        assert found == turned
        for count in (0, 1, 7, 64, 65, 200):
            random = np.random.default_rng(count)
            given = {b.name: random.normal(size=(count, b.shape[1])).astype(F)
                     for b in program.buffers}  # fmt: skip
            wanted = {name: array.copy() for name, array in given.items()}
            interpret(program, {"n": count}, wanted)
            made.bind({"n": count}, given).run()
            for name in names:
                np.testing.assert_allclose(given[name], wanted[name], 1e-5, 1e-5, err_msg=name)


@pytest.mark.parametrize("classes", CLASSES)
def test_rows_are_turned_and_put_back(classes: int):
    check(rows(classes), {"x", "y", "s"} if 1 < classes <= 16 else set())


def test_what_is_written_in_part_is_not_turned():
    part = nest({"h": 3}, put("z", "i", "h", value=load("x", "i", "h", dtype=F)))
    check(rows(5, part), {"y", "s"})
    shifted = put("z", "i", affine(1, dict(at("h").terms)), value=load("y", "i", "h", dtype=F))
    check(rows(5, nest({"h": 4}, shifted)), {"x", "s"})


def test_what_is_read_of_another_row_is_not_turned():
    turned = put("z", "i", "k2", value=load("x", 0, "k2", dtype=F))
    check_rows = rows(4, nest({"k2": 4}, turned))
    sizes = [1, 9, 100]
    made = assemble((("given", check_rows),), Options(threads=2))
    assert "put_alone(s0, k0 * 64 + j0, p0," not in made.kernels[0].source
    for count in sizes:
        random = np.random.default_rng(count)
        given = {b.name: random.normal(size=(count, 4)).astype(F) for b in check_rows.buffers}
        first = given["x"][0].copy()
        made.bind({"n": count}, given).run()
        assert (given["z"] == first).all()
