"""From a kernel's text to an object file, by Numba; only imported when something compiles."""

# Numba types its decorators only in part.
# mypy: disable-error-code="no-untyped-call, call-overload, call-arg, unreachable"

from __future__ import annotations

import ast
import importlib.util
import logging
from collections.abc import Iterator
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
from codegen.cpu.loader import SYMBOLS, target_machine
from codegen.cpu.translate import translated

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
    assembled = _assembled(text, symbol)
    unknown = _unknown(assembled)
    if unknown:
        raise CompileError(f"kernel {symbol} calls {', '.join(unknown)}, which may not be\n{text}")
    return bytes(target_machine().emit_object(assembled))


def list_text(text: str, symbol: str) -> Listing:
    """The same kernel, not to be run but to be read."""
    assembled = _assembled(text, symbol)
    return Listing(str(assembled), target_machine().emit_assembly(assembled))


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


def _assembled(text: str, symbol: str) -> Any:
    """The optimised LLVM module."""
    tree = ast.parse(text)
    restricted = _lift(tree)
    module = _module(tree, symbol)
    if hasattr(module, "llvm"):
        return _tidied(llvm.parse_assembly(module.llvm(symbol)))
    try:
        pairs = [(each.cell, each.kind) for each in restricted]
        code = translated(tree, module, symbol, pairs, llvm.get_process_triple())
        return _optimised(llvm.parse_assembly(code), vars(module).get("VECTORS", True))
    except Untranslated:
        return _by_numba(text, symbol, module, restricted)


def _by_numba(text: str, symbol: str, module: ModuleType, restricted: list[_Restricted]) -> Any:
    """The optimised LLVM module of what is more of Python than `translated` knows."""
    try:
        return _compiled(module.kernel, symbol, restricted)
    except NumbaError as error:
        raise CompileError(f"kernel {symbol} was refused by Numba: {error}\n{text}") from error


def _tidied(module: Any) -> Any:
    """What is written as LLVM code leaves little to do: a few passes, not a whole pipeline."""
    builder = llvm.create_pass_builder(target_machine(), llvm.create_pipeline_tuning_options())
    passes = llvm.create_new_function_pass_manager()
    passes.add_sroa_pass()
    passes.add_instruction_combine_pass()
    passes.add_simplify_cfg_pass()
    passes.add_new_gvn_pass()
    for function in module.functions:
        if not function.is_declaration:
            passes.run(function, builder)
    return module


def _optimised(module: Any, vectors: bool = True) -> Any:
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = vectors
    # Vectors are as many side by side as pay without it, and code of half the length compiles in
    # half the time.
    options.loop_unrolling = False
    passes = llvm.create_pass_builder(target_machine(), options)
    passes.getModulePassManager().run(module, passes)
    return module


def _unknown(module: Any) -> list[str]:
    """The functions that a module calls and a loaded object cannot be given."""
    return sorted(
        function.name
        for function in module.functions
        if function.is_declaration
        and not function.name.startswith("llvm.")
        and function.name not in SYMBOLS
    )


def _compiled(function: Any, symbol: str, restricted: list[_Restricted]) -> Any:
    """The optimised module of a Python function."""
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
        module = llvm.parse_assembly(_named(result, symbol, restricted))
        if not _unknown(module):
            return _optimised(module)
        # What is to be linked to it Numba knows; it also optimises, and makes code we do not use.
        result.library.finalize()
        return llvm.parse_assembly(_named(result, symbol, restricted))


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
