"""What the driver's kernels call: words by address, barriers, and the bits of ragged rules."""

# Numba types its decorators only in part.
# mypy: disable-error-code="no-untyped-call, call-overload, call-arg, unreachable, var-annotated"

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import cuda, int64
from numba.cuda import types
from numba.cuda.extending import intrinsic

from codegen.cpu import ragged
from codegen.cuda.image import THREADS

_WORDS = types.CPointer(types.int64)

separate_function = cuda.jit(device=True)
"""Makes a device function that stays a function: `codegen.cuda.compiler` sees to it by its name,
which is `separate_` and a number."""


@intrinsic
def words(typingctx: Any, address: Any) -> Any:
    """The pointer to the int64 words at an address."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], context.get_value_type(_WORDS))

    return _WORDS(types.int64), code


@intrinsic
def pointer_in(typingctx: Any, cells: Any, cell: Any) -> Any:
    """The pointer to the int64 words whose address is in that cell."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address = builder.load(builder.gep(args[0], [args[1]]))
        return builder.inttoptr(address, context.get_value_type(_WORDS))

    return _WORDS(_WORDS, types.int64), code


@intrinsic
def onward(typingctx: Any, pointer: Any, count: Any) -> Any:
    """The pointer so many words further on."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.gep(args[0], [args[1]])

    return _WORDS(_WORDS, types.int64), code


def _assembly(result: Any, text: str, constraints: str) -> Any:
    """The code of an intrinsic that is one PTX instruction with effects on memory."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word = ir.IntType(64)
        values = [
            builder.ptrtoint(arg, word) if isinstance(arg.type, ir.PointerType) else arg
            for arg in args
        ]
        kind = ir.FunctionType(result, [value.type for value in values])
        made = builder.asm(kind, text, constraints, values, True)
        return context.get_dummy_value() if isinstance(result, ir.VoidType) else made

    return code


@intrinsic
def arrive(typingctx: Any, counter: Any) -> Any:
    """Adds one to the counter; what this block wrote is seen by whoever sees that."""
    code = _assembly(ir.VoidType(), "red.release.gpu.global.add.u64 [$0], 1;", "l,~{memory}")
    return types.void(_WORDS), code


@intrinsic
def seen(typingctx: Any, counter: Any) -> Any:
    """The counter's value; what was written before it got that value is seen from here on."""
    text = "ld.acquire.gpu.global.u64 $0, [$1];"
    return types.int64(_WORDS), _assembly(ir.IntType(64), text, "=l,l,~{memory}")


@cuda.jit(device=True, forceinline=True)
def block_barrier() -> None:
    """All threads of the block wait here for one another."""
    cuda.syncthreads()


@cuda.jit(device=True, forceinline=True)
def grid_barrier(counter: Any, goal: Any) -> None:
    """All threads of all blocks wait here: the counter, to which every block adds one, reaches the
    goal. All blocks must be resident. (PTX ISA, "Memory Consistency Model": release, then acquire,
    by one thread of a block, and the block's barriers carry it to the others.)"""
    cuda.syncthreads()
    if cuda.threadIdx.x == 0:
        arrive(counter)
        while seen(counter) < goal:
            pass
    cuda.syncthreads()


@cuda.jit(device=True, forceinline=True)
def bring(into: Any, source: Any, count: Any) -> None:
    """The block's threads copy so many words; they see them after its next barrier."""
    place = int64(cuda.threadIdx.x)
    while place < count:
        into[place] = source[place]
        place += THREADS


last_values = cuda.jit(device=True, forceinline=True)(ragged.last_values)
