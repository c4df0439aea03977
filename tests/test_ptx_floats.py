"""Floating-point instructions and comparisons of the PTX interpreter against exact fractions and
NumPy, on random and special values."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from tests.ptx.bench import evaluate
from tests.ptx.samples import (
    ALL,
    Array,
    finite,
    floats,
    rounded,
    same_bits,
    values,
)

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
