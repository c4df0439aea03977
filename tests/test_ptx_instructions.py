"""Each family of instructions of the PTX interpreter against NumPy, Python's integers and exact
fractions, on random and special values, all lanes active and some."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from tests.ptx.bench import evaluate
from tests.ptx.errors import Unsupported

Array = np.ndarray[Any, Any]
COUNT = 700


def integers(kind: str, seed: int) -> Array:
    """Random, small and extreme."""
    random = np.random.default_rng(seed)
    dtype = np.dtype({"u": "u", "s": "i", "b": "u"}[kind[0]] + str(int(kind[1:]) // 8))
    limits = np.iinfo(dtype)
    special = np.array([0, 1, 2, 3, limits.max, limits.max - 1, limits.min, limits.min + 1], dtype)
    wide = random.integers(limits.min, limits.max, COUNT, dtype, endpoint=True)
    small = random.integers(0, 40, COUNT).astype(dtype)
    values = np.where(random.random(COUNT) < 0.5, wide, small)
    chosen = random.choice(special, COUNT)
    return np.where(random.random(COUNT) < 0.25, chosen, values).astype(dtype)


def floats(kind: str, seed: int) -> Array:
    """Random over all exponents, near one, and special."""
    random = np.random.default_rng(seed)
    dtype = np.dtype({"f16": "f2", "f32": "f4", "f64": "f8"}[kind])
    tiny = np.finfo(dtype).tiny
    special = np.array(
        [0.0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 0.5, tiny, tiny / 4, -tiny / 2,
         np.finfo(dtype).max, 2.5, -3.5], dtype,
    )  # fmt: skip
    bits = random.integers(0, 2 ** (8 * dtype.itemsize - 1), COUNT).astype(f"u{dtype.itemsize}")
    near = random.standard_normal(COUNT).astype(dtype)
    values = np.where(random.random(COUNT) < 0.4, bits.view(dtype), near)
    chosen = random.choice(special, COUNT)
    return np.where(random.random(COUNT) < 0.3, chosen, values).astype(dtype)


def values(kind: str, seed: int) -> Array:
    return floats(kind, seed) if kind[0] == "f" else integers(kind, seed)


def wrapped(kind: str, numbers: list[int]) -> Array:
    """Python's integers as a type."""
    size = int(kind[1:])
    dtype = np.dtype(f"u{size // 8}")
    found = np.array([n & ((1 << size) - 1) for n in numbers], dtype)
    return found.view(f"i{size // 8}") if kind[0] == "s" else found


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
ALL = ("u16", "s16", "u32", "s32", "u64", "s64")


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


ORDERED = {"eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal,
           "gt": np.greater, "ge": np.greater_equal}  # fmt: skip
UNSIGNED = {"lo": np.less, "ls": np.less_equal, "hi": np.greater, "hs": np.greater_equal}


@pytest.mark.parametrize("kind", [*ALL, "f32", "f64"])
def test_comparisons(kind: str) -> None:
    a, b = values(kind, 1), values(kind, 2)
    b[::5] = a[::5]
    nan = np.isnan(a) | np.isnan(b)
    for name, function in {**ORDERED, **(UNSIGNED if kind[0] == "u" else {})}.items():
        found = evaluate(f"setp.{name}.{kind} d, a, b;", [a, b], bool)
        np.testing.assert_array_equal(found, function(a, b) & ~nan)
        if kind[0] == "f":
            found = evaluate(f"setp.{name}u.{kind} d, a, b;", [a, b], bool)
            np.testing.assert_array_equal(found, function(a, b) | nan)
    if kind[0] == "f":
        np.testing.assert_array_equal(evaluate(f"setp.num.{kind} d, a, b;", [a, b], bool), ~nan)
        np.testing.assert_array_equal(evaluate(f"setp.nan.{kind} d, a, b;", [a, b], bool), nan)


def test_comparisons_with_a_predicate_and_two_results() -> None:
    a, b, c = values("s32", 1), values("s32", 2), values("u32", 3) % 2
    for name, function in {
        "and": np.logical_and,
        "or": np.logical_or,
        "xor": np.logical_xor,
    }.items():
        for sign, other in (("", c != 0), ("!", c == 0)):
            ask = f"setp.ne.u32 %p0, c, 0;\nsetp.lt.{name}.s32 %p1|%p2, a, b, {sign}%p0;\n"
            both = (
                f"{ask}selp.u32 %r10, 1, 0, %p1;\nselp.u32 %r11, 2, 0, %p2;\nor.b32 d, %r10, %r11;"
            )
            expected = function(a < b, other) + 2 * function(a >= b, other)
            np.testing.assert_array_equal(evaluate(both, [a, b, c], np.uint32), expected)


def test_set_slct_selp_and_testp() -> None:
    a, b, c = floats("f32", 1), floats("f32", 2), floats("f32", 3)
    found = evaluate("set.lt.u32.f32 d, a, b;", [a, b], np.uint32)
    np.testing.assert_array_equal(found, np.where(a < b, np.uint32(0xFFFFFFFF), 0))
    found = evaluate("set.geu.f32.f32 d, a, b;", [a, b], np.float32)
    np.testing.assert_array_equal(found, np.where(~(a < b), np.float32(1), 0))
    found = evaluate("slct.f32.f32 d, a, b, c;", [a, b, c], np.float32)
    np.testing.assert_array_equal(found, np.where(c >= 0, a, b))
    s = values("s32", 4)
    found = evaluate("slct.u32.s32 d, a, b, c;", [s.view("u4"), s.view("u4") + 1, s], np.uint32)
    np.testing.assert_array_equal(found, np.where(s >= 0, s, s + 1).view("u4"))
    small = np.abs(a) < np.finfo(np.float32).tiny
    for name, expected in {
        "finite": np.isfinite(a), "infinite": np.isinf(a), "number": ~np.isnan(a),
        "notanumber": np.isnan(a), "normal": np.isfinite(a) & ~small,
        "subnormal": small & (a != 0),
    }.items():  # fmt: skip
        np.testing.assert_array_equal(evaluate(f"testp.{name}.f32 d, a;", [a], bool), expected)
    found = evaluate("copysign.f32 d, a, b;", [a, b], np.float32)
    same_bits(found, np.copysign(b, a))


def same_bits(found: Array, expected: Array) -> None:
    """The same floats: the same bits, or both NaN."""
    nan = np.isnan(expected)
    np.testing.assert_array_equal(np.isnan(found), nan)
    bits = f"u{found.itemsize}"
    np.testing.assert_array_equal(
        found[~nan].view(bits), expected.astype(found.dtype)[~nan].view(bits)
    )


def rounded(exact: Fraction, mode: str, dtype: np.dtype) -> float:
    """A fraction rounded to a binary format, from its definition."""
    information = np.finfo(dtype)
    if exact == 0:
        return 0.0
    size = abs(exact)
    exponent = math.floor(math.log2(size.numerator) - math.log2(size.denominator))
    while Fraction(2) ** exponent > size:
        exponent -= 1
    while Fraction(2) ** (exponent + 1) <= size:
        exponent += 1
    unit = Fraction(2) ** (max(exponent, information.minexp) - information.nmant)
    low = math.floor(exact / unit)
    rest = exact / unit - low
    up = {
        "rn": rest > Fraction(1, 2) or (rest == Fraction(1, 2) and low % 2 == 1),
        "rm": False,
        "rp": rest > 0,
        "rz": rest > 0 and exact < 0,
    }[mode]
    result = (low + up) * unit
    limit = Fraction(float(information.max))
    if abs(result) > limit:
        outward = mode == "rn" or mode == ("rp" if exact > 0 else "rm")
        return (1 if exact > 0 else -1) * (math.inf if outward else float(limit))
    return float(result)


def finite(kind: str, seed: int) -> Array:
    found = floats(kind, seed)
    return np.where(np.isfinite(found), found, found.dtype.type(1.5))


EXACT: dict[str, Callable[..., Fraction]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "fma": lambda a, b, c: a * b + c,
    "div": lambda a, b: a / b,
}


@pytest.mark.parametrize("kind", ["f32", "f64"])
@pytest.mark.parametrize("mode", ["rn", "rz", "rm", "rp"])
@pytest.mark.parametrize("name", EXACT)
def test_float_arithmetic_rounds_once(name: str, mode: str, kind: str) -> None:
    sources = [finite(kind, seed) for seed in range(1 + EXACT[name].__code__.co_argcount)][1:]
    if name == "fma":
        # Where the sum cancels, and where the product is just off a tie.
        with np.errstate(all="ignore"):
            sources[2][::2] = -(sources[0] * sources[1])[::2]
    if name in ("add", "sub"):
        sources[1][::4] = sources[0][::4] * sources[1].dtype.type(1e-9)
    sources = [np.where(np.isfinite(s), s, s.dtype.type(1)) for s in sources]
    if name == "div":
        sources[1][sources[1] == 0] = 3
    if kind == "f64" and mode != "rn":
        # The error of a tiny product is no double.
        sources = [np.where((np.abs(s) < 1e-60) & (s != 0), s.dtype.type(0.1), s) for s in sources]
        sources = [np.where(np.abs(s) > 1e60, s.dtype.type(0.7), s) for s in sources]
    text = f"{name}.{mode}.{kind} d, {', '.join('abc'[: len(sources)])};"
    found = evaluate(text, sources, sources[0].dtype)
    for index, given in enumerate(zip(*(s.tolist() for s in sources), strict=True)):
        expected = rounded(EXACT[name](*map(Fraction, given)), mode, found.dtype)
        assert float(found[index]) == expected, (text, given, float(found[index]), expected)


@pytest.mark.parametrize("kind", ["f32", "f64"])
def test_special_floats_follow_ieee(kind: str) -> None:
    a, b = floats(kind, 1), floats(kind, 2)
    with np.errstate(all="ignore"):
        for name, function in (("add", np.add), ("sub", np.subtract), ("mul", np.multiply)):
            same_bits(evaluate(f"{name}.{kind} d, a, b;", [a, b], a.dtype), function(a, b))
        same_bits(evaluate(f"div.rn.{kind} d, a, b;", [a, b], a.dtype), a / b)
        same_bits(evaluate(f"sqrt.rn.{kind} d, a;", [a], a.dtype), np.sqrt(a))
        same_bits(evaluate(f"rcp.rn.{kind} d, a;", [a], a.dtype), 1 / a)
        same_bits(evaluate(f"neg.{kind} d, a;", [a], a.dtype), -a)
        same_bits(evaluate(f"abs.{kind} d, a;", [a], a.dtype), np.abs(a))
    for name, function in (("min", np.fmin), ("max", np.fmax)):
        expected = function(a, b)
        zeros = (a == 0) & (b == 0)
        one = np.signbit(a) | np.signbit(b) if name == "min" else np.signbit(a) & np.signbit(b)
        expected = np.where(zeros, np.where(one, -0.0, 0.0), expected).astype(a.dtype)
        same_bits(evaluate(f"{name}.{kind} d, a, b;", [a, b], a.dtype), expected)
    found = evaluate("min.NaN.f32 d, a, b;", [floats("f32", 1), floats("f32", 2)], np.float32)
    np.testing.assert_array_equal(
        np.isnan(found), np.isnan(floats("f32", 1)) | np.isnan(floats("f32", 2))
    )


def test_flushing_and_saturation() -> None:
    a, b = floats("f32", 1), floats("f32", 2)
    tiny = np.finfo(np.float32).tiny
    flush = lambda v: np.where(np.abs(v) < tiny, np.copysign(np.float32(0), v), v)  # noqa: E731
    with np.errstate(all="ignore"):
        expected = flush(flush(a) * flush(b))
        same_bits(evaluate("mul.ftz.f32 d, a, b;", [a, b], np.float32), expected)
        total = a + b
        expected = np.where(np.isnan(total), np.float32(0), np.clip(total, 0, 1))
        np.testing.assert_array_equal(
            evaluate("add.sat.f32 d, a, b;", [a, b], np.float32), expected
        )
        found = evaluate("setp.eq.ftz.f32 d, a, b;", [a, b], bool)
        np.testing.assert_array_equal(found, flush(a) == flush(b))


APPROXIMATE: dict[str, Callable[[Array], Array]] = {
    "ex2.approx": np.exp2, "lg2.approx": np.log2, "sin.approx": np.sin, "cos.approx": np.cos,
    "tanh.approx": np.tanh, "sqrt.approx": np.sqrt, "rcp.approx": lambda a: 1 / a,
    "rsqrt.approx": lambda a: 1 / np.sqrt(a),
}  # fmt: skip


@pytest.mark.parametrize("name", APPROXIMATE)
def test_approximations_are_the_functions(name: str) -> None:
    a = floats("f32", 1)
    for ftz in ("",) if name == "tanh.approx" else ("", ".ftz"):
        x = a.astype(np.float64)
        if ftz:
            x = np.where(np.abs(x) < 2.0**-126, np.copysign(0, x), x)
        with np.errstate(all="ignore"):
            expected = APPROXIMATE[name](x).astype(np.float32)
        if ftz:
            expected = np.where(
                np.abs(expected) < 2.0**-126, np.copysign(np.float32(0), expected), expected
            )
        found = evaluate(f"{name}{ftz}.f32 d, a;", [a], np.float32)
        np.testing.assert_allclose(found, expected, rtol=2e-7)


def test_approximations_of_doubles_have_no_low_half() -> None:
    a = np.abs(finite("f64", 1)) + 1e-200
    for name, function in (("rcp", lambda v: 1 / v), ("rsqrt", lambda v: 1 / np.sqrt(v))):
        found = evaluate(f"{name}.approx.ftz.f64 d, a;", [a], np.float64)
        with np.errstate(all="ignore"):
            expected = function(a)
        normal = np.isfinite(expected) & (np.abs(expected) > 1e-300)
        np.testing.assert_allclose(found[normal], expected[normal], rtol=2e-6)
        assert not (found.view(np.uint64) & np.uint64(0xFFFFFFFF)).any()


FLOATS = ("f32", "f64")
LIMITS = {f"{letter}{bits}": np.iinfo(f"{'ui'[letter == 's']}{bits // 8}")
          for letter in "us" for bits in (8, 16, 32, 64)}  # fmt: skip
WHOLE = {"rni": round, "rzi": math.trunc, "rmi": math.floor, "rpi": math.ceil}


@pytest.mark.parametrize("to", LIMITS)
@pytest.mark.parametrize("of", FLOATS)
def test_floats_to_integers_clamp(of: str, to: str) -> None:
    a = floats(of, 1)
    a[::3] = (np.random.default_rng(5).standard_normal(a[::3].size) * 1e5).astype(a.dtype)
    limits = LIMITS[to]
    for mode, function in WHOLE.items():

        def expected(x: float, function: Any = function) -> int:
            if math.isnan(x):
                return 0
            if math.isinf(x):
                return int(limits.max if x > 0 else limits.min)
            return min(max(function(x), int(limits.min)), int(limits.max))

        found = evaluate(f"cvt.{mode}.{to}.{of} d, a;", [a], limits.dtype)
        np.testing.assert_array_equal(found, [expected(x) for x in a.tolist()])


@pytest.mark.parametrize("of", LIMITS)
@pytest.mark.parametrize("to", FLOATS)
@pytest.mark.parametrize("mode", ["rn", "rz", "rm", "rp"])
def test_integers_to_floats_round(of: str, to: str, mode: str) -> None:
    a = integers(of, 1)
    found = evaluate(f"cvt.{mode}.{to}.{of} d, a;", [a], {"f32": "f4", "f64": "f8"}[to])
    expected = [rounded(Fraction(x), mode, found.dtype) for x in a.tolist()]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("of", LIMITS)
@pytest.mark.parametrize("to", LIMITS)
def test_integers_to_integers(of: str, to: str) -> None:
    a = integers(of, 1)
    found = evaluate(f"cvt.{to}.{of} d, a;", [a], LIMITS[to].dtype)
    np.testing.assert_array_equal(found, wrapped(to, a.tolist()))
    found = evaluate(f"cvt.sat.{to}.{of} d, a;", [a], LIMITS[to].dtype)
    low, high = int(LIMITS[to].min), int(LIMITS[to].max)
    np.testing.assert_array_equal(found, [min(max(x, low), high) for x in a.tolist()])


@pytest.mark.parametrize("mode", ["rn", "rz", "rm", "rp"])
def test_double_to_single_rounds(mode: str) -> None:
    a = finite("f64", 1)
    found = evaluate(f"cvt.{mode}.f32.f64 d, a;", [a], np.float32)
    expected = [rounded(Fraction(x), mode, found.dtype) for x in a.tolist()]
    np.testing.assert_array_equal(found, expected)
    single = floats("f32", 2)
    same_bits(evaluate("cvt.f64.f32 d, a;", [single], np.float64), single.astype(np.float64))


def test_floats_to_whole_floats_and_saturation() -> None:
    a = floats("f32", 1)
    for mode, function in {
        "rni": np.rint,
        "rzi": np.trunc,
        "rmi": np.floor,
        "rpi": np.ceil,
    }.items():
        same_bits(evaluate(f"cvt.{mode}.f32.f32 d, a;", [a], np.float32), function(a))
    expected = np.where(np.isnan(a), np.float32(0), np.clip(a, 0, 1))
    np.testing.assert_array_equal(evaluate("cvt.sat.f32.f32 d, a;", [a], np.float32), expected)


def test_half_floats() -> None:
    a, b = floats("f32", 1), floats("f32", 2)
    with np.errstate(all="ignore"):
        half = a.astype(np.float16)
        other = b.astype(np.float16)
        found = evaluate("cvt.rn.f16.f32 d, a;", [a], np.float16)
        same_bits(found, half)
        same_bits(evaluate("cvt.f32.f16 d, a;", [half], np.float32), half.astype(np.float32))
        same_bits(evaluate("mul.rn.f16 d, a, b;", [half, other], np.float16), half * other)
        pair = evaluate("cvt.rn.f16x2.f32 d, a, b;", [a, b], np.uint32)
    # The first source is the upper half.
    halves = pair.view(np.float16).reshape(-1, 2)
    same_bits(halves[:, 1].copy(), half)
    same_bits(halves[:, 0].copy(), other)


def test_bfloat16_and_tf32() -> None:
    a, b = finite("f32", 1), finite("f32", 2)

    def nearest(x: float, bits: int) -> float:
        # A format with float32's exponents and so many bits of fraction.
        if x == 0:
            return x
        exponent = max(math.frexp(x)[1] - 1, -126)
        unit = 2.0 ** (exponent - bits)
        low = math.floor(x / unit)
        rest = x / unit - low
        low += rest > 0.5 or (rest == 0.5 and low % 2 == 1)
        return low * unit if abs(low * unit) < 2.0**128 else math.copysign(math.inf, x)

    expected = np.array([nearest(x, 7) for x in a.tolist()])
    found = evaluate("cvt.rn.bf16.f32 d, a;", [a], np.uint16)
    back = (found.astype(np.uint32) << 16).view(np.float32)
    np.testing.assert_array_equal(back, expected)
    np.testing.assert_array_equal(evaluate("cvt.f32.bf16 d, a;", [found], np.float32), back)
    pair = evaluate("cvt.rn.bf16x2.f32 d, a, b;", [a, b], np.uint32)
    np.testing.assert_array_equal((pair & 0xFFFF0000).view(np.float32), expected)
    low = np.array([nearest(x, 7) for x in b.tolist()])
    np.testing.assert_array_equal((pair << 16).view(np.float32), low)
    rounded_away = evaluate("cvt.rna.tf32.f32 d, a;", [a], np.uint32).view(np.float32)
    usual = np.abs(a) < 1e38
    np.testing.assert_allclose(rounded_away[usual], a[usual], rtol=2.0**-11, atol=2.0**-137)
    assert not (rounded_away.view(np.uint32) & 0x1FFF).any()
    ties = np.array([1 + 2.0**-11, -1 - 2.0**-11, 1 + 3 * 2.0**-11], np.float32)
    away = evaluate("cvt.rna.tf32.f32 d, a;", [ties], np.uint32).view(np.float32)
    np.testing.assert_array_equal(away, [1 + 2.0**-10, -1 - 2.0**-10, 1 + 2.0**-9])


def test_moves_pack_and_unpack() -> None:
    a, b = values("u32", 1), values("u32", 2)
    found = evaluate("mov.b64 d, {a, b};", [a, b], np.uint64)
    np.testing.assert_array_equal(found, a.astype(np.uint64) | b.astype(np.uint64) << 32)
    wide = values("u64", 3)
    found = evaluate("mov.b64 {_, d}, a;", [wide], np.uint32)
    np.testing.assert_array_equal(found, wide >> 32)
    found = evaluate("mov.b64 {%h0, %h1, %h2, %h3}, a;\nmov.b32 d, {%h3, %h1};", [wide], np.uint32)
    np.testing.assert_array_equal(found, (wide >> 48) | (wide >> 16 & 0xFFFF) << 16)
    ones = evaluate("mov.f32 d, 0f3F800000;", [a], np.float32)
    np.testing.assert_array_equal(ones, np.ones(a.size))


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
