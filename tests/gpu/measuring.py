"""One row of the benchmark: every form builds, is compared, then takes turns with the others."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from tests.gpu.cases import FORMS, OURS, Form, Row
from tests.gpu.workers import Failed, Worker

COMPARED = 10
"""Steps whose losses must be equal."""
ROUNDS = 7
SECONDS = 0.3
"""Of one turn, about."""
_TURN = 20.0
"""Seconds after which a turn counts as hung."""


def say(text: str) -> None:
    """Progress, as it comes."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


@dataclass
class Timing:
    """Microseconds a step of one form, one number a round; or why there are none."""

    form: Form
    rounds: list[float] = field(default_factory=list)
    missing: str = ""
    difference: float | None = None
    building: float | None = None

    @property
    def median(self) -> float | None:
        """The middle round; None if there is none."""
        return median(self.rounds) if self.rounds and not self.missing else None

    def as_json(self) -> dict[str, Any]:
        """Everything, for the file."""
        return {
            "form": self.form.column,
            "microseconds_a_step": self.rounds,
            "median": self.median,
            "missing": self.missing,
            "largest_difference_of_losses": self.difference,
            "seconds_to_build": self.building,
        }


@dataclass
class Result:
    """All timings of a row, and what symnet says of how it ran."""

    row: Row
    timings: list[Timing]
    told: dict[str, Any] = field(default_factory=dict)

    def of(self, column: str) -> Timing:
        """The timing of a column."""
        return next(one for one in self.timings if one.form.column == column)

    @property
    def fastest_peer(self) -> Timing | None:
        """The fastest of the others."""
        timed = [one for one in self.timings if one.form != OURS and one.median is not None]
        return min(timed, key=lambda one: one.median or 0.0, default=None)

    @property
    def ahead(self) -> float | None:
        """How many times symnet is ahead of the fastest of the others."""
        ours, peer = self.of(OURS.column).median, self.fastest_peer
        if ours is None or peer is None or peer.median is None:
            return None
        return peer.median / ours

    def as_json(self) -> dict[str, Any]:
        """Everything, for the file."""
        return {
            "workload": self.row.name,
            "precision": self.row.precision,
            "goal": self.row.goal,
            "ahead_of_the_fastest_peer": self.ahead,
            "forms": [one.as_json() for one in self.timings],
            "symnet": self.told,
        }


class Bench:
    """The processes of a row while it is measured. `left` gives the seconds that there still are
    for all of it."""

    def __init__(
        self,
        row: Row,
        environment: dict[str, str],
        left: Callable[[], float],
        forms: Sequence[Form] = FORMS,
    ) -> None:
        self._row, self._left = row, left
        self._timings = {form: Timing(form) for form in forms}
        self._environment = environment
        self._workers: dict[Form, Worker] = {}

    def run(self, skipped: Sequence[str]) -> Result:
        """Builds, compares, measures; whatever fails is a line in the result."""
        result = Result(self._row, list(self._timings.values()))
        try:
            self._build([form for form in self._timings if form.column not in skipped])
            for form in self._timings:
                if form.column in skipped:
                    self._timings[form].missing = "left out"
            self._measure()
            if OURS in self._workers:
                with _noted(self._timings[OURS], self._workers):
                    result.told = self._workers[OURS].ask(_TURN, "made", "told")
        finally:
            for worker in self._workers.values():
                worker.close()
        return result

    def _build(self, forms: Sequence[Form]) -> None:
        """All at once: most of it is compiling. symnet first, whose weights all begin with."""
        first, *peers = forms
        ours, wanted = Worker(first.module, self._environment), list[float]()
        self._workers[first] = ours
        begun, start = time.monotonic(), None
        with _noted(self._timings[first], self._workers):
            limit = min(first.building, self._left())
            wanted = ours.ask(limit, "build", self._row, first.kind, None, COMPARED)
            self._timings[first].building = time.monotonic() - begun
            start = ours.ask(_TURN, "made", "weights")
        if start is None:
            for form in peers:
                self._timings[form].missing = "without symnet there are no weights to begin with"
            return
        begun = time.monotonic()
        for form in peers:
            with _noted(self._timings[form], self._workers):
                self._workers[form] = Worker(form.module, self._environment)
                self._workers[form].send("build", self._row, form.kind, start, COMPARED)
        for form in peers:
            timing = self._timings[form]
            with _noted(timing, self._workers):
                limit = min(form.building, self._left()) - (time.monotonic() - begun)
                found = self._workers[form].receive(max(limit, 1.0))
                timing.building = time.monotonic() - begun
                timing.difference = max(abs(a - b) for a, b in zip(found, wanted, strict=True))
                if not timing.difference <= self._row.tolerance:
                    raise Failed(f"its losses differ by {timing.difference:.1e}")

    def _measure(self) -> None:
        """Rounds in which every form takes its turn alone."""
        epochs: dict[Form, int] = {}
        for form in list(self._workers):
            with _noted(self._timings[form], self._workers):
                epochs[form] = self._workers[form].ask(_TURN, "epochs_within", SECONDS)
        for _ in range(ROUNDS):
            for form in [form for form in epochs if form in self._workers]:
                if self._left() < 5:
                    return
                with _noted(self._timings[form], self._workers):
                    taken = self._workers[form].ask(_TURN, "microseconds", epochs[form])
                    self._timings[form].rounds.append(taken)


class _noted:
    """A failure of a form is noted with it, and its process ended."""

    def __init__(self, timing: Timing, workers: dict[Form, Worker]) -> None:
        self._timing, self._workers = timing, workers

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: object, trace: object) -> bool:
        if not isinstance(error, Failed):
            return False
        self._timing.missing = str(error)
        say(f"  {self._timing.form.column}: {error}")
        worker = self._workers.pop(self._timing.form, None)
        if worker is not None:
            worker.close()
        return True
