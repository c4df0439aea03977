"""Tensor cores: mma.sync and ldmatrix (PTX ISA, "Warp-Level Matrix Instructions").

Which element of a matrix is in which register of which lane is in the sections "Matrix Fragments
for mma.m16n8k8", "... mma.m16n8k16", "... mma.m16n8k4" and in "Warp-level matrix load instruction:
ldmatrix". There, `groupID = lane >> 2` and `threadID_in_group = lane % 4`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.ptx.binding import Array, Handler, commit, items
from tests.ptx.errors import Unsupported
from tests.ptx.rounding import from_bf16
from tests.ptx.syntax import Address, Instruction

WARP = 32
_LANE = np.arange(WARP)
_GROUP, _MEMBER = _LANE >> 2, _LANE & 3


def fragment_a(depth: int, halves: bool) -> tuple[Array, Array]:
    """Row and column of A for each (lane, element) of shapes m16n8k<depth>.

    tf32: a0 is (groupID, member), a1 is 8 rows on, a2 4 columns on, a3 both. Halves come in pairs
    of neighbours: elements 0 and 1 at (groupID, 2 member + 0..1), 2 and 3 are 8 rows on, 4 to 7 the
    same 8 columns on.
    """
    k = np.arange(16 * depth // WARP)
    if halves:
        row = _GROUP[:, None] + 8 * ((k >> 1) & 1)
        column = 2 * _MEMBER[:, None] + (k & 1) + 8 * (k >> 2)
    else:
        row = _GROUP[:, None] + 8 * (k & 1)
        column = _MEMBER[:, None] + 4 * (k >> 1)
    return row, column


def fragment_b(depth: int, halves: bool) -> tuple[Array, Array]:
    """Row and column of B, of 8 columns: column groupID; rows as A's columns."""
    k = np.arange(8 * depth // WARP)
    member = _MEMBER[:, None]
    row = 2 * member + (k & 1) + 8 * (k >> 1) if halves else member + 4 * k
    return row, np.broadcast_to(_GROUP[:, None], row.shape)


def fragment_c() -> tuple[Array, Array]:
    """Row and column of C and D, of 16 rows and 8 columns: c0 and c1 at (groupID, 2 member + 0..1),
    c2 and c3 are 8 rows on."""
    k = np.arange(4)
    return _GROUP[:, None] + 8 * (k >> 1), 2 * _MEMBER[:, None] + (k & 1)


_DECODERS: dict[str, Callable[[Array], Array]] = {
    # Tensor cores look at 19 bits of a tf32.
    "tf32": lambda bits: (bits & np.uint32(0xFFFFE000)).view(np.float32),
    "bf16": from_bf16,
    "f16": lambda bits: bits.view(np.float16).astype(np.float32),
}


def bind_mma(machine: Any, i: Instruction) -> Handler:
    """mma.sync.aligned.m16n8k*.row.col.f32.{tf32, bf16, f16}.*.f32. Each product is exact, the sum
    of a row and C is made in float64 and rounded to float32 once: the device's own order and
    rounding of these sums are not documented."""
    shape = next(re.fullmatch(r"m16n8k(\d+)", w) for w in i.modifiers if w.startswith("m16n8k"))
    if shape is None or not (i.has("row") and i.has("col")):
        raise Unsupported("this shape")
    depth = int(shape[1])
    types = i.types
    kind = types[1]
    if types != ("f32", kind, kind, "f32") or (kind, depth) not in (
        ("tf32", 4), ("tf32", 8), ("bf16", 8), ("bf16", 16), ("f16", 8), ("f16", 16)
    ):  # fmt: skip
        raise Unsupported("these types with this shape")
    halves, decode = kind != "tf32", _DECODERS[kind]
    binder = machine.binder
    a, b = ([binder.source(o, "b32") for o in items(i.operands[k])] for k in (1, 2))
    c = [binder.source(operand, "f32") for operand in items(i.operands[3])]
    targets = [binder.target(operand, "f32") for operand in items(i.operands[0])]
    if (len(a), len(b)) != (16 * depth // WARP >> halves, max(8 * depth // WARP >> halves, 1)):
        raise Unsupported("so many registers")
    at_a, at_b, at_c = fragment_a(depth, halves), fragment_b(depth, halves), fragment_c()

    def elements(registers: list[Array]) -> Array:
        """Of shape (warps, lanes, elements)."""
        words = np.stack(registers, axis=1)
        values = decode(words.view(np.uint16) if halves else words)
        return values.reshape(-1, WARP, values.shape[-1])

    def run(where: Any) -> None:
        warps = machine.count // WARP
        left, right = np.zeros((warps, 16, depth)), np.zeros((warps, depth, 8))
        total = np.zeros((warps, 16, 8))
        left[:, at_a[0], at_a[1]] = elements(a)
        right[:, at_b[0], at_b[1]] = elements(b)
        total[:, at_c[0], at_c[1]] = np.stack(c, axis=1).reshape(-1, WARP, 4)
        total += left @ right
        result = total[:, at_c[0], at_c[1]].astype(np.float32).reshape(-1, 4)
        for k, target in enumerate(targets):
            commit(target, result[:, k], where)

    return run


def bind_ldmatrix(machine: Any, i: Instruction) -> Handler:
    """ldmatrix.sync.aligned.m8n8.x{1, 2, 4}{.trans}.shared.b16: lanes 8 q to 8 q + 7 give the
    addresses of the rows of matrix q; lane 4 r + k receives elements 2 k and 2 k + 1 of row r (with
    .trans, of column r)."""
    counts = {"x1": 1, "x2": 2, "x4": 4}
    number = counts[next(word for word in i.modifiers if word in counts)]
    if not i.has("m8n8") or i.types != ("b16",) or not isinstance(i.operands[1], Address):
        raise Unsupported("this ldmatrix")
    base, offset = machine.binder.address(i.operands[1])
    targets = [machine.binder.target(operand, "b32") for operand in items(i.operands[0])]
    if len(targets) != number:
        raise Unsupported("so many registers")
    named = any(word.startswith("shared") for word in i.modifiers)
    transposed = i.has("trans")

    def run(where: Any) -> None:
        active = np.arange(machine.count) if where is True else np.flatnonzero(where)
        warps = active.reshape(-1, WARP)
        givers = warps[:, : 8 * number].reshape(-1)
        addresses = base[givers].astype(np.int64) + offset
        if not named:
            ((space, addresses, _),) = machine.spaces("", addresses, givers, i)
        else:
            space = machine.shared
        place = space.place(addresses, givers, 16, i, write=False)
        place.read()
        rows = space.arena.gather(place.bytes, 16).view(np.uint16)
        matrices = rows.reshape(-1, number, 8, 8)
        if transposed:
            matrices = matrices.swapaxes(2, 3)
        words = np.ascontiguousarray(matrices).view(np.uint32)
        for q, target in enumerate(targets):
            target[active] = words[:, q].reshape(-1)

    return run
