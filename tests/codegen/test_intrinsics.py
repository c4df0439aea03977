"""Both spellings of every intrinsic agree, in every dtype it takes, at nasty values too."""

import itertools
import warnings

import numpy as np
import pytest

from codegen.compile import assemble
from codegen.intrinsics import INTRINSICS, Intrinsic, convert, evaluate, mix, permuted
from codegen.ir import Any, Loop, Program, SizeRule
from codegen.scalar import Apply, Axis, Constant, Load
from tests.codegen.build import argument, load, put

FLOATS = ("float32", "float64")
INTEGERS = ("int32", "int64")
NUMBERS = FLOATS + INTEGERS
DTYPES = {
    **dict.fromkeys(("add", "subtract", "multiply", "negative", "abs", "sign", "power"), NUMBERS),
    **dict.fromkeys(("floor_divide", "remainder"), INTEGERS),
    **dict.fromkeys(("maximum", "minimum"), NUMBERS),
    **dict.fromkeys(("less", "less_equal", "equal", "not_equal"), NUMBERS),
    **dict.fromkeys(("logical_and", "logical_or", "logical_not"), ("bool",)),
    "permuted": ("int64",),
}
BOOLEAN = {"less", "less_equal", "equal", "not_equal", "isfinite"}
# What the functions of NumPy, which the interpreter runs, may be wrong by themselves.
OF_NUMPY = 3
OWN_TESTS = {"cast", "select", "permuted"}
CASES = [
    (row, dtype)
    for row in INTRINSICS.values()
    if row.name not in OWN_TESTS
    for dtype in DTYPES.get(row.name, FLOATS)
]


def nasty(dtype: str) -> np.ndarray:
    """The ends, the zeros, what is not a number, and a spread of ordinary values."""
    if dtype == "bool":
        return np.array([False, True])
    if dtype in INTEGERS:
        ends = np.iinfo(dtype)
        return np.array([ends.min, ends.min + 1, -7, -2, -1, 0, 1, 2, 3, 10, ends.max], dtype)
    ends = np.finfo(dtype)
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, ends.max, ends.min, ends.tiny,
               ends.smallest_subnormal, 1.0, -1.0, 0.5, 2.0, -2.0, 3.0, 1 + ends.eps]  # fmt: skip
    plain = np.concatenate([np.linspace(-20, 20, 41), np.logspace(-12, 12, 25), [88.7, -103.9]])
    return np.concatenate([special, plain]).astype(dtype)


def compiled(expression, columns: list[np.ndarray], dtype: str) -> np.ndarray:
    """The expression of x0[i], x1[i], ..., evaluated by a kernel."""
    buffers = [argument(f"x{k}", "n", dtype=str(column.dtype)) for k, column in enumerate(columns)]
    program = Program(
        "one",
        (SizeRule("n"),),
        (*buffers, argument("y", "n", dtype=dtype)),
        (Loop("i", "n", Any(1024), (put("y", "i", value=expression),)),),
    )
    y = np.zeros(len(columns[0]), dtype)
    arrays = {f"x{k}": column for k, column in enumerate(columns)} | {"y": y}
    assemble((("given", program),)).bind({"n": len(y)}, arrays).run()
    return y


def grid(dtype: str, arity: int) -> list[np.ndarray]:
    rows = list(itertools.product(nasty(dtype), repeat=arity))
    return [np.array(column, dtype) for column in zip(*rows, strict=True)]


def close(ours: np.ndarray, wanted: np.ndarray, ulp: int) -> np.ndarray:
    """Where the two agree within that many units in the last place, or are both NaN."""
    if ours.dtype.kind != "f":
        return ours == wanted
    with np.errstate(all="ignore"):
        unit = np.spacing(np.maximum(np.abs(wanted), np.finfo(wanted.dtype).tiny))
        near = np.abs(ours - wanted) <= ulp * unit
        both_nan = np.isnan(ours) & np.isnan(wanted)
        # Beyond the largest number one spelling may round to it, the other to infinity.
        return near | (ours == wanted) | both_nan


@pytest.mark.parametrize(("row", "dtype"), CASES, ids=lambda value: getattr(value, "name", value))
def test_the_two_spellings_agree(row: Intrinsic, dtype: str):
    columns = grid(dtype, row.arity)
    result = "bool" if row.name in BOOLEAN else dtype
    args = tuple(load(f"x{k}", "i", dtype=dtype) for k in range(row.arity))
    ours = compiled(Apply(row.name, args, result), columns, result)
    wanted = np.array([evaluate(row.name, each, result) for each in zip(*columns, strict=True)])
    assert wanted.dtype == result
    good = close(ours, wanted, row.ulp and row.ulp + OF_NUMPY)
    bad = [(*[c[k] for c in columns], ours[k], wanted[k]) for k in np.flatnonzero(~good)[:5]]
    assert good.all(), f"{row.name}: arguments, compiled, interpreted: {bad}"
    if row.ulp == 0 and ours.dtype.kind == "f":
        real = ~np.isnan(wanted)
        assert (np.signbit(ours) == np.signbit(wanted))[real].all(), "signs of zero differ"


@pytest.mark.parametrize("exponent", [-1.0, 0.0, 0.5, 1.0, 2.0, 3.0, 4.0, -0.5])
@pytest.mark.parametrize("dtype", FLOATS)
def test_a_constant_exponent_means_the_same(exponent, dtype):
    x = nasty(dtype)
    power = Apply("power", (load("x0", "i", dtype=dtype), Constant(exponent, dtype)), dtype)
    ours = compiled(power, [x], dtype)
    wanted = np.array([evaluate("power", (v, x.dtype.type(exponent)), dtype) for v in x])
    assert close(ours, wanted, 2).all()
    if exponent in (1.0, 2.0):
        with np.errstate(all="ignore"):
            exact = x**1 if exponent == 1.0 else x * x
        assert ours.tobytes() == exact.tobytes()


@pytest.mark.parametrize("given", [*NUMBERS, "bool"])
@pytest.mark.parametrize("wanted", [*NUMBERS, "bool"])
def test_casts_agree_and_hold_at_the_ends(given, wanted):
    x = nasty(given)
    ours = compiled(Apply("cast", (load("x0", "i", dtype=given),), wanted), [x], wanted)
    expected = np.array([evaluate("cast", (value,), wanted) for value in x])
    assert expected.dtype == wanted
    np.testing.assert_array_equal(ours, expected)


def test_casting_to_an_integer_saturates():
    assert convert(np.float64(1e300), "int32") == 2**31 - 1
    assert convert(np.float32(-np.inf), "int64") == -(2**63)
    assert convert(np.float64(np.nan), "int64") == 0
    assert convert(np.float64(-2.9), "int32") == -2


def test_select_takes_the_branch_of_its_condition():
    x = nasty("float64")
    condition = Apply("less", (load("x0", "i"), Constant(0.0, "float64")), "bool")
    expression = Apply("select", (condition, Constant(1.0, "float64"), load("x0", "i")), "float64")
    np.testing.assert_array_equal(compiled(expression, [x], "float64"), np.where(x < 0, 1.0, x))


def test_the_same_permutation_is_compiled_and_interpreted():
    indices = np.arange(777)
    for seed, epoch in ((0, 0), (-5, 3), (2**62, 10**9)):
        constants = [np.full(777, value) for value in (777, seed, epoch)]
        args = (Axis("i"), *(Load(load(f"x{k}", "i").ref, "int64") for k in range(3)))
        ours = compiled(Apply("permuted", args, "int64"), constants, "int64")
        assert ours.tolist() == [permuted(index, 777, seed, epoch) for index in indices]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 16, 17, 63, 64, 65, 1000])
def test_a_permutation_is_one(count):
    for seed, epoch in ((0, 0), (0, 1), (1, 0), (-1, 7)):
        assert sorted(permuted(i, count, seed, epoch) for i in range(count)) == list(range(count))


def test_permutations_are_roughly_uniform():
    count, draws = 10, 4000
    seen = np.zeros((count, count))
    pairs = np.zeros((count, count))
    for seed in range(draws):
        order = [permuted(index, count, seed, seed // 7) for index in range(count)]
        seen[np.arange(count), order] += 1
        pairs[order[0], order[1]] += 1
    expected = draws / count
    chi_square = ((seen - expected) ** 2 / expected).sum()
    # 81 degrees of freedom: 81 +- 13; above 150 once in a hundred thousand.
    assert chi_square < 150
    off = pairs[~np.eye(count, dtype=bool)]
    assert ((off - draws / 90) ** 2 / (draws / 90)).sum() < 160


def test_epochs_and_seeds_differ():
    orders = {
        tuple(permuted(index, 50, seed, epoch) for index in range(50))
        for seed in range(5)
        for epoch in range(5)
    }
    assert len(orders) == 25


def test_mixing_is_a_bijection_of_words():
    words = {mix(word) for word in range(10_000)}
    assert len(words) == 10_000
    assert all(0 <= word < 2**64 for word in words)


def test_nothing_warns_and_nothing_raises():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for row, dtype in CASES:
            for args in itertools.islice(zip(*grid(dtype, row.arity), strict=True), 300):
                evaluate(row.name, args, "bool" if row.name in BOOLEAN else dtype)


def test_every_row_is_filled_in():
    for name, row in INTRINSICS.items():
        assert row.name == name
        assert row.cost >= 1
        assert row.cpu.count("{") == row.arity


@pytest.mark.parametrize("whole", [True, False], ids=["alone", "inside another function"])
def test_a_walk_made_side_by_side_ends_where_each_alone_does(whole: bool):
    index, count = load("x0", "i", dtype="int64"), load("x1", "i", dtype="int64")
    seeds = tuple(Constant(number, "int64") for number in (5, 11))
    drawn = Apply("permuted", (index, count, *seeds), "int64")
    value = drawn if whole else Apply("add", (drawn, Constant(0, "int64")), "int64")
    sizes = [0, 1, 2, 3, 5, 64, 65, 100, 129, 1797]
    pairs = [(place, size) for size in sizes for place in range(max(size, 1))]
    columns = [np.array(column, np.int64) for column in zip(*pairs, strict=True)]
    ours = compiled(value, columns, "int64")
    assert ours.tolist() == [permuted(place, size, 5, 11) for place, size in pairs]
