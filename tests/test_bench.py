"""The benchmark program builds every workload everywhere, and all compute the same."""

import importlib.util
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from codegen.choice import Choice
from codegen.ir import Any, Barrier, Loop, Sequence
from tests.bench import limits
from tests.bench.__main__ import arguments
from tests.bench.floor import Rates, floor, operations, summary
from tests.bench.ours import barriers
from tests.bench.rounds import (
    FORMS,
    OURS,
    TOLERANCE,
    Form,
    Result,
    Timing,
    absent,
    compare,
    workers,
)
from tests.bench.table import COLUMNS, memory_table, needs_table, steps_table
from tests.bench.workloads import BY_NAME, NAMES, WORKLOADS

PEERS = {
    "torch": Form("torch", "eager", 1),
    "jax": Form("jax", "scan", 1),
    "pytensor": Form("pytensor", "", 1),
    "micrograd": Form("micrograd", "", 0),
}
HERE = [form for name, form in PEERS.items() if importlib.util.find_spec(name)]
RATES = Rates(1e11, 5e10, 8e10, 4e10, 2e10, 1e10, 1e-7)


@pytest.fixture(scope="module")
def running():
    """A process each for symnet and the peers that are installed."""
    with workers([OURS, *HERE]) as found:
        yield found


@pytest.mark.parametrize("name", list(BY_NAME))
def test_two_steps_agree_everywhere(name, running):
    whole = BY_NAME[name]
    short = whole if whole.kind == "update" else replace(whole, rows=2 * whole.batch)
    able = {form: running[form] for form in running if absent(form, whole, {}) is None}
    timings = compare(short, able, 2)
    assert [timing.form for timing in timings] == list(able)
    assert [timing.missing for timing in timings] == [""] * len(timings)
    assert all(timing.difference <= TOLERANCE for timing in timings)
    assert all(worker.ask("peak") > 1 << 20 for worker in able.values())
    assert running[OURS].ask("made", "barriers") >= 0


def test_a_peer_that_skips_work_is_not_timed(running):
    if not HERE:
        pytest.skip("no peer is installed")
    moons = replace(BY_NAME["moons"], rows=200)
    running[OURS].ask("build", moons, None)
    start = running[OURS].ask("made", "weights")
    running[HERE[0]].ask("build", replace(moons, rate=0.0), start)
    lazy = running[HERE[0]].ask("made", "losses", 2)
    assert abs(lazy[1] - running[OURS].ask("made", "losses", 2)[1]) > TOLERANCE


def test_the_last_batch_of_digits_is_a_partial_one(running):
    short = replace(BY_NAME["digits"], rows=69)
    assert short.steps == 3
    able = {form: running[form] for form in running if absent(form, short, {}) is None}
    assert all(not timing.missing for timing in compare(short, able, 3))


def test_operations_are_those_of_the_products_and_the_update():
    digits = replace(BY_NAME["digits"], rows=32)
    products = 2 * 32 * (2 * 64 * 128 + 3 * 128 * 10)
    assert operations(digits) == products + 12 * (64 * 128 + 128 + 128 * 10 + 10)
    assert floor(BY_NAME["update"], RATES).whole == pytest.approx(1e6 * 28e7 / 1e10)


def test_a_floor_takes_the_faster_arithmetic_and_adds_the_barriers():
    digits = BY_NAME["digits"]
    parts = floor(digits, RATES, barriers=3)
    assert parts.bytes == 0
    assert parts.whole == pytest.approx(1e6 * operations(digits) / 1e11 + 0.3)
    slow = replace(RATES, float32=1e10)
    assert floor(digits, slow).whole == pytest.approx(1e6 * operations(digits) / 8e10)
    double = floor(BY_NAME["pinn"], RATES)
    assert double.registers == pytest.approx(1e6 * operations(BY_NAME["pinn"]) / 5e10)


def test_of_several_rounds_the_processor_counts_at_its_best_and_memory_at_the_upper_quartile():
    rounds = [replace(RATES, float32=n * 1e11, far=n * 1e10, barrier=n * 1e-7) for n in (3, 1, 2)]
    assert summary(rounds) == replace(RATES, float32=3e11, far=2.5e10, barrier=1e-7)


@pytest.mark.parametrize(("one", "two", "wanted"), [(1.0, 2.0, 0), (2.0, 1.0, 3)])
def test_barriers_count_where_two_workers_are_faster(one, two, wanted):
    inner = Loop("i", 4, Any(tile=1), (), start=0, label="")
    turn = Loop("t", "count", Sequence(), (inner, Barrier(), inner, Barrier()), start=0, label="")
    choice = Choice(2)
    for workers_, seconds in ((1, one), (2, two)):
        choice.note(workers_, seconds, 1)
    program = SimpleNamespace(body=(turn,))
    assert barriers(SimpleNamespace(program=program, workers=2, _choices={(): choice})) == wanted


@pytest.mark.parametrize(("chains", "kind"), [(limits.single, "f4"), (limits.double, "f8")])
def test_the_chains_multiply_and_add(chains, kind):
    wanted = np.arange(limits.CHAINS).astype(kind)
    for _ in range(5):
        wanted = wanted * np.dtype(kind).type(0.5) + np.dtype(kind).type(1.25)
    assert chains(0) == sum(range(limits.CHAINS))
    assert chains(5) == pytest.approx(float(wanted.sum()), rel=1e-6)


def test_the_loops_over_memory_touch_all_of_it():
    arrays = np.arange(1, 33, dtype=np.float32).reshape(4, 8)
    assert limits.total(arrays, 3) == 3 * arrays.sum()
    kept = arrays.copy()
    limits.update(arrays, 2)
    assert np.array_equal(arrays, [*(kept[:3] - 2 * kept[3]), kept[3]])
    arrays[:] = 1
    limits.scale(arrays, 1)
    assert np.all(arrays < 1)


def test_barriers_bring_all_workers_together():
    control = np.zeros(64, np.int64)
    words = control.ctypes.data_as(limits.meetings.ctypes.argtypes[0])
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(limits.meetings.ctypes, words, 2, 100) for _ in range(2)]
        assert [one.result(timeout=60) for one in both] == [100, 100]
    assert control[0] == 200


def test_the_table_has_a_row_each_and_says_what_is_missing():
    timings = [Timing(OURS, [3.0, 1.0, 2.0]), Timing(PEERS["jax"], missing="not installed")]
    text = steps_table([Result(workload, timings, RATES, 0) for workload in WORKLOADS])
    assert text.count("2.00 (1.50)") == len(WORKLOADS)
    assert f"{', '.join(BY_NAME)}: jax scan, 1 threads not available: not installed" in text
    assert "not run" in text


def test_the_other_tables_tell_what_floors_are_made_of_and_the_memory():
    timing = Timing(OURS, [3.0], peak=5 << 20)
    results = [Result(workload, [timing], RATES, 0, barriers=2) for workload in WORKLOADS]
    needs, memory = needs_table(results).splitlines(), memory_table(results).splitlines()
    assert len(needs) == len(memory) == len(WORKLOADS) + 2
    cells = next(line for line in needs if line.startswith("update")).split()
    found = " ".join(cells)
    assert found == "update 1.2e+08 100 1200 1500 2.8e+08 10.0 28000 2 0.20 28000"
    assert memory[2].split() == ["moons", "5", *["-"] * (len(COLUMNS) - 1)]
    written = results[0].as_json()
    assert written["barriers"] == 2
    assert written["floor_parts"]["barriers"] == pytest.approx(0.2)
    assert written["forms"][0]["peak_bytes"] == 5 << 20


def test_a_peer_that_cannot_or_is_not_there_says_so(monkeypatch):
    monkeypatch.setattr("tests.bench.rounds.find_spec", lambda name: None)
    shown = {
        form.library: one.shown if (one := absent(form, BY_NAME["digits"], {"jax": "x"})) else ""
        for form in FORMS
    }
    assert shown == {
        "symnet": "",
        "torch": "not installed",
        "jax": "",
        "pytensor": "not installed",
        "micrograd": "scalars only",
    }


def test_a_peer_may_have_an_interpreter_of_its_own(capsys):
    assert arguments(["--python", f"torch={sys.executable}"]).python == {"torch": sys.executable}
    for wrong in ("numpy=/bin/sh", "torch", "torch=/nowhere/python"):
        with pytest.raises(SystemExit):
            arguments(["--python", wrong])
        assert "is not a peer and its interpreter" in capsys.readouterr().err


def test_the_command_line_refuses_an_unknown_workload(capsys):
    assert set(arguments([]).workload) == {*NAMES, "starts"}
    with pytest.raises(SystemExit):
        arguments(["moon"])
    assert "no workload 'moon'" in capsys.readouterr().err
