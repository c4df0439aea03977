"""The floor: how long a step takes at least on this machine, by what it computes and moves.

max(operations / FMA rate, bytes beyond L2 / bandwidth) + barriers. The rate is the larger of what
multiply-adds in registers reach and of what a large product through NumPy's BLAS does, in the dtype
of the workload: a limit of the machine, which real products of matrices come near only where they
are large. How long the operations take at the rate of BLAS is told beside it. The bandwidth is that
of the fastest of several loops (tests/bench/limits.py). All are measured in rounds that take turns
with the workloads.

operations: those of the products of matrices, forward, for the weights and, but in the first
layer, for the deltas; 12 a weight for Adam, 2 for SGD. Activations count nothing. The residual
propagates four streams (u, u_x, u_t, u_xx), each at the price of one.
bytes: none while weights, optimizer state, activations and the data fit the L2 of all cores. Else
what must pass once: Adam reads and writes three arrays, SGD one; forward and backward read the
weights; a step reads its rows. What fits L3 is held against the bandwidth inside L3.
barriers: those that symnet's own program has in a step, none where one worker runs it alone, at
what one costs two workers that do nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from codegen.machine import this_machine
from tests.bench.workloads import Workload, weights_of


@dataclass(frozen=True)
class Rates:
    """Operations a second by dtype, in registers and by BLAS; bytes a second inside L3 and beyond
    it; seconds of a barrier between all cores."""

    float32: float
    float64: float
    blas32: float
    blas64: float
    near: float
    far: float
    barrier: float


def summary(rounds: Sequence[Rates]) -> Rates:
    """The rates of several rounds. The processor's own are those of the best round, since others
    can only take from them. Memory is shared with whoever else is on the host and may be half as
    fast again in one minute as in the next: of that the upper quartile, so that a step timed by the
    median does not run below its floor, and the best minute is not asked of all others."""

    def of(name: str) -> list[float]:
        return [getattr(rates, name) for rates in rounds]

    return Rates(
        *(max(of(name)) for name in ("float32", "float64", "blas32", "blas64")),
        near=float(np.quantile(of("near"), 0.75)),
        far=float(np.quantile(of("far"), 0.75)),
        barrier=min(of("barrier")),
    )


def operations(workload: Workload) -> float:
    """Additions and multiplications of a step."""
    update = 12 if workload.optimizer == "Adam" else 2
    if workload.kind == "update":
        return float(update * workload.widths[0])
    pairs = list(pairwise(workload.widths))
    streams = 4 if workload.kind == "residual" else 1
    rows = workload.rows / workload.steps
    products = sum(a * b * (2 if place == 0 else 3) for place, (a, b) in enumerate(pairs))
    one = 2 * rows * streams * products + update * weights_of(workload)
    return float(workload.replicas * one)


def working_set(workload: Workload) -> int:
    """Bytes that every step touches: weights, state, activations; not the data."""
    size = np.dtype(workload.dtype).itemsize
    copies = 3 if workload.optimizer == "Adam" else 1
    if workload.kind == "update":
        return size * (copies + 1) * weights_of(workload)
    streams = 4 if workload.kind == "residual" else 1
    active = 2 * streams * workload.batch * sum(workload.widths)
    return int(size * workload.replicas * (copies * weights_of(workload) + active))


def traffic(workload: Workload) -> float:
    """Bytes of a step beyond L2."""
    machine, size = this_machine(), np.dtype(workload.dtype).itemsize
    held = machine.level2 * machine.cores
    moved = 6 if workload.optimizer == "Adam" else 2
    if workload.kind == "update":
        return float(size * (moved + 1) * weights_of(workload))
    data = size * workload.rows * workload.widths[0]
    rows = size * workload.widths[0] * workload.rows / workload.steps * workload.replicas
    # Replicas run one after another, so that each has the caches for itself.
    alone = working_set(workload) / workload.replicas
    bound = 0.0 if alone + data <= held else rows
    return bound + (size * (moved + 2) * weights_of(workload) if alone > held else 0.0)


@dataclass(frozen=True)
class Floor:
    """Microseconds of a step, by what it is held against."""

    registers: float
    blas: float
    bytes: float
    barriers: float

    @property
    def whole(self) -> float:
        """The least that a step takes."""
        return max(min(self.registers, self.blas), self.bytes) + self.barriers


def floor(workload: Workload, rates: Rates, barriers: int = 0) -> Floor:
    """The floor of a step that has so many barriers."""
    double = workload.dtype == "float64"
    computed = 1e6 * operations(workload)
    far = working_set(workload) > this_machine().level3 // 2
    return Floor(
        registers=computed / (rates.float64 if double else rates.float32),
        blas=computed / (rates.blas64 if double else rates.blas32),
        bytes=1e6 * traffic(workload) / (rates.far if far else rates.near),
        barriers=1e6 * barriers * rates.barrier,
    )
