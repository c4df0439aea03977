"""Several bindings in one native call: each is run by one worker, several at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from codegen import cache
from codegen.crew import Crew
from codegen.runtime import Binding, Outcome

_TEXT = Path(__file__).parent / "cpu" / "fleet_kernel.py"


class Fleet:
    """Up to `most` workers for bindings that know nothing of one another."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._crew = Crew(most)

    def run(self, bindings: Sequence[Binding], sizes: Sequence[Mapping[str, int]]) -> list[Outcome]:
        """Runs every binding once with its sizes, in one call that holds no lock of Python: the
        bits are those of `Binding.run`. The seconds of each outcome are those of the call."""
        if not bindings:
            return []
        kernel = cache.kernel(_TEXT.read_text())
        pairs = np.array(
            [each.begin(own) for each, own in zip(bindings, sizes, strict=True)], np.int64
        )
        taken = np.zeros(16, np.int64)
        driver = np.array([bindings[0].driver], np.int64)
        count = np.array([len(bindings)], np.int64)
        cells = np.array([taken.ctypes.data, driver.ctypes.data, pairs.ctypes.data], np.int64)
        workers = min(self.most, len(bindings))
        address = kernel.loaded.address
        seconds = self._crew.run(address, workers, count.ctypes.data, cells.ctypes.data)
        return [each.finish(seconds) for each in bindings]
