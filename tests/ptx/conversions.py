"""The instruction cvt (PTX ISA, "Data Movement and Conversion Instructions: cvt")."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.ptx import rounding
from tests.ptx.binding import Array, Builder, Handler, commit
from tests.ptx.errors import Unsupported
from tests.ptx.floats import MODES, flush, saturated
from tests.ptx.syntax import TYPES, Instruction

_WHOLE: dict[str, Callable[[Array], Array]] = {
    "rni": np.rint,
    "rzi": np.trunc,
    "rmi": np.floor,
    "rpi": np.ceil,
}


def _to_integer(values: Array, dtype: np.dtype, mode: str) -> Array:
    """Clamped to the range of the type; NaN becomes 0."""
    whole = _WHOLE[mode](values.astype(np.float64))
    limits = np.iinfo(dtype)
    low, above = (
        float(limits.min),
        float(limits.max) + 1 if dtype.itemsize < 8 else 2.0 ** (63 if dtype.kind == "i" else 64),
    )
    inside = np.where((whole > low) & (whole < above), whole, 0)
    result = inside.astype(dtype)
    result = np.where(whole >= above, dtype.type(limits.max), result)
    return np.where(whole <= low, dtype.type(limits.min), result)


def _from_integer(values: Array, dtype: np.dtype, mode: str) -> Array:
    if mode == "rn" and dtype.itemsize > 2:
        return values.astype(dtype)
    nearest = values.astype(np.float64)
    # 64 bits of significand hold every integer.
    lost = np.sign(values.astype(np.longdouble) - nearest.astype(np.longdouble)).astype(np.float64)
    return rounding.directed(nearest, lost, mode, dtype)


def _integer_to_integer(values: Array, dtype: np.dtype, sat: bool) -> Array:
    if not sat:
        return values.astype(dtype)
    limits, own = np.iinfo(dtype), np.iinfo(values.dtype)
    low, high = max(limits.min, own.min), min(limits.max, own.max)
    return np.clip(values, values.dtype.type(low), values.dtype.type(high)).astype(dtype)


def _float_to_float(values: Array, dtype: np.dtype, words: tuple[str, ...]) -> Array:
    whole = next((w for w in words if w in _WHOLE), None)
    if whole is not None:
        return _WHOLE[whole](values).astype(dtype)
    mode = next((w for w in words if w in MODES), "rn")
    if mode == "rn" or dtype.itemsize >= values.itemsize:
        return values.astype(dtype)
    return rounding.directed(values.astype(np.float64), np.zeros(values.shape), mode, dtype)


def _conversion(i: Instruction, to: str, of: str) -> Callable[[Array], Array]:
    dtype, words = TYPES[to], i.modifiers
    mode = next((w for w in words if w in (*MODES, *_WHOLE)), "")
    if of[0] == "f" and to[0] in "us":
        return lambda values: _to_integer(values, dtype, mode or "rzi")
    if of[0] in "us" and to[0] == "f":
        return lambda values: _from_integer(values, dtype, mode or "rn")
    if of[0] == "f" and to[0] == "f":
        return lambda values: _float_to_float(values, dtype, words)
    sat = i.has("sat")
    return lambda values: _integer_to_integer(values, dtype, sat)


def _to_tf32(values: Array, nearest_even: bool) -> Array:
    """19 bits of a float32: ties away from zero (`rna`) or to even (`rn`)."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    half = np.uint32(0x1000)
    if nearest_even:
        half = np.uint32(0xFFF) + ((bits >> np.uint32(13)) & np.uint32(1))
    result = (bits + half) & np.uint32(0xFFFFE000)
    return np.where(np.isnan(values), np.uint32(0x7FFFFFFF), result)


def _half_bits(values: Array, to: str, relu: bool) -> Array:
    if relu:
        values = np.where(np.isnan(values), values, np.maximum(values, 0))
    if to.startswith("bf16"):
        return rounding.to_bf16(values)
    return values.astype(np.float16).view(np.uint16)


def _narrow(machine: Any, i: Instruction, to: str) -> Handler:
    """To bf16, tf32, and to pairs of halves, from float32."""
    binder = machine.binder
    sources = [binder.source(operand, "f32") for operand in i.operands[1:]]
    target = binder.target(i.operands[0], to)
    if to == "tf32":
        if not i.has("rna", "rn"):
            raise Unsupported("this rounding to tf32")
        even = i.has("rn")
        return lambda where: commit(target, _to_tf32(sources[0], even), where)
    if not i.has("rn"):
        raise Unsupported("this rounding to half floats")

    def run(where: Any) -> None:
        halves = [_half_bits(np.asarray(s), to, i.has("relu")) for s in sources]
        if len(halves) == 1:
            commit(target, halves[0], where)
        else:
            # The first source is the upper half.
            upper = halves[0].astype(np.uint32) << np.uint32(16)
            commit(target, upper | halves[1], where)

    return run


def build_conversion(machine: Any, i: Instruction) -> Handler:
    """cvt, between any two types."""
    to, of = i.types[0], i.types[-1]
    binder = machine.binder
    if to in ("bf16", "tf32", "bf16x2", "f16x2"):
        if of != "f32":
            raise Unsupported(f"cvt of {of} to {to}")
        return _narrow(machine, i, to)
    source, target = binder.source(i.operands[1], of), binder.target(i.operands[0], to)
    if of == "bf16":
        if to != "f32":
            raise Unsupported(f"cvt of bf16 to {to}")
        return lambda where: commit(target, rounding.from_bf16(source), where)
    convert, floating = _conversion(i, to, of), to[0] == "f"
    ftz_in, ftz_out = i.has("ftz") and of == "f32", i.has("ftz") and to == "f32"
    sat = i.has("sat") and floating

    # Into a wider register a half float goes as its bits.
    raw = to == "f16" and target.itemsize > 2

    def run(where: Any) -> None:
        values = convert(flush(source) if ftz_in else source)
        if ftz_out:
            values = flush(values)
        if sat:
            values = saturated(values)
        commit(target, values.view(np.uint16) if raw else values, where)

    return run


CONVERSIONS: dict[str, Builder] = {"cvt": build_conversion}
