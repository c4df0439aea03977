"""Rounds in which every form of every library takes its turn on one workload."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from typing import Any

import numpy as np

from tests.bench.floor import Floor, Rates, floor, operations, summary, traffic
from tests.bench.worker import Failed, Form, Worker
from tests.bench.workloads import Workload

OURS = Form("symnet", "", 0)
MACHINE = Form("machine", "", 0)
FORMS = (
    OURS,
    *(Form("torch", "eager", threads) for threads in (1, 2)),
    *(Form("torch", "direct", threads) for threads in (1, 2)),
    *(Form("torch", "compile", threads) for threads in (1, 2)),
    *(Form("jax", "scan", threads) for threads in (1, 2)),
    *(Form("pytensor", "", threads) for threads in (1, 2)),
    Form("micrograd", "", 0),
)
ABLE = {"micrograd": ("moons",)}
"""The workloads of a library that cannot do all."""
TRIALS = 3
"""Rounds of every form; then only the fastest of each column goes on."""
COMPARED = 10
"""Steps whose losses must be equal."""
TOLERANCE = 1e-4


def say(text: str) -> None:
    """Progress, beside the results."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


@dataclass
class Timing:
    """Microseconds a step of one form, one number a round; or why there are none."""

    form: Form
    rounds: list[float] = field(default_factory=list)
    missing: str = ""
    difference: float | None = None
    peak: int = 0
    """Bytes of memory that its process has had at most."""
    shown: str = "not available"
    """What stands in the table where there are no rounds."""

    @property
    def median(self) -> float:
        """The middle round."""
        return float(np.median(self.rounds))

    @property
    def quartile(self) -> float:
        """A quarter of the rounds were faster than this."""
        return float(np.quantile(self.rounds, 0.25))


@dataclass
class Result:
    """A workload's timings of all forms, and its floor."""

    workload: Workload
    timings: list[Timing]
    rates: Rates
    warm_compiles: int
    barriers: int = 0

    @property
    def floor(self) -> Floor:
        """A step on a machine that wastes nothing."""
        return floor(self.workload, self.rates, self.barriers)

    def best(self, column: str) -> Timing | None:
        """The fastest form of a column; None if none ran."""
        of_column = [one for one in self.of(column) if one.rounds and not one.missing]
        most = max((len(one.rounds) for one in of_column), default=0)
        kept = [one for one in of_column if len(one.rounds) == most]
        return min(kept, key=lambda one: one.median, default=None)

    def of(self, column: str) -> list[Timing]:
        """The timings of all forms of a column; none if it was not to be measured."""
        return [one for one in self.timings if one.form.column == column]

    def as_json(self) -> dict[str, Any]:
        """Everything, for --json."""
        forms = [
            {
                "form": str(one.form),
                "column": one.form.column,
                "threads": one.form.threads,
                "microseconds": one.rounds,
                "missing": one.missing,
                "peak_bytes": one.peak,
                "largest_difference_of_losses": one.difference,
            }
            for one in self.timings
        ]
        return {
            "workload": self.workload.name,
            "operations": operations(self.workload),
            "bytes_beyond_L2": traffic(self.workload),
            "barriers": self.barriers,
            "floor_microseconds": self.floor.whole,
            "floor_parts": asdict(self.floor),
            "rates": asdict(self.rates),
            "kernels_compiled": self.warm_compiles,
            "forms": forms,
        }


@contextlib.contextmanager
def workers(
    forms: Sequence[Form], pythons: Mapping[str, str] | None = None
) -> Iterator[dict[Form, Worker]]:
    """A process a form, ended on leaving; of a library in the interpreter that is named for it."""
    chosen = pythons or {}
    found = {form: Worker(form, chosen.get(form.library, sys.executable)) for form in forms}
    try:
        yield found
    finally:
        for worker in found.values():
            worker.close()


def compare(workload: Workload, running: dict[Form, Worker], count: int) -> list[Timing]:
    """Builds the workload everywhere from symnet's weights and compares the first losses."""
    ours = running[OURS]
    ours.ask("build", workload, None)
    start = ours.ask("made", "weights")
    wanted = np.array(ours.ask("made", "losses", count))
    timings = {form: Timing(form, difference=0.0) for form in running if form != MACHINE}
    peers = [form for form in timings if form != OURS]
    for form in peers:
        # One after another sends, all at once build: most of it is compiling.
        with noted(timings[form]):
            running[form].send("build", workload, start)
            running[form].send("made", "losses", count)
    for form in peers:
        with noted(timings[form]):
            built = _answer(running[form])
            losses = _answer(running[form])
            for answer in (built, losses):
                if isinstance(answer, Failed):
                    raise answer
            difference = float(np.max(np.abs(np.array(losses) - wanted)))
            timings[form].difference = difference
            if not difference <= TOLERANCE:
                timings[form].missing = f"its losses differ by {difference:.1e}"
    return list(timings.values())


def _answer(worker: Worker) -> Any:
    try:
        return worker.receive()
    except Failed as failure:
        return failure


@contextlib.contextmanager
def noted(timing: Timing) -> Iterator[None]:
    """Keeps the reason of a failure with the timing, which then has no rounds."""
    try:
        yield
    except (Failed, OSError) as failure:
        timing.missing = str(failure)


def measure(workload: Workload, running: dict[Form, Worker], rounds: int, seconds: float) -> Result:
    """Compares, then times so many rounds, about so many seconds each."""
    count = COMPARED if workload.kind != "update" else 2
    timings = compare(workload, running, count)
    compiled = int(running[OURS].ask("made", "compiles"))
    epochs: dict[Form, int] = {}
    for timing in timings:
        if not timing.missing:
            with noted(timing):
                epochs[timing.form] = running[timing.form].ask("epochs_within", seconds)
        say(f"  {timing.form}: {timing.missing or f'losses equal to {timing.difference:.1e}'}")
    rates = _rounds(timings, running, epochs, rounds)
    for timing in timings:
        if timing.rounds:
            with noted(timing):
                timing.peak = running[timing.form].ask("peak")
    return Result(workload, timings, rates, compiled, running[OURS].ask("made", "barriers"))


def _rounds(
    timings: list[Timing], running: dict[Form, Worker], epochs: dict[Form, int], rounds: int
) -> Rates:
    """Fills the timings; the machine's rates are those of the same rounds."""
    rates: list[Rates] = []
    active = [one for one in timings if one.form in epochs]
    for number in range(rounds):
        rates.append(running[MACHINE].ask("made", "rates"))
        for timing in active:
            with noted(timing):
                timing.rounds.append(running[timing.form].ask("microseconds", epochs[timing.form]))
        active = [one for one in active if not one.missing]
        if number + 1 == TRIALS:
            active = _fastest(active)
    return summary(rates)


def _fastest(active: list[Timing]) -> list[Timing]:
    columns: dict[str, list[Timing]] = {}
    for timing in active:
        columns.setdefault(timing.form.column, []).append(timing)
    return [min(group, key=lambda one: one.median) for group in columns.values()]


def absent(form: Form, workload: Workload, pythons: Mapping[str, str]) -> Timing | None:
    """Why the form has no part in the workload; None if it has."""
    if workload.name not in ABLE.get(form.library, (workload.name,)):
        return Timing(form, missing="it computes on single numbers", shown="scalars only")
    if form.library in pythons or form.library == OURS.library or find_spec(form.library):
        return None
    reason = f"not installed; see tests/bench/peer_{form.library}.py"
    return Timing(form, missing=reason, shown="not installed")


def run(
    chosen: Sequence[Workload],
    rounds: int,
    seconds: float,
    skipped: Sequence[str],
    show: Callable[[Result], None],
    pythons: Mapping[str, str],
) -> list[Result]:
    """All chosen workloads, one after another, without the forms of the skipped columns; `show`
    sees each result as it comes. pythons: interpreters of libraries that have their own."""
    found = []
    forms = [form for form in FORMS if form == OURS or form.column not in skipped]
    for workload in chosen:
        say(f"{workload.name}:")
        without = {form: absent(form, workload, pythons) for form in forms}
        here = [form for form in forms if without[form] is None]
        # Fresh processes, so that no workload finds the memory or the threads of another.
        with workers((MACHINE, *here), pythons) as running:
            running[MACHINE].ask("build", workload, None)
            try:
                found.append(measure(workload, running, rounds, seconds))
                found[-1].timings += [timing for timing in without.values() if timing]
            except Failed as failure:
                # Without symnet there are no weights to give to the peers.
                rates = running[MACHINE].ask("made", "rates")
                found.append(Result(workload, [Timing(OURS, missing=str(failure))], rates, 0))
        show(found[-1])
    return found
