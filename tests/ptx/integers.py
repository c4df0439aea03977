"""Integer and logic instructions (PTX ISA, "Integer Arithmetic Instructions", "Logic and Shift
Instructions", "Extended-Precision Integer Arithmetic Instructions")."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.ptx.binding import Array, Builder, Handler, commit
from tests.ptx.errors import Unsupported
from tests.ptx.syntax import Instruction

_WIDER = {"u2": "u4", "i2": "i4", "u4": "u8", "i4": "i8"}


def kind(dtype: np.dtype) -> str:
    """Letter and bytes, as u4."""
    return f"{dtype.kind}{dtype.itemsize}"


def wide(a: Array) -> Array:
    """The values in twice the bytes."""
    return a.astype(_WIDER[kind(a.dtype)])


def quotient(a: Array, b: Array) -> Array:
    """Division that truncates; 0 by zero, which the device leaves open."""
    if a.dtype.kind == "u":
        return np.floor_divide(a, b)
    return np.floor_divide(a - np.fmod(a, b), b)


def high(a: Array, b: Array) -> Array:
    """The upper half of the product."""
    bits = 8 * a.itemsize
    if bits < 64:
        return (wide(a) * wide(b) >> bits).astype(a.dtype)
    x, y = a.view(np.uint64), b.view(np.uint64)
    mask, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    low, middle = (x & mask) * (y & mask), (x >> half) * (y & mask)
    middle = middle + (low >> half)
    other = (x & mask) * (y >> half) + (middle & mask)
    upper = (x >> half) * (y >> half) + (middle >> half) + (other >> half)
    if a.dtype.kind == "i":
        zero = np.uint64(0)
        upper = upper - np.where(a < 0, y, zero) - np.where(b < 0, x, zero)
    return upper.view(a.dtype)


def product(instruction: Instruction, a: Array, b: Array) -> Array:
    """What mul and mad multiply to, by .lo, .hi or .wide."""
    if instruction.has("wide"):
        return wide(a) * wide(b)
    return high(a, b) if instruction.has("hi") else a * b


def _plain(function: Any) -> Builder:
    def builder(machine: Any, i: Instruction) -> Handler:
        t, binder = i.types[-1], machine.binder
        sources = [binder.source(operand, t) for operand in i.operands[1:]]
        target = binder.target(i.operands[0], t)
        if isinstance(function, np.ufunc) and target.dtype == sources[0].dtype:
            return lambda where: function(*sources, out=target, where=where)
        return lambda where: commit(target, function(*sources), where)

    return builder


def _shift(function: Any) -> Builder:
    # NumPy, as PTX, gives 0 (or the sign) where the count exceeds the width.
    def builder(machine: Any, i: Instruction) -> Handler:
        t, binder = i.types[-1], machine.binder
        value, count = binder.source(i.operands[1], t), binder.source(i.operands[2], "u32")
        target = binder.target(i.operands[0], t)
        return lambda where: function(value, count, target, where=where)

    return builder


def _multiply(machine: Any, i: Instruction) -> Handler:
    t, binder = i.types[-1], machine.binder
    a, b = binder.source(i.operands[1], t), binder.source(i.operands[2], t)
    if i.has("lo"):
        return _plain(np.multiply)(machine, i)
    target = binder.target(i.operands[0], np.dtype(_WIDER[kind(a.dtype)]) if i.has("wide") else t)
    return lambda where: commit(target, product(i, a, b), where)


def _multiply_add(machine: Any, i: Instruction) -> Handler:
    t, binder = i.types[-1], machine.binder
    a, b = binder.source(i.operands[1], t), binder.source(i.operands[2], t)
    result = np.dtype(_WIDER[kind(a.dtype)]) if i.has("wide") else a.dtype
    c, target = binder.source(i.operands[3], result), binder.target(i.operands[0], result)
    if i.has("cc"):
        return _carrying(machine, lambda: (product(i, a, b), c, None), target)
    return lambda where: commit(target, product(i, a, b) + c, where)


def _multiply_add_carry(machine: Any, i: Instruction) -> Handler:
    t, binder = i.types[-1], machine.binder
    a, b, c = (binder.source(operand, t) for operand in i.operands[1:4])
    target, carry = binder.target(i.operands[0], t), machine.carry
    if i.has("cc"):
        return _carrying(machine, lambda: (product(i, a, b), c, carry), target)
    return lambda where: commit(target, product(i, a, b) + c + carry.astype(a.dtype), where)


def _carrying(machine: Any, terms: Any, target: Array) -> Handler:
    """A sum that leaves its carry out."""
    carry = machine.carry

    def run(where: Any) -> None:
        a, b, old = terms()
        x, y = (np.ascontiguousarray(v).view(f"u{v.itemsize}") for v in (a, b))
        total = x + y
        out = total < x
        if old is not None:
            more = total + old.astype(total.dtype)
            out = out | (more < total)
            total = more
        commit(target, total.view(a.dtype), where)
        commit(carry, out, where)

    return run


def _add(machine: Any, i: Instruction) -> Handler:
    if not i.has("cc") and i.opcode == "add":
        return _plain(np.add)(machine, i)
    t, binder = i.types[-1], machine.binder
    a, b = binder.source(i.operands[1], t), binder.source(i.operands[2], t)
    target, carry = binder.target(i.operands[0], t), machine.carry
    old = carry if i.opcode == "addc" else None
    if i.has("cc"):
        return _carrying(machine, lambda: (a, b, old), target)
    return lambda where: commit(target, a + b + carry.astype(a.dtype), where)


def _subtract(machine: Any, i: Instruction) -> Handler:
    if not i.has("cc") and i.opcode == "sub":
        return _plain(np.subtract)(machine, i)
    t, binder = i.types[-1], machine.binder
    unsigned = f"u{t[1:]}"
    a, b = binder.source(i.operands[1], unsigned), binder.source(i.operands[2], unsigned)
    target, borrow, keep = binder.target(i.operands[0], unsigned), machine.carry, i.has("cc")
    first = i.opcode == "sub"

    def run(where: Any) -> None:
        old = np.zeros_like(a) if first else borrow.astype(a.dtype)
        out = (a < b) | ((a == b) & (old > 0))
        commit(target, a - b - old, where)
        if keep:
            commit(borrow, out, where)

    return run


def _field(machine: Any, i: Instruction) -> Handler:
    t, binder = i.types[-1], machine.binder
    size = int(t[1:])
    a = binder.source(i.operands[1], f"u{size}")
    places = [binder.source(operand, "u32") for operand in i.operands[2:4]]
    target, signed = binder.target(i.operands[0], f"u{size}"), t[0] == "s"

    def run(where: Any) -> None:
        place, length = ((v & np.uint32(0xFF)).astype(a.dtype) for v in places)
        ones = ~a.dtype.type(0)
        value = (a >> place) & ~(ones << length)
        if signed:
            last = np.minimum(place + length - a.dtype.type(1), a.dtype.type(size - 1))
            negative = ((a >> last) & a.dtype.type(1)).astype(bool) & (length > 0)
            kept = np.minimum(length, np.maximum(size - place.astype(np.int64), 0).astype(a.dtype))
            value = np.where(negative, value | (ones << kept), value)
        commit(target, value, where)

    return run


def _insert(machine: Any, i: Instruction) -> Handler:
    t, binder = i.types[-1], machine.binder
    a, b = binder.source(i.operands[1], t), binder.source(i.operands[2], t)
    places = [binder.source(operand, "u32") for operand in i.operands[3:5]]
    target = binder.target(i.operands[0], t)

    def run(where: Any) -> None:
        place, length = ((v & np.uint32(0xFF)).astype(a.dtype) for v in places)
        mask = ~(~a.dtype.type(0) << length) << place
        commit(target, (b & ~mask) | ((a << place) & mask), where)

    return run


def _funnel(machine: Any, i: Instruction) -> Handler:
    binder = machine.binder
    low, upper, count = (binder.source(operand, "u32") for operand in i.operands[1:4])
    target, left, wrap = binder.target(i.operands[0], "u32"), i.has("l"), i.has("wrap")

    def run(where: Any) -> None:
        steps = (count & np.uint32(31) if wrap else np.minimum(count, 32)).astype(np.uint64)
        both = (upper.astype(np.uint64) << np.uint64(32)) | low
        moved = (both << steps) >> np.uint64(32) if left else both >> steps
        commit(target, moved & np.uint64(0xFFFFFFFF), where)

    return run


def _counting(function: Any) -> Builder:
    """An instruction whose result is a u32 number about bits."""

    def builder(machine: Any, i: Instruction) -> Handler:
        t, binder = i.types[-1], machine.binder
        a, target = binder.source(i.operands[1], t), binder.target(i.operands[0], "u32")
        return lambda where: commit(target, function(a, i), where)

    return builder


def bit_length(a: Array) -> Array:
    """How many bits an unsigned number needs."""
    length = np.zeros(a.shape, np.uint32)
    rest = a.astype(np.uint64)
    for step in (32, 16, 8, 4, 2, 1):
        large = rest >= np.uint64(1 << step)
        length += np.where(large, np.uint32(step), np.uint32(0))
        rest = np.where(large, rest >> np.uint64(step), rest)
    return length + rest.astype(np.uint32)


def _find(a: Array, i: Instruction) -> Array:
    """The place of the most significant bit that is no sign bit; -1 if none."""
    unsigned = a.view(f"u{a.itemsize}")
    values = np.where(a < 0, ~unsigned, unsigned) if a.dtype.kind == "i" else unsigned
    length = bit_length(values)
    if i.has("shiftamt"):
        return np.where(length == 0, np.uint32(0xFFFFFFFF), np.uint32(8 * a.itemsize) - length)
    return length - np.uint32(1)


def reverse(a: Array) -> Array:
    """The bits in the opposite order."""
    raw = np.ascontiguousarray(a).view(np.uint8).reshape(a.size, a.itemsize)
    bits = np.unpackbits(raw, axis=1, bitorder="little")[:, ::-1]
    return np.packbits(bits, axis=1, bitorder="little").view(a.dtype).reshape(a.shape)


def _logic(machine: Any, i: Instruction) -> Handler:
    binder = machine.binder
    a, b, c = (binder.source(operand, "b32") for operand in i.operands[1:4])
    target, table = binder.target(i.operands[0], "b32"), i.operands[4].value  # type: ignore[union-attr]

    def run(where: Any) -> None:
        result = np.zeros(a.shape, np.uint32)
        for k in range(8):
            if table >> k & 1:
                chosen = a if k & 4 else ~a
                chosen = chosen & (b if k & 2 else ~b)
                result |= chosen & (c if k & 1 else ~c)
        commit(target, result, where)

    return run


_PERMUTATIONS = {
    "f4e": [[0x3210, 0x4321, 0x5432, 0x6543][k] for k in range(4)],
    "b4e": [0x5670, 0x6701, 0x7012, 0x0123],
    "rc8": [0x0000, 0x1111, 0x2222, 0x3333],
    "ecl": [0x3210, 0x3211, 0x3222, 0x3333],
    "ecr": [0x0000, 0x1110, 0x2210, 0x3210],
    "rc16": [0x1010, 0x3232, 0x1010, 0x3232],
}


def _permute(machine: Any, i: Instruction) -> Handler:
    binder = machine.binder
    a, b, selector = (binder.source(operand, "b32") for operand in i.operands[1:4])
    target = binder.target(i.operands[0], "b32")
    mode = next((word for word in i.modifiers if word in _PERMUTATIONS), None)

    def run(where: Any) -> None:
        chosen = selector
        if mode is not None:
            chosen = np.array(_PERMUTATIONS[mode], np.uint32)[selector & np.uint32(3)]
        both = a.astype(np.uint64) | (b.astype(np.uint64) << np.uint64(32))
        result = np.zeros(a.shape, np.uint32)
        for k in range(4):
            nibble = (chosen >> np.uint32(4 * k)) & np.uint32(15)
            byte = (both >> (np.uint64(8) * (nibble & np.uint32(7)))) & np.uint64(0xFF)
            sign = np.where(byte & np.uint64(0x80), np.uint64(0xFF), np.uint64(0))
            byte = np.where(nibble & np.uint32(8), sign, byte)
            result |= byte.astype(np.uint32) << np.uint32(8 * k)
        commit(target, result, where)

    return run


def _absolute_difference(a: Array, b: Array, c: Array) -> Array:
    return c + np.where(a < b, b - a, a - b)


def _multiply_24(machine: Any, i: Instruction) -> Handler:
    t, binder = i.types[-1], machine.binder
    if not i.has("lo"):
        raise Unsupported("mul24.hi")
    sources = [binder.source(operand, t) for operand in i.operands[1:]]
    target = binder.target(i.operands[0], t)

    def run(where: Any) -> None:
        a, b = (s << np.uint32(8) >> np.uint32(8) for s in sources[:2])
        total = (a.astype(np.int64) * b.astype(np.int64)).astype(target.dtype)
        commit(target, total + sources[2] if len(sources) > 2 else total, where)

    return run


INTEGERS: dict[str, Builder] = {
    "add": _add,
    "addc": _add,
    "sub": _subtract,
    "subc": _subtract,
    "mul": _multiply,
    "mad": _multiply_add,
    "madc": _multiply_add_carry,
    "mul24": _multiply_24,
    "mad24": _multiply_24,
    "sad": _plain(_absolute_difference),
    "div": _plain(quotient),
    "rem": _plain(np.fmod),
    "min": _plain(np.minimum),
    "max": _plain(np.maximum),
    "neg": _plain(np.negative),
    "abs": _plain(np.abs),
    "and": _plain(np.bitwise_and),
    "or": _plain(np.bitwise_or),
    "xor": _plain(np.bitwise_xor),
    "not": _plain(np.invert),
    "cnot": _plain(lambda a: (a == 0).astype(a.dtype)),
    "shl": _shift(np.left_shift),
    "shr": _shift(np.right_shift),
    "shf": _funnel,
    "bfe": _field,
    "bfi": _insert,
    "popc": _counting(lambda a, i: np.bitwise_count(a)),
    "clz": _counting(lambda a, i: np.uint32(8 * a.itemsize) - bit_length(a)),
    "bfind": _counting(_find),
    "brev": _plain(reverse),
    "lop3": _logic,
    "prmt": _permute,
}
"""Of integer and predicate types."""
