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
class Listing:
    """What a kernel became, to be read: the optimised LLVM module and the instructions."""

    llvm: str
    assembly: str


class _TextLoader(InspectLoader):
    """Loads a module from a text in memory, so that no file on disk is ever executed."""

    def __init__(self, text: str) -> None:
        self._text = text

    def get_source(self, fullname: str) -> str:
        return self._text


def compile_text(text: str, symbol: str) -> bytes:
    """The object file of a text's function `kernel`, which is called `symbol` in it.

    CompileError if Numba refuses the text, or if the object would need a function that a loaded
    object cannot be given.
    """
    assembled = _assembled(text, symbol)
    unknown = sorted(
        function.name
        for function in assembled.functions
        if function.is_declaration
        and not function.name.startswith("llvm.")
        and function.name not in SYMBOLS
    )
    if unknown:
        raise CompileError(f"kernel {symbol} calls {', '.join(unknown)}, which may not be\n{text}")
    return bytes(target_machine().emit_object(assembled))


def list_text(text: str, symbol: str) -> Listing:
    """The same kernel, not to be run but to be read."""
    assembled = _assembled(text, symbol)
    return Listing(str(assembled), target_machine().emit_assembly(assembled))


def _module(text: str, name: str) -> ModuleType:
    loader = _TextLoader(text)
    spec = importlib.util.spec_from_loader(name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def _assembled(text: str, symbol: str) -> Any:
    """The optimised LLVM module."""
    try:
        return _compiled(_module(text, symbol).kernel, symbol)
    except NumbaError as error:
        raise CompileError(f"kernel {symbol} was refused by Numba: {error}\n{text}") from error


def _compiled(function: Any, symbol: str) -> Any:
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
