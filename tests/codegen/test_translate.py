"""Kernel texts translated directly against the same texts compiled by Numba: the same bits."""

from __future__ import annotations

import ast
from typing import Any

import numpy as np
import pytest

from codegen import cache
from codegen.compile import Options, compile_program
from codegen.cpu import jit
from codegen.cpu.kinds import Untranslated
from codegen.cpu.loader import load
from codegen.crew import PROTOTYPE
from tests.codegen.samples import SAMPLES

HEAD = """\
from math import inf, nan

import numpy as np
from numba import float32, float64, int32, int64, njit, uint8

from codegen.cpu.operations import *

FOUR = 4
HALF = 0.5


@njit(error_model="numpy", nogil=True, inline="always")
def first_above(words, count, bound):
    for place in range(count):
        if words[place] > bound:
            return place
    return -1


@njit(error_model="numpy", nogil=True, inline="always")
def doubled(words, place):
    words[place] = 2 * words[place]


def kernel(worker, workers, n, p):
    whole = {kind}_restrict(p, 0)
    reals = {real}_restrict(p, 1)
    words = int64_at(p, 2)
    small = int32_at(p, 3)
    flags = bool_at(p, 4)
    count = n[0]
    for k in range(count):
        a, b = reals[k], reals[count - 1 - k]
        i, j = words[k], words[count - 1 - k]
        s, t = small[k], small[count - 1 - k]
        f, g = flags[k], flags[count - 1 - k]
"""
REALS = np.array([0.0, -0.0, 1.0, -1.5, 3.25, 1e30, -1e-30, np.inf, -np.inf, np.nan, 0.1, 7.0])
WORDS = np.array([0, 1, -1, 2, -7, 13, 100, -100, 2**31, -(2**40), 5, 63])
SMALL = np.array([0, 1, -1, 7, -7, 2**31 - 1, -(2**31), 12, 100, -100, 3, 5], np.int32)
FLAGS = np.array([0, 1, 1, 0, 1, 0, 0, 1, 1, 1, 0, 1], np.uint8)

REAL_LINES = [
    "a + b", "a - b", "a * b", "a / b", "-a", "a * b + b", "a + i", "i * b", "s / t", "i / j",
    "float32(a)", "float64(a) + b", "float32(i)", "float64(s)", "a if a == a else b",
    "a if a < b else (b if i > j else a * b)", "maximum(a, b)", "minimum(a, b)", "exp(a)",
    "sign(a)", "absolute(a)", "floor(a)", "power_2(a)", "a * HALF", "a + FOUR", "inf", "-inf",
    "nan", "float32(f)", "a - float32(0.1)", "float64(i == j)", "np.float64(3)",
]  # fmt: skip
INT_LINES = [
    "i + j", "i - j", "i * 3", "-i", "~i", "i & j", "i | j", "i ^ j", "i << 3", "i >> 2",
    "i // 7", "i % 7", "i // j", "i % j", "(i + 1023) // 1024", "s + t", "s * t", "s - i", "-s",
    "int32(s + t)", "int32(i)", "int64(s)", "int64(f)", "int64(s < t)", "s & t", "s >> 1",
    "min(i, j)", "max(i, j)", "min(s, 5)", "max(n[0], 1)", "a < b", "a <= b", "a > b", "a >= b",
    "a == b", "a != b", "i < j", "i != s", "s == t", "f != 0", "f == g", "i == f", "not (a < b)",
    "not i", "a < b and i < j", "a < b or i < j or s == t", "(a < b) & (i < j)",
    "(f != 0) | (g != 0)", "(i < j) == (s < t)", "(i < j) + i", "i + FOUR", "isfinite(a)",
    "int64_of_float(a)", "int32_of_float(a)", "floor_divide(i, j)", "remainder(i, j)",
    "power_integer(i, 3)", "permuted(k, count, 7, i)", "uint8(a < b)", "np.int64(5)",
    "i if f != 0 else j", "share(k, count, 100, 8)", "first_above(words, count, i)",
    "words[small[1]]", "k if not (i < j and words[k] // j > 0) else -1",
]  # fmt: skip
BODIES = [
    "total = 0\nfor m in range(k):\n    total += m * i\nout[k] = total",
    "total = 0\nfor m in range(2, k):\n    if m == 5:\n        continue\n"
    "    if m > 8:\n        break\n    total += m\nout[k] = total",
    "total = 0\nfor m in range(0, count, 5):\n    total = 10 * total + m\nout[k] = total + m",
    "m = 3\nfor m in range(k):\n    m = m * 10\nout[k] = m",
    "w = k\nwhile w:\n    w >>= 1\n    out[k] = w",
    "w, v = k, 1\nwhile True:\n    if w <= 0:\n        break\n    w, v = w - 2, v + w\nout[k] = v",
    "if i < j:\n    out[k] = 1\nelse:\n    if s < t:\n        out[k] = 2\n    else:\n        pass",
    "stack = int64_stack()\nfor m in range(4):\n    stack[m] = m + i\nout[k] = stack[k & 3]",
    "view = offset(words, 2)\nout[k] = view[k & 7]",
    "doubled(out, k)\nout[k] += 1\ndoubled(out, k)",
    "if k == 3:\n    return\nout[k] = k",
]


def text(bodies: list[str], kind: str, real: str) -> str:
    """A kernel in which each body has cells of its own to write to."""
    lines = []
    for number, body in enumerate(bodies):
        lines += [f"out = offset(whole, {number} * count)", *body.splitlines()]
    return HEAD.format(kind=kind, real=real) + "".join(f"        {line}\n" for line in lines)


def run(code: str, symbol: str, out: np.ndarray[Any, Any], real: str) -> None:
    loaded = load(jit.compile_text(code, symbol), symbol)
    arrays = (out, REALS.astype(real), WORDS, SMALL, FLAGS)
    cells = np.array([each.ctypes.data for each in arrays], np.int64)
    count, scratch = np.array([len(WORDS)], np.int64), np.zeros(2, np.int64)
    status = scratch.ctypes.data
    PROTOTYPE(loaded.address)(status, status + 8, 0, 1, count.ctypes.data, cells.ctypes.data)


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """No kernel is in memory or on disk."""
    monkeypatch.setenv("SYMNET_CACHE", str(tmp_path / "cache"))
    cache.forget()
    yield
    cache.forget()


def refuse(*_: Any) -> str:
    raise Untranslated("everything")


def neither(*_: Any) -> Any:
    raise AssertionError("Numba was asked")


def agree(bodies: list[str], kind: str, real: str, monkeypatch: pytest.MonkeyPatch) -> None:
    results = []
    for name, stand_in in (("_by_numba", neither), ("translated", refuse)):
        out = np.arange(3, 3 + len(bodies) * len(WORDS)).astype(kind)
        with monkeypatch.context() as patch:
            patch.setattr(jit, name, stand_in)
            run(text(bodies, kind, real), "kernel_of_a_test", out, real)
        results.append(out.reshape(len(bodies), -1))
    ours, numbas = results
    # The sign of a NaN is anybody's.
    same = (ours.view(f"u{ours.itemsize}") == numbas.view(f"u{ours.itemsize}")) | (
        (ours != ours) & (numbas != numbas)
    )
    for body, row, mine, other in zip(bodies, same, ours, numbas, strict=True):
        assert row.all(), (body, kind, real, mine, other)


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("real", ["float32", "float64"])
def test_floats_have_the_bits_that_numba_gives_them(kind, real, monkeypatch):
    agree([f"out[k] = {line}" for line in REAL_LINES], kind, real, monkeypatch)


def test_integers_and_truth_values_have_the_bits_that_numba_gives_them(monkeypatch):
    agree([f"out[k] = {line}" for line in INT_LINES], "int64", "float32", monkeypatch)


def test_statements_do_what_they_do_in_numba(monkeypatch):
    agree(BODIES, "int64", "float64", monkeypatch)


@pytest.mark.parametrize(
    "body",
    [
        "v = i\nv = a\nout[k] = v",
        "out[k] = i ** 2",
        "out[k] = 0 < i < j",
        "out[k] = abs(i)",
        "for m in range(4, 0, -1):\n    out[k] = m",
        "out[k] = i and j",
        "out[k] = f + g",
    ],
)
def test_what_is_beyond_it_goes_to_numba(body, monkeypatch):
    code = text([body], "float64", "float64")
    tree = ast.parse(code)
    restricted = jit._lift(tree)
    with pytest.raises(Untranslated):
        jit.translated(
            tree, jit._module(tree, "t"), "t", [(e.cell, e.kind) for e in restricted], ""
        )
    asked = []
    before = jit._by_numba
    monkeypatch.setattr(jit, "_by_numba", lambda *a: asked.append(a) or before(*a))
    run(code, "kernel_of_a_test", np.zeros(len(WORDS)), "float64")
    assert len(asked) == 1


@pytest.mark.usefixtures("empty")
@pytest.mark.parametrize("name", ["softmax", "reductions", "scatter", "adam", "trained"])
def test_whole_programs_need_no_numba_and_have_the_bits_that_it_gives_them(name, monkeypatch):
    sample, results = SAMPLES[name], []
    for seam, stand_in in (("_by_numba", neither), ("translated", refuse)):
        with monkeypatch.context() as patch:
            patch.setattr(jit, seam, stand_in)
            cache.forget()
            monkeypatch.setenv("SYMNET_CACHE", f"{cache.folder()}{seam}")
            executable = compile_program(sample.program, Options(threads=1))
            arrays = sample.arrays()
            outcome = executable.bind(sample.sizes, arrays).run()
        results.append((outcome, {key: array.tobytes() for key, array in arrays.items()}))
    assert results[0] == results[1]
