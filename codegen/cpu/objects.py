"""From LLVM code to object files, several at once.

Nearly all of what compiling costs is LLVM's. llvmlite lets one thread at a time into it, since all
modules share a context by default. Here each has a context and a target machine of its own, between
which LLVM shares nothing ("LLVM Programmer's Manual", section on threading), so the two functions
that take the time are called beside that lock. The objects are the same to the byte.
"""

# llvmlite has no types.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import ctypes
import functools
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from heapq import heappop, heappush
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
from llvmlite.utils import get_library_name

from codegen.cpu.errors import CompileError
from codegen.cpu.loader import SYMBOLS, initialise, new_target_machine

MOST = 4
"""The most threads: a program has a dozen kernels, and one or two take half of the time."""
ALL, SCALAR, FEW, NONE = "all", "all but vectors", "few", "none"


@dataclass(frozen=True, slots=True)
class Written:
    """A kernel as LLVM code, and which of LLVM's passes it needs: all; all but those that make
    vectors of loops; few, since it is written as LLVM code with care; none, since it has had
    them."""

    code: str
    passes: str = ALL


@contextmanager
def optimised(written: Written, machine: Any) -> Iterator[Any]:
    """The module after its passes, in a context of its own, to be used inside the `with` alone."""
    # Both are closed here, in this order: the collector of cycles, which may get hold of them after
    # an exception, knows no order, and a module outlives its context only to end the process.
    with (
        llvm.create_context() as context,
        llvm.parse_assembly(written.code, context) as module,
    ):
        if written.passes == FEW:
            _few_passes(module, machine)
        elif written.passes != NONE:
            _all_passes(module, machine, written.passes == ALL)
        yield module


def object_of(written: Written, symbol: str) -> bytes:
    """The object file. CompileError if it would need a function that a loaded object cannot be
    given. May run in several threads at once."""
    machine = new_target_machine()
    with optimised(written, machine) as module:
        unknown = unknown_functions(module)
        if unknown:
            raise CompileError(f"kernel {symbol} calls {', '.join(unknown)}, which may not be")
        return _emitted(module, machine)


def unknown_functions(module: Any) -> list[str]:
    """The functions that a module calls and a loaded object cannot be given."""
    return sorted(
        function.name
        for function in module.functions
        if function.is_declaration
        and not function.name.startswith("llvm.")
        and function.name not in SYMBOLS
    )


class Objects:
    """Makes object files in threads, while its caller goes on writing code; of what waits the
    longest first. To be used once, in a `with`, which leaves when all are done; or, after an
    exception, when those begun are."""

    def __init__(self, threads: int) -> None:
        # Once, before several threads find that it has not been done.
        initialise()
        self._pool = ThreadPoolExecutor(min(threads, MOST)) if threads > 1 else None
        self._lock = threading.Lock()
        self._waiting: list[tuple[int, int, Written, str, Future[bytes]]] = []
        self._count = 0

    def __enter__(self) -> Objects:
        return self

    def __exit__(self, kind: object, *about: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=kind is not None)

    def make(self, written: Written, symbol: str) -> Future[bytes]:
        """The object file to be."""
        made: Future[bytes] = Future()
        with self._lock:
            self._count += 1
            heappush(self._waiting, (-len(written.code), self._count, written, symbol, made))
        if self._pool is not None:
            self._pool.submit(self._next)
        else:
            self._next()
        return made

    def _next(self) -> None:
        with self._lock:
            _, _, written, symbol, made = heappop(self._waiting)
        try:
            made.set_result(object_of(written, symbol))
        except BaseException as error:
            made.set_exception(error)


def _all_passes(module: Any, machine: Any, vectors: bool) -> None:
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = vectors
    # Vectors are as many side by side as pay without it, and code of half the length compiles in
    # half the time.
    options.loop_unrolling = False
    builder = llvm.create_pass_builder(machine, options)
    _library().LLVMPY_RunNewModulePassManager(builder.getModulePassManager(), module, builder)


def _few_passes(module: Any, machine: Any) -> None:
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options())
    passes = llvm.create_new_function_pass_manager()
    passes.add_sroa_pass()
    passes.add_instruction_combine_pass()
    passes.add_simplify_cfg_pass()
    passes.add_new_gvn_pass()
    for function in module.functions:
        if not function.is_declaration:
            _library().LLVMPY_RunNewFunctionPassManager(passes, function, builder)


def _emitted(module: Any, machine: Any) -> bytes:
    library, failure = _library(), ctypes.c_char_p()
    made = library.LLVMPY_TargetMachineEmitToMemory(machine, module, 1, ctypes.byref(failure))
    if not made:
        told = (failure.value or b"").decode(errors="replace")
        raise CompileError(f"LLVM makes no object of {module.name}: {told}")
    try:
        size = library.LLVMPY_GetBufferSize(made)
        return ctypes.string_at(library.LLVMPY_GetBufferStart(made), size)
    finally:
        library.LLVMPY_DisposeMemoryBuffer(made)


@functools.cache
def _library() -> ctypes.CDLL:
    """llvmlite's own library, which is loaded already, without the lock that it puts around each
    function. A call through it holds no lock of Python either."""
    library = ctypes.CDLL(str(Path(llvm.__file__).with_name(get_library_name())))
    library.LLVMPY_RunNewModulePassManager.restype = None
    library.LLVMPY_RunNewFunctionPassManager.restype = None
    library.LLVMPY_TargetMachineEmitToMemory.restype = ctypes.c_void_p
    library.LLVMPY_GetBufferStart.argtypes = [ctypes.c_void_p]
    library.LLVMPY_GetBufferStart.restype = ctypes.c_void_p
    library.LLVMPY_GetBufferSize.argtypes = [ctypes.c_void_p]
    library.LLVMPY_GetBufferSize.restype = ctypes.c_size_t
    library.LLVMPY_DisposeMemoryBuffer.argtypes = [ctypes.c_void_p]
    library.LLVMPY_DisposeMemoryBuffer.restype = None
    return library
