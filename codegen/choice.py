"""How many workers take part in a run: the number that was quickest so far.

Every number gives the same bits, so the stopwatch may decide."""

from __future__ import annotations

SHORT = 1e-4
"""Seconds: a run of less than this is not worth another worker's attention."""
TRIALS = 2
"""How often each number is tried first; the better time counts, since the first is a cold one."""
AGAIN = 12
"""After so many runs another number is tried once more: other programs may have come or gone."""
WEIGHT = 0.3
"""How much a new time counts against the times before it."""


class Choice:
    """Among 1, 2, 4, ... and `most` workers."""

    def __init__(self, most: int) -> None:
        powers = [1 << power for power in range(most.bit_length()) if 1 << power < most]
        self._counts = [*powers, most]
        self._times: dict[int, list[float]] = {count: [] for count in self._counts}
        self._runs = 0
        self._last = 0.0

    def pick(self) -> tuple[int, bool]:
        """How many workers the next run takes, and whether that is a trial."""
        if len(self._counts) == 1:
            return self._counts[0], False
        if len(self._times[1]) < TRIALS:
            return 1, True
        if self._last < SHORT:
            return 1, False
        for count in self._counts:
            if len(self._times[count]) < TRIALS:
                return count, True
        best = min(self._counts, key=lambda count: self._times[count][-1])
        if self._runs % AGAIN == AGAIN - 1:
            others = [count for count in self._counts if count != best]
            return others[self._runs // AGAIN % len(others)], True
        return best, False

    def note(self, workers: int, seconds: float, units: int) -> None:
        """A run of so many equal units by so many workers took so long."""
        self._runs += 1
        self._last = seconds
        times = self._times.get(workers)
        if times is None:
            return
        each = seconds / max(units, 1)
        if len(times) < TRIALS:
            times.append(min([each, *times]))
        else:
            times[-1] += WEIGHT * (each - times[-1])
