"""Pointers on the GPU: typed ones made of the addresses that a kernel is given, the arena that a
block's threads share, and four neighbouring elements at once."""

# Numba types its decorators only in part.
# mypy: disable-error-code="no-untyped-call, call-overload, call-arg, unreachable"

from __future__ import annotations

from typing import Any, Final

from llvmlite import ir
from numba.core import cgutils
from numba.cuda import types
from numba.cuda.extending import intrinsic

_WORDS = types.CPointer(types.int64)
_KINDS = {
    "float32": types.float32,
    "float64": types.float64,
    "int32": types.int32,
    "int64": types.int64,
    "bool": types.uint8,
}
_GLOBAL, _SHARED = 1, 3
_ARENA: Final = "arena"


def _reader(name: str) -> Any:
    """The intrinsic that makes a typed pointer of the address in cell `cell` of `p`."""
    kind = types.CPointer(_KINDS[name])

    @intrinsic
    def read(typingctx: Any, p: Any, cell: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            address = builder.load(builder.gep(args[0], [args[1]]))
            element = context.get_value_type(kind).pointee
            # Said to be in global memory, so that its loads are those of global memory.
            there = builder.inttoptr(address, ir.PointerType(element, _GLOBAL))
            return builder.addrspacecast(there, element.as_pointer())

        return kind(_WORDS, types.int64), code

    return read


float32_at, float64_at = _reader("float32"), _reader("float64")
int32_at, int64_at, bool_at = _reader("int32"), _reader("int64"), _reader("bool")

# On a processor these promise that no other pointer of the kernel reaches the memory.
float32_restrict, float64_restrict = float32_at, float64_at
int32_restrict, int64_restrict, bool_restrict = int32_at, int64_at, bool_at


def _arena(name: str) -> Any:
    """The intrinsic that gives a typed pointer to the start of the dynamic shared memory."""
    kind = types.CPointer(_KINDS[name])

    @intrinsic
    def shared(typingctx: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            element = context.get_value_type(kind).pointee
            whole = builder.module.globals.get(_ARENA)
            if whole is None:
                shape = ir.ArrayType(ir.IntType(8), 0)
                whole = cgutils.add_global_variable(builder.module, shape, _ARENA, _SHARED)
                whole.linkage, whole.align = "external", 16
            here = builder.bitcast(whole, ir.PointerType(element, _SHARED))
            return builder.addrspacecast(here, element.as_pointer())

        return kind(), code

    return shared


shared_float32, shared_float64 = _arena("float32"), _arena("float64")
shared_int32, shared_int64, shared_bool = _arena("int32"), _arena("int64"), _arena("bool")


@intrinsic
def offset(typingctx: Any, pointer: Any, count: Any) -> Any:
    """The pointer `count` elements further on."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.gep(args[0], [args[1]])

    return pointer(pointer, types.int64), code


def _vectors(builder: Any, pointer: Any, index: Any) -> list[Any]:
    """Pointers to the vectors of at most 16 bytes that hold the four elements."""
    element = pointer.type.pointee
    wide = isinstance(element, ir.DoubleType) or getattr(element, "width", 0) == 64
    count = 2 if wide else 4
    first = builder.gep(pointer, [index])
    start = builder.bitcast(first, ir.VectorType(element, count).as_pointer())
    return [builder.gep(start, [ir.IntType(32)(part)]) for part in range(4 // count)]


def _alignment(vector: Any) -> int:
    element = vector.type.pointee.element
    size = {ir.FloatType: 4, ir.DoubleType: 8}.get(type(element)) or element.width // 8
    return int(size * vector.type.pointee.count)


@intrinsic
def four(typingctx: Any, pointer: Any, index: Any) -> Any:
    """The elements index, ..., index + 3 by loads of up to 16 bytes. The index is a multiple of 4,
    and the pointer one of 16 bytes."""
    result = types.UniTuple(pointer.dtype, 4)

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        values = []
        for place in _vectors(builder, *args):
            vector = builder.load(place, align=_alignment(place))
            count = place.type.pointee.count
            values += [
                builder.extract_element(vector, ir.IntType(32)(lane)) for lane in range(count)
            ]
        return context.make_tuple(builder, result, values)

    return result(pointer, types.int64), code


@intrinsic
def put_four(
    typingctx: Any, pointer: Any, index: Any, first: Any, second: Any, third: Any, fourth: Any
) -> Any:
    """Stores four values as the elements index, ..., index + 3, with the promises of `four`."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer, index, *values = args
        for place in _vectors(builder, pointer, index):
            kind = place.type.pointee
            vector = ir.Constant(kind, ir.Undefined)
            for lane in range(kind.count):
                vector = builder.insert_element(vector, values.pop(0), ir.IntType(32)(lane))
            builder.store(vector, place, align=_alignment(place))
        return context.get_dummy_value()

    kind = pointer.dtype
    return types.void(pointer, types.int64, kind, kind, kind, kind), code


def _inside(builder: Any, index: Any, lane: int, begin: Any, end: Any) -> tuple[Any, Any]:
    """The index `lane` further on, and whether it lies between the two."""
    place = builder.add(index, index.type(lane))
    above = builder.icmp_signed(">=", place, begin)
    return place, builder.and_(above, builder.icmp_signed("<", place, end))


@intrinsic
def some(typingctx: Any, pointer: Any, index: Any, begin: Any, end: Any) -> Any:
    """As `four`, but of the elements from `begin` up to `end` only; the others are 0."""
    result = types.UniTuple(pointer.dtype, 4)

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer, index, begin, end = args
        values = []
        for lane in range(4):
            place, inside = _inside(builder, index, lane, begin, end)
            kind, before = pointer.type.pointee, builder.block
            with builder.if_then(inside):
                value, there = builder.load(builder.gep(pointer, [place])), builder.block
            values.append(builder.phi(kind))
            values[-1].add_incoming(value, there)
            values[-1].add_incoming(ir.Constant(kind, 0), before)
        return context.make_tuple(builder, result, values)

    return result(pointer, types.int64, types.int64, types.int64), code


@intrinsic
def put_some(
    typingctx: Any, pointer: Any, index: Any, begin: Any, end: Any,
    first: Any, second: Any, third: Any, fourth: Any,
) -> Any:  # fmt: skip
    """As `put_four`, but only the elements from `begin` up to `end`."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer, index, begin, end, *values = args
        for lane, value in enumerate(values):
            place, inside = _inside(builder, index, lane, begin, end)
            with builder.if_then(inside):
                builder.store(value, builder.gep(pointer, [place]))
        return context.get_dummy_value()

    kind = pointer.dtype
    places = (types.int64, types.int64, types.int64)
    return types.void(pointer, *places, kind, kind, kind, kind), code
