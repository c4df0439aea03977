"""What CUDA texts call: the names of `codegen.cpu.operations`, as instructions that NVVM takes.

The elementary functions are the same arithmetic as on a processor (`codegen.cpu.vector_math` and
its neighbours), operation by operation, so that they have the same bits and the same bounds. Names
beyond those are of `codegen.cuda.memory` and `codegen.cuda.threads`.
"""

# Numba types its decorators only in part.
# mypy: disable-error-code="no-untyped-call, call-overload, call-arg, unreachable"

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import cuda
from numba.cuda import types
from numba.cuda.extending import intrinsic

from codegen.cpu import (
    arithmetic,
    shuffle,
    vector_angle,
    vector_erf,
    vector_hyperbolic,
    vector_math,
    vector_power,
    vector_trig,
)
from codegen.cpu.lanes import Real
from codegen.cuda.exact import ExactBuilder
from codegen.cuda.memory import (
    bool_at,
    bool_restrict,
    float32_at,
    float32_restrict,
    float64_at,
    float64_restrict,
    four,
    int32_at,
    int32_restrict,
    int64_at,
    int64_restrict,
    offset,
    put_four,
    put_some,
    shared_bool,
    shared_float32,
    shared_float64,
    shared_int32,
    shared_int64,
    some,
)
from codegen.cuda.threads import (
    block_barrier,
    from_across,
    from_lane,
    half_barrier,
    on,
    over,
    share,
    small,
    thread,
)

__all__ = [
    "absolute", "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "block_barrier",
    "bool_at", "bool_restrict", "cos", "cosh", "device_function", "erf", "erfc", "exp", "expm1",
    "float32_at", "float32_restrict", "float64_at", "float64_restrict", "floor", "floor_divide",
    "four", "from_across", "from_lane", "half_barrier", "int32_at", "int32_of_float",
    "int32_restrict", "int64_at", "int64_of_float", "int64_restrict", "isfinite", "log", "log1p",
    "maximum", "minimum", "offset", "on", "over", "permuted", "power_2", "power_3", "power_4",
    "power_float", "power_integer", "put_four", "put_some", "remainder", "sech_squared", "share",
    "shared_bool", "shared_float32", "shared_float64", "shared_int32", "shared_int64", "sigmoid",
    "sign", "sin", "sinh", "small", "softplus", "some", "square_root", "tan", "tanh", "thread",
]  # fmt: skip

device_function = cuda.jit(device=True, forceinline=True)
"""Makes a function one that kernels call; its code stands where it is called."""


def _unary(build: Callable[[Any, Any], Any]) -> Any:
    """The intrinsic whose result has its argument's type and is what `build` appends."""

    @intrinsic
    def apply(typingctx: Any, x: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return build(ExactBuilder(builder), args[0])

        return x(x), code

    return apply


def _binary(build: Callable[[Any, Any, Any], Any]) -> Any:
    @intrinsic
    def apply(typingctx: Any, a: Any, b: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return build(ExactBuilder(builder), args[0], args[1])

        return a(a, b), code

    return apply


def _formula(function: Callable[[Real], Real]) -> Any:
    return _unary(lambda builder, x: function(Real(builder, x)).value)


def _formula_of_two(function: Callable[[Real, Real], Real]) -> Any:
    return _binary(lambda builder, a, b: function(Real(builder, a), Real(builder, b)).value)


exp, expm1 = _formula(vector_math.exp), _formula(vector_math.expm1)
log, log1p = _formula(vector_math.log), _formula(vector_math.log1p)
tanh, sigmoid = _formula(vector_math.tanh), _formula(vector_math.sigmoid)
softplus, sech_squared = _formula(vector_math.softplus), _formula(vector_math.sech_squared)
sin, cos, tan = _formula(vector_trig.sin), _formula(vector_trig.cos), _formula(vector_trig.tan)
asin, acos = _formula(vector_angle.asin), _formula(vector_angle.acos)
atan, atan2 = _formula(vector_angle.atan), _formula_of_two(vector_angle.atan2)
sinh, cosh = _formula(vector_hyperbolic.sinh), _formula(vector_hyperbolic.cosh)
asinh, acosh = _formula(vector_hyperbolic.asinh), _formula(vector_hyperbolic.acosh)
atanh = _formula(vector_hyperbolic.atanh)
erf, erfc = _formula(vector_erf.erf), _formula(vector_erf.erfc)
power_float = _formula_of_two(vector_power.power)

absolute, sign = _unary(arithmetic.absolute), _unary(arithmetic.sign)
maximum, minimum = _binary(arithmetic.extreme(">=")), _binary(arithmetic.extreme("<="))
floor, square_root = _unary(arithmetic.floor), _unary(arithmetic.square_root)
power_2, power_3, power_4 = (_unary(arithmetic.product(k)) for k in (2, 3, 4))
floor_divide = _binary(lambda builder, a, b: arithmetic.quotient(builder, a, b)[0])
remainder = _binary(lambda builder, a, b: arithmetic.quotient(builder, a, b)[1])


@intrinsic
def isfinite(typingctx: Any, x: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return arithmetic.is_finite(ExactBuilder(builder), args[0])

    return types.boolean(x), code


@intrinsic
def permuted(typingctx: Any, index: Any, count: Any, seed: Any, epoch: Any) -> Any:
    """`codegen.intrinsics.permuted`, compiled."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return shuffle.walked(builder, *args)

    return types.int64(types.int64, types.int64, types.int64, types.int64), code


def _saturating(result: Any) -> Any:
    """The intrinsic from a float to an integer: held at the ends of the range, NaN to 0."""

    @intrinsic
    def convert(typingctx: Any, x: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            target, (value,) = context.get_value_type(result), args
            # The ends as floats: the upper one is 2**(width - 1), the first that does not fit.
            low, high = (ir.Constant(value.type, s * 2.0 ** (target.width - 1)) for s in (-1, 1))
            whole = builder.fptosi(value, target)
            most, least = target((1 << target.width - 1) - 1), target(-(1 << target.width - 1))
            held = builder.select(builder.fcmp_ordered(">=", value, high), most, whole)
            held = builder.select(builder.fcmp_ordered("<=", value, low), least, held)
            return builder.select(builder.fcmp_unordered("uno", value, value), target(0), held)

        return result(x), code

    return convert


int32_of_float, int64_of_float = _saturating(types.int32), _saturating(types.int64)


@device_function
def power_integer(base: Any, exponent: Any) -> Any:
    """base ** exponent modulo the word; 0 if the exponent is negative."""
    result, square, left = types.int64(1), types.int64(base), types.int64(exponent)
    if left < 0:
        return types.int64(0)
    while left:
        if left & 1:
            result *= square
        square *= square
        left >>= 1
    return result
