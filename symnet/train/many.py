"""Many replicas of one network: other seeds, other rates, one worker a replica."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from codegen.fleet import Fleet
from codegen.runtime import Binding
from symnet.errors import TrainingError
from symnet.held import Held
from symnet.ops.core import is_number
from symnet.train.door import seed_of
from symnet.train.fit import Fit
from symnet.train.history import History
from symnet.train.loop import CHUNK_SECONDS

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Run:
    """One replica: what it was started with, its history and its trained parameters."""

    seed: int
    rate: float | None
    history: History
    parameters: Held


class Runs(Sequence[Run]):
    """The replicas, in the order of their seeds."""

    def __init__(self, runs: Iterable[Run]) -> None:
        self._runs = tuple(runs)

    @overload
    def __getitem__(self, index: int) -> Run: ...
    @overload
    def __getitem__(self, index: slice) -> Runs: ...
    def __getitem__(self, index: int | slice) -> Run | Runs:
        return Runs(self._runs[index]) if isinstance(index, slice) else self._runs[index]

    def __len__(self) -> int:
        return len(self._runs)

    def __iter__(self) -> Iterator[Run]:
        return iter(self._runs)

    @property
    def loss(self) -> Array:
        """The loss of each epoch, (run, epoch), float64; NaN where a run ended before."""
        longest = max((run.history.epochs for run in self._runs), default=0)
        table = np.full((len(self._runs), longest), np.nan)
        for row, run in zip(table, self._runs, strict=True):
            row[: run.history.epochs] = run.history.loss
        return table

    def best(self, what: str = "loss") -> Run:
        """The run with the lowest last value of `loss` or `validation.loss`; of a metric, the
        highest. TrainingError if no run has a finite one."""
        rising = what.rpartition(".")[2] != "loss"
        scored = [(run.history.value(what), run) for run in self._runs if run.history.epochs]
        finite = [(value, run) for value, run in scored if np.isfinite(value)]
        if not finite:
            raise TrainingError(f"no run has a finite {what}")
        chosen = max if rising else min
        return chosen(finite, key=lambda pair: pair[0])[1]


def plan(seeds: Iterable[int], rate: object) -> list[tuple[int, float | None]]:
    """Pairs of seed and rate; TrainingError unless there is one rate, or one a seed."""
    numbers = [seed_of(seed) for seed in seeds]
    if not numbers:
        raise TrainingError("fit_many needs at least one seed")
    if rate is None or is_number(rate):
        given = None if rate is None else float(rate)  # type: ignore[arg-type]
        return [(seed, given) for seed in numbers]
    rates = [float(value) for value in np.asarray(rate, np.float64).ravel()]
    if len(rates) != len(numbers):
        raise TrainingError(f"fit_many: {len(numbers)} seeds, but {len(rates)} rates")
    return list(zip(numbers, rates, strict=True))


def run_in_turn(begin: Sequence[Callable[[], Fit]]) -> list[History]:
    """Runs one fit after the other to its end; only one at a time takes memory."""
    return [_history_of(make()) for make in begin]


def _history_of(fit: Fit) -> History:
    """Runs the fit, which nobody holds when this has returned."""
    fit.run()
    return fit.history


def run_together(begin: Sequence[Callable[[], Fit]], workers: int) -> list[History]:
    """Runs every fit, all of the CPU, to its end, chunk by chunk: all in one native call, one
    worker each."""
    fleet, fits = Fleet(workers), [make() for make in begin]
    for fit in fits:
        fit.begin()
    while asked := [(fit, wanted) for fit in fits if (wanted := fit.wanted()) is not None]:
        share = min(workers, len(asked)) / len(asked)
        sizes = [fit.loop.sizes(*wanted, CHUNK_SECONDS * share) for fit, wanted in asked]
        bindings = [fit.loop.binding for fit, _ in asked]
        outcomes = fleet.run([each for each in bindings if isinstance(each, Binding)], sizes)
        for (fit, _), own, outcome in zip(asked, sizes, outcomes, strict=True):
            fit.take(fit.loop.chunk(own, outcome, share))
    for fit in fits:
        fit.end()
    return [fit.history for fit in fits]
