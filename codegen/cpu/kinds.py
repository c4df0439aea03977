"""Numbers, truth values and pointers as LLVM code, with the types and the rules that Numba has for
them: int64 with int32 is int64, an integer with a float is float64, a quotient rounds down."""

# Numba and llvmlite type themselves only in part.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba import types

TRUTH = ir.IntType(1)
_KINDS = {
    types.boolean: TRUTH,
    types.uint8: ir.IntType(8),
    types.int32: ir.IntType(32),
    types.uint32: ir.IntType(32),
    types.int64: ir.IntType(64),
    types.float32: ir.FloatType(),
    types.float64: ir.DoubleType(),
}
_NARROW = (types.boolean, types.uint8, types.int32)
_FLOATS = (types.float32, types.float64)


class Untranslated(Exception):
    """A text holds something that this is no translation for."""


@dataclass(frozen=True, slots=True)
class Value:
    """An LLVM value and its type as Numba calls it."""

    value: Any
    kind: Any


def llvm_kind(kind: Any) -> Any:
    """The LLVM type of a Numba type."""
    if isinstance(kind, types.CPointer):
        return llvm_kind(kind.dtype).as_pointer()
    if kind not in _KINDS:
        raise Untranslated(f"the type {kind}")
    return _KINDS[kind]


def constant(number: object) -> Value:
    """A number of Python's."""
    if isinstance(number, bool):
        return Value(TRUTH(int(number)), types.boolean)
    if isinstance(number, int) and -(1 << 63) <= number < 1 << 63:
        return Value(ir.IntType(64)(number), types.int64)
    if isinstance(number, float):
        return Value(ir.Constant(ir.DoubleType(), number), types.float64)
    raise Untranslated(f"the constant {number!r}")


def is_float(kind: Any) -> bool:
    return kind in _FLOATS


def converted(builder: Any, given: Value, kind: Any) -> Value:
    """The number as another type; a float becomes an integer by leaving out its fraction."""
    if given.kind == kind:
        return given
    target, value, before = llvm_kind(kind), given.value, given.kind
    if isinstance(kind, types.CPointer) or isinstance(before, types.CPointer):
        raise Untranslated(f"{before} as {kind}")
    unsigned = before in (types.boolean, types.uint8, types.uint32)
    if kind == types.boolean:
        return truth(builder, given)
    if is_float(kind) and is_float(before):
        made = (builder.fpext if kind == types.float64 else builder.fptrunc)(value, target)
    elif is_float(kind):
        made = (builder.uitofp if unsigned else builder.sitofp)(value, target)
    elif is_float(before):
        if kind not in (types.int32, types.int64):
            raise Untranslated(f"{before} as {kind}")
        made = builder.fptosi(value, target)
    elif target.width > value.type.width:
        made = (builder.zext if unsigned else builder.sext)(value, target)
    else:
        made = builder.trunc(value, target) if target != value.type else value
    return Value(made, kind)


def truth(builder: Any, given: Value) -> Value:
    """Whether the number is not 0."""
    if given.kind == types.boolean:
        return given
    if isinstance(given.kind, types.CPointer):
        raise Untranslated("the truth of a pointer")
    zero = given.value.type(0)
    compare = builder.fcmp_unordered if is_float(given.kind) else builder.icmp_signed
    return Value(compare("!=", given.value, zero), types.boolean)


def _common(a: Value, b: Value) -> Any:
    """The type in which two numbers meet."""
    if isinstance(a.kind, types.CPointer) or isinstance(b.kind, types.CPointer):
        raise Untranslated("arithmetic of pointers")
    if is_float(a.kind) or is_float(b.kind):
        if a.kind == b.kind == types.float32:
            return types.float32
        if types.boolean in (a.kind, b.kind) or types.uint8 in (a.kind, b.kind):
            raise Untranslated(f"{a.kind} with {b.kind}")
        return types.float64
    if a.kind == b.kind == types.uint8:
        raise Untranslated("the arithmetic of bytes")
    return types.int64


def _both(builder: Any, a: Value, b: Value, kind: Any) -> tuple[Any, Any]:
    return converted(builder, a, kind).value, converted(builder, b, kind).value


_FLOAT_NAMES = {operator.add: "fadd", operator.sub: "fsub", operator.mul: "fmul"}
_INT_NAMES = {operator.add: "add", operator.sub: "sub", operator.mul: "mul"}
_BIT_NAMES = {
    operator.and_: "and_",
    operator.or_: "or_",
    operator.xor: "xor",
    operator.lshift: "shl",
    operator.rshift: "ashr",
}


def binary(builder: Any, sign: Any, a: Value, b: Value) -> Value:
    """`sign`, a function of the module operator, of two numbers."""
    kind = _common(a, b)
    if sign is operator.truediv:
        kind = kind if is_float(kind) else types.float64
        return Value(builder.fdiv(*_both(builder, a, b, kind)), kind)
    if sign in _INT_NAMES:
        left, right = _both(builder, a, b, kind)
        if is_float(kind):
            return Value(getattr(builder, _FLOAT_NAMES[sign])(left, right), kind)
        # As Numba: a sum that overflows may be anything, so that indices can be reasoned about.
        return Value(getattr(builder, _INT_NAMES[sign])(left, right, flags=("nsw",)), kind)
    if is_float(kind):
        raise Untranslated(f"{sign.__name__} of floats")
    if sign in _BIT_NAMES:
        logical = a.kind == b.kind == types.boolean and sign in (operator.and_, operator.or_)
        kind = types.boolean if logical else kind
        return Value(getattr(builder, _BIT_NAMES[sign])(*_both(builder, a, b, kind)), kind)
    if sign in (operator.floordiv, operator.mod):
        quotient, rest = _floored(builder, *_both(builder, a, b, kind))
        return Value(quotient if sign is operator.floordiv else rest, kind)
    raise Untranslated(f"the operator {sign}")


def _floored(builder: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """Quotient and remainder, both 0 where the processor would trap."""
    zero, one, minus = b.type(0), b.type(1), b.type(-1)
    if isinstance(b, ir.Constant) and b.constant > 0:
        trapped, divisor = None, b
    else:
        least = a.type(-(1 << (a.type.width - 1)))
        over = builder.and_(
            builder.icmp_signed("==", a, least), builder.icmp_signed("==", b, minus)
        )
        trapped = builder.or_(over, builder.icmp_signed("==", b, zero))
        divisor = builder.select(trapped, one, b)
    quotient, rest = builder.sdiv(a, divisor), builder.srem(a, divisor)
    below = builder.icmp_signed("<", builder.xor(rest, divisor), zero)
    crossed = builder.and_(builder.icmp_signed("!=", rest, zero), below)
    quotient = builder.select(crossed, builder.add(quotient, minus), quotient)
    rest = builder.select(crossed, builder.add(rest, divisor), rest)
    if trapped is None:
        return quotient, rest
    return builder.select(trapped, zero, quotient), builder.select(trapped, zero, rest)


def negative(builder: Any, given: Value) -> Value:
    if is_float(given.kind):
        return Value(builder.fneg(given.value), given.kind)
    if given.kind not in (types.int32, types.int64):
        raise Untranslated(f"- of {given.kind}")
    # As Numba: the smallest int32 stays what it is, and is widened then.
    return converted(builder, Value(builder.neg(given.value), given.kind), types.int64)


def inverted(builder: Any, given: Value) -> Value:
    """~x of an integer."""
    if given.kind not in (types.int32, types.int64):
        raise Untranslated(f"~ of {given.kind}")
    wide = converted(builder, given, types.int64)
    return Value(builder.not_(wide.value), wide.kind)


def compared(builder: Any, relation: str, a: Value, b: Value) -> Value:
    """Whether the relation holds; every one but != is false of a NaN."""
    kind = types.int64 if a.kind in _NARROW and b.kind in _NARROW else _common(a, b)
    left, right = _both(builder, a, b, kind)
    if not is_float(kind):
        return Value(builder.icmp_signed(relation, left, right), types.boolean)
    compare = builder.fcmp_unordered if relation == "!=" else builder.fcmp_ordered
    return Value(compare(relation, left, right), types.boolean)


def extreme(builder: Any, relation: str, a: Value, b: Value) -> Value:
    """The one of two integers of which the relation to the other holds."""
    kind = _common(a, b)
    if is_float(kind) or types.boolean in (a.kind, b.kind):
        raise Untranslated(f"min or max of {a.kind} and {b.kind}")
    left, right = _both(builder, a, b, kind)
    return Value(builder.select(builder.icmp_signed(relation, left, right), left, right), kind)
