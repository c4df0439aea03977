"""The intrinsics that are a few instructions, as LLVM code for any target: the argument `builder`
is an llvmlite builder, the others are values, floats or integers."""

# Numba types its helpers only in part.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils


def function(builder: Any, name: str, result: Any, arguments: Any) -> Any:
    """The declaration of one of LLVM's own functions."""
    return cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, arguments), name)


def typed(name: str, kind: Any) -> str:
    """An LLVM intrinsic's name with the suffix of its operand, such as llvm.floor.f32."""
    if isinstance(kind, ir.IntType):
        return f"llvm.{name}.i{kind.width}"
    return f"llvm.{name}.{'f32' if isinstance(kind, ir.FloatType) else 'f64'}"


def applied(builder: Any, name: str, x: Any) -> Any:
    """One of LLVM's functions of one argument, whose type is that of its value."""
    return builder.call(function(builder, typed(name, x.type), x.type, [x.type]), [x])


def is_float(x: Any) -> bool:
    return not isinstance(x.type, ir.IntType)


def absolute(builder: Any, x: Any) -> Any:
    if is_float(x):
        return applied(builder, "fabs", x)
    zero = x.type(0)
    return builder.select(builder.icmp_signed("<", x, zero), builder.sub(zero, x), x)


def sign(builder: Any, x: Any) -> Any:
    zero, one, minus = x.type(0), x.type(1), x.type(-1)
    if not is_float(x):
        below = builder.select(builder.icmp_signed("<", x, zero), minus, zero)
        return builder.select(builder.icmp_signed(">", x, zero), one, below)
    below = builder.select(builder.fcmp_ordered("<", x, zero), minus, zero)
    value = builder.select(builder.fcmp_ordered(">", x, zero), one, below)
    return builder.select(builder.fcmp_unordered("uno", x, x), x, value)


def extreme(relation: str) -> Callable[[Any, Any, Any], Any]:
    """The maximum (">=") or the minimum ("<="): of two equal numbers the first, a NaN before all
    else."""

    def build(builder: Any, a: Any, b: Any) -> Any:
        if not is_float(a):
            if a.type.width == 1:
                return builder.or_(a, b) if relation == ">=" else builder.and_(a, b)
            return builder.select(builder.icmp_signed(relation, a, b), a, b)
        first = builder.fcmp_ordered(relation, a, b)
        first = builder.or_(first, builder.fcmp_unordered("uno", a, a))
        return builder.select(first, a, b)

    return build


def floor(builder: Any, x: Any) -> Any:
    return applied(builder, "floor", x) if is_float(x) else x


def square_root(builder: Any, x: Any) -> Any:
    return applied(builder, "sqrt", x)


def _multiply(builder: Any, a: Any, b: Any) -> Any:
    return builder.fmul(a, b) if is_float(a) else builder.mul(a, b)


def product(exponent: int) -> Callable[[Any, Any], Any]:
    """The power with the exponent 2, 3 or 4."""

    def build(builder: Any, x: Any) -> Any:
        square = _multiply(builder, x, x)
        if exponent == 2:
            return square
        return _multiply(builder, square, x if exponent == 3 else square)

    return build


def quotient(builder: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """Floored quotient and remainder. A processor traps on a divisor of 0, and of -1 under the
    smallest integer: 1 divides instead, and the results are put right afterwards."""
    zero, minus = b.type(0), b.type(-1)
    none, negated = builder.icmp_signed("==", b, zero), builder.icmp_signed("==", b, minus)
    divisor = builder.select(builder.or_(none, negated), b.type(1), b)
    whole, rest = builder.sdiv(a, divisor), builder.srem(a, divisor)
    crossed = builder.and_(
        builder.icmp_signed("!=", rest, zero),
        builder.icmp_signed("<", builder.xor(rest, divisor), zero),
    )
    whole = builder.select(crossed, builder.add(whole, minus), whole)
    rest = builder.select(crossed, builder.add(rest, divisor), rest)
    whole = builder.select(negated, builder.sub(zero, a), whole)
    return builder.select(none, zero, whole), builder.select(none, zero, rest)


def is_finite(builder: Any, x: Any) -> Any:
    return builder.fcmp_ordered("<", applied(builder, "fabs", x), ir.Constant(x.type, float("inf")))


def share(builder: Any, worker: Any, workers: Any, extent: Any, tile: Any) -> Any:
    """Where the worker's iterations begin, and those of the worker before it end: whole tiles, as
    evenly as it goes."""
    one = extent.type(1)
    # No number is negative and no divisor is 0, which spares the checks of a floored quotient.
    tiles = builder.udiv(builder.add(extent, builder.sub(tile, one)), tile)
    first = builder.mul(builder.udiv(builder.mul(worker, tiles), workers), tile)
    return builder.select(builder.icmp_signed("<", first, extent), first, extent)
