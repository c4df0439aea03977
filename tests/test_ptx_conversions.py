"""Conversions and moves of the PTX interpreter against exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from tests.ptx.bench import evaluate
from tests.ptx.samples import (
    finite,
    floats,
    integers,
    rounded,
    same_bits,
    values,
    wrapped,
)

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
    edges = [float(limits.max) + k for k in (-1, 0, 1, 2)] + [float(limits.min) - k for k in (0, 1)]
    a[: len(edges)] = edges
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
