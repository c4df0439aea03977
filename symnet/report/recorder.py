"""Keeping the parameters as they were after epochs, so that a report can show the way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

import numpy as np

Array = np.ndarray[Any, Any]
MOST: Final = 120
"""So many snapshots are kept at most."""


class _Seen(Protocol):
    """What a recorder looks at of a training's state."""

    @property
    def parameters(self) -> Mapping[str, Array]: ...


class Recorder:
    """A callback for `fit` that copies the parameters after epochs.

    most: how many snapshots it keeps at most, from 2; beyond that every second one is dropped, so
    that they stay evenly spaced however long the training is. `epochs` and `snapshots` are what it
    kept, the parameters before the first epoch as epoch 0 among them. One recorder may follow
    several fits of one trainer. ValueError for a `most` below 2.
    """

    def __init__(self, most: int = MOST) -> None:
        if most < 2:
            raise ValueError(f"a recorder keeps at least 2 snapshots, got most={most!r}")
        self._most, self._stride, self._done = int(most), 1, 0
        self._kept: dict[int, dict[str, Array]] = {}
        self._last: dict[str, Array] = {}

    def begin(self, parameters: Mapping[str, Array]) -> None:
        """Keeps the parameters as they are before a fit."""
        if not self._kept:
            self._kept[0] = self._copied(parameters)
        self._last = self._copied(parameters)

    def __call__(self, state: _Seen) -> None:
        """Keeps the parameters after an epoch."""
        self._done += 1
        self._last = self._copied(state.parameters)
        if self._done % self._stride == 0:
            self._kept[self._done] = self._last
        while len(self._kept) > self._most:
            self._stride *= 2
            self._kept = {k: v for k, v in self._kept.items() if k % self._stride == 0}

    @staticmethod
    def _copied(parameters: Mapping[str, Array]) -> dict[str, Array]:
        return {name: array.copy() for name, array in parameters.items()}

    @property
    def snapshots(self) -> dict[int, dict[str, Array]]:
        """Epoch -> parameters by name, in order; the last epoch is always among them."""
        return {**self._kept, self._done: self._last} if self._last else dict(self._kept)

    @property
    def epochs(self) -> list[int]:
        """The epochs of the snapshots."""
        return list(self.snapshots)
