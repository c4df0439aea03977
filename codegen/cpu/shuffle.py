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


class _Network:
    """A Feistel network on the smallest power of two that holds `count`; `tiny` if that is below 2,
    which every index is sent to 0 by."""

    def __init__(self, builder: Any, count: Any, seed: Any, epoch: Any) -> None:
        self.builder = builder
        self.tiny = builder.icmp_signed("<", count, _WORD(2))
        self.total = builder.select(self.tiny, _WORD(2), count)
        self._low_bits, self._low_mask, self._high_mask = _widths(builder, self.total)
        self._keys = _keys(builder, seed, epoch)

    def moved(self, value: Any) -> Any:
        """Where the network sends a value; that may lie outside of what is counted."""
        builder = self.builder
        high, low = builder.lshr(value, self._low_bits), builder.and_(value, self._low_mask)
        for turn, key in enumerate(self._keys):
            if turn % 2 == 0:
                stirred = _stirred(builder, builder.xor(key, low))
                high = builder.xor(high, builder.and_(stirred, self._high_mask))
            else:
                stirred = _stirred(builder, builder.xor(key, high))
                low = builder.xor(low, builder.and_(stirred, self._low_mask))
        return builder.or_(builder.shl(high, self._low_bits), low)

    def walked(self, value: Any) -> Any:
        """The value, moved on until it lies inside; 0 if there is nothing to choose from."""
        builder = self.builder
        before = builder.block
        walk = builder.append_basic_block("walk")
        further = builder.append_basic_block("further")
        inside = builder.append_basic_block("inside")
        builder.branch(walk)
        builder.position_at_end(walk)
        here = builder.phi(_WORD)
        here.add_incoming(value, before)
        done = builder.icmp_unsigned("<", here, self.total)
        builder.cbranch(builder.or_(done, self.tiny), inside, further)
        builder.position_at_end(further)
        here.add_incoming(self.moved(here), builder.block)
        builder.branch(walk)
        builder.position_at_end(inside)
        return builder.select(self.tiny, _WORD(0), here)


def walked(builder: Any, index: Any, count: Any, seed: Any, epoch: Any) -> Any:
    """The instructions of `codegen.intrinsics.permuted`, word for word."""
    network = _Network(builder, count, seed, epoch)
    return network.walked(network.moved(index))


_KIND = types.int64(types.int64, types.int64, types.int64, types.int64)


@intrinsic
def permuted(typingctx: Any, index: Any, count: Any, seed: Any, epoch: Any) -> Any:
    """`codegen.intrinsics.permuted`, compiled."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return walked(builder, *args)

    return _KIND, code


@intrinsic
def permuted_once(typingctx: Any, index: Any, count: Any, seed: Any, epoch: Any) -> Any:
    """The first step of the walk, without a branch: a loop over it becomes vectors."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        index, *others = args
        return _Network(builder, *others).moved(index)

    return _KIND, code


@intrinsic
def permuted_further(typingctx: Any, value: Any, count: Any, seed: Any, epoch: Any) -> Any:
    """The rest of the walk from where its first step led."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value, *others = args
        return _Network(builder, *others).walked(value)

    return _KIND, code
