"""What the machine can do at most: the rates that floors are made of, measured in every round.

Operations: chains of fused multiply-adds that never leave the registers, and NumPy's product of two
large matrices (its BLAS), one thread a core. Bytes: loops over memory far larger than L3, and over
a quarter of L3, by all cores and by one: a sum (reads only), a scaling in place (reads and writes
what it read), and Adam's pattern, four arrays read of which three are written. None writes what it
has not read, so the bytes counted are those that move: a copy would have its target fetched first,
unseen. NumPy asks for huge pages here as it does for the arrays of the workloads. Of the repeats in
a round and of the loops the fastest counts: what the machine did it can do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

from codegen.cpu.calls import meet
from codegen.machine import this_machine
from tests.bench.floor import Rates
from tests.bench.workloads import Array, Workload

SIDE = 1536
REPEATS = 3
TURNS = 1 << 18
"""How often each chain is lengthened: some milliseconds."""
MEETINGS = 20_000
NEAR_TIMES = 32

LANES = {kind: this_machine().vector_bytes // np.dtype(kind).itemsize for kind in ("f4", "f8")}
CHAINS = 12 if this_machine().vector_bytes == 32 else 16
"""So many that none waits for its own last result, and that all fit the registers with what is
multiplied and added: AVX2 has 16, AVX-512 and NEON have 32."""

parallel = numba.njit(nogil=True, error_model="numpy")


def _chains(kind: ir.Type, lanes: int) -> Any:
    """An intrinsic: `times` more multiply-adds on each of all chains; the sum of a lane of each."""
    vector = ir.VectorType(kind, lanes)
    name = f"llvm.fma.v{lanes}f{32 if isinstance(kind, ir.FloatType) else 64}"

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        signature_of_fma = ir.FunctionType(vector, [vector] * 3)
        fma = cgutils.get_or_insert_function(builder.module, signature_of_fma, name)
        factor, term = (ir.Constant(vector, [value] * lanes) for value in (0.5, 1.25))
        starts = [ir.Constant(vector, [float(n)] * lanes) for n in range(CHAINS)]
        chains = [cgutils.alloca_once_value(builder, start) for start in starts]
        with cgutils.for_range(builder, args[0]):
            for chain in chains:
                builder.store(builder.call(fma, [builder.load(chain), factor, term]), chain)
        total = ir.Constant(kind, 0.0)
        for chain in chains:
            lane = builder.extract_element(builder.load(chain), ir.Constant(ir.IntType(32), 0))
            total = builder.fadd(total, lane)
        return total

    return code


@intrinsic
def single_chains(typingctx: Any, times: Any) -> Any:
    return numba.float32(numba.int64), _chains(ir.FloatType(), LANES["f4"])


@intrinsic
def double_chains(typingctx: Any, times: Any) -> Any:
    return numba.float64(numba.int64), _chains(ir.DoubleType(), LANES["f8"])


@parallel
def single(times: Any) -> Any:
    return single_chains(times)


@parallel
def double(times: Any) -> Any:
    return double_chains(times)


@numba.njit(nogil=True, fastmath=True)
def total(arrays: Any, times: Any) -> Any:
    """Reads everything."""
    found = np.float32(0)
    for _ in range(times):
        for value in arrays.flat:
            found += value
    return found


@parallel
def scale(arrays: Any, times: Any) -> None:
    """Reads and writes everything."""
    flat = arrays.ravel()
    for _ in range(times):
        for place in range(flat.size):
            flat[place] *= np.float32(0.9999999)


@parallel
def update(arrays: Any, times: Any) -> None:
    """Reads four arrays and writes three, with as little arithmetic as that takes."""
    first, second, third, fourth = arrays[0], arrays[1], arrays[2], arrays[3]
    for _ in range(times):
        for place in range(first.size):
            given = fourth[place]
            first[place] -= given
            second[place] -= given
            third[place] -= given


@numba.cfunc(numba.int64(numba.types.CPointer(numba.int64), numba.int64, numba.int64))
def meetings(control: Any, workers: Any, times: Any) -> Any:
    """Nothing but barriers, those of symnet."""
    for phase in range(times):
        meet(control, 0, 32, workers, phase)
    return times


class Measured:
    """The arrays that the rates are measured with."""

    def __init__(self) -> None:
        random, machine = np.random.default_rng(0), this_machine()
        self._cores = machine.cores
        self._pairs = [random.random((2, SIDE, SIDE)).astype(kind) for kind in ("f4", "f8")]
        self._products = [np.empty((SIDE, SIDE), pair.dtype) for pair in self._pairs]
        near, far = machine.level3 // 4, max(8 * machine.level3, 1 << 28)
        self._near, self._far = (
            [np.ones((4, size // self._cores // 16), np.float32) for _ in range(self._cores)]
            for size in (near, far)
        )
        self._control = np.zeros(64, np.int64)
        self._pool = ThreadPoolExecutor(self._cores)

    def _together(self, function: Callable[..., Any], shares: Sequence[tuple[Any, ...]]) -> float:
        """Seconds of one run on every core, each with its share."""
        begin = time.perf_counter()
        for running in [self._pool.submit(function, *share) for share in shares]:
            running.result()
        return time.perf_counter() - begin

    def _best(self, once: Callable[[], float]) -> float:
        return min(once() for _ in range(REPEATS))

    def _registers(self, loop: Callable[..., Any], lanes: int) -> float:
        elapsed = self._best(lambda: self._together(loop, [(TURNS,)] * self._cores))
        return 2.0 * self._cores * TURNS * CHAINS * lanes / elapsed

    def _product(self, pair: Array, product: Array) -> float:
        return 2.0 * SIDE**3 / self._best(lambda: _seconds(np.matmul, pair[0], pair[1], product))

    def _bandwidth(self, shares: list[Array], times: int) -> float:
        found = []
        # One core alone comes near to what all reach, and can do so while others are busy.
        for some in (shares, shares[:1]):
            asked = [(share, times) for share in some]
            quarter = times * sum(share.nbytes for share in some) / 4
            for loop, moved in ((total, 4), (scale, 8), (update, 7)):
                elapsed = self._best(lambda loop=loop, asked=asked: self._together(loop, asked))
                found.append(quarter * moved / elapsed)
        return max(found)

    def _barrier(self) -> float:
        def once() -> float:
            self._control[:] = 0
            asked = (self._control.ctypes.data_as(meetings.ctypes.argtypes[0]), self._cores)
            return self._together(meetings.ctypes, [(*asked, MEETINGS)] * self._cores)

        return self._best(once) / MEETINGS if self._cores > 1 else 0.0

    def rates(self) -> Rates:
        """Measures each a few times, for about a second in all."""
        products = zip(self._pairs, self._products, strict=True)
        return Rates(
            self._registers(single, LANES["f4"]), self._registers(double, LANES["f8"]),
            *(self._product(*each) for each in products),
            self._bandwidth(self._near, NEAR_TIMES), self._bandwidth(self._far, 1),
            self._barrier(),
        )  # fmt: skip


def _seconds(function: Any, *arguments: Any) -> float:
    begin = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - begin


def make(workload: Workload, start: Any, threads: int | None, kind: str) -> Measured:
    """The machine itself as a peer."""
    return Measured()
