"""`sn.compile` against the reference: every row of the op table, and what a function promises.

Compiled and interpreted run the same stabilised graph. They agree within ULP units in the last
place of the larger of the value and 1: a multiply and an add may be one instruction, and sums add
in another order.
"""

from __future__ import annotations

import numpy as np
import pytest
from pointwise_cases import CONDITIONS, SHAPES
from samples import SAMPLES, SIZES, Sample

import symnet as sn
from codegen import cache
from symnet.errors import FeedError, GraphError, ShapeError, UnknownFunctionError
from symnet.expr import Expr, substitute
from symnet.lower import operations
from symnet.ops.pointwise import Pointwise
from symnet.ops.reduction import REDUCTIONS, reduce
from symnet.ops.table import POINTWISE

ULP = 32
DTYPES = ("float32", "float64")
RUN_TIME = {
    "run-time": [("N", 3), (3,), ("N", 1)],
    "two run-time": [("N", 1), ("M",), ("N", "M")],
    "run-time vector": [("N",), ("N",), ()],
}
# Where gradients are compiled too: what differs between shapes is how elements are reached.
DIFFERENTIATED = {"scalar", "column", "with scalar", "run-time", "empty"}
Values = dict[Expr, np.ndarray]


def gap(found: object, true: object) -> float:
    """The largest difference in units in the last place of max(1, |true|); infinite where shape,
    dtype or finiteness differ."""
    left, right = np.asarray(found), np.asarray(true)
    if left.shape != right.shape or left.dtype != right.dtype:
        return np.inf
    if left.dtype.kind != "f":
        return 0.0 if np.array_equal(left, right) else np.inf
    same = (left == right) | (np.isnan(left) & np.isnan(right))
    with np.errstate(all="ignore"):
        unit = np.finfo(left.dtype).eps * np.maximum(1, np.abs(right))
        off = np.where(same, 0, np.abs(left.astype(np.float64) - right) / unit)
    return float(np.max(np.where(np.isnan(off), np.inf, off), initial=0.0))


def differences(outputs: dict[str, Expr], feeds: list[Values]) -> list[str]:
    """What a compiled function gives that the reference does not, for each of the feeds."""
    stable = dict(zip(outputs, sn.stabilize(list(outputs.values())), strict=True))
    f = sn.compile(outputs)
    wrong = []
    for values in feeds:
        found, true = f(values), sn.evaluate(stable, values)
        gaps = {name: gap(found[name], true[name]) for name in outputs}
        wrong += [f"{name}: {by:.3g} ulp" for name, by in gaps.items() if not by <= ULP]
    return wrong


def with_gradients(label: str, y: Expr, wrt: list[Expr]) -> dict[str, Expr]:
    """An output and its vector-Jacobian products with a cotangent that differs by element."""
    found = {label: y}
    if y.dtype.kind == "f" and wrt:
        products = sn.vjp(y, wrt, 1.5 + sn.tanh(y * 0.01))
        found |= {f"d {label}/d {leaf.name}": p for leaf, p in zip(wrt, products, strict=True)}
    return found


# Pointwise rows.


class Arguments:
    """Inputs for pointwise rows; rows with the same domain share theirs, so that few kernels
    compute many rows."""

    def __init__(self, shapes: list[tuple], dtype: str) -> None:
        self.shapes, self.dtype = shapes, dtype
        self.leaves: dict[tuple, Expr] = {}

    def of(self, row: Pointwise) -> list[Expr]:
        domain = row.domain if len(row.domain) == row.arity else row.domain * row.arity
        found = []
        for index, bounds in enumerate(domain):
            truth = row.accepts == "bool" or (row.name, index) in CONDITIONS
            key = (index, bounds, "bool" if truth else self.dtype)
            if key not in self.leaves:
                name = f"x{len(self.leaves)}"
                self.leaves[key] = sn.input(name, self.shapes[index], key[2])
            found.append(self.leaves[key])
        return found

    def values(self, sizes: dict[str, int]) -> Values:
        generator = np.random.default_rng(11)
        made = {}
        for (_, (low, high), kind), leaf in self.leaves.items():
            shape = tuple(sizes.get(size, size) for size in leaf.shape)
            drawn = np.asarray(generator.uniform(low, high, shape))
            made[leaf] = drawn > (low + high) / 2 if kind == "bool" else drawn.astype(kind)
        return made


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shapes", [*SHAPES, *RUN_TIME])
def test_every_pointwise_row_compiled_equals_interpreted(shapes: str, dtype: str):
    arguments = Arguments((SHAPES | RUN_TIME)[shapes], dtype)
    outputs: dict[str, Expr] = {}
    for row in POINTWISE.values():
        leaves = arguments.of(row)
        floats = [leaf for leaf in leaves if leaf.dtype.kind == "f"]
        wrt = floats if shapes in DIFFERENTIATED else []
        outputs |= with_gradients(row.name, row(*leaves), wrt)
    sizes = [{"N": 4, "M": 3}, {"N": 1, "M": 5}, {"N": 0, "M": 1}] if shapes in RUN_TIME else [{}]
    assert differences(outputs, [arguments.values(known) for known in sizes]) == []


def test_a_wrong_kernel_is_noticed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(operations._INTRINSICS, "sin", "cos")
    x = sn.input("x", (3,))
    (wrong,) = differences({"sin": sn.sin(x)}, [{x: np.ones(3)}])
    assert wrong.startswith("sin: 2.5")


# Reductions.

REDUCED = {
    "all of a vector": ((300,), None),
    "one": ((1,), None),
    "no axes": ((), None),
    "rows": (("N", 5), 1),
    "columns": (("N", 5), 0),
    "both": (("N", 5), (0, 1)),
    "around": ((2, 3, 4), (0, 2)),
    "middle": ((3, "N", 2), 1),
    "no rows": ((0, 3), 1),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("label", REDUCED)
def test_every_reduction_compiled_equals_interpreted(label: str, dtype: str):
    shape, axis = REDUCED[label]
    x = sn.input("x", shape, dtype)
    outputs: dict[str, Expr] = {}
    for row in REDUCTIONS.values():
        if row.name == "argmax" and not (isinstance(axis, int) or x.ndim == 1):
            continue
        # See test_the_gradient_of_a_product_of_no_rows.
        wrt = [] if (row.name, label) == ("prod", "no rows") else [x]
        outputs |= with_gradients(row.name, reduce(row, x, axis, False), wrt)
        outputs[f"{row.name} kept"] = reduce(row, x, axis, True)
    for row in (sn.softmax, sn.log_softmax):
        y = row(x, axis if axis is not None else tuple(range(x.ndim)))
        outputs |= with_gradients(row.__name__, y, [x])
    generator = np.random.default_rng(2)
    feeds = []
    for count in (4, 1, 131) if "N" in shape else (0,):
        fixed = [count if size == "N" else size for size in shape]
        feeds.append({x: np.asarray(generator.uniform(0.5, 1.2, fixed), dtype)})
    assert differences(outputs, feeds) == []


def test_the_gradient_of_a_product_of_no_rows():
    x = sn.input("x", (0, 3))
    outputs = with_gradients("prod", sn.prod(x, axis=1), [x])
    assert differences(outputs, [{x: np.ones((0, 3), np.float32)}]) == []


@pytest.mark.parametrize("dtype", DTYPES)
def test_reductions_at_infinities_and_ties(dtype: str):
    x = sn.input("x", ("N", 3), dtype)
    names = (sn.max, sn.min, sn.sum, sn.logsumexp, sn.argmax, sn.argmin, sn.softmax, sn.log_softmax)
    outputs = {row.__name__: row(x, axis=1) for row in names}
    outputs |= {f"d{row.__name__}": sn.grad(sn.sum(row(x, axis=1)), x) for row in (sn.max, sn.min)}
    inf = np.inf
    rows = [[1, 1, 1], [-inf, -inf, -inf], [0, -inf, 0], [inf, 1, 2], [700, 700, -700]]
    assert differences(outputs, [{x: np.array(rows, dtype)}]) == []


# Views, contractions, gathers: the samples of every other op.


def fresh(sample: Sample, place: int) -> tuple[Expr, Values]:
    """A sample over inputs whose names no other sample has."""
    made = {
        leaf: sn.input(f"{leaf.name}_{place}", leaf.shape, leaf.dtype) for leaf in sample.values
    }
    return substitute([sample.output], made)[0], {made[k]: v for k, v in sample.values.items()}


def resized(values: Values, sizes: dict[str, int]) -> Values:
    """Other values, for other run-time sizes."""
    generator = np.random.default_rng(5)
    return {
        leaf: generator.uniform(-2, 2, [sizes.get(size, size) for size in leaf.shape])
        if set(leaf.shape) & set(sizes)
        else data
        for leaf, data in values.items()
    }


@pytest.mark.parametrize("op", sorted({sample.op for sample in SAMPLES}))
def test_every_other_op_compiled_equals_interpreted(op: str):
    outputs: dict[str, Expr] = {}
    values: Values = {}
    for place, sample in enumerate(one for one in SAMPLES if one.op == op):
        y, own = fresh(sample, place)
        values |= own
        wrt = [leaf for leaf in own if leaf.dtype.kind == "f"]
        outputs |= with_gradients(f"{sample} {place}", y, wrt)
    others = [{name: size for name in SIZES} for size in (1, 5)]
    assert differences(outputs, [values, *(resized(values, sizes) for sizes in others)]) == []


def test_contractions_of_single_precision_and_of_integers():
    a, b = sn.input("a", ("N", 7)), sn.input("b", (7, "M"))
    k = sn.input("k", ("N", 7), "int64")
    outputs = {"product": a @ b, "transposed": b.T @ a.T, "square": a.T @ a, "whole": k @ k.T}
    outputs |= with_gradients("three", sn.einsum("ij,jk,ik->", a, b, a @ b), [a, b])
    generator = np.random.default_rng(0)
    feeds = [
        {
            a: generator.uniform(-0.3, 0.3, (n, 7)).astype(np.float32),
            b: generator.uniform(-0.3, 0.3, (7, m)).astype(np.float32),
            k: generator.integers(-9, 9, (n, 7)),
        }
        for n, m in ((5, 3), (1, 1), (0, 4), (33, 65))
    ]
    assert differences(outputs, feeds) == []


def test_deep_and_wide_graphs_compile():
    x = sn.input("x", ("N",), "float64")
    deep = x
    for _ in range(2000):
        deep = deep * 0.999 + 0.001
    wide = sum((sn.sin(x * (1 + k / 100)) for k in range(100)), x)
    assert differences({"deep": deep, "wide": wide}, [{x: np.linspace(-1, 1, 5)}]) == []


# What a function promises.


def test_updates_are_all_computed_before_any_takes_effect():
    with sn.default_dtype("float64"):
        a, b = sn.parameter("a", init=[1.0, 2.0, 3.0]), sn.parameter("b", init=[7.0, 8.0, 9.0])
        c = sn.parameter("c", init=4.0)
    f = sn.compile([a + 0, sn.sum(b)], {a: b, b: a[::-1], c: c + sn.sum(a)})
    first = f()
    assert [v.tolist() for v in first] == [[1, 2, 3], 24]
    assert {k: v.tolist() for k, v in f.parameters.items()} == {
        "a": [7, 8, 9], "b": [3, 2, 1], "c": 10,
    }  # fmt: skip
    assert [v.tolist() for v in f()] == [[7, 8, 9], 6]
    assert f.parameters["b"].tolist() == [9, 8, 7]
    assert f.parameters["c"] == 34


def test_an_update_by_a_view_of_itself_reads_the_state_before():
    m = sn.parameter("m", init=np.arange(9.0).reshape(3, 3), dtype="float64")
    v = sn.parameter("v", init=np.arange(5.0), dtype="float64")
    flipped = sn.flip(v)
    f = sn.compile(m[0, 1], [(m, m.T), (v, sn.concat([flipped[1:], flipped[:1]]))])
    assert f() == 1
    assert f.parameters["m"].tolist() == np.arange(9.0).reshape(3, 3).T.tolist()
    assert f.parameters["v"].tolist() == [3, 2, 1, 0, 4]
    assert f() == 3
    assert f.parameters["m"].tolist() == np.arange(9.0).reshape(3, 3).tolist()


def test_a_parameter_that_is_fed_counts_for_that_call_unless_it_is_updated():
    w, u = sn.parameter("w", init=[1.0, 2.0]), sn.parameter("u", init=0.0)
    f = sn.compile(sn.sum(w) + u, {u: u + 1})
    assert f({"w": [10, 20]}) == 30
    assert f() == 4
    assert f({w: np.array([0, 0]), "u": 5.0}) == 5
    assert f.parameters["u"] == 6
    f.parameters["w"][...] = 0.5
    assert f() == 7


def test_feeds_by_name_by_expression_and_as_keywords():
    x, y = sn.input("x", ("N",)), sn.input("y")
    f = sn.compile({"both": [x * y, (y,)], "one": sn.sum(x)})
    for found in (f({"x": [1, 2], "y": 3}), f(x=[1, 2], y=3.0), f({x: [1, 2]}, y=3)):
        assert found["both"][0].tolist() == [3, 6]
        assert isinstance(found["both"][1], tuple)
        assert found["one"] == 3
        assert isinstance(found["one"], np.float32)
    assert sn.compile(x)({"x": []}).shape == (0,)
    kept = np.array([1, 2], np.float32)
    sn.compile(x)(x=kept)[...] = 9
    assert kept.tolist() == [1, 2]


def test_any_layout_of_the_data_gives_the_same():
    x = sn.input("x", ("N", 3))
    f = sn.compile(sn.sum(x * x, axis=0))
    whole = np.arange(24, dtype=np.float32).reshape(8, 3)
    for data in (whole[::2], np.asfortranarray(whole), whole.T.copy().T[::-1], whole.astype(int),
                 whole.astype(">f4"), whole[:0], whole.tolist()):  # fmt: skip
        true = np.square(np.asarray(data, np.float32)).sum(0).astype(np.float32)
        assert f(x=data).tolist() == true.tolist()


def test_rounding_at_the_door_is_reported():
    f = sn.compile(sn.input("x", ("N",)) * 2)
    f(x=np.array([0.5]))
    assert f.notes == ()
    f(x=np.array([0.1]))
    assert f.notes == ("x: float64 data rounded to float32",)


def test_the_training_switch_is_off_unless_fed():
    f = sn.compile(sn.where(sn.training, 1.0, 2.0))
    assert f() == 2
    assert f(training=True) == 1
    assert f() == 2


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_number_of_workers_changes_no_bit(threads: int):
    x, w = sn.input("x", ("N", 70)), sn.input("w", (70, 5))
    h = sn.tanh(x @ w)
    outputs = [sn.softmax(h), sn.sum(h), sn.grad(sn.logsumexp(h), [x, w])]
    generator = np.random.default_rng(3)
    feeds = {x: generator.normal(size=(1000, 70)), w: generator.normal(size=(70, 5))}
    alone = sn.compile(outputs)(feeds)
    several = sn.compile(outputs, threads=threads)(feeds)
    for one, other in zip([*alone[:2], *alone[2]], [*several[:2], *several[2]], strict=True):
        assert one.tobytes() == other.tobytes()


def test_every_stage_can_be_looked_at():
    x = sn.input("x", ("N",))
    f = sn.compile(sn.sum(sn.exp(x)))
    assert f.stages[0] == "given"
    assert f.stages[-1] == "memory"
    for name in f.stages:
        assert f.stage(name).startswith("program function\n")
    assert f.stage("given") != f.stage("fuse")
    assert "def kernel(worker, workers, n, p):" in f.source
    assert "exp(" in f.source
    assert "define" in f.llvm
    assert "ret" in f.asm
    assert "kernel" in f.explain()
    with pytest.raises(GraphError, match=r"a stage is one of given, .*got 'fused'"):
        f.stage("fused")


def test_what_is_known_compiles_nothing():
    def made(width: int) -> sn.Function:
        x, w = sn.input("input_data", ("rows", width)), sn.parameter("weights", (width,))
        return sn.compile([sn.sum(sn.tanh(x * w), axis=1), sn.grad(sn.sum(x * w * w), w)])

    made(4)
    before = cache.compiled()
    f = made(9)
    assert f.compiles == 0
    str(f.step.outputs["0"])
    sn.evaluate(list(f.step.outputs.values()), {"input_data": np.ones((2, 9))})
    assert cache.compiled() == before


def test_stabilize_may_be_turned_off():
    x = sn.input("x", (2,), "float64")
    naive = sn.log(1 + sn.exp(x))
    assert sn.compile(naive)(x=[800.0, -40.0])[0] == 800
    assert np.isinf(sn.compile(naive, stabilize=False)(x=[800.0, -40.0])[0])


def test_what_cannot_be_compiled_is_said_before_anything_is():
    x = sn.input("x")
    with pytest.raises(UnknownFunctionError, match="f is an unknown function"):
        sn.compile(sn.function("f")(x))
    with pytest.raises(FeedError, match="no data for x"):
        sn.compile(x + 1)()


@pytest.mark.parametrize("size", [4, "N"])
def test_constant_indices_lie_inside_their_axis(size: int | str):
    x = sn.input("x", (size,))
    for indices in ([0, 9], [-1, 0]):
        with pytest.raises((ShapeError, FeedError), match="takes indices from 0 to"):
            sn.compile(sn.take(x, sn.constant(indices)))({"x": [1, 2, 3, 4]})
    assert sn.compile(sn.take(x, sn.constant([0, 3])))({"x": [1, 2, 3, 4]}).tolist() == [1, 4]


def test_computed_indices_lie_inside_their_axis():
    x, k = sn.input("x", (4,)), sn.input("k", (2,), "int64")
    with pytest.raises(FeedError, match="must be from 0 to 3, and is not"):
        sn.compile(sn.take(x, k + 1))({"x": [1, 2, 3, 4], "k": [0, 3]})
