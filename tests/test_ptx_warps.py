"""What lanes do together in the PTX interpreter, against loops over lanes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.ptx.bench import kernel, run
from tests.ptx.errors import Race
from tests.ptx.machine import Checks
from tests.ptx.samples import values

Array = np.ndarray[Any, Any]
LANES = range(32)
PLACE = """
mul.wide.u32 %rd9, %r2, 4;
add.s64 %rd10, %rd0, %rd9;
add.s64 %rd11, %rd1, %rd9;
ld.global.u32 %r10, [%rd10];
{}
st.global.u32 [%rd11], %r11;
"""


def answered(body: str, given: Array, *, blocks: int = 1, **more: Any) -> Array:
    """What each thread leaves in %r11, given its number in %r10."""
    out = np.zeros(given.size, np.uint32)
    text = kernel(PLACE.format(body), 2, before=".extern .shared .align 16 .b8 arena[];\n")
    run(text, [np.ascontiguousarray(given), out], blocks=blocks, shared=8192, **more)
    return out


def shuffled(row: list[int], mode: str, steps: list[int], c: int) -> tuple[list[int], list[bool]]:
    """The manual's pseudo code (PTX ISA, shfl.sync)."""
    found, valid = [], []
    for lane in LANES:
        b, clamp, segment = steps[lane] & 31, c & 31, c >> 8 & 31
        last, first = (lane & segment) | (clamp & ~segment), lane & segment
        if mode == "up":
            source, inside = lane - b, lane - b >= last
        elif mode == "down":
            source, inside = lane + b, lane + b <= last
        elif mode == "bfly":
            source, inside = lane ^ b, lane ^ b <= last
        else:
            source, inside = first | (b & ~segment), (first | (b & ~segment)) <= last
        found.append(row[source if inside else lane])
        valid.append(inside)
    return found, valid


@pytest.mark.parametrize("width", [32, 16, 8, 4, 2])
@pytest.mark.parametrize("mode", ["up", "down", "bfly", "idx"])
def test_shuffles(mode: str, width: int) -> None:
    given = values("u32", 1)[:512]
    # How __shfl_*_sync make the operand (CUDA's sm_30_intrinsics.hpp).
    c = (32 - width) << 8 | (0 if mode == "up" else 31)
    for step in (0, 1, 3, 16, 31):
        both = "shfl.sync.{}.b32 %r12|%p1, %r10, {}, {}, -1;\nselp.u32 %r13, 1, 0, %p1;\n{}"
        found = answered(both.format(mode, step, c, "mov.u32 %r11, %r12;"), given, blocks=2)
        inside = answered(both.format(mode, step, c, "mov.u32 %r11, %r13;"), given, blocks=2)
        for warp in range(16):
            row = given[32 * warp : 32 * warp + 32].tolist()
            expected, valid = shuffled(row, mode, [step] * 32, c)
            assert found[32 * warp : 32 * warp + 32].tolist() == expected
            assert inside[32 * warp : 32 * warp + 32].tolist() == valid


def test_a_shuffle_by_a_source_that_varies_and_among_some_lanes() -> None:
    given = values("u32", 1)[:256]
    body = "and.b32 %r12, %r10, 31;\nshfl.sync.idx.b32 %r11, %r10, %r12, 31, -1;"
    found = answered(body, given)
    rows = given.reshape(-1, 32)
    np.testing.assert_array_equal(found, np.take_along_axis(rows, rows & 31, 1).reshape(-1))
    body = (
        "mov.u32 %r11, 0;\nmov.u32 %r12, %laneid;\nsetp.lt.u32 %p0, %r12, 8;\n@!%p0 bra out;\n"
        "shfl.sync.bfly.b32 %r11, %r10, 1, 31, 255;\nout:\n"
    )
    expected = np.where(np.arange(32) < 8, rows[:, np.arange(32) ^ 1], 0)
    np.testing.assert_array_equal(answered(body, given), expected.reshape(-1))


VOTES: dict[str, Callable[[list[bool]], int]] = {
    "all.pred": lambda said: int(all(said)),
    "any.pred": lambda said: int(any(said)),
    "uni.pred": lambda said: int(len(set(said)) == 1),
    "ballot.b32": lambda said: sum(yes << k for k, yes in enumerate(said)),
}


@pytest.mark.parametrize("name", VOTES)
def test_votes(name: str) -> None:
    given = values("u32", 1)[:256] % 3
    given[32:64], given[64:96] = 0, 1
    for sign, said in (("", given != 0), ("!", given == 0)):
        body = f"setp.ne.u32 %p0, %r10, 0;\nvote.sync.{name} "
        if name.startswith("ballot"):
            body += f"%r11, {sign}%p0, -1;"
        else:
            body += f"%p1, {sign}%p0, -1;\nselp.u32 %r11, 1, 0, %p1;"
        rows = said.reshape(-1, 32).tolist()
        expected = [VOTES[name](row) for row in rows for _ in LANES]
        np.testing.assert_array_equal(answered(body, given), expected)


def test_match_redux_elect_and_activemask() -> None:
    given = values("u32", 1)[:256] % 4
    given[32:64] = 2
    rows = given.reshape(-1, 32).tolist()
    found = answered("match.any.sync.b32 %r11, %r10, -1;", given)
    expected = [sum((row[k] == row[lane]) << k for k in LANES) for row in rows for lane in LANES]
    np.testing.assert_array_equal(found, expected)
    found = answered("match.all.sync.b32 %r11|%p0, %r10, -1;\n@!%p0 mov.u32 %r11, 5;", given)
    np.testing.assert_array_equal(
        found, [2**32 - 1 if len(set(r)) == 1 else 5 for r in rows for _ in LANES]
    )
    for name, function in {"add": sum, "max": max, "min": min}.items():
        found = answered(f"redux.sync.{name}.u32 %r11, %r10, -1;", given)
        np.testing.assert_array_equal(found, [function(row) for row in rows for _ in LANES])
    found = answered("elect.sync %r11|%p0, -1;\n@%p0 mov.u32 %r11, 99;", given)
    np.testing.assert_array_equal(found, [99 if lane == 0 else 0 for _ in rows for lane in LANES])
    body = (
        "setp.eq.u32 %p0, %r10, 1;\nmov.u32 %r11, 0;\n@!%p0 bra out;\nactivemask.b32 %r11;\nout:\n"
    )
    here = [sum((x == 1) << k for k, x in enumerate(row)) for row in rows]
    expected = [here[w] if x == 1 else 0 for w, row in enumerate(rows) for x in row]
    np.testing.assert_array_equal(answered(body, given), expected)


def test_lanes_that_part_meet_again() -> None:
    # A loop of as many turns as a lane's number, then a shuffle that needs all of them.
    body = (
        "and.b32 %r12, %r10, 15;\nmov.u32 %r13, 0;\nturn:\nsetp.ge.u32 %p0, %r13, %r12;\n"
        "@%p0 bra done;\nadd.u32 %r13, %r13, 1;\nbra turn;\ndone:\n"
        "shfl.sync.bfly.b32 %r11, %r13, 1, 31, -1;"
    )
    given = values("u32", 1)[:256]
    for seed in (None, 3):
        found = answered(body, given, checks=Checks(seed=seed))
        np.testing.assert_array_equal(found, (given & 15)[np.arange(256) ^ 1])


@pytest.mark.parametrize("seed", [None, 1])
def test_barriers_that_reduce(seed: int | None) -> None:
    given = values("u32", 1)[:512] % 2
    given[256:] = 1
    said = (given != 0).reshape(2, 256)
    ask = "setp.ne.u32 %p0, %r10, 0;\n"
    checks = Checks(seed=seed)
    found = answered(f"{ask}bar.red.popc.u32 %r11, 0, %p0;", given, blocks=2, checks=checks)
    np.testing.assert_array_equal(found, np.repeat(said.sum(1), 256))
    for name, expected in (("and", said.all(1)), ("or", said.any(1))):
        body = (
            f"{ask}barrier.sync 1;\nbarrier.red.{name}.pred %p1, 0, %p0;\nselp.u32 %r11, 1, 0, %p1;"
        )
        found = answered(body, given, blocks=2, checks=checks)
        np.testing.assert_array_equal(found, np.repeat(expected, 256))


@pytest.mark.parametrize("seed", [None, 1, 2])
def test_a_barrier_of_producers_and_consumers(seed: int | None) -> None:
    body = """
    mov.u32 %r12, arena;
    and.b32 %r13, %r0, 127;
    shl.b32 %r13, %r13, 2;
    add.u32 %r12, %r12, %r13;
    mov.u32 %r11, 0;
    setp.ge.u32 %p0, %r0, 128;
    @%p0 bra consumer;
    st.shared.u32 [%r12], %r10;
    bar.arrive 3, 256;
    bra out;
    consumer:
    {}
    ld.shared.u32 %r11, [%r12];
    out:
    """
    given = values("u32", 1)[:256]
    found = answered(body.format("bar.sync 3, 256;"), given, checks=Checks(seed=seed))
    np.testing.assert_array_equal(found, [*[0] * 128, *given[:128]])
    if seed is None:
        with pytest.raises(Race):
            answered(body.format("").replace("bar.arrive 3, 256;", ""), given)


ATOMICS: dict[str, tuple[str, Callable[[list[int]], int]]] = {
    "add.u32": ("%r10", lambda xs: sum(xs) % 2**32),
    "max.u32": ("%r10", max),
    "min.s32": ("%r10", lambda xs: min(*(x - (x >> 31 << 32) for x in xs), 0) % 2**32),
    "or.b32": ("%r10", lambda xs: int(np.bitwise_or.reduce(np.array(xs, np.uint32)))),
    "xor.b32": ("%r10", lambda xs: int(np.bitwise_xor.reduce(np.array(xs, np.uint32)))),
    "inc.u32": ("9", lambda xs: len(xs) % 10),
}


@pytest.mark.parametrize("where", ["global", "shared", ""])
@pytest.mark.parametrize("name", ATOMICS)
def test_atomics(name: str, where: str) -> None:
    operand, function = ATOMICS[name]
    given = values("u32", 1)[:256]
    dot = f".{where}" if where else ""
    body = {
        "global": "mov.u64 %rd12, counter;\n",
        "shared": "mov.u64 %rd12, arena;\n",
        "": "mov.u64 %rd12, arena;\ncvta.shared.u64 %rd12, %rd12;\n",
    }[where]
    if where != "global":
        body += "setp.eq.u32 %p0, %r0, 0;\nmov.u32 %r12, 0;\n@%p0 st.shared.u32 [arena], %r12;\n"
    body += (
        f"bar.sync 0;\natom{dot}.{name} %r13, [%rd12], {operand};\nbar.sync 0;\n"
        f"ld{dot}.u32 %r11, [%rd12];"
    )
    out = np.zeros(256, np.uint32)
    before = ".extern .shared .align 16 .b8 arena[];\n.global .align 4 .u32 counter;\n"
    text = kernel(PLACE.format(body), 2, before=before)
    run(text, [given, out], shared=64)
    assert set(out.tolist()) == {function(given.tolist())}


def test_compare_and_swap_takes_turns() -> None:
    # A lock that every lane of two blocks takes once; what it guards is counted without atomics.
    text = kernel(
        """
        turn:
        atom.acquire.gpu.global.cas.b32 %r10, [%rd0], 0, 1;
        setp.ne.u32 %p0, %r10, 0;
        @%p0 bra turn;
        ld.global.u32 %r11, [%rd1];
        add.u32 %r11, %r11, 1;
        st.global.u32 [%rd1], %r11;
        atom.release.gpu.global.exch.b32 %r12, [%rd0], 0;
        """,
        2, threads=32,
    )  # fmt: skip
    lock, count = np.zeros(1, np.uint32), np.zeros(1, np.uint32)
    run(text, [lock, count], blocks=2, threads=32)
    assert count[0] == 64


def test_seeds_change_the_order_of_atomics() -> None:
    text = kernel("cvt.rn.f32.u32 %f1, %r0;\nrcp.rn.f32 %f1, %f1;\n"
                  "max.f32 %f1, %f1, 0f00000000;\nmin.f32 %f1, %f1, 0f3F800000;\n"
                  "red.global.add.f32 [%rd0], %f1;", 1)  # fmt: skip
    sums = set()
    for seed in range(6):
        total = np.zeros(1, np.float32)
        run(text, [total], checks=Checks(seed=seed))
        sums.add(float(total[0]))
    assert len(sums) > 1
    np.testing.assert_allclose(list(sums), 1 + sum(1 / k for k in range(1, 256)), rtol=1e-5)


def test_one_address_is_a_place_for_each_block_or_thread() -> None:
    given = values("u32", 1)[:512]
    # The first thread's number, through the block's shared memory.
    body = (
        "setp.eq.u32 %p0, %r0, 0;\n@%p0 st.shared.u32 [arena+4], %r10;\nbar.sync 0;\n"
        "ld.shared.u32 %r11, [arena+4];"
    )
    expected = np.repeat(given[::256], 256)
    np.testing.assert_array_equal(answered(body, given, blocks=2), expected)
    generic = (
        "mov.u64 %rd12, arena;\ncvta.shared.u64 %rd12, %rd12;\nsetp.eq.u32 %p0, %r0, 0;\n"
        "@%p0 st.u32 [%rd12+4], %r10;\nbar.sync 0;\nld.u32 %r11, [%rd12+4];"
    )
    np.testing.assert_array_equal(answered(generic, given, blocks=2), expected)
    own = (
        "{.local .align 8 .b8 mine[16];\nmov.u64 %rd12, mine;\ncvta.local.u64 %rd13, %rd12;\n"
        "st.local.u32 [%rd12+8], %r10;\nld.u32 %r11, [%rd13+8];\n}"
    )
    np.testing.assert_array_equal(answered(own, given, blocks=2), given)
