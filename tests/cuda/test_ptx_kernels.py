"""Kernels that Numba compiles, run by the interpreter of PTX, against NumPy; and faults planted in
their texts, which it finds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from codegen.cuda.device import Launch
from codegen.cuda.toolchain import image
from tests.ptx.device import SimulatedDevice
from tests.ptx.errors import BarrierDivergence, Deadlock, OutOfBounds, PtxError, Race
from tests.ptx.machine import Checks

Array = np.ndarray[Any, Any]
HEADER = """\
import math

from numba import cuda
from numba.cuda import float32, float64, int32, int64, types, uint32
from numba.cuda.extending import intrinsic

from codegen.cuda.control import grid_barrier, words


def pointer(kind):
    kind = types.CPointer(kind)

    @intrinsic
    def to(typing, address):
        def generated(context, builder, signature, arguments):
            return builder.inttoptr(arguments[0], context.get_value_type(kind))

        return kind(address), generated

    return to


floats, doubles, numbers = pointer(float32), pointer(float64), pointer(int32)


"""


def ran(
    text: str,
    arguments: Sequence[Array | int],
    *,
    blocks: int = 1,
    seed: int | None = None,
    races: bool = True,
) -> SimulatedDevice:
    """Launches the text's kernel; arrays are filled with what it leaves."""
    device = SimulatedDevice(checks=Checks(seed=seed, races=races, limit=2_000_000))
    places, words = [], []
    for argument in arguments:
        value = argument
        if isinstance(argument, np.ndarray):
            value = device.allocate(argument.nbytes)
            device.upload(value, argument)
            places.append((value, argument))
        words.append(value)
    device.launch(Launch(device.load(image(HEADER + text)), blocks, tuple(words)))
    for address, array in places:
        device.download(array, address)
    return device


ELEMENTWISE = """\
def kernel(x, y, count):
    x, y, i = {kind}(x), {kind}(y), cuda.grid(1)
    if i < count:
        v = x[i]
        y[i] = {value}
"""
FUNCTIONS = {
    "math.sqrt(v) / {kind}(3)": lambda v: np.sqrt(v) / v.dtype.type(3),
    "math.exp(v) + math.log(v)": lambda v: np.exp(v) + np.log(v),
    "math.sin(v * {kind}(4096)) - math.cos(v)": lambda v: np.sin(v * 4096) - np.cos(v),
    "math.tanh(v)": np.tanh,
    "v ** {kind}(1.7)": lambda v: v ** v.dtype.type(1.7),
    "math.erf(v)": lambda v: np.array([math.erf(x) for x in v.tolist()], v.dtype),
    "math.floor(v * 5)": lambda v: np.floor(v * 5),
}


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("value", FUNCTIONS)
def test_elementary_functions(value: str, kind: str) -> None:
    x = np.random.default_rng(1).random(700).astype(kind) * 3 + np.dtype(kind).type(0.1)
    y = np.zeros_like(x)
    pointer = {"float32": "floats", "float64": "doubles"}[kind]
    text = ELEMENTWISE.format(kind=pointer, value=value.format(kind=kind))
    ran(text, [x, y, 690], blocks=3)
    expected = FUNCTIONS[value](x)
    error = {"float32": 2e-6, "float64": 2e-14}[kind]
    np.testing.assert_allclose(y[:690], expected[:690], rtol=error, atol=error)
    np.testing.assert_array_equal(y[690:], 0)


def test_integers_and_local_arrays() -> None:
    text = """\
def kernel(a, b, out):
    a, b, out, i = numbers(a), numbers(b), words(out), cuda.grid(1)
    own = cuda.local.array(8, int32)
    for k in range(8):
        own[k] = a[i] * k
    out[i] = (a[i] // b[i]) * 3 + (a[i] % b[i]) - (a[i] >> 2) + own[a[i] & 7]
"""
    random = np.random.default_rng(2)
    a = random.integers(-1000, 1000, 512).astype(np.int32)
    b = random.integers(1, 50, 512).astype(np.int32)
    b[::3] *= -1
    out = np.zeros(512, np.int64)
    ran(text, [a, b, out], blocks=2)
    wide = a.astype(np.int64)
    np.testing.assert_array_equal(out, wide // b * 3 + wide % b - (wide >> 2) + wide * (wide & 7))


SOFTMAX = """\
def kernel(x, y, columns):
    x, y, lane = floats(x), floats(y), cuda.threadIdx.x % 32
    row = cuda.grid(1) // 32 * columns
    most = float32(-math.inf)
    for j in range(lane, columns, 32):
        most = max(most, x[row + j])
    for d in (16, 8, 4, 2, 1):
        most = max(most, cuda.shfl_xor_sync(0xFFFFFFFF, most, d))
    total = float32(0)
    for j in range(lane, columns, 32):
        total += math.exp(x[row + j] - most)
    for d in (16, 8, 4, 2, 1):
        total += cuda.shfl_xor_sync(0xFFFFFFFF, total, d)
    for j in range(lane, columns, 32):
        y[row + j] = math.exp(x[row + j] - most) / total
"""


@pytest.mark.parametrize("seed", [None, 4])
@pytest.mark.parametrize("columns", [1, 31, 32, 100])
def test_a_softmax_of_shuffles(columns: int, seed: int | None) -> None:
    x = np.random.default_rng(3).standard_normal((16, columns)).astype(np.float32)
    y = np.zeros_like(x)
    ran(SOFTMAX, [x, y, columns], blocks=2, seed=seed)
    e = np.exp(x - x.max(1, keepdims=True))
    np.testing.assert_allclose(y, e / e.sum(1, keepdims=True), rtol=1e-5)


def test_histogram_of_atomics() -> None:
    text = """\
def kernel(x, counts, places):
    own, t = cuda.shared.array(64, int32), cuda.threadIdx.x
    if t < 64:
        own[t] = 0
    cuda.syncthreads()
    cuda.atomic.add(own, numbers(x)[cuda.grid(1)] & 63, 1)
    cuda.syncthreads()
    if t < 64:
        words(counts)[cuda.blockIdx.x * 64 + t] = own[t]
"""
    x = np.random.default_rng(4).integers(0, 1000, 1024).astype(np.int32)
    counts = np.zeros((4, 64), np.int64)
    ran(text, [x, counts, 0], blocks=4)
    expected = [np.bincount(row & 63, minlength=64) for row in x.reshape(4, 256)]
    np.testing.assert_array_equal(counts, expected)


PRODUCT = """\
def kernel(a, b, c):
    a, b, c, n = floats(a), floats(b), floats(c), 32
    sa, sb = cuda.shared.array((16, 16), float32), cuda.shared.array((16, 16), float32)
    y, x = cuda.threadIdx.x // 16, cuda.threadIdx.x % 16
    row, column = cuda.blockIdx.x // 2 * 16 + y, cuda.blockIdx.x % 2 * 16 + x
    total = float32(0)
    for k in range(0, n, 16):
        sa[y, x] = a[row * n + k + x]
        sb[y, x] = b[(k + y) * n + column]
        {before}
        for j in range(16):
            total += sa[y, j] * sb[j, x]
        {after}
    c[row * n + column{beyond}] = total
"""
TURNS = """\
def kernel(x, counter, rounds):
    x, counter = floats(x), words(counter)
    blocks = int64(cuda.gridDim.x)
    count = blocks * 256
    i, met = int64(cuda.grid(1)), int64(0)
    for r in range(1, rounds):
        x[r * count + i] = x[(r - 1) * count + count - 1 - i] + float32(1)
        met += {goal}
        {meet}
"""
BRANCH = """\
def kernel(x, y, z):
    if cuda.threadIdx.x {condition}:
        cuda.syncthreads()
"""
SYNC = "cuda.syncthreads()"
MEET = "grid_barrier(counter, met)"
CORRECT = {
    "product": PRODUCT.format(before=SYNC, after=SYNC, beyond=""),
    "turns": TURNS.format(goal="blocks", meet=MEET),
    "branch": BRANCH.format(condition="< 256"),
}
PLANTED: dict[str, tuple[str, str, type[PtxError]]] = {
    "no barrier after the tiles are filled": (
        "product", PRODUCT.format(before="pass", after=SYNC, beyond=""), Race),
    "no barrier before they are filled again": (
        "product", PRODUCT.format(before=SYNC, after="pass", beyond=""), Race),
    "past the end": (
        "product", PRODUCT.format(before=SYNC, after=SYNC, beyond=" + 1"), OutOfBounds),
    "no grid barrier": ("turns", TURNS.format(goal="blocks", meet="cuda.syncthreads()"), Race),
    "a goal that never comes": ("turns", TURNS.format(goal="blocks + 1", meet=MEET), Deadlock),
    "a barrier in a branch": (
        "branch", BRANCH.format(condition="% 32 < 7"), BarrierDivergence),
}  # fmt: skip


def arguments_of(name: str) -> list[Array | int]:
    random = np.random.default_rng(5)
    if name == "product":
        a, b = (random.standard_normal((32, 32)).astype(np.float32) for _ in range(2))
        return [a, b, np.zeros((32, 32), np.float32)]
    if name == "turns":
        x = np.zeros((5, 1024), np.float32)
        x[0] = random.random(1024)
        return [x, np.zeros(1, np.int64), 5]
    return [0, 0, 0]


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found(name: str) -> None:
    base, text, fault = PLANTED[name]
    with pytest.raises(fault, match="kernel_"):
        ran(text, arguments_of(base), blocks=4)


def test_a_barrier_that_opens_too_soon_is_found_when_blocks_are_not_in_step() -> None:
    text = TURNS.format(goal="blocks - 1", meet=MEET)
    for seed in range(4):
        with pytest.raises(Race):
            ran(text, arguments_of("turns"), blocks=4, seed=seed)


@pytest.mark.parametrize("seed", [None, 1, 2])
@pytest.mark.parametrize("name", CORRECT)
def test_the_right_kernel_passes(name: str, seed: int | None) -> None:
    arguments = arguments_of(name)
    device = ran(CORRECT[name], arguments, blocks=4, seed=seed)
    assert device.launches == 1
    if name == "product":
        a, b, c = arguments
        np.testing.assert_allclose(c, a @ b, rtol=1e-5, atol=1e-5)
    if name == "turns":
        x = arguments[0]
        for r in range(1, 5):
            np.testing.assert_array_equal(x[r], x[r - 1][::-1] + np.float32(1))
