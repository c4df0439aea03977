"""What the driver and the contraction kernel call: code by its address, and the other workers."""

# Numba types its decorators only in part.
# mypy: disable-error-code="no-untyped-call, call-overload, call-arg, unreachable"

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

_WORDS = types.CPointer(types.int64)
_SPINS_BEFORE_YIELD = 200  # 2000 made two trainings on two cores 7 to 14 times slower each

sched_yield = types.ExternalFunction("sched_yield", types.int32())
nap = types.ExternalFunction("usleep", types.int32(types.uint32))
clock_gettime = types.ExternalFunction("clock_gettime", types.int32(types.int32, _WORDS))
pthread_join = types.ExternalFunction("pthread_join", types.int32(types.intp, types.intp))


@intrinsic
def call_kernel(
    typingctx: Any, address: Any, worker: Any, workers: Any, n: Any, p: Any
) -> Any:  # fmt: skip
    """Runs the kernel at the address. A kernel cannot raise, so its status is not looked at."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        byte = ir.IntType(8).as_pointer()
        nothing = cgutils.alloca_once(builder, byte)
        kind = ir.FunctionType(
            ir.IntType(32), [nothing.type, nothing.type, *(value.type for value in args[1:])]
        )
        target = builder.inttoptr(args[0], kind.as_pointer())
        builder.call(target, [nothing, nothing, *args[1:]])
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp, _WORDS, _WORDS), code


@intrinsic
def start_thread(
    typingctx: Any, line: Any, address: Any, worker: Any, n: Any, p: Any
) -> Any:  # fmt: skip
    """Runs the kernel at the address in a thread of the system's. Five words of `line`, the first
    of which names the thread, are its own until it has been joined. 0 if it could be started."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(64)
        line, address, worker, n, p = args
        values = (address, worker, builder.ptrtoint(n, word), builder.ptrtoint(p, word))
        for place, value in enumerate(values, 1):
            builder.store(value, builder.gep(line, [word(place)]))
        entry = _thread_entry(builder.module)
        kind = ir.FunctionType(ir.IntType(32), [line.type, byte, entry.type, line.type])
        create = cgutils.get_or_insert_function(builder.module, kind, "pthread_create")
        return builder.call(create, [line, byte(None), entry, line])

    return types.int32(_WORDS, types.intp, types.intp, _WORDS, _WORDS), code


def _thread_entry(module: Any) -> Any:
    """The function of a new thread: it calls what the line, its operand, says."""
    byte, word = ir.IntType(8).as_pointer(), ir.IntType(64)
    kind = ir.FunctionType(byte, [word.as_pointer()])
    function = ir.Function(module, kind, module.get_unique_name("thread_entry"))
    function.linkage = "internal"
    builder = ir.IRBuilder(function.append_basic_block())
    words = [builder.load(builder.gep(function.args[0], [word(place)])) for place in range(1, 5)]
    nothing = builder.alloca(byte)
    kernel = ir.FunctionType(ir.IntType(32), [nothing.type, nothing.type, *[word] * 4])
    target = builder.inttoptr(words[0], kernel.as_pointer())
    builder.call(target, [nothing, nothing, words[1], word(1), *words[2:]])
    builder.ret(byte(None))
    return function


@intrinsic
def atomic_add(typingctx: Any, words: Any, index: Any, value: Any) -> Any:
    """Adds to words[index] for all workers to see; gives what stood there before."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.atomic_rmw("add", builder.gep(args[0], [args[1]]), args[2], "acq_rel")

    return types.int64(_WORDS, types.intp, types.int64), code


@intrinsic
def atomic_load(typingctx: Any, words: Any, index: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load_atomic(builder.gep(args[0], [args[1]]), "acquire", 8)

    return types.int64(_WORDS, types.intp), code


@intrinsic
def atomic_store(typingctx: Any, words: Any, index: Any, value: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store_atomic(args[2], builder.gep(args[0], [args[1]]), "release", 8)
        return context.get_dummy_value()

    return types.void(_WORDS, types.intp, types.int64), code


@intrinsic
def atomic_swap(typingctx: Any, words: Any, index: Any, expected: Any, value: Any) -> Any:
    """Puts the value into words[index] if the expected one stands there; says whether it did."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = builder.gep(args[0], [args[1]])
        pair = builder.cmpxchg(place, args[2], args[3], "acq_rel", "acquire")
        return builder.extract_value(pair, 1)

    return types.boolean(_WORDS, types.intp, types.int64, types.int64), code


def _is_intel(builder: Any) -> bool:
    return str(builder.module.triple).startswith(("x86_64", "i686"))


@intrinsic
def float_control(typingctx: Any) -> Any:
    """How this thread rounds and flushes (x86's MXCSR); 0 where that is not known."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word = ir.IntType(32)
        cell = cgutils.alloca_once_value(builder, word(0))
        if _is_intel(builder):
            kind = ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer()])
            name = "llvm.x86.sse.stmxcsr"
            function = cgutils.get_or_insert_function(builder.module, kind, name)
            builder.call(function, [builder.bitcast(cell, ir.IntType(8).as_pointer())])
        return builder.zext(builder.load(cell), ir.IntType(64))

    return types.int64(), code


@intrinsic
def set_float_control(typingctx: Any, control: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if _is_intel(builder):
            cell = cgutils.alloca_once_value(builder, builder.trunc(args[0], ir.IntType(32)))
            builder.store(builder.trunc(args[0], ir.IntType(32)), cell)
            kind = ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer()])
            name = "llvm.x86.sse.ldmxcsr"
            function = cgutils.get_or_insert_function(builder.module, kind, name)
            builder.call(function, [builder.bitcast(cell, ir.IntType(8).as_pointer())])
        return context.get_dummy_value()

    return types.void(types.int64), code


@intrinsic
def pause(typingctx: Any) -> Any:
    """Tells the core that this is a spin loop; nothing where no such hint is known."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        triple = str(builder.module.triple)
        kind = ir.FunctionType(ir.VoidType(), [])
        if _is_intel(builder):
            name = "llvm.x86.sse2.pause"
            builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [])
        elif triple.startswith(("aarch64", "arm64")):
            builder.asm(kind, "yield", "", [], True)
        return context.get_dummy_value()

    return types.void(), code


@njit(error_model="numpy", nogil=True, inline="always")
def meet(control: Any, arrivals: Any, abort: Any, workers: Any, phase: Any) -> Any:
    """Waits until every worker has come to meeting number `phase` (0, 1, ...).

    `control[arrivals]` only grows. False if `control[abort]` was set while waiting.
    """
    target = (phase + 1) * workers
    atomic_add(control, arrivals, np.int64(1))
    spins = 0
    while atomic_load(control, arrivals) < target:
        if atomic_load(control, abort) != 0:
            return False
        spins += 1
        if spins < _SPINS_BEFORE_YIELD:
            pause()
        else:
            sched_yield()
    return True
