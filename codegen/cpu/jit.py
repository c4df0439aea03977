"""From a kernel's text to an object file, by Numba; only imported when something compiles."""

# Numba types its decorators only in part.
# mypy: disable-error-code="no-untyped-call, call-overload, call-arg, unreachable"

from __future__ import annotations

import ast
import importlib.util
import logging
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from importlib.abc import InspectLoader
from types import CodeType, ModuleType
from typing import Any

import llvmlite.binding as llvm
from numba import types
from numba.core.compiler import Flags, compile_extra
from numba.core.compiler_lock import global_compiler_lock
from numba.core.errors import NumbaError
from numba.core.registry import cpu_target

from codegen.cpu.errors import CompileError
from codegen.cpu.kinds import Untranslated
from codegen.cpu.loader import new_target_machine
from codegen.cpu.objects import (
    ALL,
    FEW,
    NONE,
    SCALAR,
    Objects,
    Written,
    optimised,
    unknown_functions,
)
from codegen.cpu.translate import translated

_LLVM = "def llvm("
"""What stands in the texts that write LLVM code themselves."""
_WORDS = types.CPointer(types.intp)
_SIGNATURE = types.void(types.intp, types.intp, _WORDS, _WORDS)
_RESTRICTED = {
    "float32_restrict": types.CPointer(types.float32),
    "float64_restrict": types.CPointer(types.float64),
    "int32_restrict": types.CPointer(types.int32),
    "int64_restrict": types.CPointer(types.int64),
    "bool_restrict": types.CPointer(types.uint8),
}

# Numba reports each step of each compilation at a level that some programs show.
logging.getLogger("numba").setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class Listing:
    """What a kernel became, to be read: the optimised LLVM module and the instructions."""

    llvm: str
    assembly: str


class _TreeLoader(InspectLoader):
    """Loads a module from a syntax tree in memory, so that no file on disk is ever executed."""

    def __init__(self, tree: ast.Module) -> None:
        self._tree = tree

    def get_source(self, fullname: str) -> str:
        return ast.unparse(self._tree)

    def get_code(self, fullname: str) -> CodeType:
        # The type only promises text, the documentation whatever `compile` takes.
        tree: Any = self._tree
        return self.source_to_code(tree)


def compile_text(text: str, symbol: str) -> bytes:
    """The object file of a text's function `kernel`, which is called `symbol` in it; or of the
    module that a text's function `llvm(symbol)` writes.

    CompileError if Numba refuses the text, or if the object would need a function that a loaded
    object cannot be given.
    """
    return compile_texts({symbol: text}, 1)[symbol]


def compile_texts(texts: Mapping[str, str], threads: int) -> dict[str, bytes]:
    """The object files of texts by symbol, made by so many threads. Raises what `compile_text`
    does, and then makes none."""
    with Objects(min(threads, len(texts))) as objects:
        order = sorted(texts, key=lambda symbol: -len(texts[symbol]))
        # Contractions, whose code takes long both to write and to compile, come early, but not
        # before the threads have something to do.
        order[1:] = sorted(order[1:], key=lambda symbol: _LLVM not in texts[symbol])
        made = {symbol: objects.make(_written(texts[symbol], symbol), symbol) for symbol in order}
        return {symbol: _result(made[symbol], text) for symbol, text in texts.items()}


def _result(made: Future[bytes], text: str) -> bytes:
    try:
        return made.result()
    except CompileError as error:
        raise CompileError(f"{error}\n{text}") from None


def list_text(text: str, symbol: str) -> Listing:
    """The same kernel, not to be run but to be read."""
    machine = new_target_machine()
    with optimised(_written(text, symbol), machine) as module:
        return Listing(str(module), machine.emit_assembly(module))


@dataclass(frozen=True, slots=True)
class _Restricted:
    """The cell of `p` that holds the address of memory which no other pointer reaches."""

    cell: int
    kind: Any


def _lift(tree: ast.Module) -> list[_Restricted]:
    """Makes the function's restricted pointers arguments of it: only there LLVM can be told what
    they are."""
    found: list[_Restricted] = []
    for function in tree.body:
        if isinstance(function, ast.FunctionDef) and function.name == "kernel":
            function.body = list(_rest(function, found)) or [ast.Pass()]
    ast.fix_missing_locations(tree)
    return found


def _rest(function: ast.FunctionDef, found: list[_Restricted]) -> Iterator[ast.stmt]:
    """The statements that stay."""
    for statement in function.body:
        match statement:
            case ast.Assign([ast.Name(name)], ast.Call(ast.Name(reader), [_, ast.Constant(cell)])):
                if reader in _RESTRICTED and isinstance(cell, int):
                    found.append(_Restricted(cell, _RESTRICTED[reader]))
                    function.args.args.append(ast.arg(name))
                    continue
        yield statement


def _module(tree: ast.Module, name: str) -> ModuleType:
    loader = _TreeLoader(tree)
    spec = importlib.util.spec_from_loader(name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def _written(text: str, symbol: str) -> Written:
    """The text as LLVM code."""
    tree = ast.parse(text)
    restricted = _lift(tree)
    module = _module(tree, symbol)
    if hasattr(module, "llvm"):
        return Written(str(module.llvm(symbol)), FEW)
    try:
        pairs = [(each.cell, each.kind) for each in restricted]
        code = translated(tree, module, symbol, pairs, llvm.get_process_triple())
        return Written(code, ALL if vars(module).get("VECTORS", True) else SCALAR)
    except Untranslated:
        return _by_numba(text, symbol, module, restricted)


def _by_numba(text: str, symbol: str, module: ModuleType, restricted: list[_Restricted]) -> Written:
    """What is more of Python than `translated` knows."""
    try:
        return _compiled(module.kernel, symbol, restricted)
    except NumbaError as error:
        raise CompileError(f"kernel {symbol} was refused by Numba: {error}\n{text}") from error


def _compiled(function: Any, symbol: str, restricted: list[_Restricted]) -> Written:
    """A Python function as LLVM code."""
    flags: Any = Flags()
    cpu_target.options.parse_as_flags(
        flags, {"nopython": True, "error_model": "numpy", "fastmath": {"contract"}}
    )
    flags.no_cpython_wrapper = flags.no_cfunc_wrapper = flags.no_compile = True
    # What these do for Python at large, kernels have no use for: a name keeps its type.
    flags.no_rewrites, flags.enable_ssa = True, False
    flags.noalias = bool(restricted)
    with global_compiler_lock:
        result = compile_extra(
            cpu_target.typing_context,
            cpu_target.target_context,
            function,
            args=(*_SIGNATURE.args, *(each.kind for each in restricted)),
            return_type=_SIGNATURE.return_type,
            flags=flags,
            locals={},
        )
        code = _named(result, symbol, restricted)
        if not unknown_functions(llvm.parse_assembly(code)):
            return Written(code)
        # What is to be linked to it Numba knows; it also optimises, and makes code we do not use.
        result.library.finalize()
        return Written(_named(result, symbol, restricted), NONE)


def _named(result: Any, symbol: str, restricted: list[_Restricted]) -> str:
    """The LLVM assembly of what Numba compiled, under our name: Numba's counts the functions
    compiled so far, ours is the same in every process."""
    code, name = result.library.get_llvm_str(), result.fndesc.llvm_func_name
    if not restricted:
        return str(code.replace(name, symbol))
    inside = f"{symbol}_inside"
    return str(code.replace(name, inside)) + _entry(symbol, inside, restricted)


def _entry(symbol: str, inside: str, restricted: list[_Restricted]) -> str:
    """The function that fetches restricted pointers from their cells and hands them on."""
    fixed = "ptr %result, ptr %exception, i64 %worker, i64 %workers, ptr %n, ptr %p"
    lines = [f'define i32 @"{symbol}"({fixed}) {{']
    for number, each in enumerate(restricted):
        lines.append(f"%cell{number} = getelementptr i64, ptr %p, i64 {each.cell}")
        lines.append(f"%pointer{number} = load ptr, ptr %cell{number}")
    pointers = "".join(f", ptr %pointer{number}" for number in range(len(restricted)))
    # Inlined, the pointers would no longer be arguments.
    lines.append(f'%status = call i32 @"{inside}"({fixed}{pointers}) noinline')
    return "\n".join(["", *lines, "ret i32 %status", "}", ""])
