"""Copies from global to shared memory that go on while the thread does something else.

PTX ISA, "Asynchronous copy: cp.async". A copy is finished for the thread that began it after its
`copies_done`, and for the others after a barrier that follows.
"""

# Numba types its decorators only in part.
# mypy: disable-error-code="no-untyped-call, call-overload, call-arg, unreachable"

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.cuda import types
from numba.cuda.extending import intrinsic

_INT, _WORD, _NOTHING = ir.IntType(32), ir.IntType(64), ir.VoidType()
_GLOBAL, _SHARED = 1, 3


def assembly(builder: Any, result: Any, text: str, constraints: str, values: list[Any]) -> Any:
    """PTX that neither moves nor disappears; a loop that has it is not unrolled but where its count
    is a plain number."""
    kind = ir.FunctionType(result, [value.type for value in values])
    code = ir.InlineAsm(kind, text, constraints, side_effect=True)
    return builder.call(code, values, attrs=("convergent",))


def shared_address(builder: Any, pointer: Any) -> Any:
    """A pointer into shared memory as the 32-bit number that an instruction takes."""
    there = builder.addrspacecast(pointer, ir.PointerType(pointer.type.pointee, _SHARED))
    return builder.ptrtoint(there, _INT)


def global_address(builder: Any, pointer: Any) -> Any:
    """A pointer into global memory as the 64-bit number that an instruction takes."""
    there = builder.addrspacecast(pointer, ir.PointerType(pointer.type.pointee, _GLOBAL))
    return builder.ptrtoint(there, _WORD)


def _copy(count: int) -> Any:
    """The intrinsic that copies so many elements (16 bytes if 0) from a pointer into global memory
    to one into shared memory; both stand at a multiple of the bytes copied."""

    @intrinsic
    def copy(typingctx: Any, into: Any, source: Any) -> Any:
        size = 16 if count == 0 else count * into.dtype.bitwidth // 8
        # Sixteen bytes need not go through the first cache.
        cache = "cg" if size == 16 else "ca"

        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            values = [shared_address(builder, args[0]), global_address(builder, args[1])]
            text = f"cp.async.{cache}.shared.global [$0], [$1], {size};"
            assembly(builder, _NOTHING, text, "r,l,~{memory}", values)
            return context.get_dummy_value()

        return types.void(into, source), code

    return copy


copy_one, copy_vector = _copy(1), _copy(0)


@intrinsic
def clear_word(typingctx: Any, into: Any) -> Any:
    """Sets 32 bits of shared memory to zero."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        values = [shared_address(builder, args[0])]
        assembly(builder, _NOTHING, "st.shared.b32 [$0], 0;", "r,~{memory}", values)
        return context.get_dummy_value()

    return types.void(into), code


def _alone(text: str) -> Any:
    @intrinsic
    def instruction(typingctx: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            assembly(builder, _NOTHING, text, "~{memory}" if text else "", [])
            return context.get_dummy_value()

        return types.void(), code

    return instruction


copies_begun = _alone("cp.async.commit_group;")
"""Makes one group of all copies that this thread has begun so far."""
copies_done = _alone("cp.async.wait_group 0;")
"""Waits for all groups of copies of this thread."""


rolled = _alone("")
"""Keeps the loop that has it from being unrolled."""


@intrinsic
def twice(typingctx: Any) -> Any:
    """Two, which LLVM is not told, so that a loop over it stays one."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return assembly(builder, _WORD, "mov.b64 $0, 2;", "=l", [])

    return types.int64(), code


@intrinsic
def misaligned(typingctx: Any, pointer: Any) -> Any:
    """The pointer's distance, in bytes, from the multiple of 16 before it."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.and_(builder.ptrtoint(args[0], _WORD), _WORD(15))

    return types.int64(pointer), code
