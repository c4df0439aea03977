"""Lowering: the program of a graph, and of a training loop, means what the reference says, after
every pass, in any order of the tiles, with every barrier in place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

import symnet as sn
from codegen.check import check
from codegen.interpret import interpret
from codegen.intrinsics import permuted
from codegen.ir import Barrier, Contraction, Loop, Program, Sequence
from codegen.passes import optimise
from codegen.shadow import RaceError
from codegen.show import show, show_statement
from symnet.compile import fixed_shape, starting_values_of
from symnet.expr import Expr
from symnet.feeds import bind
from symnet.lower import Lowered, Training, lower, lower_training, operations, reading
from symnet.ops.leaves import INPUT, training
from symnet.optim import Optimizer
from symnet.step import Step, make_step
from symnet.train.model import Model, build, not_finite
from tests.codegen.running import barriers, scheduled, without_barrier

SEEDS = (0, 1, 2)
Values = dict[Expr, np.ndarray]
RNG = np.random.default_rng(4)
N, M = 5, 3


def stages(program: Program) -> list[tuple[str, Program]]:
    """The program as given and after every pass, each with tiles and barriers."""
    made = [("given", program), *optimise(program)]
    for _, one in made:
        check(one)
    return [(name, scheduled(one)) for name, one in made]


# One pass over a graph.


@dataclass(frozen=True)
class Graph:
    """Outputs and updates, with data for the inputs."""

    outputs: list[Expr]
    updates: dict[Expr, Expr]
    feeds: Values

    def step(self) -> Step:
        names = {str(place): node for place, node in enumerate(self.outputs)}
        return make_step(names, self.updates)


def _x(name: str = "x", shape: tuple = ("N", 4)) -> tuple[Expr, np.ndarray]:
    fixed = [{"N": N, "M": M}.get(size, size) for size in shape]
    return sn.input(name, shape, "float64"), np.asarray(RNG.uniform(-1, 1, fixed))


def _graph(build_: Callable[..., list[Expr]], *shapes: tuple) -> Graph:
    pairs = [_x("abcd"[place], shape) for place, shape in enumerate(shapes)]
    return Graph(build_(*(leaf for leaf, _ in pairs)), {}, dict(pairs))


def _updated() -> Graph:
    with sn.default_dtype("float64"):
        w, v = (sn.parameter(name, init=RNG.normal(size=(4, 4))) for name in "wv")
        u = sn.parameter("u", init=np.arange(4.0))
    x, data = _x()
    outputs = [sn.sum(x @ w, axis=0), sn.sum(v)]
    return Graph(outputs, {w: v.T, v: w[::-1], u: sn.flip(u) + outputs[0]}, {x: data})


def _gathered() -> Graph:
    x, data = _x()
    k = sn.input("k", ("N",), "int64")
    y = sn.take_along_axis(x, k[:, None], 1)[:, 0]
    rows = sn.take(x, sn.constant([1, 1, 0]), axis=0)
    outputs = [y, rows, sn.grad(sn.sum(y * y), x), sn.grad(sn.sum(rows**2), x)]
    return Graph(outputs, {}, {x: data, k: np.array([3, 0, 1, 1, 2])})


def _scalars(a: Expr) -> list[Expr]:
    total = sn.sum(a)
    return [total, total * total, sn.max(a) - sn.min(a), sn.argmax(a), sn.mean(a * total)]


GRAPHS = {
    "chain": _graph(lambda a: [sn.tanh(sn.exp(a) * 2 - a), sn.sigmoid(a) + a], ("N", 4)),
    "broadcast": _graph(lambda a, b, c: [a * b + c, a + c[0]], ("N", 4), ("N", 1), (4,)),
    "scalars": _graph(_scalars, ("N", 4)),
    "softmax": _graph(lambda a: [sn.softmax(a), sn.log_softmax(a, axis=0), sn.softmax(a[0])],
                      ("N", 4)),
    "variance": _graph(lambda a: [sn.var(a, axis=0), sn.std(a), (a - sn.mean(a, axis=0)) / 2],
                       ("N", 4)),
    "dense gradients": _graph(
        lambda a, b: [*sn.grad(sn.sum(sn.tanh(a @ b) ** 2), [a, b])], ("N", 4), (4, "M")),
    "einsums": _graph(
        lambda a, b: [sn.einsum("ij,kj->ik", a, a), sn.einsum("ij,k->j", a, b),
                      sn.einsum("ij,ij,i->", a, a, a[:, 0])], ("N", 4), ("M",)),
    "views": _graph(
        lambda a: [a[::-2, 1:], sn.pad(a, ((1, 0), (0, 2))), sn.reshape(a.T, (-1,)),
                   sn.concat([a, a[:1] * 2]), sn.grad(sn.sum(a[1::2] ** 2), a)], (5, 4)),
    "named views": _graph(
        lambda a, b: [a[1:], sn.pad(a, ((0, 1), (2, 0))), sn.concat([a, b]), sn.flip(a),
                      sn.grad(sn.sum(sn.concat([b, a])[2:] ** 2), [a, b])[0]],
        ("N", 4), ("M", 4)),
    "products": _graph(lambda a: [sn.prod(a, axis=1), sn.grad(sn.prod(a), a)], (2, 3)),
    "hessian": _graph(lambda a: [sn.hessian(sn.sum(sn.log1p(a * a)) * sn.sum(a), a)], (3,)),
    "gathered": _gathered(),
    "updated": _updated(),
}  # fmt: skip


def reference(graph: Graph) -> tuple[list[np.ndarray], Values]:
    """The outputs and the next state, op by op."""
    found, after = sn.evaluate([graph.outputs, list(graph.updates.values())], graph.feeds)
    return found, dict(zip(graph.updates, after, strict=True))


def carried_out(
    lowered: Lowered, program: Program, graph: Graph, seed: int
) -> tuple[list[np.ndarray], Values]:
    """The outputs and the next state by interpreting a program of the graph."""
    held = starting_values_of(graph.step(), 0)
    bound = bind(list(graph.feeds), graph.feeds)
    results = {
        key: np.zeros(fixed_shape(node, bound.sizes), node.dtype)
        for key, node in graph.step().outputs.items()
    }
    arrays = {name: array.copy() for name, array in lowered.constants.items()}
    arrays |= {name: {**held, **bound.arrays}[leaf] for leaf, name in lowered.leaves.items()}
    arrays |= {lowered.outputs[key]: array for key, array in results.items()}
    free = {rule.name for rule in program.sizes if not rule.terms}
    sizes = {name: value for name, value in bound.sizes.items() if name in free}
    interpret(program, sizes, arrays, seed=seed)
    return list(results.values()), {leaf: held[leaf] for leaf in graph.updates}


def agree(graph: Graph, found: tuple[list[np.ndarray], Values]) -> bool:
    outputs, after = reference(graph)
    pairs = [*zip(found[0], outputs, strict=True), *((found[1][k], after[k]) for k in after)]
    return all(np.allclose(one, true, rtol=1e-12, atol=1e-13) for one, true in pairs)


@pytest.mark.parametrize("name", GRAPHS)
def test_every_stage_of_a_graph_equals_the_reference(name: str):
    graph = GRAPHS[name]
    lowered = lower(graph.step())
    for stage, program in stages(lowered.program):
        for seed in SEEDS:
            assert agree(graph, carried_out(lowered, program, graph, seed)), (stage, seed)


FAULTS = {
    "intrinsic": (operations._INTRINSICS, "tanh", "sin", "chain"),
    "monoid": (operations._MONOIDS, "max", "minimum", "scalars"),
    "permute": (reading.READERS, "permute", lambda b, n, i: reading.read(b, n.args[0], i),
                "updated"),
    "slice": (reading.READERS, "slice", lambda b, n, i: reading.read(b, n.args[0], i), "views"),
    "place": (reading.READERS, "place", lambda b, n, i: reading.zero(n), "views"),
    "gather": (reading.READERS, "gather",
               lambda b, n, i: reading.read(b, n.args[0], (i[0], *i[1:], *[reading.ZERO] * 2)[:2]),
               "gathered"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_perturbed_row_of_lowering_is_noticed(fault: str, monkeypatch: pytest.MonkeyPatch):
    table, row, wrong, name = FAULTS[fault]
    monkeypatch.setitem(table, row, wrong)
    graph = GRAPHS[name]
    try:
        lowered = lower(graph.step())
        found = carried_out(lowered, stages(lowered.program)[-1][1], graph, 0)
    except (KeyError, ValueError, IndexError, AssertionError):
        return
    assert not agree(graph, found)


@pytest.mark.parametrize("name", ["dense gradients", "variance", "softmax"])
def test_every_barrier_of_a_graph_is_needed(name: str):
    graph = GRAPHS[name]
    lowered = lower(graph.step())
    program = dict(stages(lowered.program))["memory"]
    assert barriers(program)
    for number in range(barriers(program)):
        with pytest.raises(RaceError):
            carried_out(lowered, without_barrier(program, number), graph, 0)


def test_updates_without_a_copy_would_see_each_other(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("symnet.lower.program._copy", lambda builder, node: None)
    graph = _updated()
    lowered = lower(graph.step())
    assert not agree(graph, carried_out(lowered, scheduled(lowered.program), graph, 0))


# The training loop.


@dataclass(frozen=True)
class Run:
    """A training: what is trained, on what, in which batches."""

    model: Model
    data: Values
    batch: int | None
    shuffle: bool
    steps: int


def _run(
    loss_of: Callable[[Expr, Expr], Expr],
    target: tuple[tuple, str, np.ndarray],
    optimizer: Optimizer,
    *,
    batch: int | None = 2,
    shuffle: bool = True,
    steps: int = 5,
) -> Run:
    shape, dtype, labels = target
    with sn.default_dtype("float64"):
        x, y = sn.input("X", ("N", 3)), sn.input("y", ("N", *shape), dtype)
        outputs = shape[0] if shape else 4 if dtype == "int64" else 1
        net = sn.nn.Sequential(
            sn.nn.Dense(3, 4, activation="tanh"), sn.nn.Dense(4, outputs)
        )  # fmt: skip
        loss = loss_of(net(x), y)
    data = {x: np.random.default_rng(0).normal(size=(N, 3)), y: labels}
    return Run(build(loss, optimizer), data, batch, shuffle, steps)


TWO = ((2,), "float64", np.linspace(-1, 1, 2 * N).reshape(N, 2))
CLASSES = ((), "int64", np.array([0, 3, 1, 1, 2]))
BITS = ((1,), "float64", np.array([[0.0], [1.0], [1.0], [0.0], [1.0]]))


def _penalised(prediction: Expr, y: Expr) -> Expr:
    loss = sn.losses.mse(prediction, y)
    return loss + 0.01 * sum((sn.sum(w * w) for w in loss.parameters()), 0 * loss)


RUNS = {
    "adam, ragged, shuffled": _run(sn.losses.mse, TWO, sn.optim.Adam(0.05)),
    "momentum, classes": _run(sn.losses.cross_entropy, CLASSES, sn.optim.Momentum(0.1)),
    "adamw, bits, in order": _run(
        sn.losses.binary_cross_entropy, BITS, sn.optim.AdamW(0.01, weight_decay=0.1), shuffle=False
    ),
    "huber, one row a step": _run(sn.losses.huber, TWO, sn.optim.SGD(0.1), batch=1, steps=7),
    "schedule, all rows": _run(
        _penalised, TWO, sn.optim.SGD(sn.schedules.cosine(0.5, 0.0, 4)), batch=None
    ),
    "mae, batch of all": _run(sn.losses.mae, TWO, sn.optim.Adam(0.1), batch=5, steps=3),
}


def lowered_run(run: Run) -> Lowered:
    outputs = {"loss": run.model.loss, "rate": run.model.rate}
    step = make_step(outputs, run.model.updates)
    sampled = () if run.batch is None else ("N",)
    return lower_training(Training(step, (not_finite(run.model.loss),), sampled, run.shuffle))


def held_values(run: Run) -> Values:
    return starting_values_of(make_step({"loss": run.model.loss}, run.model.updates), 0)


def trained(run: Run, lowered: Lowered, program: Program, seed: int) -> tuple[list, Values]:
    """The losses and the state by interpreting the loop."""
    held = held_values(run)
    history = {key: np.full(run.steps, np.nan) for key in lowered.histories}
    fed = {training: np.ones((), bool), **run.data}
    arrays = {name: array.copy() for name, array in lowered.constants.items()}
    for leaf, name in lowered.leaves.items():
        arrays[name] = fed[leaf] if leaf.op is INPUT else held[leaf]
    arrays |= {lowered.histories[key]: array for key, array in history.items()}
    batch = run.batch or N
    sizes = {"first": 0, "count": run.steps, "capacity": run.steps, "seed": 9, "N": batch}
    sizes |= {"N.rows": N, "N.batch": batch, "N.total": N, "N.steps": -(-N // batch), "N.epoch": 2}
    free = {rule.name for rule in program.sizes if not rule.terms}
    known = {name: value for name, value in sizes.items() if name in free}
    interpret(program, known, arrays, seed=seed)
    return history["loss"].tolist(), held


def written_out(run: Run) -> tuple[list, Values]:
    """The losses and the state by the reference, step by step."""
    held, losses, batch = held_values(run), [], run.batch or N
    targets, values = zip(*run.model.updates, strict=True)
    for t in range(run.steps):
        epoch, place = divmod(t, -(-N // batch))
        rows = range(place * batch, min((place + 1) * batch, N))
        if run.shuffle and run.batch is not None:
            rows = [permuted(row, N, 9, 2 + epoch) for row in rows]
        feeds = {leaf: array[list(rows)] for leaf, array in run.data.items()} | held
        loss, after = sn.evaluate([run.model.loss, list(values)], feeds)
        losses.append(float(loss))
        held |= dict(zip(targets, map(np.asarray, after), strict=True))
    return losses, held


def same_run(found: tuple[list, Values], true: tuple[list, Values]) -> bool:
    return np.allclose(found[0], true[0], rtol=1e-11) and all(
        np.allclose(found[1][leaf], true[1][leaf], rtol=1e-10, atol=1e-12, equal_nan=True)
        for leaf in true[1]
    )


@pytest.mark.parametrize("name", RUNS)
def test_every_stage_of_a_training_equals_the_steps_written_out(name: str):
    run = RUNS[name]
    lowered, true = lowered_run(run), written_out(run)
    for stage, program in stages(lowered.program):
        for seed in SEEDS[: 1 if stage == "given" else 3]:
            assert same_run(trained(run, lowered, program, seed), true), (stage, seed)


def test_every_barrier_of_a_training_is_needed():
    run = RUNS["adam, ragged, shuffled"]
    lowered = lowered_run(run)
    program = dict(stages(lowered.program))["memory"]
    assert barriers(program) >= 3
    for number in range(barriers(program)):
        with pytest.raises(RaceError):
            trained(run, lowered, without_barrier(program, number), 0)


def test_a_loss_that_is_not_finite_leaves_the_state_before_it():
    run = _run(lambda p, y: sn.mean(sn.log(y[:, 0] - 0.5)) + 0 * sn.sum(p), TWO,
               sn.optim.SGD(1.0), batch=1, shuffle=False)  # fmt: skip
    lowered = lowered_run(run)
    for stage, program in stages(lowered.program):
        losses, held = trained(run, lowered, program, 1)
        assert not np.isfinite(losses[0]), stage
        assert np.isnan(losses[1:]).all(), stage
        start = held_values(run)
        assert all(np.array_equal(held[k], start[k], equal_nan=True) for k in start), stage


def test_a_batch_of_the_wrong_epoch_is_noticed(monkeypatch: pytest.MonkeyPatch):
    run = RUNS["adam, ragged, shuffled"]
    lowered = lowered_run(run)

    def late(one: Loop) -> Loop:
        return replace(one, start=1) if isinstance(one.order, Sequence) else one

    program = scheduled(lowered.program)
    wrong = replace(program, body=tuple(late(one) for one in program.body))
    with pytest.raises((IndexError, AssertionError)):
        assert same_run(trained(run, lowered, wrong, 0), written_out(run))


def test_programs_are_the_same_whenever_they_are_made():
    def text() -> str:
        graph = _graph(lambda a, b: [sn.softmax(a @ b)], ("N", 4), (4, "M"))
        return str(lower(graph.step()).program.body).replace(str(__file__), "")

    assert text() == text()
    assert not any(isinstance(one, Barrier) for one in lower(_updated().step()).program.body)


def test_the_slope_of_tanh_is_made_beside_it():
    x, y = sn.input("X", ("N", 3)), sn.input("Y", ("N", 2))
    net = sn.nn.Sequential(sn.nn.Dense(3, 4, activation="tanh"), sn.nn.Dense(4, 2))
    loss = sn.losses.mse(net(x), y)
    slopes = sn.stabilize(sn.grad(loss, net.parameters()))
    step = make_step({f"g{place}": slope for place, slope in enumerate(slopes)}, [])
    fused = optimise(lower(step).program)[-1][1]
    (holder,) = [
        one for one in fused.body if isinstance(one, Contraction) and "tanh" in show_statement(one)
    ]
    assert "sech_squared" in show_statement(holder)
    assert show(fused).count("sech_squared(") == 1
    assert "exp(" not in show(fused)


def test_zero_and_minus_zero_are_two_constants():
    x = sn.input("x", ("N",), "float64")
    outputs = [sn.exp(x) * 0.0, sn.exp(x) * -0.0, sn.where(x > 0, 0.0, x), sn.where(x > 0, -0.0, x)]
    signs = [np.signbit(value).tolist() for value in sn.compile(outputs)(x=[1.0, 2.0])]
    assert signs == [[False] * 2, [True] * 2, [False] * 2, [True] * 2]
