"""A device that is not there: what `codegen.cuda.device.Device` promises, by interpreting PTX."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from codegen.cuda.device import Launch
from codegen.cuda.image import THREADS, Image
from tests.ptx.errors import LaunchFault
from tests.ptx.machine import Checks, Machine
from tests.ptx.memory import GLOBAL_BASE, DeviceMemory
from tests.ptx.parser import parse
from tests.ptx.syntax import Module

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A kernel of a parsed module."""

    module: Module
    entry: str
    ptx: str

    @property
    def sizes(self) -> tuple[int, ...]:
        """The bytes of each parameter."""
        return tuple(v.size for v in self.module.functions[self.entry].parameters)


class SimulatedDevice:
    """Runs images as one GPU of compute capability 9.0 would, one launch after the other, each at
    once; what `checks` ask for is watched in every launch. A fault is a PtxError.

    Blocks run in step with one another, whatever their number; `multiprocessors` times
    `blocks_each` of them are said to be resident, and no more may be launched as cooperative.
    """

    name = "PTX interpreter"
    capability = (9, 0)

    def __init__(
        self, multiprocessors: int = 4, blocks_each: int = 1, checks: Checks | None = None
    ) -> None:
        self.multiprocessors, self.blocks_each = multiprocessors, blocks_each
        self.checks = checks or Checks()
        self.memory = DeviceMemory()
        self.now = 1
        self.launches = 0
        self.executed = 0
        self._machine = functools.lru_cache(maxsize=512)(self._new_machine)

    def allocate(self, count: int) -> int:
        """The address, a multiple of 256, of so many bytes that nobody has written yet."""
        return self.memory.allocate(max(count, 1))

    def free(self, address: int) -> None:
        """Gives an allocation back; whoever uses it then is caught."""
        self.memory.free(address)

    def upload(self, address: int, array: Array) -> None:
        """Copies a C-contiguous array there."""
        self.memory.upload(address, array)

    def download(self, array: Array, address: int) -> None:
        """Fills a C-contiguous array from there."""
        self.memory.download(array, address)

    def reaches(self, address: int) -> bool:
        """Whether an address is of device memory."""
        return address == 0 or GLOBAL_BASE <= address < GLOBAL_BASE + self.memory.top

    def load(self, image: Image) -> Loaded:
        """The function of an image, from its PTX."""
        return self.load_ptx(image.ptx, image.entry)

    def load_ptx(self, ptx: str, entry: str | None = None) -> Loaded:
        """A kernel of a PTX text; its only one if none is named."""
        module = parse(ptx)
        if entry is None:
            (entry,) = module.kernels
        if entry not in module.kernels:
            raise LaunchFault(f"no kernel {entry} in the PTX; there are {module.kernels}")
        return Loaded(module, entry, ptx)

    def resident(self, function: Loaded, shared: int) -> int:
        """How many blocks are there at once."""
        return self.multiprocessors * self.blocks_each

    def launch(self, launch: Launch) -> None:
        """Runs a kernel to its end."""
        function: Loaded = launch.function
        if launch.cooperative and launch.blocks > self.resident(function, launch.shared):
            raise LaunchFault(
                f"{function.entry}: {launch.blocks} blocks, and only"
                f" {self.resident(function, launch.shared)} can be resident"
            )
        sizes = function.sizes
        if len(sizes) != len(launch.parameters):
            raise LaunchFault(
                f"{function.entry} takes {len(sizes)} parameters, got {len(launch.parameters)}"
            )
        words = [
            (int(value) & ((1 << 8 * size) - 1)).to_bytes(size, "little")
            for value, size in zip(launch.parameters, sizes, strict=True)
        ]
        self.run(function, words, launch.blocks, THREADS, launch.shared)

    def run(
        self,
        function: Loaded,
        parameters: Sequence[bytes],
        blocks: int | tuple[int, int, int],
        threads: int | tuple[int, int, int],
        shared: int = 0,
    ) -> None:
        """Runs any kernel, with the bytes of its parameters."""
        grid = (blocks, 1, 1) if isinstance(blocks, int) else blocks
        shape = (threads, 1, 1) if isinstance(threads, int) else threads
        machine = self._machine(function.ptx, function.entry, grid, shape, shared)
        self.now = machine.launch(list(parameters), self.now)
        self.launches += 1
        self.executed += machine.executed

    def graph(self, launches: Sequence[Launch]) -> SimulatedGraph:
        """These launches, to be replayed."""
        return SimulatedGraph(self, tuple(launches))

    def synchronize(self) -> None:
        """Nothing is ever left to be done."""

    def settle(self) -> None:
        """Nobody else starts anything."""

    def _new_machine(
        self,
        ptx: str,
        entry: str,
        grid: tuple[int, int, int],
        shape: tuple[int, int, int],
        shared: int,
    ) -> Machine:
        return Machine(parse(ptx), entry, self.memory, grid, shape, shared, self.checks)


@dataclass(frozen=True, slots=True)
class SimulatedGraph:
    """Recorded launches."""

    device: SimulatedDevice
    launches: tuple[Launch, ...]

    def replay(self, times: int) -> None:
        """Runs them all, so many times over."""
        for _ in range(times):
            for launch in self.launches:
                self.device.launch(launch)
