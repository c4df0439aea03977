"""Floating-point instructions (PTX ISA, "Floating Point Instructions").

What PTX only bounds (`.approx`, `.full`) is computed in float64 and rounded: better than any
device, so that a test's tolerance has to come from the documented bounds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.ptx import rounding
from tests.ptx.binding import Array, Builder, Handler, commit
from tests.ptx.errors import Unsupported
from tests.ptx.syntax import Instruction

MODES = ("rn", "rz", "rm", "rp")
_LEAST = {4: np.float32(2.0**-126), 8: np.float64(2.0**-1022), 2: np.float16(2.0**-14)}


def flush(values: Array) -> Array:
    """Subnormal numbers as zeros of their sign (`.ftz`)."""
    small = np.abs(values) < _LEAST[values.itemsize]
    return np.where(small, np.copysign(values.dtype.type(0), values), values)


def saturated(values: Array) -> Array:
    """Between 0 and 1, NaN as 0 (`.sat`)."""
    return np.where(np.isnan(values), values.dtype.type(0), np.clip(values, 0, 1))


def _in_double(function: Callable[..., Array]) -> Callable[..., Array]:
    return lambda *args: function(*(a.astype(np.float64) for a in args)).astype(args[0].dtype)


def _least(a: Array, b: Array) -> Array:
    zero = a.dtype.type(0)
    negative = np.signbit(a) | np.signbit(b)
    return np.where((a == 0) & (b == 0), np.where(negative, -zero, zero), np.fmin(a, b))


def _greatest(a: Array, b: Array) -> Array:
    return -_least(-a, -b)


def _nan_aware(function: Callable[..., Array]) -> Callable[..., Array]:
    def run(a: Array, b: Array) -> Array:
        return np.where(np.isnan(a) | np.isnan(b), a.dtype.type(np.nan), function(a, b))

    return run


def _quotient_approx(a: Array, b: Array) -> Array:
    # "For |b| in [2^126, 2^128], if a is infinity, NaN, otherwise 0" (PTX ISA, div.approx.f32).
    huge = (np.abs(b) > 2.0**126) & np.isfinite(b)
    return np.where(huge, np.where(np.isinf(a), np.nan, np.copysign(0, a) * np.sign(b)), a / b)


def _gross(function: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """The f64 approximations, whose lower 32 bits are zero."""

    def run(a: Array) -> Array:
        bits = function(flush(a)).view(np.uint64) & np.uint64(0xFFFFFFFF00000000)
        return flush(bits.view(np.float64))

    return run


_NEAREST: dict[str, Callable[..., Array]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "fma": rounding.fma,
    "mad": rounding.fma,
    "div": np.divide,
    "sqrt": np.sqrt,
    "rcp": np.reciprocal,
    "abs": np.abs,
    "neg": np.negative,
    "min": _least,
    "max": _greatest,
    "ex2": _in_double(np.exp2),
    "lg2": _in_double(np.log2),
    "sin": _in_double(np.sin),
    "cos": _in_double(np.cos),
    "tanh": _in_double(np.tanh),
    "rsqrt": _in_double(lambda a: 1 / np.sqrt(a)),
}
_DIRECTED: dict[str, Callable[..., Array]] = {
    "add": rounding.sum_directed,
    "sub": lambda a, b, mode: rounding.sum_directed(a, -b, mode),
    "mul": rounding.product_directed,
    "fma": rounding.fma_directed,
    "div": rounding.quotient_directed,
    "sqrt": rounding.root_directed,
    "rcp": lambda a, mode: rounding.quotient_directed(np.ones_like(a), a, mode),
}


def _function(i: Instruction) -> Callable[..., Array]:
    """What an instruction computes, before flushing and saturation."""
    mode = next((word for word in i.modifiers if word in MODES), "rn")
    t = i.types[-1]
    if mode != "rn":
        directed = _DIRECTED[i.opcode]
        return lambda *args: directed(*args, mode)
    if t == "f64" and i.has("approx"):
        if i.opcode == "rcp":
            return _gross(np.reciprocal)
        if i.opcode == "rsqrt":
            return _gross(lambda a: 1 / np.sqrt(a))
    if i.opcode == "div" and i.has("approx"):
        return _quotient_approx
    if i.opcode in ("min", "max") and i.has("NaN"):
        return _nan_aware(_NEAREST[i.opcode])
    if i.opcode in ("min", "max") and i.has("xorsign"):
        raise Unsupported(".xorsign.abs")
    if t == "f16" and i.opcode == "fma":
        return _in_double(lambda a, b, c: a * b + c)
    return _NEAREST[i.opcode]


def build_float(machine: Any, i: Instruction) -> Handler:
    """An instruction of type f16, f32 or f64, or of pairs and bfloat16."""
    t, binder = i.types[-1], machine.binder
    if t in ("f16x2", "bf16", "bf16x2"):
        return _build_half(machine, i)
    function, ftz, sat = _function(i), i.has("ftz"), i.has("sat")
    sources = [binder.source(operand, t) for operand in i.operands[1:]]
    target = binder.target(i.operands[0], t)
    flat = isinstance(function, np.ufunc) and target.dtype == sources[0].dtype
    if flat and not ftz and not sat:
        return _direct(function, sources, target)

    def run(where: Any) -> None:
        values = function(*(map(flush, sources) if ftz else sources))
        if ftz:
            values = flush(values)
        commit(target, saturated(values) if sat else values, where)

    return run


def _direct(function: Any, sources: list[Array], target: Array) -> Handler:
    def run(where: Any) -> None:
        if where is True:
            function(*sources, target)
        else:
            commit(target, function(*sources), where)

    return run


def _build_half(machine: Any, i: Instruction) -> Handler:
    """Pairs of half floats, and bfloat16: computed in float32 or float64, rounded once."""
    t, binder = i.types[-1], machine.binder
    if any(i.has(mode) for mode in MODES[1:]):
        raise Unsupported("a directed rounding of half floats")
    sources = [binder.source(operand, t) for operand in i.operands[1:]]
    target = binder.target(i.operands[0], t)
    name, pairs, brain = i.opcode, t.endswith("x2"), t.startswith("bf16")
    simple = _NEAREST["fma" if name == "mad" else name]

    def run(where: Any) -> None:
        halves = [np.ascontiguousarray(s).view(np.uint16) for s in sources]
        if brain:
            values = [rounding.from_bf16(h).astype(np.float64) for h in halves]
        else:
            values = [h.view(np.float16).astype(np.float64) for h in halves]
        result = simple(*values)
        if i.has("relu"):
            result = np.where(result > 0, result, 0)
        if i.has("sat"):
            result = saturated(result)
        if brain:
            bits = rounding.to_bf16(result.astype(np.float32))
        else:
            bits = result.astype(np.float16).view(np.uint16)
        commit(target, bits.view(np.uint32) if pairs else bits, where)

    return run


def _copysign(machine: Any, i: Instruction) -> Handler:
    t, binder = i.types[-1], machine.binder
    sign, magnitude = (binder.source(operand, t) for operand in i.operands[1:3])
    target = binder.target(i.operands[0], t)
    return lambda where: commit(target, np.copysign(magnitude, sign), where)


def _testp(machine: Any, i: Instruction) -> Handler:
    t, binder = i.types[-1], machine.binder
    a, target = binder.source(i.operands[1], t), binder.target(i.operands[0], "pred")
    least = _LEAST[a.itemsize]
    tests: dict[str, Callable[[], Array]] = {
        "finite": lambda: np.isfinite(a),
        "infinite": lambda: np.isinf(a),
        "number": lambda: ~np.isnan(a),
        "notanumber": lambda: np.isnan(a),
        "normal": lambda: np.isfinite(a) & (np.abs(a) >= least),
        "subnormal": lambda: (np.abs(a) < least) & (a != 0),
    }
    test = tests[i.modifiers[0]]
    return lambda where: commit(target, test(), where)


FLOATS: dict[str, Builder] = {name: build_float for name in _NEAREST}
FLOATS |= {"copysign": _copysign, "testp": _testp}
"""Of floating-point types."""
