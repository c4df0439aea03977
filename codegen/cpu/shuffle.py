"""Where a shuffle sends a row: `codegen.intrinsics.permuted` as LLVM instructions.

What hangs on count, seed and epoch alone stands in front of the walk, so that LLVM computes it once
for all rows.
"""

# Numba types its helpers only in part.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from codegen.intrinsics import FIRST, GOLDEN, ROUNDS, SECOND

_WORD = ir.IntType(64)


def _mixed(builder: Any, word: Any) -> Any:
    """`codegen.intrinsics.mix`."""
    for shift, factor in ((30, FIRST), (27, SECOND)):
        word = builder.mul(builder.xor(word, builder.lshr(word, _WORD(shift))), _WORD(factor))
    return builder.xor(word, builder.lshr(word, _WORD(31)))


def _stirred(builder: Any, word: Any) -> Any:
    """`codegen.intrinsics.stir`."""
    word = builder.mul(word, _WORD(FIRST))
    word = builder.mul(builder.xor(word, builder.lshr(word, _WORD(32))), _WORD(SECOND))
    return builder.lshr(word, _WORD(32))


def _keys(builder: Any, seed: Any, epoch: Any) -> list[Any]:
    """The word of each round."""
    start = _mixed(builder, builder.add(epoch, _WORD(GOLDEN)))
    key = _mixed(builder, builder.xor(seed, start))
    turns = (_WORD((turn * GOLDEN) & (2**64 - 1)) for turn in range(1, ROUNDS + 1))
    return [_mixed(builder, builder.add(key, turn)) for turn in turns]


def _widths(builder: Any, count: Any) -> tuple[Any, Any, Any]:
    """How many bits the low half has, and the masks of the low and the high half."""
    below = builder.sub(count, _WORD(1))
    declared = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(_WORD, [_WORD, ir.IntType(1)]), "llvm.ctlz.i64"
    )
    bits = builder.sub(_WORD(64), builder.call(declared, [below, ir.IntType(1)(0)]))
    low = builder.lshr(bits, _WORD(1))
    one = _WORD(1)
    high_mask = builder.sub(builder.shl(one, builder.sub(bits, low)), one)
    return low, builder.sub(builder.shl(one, low), one), high_mask


def walked(builder: Any, index: Any, count: Any, seed: Any, epoch: Any) -> Any:
    """The instructions of `codegen.intrinsics.permuted`, word for word."""
    tiny = builder.icmp_signed("<", count, _WORD(2))
    total = builder.select(tiny, _WORD(2), count)
    low_bits, low_mask, high_mask = _widths(builder, total)
    keys = _keys(builder, seed, epoch)
    start = builder.select(tiny, _WORD(0), index)
    before = builder.block
    walk = builder.append_basic_block("walk")
    inside = builder.append_basic_block("inside")
    builder.branch(walk)
    builder.position_at_end(walk)
    value = builder.phi(_WORD)
    value.add_incoming(start, before)
    high, low = builder.lshr(value, low_bits), builder.and_(value, low_mask)
    for turn, key in enumerate(keys):
        if turn % 2 == 0:
            stirred = _stirred(builder, builder.xor(key, low))
            high = builder.xor(high, builder.and_(stirred, high_mask))
        else:
            stirred = _stirred(builder, builder.xor(key, high))
            low = builder.xor(low, builder.and_(stirred, low_mask))
    moved = builder.or_(builder.shl(high, low_bits), low)
    value.add_incoming(moved, walk)
    done = builder.icmp_unsigned("<", moved, total)
    builder.cbranch(builder.or_(done, tiny), inside, walk)
    builder.position_at_end(inside)
    return builder.select(tiny, _WORD(0), moved)


@intrinsic
def permuted(typingctx: Any, index: Any, count: Any, seed: Any, epoch: Any) -> Any:
    """`codegen.intrinsics.permuted`, compiled."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return walked(builder, *args)

    return types.int64(types.int64, types.int64, types.int64, types.int64), code
