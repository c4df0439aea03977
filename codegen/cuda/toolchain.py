"""From a module text to an image: held in memory, kept on disk, or compiled."""

from __future__ import annotations

import ast
import ctypes
import functools
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from codegen import cache
from codegen.cpu.errors import CompileError
from codegen.cuda import keeping, loading
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
    (made,) = images(((text, shared),), architecture=architecture)
    return made


def images(
    asked: Sequence[tuple[str, int]], *, architecture: Architecture | None = None
) -> tuple[Image, ...]:
    """The same of several texts, each with the bytes of its shared memory: while Numba works on
    one, those before it are assembled."""
    chosen = architecture or first_device() or HOPPER
    for _, shared in asked:
        if not 0 <= shared <= SHARED_LIMIT:
            raise CompileError(f"{shared} bytes of shared memory: a block has {SHARED_LIMIT}")
    keys = [keeping.key_of(text, chosen.name) for text, _ in asked]
    with ThreadPoolExecutor(1) as second:
        texts = {key: text for key, (text, _) in zip(keys, asked, strict=True)}
        absent = {key: text for key, text in texts.items() if not cache.holds(key)}
        started = {key: _started(key, text, chosen, second) for key, text in absent.items()}

        def held(key: str, text: str, shared: int) -> Image:
            found, fresh = cache.once(
                key, lambda: (started.get(key) or _started(key, text, chosen, second)).result()
            )
            return replace(found, text=text, shared=shared, fresh=fresh)

        return tuple(held(key, *each) for key, each in zip(keys, asked, strict=True))


def _started(
    key: str, text: str, architecture: Architecture, second: Executor
) -> Future[tuple[Image, bool]]:
    """What will be the image of a key, and whether it was compiled."""
    kept = keeping.read(key, text)
    if kept is not None:
        found: Future[tuple[Image, bool]] = Future()
        found.set_result((kept, False))
        return found
    needed_to_compile()
    loading.compilers()
    entry, count = f"kernel_{key[:16]}", _parameters(text)
    capability = architecture.major, architecture.minor, architecture.suffix
    with _told(entry, text):
        modules = cuda_compiler.modules_of(text, entry, count, capability)

    def assembled() -> tuple[Image, bool]:
        with _told(entry, text):
            ptx = cuda_compiler.ptx_of(modules, capability)
            cubin, taken = cuda_compiler.cubin_of(ptx, entry, capability)
        made = Image(key, text, entry, count, architecture.name, ptx, cubin, taken, 0, fresh=True)
        keeping.keep(made)
        return made, True

    return second.submit(assembled)


@contextmanager
def _told(entry: str, text: str) -> Iterator[None]:
    """An error of the compilers with the text that they refused."""
    try:
        yield
    except CompileError as error:
        raise CompileError(f"kernel {entry} was refused: {error}\n{text}") from error


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
