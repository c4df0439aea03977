"""Every monoid row: identity, associativity, and the value it stands for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from codegen import monoids as table
from codegen.interpret import interpret
from codegen.ir import Program
from codegen.monoids import MONOIDS
from codegen.scalar import Axis, Constant, Scalar
from tests.codegen.build import (
    argument,
    call,
    cast,
    fold,
    free,
    load,
    local,
    number,
    put,
    state,
)

VALUES = {
    "usual": [0.5, -2.0, 3.0, 3.0, 1.25, -7.0, 2.0],
    "one": [4.0],
    "none": [],
    "low": [-np.inf, -np.inf, -np.inf],
    "high": [1.0, np.inf, 2.0, np.inf],
    "nan": [1.0, np.nan, 5.0, np.nan],
    "large": [1e200, 1e200, 1e200, 1e200],
}


def folded(monoid: str, values: list[float], leaf: int = 2, dtype: str = "float64") -> list:
    """The carriers after a fold of values, yielded as each monoid wants them."""
    x: Scalar = load("x", "i", dtype=dtype)
    yields = {
        "argmax": (x, Axis("i")),
        "moments": (number(1, dtype), x, number(0, dtype)),
        "logsumexp": (x, number(1, dtype)),
        "all": (call("less", number(-3, dtype), x),),
        "any": (call("less", number(2.5, dtype), x),),
    }
    given = yields.get(monoid, (x,))
    names = ["c"] if len(given) == 1 else [f"c{n}" for n in range(len(given))]
    body = [fold(monoid, "c", "i", "n", *given, leaf=leaf)]
    for place, (name, value) in enumerate(zip(names, given, strict=True)):
        body.append(put("out", place, value=cast(local(name, value.dtype))))
    buffers = (argument("x", "n", dtype=dtype), state("out", 3))
    program = Program("fold", free("n"), buffers, tuple(body))
    arrays = {"x": np.array(values, dtype), "out": np.zeros(3)}
    interpret(program, {"n": len(values)}, arrays)
    return arrays["out"][: len(given)].tolist()


def expected(monoid: str, values: list[float]) -> list[float]:
    x = np.array(values)
    with np.errstate(all="ignore"):
        if monoid == "argmax":
            return [x.max(), float(x.argmax())]
        if monoid == "moments":
            return [len(x), x.mean(), ((x - x.mean()) ** 2).sum()]
        if monoid == "logsumexp":
            top = x.max()
            scaled = np.where(x == top, 0.0, x - top)
            return [top, 0.0 if top == -np.inf else np.exp(scaled).sum()]
        simple = {"sum": x.sum, "product": x.prod, "maximum": x.max, "minimum": x.min,
                  "all": (x > -3).all, "any": (x > 2.5).any}  # fmt: skip
        return [float(simple[monoid]())]


# The mean of infinities is not a number, here and in NumPy.
CASES = [
    (monoid, name)
    for monoid in MONOIDS
    for name, values in VALUES.items()
    if values and (monoid != "moments" or np.isfinite(values).all())
]


@pytest.mark.parametrize(("monoid", "values"), CASES)
@pytest.mark.parametrize("leaf", [1, 2, 100])
def test_a_fold_is_what_numpy_says(monoid: str, values: str, leaf: int):
    given = VALUES[values]
    np.testing.assert_allclose(folded(monoid, given, leaf), expected(monoid, given), rtol=1e-14)


@pytest.mark.parametrize("monoid", MONOIDS)
def test_an_empty_fold_is_the_identity(monoid: str):
    row = MONOIDS[monoid]
    dtypes = ("float64", "int64") if monoid == "argmax" else ("float64",) * row.carriers
    dtypes = ("bool",) if monoid in ("all", "any") else dtypes
    assert folded(monoid, []) == [float(one.value) for one in row.identity(dtypes)]


@pytest.mark.parametrize("monoid", MONOIDS)
def test_a_wrong_identity_is_noticed(monoid: str, monkeypatch: pytest.MonkeyPatch):
    row = MONOIDS[monoid]

    def wrong(dtypes: tuple[str, ...]) -> tuple[Constant, ...]:
        first, *rest = row.identity(dtypes)
        values = {"sum": 1.0, "product": 0.0, "maximum": 5.0, "minimum": -9.0, "all": False,
                  "any": True, "argmax": 2.0, "moments": 1.0, "logsumexp": 5.0}  # fmt: skip
        rest = [replace(one, value=3) for one in rest]
        return (replace(first, value=values[monoid]), *rest)

    monkeypatch.setitem(MONOIDS, monoid, replace(row, identity=wrong))
    given = [0.5, 1.5, 1.0] if monoid != "all" else VALUES["one"]
    assert folded(monoid, given) != pytest.approx(expected(monoid, given))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "bool"])
def test_extremes_are_identities_of_every_dtype(dtype: str):
    low, high = table.lowest(dtype), table.highest(dtype)
    assert (low.dtype, high.dtype) == (dtype, dtype)
    assert low.value <= np.dtype(dtype).type(0) <= high.value
    if dtype.startswith("int"):
        values = [int(np.iinfo(dtype).min), 5]
        assert folded("maximum", values[:1], dtype=dtype) == values[:1]


def test_the_tree_fixes_the_bits():
    random = np.random.default_rng(0)
    values = (random.normal(size=83) * 10.0 ** random.integers(-6, 6, 83)).tolist()

    def run(part: list[float]) -> float:
        strands = [sum(part[strand::16]) for strand in range(16)]
        for half in (8, 4, 2, 1):
            strands = [strands[at] + strands[at + half] for at in range(half)]
        return strands[0]

    first, second, third = run(values[:40]), run(values[40:80]), run(values[80:])
    assert folded("sum", values, leaf=40) == [(first + second) + third]
    assert folded("sum", values, leaf=100) == [run(values)]
    assert len({run(values), (first + second) + third, sum(values)}) == 3
