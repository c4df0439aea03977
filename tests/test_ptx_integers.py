"""Integer instructions of the PTX interpreter against Python's integers."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from tests.ptx.bench import evaluate
from tests.ptx.errors import Unsupported
from tests.ptx.samples import (
    ALL,
    finite,
    rounded,
    values,
    wrapped,
)


def truncated(a: int, b: int) -> int:
    quotient = abs(a) // abs(b)
    return -quotient if (a < 0) != (b < 0) else quotient


def shifted(a: int, b: int, bits: int) -> int:
    return a >> min(b, bits)


Scalar = Callable[..., int]


BINARY: dict[str, Scalar] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul.lo": lambda a, b: a * b,
    "min": min,
    "max": max,
}


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("name", BINARY)
def test_integer_arithmetic_wraps(name: str, kind: str) -> None:
    a, b = values(kind, 1), values(kind, 2)
    expected = [BINARY[name](x, y) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    found = evaluate(f"{name}.{kind} d, a, b;", [a, b], a.dtype)
    np.testing.assert_array_equal(found, wrapped(kind, expected))


@pytest.mark.parametrize("kind", ALL)
def test_products_high_wide_and_with_a_sum(kind: str) -> None:
    a, b, bits = values(kind, 1), values(kind, 2), int(kind[1:])
    products = [x * y for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    found = evaluate(f"mul.hi.{kind} d, a, b;", [a, b], a.dtype)
    np.testing.assert_array_equal(found, wrapped(kind, [p >> bits for p in products]))
    c = values(kind, 3)
    sums = [p + z for p, z in zip(products, c.tolist(), strict=True)]
    found = evaluate(f"mad.lo.{kind} d, a, b, c;", [a, b, c], a.dtype)
    np.testing.assert_array_equal(found, wrapped(kind, sums))
    if bits < 64:
        double = f"{kind[0]}{2 * bits}"
        c = values(double, 3)
        sums = [p + z for p, z in zip(products, c.tolist(), strict=True)]
        found = evaluate(f"mul.wide.{kind} d, a, b;", [a, b], c.dtype)
        np.testing.assert_array_equal(found, wrapped(double, products))
        found = evaluate(f"mad.wide.{kind} d, a, b, c;", [a, b, c], c.dtype)
        np.testing.assert_array_equal(found, wrapped(double, sums))


@pytest.mark.parametrize("kind", ALL)
def test_division_truncates(kind: str) -> None:
    a, b = values(kind, 1), values(kind, 2)
    b[b == 0] = 7
    pairs = list(zip(a.tolist(), b.tolist(), strict=True))
    found = evaluate(f"div.{kind} d, a, b;", [a, b], a.dtype)
    np.testing.assert_array_equal(found, wrapped(kind, [truncated(x, y) for x, y in pairs]))
    found = evaluate(f"rem.{kind} d, a, b;", [a, b], a.dtype)
    rest = [x - y * truncated(x, y) for x, y in pairs]
    np.testing.assert_array_equal(found, wrapped(kind, rest))


@pytest.mark.parametrize("bits", [16, 32, 64])
def test_logic_and_shifts(bits: int) -> None:
    a, b = values(f"u{bits}", 1), values(f"u{bits}", 2)
    for name, function in (("and", np.bitwise_and), ("or", np.bitwise_or), ("xor", np.bitwise_xor)):
        found = evaluate(f"{name}.b{bits} d, a, b;", [a, b], a.dtype)
        np.testing.assert_array_equal(found, function(a, b))
    np.testing.assert_array_equal(evaluate(f"not.b{bits} d, a;", [a], a.dtype), ~a)
    found = evaluate(f"cnot.b{bits} d, a;", [a], a.dtype)
    np.testing.assert_array_equal(found, (a == 0).astype(a.dtype))
    count = values("u32", 3)
    count[::3] %= 80
    pairs = list(zip(a.tolist(), count.tolist(), strict=True))
    found = evaluate(f"shl.b{bits} d, a, b;", [a, count], a.dtype)
    left = [x << y if y < bits else 0 for x, y in pairs]
    np.testing.assert_array_equal(found, wrapped(f"u{bits}", left))
    found = evaluate(f"shr.u{bits} d, a, b;", [a, count], a.dtype)
    right = [shifted(x, y, bits) for x, y in pairs]
    np.testing.assert_array_equal(found, wrapped(f"u{bits}", right))
    s = a.view(f"i{bits // 8}")
    right = [shifted(x, y, bits) for x, y in zip(s.tolist(), count.tolist(), strict=True)]
    found = evaluate(f"shr.s{bits} d, a, b;", [s, count], s.dtype)
    np.testing.assert_array_equal(found, wrapped(f"s{bits}", right))


@pytest.mark.parametrize("kind", ["u32", "s32", "u64", "s64"])
def test_bit_fields(kind: str) -> None:
    bits = int(kind[1:])
    a, place, length = values(kind, 1), values("u32", 2), values("u32", 3)
    place[::2] %= 70
    length[::2] %= 70

    def field(x: int, p: int, n: int) -> int:
        # The loop of the manual (PTX ISA, bfe).
        p, n, top = p & 255, n & 255, bits - 1
        pattern = x & ((1 << bits) - 1)
        negative = kind[0] == "s" and n > 0 and pattern >> min(p + n - 1, top) & 1
        result = (1 << bits) - 1 if negative else 0
        for k in range(bits):
            if k < n and p + k <= top:
                result = result & ~(1 << k) | ((pattern >> (p + k) & 1) << k)
        return result if n else 0

    cases = list(zip(a.tolist(), place.tolist(), length.tolist(), strict=True))
    found = evaluate(f"bfe.{kind} d, a, b, c;", [a, place, length], a.dtype)
    np.testing.assert_array_equal(found, wrapped(kind, [field(*case) for case in cases]))
    if kind[0] == "s":
        return
    b = values(kind, 4)

    def inserted(x: int, y: int, p: int, n: int) -> int:
        p, n = p & 255, n & 255
        for k in range(n):
            if p + k < bits:
                y = y & ~(1 << (p + k)) | ((x >> k & 1 if k < bits else 0) << (p + k))
        return y

    cases = list(zip(a.tolist(), b.tolist(), place.tolist(), length.tolist(), strict=True))
    found = evaluate(f"bfi.b{bits} d, a, b, c, e;", [a, b, place, length], a.dtype)
    np.testing.assert_array_equal(found, wrapped(kind, [inserted(*case) for case in cases]))


@pytest.mark.parametrize("bits", [32, 64])
def test_counting_bits(bits: int) -> None:
    a = values(f"u{bits}", 1)
    s = a.view(f"i{bits // 8}")
    for name, function in {
        "popc": int.bit_count,
        "clz": lambda x: bits - x.bit_length(),
    }.items():
        found = evaluate(f"{name}.b{bits} d, a;", [a], np.uint32)
        np.testing.assert_array_equal(found, [function(x) for x in a.tolist()])
    found = evaluate(f"brev.b{bits} d, a;", [a], a.dtype)
    np.testing.assert_array_equal(found, [int(f"{x:0{bits}b}"[::-1], 2) for x in a.tolist()])
    found = evaluate(f"bfind.u{bits} d, a;", [a], np.uint32)
    np.testing.assert_array_equal(found, wrapped("u32", [x.bit_length() - 1 for x in a.tolist()]))
    found = evaluate(f"bfind.shiftamt.u{bits} d, a;", [a], np.uint32)
    amounts = [bits - x.bit_length() if x else -1 for x in a.tolist()]
    np.testing.assert_array_equal(found, wrapped("u32", amounts))
    found = evaluate(f"bfind.s{bits} d, a;", [s], np.uint32)
    places = [(x if x >= 0 else ~x).bit_length() - 1 for x in s.tolist()]
    np.testing.assert_array_equal(found, wrapped("u32", places))


@pytest.mark.parametrize("table", [0x96, 0xE8, 0x80, 0x1B, 0xCA])
def test_lop3(table: int) -> None:
    a, b, c = (values("u32", seed) for seed in (1, 2, 3))
    found = evaluate(f"lop3.b32 d, a, b, c, {table};", [a, b, c], np.uint32)

    def expected(x: int, y: int, z: int) -> int:
        # The table is the function of 0xF0, 0xCC and 0xAA (PTX ISA, lop3).
        return sum((table >> ((x >> k & 1) * 4 + (y >> k & 1) * 2 + (z >> k & 1)) & 1) << k
                   for k in range(32))  # fmt: skip

    cases = zip(a.tolist(), b.tolist(), c.tolist(), strict=True)
    np.testing.assert_array_equal(found, [expected(*case) for case in cases])


@pytest.mark.parametrize("mode", ["", ".f4e", ".b4e", ".rc8", ".ecl", ".ecr", ".rc16"])
def test_prmt(mode: str) -> None:
    a, b, c = (values("u32", seed) for seed in (1, 2, 3))
    found = evaluate(f"prmt.b32{mode} d, a, b, c;", [a, b, c], np.uint32)
    # Of each mode, for selectors 0 to 3, the bytes 3, 2, 1, 0 (PTX ISA, prmt).
    tables = {
        ".f4e": ["3210", "4321", "5432", "6543"],
        ".b4e": ["5670", "6701", "7012", "0123"],
        ".rc8": ["0000", "1111", "2222", "3333"],
        ".ecl": ["3210", "3211", "3222", "3333"],
        ".ecr": ["0000", "1110", "2210", "3210"],
        ".rc16": ["1010", "3232", "1010", "3232"],
    }

    def expected(x: int, y: int, z: int) -> int:
        pool = [(x | y << 32) >> (8 * k) & 255 for k in range(8)]
        if mode:
            return sum(pool[int(n)] << 8 * k for k, n in enumerate(reversed(tables[mode][z & 3])))
        result = 0
        for k in range(4):
            nibble = z >> 4 * k & 15
            byte = pool[nibble & 7]
            if nibble & 8:
                byte = 255 if byte & 128 else 0
            result |= byte << 8 * k
        return result

    cases = zip(a.tolist(), b.tolist(), c.tolist(), strict=True)
    np.testing.assert_array_equal(found, [expected(*case) for case in cases])


@pytest.mark.parametrize(
    ("side", "how"), [("l", "wrap"), ("r", "wrap"), ("l", "clamp"), ("r", "clamp")]
)
def test_funnel_shift(side: str, how: str) -> None:
    a, b, c = (values("u32", seed) for seed in (1, 2, 3))
    found = evaluate(f"shf.{side}.{how}.b32 d, a, b, c;", [a, b, c], np.uint32)

    def expected(x: int, y: int, n: int) -> int:
        n = n & 31 if how == "wrap" else min(n, 32)
        both = y << 32 | x
        return (both << n >> 32 if side == "l" else both >> n) & 0xFFFFFFFF

    cases = zip(a.tolist(), b.tolist(), c.tolist(), strict=True)
    np.testing.assert_array_equal(found, [expected(*case) for case in cases])


def test_carries_make_wide_sums_and_products() -> None:
    a, b = values("u64", 1), values("u64", 2)
    halves = (
        "{.reg .u32 al, ah, bl, bh, r0, r1, r2, r3;\nmov.b64 {al, ah}, a;\nmov.b64 {bl, bh}, b;\n"
    )
    for names, function in ((("add", "addc"), int.__add__), (("sub", "subc"), int.__sub__)):
        steps = f"{names[0]}.cc.u32 r0, al, bl;\n{names[1]}.u32 r1, ah, bh;\n"
        text = f"{halves}{steps}mov.b64 d, {{r0, r1}};\n}}"
        expected = [function(x, y) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
        np.testing.assert_array_equal(evaluate(text, [a, b], np.uint64), wrapped("u64", expected))
    # The upper 64 bits of the product from 32-bit steps.
    text = (
        f"{halves}mul.hi.u32 r0, al, bl;\nmad.lo.cc.u32 r0, ah, bl, r0;\n"
        "madc.hi.u32 r1, ah, bl, 0;\n"
        "mad.lo.cc.u32 r0, al, bh, r0;\nmadc.hi.cc.u32 r1, al, bh, r1;\naddc.u32 r2, 0, 0;\n"
        "mad.lo.cc.u32 r1, ah, bh, r1;\nmadc.hi.u32 r2, ah, bh, r2;\nmov.b64 d, {r1, r2};\n}"
    )
    expected = [x * y >> 64 for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    np.testing.assert_array_equal(evaluate(text, [a, b], np.uint64), wrapped("u64", expected))


def test_a_guard_leaves_the_other_lanes_alone() -> None:
    a, b = values("s32", 1), values("s32", 2)
    text = "mov.u32 d, 7;\nsetp.lt.s32 %p0, a, b;\n{sign} add.s32 d, a, b;"
    with np.errstate(all="ignore"):
        total = a + b
    for sign, chosen in (("@%p0", a < b), ("@!%p0", a >= b)):
        found = evaluate(text.format(sign=sign), [a, b], np.int32)
        np.testing.assert_array_equal(found, np.where(chosen, total, 7))
    # A masked fused multiply-add takes another way than one of all lanes.
    x, y = finite("f32", 1), finite("f32", 2)
    text = "mov.f32 d, a;\nsetp.lt.f32 %p0, a, b;\n@%p0 fma.rn.f32 d, a, b, d;"
    found = evaluate(text, [x, y], np.float32)
    for k in range(x.size):
        exact = rounded(
            Fraction(float(x[k])) * Fraction(float(y[k])) + Fraction(float(x[k])), "rn", x.dtype
        )
        assert float(found[k]) == (exact if x[k] < y[k] else float(x[k]))


@pytest.mark.parametrize("text", [
    "frobnicate.u32 d, a;", "add.frob d, a, a;", "mul24.hi.u32 d, a, a;", "mov.u32 d, unknown;",
    "wgmma.fence.sync.aligned;", "tex.1d.v4.f32.s32 {d, d, d, d}, [a, {a}];",
    "cvt.rn.f16x2.e4m3x2 d, a;", "add.u64 d, a, a;",
])  # fmt: skip
def test_what_is_not_known_is_named(text: str) -> None:
    with pytest.raises(Unsupported, match=r"line \d+"):
        evaluate(text, [values("u32", 1)], np.uint32)
