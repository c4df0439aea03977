"""From a module text to PTX, by Numba and NVVM, and from PTX to machine code, by nvJitLink; only
imported when something compiles. Neither a device nor its driver is needed."""

# Numba types its decorators only in part.
# mypy: disable-error-code="no-untyped-call, unreachable"

from __future__ import annotations

import importlib.util
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.abc import InspectLoader
from types import CodeType, ModuleType
from typing import Any, Final

from cuda.bindings import nvjitlink
from numba.core.compiler_lock import global_compiler_lock
from numba.core.errors import NumbaError
from numba.cuda import dispatcher, types
from numba.cuda.compiler import compile_cuda, kernel_fixup
from numba.cuda.cudadrv import nvvm

from codegen.cpu.errors import CompileError
from codegen.cuda.image import THREADS, Resources

_USED: Final = re.compile(r"Used (\d+) registers")
_FRAME: Final = re.compile(
    r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads"
)
_SHARED: Final = re.compile(r"(\d+) bytes smem")
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


def ptx_of(text: str, entry: str, parameters: int, capability: tuple[int, int, str]) -> str:
    """The PTX of a text's function `kernel`, which takes that many int64 and is called `entry`.
    CompileError, with the text, if Numba or NVVM refuses it."""
    try:
        with global_compiler_lock, _pretended(capability[:2]):
            modules = _modules(_module(text, entry).kernel, entry, parameters, capability[:2])
            options = {"opt": 3, "arch": f"compute_{_joined(capability)}"}
            written: bytes = nvvm.compile_ir(modules, **options)
    except (NumbaError, nvvm.nvvmError, SyntaxError, NameError, ImportError) as error:
        raise CompileError(f"kernel {entry} was refused: {error}\n{text}") from error
    return written.decode().strip("\x00").strip() + "\n"


def cubin_of(ptx: str, entry: str, capability: tuple[int, int, str]) -> tuple[bytes, Resources]:
    """The machine code of a PTX module and what its kernel takes. CompileError, with the PTX, if
    the assembler refuses it."""
    options = [f"-arch=sm_{_joined(capability)}", "-verbose", "-Xptxas=-v"]
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
        raise CompileError(f"{entry} cannot be assembled: {_fault(handle)}\n{ptx}") from error
    finally:
        nvjitlink.destroy(handle)
    return bytes(cubin), _resources(told.decode(errors="replace"))


def _fault(handle: int) -> str:
    told = bytearray(nvjitlink.get_error_log_size(handle))
    nvjitlink.get_error_log(handle, told)
    return told.decode(errors="replace").strip("\x00").strip()


def _resources(told: str) -> Resources:
    used, frame, shared = _USED.search(told), _FRAME.search(told), _SHARED.search(told)
    if used is None:
        raise CompileError(f"the assembler does not tell what the kernel takes: {told}")
    stack, stores, loads = map(int, frame.groups()) if frame else (0, 0, 0)
    return Resources(int(used[1]), stack, loads, stores, int(shared[1]) if shared else 0)


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


def _modules(
    function: Any, entry: str, parameters: int, capability: tuple[int, int]
) -> Sequence[str]:
    """The LLVM modules of a kernel and of all that it calls, as Numba launches them."""
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
    nvvm.set_launch_bounds(kernel, (THREADS, 1))
    return [_tidied(module, name, entry) for module in result.library.llvm_strs]


def _tidied(module: str, name: str, entry: str) -> str:
    """The same module in every process: Numba's names count the functions compiled so far. The
    environments, which nothing reads on a device, would become global variables of it."""
    lines = module.replace(name, entry).splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(_ENVIRONMENT))
