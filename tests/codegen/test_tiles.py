"""The contraction kernel on its own: layouts, ragged sizes, shares, and what it may touch."""

import ctypes
import functools
import mmap

import numpy as np
import pytest

from codegen.cpu import jit
from codegen.cpu.contraction_kernel import contraction_code
from codegen.cpu.loader import load
from codegen.cpu.scratch import HEADER, SCRATCH_BYTES, scratch
from codegen.machine import this_machine

ABI = ctypes.CFUNCTYPE(
    ctypes.c_int32, *[ctypes.c_void_p] * 2, *[ctypes.c_ssize_t] * 2, *[ctypes.c_void_p] * 2
)
WIDTHS = [width for width in (16, 32, 64) if width <= this_machine().vector_bytes]
NATIVE = WIDTHS[-1]
RAGGED = (1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 100)
CANARY = 0x5A
LAYOUTS = ("NN", "NT", "TN", "TT")
SIZES = (
    (17, 40, 33), (300, 530, 300), (300, 20, 1100), (64, 1030, 530), (300, 530, 3), (300, 20, 2),
    (70, 2100, 150), (200, 1100, 3),
)  # fmt: skip


@functools.cache
def kernel(dtype, vector_bytes):
    text = (
        "from codegen.cpu.contraction_kernel import contraction_code\n"
        f"def llvm(symbol):\n    return contraction_code(symbol, {dtype!r}, {vector_bytes})\n"
    )
    return load(jit.compile_text(text, "tested"), "tested")


def guarded(array):
    """A copy whose last byte is the last one before a page that may not be touched."""
    size = -(-array.nbytes // mmap.PAGESIZE) * mmap.PAGESIZE
    memory = mmap.mmap(-1, size + mmap.PAGESIZE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.mprotect(ctypes.c_void_p(address + size), mmap.PAGESIZE, 0) == 0
    copy = np.frombuffer(memory, array.dtype, array.size, size - array.nbytes)
    copy = copy.reshape(array.shape)
    copy[...] = array
    return copy


class Outcome:
    """The result, and how often each of its elements was handed over."""

    def __init__(self, shape, dtype):
        self.values = np.full(shape, np.nan, dtype)
        self.times = np.zeros(shape, int)


def contract(pairs, *, workers=1, tile=8, axis=1, vector_bytes=NATIVE, inner=1, shape=None):
    """Runs every worker's share. Left operands are (batch, rows, depth) views, right operands
    (batch, depth, columns); an operand of another layout is one with other strides."""
    left, right = pairs[0]
    dtype = left.dtype
    batch, rows, columns = shape or (left.shape[0], left.shape[1], right.shape[2])
    outcome = Outcome((batch, rows, columns), dtype)
    memory = np.full(SCRATCH_BYTES + 128, CANARY, np.uint8)
    at = 64 - memory.ctypes.data % 64
    own = memory[at : at + SCRATCH_BYTES]
    header, floats = own.view(np.int64), own.view(dtype)
    block = 8 * HEADER // dtype.itemsize

    def epilogue(status, error, worker, count, n, p):
        z, low, high, first, last, stride = header[:6].tolist()
        height, width = high - low, last - first
        found = floats[block : block + height * stride].reshape(height, stride)[:, :width]
        outcome.values[z, low:high, first:last] = found
        outcome.times[z, low:high, first:last] += 1
        return 0

    called = ABI(epilogue)
    n = [axis, (batch, rows, columns)[axis] // inner, tile, inner, batch, rows, columns]
    p = [ctypes.cast(called, ctypes.c_void_p).value, own.ctypes.data]
    n.append(len(pairs))
    for one, two in pairs:
        n += [one.shape[2]]
        n += [stride // dtype.itemsize for stride in (*one.strides, *two.strides)]
        p += [one.ctypes.data, two.ctypes.data]
    run = ABI(kernel(str(dtype), vector_bytes).address)
    numbers, pointers, status = (np.array(words, np.int64) for words in (n, p, [0, 0]))
    for worker in range(workers):
        run(status.ctypes.data, status.ctypes.data + 8, worker, workers, numbers.ctypes.data,
            pointers.ctypes.data)  # fmt: skip
    assert (memory[:at] == CANARY).all()
    assert (memory[at + SCRATCH_BYTES :] == CANARY).all()
    assert (outcome.times == 1).all()
    return outcome.values


def operands(layout, rows, depth, columns, dtype="float32", *, batch=1, seed=0):
    """Random operands; T means that the operand lies in memory transposed."""
    random = np.random.default_rng((seed, rows, depth, columns))
    result = []
    for letter, first, second in zip(layout, (rows, depth), (depth, columns), strict=True):
        shape = (batch, second, first) if letter == "T" else (batch, first, second)
        array = guarded(random.standard_normal(shape).astype(dtype))
        result.append(array.swapaxes(1, 2) if letter == "T" else array)
    return tuple(result)


def close(ours, pairs):
    wide = [(one.astype(float), two.astype(float)) for one, two in pairs]
    wanted = sum(one @ two for one, two in wide)
    scale = sum(abs(one) @ abs(two) for one, two in wide)
    eps = np.finfo(ours.dtype).eps
    depth = sum(one.shape[2] for one, _ in pairs)
    assert (abs(ours - wanted) <= eps * (depth + 1) * scale).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_at_ragged_sizes(layout, dtype):
    for rows in RAGGED:
        for columns in RAGGED:
            for depth in (1, 17, 100):
                pair = operands(layout, rows, depth, columns, dtype)
                close(contract([pair]), [pair])


@pytest.mark.parametrize("vector_bytes", WIDTHS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_registers_of_every_width_give_the_same_bits(layout, vector_bytes):
    for rows, depth, columns in ((1, 5, 3), (9, 33, 23), (21, 7, 50), (40, 300, 17)):
        for dtype in ("float32", "float64"):
            pair = operands(layout, rows, depth, columns, dtype)
            ours = contract([pair], vector_bytes=vector_bytes)
            close(ours, [pair])
            assert ours.tobytes() == contract([pair]).tobytes()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", SIZES)
def test_shares_tiles_and_layouts_give_the_same_bits(layout, size):
    rows, depth, columns = size
    plain = operands("NN", rows, depth, columns)
    pair = tuple(
        guarded(each.swapaxes(1, 2)).swapaxes(1, 2) if letter == "T" else each
        for letter, each in zip(layout, plain, strict=True)
    )
    wanted = contract([plain], tile=rows)
    close(wanted, [plain])
    for workers in (1, 2, 3, 8):
        for tile in (1, 5, 8, 64):
            for axis in (1, 2):
                ours = contract([pair], workers=workers, tile=tile, axis=axis)
                assert ours.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("workers", [1, 2, 3, 8])
def test_batches_are_shared_out(workers):
    pair = operands("NT", 9, 13, 17, batch=6)
    wanted = contract([pair], tile=6, axis=0)
    close(wanted, [pair])
    for inner in (1, 2, 3):
        ours = contract([pair], workers=workers, tile=1, axis=0, inner=inner)
        assert ours.tobytes() == wanted.tobytes()


def test_without_a_tile_the_first_worker_takes_all():
    pair = operands("NN", 20, 13, 17)
    wanted = contract([pair])
    assert contract([pair], tile=0, workers=3).tobytes() == wanted.tobytes()


def test_rows_of_several_letters_are_shared_by_the_first():
    pair = operands("NN", 30, 13, 17)
    wanted = contract([pair])
    ours = contract([pair], tile=2, inner=5, workers=2)
    assert ours.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_several_products_are_one_chain(dtype):
    pairs = [operands(layout, 37, depth, 45, dtype)
             for layout, depth in (("NN", 300), ("TN", 9), ("NT", 270))]  # fmt: skip
    ours = contract(pairs)
    close(ours, pairs)
    lefts, rights = zip(*pairs, strict=True)
    joined = (np.concatenate(lefts, 2), np.concatenate(rights, 1))
    assert ours.tobytes() == contract([joined]).tobytes()


def test_a_product_without_depth_adds_nothing():
    pair, empty = operands("NN", 12, 5, 7), operands("NN", 12, 0, 7)
    wanted = contract([pair])
    assert contract([empty, pair]).tobytes() == wanted.tobytes()
    assert contract([pair, empty]).tobytes() == wanted.tobytes()
    zeros = contract([empty])
    assert zeros.tobytes() == bytes(zeros.nbytes)


@pytest.mark.parametrize("size", [(0, 5, 7), (7, 5, 0), (0, 0, 0)])
def test_a_result_without_elements(size):
    for workers in (1, 3):
        assert contract([operands("NN", *size)], workers=workers).size == 0


def test_no_batch_at_all():
    assert contract([operands("NN", 3, 4, 5, batch=0)], axis=0).size == 0


def test_any_strides():
    random = np.random.default_rng(0)
    wide = random.standard_normal((2, 3, 30, 40)).astype("float32")
    left, right = wide[:, 0, ::2, :28:2], wide[:, 1, 2::2, 1::4]
    close(contract([(left, right)]), [(left, right)])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_not_finite_stays_where_it_is(layout):
    left, right = operands(layout, 19, 23, 37)
    left[0, 4, 5], right[0, 7, 36] = np.nan, np.inf
    with np.errstate(all="ignore"):
        wanted = left @ right
    ours = contract([(left, right)])
    assert (np.isnan(ours) == np.isnan(wanted)).all()
    assert (np.isinf(ours) == np.isinf(wanted)).all()


def test_a_depth_in_parts_is_still_one_chain():
    depth = scratch("float32").depth
    left, right = operands("NN", 1, depth + 40, 3)
    left[0, 0, :depth] = right[0, :depth] = 1
    # Added one by one to the depth, each is lost; added up first, they would not be.
    left[0, 0, depth:], right[0, depth:] = 2.0**-9, 2.0**-9
    assert (contract([(left, right)]) == depth).all()


def test_the_module_is_written_anew_each_time():
    one, two = (contraction_code("same", "float32", NATIVE) for _ in range(2))
    assert one == two
