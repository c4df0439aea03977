"""The interpreter computes what NumPy computes, and sees every race, stray access and fault."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from codegen.elements import BoundsError
from codegen.interpret import Outcome, interpret
from codegen.intrinsics import permuted
from codegen.ir import (
    Any,
    Barrier,
    Buffer,
    Loop,
    Program,
    Ragged,
    Sequence,
    SizeRule,
    Statement,
    Store,
    Until,
)
from codegen.scalar import Axis, Indirect, Size, affine
from codegen.shadow import RaceError
from codegen.sizes import known_sizes
from tests.codegen.build import (
    argument,
    call,
    cast,
    free,
    load,
    nest,
    number,
    put,
    ref,
    state,
    step,
)
from tests.codegen.running import mapped, run, same
from tests.codegen.samples import SAMPLES


def expected(name: str, a: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The sample's results by NumPy, from its arrays."""
    if name == "chain":
        return {"out": np.exp(-((a["x"] + a["y"]) ** 2))}
    if name == "broadcast":
        return {"out": (a["x"] + np.exp(a["r"]) * np.tanh(a["c"])[:, None]).T}
    if name == "softmax":
        e = np.exp(a["x"] - a["x"].max(1, keepdims=True))
        return {"out": e / e.sum(1, keepdims=True), "logs": np.log(e.sum(1))}
    if name == "reductions":
        x = a["x"]
        rows = (x.prod(1), x.min(1), x.var(1), np.log(np.exp(x).sum(1)), x.argmax(1))
        many = np.stack(rows, 1)
        return {"rows": x.sum(1), "columns": x.sum(0), "total": x.sum(), "many": many}
    if name == "scatter":
        out = np.zeros_like(a["out"])
        np.add.at(out, a["index"], a["g"])
        return {"out": out, "copy": 2 * out}
    if name == "pad":
        return {"out": np.sqrt(np.pad(np.exp(a["raw"]) ** 2, 1))}
    if name == "strided":
        both = np.stack([a["x"], a["y"]], 1).ravel()
        return {"out": both[6::-2] + 1, "late": np.array([a["late"][0], *both[1:3], a["late"][3]])}
    if name == "reshape":
        return {"out": np.exp(a["x"]).reshape(3, 4) + 1}
    if name == "adam":
        m, v = 0.9 * a["m"] + 0.1 * a["g"], 0.99 * a["v"] + 0.01 * a["g"] ** 2
        return {"m": m, "v": v, "w": a["w"] - a["rate"] * m / (np.sqrt(v) + 1e-8)}
    if name == "products":
        x, y, u, w = (a[name] for name in "xyuw")
        return {"turned": (x @ y).T, "dot": u @ u, "half": x.sum() * w,
                "sum": x @ y + np.outer(u, w),
                "trace": u * np.trace(a["cube"], 0, 1, 2)}  # fmt: skip
    if name == "guarded_share":
        e = np.append(np.exp(a["x"][1:]), 0.0)
        last = np.append(np.zeros(4), 1.0)
        return {"out": 3 * e + last, "wide": e[:, None] + a["y"]}
    return trained(a)


def trained(a: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Seven steps of the training sample."""
    p = {name: value.copy() for name, value in a.items()}
    for t in range(7):
        rows = min(2, 5 - t % 3 * 2)
        pick = [permuted(t % 3 * 2 + i, 5, int(a["seed"]), t // 3) for i in range(rows)]
        x, y = a["X"][pick], a["Y"][pick]
        hidden = np.tanh(x @ p["W1"] + p["b1"])
        d = hidden @ p["W2"] + p["b2"] - y
        p["losses"][t] = (d**2).sum() / rows
        g2 = 2 * d / rows
        g1 = g2 @ p["W2"].T * (1 - hidden**2)
        g = x.T @ g1
        p["m"], p["v"] = 0.9 * p["m"] + 0.1 * g, 0.99 * p["v"] + 0.01 * g**2
        p["W1"] = p["W1"] - a["rate"] * p["m"] / (np.sqrt(p["v"]) + 1e-8)
        p["b1"] = p["b1"] - a["rate"] * g1.sum(0)
        p["W2"] = p["W2"] - a["rate"] * hidden.T @ g2
        p["b2"] = p["b2"] - a["rate"] * g2.sum(0)
    return p


@pytest.mark.parametrize("name", [name for name in SAMPLES if name != "diverging"])
def test_samples_compute_what_numpy_computes(name: str):
    sample = SAMPLES[name]
    _, arrays = run(sample)
    for key, value in expected(name, sample.arrays()).items():
        np.testing.assert_allclose(arrays[key], value, rtol=1e-12, atol=1e-14)


def test_a_swapped_index_is_noticed():
    def swap(one: Statement) -> Statement:
        if isinstance(one, Store) and one.ref.buffer == "out":
            return put("out", "p", "q", value=one.value)
        return one

    sample = SAMPLES["broadcast"]
    wrong = replace(sample.program, body=mapped(sample.program.body, swap))
    with pytest.raises(BoundsError):
        run(sample, wrong)


def test_a_run_that_is_no_longer_finite_stops_there():
    outcome, arrays = run(SAMPLES["diverging"])
    assert outcome == Outcome(1, True)
    assert not np.isfinite(arrays["losses"][1])
    assert arrays["losses"][2:].tolist() == SAMPLES["diverging"].arrays()["losses"][2:].tolist()


# Two statements over x[n] in one phase: what the tiles may and may not do.

ROWS = (argument("x", "n"), state("y", "n"), state("z", "n"))
HALF = SizeRule("half", ((1, ("n",)),))


def both(first: Statement, second: Statement, between: tuple = ()) -> Program:
    return Program("both", (*free("n"), HALF), ROWS, (first, *between, second))


def rows(store: Store, tile: int = 2, extent: str = "n") -> Loop:
    return Loop("i", extent, Any(tile), (store,))


COPY = put("y", "i", value=load("x", "i"))
RACES = {
    "read after write": (rows(COPY), rows(put("z", "i", value=load("y", 3)))),
    "write after read": (rows(put("z", "i", value=load("y", 3))), rows(COPY)),
    "write after write": (rows(COPY), rows(put("y", affine(3, {Axis("i"): -1}), value=number(0)))),
    "within one loop": (rows(put("y", 0, value=load("x", "i"))), rows(COPY)),
    "other tile size": (rows(COPY), rows(put("z", "i", value=load("y", "i")), tile=1)),
    "other extent": (rows(COPY), rows(put("z", "i", value=load("y", "i")), extent="half")),
    "single tile": (rows(COPY), put("z", 0, value=load("y", 0))),
    "several readers": (rows(put("z", "i", value=load("y", 0))), rows(COPY)),
}  # fmt: skip


def arrays() -> dict[str, np.ndarray]:
    return {"x": np.arange(4.0), "y": np.zeros(4), "z": np.zeros(4)}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", RACES)
def test_a_race_is_noticed_and_a_barrier_ends_it(name: str, seed: int):
    first, second = RACES[name]
    with pytest.raises(RaceError, match=r"[yz]\[\d\] .* with no barrier between"):
        interpret(both(first, second), {"n": 4}, arrays(), seed=seed)
    if name != "within one loop":
        interpret(both(first, second, (Barrier(),)), {"n": 4}, arrays(), seed=seed)


def test_tiles_of_one_name_run_in_order_on_one_worker():
    aligned = both(rows(COPY), rows(put("z", "i", value=load("y", "i"))))
    for seed in range(5):
        made = arrays()
        interpret(aligned, {"n": 4}, made, seed=seed)
        assert made["z"].tolist() == made["x"].tolist()


def test_buffers_in_one_slot_share_memory_and_its_shadow():
    one, two = step("one", "n"), step("two", 1, dtype="int32")
    body = (
        rows(put("one", "i", value=load("x", "i"))),
        put("two", 0, value=number(7, "int32")),
        Barrier(),
        rows(put("y", "i", value=load("one", "i"))),
    )
    program = Program("slots", free("n"), (*ROWS, one, two), body)
    made = arrays()
    interpret(program, {"n": 4}, made)
    assert made["y"].tolist() == made["x"].tolist()
    with pytest.raises(RaceError, match=r"one|two"):
        interpret(replace(program, slots=(("one", "two"),)), {"n": 4}, made)
    apart = (body[0], Barrier(), *body[1:])
    interpret(replace(program, slots=(("one", "two"),), body=apart), {"n": 4}, made)
    assert made["y"].tolist() != made["x"].tolist()


def test_scratch_begins_as_garbage():
    scratch = (step("s", 1), step("k", 1, dtype="int64"), Buffer("t", (1,), "float64", "tile"))
    body = (
        put("y", 0, value=load("s", 0)),
        put("y", 1, value=cast(load("k", 0, dtype="int64"))),
        put("y", 2, value=load("t", 0)),
    )
    made = arrays()
    interpret(Program("garbage", free("n"), (*ROWS, *scratch), body), {"n": 4}, made)
    np.testing.assert_array_equal(made["y"], [np.nan, -1.0, np.nan, 0.0])


@pytest.mark.parametrize(
    "index", [affine(1, {Axis("i"): 1}), affine(-1, {Axis("i"): 1}), Indirect(ref("k", "i"), "n")]
)
def test_an_access_outside_a_buffer_fails_loudly(index: object):
    body = (rows(put("y", "i", value=load("x", index))),)
    program = Program("out", free("n"), (*ROWS, argument("k", "n", dtype="int64")), body)
    with pytest.raises(BoundsError):
        interpret(program, {"n": 4}, {**arrays(), "k": np.array([0, 1, 2, 4])})


def test_select_evaluates_the_branch_taken_only():
    safe = call("less", Axis("i"), 3)
    value = call("select", safe, load("x", affine(1, {Axis("i"): 1})), number(-1.0))
    made = arrays()
    interpret(Program("lazy", free("n"), ROWS, (rows(put("y", "i", value=value)),)), {"n": 4}, made)
    assert made["y"].tolist() == [1.0, 2.0, 3.0, -1.0]


def test_arithmetic_happens_in_the_stated_dtype():
    one = load("a", dtype="float32")
    value = call("subtract", call("add", one, 1.0), 1.0)
    buffers = (argument("a", dtype="float32"), state("b", dtype="float32"))
    made = {"a": np.float32(1e-9).reshape(()), "b": np.array(5, np.float32)}
    interpret(Program("narrow", (), buffers, (put("b", value=value),)), {}, made)
    assert made["b"] == 0.0


def test_ragged_sizes_and_their_rules_follow_the_axis():
    sizes = (*free("total", "batch", "steps", "first"), SizeRule("double", ((2, ("rows",)),)))
    body = (
        put("seen", "t", 0, value=cast(Size("rows"))),
        put("seen", "t", 1, value=cast(Size("double"))),
        Barrier(),
    )
    order = Sequence((Ragged("rows", "batch", "total"),))
    loop = Loop("t", "steps", order, body, start="first")
    program = Program("ragged", sizes, (state("seen", 9, 2),), (loop,))
    given = {"total": 7, "batch": 3, "steps": 5, "first": 2}
    made = {"seen": np.zeros((9, 2))}
    assert interpret(program, given, made) == Outcome(5, False)
    assert made["seen"][:, 0].tolist() == [0, 0, 1, 3, 3, 1, 3, 0, 0]
    assert made["seen"][:, 1].tolist() == (2 * made["seen"][:, 0]).tolist()
    assert known_sizes(program, given)["double"] == 6


def test_until_needs_a_barrier_since_every_worker_reads_the_flag():
    flag = step("flag", dtype="bool")
    write = put("flag", value=call("less_equal", number(2, "int64"), Axis("t")))
    note = put("y", "t", value=number(1.0))
    good = Loop("t", 4, Sequence(), (write, Barrier(), Until(ref("flag")), note, Barrier()))
    made = arrays()
    program = Program("until", free("n"), (*ROWS, flag), (good,))
    assert interpret(program, {"n": 4}, made) == Outcome(2, True)
    assert made["y"].tolist() == [1, 1, 0, 0]
    late = replace(good, body=(write, Until(ref("flag")), Barrier()))
    with pytest.raises(RaceError, match="every worker"):
        interpret(replace(program, body=(late,)), {"n": 4}, made)
    soon = replace(good, body=good.body[:-1])
    with pytest.raises(RaceError):
        interpret(replace(program, body=(soon,)), {"n": 4}, made)


def test_a_sequence_inside_a_tile_is_left_by_its_own_until():
    flags = argument("flags", 3, dtype="bool")
    count = put("y", "i", value=call("add", load("y", "i"), 1.0))
    inner = Loop("k", 3, Sequence(), (count, Until(ref("flags", "k"))))
    made = {**arrays(), "flags": np.array([False, True, False])}
    interpret(Program("in", free("n"), (*ROWS, flags), (nest({"i": "n"}, inner),)), {"n": 4}, made)
    assert made["y"].tolist() == [2, 2, 2, 2]


@pytest.mark.parametrize("wrong", [np.zeros(5), np.zeros(4, np.float32), np.zeros(8)[::2]])
def test_arrays_that_do_not_fit_are_refused(wrong: np.ndarray):
    program = both(rows(COPY), rows(COPY))
    with pytest.raises(ValueError, match="y must be a C-contiguous float64 array of shape"):
        interpret(program, {"n": 4}, {**arrays(), "y": wrong})


def test_every_seed_gives_the_same_bits():
    for sample in SAMPLES.values():
        _, first = run(sample, seed=1)
        _, second = run(sample, seed=2)
        assert same(first, second)
