"""From a module text to PTX, by Numba and NVVM, and from PTX to machine code, by nvJitLink; only
imported when something compiles. Neither a device nor its driver is needed."""

# Numba types its decorators only in part.
# mypy: disable-error-code="no-untyped-call, unreachable"

from __future__ import annotations

import functools
import importlib.util
import logging
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.abc import InspectLoader
from types import CodeType, ModuleType
from typing import Any, Final

from cuda.bindings import nvjitlink, nvvm
from numba.core.compiler_lock import global_compiler_lock
from numba.cuda import dispatcher, types
from numba.cuda.compiler import compile_cuda, kernel_fixup
from numba.cuda.cudadrv.nvvm import llvm_replace, set_launch_bounds

from codegen.cpu.errors import CompileError
from codegen.cuda.image import THREADS, Resources
from codegen.cuda.naming import canonical
from codegen.cuda.pieces import LIBDEVICE, PIP, needed

# Of each function; then, when all are linked, of the kernel with those that it calls.
_FRAME: Final = re.compile(r"bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_LINKED: Final = re.compile(r"used (\d+) registers,.*? (\d+) stack(?:, (\d+) bytes smem)?")
# The assembler counts what the system keeps of each block's shared memory where it is in the way:
# compute capability 9.0 (CUDA C++ Programming Guide, "Shared Memory").
_RESERVED: Final = {9: 1 << 10}
# The head of a function that a text calls so: NVVM takes minutes over a kernel in which many large
# functions are one, and registers of one are spilled for another.
_SEPARATE: Final = re.compile(r"^(define [^\n]*\d+separate_\d+[^\n]*\))", re.MULTILINE)
_assembling = threading.Lock()
_ENVIRONMENT: Final = '@"_ZN08NumbaEnv'

# Numba reports each step of each compilation at a level that some programs show.
logging.getLogger("numba").setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class _Offline:
    """Stands for the device while Numba asks for one: only its capability is ever looked at."""

    compute_capability: tuple[int, int]


class _TreeLoader(InspectLoader):
    """Loads a module from a text in memory, so that no file on disk is ever executed."""

    def __init__(self, text: str) -> None:
        self._text = text

    def get_source(self, fullname: str) -> str:
        return self._text

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self._text)


def modules_of(
    text: str, entry: str, parameters: int, capability: tuple[int, int, str]
) -> list[str]:
    """The LLVM modules of a text's function `kernel`, which takes that many int64 and is called
    `entry`, and of all that it calls. CompileError if Numba refuses it."""
    try:
        with global_compiler_lock, _pretended(capability[:2]):
            return _modules(_module(text, entry).kernel, entry, parameters, capability[:2])
    except Exception as error:
        # Numba lets through whatever it comes upon: KeyError, AssertionError, those of libraries.
        raise CompileError(f"{type(error).__name__}: {error}") from error


def ptx_of(modules: Sequence[str], capability: tuple[int, int, str]) -> str:
    """The PTX of LLVM modules. CompileError if NVVM refuses them. Threads may call it at once
    (libNVVM API, "Thread Safety")."""
    options = ["-opt=3", f"-arch=compute_{_joined(capability)}"]
    with _found():
        program = nvvm.create_program()
    try:
        for number, module in enumerate(modules):
            code = llvm_replace(module).encode()
            nvvm.add_module_to_program(program, code, len(code), f"module {number}")
        nvvm.verify_program(program, len(options), options)
        # What the library of mathematics may do is not for the verifier to say.
        library = _libdevice()
        nvvm.lazy_add_module_to_program(program, library, len(library), "libdevice")
        nvvm.compile_program(program, len(options), options)
        written = bytearray(nvvm.get_compiled_result_size(program))
        nvvm.get_compiled_result(program, written)
    except nvvm.nvvmError as error:
        told = bytearray(nvvm.get_program_log_size(program))
        nvvm.get_program_log(program, told)
        raise CompileError(f"NVVM: {error}: {_trimmed(told)}") from error
    finally:
        nvvm.destroy_program(program)
    return _trimmed(written) + "\n"


@functools.cache
def _libdevice() -> bytes:
    return needed(LIBDEVICE).read_bytes()


def _trimmed(told: bytearray) -> str:
    return told.decode(errors="replace").strip("\x00").strip()


def cubin_of(ptx: str, entry: str, capability: tuple[int, int, str]) -> tuple[bytes, Resources]:
    """The machine code of a PTX module and what its kernel takes. CompileError if the assembler
    refuses it. Threads take turns, since nvJitLink does not say that they need not."""
    with _assembling:
        return _assembled(ptx, entry, capability)


def _assembled(ptx: str, entry: str, capability: tuple[int, int, str]) -> tuple[bytes, Resources]:
    options = [f"-arch=sm_{_joined(capability)}", "-verbose", "-Xptxas=-v"]
    with _found():
        handle = nvjitlink.create(len(options), options)
    try:
        code = ptx.encode()
        nvjitlink.add_data(handle, nvjitlink.InputType.PTX, code, len(code), f"{entry}.ptx")
        nvjitlink.complete(handle)
        cubin = bytearray(nvjitlink.get_linked_cubin_size(handle))
        nvjitlink.get_linked_cubin(handle, cubin)
        told = bytearray(nvjitlink.get_info_log_size(handle))
        nvjitlink.get_info_log(handle, told)
    except nvjitlink.nvJitLinkError as error:
        raise CompileError(f"the assembler: {_fault(handle)}") from error
    finally:
        nvjitlink.destroy(handle)
    return bytes(cubin), _resources(_trimmed(told), capability[0])


@contextmanager
def _found() -> Iterator[None]:
    """CompileError where the bindings do not come upon a library that is on this machine: they look
    in other places than we do."""
    try:
        yield
    except RuntimeError as error:
        raise CompileError(
            f"target cuda: {error}; {PIP}, or set CUDA_HOME to the toolkit"
        ) from error


def _fault(handle: int) -> str:
    told = bytearray(nvjitlink.get_error_log_size(handle))
    nvjitlink.get_error_log(handle, told)
    return _trimmed(told)


def _resources(told: str, major: int) -> Resources:
    linked, frames = _LINKED.search(told), _FRAME.findall(told)
    if linked is None or not frames:
        raise CompileError(f"the assembler does not tell what the kernel takes: {told}")
    registers, stack, memory = (int(number or 0) for number in linked.groups())
    # The kernel's own, and those of the functions that it calls.
    stores, loads = zip(*(map(int, frame) for frame in frames), strict=True)
    own = max(0, memory - _RESERVED.get(major, 0))
    return Resources(registers, stack, sum(loads), sum(stores), own)


def _joined(capability: tuple[int, int, str]) -> str:
    return "".join(map(str, capability))


@contextmanager
def _pretended(capability: tuple[int, int]) -> Iterator[None]:
    """While this holds, Numba compiles device functions without asking the driver for a device."""
    real = dispatcher.get_current_device
    dispatcher.get_current_device = lambda: _Offline(capability)
    try:
        yield
    finally:
        dispatcher.get_current_device = real


def _module(text: str, name: str) -> ModuleType:
    loader = _TreeLoader(text)
    spec = importlib.util.spec_from_loader(name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def _modules(function: Any, entry: str, parameters: int, capability: tuple[int, int]) -> list[str]:
    """What Numba makes of a kernel and of all that it calls where it is to launch it."""
    result = compile_cuda(
        function,
        types.void,
        (types.int64,) * parameters,
        nvvm_options={"opt": 3, "fastmath": False},
        cc=capability,
    )
    name = result.fndesc.llvm_func_name
    kernel = result.library.get_function(name)
    kernel_fixup(kernel, False)
    set_launch_bounds(kernel, (THREADS, 1))
    modules = map(str, dict.fromkeys(result.library.modules))
    return canonical([_tidied(module, name, entry) for module in modules])


def _tidied(module: str, name: str, entry: str) -> str:
    """A module with the kernel under the name `entry`. The environments, which nothing reads on a
    device, would become global variables of it."""
    lines = _SEPARATE.sub(r"\1 noinline", module.replace(name, entry)).splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(_ENVIRONMENT))
