"""The benchmark program builds every workload everywhere, and all compute the same."""

import importlib.util
from dataclasses import replace

import pytest

from tests.bench.__main__ import arguments
from tests.bench.floor import Rates, floor, operations
from tests.bench.rounds import OURS, TOLERANCE, Form, Result, Timing, compare, workers
from tests.bench.table import steps_table
from tests.bench.workloads import BY_NAME, NAMES, WORKLOADS

PEERS = {"torch": Form("torch", "eager", 1), "jax": Form("jax", "scan", 1)}
HERE = [form for name, form in PEERS.items() if importlib.util.find_spec(name)]
RATES = Rates(1e11, 5e10, 2e10, 1e10)


@pytest.fixture(scope="module")
def running():
    """A process each for symnet and the peers that are installed."""
    with workers([OURS, *HERE]) as found:
        yield found


@pytest.mark.parametrize("name", list(BY_NAME))
def test_two_steps_agree_everywhere(name, running):
    whole = BY_NAME[name]
    short = whole if whole.kind == "update" else replace(whole, rows=2 * whole.batch)
    timings = compare(short, running, 2)
    assert [timing.form for timing in timings] == [OURS, *HERE]
    assert [timing.missing for timing in timings] == [""] * len(timings)
    assert all(timing.difference <= TOLERANCE for timing in timings)


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
    assert all(not timing.missing for timing in compare(short, running, 3))


def test_operations_are_those_of_the_products_and_the_update():
    digits = replace(BY_NAME["digits"], rows=32)
    products = 2 * 32 * (2 * 64 * 128 + 3 * 128 * 10)
    assert operations(digits) == products + 12 * (64 * 128 + 128 + 128 * 10 + 10)
    assert floor(BY_NAME["update"], RATES) == pytest.approx(1e6 * 28e7 / 1e10)


def test_the_table_has_a_row_each_and_says_what_is_missing():
    timings = [Timing(OURS, [3.0, 1.0, 2.0]), Timing(PEERS["jax"], missing="not installed")]
    text = steps_table([Result(workload, timings, RATES, 0) for workload in WORKLOADS])
    assert text.count("2.00 (1.50)") == len(WORKLOADS)
    assert "moons: jax scan, 1 threads not available: not installed" in text


def test_the_command_line_refuses_an_unknown_workload(capsys):
    assert set(arguments([]).workload) == {*NAMES, "starts"}
    with pytest.raises(SystemExit):
        arguments(["moon"])
    assert "no workload 'moon'" in capsys.readouterr().err
