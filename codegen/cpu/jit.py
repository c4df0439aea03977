"""From a kernel's text to an object file, by Numba; only imported when something compiles."""

# Numba types its decorators only in part.
# mypy: disable-error-code="no-untyped-call, call-overload, call-arg, unreachable"

from __future__ import annotations

import importlib.util
import logging
from dataclasses import dataclass
from importlib.abc import InspectLoader
from types import ModuleType
from typing import Any

import llvmlite.binding as llvm
from numba import njit, types
from numba.core.errors import NumbaError

from codegen.cpu.errors import CompileError
from codegen.cpu.loader import SYMBOLS, target_machine

_WORDS = types.CPointer(types.intp)
_SIGNATURE = types.void(types.intp, types.intp, _WORDS, _WORDS)

# Numba reports each step of each compilation at a level that some programs show.
logging.getLogger("numba").setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class Compiled:
    """An object file, the name of the kernel in it, and the texts it came from."""

    symbol: str
    object_file: bytes
    llvm: str
    assembly: str


class _TextLoader(InspectLoader):
    """Loads a module from a text in memory, so that no file on disk is ever executed."""

    def __init__(self, text: str) -> None:
        self._text = text

    def get_source(self, fullname: str) -> str:
        return self._text


def compile_text(text: str, symbol: str) -> Compiled:
    """Compiles the function `kernel` of the text and names it `symbol` in the object file.

    CompileError if Numba refuses the text, or if the object would need a function that a loaded
    object cannot be given.
    """
    module = _module(text, symbol)
    try:
        assembled = _assemble(module.kernel, symbol)
    except NumbaError as error:
        raise CompileError(f"kernel {symbol} was refused by Numba: {error}\n{text}") from error
    unknown = sorted(
        function.name
        for function in assembled.functions
        if function.is_declaration
        and not function.name.startswith("llvm.")
        and function.name not in SYMBOLS
    )
    if unknown:
        raise CompileError(f"kernel {symbol} calls {', '.join(unknown)}, which may not be\n{text}")
    machine = target_machine()
    return Compiled(
        symbol, machine.emit_object(assembled), str(assembled), machine.emit_assembly(assembled)
    )


def _module(text: str, name: str) -> ModuleType:
    loader = _TextLoader(text)
    spec = importlib.util.spec_from_loader(name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def _assemble(function: Any, symbol: str) -> Any:
    dispatcher = njit(
        _SIGNATURE,
        error_model="numpy",
        fastmath={"contract"},
        nogil=True,
        no_cpython_wrapper=True,
        no_cfunc_wrapper=True,
    )(function)
    result = dispatcher.overloads[dispatcher.signatures[0]]
    text = result.library.get_llvm_str()
    # Numba's name counts the functions compiled so far; ours is the same in every process.
    return llvm.parse_assembly(text.replace(result.fndesc.llvm_func_name, symbol))
