"""What contractions do with their finished elements: compiled as interpreted, by any workers."""

from dataclasses import replace

import numpy as np
import pytest

from codegen.check import check
from codegen.compile import Options, assemble
from codegen.interpret import interpret
from codegen.ir import Contraction, Factor, Let, Program, Statement, Store
from codegen.scalar import Axis, Indirect
from tests.codegen.build import argument, call, cast, free, load, local, put, ref, state

LAYOUTS = [("ab", "bc"), ("ab", "cb"), ("ba", "bc"), ("ba", "cb"), ("zab", "zcb")]
RAGGED = (1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 100)
EXTENTS = (("a", "A"), ("b", "B"), ("c", "C"), ("z", "Z"))


def layer(left: str, right: str, dtype: str, tile: int = 8) -> Program:
    """Bias, clipping, a mask, a transposed copy, a gather, and an update in place, of one sum."""
    letters = "zac" if "z" in left else "ac"
    shape = [letter.upper() for letter in letters]
    total, shifted = local("sum", dtype), local("shifted", dtype)
    taken = load("scale", Indirect(ref("order", "a"), "A"), dtype=dtype)
    weight = load("w", *letters, dtype=dtype)
    body: tuple[Statement, ...] = (
        Let("shifted", call("add", total, load("bias", "c", dtype=dtype))),
        put("y", *letters, value=call("maximum", shifted, 0.0)),
        Store(ref("mask", *letters), call("less", shifted, 0.0)),
        put("turned", *letters[::-1], value=call("multiply", shifted, taken)),
        put("w", *letters, value=call("subtract", weight, call("multiply", total, 0.5))),
        put("place", *letters, value=call("add", shifted, cast(Axis(letters[0]), dtype))),
    )
    pair = (Factor("left", tuple(left)), Factor("right", tuple(right)))
    extents = tuple(pair for pair in EXTENTS if pair[0] in left + right)
    statement = Contraction(tuple(letters), (pair,), extents, "sum", dtype, body, tile)
    buffers = (
        argument("left", *left.upper(), dtype=dtype),
        argument("right", *right.upper(), dtype=dtype),
        argument("bias", "C", dtype=dtype),
        argument("scale", "A", dtype=dtype),
        argument("order", "A", dtype="int32"),
        argument("y", *shape, dtype=dtype),
        argument("mask", *shape, dtype="bool"),
        argument("turned", *shape[::-1], dtype=dtype),
        argument("place", *shape, dtype=dtype),
        state("w", *shape, dtype=dtype),
    )
    return Program("layer", free(*(extent for _, extent in extents)), buffers, (statement,))


def arrays_of(program: Program, sizes: dict[str, int]) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    arrays = {}
    for buffer in program.buffers:
        shape = [sizes[extent] for extent in buffer.shape]
        values = random.normal(size=shape)
        if buffer.name == "order":
            values = random.permutation(sizes["A"])
        arrays[buffer.name] = np.asarray(values, buffer.dtype)
    return arrays


def results(program: Program, sizes: dict[str, int], workers: int) -> dict[str, np.ndarray]:
    arrays = arrays_of(program, sizes)
    assemble((("given", program),), Options(threads=workers)).bind(sizes, arrays).run()
    return arrays


def bits(arrays: dict[str, np.ndarray]) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in arrays.items()}


def sizes_of(program: Program, *values: int) -> dict[str, int]:
    return dict(zip([rule.name for rule in program.sizes], values, strict=False))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("left", "right"), LAYOUTS)
def test_a_body_runs_as_interpreted(left, right, dtype):
    program = layer(left, right, dtype)
    check(program)
    tolerance = 1e-5 if dtype == "float32" else 1e-13
    for values in ((9, 3, 2, 2), (2, 17, 9, 3), (3, 0, 5, 1), (0, 3, 4, 2), (4, 3, 0, 2)):
        sizes = sizes_of(program, *values)
        wanted = arrays_of(program, sizes)
        interpret(program, sizes, wanted)
        for name, array in results(program, sizes, 1).items():
            np.testing.assert_allclose(array, wanted[name], tolerance, tolerance, err_msg=name)


@pytest.mark.parametrize("depth", [1, 40, 600])
@pytest.mark.parametrize(("left", "right"), LAYOUTS)
def test_any_number_of_workers_gives_the_same_bits(left, right, depth):
    program = layer(left, right, "float32")
    executables = {workers: assemble((("given", program),), Options(threads=workers))
                   for workers in (1, 2, 3, 8)}  # fmt: skip
    for rows in RAGGED:
        columns = RAGGED[-1 - RAGGED.index(rows)]
        sizes = sizes_of(program, rows, depth, columns, 3)
        found = []
        for executable in executables.values():
            arrays = arrays_of(program, sizes)
            executable.bind(sizes, arrays).run()
            found.append(bits(arrays))
        assert all(each == found[0] for each in found)


@pytest.mark.parametrize("tile", [1, 5, 64, None])
def test_the_tile_is_no_part_of_the_result(tile):
    program = layer("ba", "bc", "float32")
    sizes = sizes_of(program, 100, 33, 17)
    (statement,) = program.body
    assert isinstance(statement, Contraction)
    other = replace(program, body=(replace(statement, tile=tile),))
    wanted = bits(results(program, sizes, 1))
    assert bits(results(other, sizes, 1)) == wanted
    assert bits(results(other, sizes, 3)) == wanted


def test_another_width_and_tile_compile_nothing():
    results(layer("ab", "bc", "float32"), {"A": 3, "B": 4, "C": 5}, 1)
    program = layer("ba", "cb", "float32", tile=16)
    assert assemble((("given", program),)).compiled == 0


def update(left: str, right: str, dtype: str = "float32") -> Program:
    """An update whose elements stand where the sums do: rows without gaps run as one."""
    letters = "zac" if "z" in left else "ac"
    shape = [letter.upper() for letter in letters]
    total, moment = local("sum", dtype), load("moment", *letters, dtype=dtype)
    rate = load("rate", dtype=dtype)
    body: tuple[Statement, ...] = (
        Let("next", call("add", call("multiply", moment, 0.5), total)),
        put("moment", *letters, value=local("next", dtype)),
        put("out", *letters, value=call("multiply", rate, local("next", dtype))),
    )
    pair = (Factor("left", tuple(left)), Factor("right", tuple(right)))
    extents = tuple(pair for pair in EXTENTS if pair[0] in left + right)
    statement = Contraction(tuple(letters), (pair,), extents, "sum", dtype, body, 8)
    buffers = (
        argument("left", *left.upper(), dtype=dtype),
        argument("right", *right.upper(), dtype=dtype),
        argument("rate", dtype=dtype),
        state("moment", *shape, dtype=dtype),
        argument("out", *shape, dtype=dtype),
    )
    return Program("update", free(*(extent for _, extent in extents)), buffers, (statement,))


@pytest.mark.parametrize(("left", "right"), [("ba", "bc"), ("zba", "zbc")])
def test_rows_without_gaps_run_as_one(left, right):
    program = update(left, right)
    executables = {workers: assemble((("given", program),), Options(threads=workers))
                   for workers in (1, 3)}  # fmt: skip
    assert "if block_row ==" in executables[1].kernels[0].source
    for rows in (1, 7, 8, 13, 100, 300):
        for columns in (1, 2, 10, 15, 16, 17, 31, 32, 33, 70, 300):
            for depth in (3, 300):
                sizes = sizes_of(program, rows, depth, columns, 2)
                given = arrays_of(program, sizes)
                wanted = given["moment"] / 2 + np.einsum(
                    f"{left},{right}->{'zac' if 'z' in left else 'ac'}",
                    given["left"].astype(float), given["right"].astype(float),
                )  # fmt: skip
                found = []
                for executable in executables.values():
                    arrays = arrays_of(program, sizes)
                    executable.bind(sizes, arrays).run()
                    found.append(bits(arrays))
                assert found[0] == found[1]
                np.testing.assert_allclose(arrays["moment"], wanted, 1e-4, 1e-4)
                assert (arrays["out"] == arrays["moment"] * arrays["rate"]).all()


def test_rows_with_gaps_do_not_run_as_one():
    program = update("ab", "bc")
    out = argument("out", "A", "D", dtype="float32")
    program = replace(program, sizes=free("A", "B", "C", "D"), buffers=(*program.buffers[:-1], out))
    sizes = {"A": 20, "B": 5, "C": 10, "D": 12}
    arrays = results(program, sizes, 1)
    untouched = arrays_of(program, sizes)["out"][:, 10:]
    assert (arrays["out"][:, :10] == arrays["moment"] * arrays["rate"]).all()
    assert (arrays["out"][:, 10:] == untouched).all()
    for other in (program, layer("ab", "bc", "float32")):
        assert "if block_row ==" not in assemble((("given", other),)).kernels[0].source


def dense(dtype: str) -> Program:
    """Two numbers a column, a rate, and an array without gaps, of one sum: no row is special."""
    total, shifted = local("sum", dtype), local("shifted", dtype)
    body: tuple[Statement, ...] = (
        Let("shifted", call("add", total, load("bias", "c", dtype=dtype))),
        put("y", "a", "c", value=call("multiply", shifted, load("scale", 1, "c", dtype=dtype))),
        put("w", "a", "c", value=call("add", load("w", "a", "c", dtype=dtype), shifted)),
    )
    pair = (Factor("left", ("a", "b")), Factor("right", ("b", "c")))
    statement = Contraction(("a", "c"), (pair,), EXTENTS[:3], "sum", dtype, body, 8)
    shapes = {"left": "AB", "right": "BC", "bias": "C", "y": "AC"}
    buffers = [argument(name, *shape, dtype=dtype) for name, shape in shapes.items()]
    buffers += [argument("scale", 2, "C", dtype=dtype), state("w", "A", "C", dtype=dtype)]
    return Program("dense", free("A", "B", "C"), tuple(buffers), (statement,))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_short_rows_run_together_with_what_they_share(dtype):
    program = dense(dtype)
    executables = [assemble((("given", program),), Options(threads=threads)) for threads in (1, 3)]
    assert "min(together" in executables[0].kernels[0].source
    for rows in (1, 7, 8, 100, 300):
        for columns in (1, 2, 10, 16, 17, 63, 64, 65, 300):
            sizes = {"A": rows, "B": 3, "C": columns}
            given = arrays_of(program, sizes | {2: 2})
            shifted = given["left"].astype(float) @ given["right"] + given["bias"]
            found = []
            for executable in executables:
                arrays = {name: array.copy() for name, array in given.items()}
                executable.bind(sizes, arrays).run()
                found.append(bits(arrays))
            assert found[0] == found[1]
            near = {"rtol": 1e-4, "atol": 1e-4} if dtype == "float32" else {"rtol": 1e-12}
            np.testing.assert_allclose(arrays["y"], shifted * given["scale"][1], **near)
            np.testing.assert_allclose(arrays["w"], shifted + given["w"], **near)


def test_what_is_written_is_not_kept_for_all_rows():
    program = dense("float32")
    (statement,) = program.body
    assert isinstance(statement, Contraction)
    over = put("scale", 0, "c", value=local("shifted", "float32"))
    changed = replace(program, body=(replace(statement, body=(*statement.body, over)),))
    assert "min(together" not in assemble((("given", changed),)).kernels[0].source
