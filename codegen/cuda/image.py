"""What a module text becomes: PTX, machine code, and what the machine code needs."""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from codegen.cpu.errors import CompileError
from codegen.cuda.pieces import NVDISASM, needed

THREADS: Final = 256
"""Threads of a block. Blocks have one dimension."""
SHARED_LIMIT: Final = 48 << 10
"""Bytes of shared memory that a block may have without the device being asked (CUDA C++ Programming
Guide, "Shared Memory" of each compute capability)."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What one kernel takes with the functions that it calls, as the assembler reports it
    (`ptxas -v`): registers of a thread, bytes of its stack, bytes of registers that are spilled and
    fetched again (those that a called function saves for its caller among them), and bytes of
    static shared memory of a block."""

    registers: int
    stack_bytes: int
    spill_load_bytes: int
    spill_store_bytes: int
    shared_bytes: int


@dataclass(frozen=True, slots=True)
class Image:
    """One compiled module with one kernel.

    `entry` is the kernel's name in `ptx` and in `cubin`, which was assembled from exactly that PTX;
    `parameters` is how many int64 parameters it takes; `architecture` is such as sm_90a; `shared`
    are the bytes of dynamic shared memory that a launch has to give it. `fresh`: this look-up
    compiled it.
    """

    key: str
    text: str
    entry: str
    parameters: int
    architecture: str
    ptx: str
    cubin: bytes
    resources: Resources
    shared: int
    fresh: bool

    @property
    def sass(self) -> str:
        """The device's instructions, by nvdisasm; made anew at each look. CompileError if nvdisasm
        is not there or refuses the cubin."""
        program = needed(NVDISASM)
        with tempfile.TemporaryDirectory(prefix="symnet-") as place:
            path = Path(place, f"{self.entry}.cubin")
            path.write_bytes(self.cubin)
            command = [str(program), "--print-code", str(path)]
            try:
                told = subprocess.run(command, capture_output=True, text=True, check=True)
            except OSError as error:
                raise CompileError(f"{program} cannot be run: {error}") from error
            except subprocess.CalledProcessError as error:
                fault = error.stderr.strip()
                raise CompileError(f"{program} refused {self.entry}: {fault}") from error
        return told.stdout
