"""The text by which workers share bindings out; compiled as it stands, never imported.

`n`: how many bindings. `p`: a word that counts those taken, the address of the driver, and the
addresses of each binding's `n` and `p`, one pair after the other. A worker that is free takes the
next binding and runs all of it alone.
"""

# Numba types its decorators only in part.
# mypy: disable-error-code="no-untyped-call, call-overload, call-arg, unreachable, var-annotated"

from __future__ import annotations

from typing import Any

import numpy as np

from codegen.cpu.calls import atomic_add, call_kernel
from codegen.cpu.operations import int64_at


def kernel(worker: Any, workers: Any, n: Any, p: Any) -> None:
    """Runs bindings until none is left."""
    taken, driver, pairs = int64_at(p, 0), int64_at(p, 1)[0], int64_at(p, 2)
    while True:
        mine = atomic_add(taken, 0, np.int64(1))
        if mine >= n[0]:
            return
        call_kernel(driver, 0, 1, int64_at(pairs, 2 * mine), int64_at(pairs, 2 * mine + 1))
