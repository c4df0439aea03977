"""A kernel on a grid: what its threads share, and the launch of it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.ptx.access import ACCESS, space_of
from tests.ptx.barriers import Barriers
from tests.ptx.binding import Array, Binder, Builder
from tests.ptx.choices import CHOICES
from tests.ptx.conversions import CONVERSIONS
from tests.ptx.copies import Copies
from tests.ptx.errors import LaunchFault, PtxError
from tests.ptx.floats import FLOATS, build_float
from tests.ptx.integers import INTEGERS
from tests.ptx.memory import (
    LOCAL_WINDOW,
    SHARED_WINDOW,
    WINDOW_END,
    Arena,
    DeviceMemory,
)
from tests.ptx.order import WARP, Order
from tests.ptx.program import Program, assemble
from tests.ptx.schedule import Schedule
from tests.ptx.spaces import GlobalSpace, Space
from tests.ptx.syntax import TYPES, Instruction, Module, Variable

SHARED_LIMIT = 227 << 10
"""Bytes of shared memory that a block of compute capability 9.0 can have."""
_HALVES = ("f16", "f16x2", "bf16", "bf16x2")


@dataclass(frozen=True, slots=True)
class Checks:
    """What is looked for beside bounds and alignment: `races` between threads, `initialised`
    device memory. `limit` is how many instructions a launch may take, `seed` changes the order in
    which warps and atomics go (None: all in step)."""

    races: bool = True
    initialised: bool = True
    limit: int = 50_000_000
    seed: int | None = None


def _arithmetic(machine: Any, i: Instruction) -> Any:
    floating = i.types[-1][0] == "f" or i.types[-1] in _HALVES
    return (build_float if floating else INTEGERS[i.opcode])(machine, i)


TABLE: dict[str, Builder] = {
    **INTEGERS,
    **FLOATS,
    **{name: _arithmetic for name in INTEGERS.keys() & FLOATS.keys()},
    **CHOICES,
    **CONVERSIONS,
    **ACCESS,
}
"""How each instruction that stays within its lane is bound."""


class Machine(Schedule):
    """A module's kernel bound to a grid of `blocks` blocks of `threads` threads, one-dimensional or
    of up to three dimensions, with `shared` bytes of dynamic shared memory."""

    table = TABLE

    def __init__(
        self,
        module: Module,
        kernel: str,
        memory: DeviceMemory,
        blocks: tuple[int, int, int],
        threads: tuple[int, int, int],
        shared: int,
        checks: Checks,
    ) -> None:
        self.module, self.kernel, self.checks = module, kernel, checks
        self.grid, self.shape = blocks, threads
        self.blocks = int(np.prod(blocks))
        self.threads = int(np.prod(threads))
        if not (0 < self.threads <= 1024 and self.blocks > 0):
            raise LaunchFault(f"{kernel}: {self.blocks} blocks of {self.threads} threads")
        self.warps = -(-self.threads // WARP)
        self.width = self.warps * WARP
        self.count = self.blocks * self.width
        self.memory = memory
        self.program: Program = assemble(module, kernel)
        self.carry = np.zeros(self.count, bool)
        self.random: random.Random | None = None
        self._prepare(shared)
        self._bind_memory(shared)
        self.barriers = Barriers(self)
        self.copies = Copies(self, self.count)
        super().__init__()

    def _prepare(self, shared: int) -> None:
        instructions = [
            i for name in self.program.entries for i in self.module.functions[name].instructions
        ]
        moving = [i for i in instructions if i.opcode in ("ld", "st", "atom", "red")]
        sizes = [
            TYPES[i.types[-1]].itemsize for i in moving if space_of(i) not in ("param", "local")
        ]
        self.granule = min([4, *sizes])
        strong = ("volatile", "relaxed", "acquire", "release", "acq_rel")
        across = any(i.opcode in ("atom", "red") or i.has(*strong) for i in moving)
        self.order = Order(self.blocks, self.warps, across and self.blocks > 1)
        self.static = 0
        self.addresses: dict[str, int] = {}
        local = 0
        variables = sorted(self.module.variables.values(), key=lambda v: v.size == 0)
        for variable in variables:
            if variable.space == "shared":
                # At no better alignment than declared, so that a lack of it shows.
                start = -(-self.static // variable.align) * variable.align
                if variable.align < 128 and start // variable.align % 2 == 0:
                    start += variable.align
                self.addresses[variable.name] = start
                self.static = start + variable.size
            elif variable.space == "local":
                local = -(-local // variable.align) * variable.align
                self.addresses[variable.name] = local
                local += variable.size
            elif variable.space in ("global", "const"):
                self.addresses[variable.name] = self._placed(variable)
        self.local_bytes = local
        self.shared_bytes = self.static + shared

    def _placed(self, variable: Variable) -> int:
        address = self.memory.allocate(variable.size)
        data = bytearray(variable.data.ljust(variable.size, b"\0"))
        for place, name in variable.addresses:
            data[place : place + 8] = self.addresses[name].to_bytes(8, "little")
        self.memory.upload(address, np.frombuffer(bytes(data), np.uint8))
        return address

    def _bind_memory(self, shared: int) -> None:
        if self.shared_bytes > SHARED_LIMIT + 256:
            raise LaunchFault(f"{self.kernel}: {self.shared_bytes} bytes of shared memory a block")
        self.binder = Binder(self.module, self.count, self.addresses, self._specials(shared))
        for name in self.program.entries:
            function = self.module.functions[name]
            for variable in (*function.parameters, *function.results):
                self.binder.declare_parameter(variable.name, variable.size)
        for variable in self.module.variables.values():
            if variable.space == "param":
                self.binder.declare_parameter(variable.name, variable.size)
        stride = -(-self.shared_bytes // 256) * 256 + 256
        self.shared = Space(self, "shared", Arena(stride * self.blocks), self.shared_bytes)
        self.shared.starts = np.arange(self.count) // self.width * stride
        each = -(-self.local_bytes // 16) * 16 + 16
        self.local = Space(self, "local", Arena(each * self.count), self.local_bytes)
        self.local.starts = np.arange(self.count) * each
        self.device = GlobalSpace(self, self.memory, self.checks.initialised)
        self.shared.watched = self.device.watched = self.checks.races

    def _specials(self, shared: int) -> dict[str, Array]:
        lane = np.arange(self.count)
        thread, block = lane % self.width, lane // self.width
        bits = (lane % WARP).astype(np.uint64)
        one = np.uint64(1)
        specials: dict[str, Array] = {
            "%laneid": lane % WARP,
            "%warpid": thread // WARP,
            "%lanemask_eq": one << bits,
            "%lanemask_lt": (one << bits) - one,
            "%lanemask_le": (one << (bits + one)) - one,
            "%lanemask_gt": ~((one << (bits + one)) - one),
            "%lanemask_ge": ~((one << bits) - one),
            "%smid": block,
        }
        for axis, letter in enumerate("xyz"):
            within = int(np.prod(self.shape[:axis])), int(np.prod(self.grid[:axis]))
            specials[f"%tid.{letter}"] = thread // within[0] % self.shape[axis]
            specials[f"%ctaid.{letter}"] = block // within[1] % self.grid[axis]
        uniform = {
            "%nwarpid": self.warps,
            "%nsmid": self.blocks,
            "%gridid": 1,
            "%dynamic_smem_size": shared,
            "%total_smem_size": self.shared_bytes,
            **{f"%ntid.{x}": n for x, n in zip("xyz", self.shape, strict=True)},
            **{f"%nctaid.{x}": n for x, n in zip("xyz", self.grid, strict=True)},
            "WARP_SZ": WARP,
        }
        found = {name: values.astype(np.uint32) for name, values in specials.items()}
        for name, value in uniform.items():
            found[name] = np.broadcast_to(np.uint32(value), self.count)
        return found

    def spaces(
        self, name: str, addresses: Array, lanes: Array, i: Instruction
    ) -> list[tuple[Space, Array, Array]]:
        """The spaces that addresses are in, with the addresses inside of each and their lanes."""
        if name in ("global", "const"):
            return [(self.device, addresses, lanes)]
        if name == "shared":
            return [(self.shared, addresses, lanes)]
        if name == "local":
            return [(self.local, addresses, lanes)]
        if np.minimum.reduce(addresses) >= WINDOW_END:
            return [(self.device, addresses, lanes)]
        windows = (
            (self.shared, SHARED_WINDOW, LOCAL_WINDOW),
            (self.local, LOCAL_WINDOW, WINDOW_END),
        )
        found = []
        left = np.ones(lanes.size, bool)
        for space, low, high in windows:
            inside = (addresses >= low) & (addresses < high)
            if inside.any():
                found.append((space, addresses[inside] - low, lanes[inside]))
                left &= ~inside
        if left.all():
            return [(self.device, addresses, lanes)]
        if left.any():
            found.append((self.device, addresses[left], lanes[left]))
        return found

    def shuffled(self, count: int) -> Any:
        """The numbers below `count`, in some order."""
        if self.random is None:
            return range(count)
        return self.random.sample(range(count), count)

    def failure(self, kind: type[PtxError], i: Instruction, lane: int, what: str) -> PtxError:
        """The error of a fault of one lane."""
        block, thread = divmod(int(lane), self.width)
        return kind(
            f"{self.kernel}, line {i.line} of its PTX, block {block}, thread {thread}: {what}\n"
            f"    {i.text}"
        )

    def fault(self, kind: type[PtxError], i: Instruction, lane: int, what: str) -> None:
        """Raises it."""
        raise self.failure(kind, i, lane, what)

    def launch(self, parameters: list[bytes], now: int) -> int:
        """Runs the kernel with these bytes of parameters, from time `now` of the device's clock;
        gives the time after it. PtxError if it does what it must not."""
        function = self.module.functions[self.kernel]
        if len(parameters) != len(function.parameters):
            raise LaunchFault(
                f"{self.kernel} takes {len(function.parameters)} parameters, got {len(parameters)}"
            )
        for variable, data in zip(function.parameters, parameters, strict=True):
            if len(data) != variable.size:
                raise LaunchFault(f"{variable.name} has {variable.size} bytes, got {len(data)}")
            self.binder.parameter(variable.name)[:] = np.frombuffer(data, np.uint8)
        self.random = None if self.checks.seed is None else random.Random(self.checks.seed)
        self.order.begin(now)
        self.copies.begin()
        self.barriers.waiting.clear()
        # Nothing may rely on what an earlier kernel left there.
        self.shared.arena.data[:] = 0xA5
        if self.shared.flying is not None:
            self.shared.flying[:] = False
        with np.errstate(all="ignore"):
            self.run()
        return self.order.now + 1
