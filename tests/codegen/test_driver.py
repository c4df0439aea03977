"""The compiled driver: nested sequences, ragged sizes, Until, stopping, two workers."""

import threading
import time
from functools import partial

import numpy as np
import pytest

from codegen.compile import Options, assemble
from codegen.cpu.errors import CompileError
from codegen.interpret import interpret
from codegen.ir import Any, Barrier, Loop, Program, Ragged, Sequence, SizeRule, Until
from codegen.runtime import Outcome
from codegen.scalar import Axis, Size, affine
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
    ref,
    step,
)
from tests.counting import work

COUNT = load("count", dtype="int64")


def program(body, buffers, sizes=()) -> Program:
    return Program("driven", tuple(sizes), tuple(buffers), tuple(body))


def ready(made: Program, threads: int = 1):
    return assemble((("given", made),), Options(threads=threads))


def sequence(axis, extent, *body, ragged=(), start=0) -> Loop:
    return Loop(axis, extent, Sequence(tuple(ragged)), body, start=start)


def add_one(extra=1):
    return put("count", value=call("add", COUNT, number(extra, "int64")))


def log_row(*columns) -> Loop:
    """Writes the values into row `count` of the log, and counts."""
    row = cast(COUNT, "int64")
    stores = tuple(
        Loop("r", "rows", Any(64), (
            put("log", "r", k, value=call("select", call("equal", Axis("r"), row),
                                          value, load("log", "r", k, dtype="int64"))),))
        for k, value in enumerate(columns)
    )  # fmt: skip
    return stores


LOG = (argument("count", dtype="int64"), argument("log", "rows", 3, dtype="int64"))


def logged(made: Program, sizes: dict[str, int]):
    """Both runs' logs, outcomes and counts."""
    results = []
    for way in ("compiled", "interpreted"):
        arrays = {"count": np.zeros((), np.int64), "log": np.full((sizes["rows"], 3), -1)}
        if way == "compiled":
            outcome = ready(made).bind(sizes, arrays).run()
            results.append((outcome.iterations, outcome.stopped is not None))
        else:
            told = interpret(made, sizes, arrays)
            results.append((told.iterations, told.stopped))
        results[-1] += (int(arrays["count"]), arrays["log"].tolist())
    assert results[0] == results[1]
    return results[0]


def test_nested_sequences_count_their_axes():
    inner = sequence("s", "inner", Barrier(), *log_row(Axis("t"), Axis("s"), Size("inner")),
                     Barrier(), add_one(), Barrier(), start=5)  # fmt: skip
    made = program((sequence("t", "outer", inner, start="first"),), LOG,
                   free("rows", "outer", "inner", "first"))  # fmt: skip
    for outer, inner_count in ((0, 2), (2, 0), (2, 3), (1, 1)):
        sizes = {"rows": 8, "outer": outer, "inner": inner_count, "first": 10}
        iterations, stopped, count, log = logged(made, sizes)
        assert (iterations, stopped, count) == (outer, False, outer * inner_count)
    assert log[0] == [10, 5, 1]


@pytest.mark.parametrize(("batch", "total"), [(4, 10), (4, 8), (4, 3), (3, 0), (1, 3)])
def test_a_ragged_size_takes_its_last_value_in_every_epoch(batch, total):
    made = program(
        (sequence("t", "steps", Barrier(), *log_row(Size("now"), Size("double"), Axis("t")),
                  Barrier(), add_one(), Barrier(), ragged=(Ragged("now", "batch", "total"),)),),
        LOG,
        (*free("rows", "steps", "batch", "total"), SizeRule("now"),
         SizeRule("double", ((2, ("now",)),))),
    )  # fmt: skip
    _, _, count, log = logged(made, {"rows": 9, "steps": 7, "batch": batch, "total": total})
    assert count == 7
    per_epoch = -(-total // batch)
    if per_epoch:
        epochs = [row[0] for row in log[:per_epoch]]
        assert sum(epochs) == total


def test_ragged_sizes_may_nest():
    inner = sequence("s", 3, Barrier(), *log_row(Size("a"), Size("b"), Axis("s")), Barrier(),
                     add_one(), Barrier(), ragged=(Ragged("b", "bb", "bt"),))  # fmt: skip
    outer = sequence("t", 4, inner, Barrier(), *log_row(Size("a"), number(7, "int64"), Axis("t")),
                     ragged=(Ragged("a", "ab", "at"),))  # fmt: skip
    made = program((outer,), LOG, free("rows", "ab", "at", "bb", "bt"))
    logged(made, {"rows": 20, "ab": 3, "at": 5, "bb": 2, "bt": 5})


def until(limit: int):
    """Raises the flag when the count has come to the limit, and looks at it."""
    reached = call("less_equal", number(limit, "int64"), COUNT)
    return Barrier(), put("stop", value=reached), Barrier(), Until(ref("stop"))


STOP = (*LOG, step("stop", dtype="bool"))


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_until_leaves_its_sequence(limit):
    made = program((sequence("t", 10, Barrier(), add_one(), *until(limit)),), STOP, free("rows"))
    iterations, stopped, count, _ = logged(made, {"rows": 0})
    assert count == min(limit, 10)
    assert stopped == (limit <= 10)
    assert iterations == (limit - 1 if stopped else 10)


def test_the_outcome_says_which_until():
    made = program(
        (sequence("t", 10, *until(7), Barrier(), add_one(), *until(5)),), STOP, free("rows")
    )
    arrays = {"count": np.zeros((), np.int64), "log": np.zeros((0, 3), np.int64)}
    binding = ready(made).bind({"rows": 0}, arrays)
    assert binding.run() == Outcome(4, 1)
    arrays["count"][...] = 7
    assert binding.run() == Outcome(0, 0)


def test_an_inner_until_leaves_only_the_inner_sequence():
    inner = sequence("s", 10, Barrier(), add_one(), *until(4))
    made = program((sequence("t", 3, inner),), STOP, free("rows"))
    iterations, stopped, count, _ = logged(made, {"rows": 0})
    assert (iterations, stopped, count) == (3, False, 6)


def test_a_flag_may_stand_in_any_element():
    flags = argument("flags", 6, dtype="bool")
    body = Barrier(), add_one(), Barrier(), Until(ref("flags", affine(1, {Axis("t"): 1})))
    made = program((sequence("t", 5, *body),), (*LOG, flags), free("rows"))
    arrays = {
        "count": np.zeros((), np.int64), "log": np.zeros((0, 3), np.int64),
        "flags": np.array([1, 0, 0, 1, 0, 0], bool),
    }  # fmt: skip
    assert ready(made).bind({"rows": 0}, arrays).run() == Outcome(2, 0)


def test_an_outcome_is_of_the_last_outermost_sequence():
    made = program(
        (sequence("t", 10, Barrier(), add_one(), *until(3)), Barrier(),
         sequence("s", 2, Barrier(), add_one())),
        STOP, free("rows"),
    )  # fmt: skip
    iterations, stopped, count, _ = logged(made, {"rows": 0})
    assert (iterations, stopped, count) == (2, False, 5)


def test_until_outside_a_sequence_is_refused():
    made = program((Until(ref("stop")),), STOP, free("rows"))
    with pytest.raises((CompileError, ValueError)):
        ready(made)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_run_can_be_stopped_from_another_thread(threads):
    made = program((sequence("t", "steps", Barrier(), add_one(), Barrier()),), LOG,
                   free("rows", "steps"))  # fmt: skip
    arrays = {"count": np.zeros((), np.int64), "log": np.zeros((0, 3), np.int64)}
    binding = ready(made, threads).bind({"rows": 0, "steps": 1 << 50}, arrays)
    outcome = []
    runner = threading.Thread(target=lambda: outcome.append(binding.run()))
    runner.start()
    while not arrays["count"]:
        time.sleep(0.001)
    binding.stop()
    runner.join(120)
    assert outcome[0].stopped is None
    # The step in which it was stopped was completed, and no other begun.
    assert 0 < outcome[0].iterations == arrays["count"]
    assert binding.run({"steps": 3}) == Outcome(3, None)


def test_a_stop_before_the_run_leaves_after_one_iteration():
    made = program((sequence("t", 10, Barrier(), add_one()),), LOG, free("rows"))
    arrays = {"count": np.zeros((), np.int64), "log": np.zeros((0, 3), np.int64)}
    binding = ready(made).bind({"rows": 0}, arrays)
    binding.stop()
    assert binding.run() == Outcome(1, None)


def relay(steps: int) -> Program:
    """Each step every element takes the neighbour's value: a missing barrier would show."""
    mixed = call("add", load("x", affine(-1, {Size("n"): 1, Axis("i"): -1})), load("x", "i"))
    body = (
        Loop("i", "n", Any(3), (put("y", "i", value=call("multiply", mixed, 0.5)),)),
        Barrier(),
        Loop("i", "n", Any(5), (put("x", "i", value=call("sin", load("y", "i"))),)),
        fold("sum", "total", "i", "n", load("y", "i"), leaf=4),
        put("sums", "t", value=local("total")),
        Barrier(),
    )
    return program((sequence("t", steps, *body),),
                   (argument("x", "n"), argument("sums", steps), step("y", "n")),
                   free("n"))  # fmt: skip


def test_two_workers_meet_at_every_barrier():
    made = relay(3000)
    results = []
    for threads in (1, 2, 3):
        arrays = {"x": np.linspace(0.0, 1.0, 37), "sums": np.zeros(3000)}
        outcome = ready(made, threads).bind({"n": 37}, arrays).run()
        results.append((outcome, arrays["x"].tobytes(), arrays["sums"].tobytes()))
    assert results[0] == results[1] == results[2]
    assert results[0][0] == Outcome(3000, None)


def test_two_bindings_run_at_once():
    made = relay(2000)
    executable = ready(made)
    arrays = [{"x": np.linspace(0.0, 1.0, 37), "sums": np.zeros(2000)} for _ in range(4)]
    threads = [threading.Thread(target=executable.bind({"n": 37}, each).run) for each in arrays]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({each["sums"].tobytes() for each in arrays}) == 1


def test_binding_again_is_little_work_and_no_step_is_any_for_python():
    made = program((sequence("t", "steps", add_one()),), LOG, free("rows", "steps"))
    executable = ready(made)
    arrays = {"count": np.zeros((), np.int64), "log": np.zeros((0, 3), np.int64)}
    executable.bind({"rows": 0, "steps": 1}, arrays).run()
    counts = []
    for steps in (10, 100_000):
        sizes = {"rows": 0, "steps": steps}
        bind = partial(executable.bind, sizes, arrays)
        counts.append((work(bind), work(bind().run)))
    assert counts[0] == counts[1]
    assert sum(counts[0]) < 1000
