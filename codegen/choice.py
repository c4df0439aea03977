"""How many workers take part in a run: the number that was quickest so far.

Every number gives the same bits, so the stopwatch may decide."""

from __future__ import annotations

from collections.abc import Sequence

SHORT = 1e-4
"""Seconds: a run of less than this is not worth another worker's attention."""
TRIALS = 3
"""How often each number is tried first; the best time counts, since the first are cold ones: the
system may begin new threads on one core."""
SHARE = 100
"""Another number is tried once more after so many times as long as that takes: other programs may
have come or gone."""
TRIAL = 0.004
"""Seconds that a trial takes, unless a single unit of the run takes longer."""
WEIGHT = 0.3
"""How much a longer time counts against the times before it; a shorter one counts at once."""
LOYALTY = 2.0
"""How much quicker one worker must be than the number that was asked for."""


class Choice:
    """Among 1, 2, 4, ... and `most` workers. If `most` were asked for, they are taken, but for one
    alone while they stand in one another's way: another program may keep a core busy, and then each
    meeting waits for the system to let that go."""

    def __init__(self, most: int, *, asked: bool = False) -> None:
        powers = [1 << power for power in range(most.bit_length()) if 1 << power < most]
        self._asked = asked
        self._counts = sorted({1, most}) if asked else [*powers, most]
        self._times: dict[int, list[float]] = {count: [] for count in self._counts}
        self._looks = 0
        self._since = 0.0
        self._last = 0.0

    def pick(self) -> tuple[int, bool]:
        """How many workers the next run takes, and whether that is a trial."""
        order = self._counts[::-1] if self._asked else self._counts
        if len(order) == 1:
            return order[0], False
        if len(self._times[order[0]]) < TRIALS:
            return order[0], True
        if self._last < SHORT:
            return order[0], False
        for count in order:
            if len(self._times[count]) < TRIALS:
                return count, True
        return self._best(order)

    def _best(self, order: Sequence[int]) -> tuple[int, bool]:
        """The quickest of those that all have been tried, now and then another."""
        best = min(order, key=lambda count: self._times[count][-1])
        if self._asked and self._times[order[0]][-1] < LOYALTY * self._times[best][-1]:
            best = order[0]
        others = [count for count in order if count != best]
        other = others[self._looks % len(others)]
        if self._since < SHARE * max(self._times[other][-1], TRIAL):
            return best, False
        self._looks, self._since = self._looks + 1, 0.0
        return other, True

    def each(self, workers: int) -> float | None:
        """Seconds a unit of so many workers, as far as is known."""
        times = self._times.get(workers)
        return times[-1] if times else None

    def note(self, workers: int, seconds: float, units: int) -> None:
        """A run of so many equal units by so many workers took so long."""
        self._last = seconds
        self._since += seconds
        times = self._times.get(workers)
        if times is None:
            return
        each = seconds / max(units, 1)
        if len(times) < TRIALS:
            times.append(min([each, *times]))
        else:
            times[-1] = min(each, times[-1] + WEIGHT * (each - times[-1]))
