"""What kernel texts call: pointers, and the intrinsics that plain Numba would raise or widen in.

Each is a few lines of LLVM IR, so that using one costs no compilation of its own, cannot raise and
keeps float32 as float32. The elementary functions are arithmetic of our own, which vectorises
(`vector_math` and its neighbours): a kernel calls nothing in libm.
"""

# Numba types its decorators only in part.
# mypy: disable-error-code="no-untyped-call, call-overload, call-arg, unreachable"

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from codegen.cpu import (
    vector_angle,
    vector_erf,
    vector_hyperbolic,
    vector_math,
    vector_power,
    vector_trig,
)
from codegen.cpu.lanes import Real
from codegen.cpu.shuffle import permuted as permuted

_POINTERS = {
    "float32": types.CPointer(types.float32),
    "float64": types.CPointer(types.float64),
    "int32": types.CPointer(types.int32),
    "int64": types.CPointer(types.int64),
    "uint8": types.CPointer(types.uint8),
}
_INTP = types.CPointer(types.intp)
_SIZES = (64, 64 * 16, 64 * 41)


def _reader(kind: Any) -> Any:
    """The intrinsic that makes a typed pointer of the address in cell `cell` of `p`."""

    @intrinsic
    def read(typingctx: Any, p: Any, cell: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            # Loaded as a pointer: LLVM takes one made of an integer for the address of anything.
            cells = context.get_value_type(kind).as_pointer()
            return builder.load(builder.bitcast(builder.gep(args[0], [args[1]]), cells))

        return kind(_INTP, types.intp), code

    return read


float32_at = _reader(_POINTERS["float32"])
float64_at = _reader(_POINTERS["float64"])
int32_at = _reader(_POINTERS["int32"])
int64_at = _reader(_POINTERS["int64"])
bool_at = _reader(_POINTERS["uint8"])

# The same for memory that the kernel reaches through no other pointer (C's `restrict`), which lets
# LLVM hoist loads and vectorise loops without comparing addresses.
float32_restrict, float64_restrict = float32_at, float64_at
int32_restrict, int64_restrict, bool_restrict = int32_at, int64_at, bool_at


def _cells(name: str, size: int) -> Any:
    """The intrinsic that gives so many cells on the stack, the same ones each time it is reached.
    They begin a cache line, so that no vector crosses two."""
    kind = _POINTERS[name]

    @intrinsic
    def stack(typingctx: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            cell = context.get_value_type(kind).pointee
            made = cgutils.alloca_once(builder, cell, size=size)
            made.align = 64
            return made

        return kind(), code

    return stack


# As many cells as a number has bits; then for 64 iterations at once: their strands, and the
# subtrees of 2**40 runs.
float32_stack, float32_strands, float32_tower = (_cells("float32", k) for k in _SIZES)
float64_stack, float64_strands, float64_tower = (_cells("float64", k) for k in _SIZES)
int32_stack, int32_strands, int32_tower = (_cells("int32", k) for k in _SIZES)
int64_stack, int64_strands, int64_tower = (_cells("int64", k) for k in _SIZES)
bool_stack, bool_strands, bool_tower = (_cells("uint8", k) for k in _SIZES)


@intrinsic
def offset(typingctx: Any, pointer: Any, count: Any) -> Any:
    """The pointer `count` elements further on."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.gep(args[0], [args[1]])

    return pointer(pointer, types.intp), code


@intrinsic
def share(typingctx: Any, worker: Any, workers: Any, extent: Any, tile: Any) -> Any:
    """Where the worker's iterations begin, and those of the worker before it end: whole tiles, as
    evenly as it goes."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        worker, workers, extent, tile = args
        one = extent.type(1)
        # No number is negative and no divisor is 0, which spares the checks of a floored quotient.
        tiles = builder.udiv(builder.add(extent, builder.sub(tile, one)), tile)
        first = builder.mul(builder.udiv(builder.mul(worker, tiles), workers), tile)
        return builder.select(builder.icmp_signed("<", first, extent), first, extent)

    return types.intp(*[types.intp] * 4), code


def _function(builder: Any, name: str, result: Any, arguments: Any) -> Any:
    """The declaration of one of LLVM's own functions."""
    return cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, arguments), name)


def _typed(name: str, kind: Any) -> str:
    """An LLVM intrinsic's name with the suffix of its operand, such as llvm.floor.f32."""
    if isinstance(kind, ir.IntType):
        return f"llvm.{name}.i{kind.width}"
    return f"llvm.{name}.{'f32' if isinstance(kind, ir.FloatType) else 'f64'}"


def _unary(build: Callable[[Any, Any], Any]) -> Any:
    """The intrinsic whose result has its argument's type and is what `build` appends."""

    @intrinsic
    def apply(typingctx: Any, x: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return build(builder, args[0])

        return x(x), code

    return apply


def _binary(build: Callable[[Any, Any, Any], Any]) -> Any:
    @intrinsic
    def apply(typingctx: Any, a: Any, b: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return build(builder, args[0], args[1])

        return a(a, b), code

    return apply


def _lanes(function: Callable[[Real], Real]) -> Any:
    return _unary(lambda builder, x: function(Real(builder, x)).value)


def _lanes_of_two(function: Callable[[Real, Real], Real]) -> Any:
    return _binary(lambda builder, a, b: function(Real(builder, a), Real(builder, b)).value)


exp, expm1 = _lanes(vector_math.exp), _lanes(vector_math.expm1)
log, log1p = _lanes(vector_math.log), _lanes(vector_math.log1p)
tanh, sigmoid = _lanes(vector_math.tanh), _lanes(vector_math.sigmoid)
softplus = _lanes(vector_math.softplus)
sin, cos, tan = _lanes(vector_trig.sin), _lanes(vector_trig.cos), _lanes(vector_trig.tan)
asin, acos = _lanes(vector_angle.asin), _lanes(vector_angle.acos)
atan, atan2 = _lanes(vector_angle.atan), _lanes_of_two(vector_angle.atan2)
sinh, cosh = _lanes(vector_hyperbolic.sinh), _lanes(vector_hyperbolic.cosh)
asinh, acosh = _lanes(vector_hyperbolic.asinh), _lanes(vector_hyperbolic.acosh)
atanh = _lanes(vector_hyperbolic.atanh)
erf, erfc = _lanes(vector_erf.erf), _lanes(vector_erf.erfc)
power_float = _lanes_of_two(vector_power.power)


def _llvm(builder: Any, name: str, x: Any) -> Any:
    return builder.call(_function(builder, _typed(name, x.type), x.type, [x.type]), [x])


def _is_float(x: Any) -> bool:
    return not isinstance(x.type, ir.IntType)


def _absolute(builder: Any, x: Any) -> Any:
    if _is_float(x):
        return _llvm(builder, "fabs", x)
    zero = x.type(0)
    return builder.select(builder.icmp_signed("<", x, zero), builder.sub(zero, x), x)


def _sign(builder: Any, x: Any) -> Any:
    zero, one, minus = x.type(0), x.type(1), x.type(-1)
    if not _is_float(x):
        below = builder.select(builder.icmp_signed("<", x, zero), minus, zero)
        return builder.select(builder.icmp_signed(">", x, zero), one, below)
    below = builder.select(builder.fcmp_ordered("<", x, zero), minus, zero)
    value = builder.select(builder.fcmp_ordered(">", x, zero), one, below)
    return builder.select(builder.fcmp_unordered("uno", x, x), x, value)


def _extreme(relation: str) -> Callable[[Any, Any, Any], Any]:
    def build(builder: Any, a: Any, b: Any) -> Any:
        if not _is_float(a):
            if a.type.width == 1:
                return builder.or_(a, b) if relation == ">=" else builder.and_(a, b)
            return builder.select(builder.icmp_signed(relation, a, b), a, b)
        first = builder.fcmp_ordered(relation, a, b)
        first = builder.or_(first, builder.fcmp_unordered("uno", a, a))
        return builder.select(first, a, b)

    return build


absolute, sign = _unary(_absolute), _unary(_sign)
maximum, minimum = _binary(_extreme(">=")), _binary(_extreme("<="))
floor = _unary(lambda builder, x: _llvm(builder, "floor", x) if _is_float(x) else x)
square_root = _unary(lambda builder, x: _llvm(builder, "sqrt", x))


def _multiply(builder: Any, a: Any, b: Any) -> Any:
    return builder.fmul(a, b) if _is_float(a) else builder.mul(a, b)


def _products(exponent: int) -> Callable[[Any, Any], Any]:
    def build(builder: Any, x: Any) -> Any:
        square = _multiply(builder, x, x)
        return _multiply(builder, square, x if exponent == 3 else square)

    return build


power_2 = _unary(lambda builder, x: _multiply(builder, x, x))
power_3, power_4 = _unary(_products(3)), _unary(_products(4))


def _quotient(builder: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """Floored quotient and remainder. The processor traps on a divisor of 0, and of -1 under the
    smallest integer: 1 divides instead, and the results are put right afterwards."""
    zero, minus = b.type(0), b.type(-1)
    none, negated = builder.icmp_signed("==", b, zero), builder.icmp_signed("==", b, minus)
    divisor = builder.select(builder.or_(none, negated), b.type(1), b)
    quotient, rest = builder.sdiv(a, divisor), builder.srem(a, divisor)
    crossed = builder.and_(
        builder.icmp_signed("!=", rest, zero),
        builder.icmp_signed("<", builder.xor(rest, divisor), zero),
    )
    quotient = builder.select(crossed, builder.add(quotient, minus), quotient)
    rest = builder.select(crossed, builder.add(rest, divisor), rest)
    quotient = builder.select(negated, builder.sub(zero, a), quotient)
    return builder.select(none, zero, quotient), builder.select(none, zero, rest)


floor_divide = _binary(lambda builder, a, b: _quotient(builder, a, b)[0])
remainder = _binary(lambda builder, a, b: _quotient(builder, a, b)[1])


@intrinsic
def isfinite(typingctx: Any, x: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = args[0].type
        return builder.fcmp_ordered(
            "<", _llvm(builder, "fabs", args[0]), ir.Constant(kind, float("inf"))
        )

    return types.boolean(x), code


def _saturating(result: Any) -> Any:
    """The intrinsic from a float to an integer: held at the ends of the range, NaN to 0."""

    @intrinsic
    def convert(typingctx: Any, x: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            target, kind = context.get_value_type(result), args[0].type
            suffix = "f32" if isinstance(kind, ir.FloatType) else "f64"
            name = f"llvm.fptosi.sat.i{target.width}.{suffix}"
            return builder.call(_function(builder, name, target, [kind]), [args[0]])

        return result(x), code

    return convert


int32_of_float, int64_of_float = _saturating(types.int32), _saturating(types.int64)

_CALM = {"error_model": "numpy", "nogil": True}


@njit(**_CALM)
def power_integer(base: Any, exponent: Any) -> Any:
    """base ** exponent modulo the word; 0 if the exponent is negative."""
    result, square, left = np.int64(1), np.int64(base), np.int64(exponent)
    if left < 0:
        return np.int64(0)
    while left:
        if left & 1:
            result *= square
        square *= square
        left >>= 1
    return result
