"""mma.sync and ldmatrix of the PTX interpreter, against the formulas of the manual, written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.ptx.bench import HEAD, run
from tests.ptx.errors import Uninitialised, WarpDivergence
from tests.ptx.rounding import from_bf16, to_bf16

Array = np.ndarray[Any, Any]
Place = tuple[int, int]


def a_place(kind: str, depth: int, lane: int, i: int) -> Place:
    """Row and column of element a_i (PTX ISA, "Matrix Fragments for mma.m16n8k4/8/16")."""
    group, member = lane >> 2, lane % 4
    if kind == "tf32":
        return group + (8 if i in (1, 3) else 0), member + (4 if i in (2, 3) else 0)
    if depth == 8:
        return group + (8 if i >= 2 else 0), member * 2 + (i & 1)
    row = group if 0 <= i < 2 or 4 <= i < 6 else group + 8
    return row, member * 2 + (i & 1) + (8 if i >= 4 else 0)


def b_place(kind: str, lane: int, i: int) -> Place:
    group, member = lane >> 2, lane % 4
    if kind == "tf32":
        return member + 4 * i, group
    return member * 2 + (i & 1) + (8 if i >= 2 else 0), group


def c_place(lane: int, i: int) -> Place:
    return (lane >> 2) + (8 if i >= 2 else 0), (lane % 4) * 2 + (i & 1)


def encoded(kind: str, matrix: Array) -> Array:
    """The bits of a matrix of numbers that the format holds exactly."""
    if kind == "tf32":
        return matrix.astype(np.float32).view(np.uint32)
    if kind == "bf16":
        return to_bf16(matrix.astype(np.float32))
    return matrix.astype(np.float16).view(np.uint16)


def registers(bits: Array, places: list[list[Place]]) -> Array:
    """Each lane's registers, of shape (32, registers)."""
    found = np.array([[bits[place] for place in row] for row in places], bits.dtype)
    return found.view(np.uint32)


def listed(name: str, first: int, count: int) -> str:
    return "{" + ", ".join(f"{name}{k}" for k in range(first, first + count)) + "}"


def program(kind: str, depth: int, counts: tuple[int, int]) -> str:
    loads = "".join(
        f"mul.lo.u32 %r1, %r0, {4 * n};\ncvt.u64.u32 %rd9, %r1;\nadd.s64 %rd9, %rd9, %rd{which};\n"
        + "".join(f"ld.global.{t} {name}{k}, [%rd9+{4 * k}];\n" for k in range(n))
        for which, (name, n, t) in enumerate(
            (("%a", counts[0], "b32"), ("%b", counts[1], "b32"), ("%c", 4, "f32"))
        )
    )
    stores = "".join(f"st.global.f32 [%rd9+{4 * k}], %d{k};\n" for k in range(4))
    return (
        f"{HEAD}.visible .entry tested"
        "(.param .u64 p0, .param .u64 p1, .param .u64 p2, .param .u64 p3)"
        "{\n.reg .b32 %r<4>, %a<4>, %b<4>;\n.reg .f32 %c<4>, %d<4>;\n.reg .b64 %rd<10>;\n"
        + "".join(f"ld.param.u64 %rd{k}, [p{k}];\n" for k in range(4))
        + f"mov.u32 %r0, %tid.x;\n{loads}"
        f"mma.sync.aligned.m16n8k{depth}.row.col.f32.{kind}.{kind}.f32 {listed('%d', 0, 4)}, "
        f"{listed('%a', 0, counts[0])}, {listed('%b', 0, counts[1])}, {listed('%c', 0, 4)};\n"
        f"mul.wide.u32 %rd9, %r0, 16;\nadd.s64 %rd9, %rd9, %rd3;\n{stores}ret;\n}}\n"
    )


SHAPES = [("tf32", 4), ("tf32", 8), ("bf16", 8), ("bf16", 16), ("f16", 8), ("f16", 16)]


@pytest.mark.parametrize(("kind", "depth"), SHAPES)
def test_mma(kind: str, depth: int) -> None:
    random = np.random.default_rng(depth)
    per = 1 if kind == "tf32" else 2
    a = [random.integers(-8, 9, (16, depth)) / 4 for _ in range(2)]
    b = [random.integers(-8, 9, (depth, 8)) / 4 for _ in range(2)]
    c = [random.standard_normal((16, 8)).astype(np.float32) for _ in range(2)]
    counts = 16 * depth // 32 // per, max(8 * depth // 32 // per, 1)
    places_a = [[a_place(kind, depth, t, i) for i in range(counts[0] * per)] for t in range(32)]
    places_b = [[b_place(kind, t, i) for i in range(counts[1] * per)] for t in range(32)]
    places_c = [[c_place(t, i) for i in range(4)] for t in range(32)]
    given = [
        np.concatenate([registers(encoded(kind, m), places) for m in matrices])
        for matrices, places in ((a, places_a), (b, places_b))
    ]
    given.append(np.concatenate([registers(m, places_c) for m in c]))
    out = np.zeros((64, 4), np.float32)
    run(program(kind, depth, counts), [*given, out], threads=64)
    for warp in range(2):
        expected = a[warp] @ b[warp] + c[warp]
        for lane in range(32):
            for i in range(4):
                want = np.float32(expected[c_place(lane, i)])
                assert out[32 * warp + lane, i] == want


def test_tf32_looks_at_19_bits() -> None:
    a = np.full((32, 4), np.float32(1 + 2.0**-11)).view(np.uint32)
    b, c = np.full((32, 2), np.float32(1)).view(np.uint32), np.zeros((32, 4), np.float32)
    out = np.zeros((32, 4), np.float32)
    run(program("tf32", 8, (4, 2)), [a, b, c, out], threads=32)
    np.testing.assert_array_equal(out, 8)


@pytest.mark.parametrize("number", [1, 2, 4])
@pytest.mark.parametrize("transposed", [False, True])
def test_ldmatrix(number: int, transposed: bool) -> None:
    # Rows 48 bytes apart; the lanes past the last row give addresses that must not be looked at.
    word = f"ldmatrix.sync.aligned.m8n8.x{number}{'.trans' if transposed else ''}.shared.b16"
    text = (
        f"{HEAD}.shared .align 16 .b8 tile[1536];\n.visible .entry tested(.param .u64 p0)\n{{\n"
        ".reg .b32 %r<10>;\n.reg .b64 %rd<4>;\nld.param.u64 %rd0, [p0];\nmov.u32 %r0, %tid.x;\n"
        "mov.u32 %r1, tile;\nmad.lo.u32 %r2, %r0, 48, %r1;\n"
        + "".join(f"mad.lo.u32 %r3, %r0, 65544, {65536 * (2 * k + 1) + 2 * k};\n"
                  f"st.shared.u32 [%r2+{4 * k}], %r3;\n" for k in range(4))
        + f"bar.sync 0;\n{word} {listed('%r', 4, number)}, [%r2];\n"
        f"mul.lo.u32 %r3, %r0, {4 * number};\ncvt.u64.u32 %rd1, %r3;\nadd.s64 %rd1, %rd1, %rd0;\n"
        + "".join(f"st.global.u32 [%rd1+{4 * k}], %r{4 + k};\n" for k in range(number))
        + "ret;\n}\n"
    )  # fmt: skip
    out = np.zeros((32, number), np.uint32)
    run(text, [out], threads=32)
    rows = np.arange(32)[:, None]
    stored = np.where(np.arange(8) % 2, rows + np.arange(8), 8 * rows + np.arange(8))
    for q in range(number):
        matrix = stored[8 * q : 8 * q + 8]
        matrix = matrix.T if transposed else matrix
        for lane in range(32):
            pair = matrix[lane // 4, 2 * (lane % 4) : 2 * (lane % 4) + 2]
            assert out[lane, q].view() == pair[0] | pair[1] << 16
    if number == 4:
        with pytest.raises(Uninitialised):
            run(text.replace("st.shared.u32 [%r2+12], %r3;", ""), [out], threads=32)
    with pytest.raises(WarpDivergence):
        run(text, [np.zeros((31, number), np.uint32)], threads=31)


def test_products_by_ldmatrix_and_mma() -> None:
    """D = A B of 16 x 16 and 16 x 8 in bfloat16, the way that a kernel does it: A's four matrices
    by x4, B's two, stored row by row, by x2.trans."""
    text = (
        f"{HEAD}.shared .align 16 .b8 sa[512];\n.shared .align 16 .b8 sb[256];\n"
        ".visible .entry tested(.param .u64 p0, .param .u64 p1, .param .u64 p2)\n{\n"
        ".reg .b32 %r<30>;\n.reg .b64 %rd<10>;\n.reg .f32 %f<8>;\n"
        "ld.param.u64 %rd0, [p0];\nld.param.u64 %rd1, [p1];\nld.param.u64 %rd2, [p2];\n"
        "mov.u32 %r0, %tid.x;\nmov.u32 %r1, sa;\nmov.u32 %r2, sb;\n"
        "mul.wide.u32 %rd3, %r0, 16;\nadd.s64 %rd4, %rd0, %rd3;\nshl.b32 %r3, %r0, 4;\n"
        "add.u32 %r4, %r1, %r3;\ncp.async.cg.shared.global [%r4], [%rd4], 16;\n"
        "mul.wide.u32 %rd5, %r0, 8;\nadd.s64 %rd6, %rd1, %rd5;\nshl.b32 %r5, %r0, 3;\n"
        "add.u32 %r6, %r2, %r5;\ncp.async.ca.shared.global [%r6], [%rd6], 8;\n"
        "cp.async.commit_group;\ncp.async.wait_group 0;\nbar.sync 0;\n"
        # Lane l: row l % 16, columns 8 (l / 16) on.
        "and.b32 %r7, %r0, 15;\nshl.b32 %r8, %r7, 5;\nshr.u32 %r9, %r0, 4;\nshl.b32 %r9, %r9, 4;\n"
        "add.u32 %r8, %r8, %r9;\nadd.u32 %r8, %r8, %r1;\n"
        "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r10, %r11, %r12, %r13}, [%r8];\n"
        "shl.b32 %r14, %r7, 4;\nadd.u32 %r14, %r14, %r2;\n"
        "ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%r15, %r16}, [%r14];\n"
        "mov.f32 %f0, 0f00000000;\n"
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%f1, %f2, %f3, %f4}, "
        "{%r10, %r11, %r12, %r13}, {%r15, %r16}, {%f0, %f0, %f0, %f0};\n"
        "shr.u32 %r20, %r0, 2;\nshl.b32 %r20, %r20, 5;\nand.b32 %r21, %r0, 3;\n"
        "shl.b32 %r21, %r21, 3;\n"
        "add.u32 %r20, %r20, %r21;\ncvt.u64.u32 %rd7, %r20;\nadd.s64 %rd7, %rd7, %rd2;\n"
        "st.global.v2.f32 [%rd7], {%f1, %f2};\nst.global.v2.f32 [%rd7+256], {%f3, %f4};\nret;\n}\n"
    )
    random = np.random.default_rng(0)
    a = to_bf16(random.standard_normal((16, 16)).astype(np.float32)).reshape(16, 16)
    b = to_bf16(random.standard_normal((16, 8)).astype(np.float32)).reshape(16, 8)
    out = np.zeros((16, 8), np.float32)
    run(text, [a, b, out], threads=32)
    expected = from_bf16(a).astype(np.float64) @ from_bf16(b).astype(np.float64)
    np.testing.assert_array_equal(out, expected.astype(np.float32))
