"""The floor: how long a step takes at least on this machine, by what it computes and moves.

max(operations / FMA rate, bytes beyond L2 / bandwidth). The rate is that of a large product of
matrices through NumPy (its BLAS, one thread a core), in the dtype of the workload; the bandwidth
that of a copy of large arrays, one thread a core, read and written bytes both counted. Both are
measured in rounds that take turns with the workloads. Barriers are not counted.

operations: those of the products of matrices, forward, for the weights and, but in the first
layer, for the deltas; 12 a weight for Adam, 2 for SGD. Activations count nothing. The residual
propagates four streams (u, u_x, u_t, u_xx), each at the price of one.
bytes: none while weights, optimizer state, activations and the data fit the L2 of all cores. Else
what must pass once: Adam reads and writes three arrays, SGD one; forward and backward read the
weights; a step reads its rows. What fits L3 is measured against a copy inside L3.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from codegen.machine import this_machine
from tests.bench.workloads import Array, Workload

VERSIONS = ("numpy",)
SIDE = 1536


@dataclass(frozen=True)
class Rates:
    """Operations a second by dtype, and bytes a second inside L3 and beyond it."""

    float32: float
    float64: float
    near: float
    far: float


def operations(workload: Workload) -> float:
    """Additions and multiplications of a step."""
    update = 12 if workload.optimizer == "Adam" else 2
    if workload.kind == "update":
        return float(update * workload.widths[0])
    pairs = list(pairwise(workload.widths))
    streams = 4 if workload.kind == "residual" else 1
    rows = workload.rows / workload.steps
    products = sum(a * b * (2 if place == 0 else 3) for place, (a, b) in enumerate(pairs))
    one = 2 * rows * streams * products + update * weights(workload)
    return float(workload.replicas * one)


def weights(workload: Workload) -> int:
    """How many numbers one network learns."""
    if workload.kind == "update":
        return workload.widths[0]
    return sum(a * b + b for a, b in pairwise(workload.widths))


def working_set(workload: Workload) -> int:
    """Bytes that every step touches: weights, state, activations; not the data."""
    size = np.dtype(workload.dtype).itemsize
    copies = 3 if workload.optimizer == "Adam" else 1
    if workload.kind == "update":
        return size * (copies + 1) * weights(workload)
    streams = 4 if workload.kind == "residual" else 1
    active = 2 * streams * workload.batch * sum(workload.widths)
    return int(size * workload.replicas * (copies * weights(workload) + active))


def traffic(workload: Workload) -> float:
    """Bytes of a step beyond L2."""
    machine, size = this_machine(), np.dtype(workload.dtype).itemsize
    held = machine.level2 * machine.cores
    moved = 6 if workload.optimizer == "Adam" else 2
    if workload.kind == "update":
        return float(size * (moved + 1) * weights(workload))
    data = size * workload.rows * workload.widths[0]
    rows = size * workload.widths[0] * workload.rows / workload.steps * workload.replicas
    # Replicas run one after another, so that each has the caches for itself.
    alone = working_set(workload) / workload.replicas
    bound = 0.0 if alone + data <= held else rows
    return bound + (size * (moved + 2) * weights(workload) if alone > held else 0.0)


def floor(workload: Workload, rates: Rates) -> float:
    """Microseconds of a step."""
    rate = rates.float64 if workload.dtype == "float64" else rates.float32
    far = working_set(workload) > this_machine().level3 // 2
    bandwidth = rates.far if far else rates.near
    return 1e6 * max(operations(workload) / rate, traffic(workload) / bandwidth)


class Measured:
    """The arrays that the rates are measured with."""

    def __init__(self) -> None:
        random, machine = np.random.default_rng(0), this_machine()
        self._pairs = [random.random((2, SIDE, SIDE)).astype(kind) for kind in ("f4", "f8")]
        self._products = [np.empty((SIDE, SIDE), pair.dtype) for pair in self._pairs]
        near, far = machine.level3 // 8, max(8 * machine.level3, 1 << 28)
        self._copies = [np.ones((2, machine.cores, size // machine.cores // 4), np.float32)
                        for size in (near, far)]  # fmt: skip
        self._pool = ThreadPoolExecutor(machine.cores)

    def _copy(self, arrays: Array, times: int) -> None:
        def part(source: Array, target: Array) -> None:
            for _ in range(times):
                np.copyto(target, source)

        list(self._pool.map(part, *arrays))

    def rates(self) -> Rates:
        """Measures each once, for about a quarter of a second in all."""
        found: list[float] = []
        for pair, product in zip(self._pairs, self._products, strict=True):
            elapsed = _seconds(np.matmul, pair[0], pair[1], product)
            found.append(2.0 * SIDE**3 / elapsed)
        for arrays, times in zip(self._copies, (64, 1), strict=True):
            self._copy(arrays, 1)
            elapsed = _seconds(self._copy, arrays, times)
            found.append(times * arrays.nbytes / elapsed)
        return Rates(*found)


def _seconds(function: Any, *arguments: Any) -> float:
    begin = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - begin


def make(workload: Any, start: Any, threads: int | None, kind: str) -> Measured:
    """The machine itself as a peer."""
    return Measured()
