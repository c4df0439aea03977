"""What the threads of a block do together: wait for one another, and hand values around.

A half-warp is 16 neighbouring threads of a warp. Its two halves may be in different places of a
kernel, so every instruction names only the threads of its own half (PTX ISA, "shfl.sync" and
"bar.warp.sync": the threads that the mask names execute the same instruction with the same mask).
"""

# Numba types its decorators only in part.
# mypy: disable-error-code="no-untyped-call, call-overload, call-arg, unreachable"

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils
from numba.cuda import types
from numba.cuda.extending import intrinsic

_INT, _WORD, _BIT = ir.IntType(32), ir.IntType(64), ir.IntType(1)
# Lanes reach the lanes of their own sixteen: clamp 31 under the segment mask 16 (PTX ISA, "shfl").
_SIXTEEN = _INT(0x101F)


def _called(builder: Any, name: str, result: Any, args: list[Any]) -> Any:
    kind = ir.FunctionType(result, [arg.type for arg in args])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args)


def _thread(builder: Any) -> Any:
    return _called(builder, "llvm.nvvm.read.ptx.sreg.tid.x", _INT, [])


def _half(builder: Any) -> Any:
    """The mask of the threads of this one's half-warp."""
    return builder.shl(_INT(0xFFFF), builder.and_(_thread(builder), _INT(16)))


@intrinsic
def thread(typingctx: Any) -> Any:
    """The number of the thread in its block."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.zext(_thread(builder), _WORD)

    return types.int64(), code


@intrinsic
def block_barrier(typingctx: Any) -> Any:
    """All threads of the block wait here for one another, and see what the others wrote."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _called(builder, "llvm.nvvm.barrier0", ir.VoidType(), [])
        return context.get_dummy_value()

    return types.void(), code


@intrinsic
def half_barrier(typingctx: Any) -> Any:
    """The same for the threads of a half-warp."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _called(builder, "llvm.nvvm.bar.warp.sync", ir.VoidType(), [_half(builder)])
        return context.get_dummy_value()

    return types.void(), code


def _as_words(builder: Any, value: Any) -> list[Any]:
    """The value's bits, 32 at a time."""
    kind = value.type
    if isinstance(kind, ir.IntType) and kind.width < 32:
        return [builder.zext(value, _INT)]
    if isinstance(kind, ir.FloatType) or getattr(kind, "width", 0) == 32:
        return [builder.bitcast(value, _INT)]
    whole = builder.bitcast(value, _WORD)
    return [builder.trunc(whole, _INT), builder.trunc(builder.lshr(whole, _WORD(32)), _INT)]


def _from_words(builder: Any, words: list[Any], kind: Any) -> Any:
    if isinstance(kind, ir.IntType) and kind.width < 32:
        return builder.trunc(words[0], kind)
    if len(words) == 1:
        return builder.bitcast(words[0], kind)
    low, high = (builder.zext(word, _WORD) for word in words)
    return builder.bitcast(builder.or_(low, builder.shl(high, _WORD(32))), kind)


def _shuffle(mode: str) -> Any:
    @intrinsic
    def shuffled(typingctx: Any, value: Any, place: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            value, place = args
            mask, lane = _half(builder), builder.trunc(place, _INT)
            words = [
                _called(builder, f"llvm.nvvm.shfl.sync.{mode}.i32", _INT,
                        [mask, word, lane, _SIXTEEN])
                for word in _as_words(builder, value)
            ]  # fmt: skip
            return _from_words(builder, words, value.type)

        return value(value, types.int64), code

    return shuffled


from_across = _shuffle("bfly")
"""The value of the lane of this half-warp whose number is this one's exclusive-or `place`."""
from_lane = _shuffle("idx")
"""The value of lane `place` of this half-warp."""


@intrinsic
def over(typingctx: Any, a: Any, b: Any) -> Any:
    """a // b of numbers from 0 to 2**32 - 1, b not 0, by the division of 32 bits."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        a, b = (builder.trunc(arg, _INT) for arg in args)
        return builder.zext(builder.udiv(a, b), _WORD)

    return types.int64(types.int64, types.int64), code


@intrinsic
def share(typingctx: Any, worker: Any, workers: Any, extent: Any, tile: Any) -> Any:
    """Where the worker's iterations begin, and those of the worker before it end, as
    `codegen.cpu.operations.share` says; for up to 2**16 workers and an extent below 2**31."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        worker, workers, extent, tile = (builder.trunc(arg, _INT) for arg in args)
        tiles = builder.udiv(builder.add(extent, builder.sub(tile, _INT(1))), tile)
        # worker * tiles // workers without a product or a quotient of 64 bits.
        each = builder.udiv(tiles, workers)
        rest = builder.sub(tiles, builder.mul(each, workers))
        more = builder.udiv(builder.mul(worker, rest), workers)
        first = builder.mul(builder.add(builder.mul(worker, each), more), tile)
        held = builder.select(builder.icmp_unsigned("<", first, extent), first, extent)
        return builder.zext(held, _WORD)

    return types.int64(*[types.int64] * 4), code


@intrinsic
def on(typingctx: Any, a: Any, b: Any) -> Any:
    """a + b of numbers whose sum is below 2**32: said to be so, products and places made of it take
    fewer instructions."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        a, b = (builder.trunc(arg, _INT) for arg in args)
        return builder.zext(builder.add(a, b), _WORD)

    return types.int64(types.int64, types.int64), code


@intrinsic
def small(typingctx: Any, number: Any) -> Any:
    """The number, said to be from 0 to 2**32 - 1."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.zext(builder.trunc(args[0], _INT), _WORD)

    return types.int64(types.int64), code
