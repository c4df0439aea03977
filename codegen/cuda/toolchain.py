"""From a module text to an image: held in memory, kept on disk, or compiled."""

from __future__ import annotations

import ast
import ctypes
import functools
from dataclasses import dataclass, replace
from typing import Final

from codegen import cache
from codegen.cpu.errors import CompileError
from codegen.cuda import keeping
from codegen.cuda.image import SHARED_LIMIT, Image
from codegen.cuda.pieces import needed_to_compile
from codegen.lazy import cuda_compiler


@dataclass(frozen=True, slots=True)
class Architecture:
    """A compute capability, and "a" where its code may use what only this one has."""

    major: int
    minor: int
    suffix: str = ""

    @property
    def name(self) -> str:
        """As the assembler calls it: sm_90a."""
        return f"sm_{self.major}{self.minor}{self.suffix}"


HOPPER: Final = Architecture(9, 0, "a")
"""What is compiled for where no device is."""
_DRIVER: Final = "libcuda.so.1"
# CUDA driver API, enum CUdevice_attribute.
_CAPABILITY: Final = 75, 76


def of_capability(major: int, minor: int) -> Architecture:
    """The architecture of a device, with what only this one has where there is such a thing: from
    9.0 on (CUDA C++ Programming Guide, "Architecture-specific features")."""
    return Architecture(major, minor, "a" if (major, minor) >= (9, 0) else "")


@functools.cache
def first_device() -> Architecture | None:
    """The architecture of the first GPU, as its driver tells; None where none can be used."""
    try:
        driver = ctypes.CDLL(_DRIVER)
    except OSError:
        return None
    device, values = ctypes.c_int(0), (ctypes.c_int(0), ctypes.c_int(0))
    if driver.cuInit(0) or driver.cuDeviceGet(ctypes.byref(device), 0):
        return None
    for attribute, value in zip(_CAPABILITY, values, strict=True):
        if driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, device):
            return None
    return of_capability(values[0].value, values[1].value)


def image(text: str, *, shared: int = 0, architecture: Architecture | None = None) -> Image:
    """The image of a text's function `kernel`, whose parameters are all int64.

    shared: bytes of dynamic shared memory that a launch gives it; architecture: that of the first
    GPU if None, and sm_90a where there is none. CompileError if the text is refused, if shared is
    more than a block may have, or if a piece of the toolkit is missing.
    """
    chosen = architecture or first_device() or HOPPER
    if not 0 <= shared <= SHARED_LIMIT:
        raise CompileError(f"{shared} bytes of shared memory: a block has {SHARED_LIMIT}")
    key = keeping.key_of(text, chosen.name)
    found, fresh = cache.once(key, lambda: _find(key, text, chosen))
    return replace(found, text=text, shared=shared, fresh=fresh)


def _find(key: str, text: str, architecture: Architecture) -> tuple[Image, bool]:
    kept = keeping.read(key, text)
    if kept is not None:
        return kept, False
    made = _compiled(key, text, architecture)
    keeping.keep(made)
    return made, True


def _compiled(key: str, text: str, architecture: Architecture) -> Image:
    needed_to_compile()
    entry = f"kernel_{key[:16]}"
    capability = architecture.major, architecture.minor, architecture.suffix
    count = _parameters(text)
    try:
        ptx = cuda_compiler.ptx_of(text, entry, count, capability)
        cubin, resources = cuda_compiler.cubin_of(ptx, entry, capability)
    except CompileError as error:
        raise CompileError(f"kernel {entry} was refused: {error}\n{text}") from error
    return Image(
        key, text, entry, count, architecture.name, ptx, cubin, resources, shared=0, fresh=True
    )


def _parameters(text: str) -> int:
    """How many parameters the text's function `kernel` takes."""
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise CompileError(f"not Python: {error}\n{text}") from error
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef) and statement.name == "kernel":
            return len(statement.args.args)
    raise CompileError(f"no function kernel in\n{text}")
