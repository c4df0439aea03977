"""Every intrinsic on a GPU: the bits that a processor gives, and the stated error.

The elementary functions are the CPU's own formulas, whose error over the whole range has tests of
its own (`tests/codegen/test_vector_math.py`); here each is run by the interpreter of PTX, which
rounds as a device does.
"""

from __future__ import annotations

import numpy as np
import pytest

from codegen.cuda import operations
from codegen.cuda.sources import HEADER, DeviceSource
from codegen.intrinsics import INTRINSICS, evaluate, permuted
from codegen.ir import Any, Loop, Program, SizeRule
from codegen.scalar import FLOATS, INTEGERS, Apply, Axis, Constant, Dtype
from tests.codegen import test_vector_math as oracle
from tests.codegen.build import argument, load, put, state
from tests.codegen.test_intrinsics import BOOLEAN, close, grid, nasty
from tests.codegen.test_intrinsics import CASES as SPELLINGS
from tests.cuda.kernels import compiled, run, simulated

OF_NUMPY = 3
ELEMENTARY = [*oracle.CASES, "power", "atan2"]
POINTS = 2048

_TEXT = """\
def kernel(worker, workers, n, p):
    x, y, u, v = float32_at(p, 0), float32_at(p, 1), float64_at(p, 2), float64_at(p, 3)
    left, right = float32_at(p, 4), float64_at(p, 5)
    i = worker * 256 + thread()
    while i < n[0]:
        left[i] = {single}
        right[i] = {double}
        i += 256 * workers
"""


def on_the_gpu(name: str, single: list[np.ndarray], double: list[np.ndarray]) -> tuple:
    """The function's values at columns of float32 and of float64, of equal lengths."""
    row = INTRINSICS[name]
    spelling = "power_float({0}, {1})" if name == "power" else row.cpu
    text = HEADER + _TEXT.format(
        single=spelling.format("x[i]", "y[i]"), double=spelling.format("u[i]", "v[i]")
    )
    results = np.zeros_like(single[0]), np.zeros_like(double[0])
    arrays = [*(single * 2)[:2], *(double * 2)[:2], *results]
    source = DeviceSource(text, name, (), ())
    simulated(compiled(source), 4, np.array([len(results[0])]), arrays)
    return results


def columns(name: str, dtype: Dtype) -> list[np.ndarray]:
    """Edges, random bits, and points spread over where the function is not plain."""
    random = np.random.default_rng(9)
    if name == "power":
        given = list(oracle._base_and_exponent(dtype))
    elif name == "atan2":
        given = list(oracle._points_of_the_plane(dtype))
    else:
        given = [oracle.points(name, dtype)]
    pick = random.permutation(len(given[0]))[:POINTS]
    return [np.ascontiguousarray(column[pick]) for column in given]


@pytest.mark.parametrize("name", ELEMENTARY)
def test_a_function_has_the_bits_of_a_processor(name: str):
    given = {dtype: columns(name, dtype) for dtype in FLOATS}
    results = on_the_gpu(name, given["float32"], given["float64"])
    for dtype, ours in zip(FLOATS, results, strict=True):
        wanted = oracle.run(name, *given[dtype])
        same = (ours == wanted) & (np.signbit(ours) == np.signbit(wanted))
        bad = np.flatnonzero(~(same | (np.isnan(ours) & np.isnan(wanted))))
        told = [(*[c[k] for c in given[dtype]], ours[k], wanted[k]) for k in bad[:3]]
        assert not len(bad), f"{name} of {dtype}: {len(bad)} differ, such as {told}"


@pytest.mark.skipif(not oracle.EXTENDED, reason="the extended precision of x86 is the oracle here")
@pytest.mark.parametrize("name", ["exp", "tanh", "erf"])
def test_a_function_is_near_the_truth(name: str):
    """A check of the check above: against extended precision, without the CPU's kernels."""
    given = {dtype: columns(name, dtype) for dtype in FLOATS}
    results = on_the_gpu(name, given["float32"], given["float64"])
    for dtype, ours in zip(FLOATS, results, strict=True):
        x = given[dtype][0]
        with np.errstate(all="ignore"):
            oracle.check(name, x, ours, oracle.CASES[name].extended(x.astype(np.longdouble)))


def evaluated(expressions: list, given: list[np.ndarray]) -> list[np.ndarray]:
    """Expressions of x0[i], x1[i], ... by one kernel."""
    buffers = [argument(f"x{k}", "n", dtype=str(one.dtype)) for k, one in enumerate(given)]
    buffers += [state(f"y{k}", "n", dtype=one.dtype) for k, one in enumerate(expressions)]
    body = tuple(put(f"y{k}", "i", value=one) for k, one in enumerate(expressions))
    program = Program("many", (SizeRule("n"),), tuple(buffers), (Loop("i", "n", Any(64), body),))
    arrays = {f"x{k}": column for k, column in enumerate(given)}
    count = len(given[0])
    arrays |= {f"y{k}": np.zeros(count, one.dtype) for k, one in enumerate(expressions)}
    run(program, {"n": count}, arrays, blocks=2)
    return [arrays[f"y{k}"] for k in range(len(expressions))]


@pytest.mark.parametrize("arity", [1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "bool"])
def test_every_other_row_is_the_interpreters(dtype: Dtype, arity: int):
    # The power of floats is elementary, that of integers is not.
    apart = set(ELEMENTARY) - ({"power"} if dtype in INTEGERS else set())
    rows = [row for row, kind in SPELLINGS
            if kind == dtype and row.arity == arity and row.name not in apart]  # fmt: skip
    if not rows:
        assert arity == 1
        return
    given = grid(dtype, arity)
    args = tuple(load(f"x{k}", "i", dtype=dtype) for k in range(arity))
    results = ["bool" if row.name in BOOLEAN else dtype for row in rows]
    expressions = [Apply(row.name, args, kind) for row, kind in zip(rows, results, strict=True)]
    for row, kind, ours in zip(rows, results, evaluated(expressions, given), strict=True):
        wanted = np.array([evaluate(row.name, each, kind) for each in zip(*given, strict=True)])
        good = close(ours, wanted, row.ulp and row.ulp + OF_NUMPY)
        assert good.all(), f"{row.name} of {dtype}: {np.flatnonzero(~good)[:5]}"
        if ours.dtype.kind == "f":
            real = ~np.isnan(wanted)
            assert (np.signbit(ours) == np.signbit(wanted))[real].all(), row.name


@pytest.mark.parametrize("given", ["float32", "float64", "int32", "int64", "bool"])
def test_casts_hold_at_the_ends(given: Dtype):
    kinds = ("float32", "float64", "int32", "int64", "bool")
    x = nasty(given)
    expressions = [Apply("cast", (load("x0", "i", dtype=given),), kind) for kind in kinds]
    for kind, ours in zip(kinds, evaluated(expressions, [x]), strict=True):
        expected = np.array([evaluate("cast", (value,), kind) for value in x])
        np.testing.assert_array_equal(ours, expected, err_msg=kind)


@pytest.mark.parametrize("dtype", FLOATS)
def test_constant_exponents(dtype: Dtype):
    exponents = [-1.0, 0.0, 0.5, 1.0, 2.0, 3.0, 4.0, -0.5]
    x = nasty(dtype)
    base = load("x0", "i", dtype=dtype)
    powers = [Apply("power", (base, Constant(e, dtype)), dtype) for e in exponents]
    for exponent, ours in zip(exponents, evaluated(powers, [x]), strict=True):
        wanted = np.array([evaluate("power", (v, x.dtype.type(exponent)), dtype) for v in x])
        assert close(ours, wanted, 2).all(), exponent


@pytest.mark.parametrize(("count", "seed", "epoch"), [(777, 0, 0), (777, -5, 3), (1, 2, 3),
                                                      (640, 2**62, 10**9)])  # fmt: skip
def test_the_same_permutation(count: int, seed: int, epoch: int):
    constants = [np.full(count, value) for value in (count, seed, epoch)]
    args = (Axis("i"), *(load(f"x{k}", "i", dtype="int64") for k in range(3)))
    (ours,) = evaluated([Apply("permuted", args, "int64")], constants)
    assert ours.tolist() == [permuted(index, count, seed, epoch) for index in range(count)]


def test_every_name_of_the_processors_texts_is_there():
    """What an intrinsic's text calls, `codegen.cuda.operations` defines."""
    from_texts = {row.cpu.split("(")[0] for row in INTRINSICS.values()} - {"", "cast", "power"}
    defined = set(operations.__all__)
    assert from_texts <= defined, from_texts - defined
