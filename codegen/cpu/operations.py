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
    arithmetic,
    vector_angle,
    vector_erf,
    vector_hyperbolic,
    vector_math,
    vector_power,
    vector_trig,
)
from codegen.cpu.lanes import Real
from codegen.cpu.shuffle import permuted as permuted
from codegen.cpu.shuffle import permuted_further as permuted_further
from codegen.cpu.shuffle import permuted_once as permuted_once

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
def put_alone(typingctx: Any, target: Any, place: Any, source: Any, start: Any) -> Any:
    """target[place] = source[start], of which no loop makes vectors: where neighbours of one are
    not neighbours of the other, those take longer than numbers one by one."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        target, place, source, start = args
        size = 4 if isinstance(target.type.pointee, ir.FloatType) else 8
        taken = builder.load_atomic(builder.gep(source, [start]), "unordered", size)
        builder.store(taken, builder.gep(target, [place]))
        return context.get_dummy_value()

    return types.void(target, types.intp, source, types.intp), code


@intrinsic
def share(typingctx: Any, worker: Any, workers: Any, extent: Any, tile: Any) -> Any:
    """Where the worker's iterations begin, and those of the worker before it end: whole tiles, as
    evenly as it goes."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return arithmetic.share(builder, *args)

    return types.intp(*[types.intp] * 4), code


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
softplus, sech_squared = _lanes(vector_math.softplus), _lanes(vector_math.sech_squared)
sin, cos, tan = _lanes(vector_trig.sin), _lanes(vector_trig.cos), _lanes(vector_trig.tan)
asin, acos = _lanes(vector_angle.asin), _lanes(vector_angle.acos)
atan, atan2 = _lanes(vector_angle.atan), _lanes_of_two(vector_angle.atan2)
sinh, cosh = _lanes(vector_hyperbolic.sinh), _lanes(vector_hyperbolic.cosh)
asinh, acosh = _lanes(vector_hyperbolic.asinh), _lanes(vector_hyperbolic.acosh)
atanh = _lanes(vector_hyperbolic.atanh)
erf, erfc = _lanes(vector_erf.erf), _lanes(vector_erf.erfc)
power_float = _lanes_of_two(vector_power.power)


absolute, sign = _unary(arithmetic.absolute), _unary(arithmetic.sign)
maximum, minimum = _binary(arithmetic.extreme(">=")), _binary(arithmetic.extreme("<="))
floor, square_root = _unary(arithmetic.floor), _unary(arithmetic.square_root)
power_2, power_3, power_4 = (_unary(arithmetic.product(k)) for k in (2, 3, 4))
floor_divide = _binary(lambda builder, a, b: arithmetic.quotient(builder, a, b)[0])
remainder = _binary(lambda builder, a, b: arithmetic.quotient(builder, a, b)[1])


@intrinsic
def isfinite(typingctx: Any, x: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return arithmetic.is_finite(builder, args[0])

    return types.boolean(x), code


def _saturating(result: Any) -> Any:
    """The intrinsic from a float to an integer: held at the ends of the range, NaN to 0."""

    @intrinsic
    def convert(typingctx: Any, x: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            target, kind = context.get_value_type(result), args[0].type
            suffix = "f32" if isinstance(kind, ir.FloatType) else "f64"
            name = f"llvm.fptosi.sat.i{target.width}.{suffix}"
            return builder.call(arithmetic.function(builder, name, target, [kind]), args)

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
