"""The generated vector math against mpmath, over the whole range, and that it is vectorised.

The points of one function and format go through one compiled kernel. All are compared with extended
precision where this machine has it, and a part of them with mpmath (more in the slow test). Of the
patterns of a float32 one in STRIDE is compared with what NumPy gives in float64.
"""

import itertools
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
import pytest

from codegen.compile import assemble
from codegen.intrinsics import INTRINSICS
from codegen.ir import Any as Parallel
from codegen.ir import Loop, Program, SizeRule
from codegen.machine import this_machine
from codegen.scalar import Apply
from tests.codegen.build import argument, load, put
from tests.codegen.precise import (
    each,
    extended_erf,
    extended_erfc,
    precise_sech_squared,
    precise_sigmoid,
    precise_softplus,
    sech_squared,
    sigmoid,
    softplus,
)

FLOATS = ("float32", "float64")
COUNT = 200_000
BY_MPMATH, MANY = 1_500, 15_000
# A prime number: the patterns tried have no common last bits.
STRIDE = 1021
EXTENDED = np.finfo(np.longdouble).nmant >= 63
# The worst arguments of a float64 and a float32 for a reduction modulo pi / 2, and known hard ones.
HARD = [6381956970095103 * 2.0**797, 16367173 * 2.0**72, 1e22, 2.0**40, 2.0**1023, 1.5 * 2.0**127]


@dataclass(frozen=True)
class Case:
    """A function by its true value, the intervals it is swept over, by extended precision, and in
    float64 where that is another function."""

    true: Callable[..., Any]
    sweeps: tuple[tuple[float, float], ...]
    extended: Callable[..., Any]
    double: Callable[..., Any] | None = None


TRIG = ((-4, 4), (-1000, 1000), (-(2.0**41), 2.0**41))
CASES = {
    "exp": Case(mpmath.exp, ((-1, 1), (-104, 89), (-746, 710)), np.exp),
    "expm1": Case(mpmath.expm1, ((-0.5, 0.5), (-40, 89), (-40, 710)), np.expm1),
    "log": Case(mpmath.log, ((0.5, 2), (0, 1e-37), (0, 1e-307)), np.log),
    "log1p": Case(mpmath.log1p, ((-0.5, 0.5), (-1, 3)), np.log1p),
    "tanh": Case(mpmath.tanh, ((-1, 1), (-25, 25)), np.tanh),
    "sech_squared": Case(
        precise_sech_squared, ((-1, 1), (-53, 53), (-374, 374)), sech_squared, sech_squared
    ),
    "sigmoid": Case(precise_sigmoid, ((-3, 3), (-104, 30), (-746, 40)), sigmoid),
    "sin": Case(mpmath.sin, TRIG, np.sin),
    "cos": Case(mpmath.cos, TRIG, np.cos),
    "softplus": Case(precise_softplus, ((-3, 3), (-104, 30), (-746, 40)), softplus),
    "tan": Case(mpmath.tan, TRIG, np.tan),
    "asin": Case(mpmath.asin, ((-1, 1), (-0.01, 0.01), (0.99, 1)), np.arcsin),
    "acos": Case(mpmath.acos, ((-1, 1), (-0.01, 0.01), (0.99, 1)), np.arccos),
    "atan": Case(mpmath.atan, ((-1, 1), (-10, 10), (-1e4, 1e4)), np.arctan),
    "sinh": Case(mpmath.sinh, ((-1, 1), (-90, 90), (-711, 711)), np.sinh),
    "cosh": Case(mpmath.cosh, ((-1, 1), (-90, 90), (-711, 711)), np.cosh),
    "asinh": Case(mpmath.asinh, ((-1, 1), (-10, 10), (-1e9, 1e9)), np.arcsinh),
    "acosh": Case(mpmath.acosh, ((1, 1.1), (1, 10), (1, 1e9)), np.arccosh),
    "atanh": Case(mpmath.atanh, ((-1, 1), (-0.01, 0.01), (0.99, 1)), np.arctanh),
    "erf": Case(mpmath.erf, ((-1.1, 1.1), (-6, 6)), extended_erf, each(math.erf)),
    "erfc": Case(mpmath.erfc, ((-1, 1), (-6, 10.2), (0, 27.3)), extended_erfc, each(math.erfc)),
}
EACH = [(name, dtype) for name in CASES for dtype in FLOATS]


def compile_row(name: str, dtype: str) -> Any:
    """The program y[i] = f(x0[i], ...)."""
    arity = INTRINSICS[name].arity
    args = tuple(load(f"x{k}", "i", dtype=dtype) for k in range(arity))
    buffers = [argument(f"x{k}", "n", dtype=dtype) for k in range(arity)]
    body = put("y", "i", value=Apply(name, args, dtype))
    program = Program(
        "row",
        (SizeRule("n"),),
        (*buffers, argument("y", "n", dtype=dtype)),
        (Loop("i", "n", Parallel(4096), (body,)),),
    )
    return assemble((("given", program),))


def run(name: str, *columns: np.ndarray) -> np.ndarray:
    y = np.zeros_like(columns[0])
    arrays = {f"x{k}": column for k, column in enumerate(columns)} | {"y": y}
    compile_row(name, str(y.dtype)).bind({"n": len(y)}, arrays).run()
    return y


def patterns(dtype: str, count: int, seed: int) -> np.ndarray:
    """Random bits: every exponent alike, both signs, NaNs and subnormals among them."""
    word = {"float32": np.uint32, "float64": np.uint64}[dtype]
    random = np.random.default_rng(seed)
    return random.integers(0, np.iinfo(word).max, count, word, endpoint=True).view(dtype)


def edges(dtype: str) -> np.ndarray:
    """The ends, the zeros, and every power of two with its neighbours."""
    ends = np.finfo(dtype)
    with np.errstate(all="ignore"):
        powers = np.exp2(np.arange(ends.minexp - ends.nmant, ends.maxexp, dtype=dtype))
        special = np.array([0, math.inf, math.nan, ends.max, ends.tiny, *HARD]).astype(dtype)
        whole = np.arange(1, 800, dtype=dtype)
        about = np.concatenate([special, powers, whole, whole * np.log(dtype_of(dtype)(2))])
        about = np.concatenate([about, np.nextafter(about, np.inf, dtype=dtype),
                                np.nextafter(about, -np.inf, dtype=dtype)])  # fmt: skip
    return np.concatenate([about, -about])


def dtype_of(name: str) -> Any:
    return np.dtype(name).type


def points(name: str, dtype: str) -> np.ndarray:
    """Edges first, then random patterns and sweeps: at least COUNT together."""
    random = np.random.default_rng(7)
    sweeps = CASES[name].sweeps
    spread = [random.uniform(low, high, COUNT // 2 // len(sweeps) + 1) for low, high in sweeps]
    with np.errstate(over="ignore"):
        drawn = np.concatenate(spread).astype(dtype)
    return np.concatenate([edges(dtype), patterns(dtype, COUNT // 2, 3), drawn])


def unit_of(true: np.ndarray, dtype: str) -> np.ndarray:
    """The unit in the last place of a value of more precision, in that format."""
    ends = np.finfo(dtype)
    with np.errstate(all="ignore"):
        exponent = np.frexp(true)[1] - 1
    # Beyond the largest number the unit is that of the last binade.
    exponent = np.clip(exponent, ends.minexp, ends.maxexp - 1)
    return np.ldexp(true.dtype.type(1), exponent - ends.nmant)


def errors(ours: np.ndarray, true: np.ndarray) -> np.ndarray:
    """In units in the last place; infinite where one is NaN, infinite or negative zero alone."""
    dtype = str(ours.dtype)
    with np.errstate(all="ignore"):
        rounded = true.astype(dtype)
        # A finite value stands for 2**maxexp where the other spelling overflowed.
        limit = np.ldexp(true.dtype.type(1), np.finfo(dtype).maxexp)
        held = np.clip(true, -limit, limit)
        given = np.clip(ours.astype(true.dtype), -limit, limit)
        distance = np.abs(given - held) / unit_of(held, dtype)
    exact = (np.isinf(true) | np.isnan(true)) & ~(
        (ours == rounded) | (np.isnan(ours) & np.isnan(true))
    )
    distance[np.isnan(true) & np.isnan(ours)] = 0
    wrong_sign = ~np.isnan(true) & (np.signbit(ours) != np.signbit(rounded))
    distance[exact | wrong_sign | np.isnan(distance)] = np.inf
    return distance


def true_value(name: str, x: float) -> np.longdouble:
    """By mpmath where the function has a finite, real argument; else what the reference says."""
    reference = INTRINSICS[name].python(np.float64(x))
    if not math.isfinite(x) or x == 0 or math.isnan(reference):
        return np.longdouble(reference)
    if name == "erfc":
        x = min(x, 60.0)
    return extended(CASES[name].true(mpmath.mpf(x)))


def extended(value: Any) -> np.longdouble:
    if not isinstance(value, mpmath.mpf):
        return np.longdouble(np.nan)
    if not mpmath.isfinite(value):
        return np.longdouble(float(value))
    mantissa, exponent = mpmath.frexp(value)
    high = float(mantissa)
    both = np.longdouble(high) + np.longdouble(float(mantissa - high))
    return np.ldexp(both, int(min(max(exponent, -16000), 16000)))


def by_mpmath(name: str, x: np.ndarray) -> np.ndarray:
    with mpmath.workprec(90), np.errstate(all="ignore"):
        return np.array([true_value(name, float(each)) for each in x], np.longdouble)


def check(name: str, x: np.ndarray, ours: np.ndarray, true: np.ndarray) -> None:
    found = errors(ours, true)
    at = int(np.argmax(found))
    told = f"{name}({x[at]!r}) is {true[at]!r}, not {ours[at]!r}: {found[at]:.3f} ulp"
    assert found[at] <= INTRINSICS[name].ulp, told


@pytest.mark.parametrize(("name", "dtype"), EACH)
def test_a_function_is_within_its_stated_error(name: str, dtype: str):
    x = points(name, dtype)
    assert len(x) > COUNT
    ours = run(name, x)
    case = CASES[name]
    if EXTENDED:
        with np.errstate(all="ignore"):
            check(name, x, ours, case.extended(x.astype(np.longdouble)))
    some = np.random.default_rng(1).permutation(len(x))[:BY_MPMATH]
    check(name, x[some], ours[some], by_mpmath(name, x[some]))
    # A value's bits do not hang on whether it was reached in a vector or after the last one.
    tail = x[some[:7]]
    assert run(name, tail).tobytes() == ours[some[:7]].tobytes()


@pytest.mark.parametrize("name", CASES)
def test_a_function_of_float32_is_within_its_stated_error_all_over(name: str):
    bits = np.arange(STRIDE // 2, 2**32, STRIDE, dtype=np.uint32)
    function = CASES[name].double or CASES[name].extended
    for x in np.array_split(bits.view(np.float32), 8):
        with np.errstate(all="ignore"):
            check(name, x, run(name, x), function(x.astype(np.float64)))


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_many_points_against_mpmath(name: str):
    x = points(name, "float64")
    x = x[np.random.default_rng(8).permutation(len(x))[:MANY]]
    check(name, x, run(name, x), by_mpmath(name, x))


def _base_and_exponent(dtype: str) -> tuple[np.ndarray, np.ndarray]:
    random, quarter = np.random.default_rng(2), COUNT // 4
    nasty = [0.0, 1, 2, 3, 0.5, 1.5, math.inf, 1e-40, 1e38, 2.0**53, 2.0**53 - 1, 2.0**53 + 2,
             1 + 2.0**-23, 1 - 2.0**-24, 5e-324, 1e308]  # fmt: skip
    with np.errstate(all="ignore"):
        ends = np.array([*nasty, *(-each for each in nasty), math.nan]).astype(dtype)
        pairs = np.array(list(itertools.product(ends, ends)), dtype).T
        near_one = np.exp(random.normal(size=quarter) * 0.01).astype(dtype)
        bases = [pairs[0], patterns(dtype, quarter, 5), 10 ** random.uniform(-3, 3, quarter),
                 random.uniform(0.5, 2, quarter), near_one]  # fmt: skip
        exponents = [
            pairs[1],
            patterns(dtype, quarter, 6),
            random.uniform(-100, 100, quarter),
            random.uniform(-1000, 1000, quarter),
            random.uniform(-6e4, 6e4, quarter),
        ]
        return np.concatenate(bases).astype(dtype), np.concatenate(exponents).astype(dtype)


@pytest.mark.parametrize("dtype", FLOATS)
def test_power_is_within_its_stated_error(dtype: str):
    x, y = _base_and_exponent(dtype)
    assert len(x) > COUNT
    ours = run("power", x, y)
    if EXTENDED:
        with np.errstate(all="ignore"):
            true = np.power(x.astype(np.longdouble), y.astype(np.longdouble))
        assert errors(ours, true).max() <= 1
    plain = np.flatnonzero(np.isfinite(ours) & (x > 0) & np.isfinite(y))[::50]
    with mpmath.workprec(90):
        powers = (mpmath.mpf(float(x[at])) ** mpmath.mpf(float(y[at])) for at in plain)
        true = np.array([extended(value) for value in powers], np.longdouble)
    assert errors(ours[plain], true).max() <= 1


def _points_of_the_plane(dtype: str) -> tuple[np.ndarray, np.ndarray]:
    random, half = np.random.default_rng(2), COUNT // 2
    ends = np.finfo(dtype)
    nasty = [0.0, 1, 3, math.sqrt(2) - 1, math.inf, math.nan, ends.max, ends.max / 2, ends.tiny,
             ends.smallest_subnormal, 1e-10, 1e10]  # fmt: skip
    special = np.array([*nasty, *(-each for each in nasty)]).astype(dtype)
    pairs = np.array(list(itertools.product(special, special)), dtype).T
    near = random.normal(size=(2, half)).astype(dtype)
    return (np.concatenate([pairs[0], patterns(dtype, half, 5), near[0]]),
            np.concatenate([pairs[1], patterns(dtype, half, 6), near[1]]))  # fmt: skip


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_angle_of_a_point_is_within_its_stated_error(dtype: str):
    y, x = _points_of_the_plane(dtype)
    assert len(x) > COUNT
    ours = run("atan2", y, x)
    with np.errstate(all="ignore"):
        true = np.arctan2(y.astype(np.longdouble), x.astype(np.longdouble))
    assert errors(ours, true).max() <= INTRINSICS["atan2"].ulp
    plain = np.flatnonzero(np.isfinite(x) & np.isfinite(y) & (y != 0))[::100]
    with mpmath.workprec(90):
        angles = (mpmath.atan2(float(y[at]), float(x[at])) for at in plain)
        true = np.array([extended(value) for value in angles], np.longdouble)
    assert errors(ours[plain], true).max() <= INTRINSICS["atan2"].ulp


RISING = {"exp": (-746, 710), "expm1": (-40, 710), "log": (0.99, 1.01), "log1p": (-0.01, 0.01),
          "tanh": (0.62, 0.63), "sigmoid": (-746, 40), "erf": (0.99, 1.01), "softplus": (-2, 2),
          "sinh": (0.99, 1.01), "asin": (0.49, 0.51), "atan": (0.4, 0.43), "asinh": (-2, 2),
          "acosh": (1, 2), "atanh": (0.49, 0.51), "tan": (0.7, 0.8)}  # fmt: skip


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", RISING)
def test_a_rising_function_never_falls_by_more_than_its_error(name: str, dtype: str):
    x = np.sort(np.random.default_rng(4).uniform(*RISING[name], 20_000)).astype(dtype)
    y = run(name, x)
    y = y[np.isfinite(y)]
    assert (y[1:] - y[:-1] >= -2 * np.spacing(np.abs(y[1:]))).all()


def calls(listing: str) -> list[str]:
    """The functions that an LLVM module calls, other than instructions and its own inner one."""
    return [name for name in re.findall(r"call [^@\n]*@\"?([\w.]+)", listing)
            if not name.startswith("llvm.") and not name.endswith("_inside")]  # fmt: skip


def widest(listing: str, dtype: str) -> int:
    """The number of lanes of the widest fused multiplication of that format."""
    kind = {"float32": "float", "float64": "double"}[dtype]
    found = re.findall(rf"<(\d+) x {kind}> @llvm\.fma", listing)
    return max(map(int, found), default=1)


ROWS = [*CASES, "power", "atan2"]
# These are worked out in float64 for either format.
WIDE = {"sin", "cos", "tan", "erfc", "power"}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ROWS)
def test_a_loop_over_it_is_vectorised(name: str, dtype: str):
    machine = this_machine()
    if "+fma" not in machine.features or machine.vector_bytes < 32:
        pytest.skip("not a machine with AVX2 or AVX-512")
    kernel = compile_row(name, dtype).kernels[0]
    worked = "float64" if name in WIDE else dtype
    assert calls(kernel.llvm) == []
    assert widest(kernel.llvm, worked) * np.dtype(worked).itemsize >= 32
    assert re.search(r"vfn?m(add|sub)\d+p[sd]\s.*%[yz]mm", kernel.assembly)
    # What code generation itself calls is called through its address.
    named = set(re.findall(r"\$([A-Za-z]\w*)", kernel.assembly))
    assert not {name for name in named if not name.endswith("_inside")} - {"quarter_turns"}


def divisions(dtype: str, *names: str) -> int:
    """How many vector divisions the instructions of a loop that stores f(x) for each f hold."""
    made = [argument(name, "n", dtype=dtype) for name in names]
    body = [put(name, "i", value=Apply(name, (load("x", "i", dtype=dtype),), dtype))
            for name in names]  # fmt: skip
    loop = Loop("i", "n", Parallel(4096), tuple(body))
    buffers = (argument("x", "n", dtype=dtype), *made)
    program = Program("both", (SizeRule("n"),), buffers, (loop,))
    listing = assemble((("given", program),)).kernels[0].assembly
    return len(re.findall(r"vdivp[sd]\s.*%[yz]mm", listing))


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_slope_of_tanh_beside_it_shares_its_division(dtype: str):
    if "+fma" not in this_machine().features or this_machine().vector_bytes < 32:
        pytest.skip("not a machine with AVX2 or AVX-512")
    alone = divisions(dtype, "tanh")
    assert 0 < alone == divisions(dtype, "tanh", "sech_squared")
    assert divisions(dtype, "tanh", "sigmoid") > alone


OLDER = """
from dataclasses import replace
from codegen import machine
older = replace(machine.this_machine(), name="haswell", features="+avx,+avx2,+fma,+bmi,+bmi2")
machine.this_machine = lambda: older
from codegen.cpu import jit
from tests.codegen.test_vector_math import FLOATS, ROWS, WIDE, calls, compile_row, widest
for name in ROWS:
    for dtype in FLOATS:
        text = compile_row(name, dtype).kernels[0].source
        listing = jit.list_text(text, "row").llvm
        worked = "float64" if name in WIDE else dtype
        lanes = widest(listing, worked)
        assert calls(listing) == [] and lanes == (8 if worked == "float32" else 4), (name, lanes)
"""


@pytest.mark.slow
def test_loops_are_vectorised_for_avx2_too(tmp_path):
    if "+avx2" not in this_machine().features:
        pytest.skip("not a machine with AVX2")
    around = os.environ | {"SYMNET_CACHE": str(tmp_path)}
    command = [sys.executable, "-c", OLDER]
    done = subprocess.run(command, env=around, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
