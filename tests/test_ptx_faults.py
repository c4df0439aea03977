"""Planted faults: the PTX interpreter finds each, and passes the corrected kernel."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from tests.ptx.bench import kernel, run
from tests.ptx.errors import (
    BarrierDivergence,
    Deadlock,
    InFlight,
    Misaligned,
    OutOfBounds,
    PtxError,
    Race,
    TooLong,
    Trap,
    Uninitialised,
    WarpDivergence,
)
from tests.ptx.machine import Checks

Array = np.ndarray[Any, Any]
SHARED = ".extern .shared .align 16 .b8 arena[];\n"
# %rd10 and %rd11: this thread's place in the first and second array; %r10: its place in the arena,
# %r11: that of the thread 33 further on (another warp, another lane), round the block.
PLACES = """
mul.wide.u32 %rd9, %r2, 4;
add.s64 %rd10, %rd0, %rd9;
add.s64 %rd11, %rd1, %rd9;
mov.u32 %r9, arena;
shl.b32 %r8, %r0, 2;
add.s32 %r10, %r9, %r8;
add.s32 %r7, %r0, 33;
and.b32 %r7, %r7, 255;
shl.b32 %r8, %r7, 2;
add.s32 %r11, %r9, %r8;
"""
# The same for the next lane of the same warp.
NEIGHBOUR = PLACES.replace("add.s32 %r7, %r0, 33;\nand.b32 %r7, %r7, 255;", """
add.s32 %r7, %r0, 1;
and.b32 %r7, %r7, 31;
and.b32 %r6, %r0, 224;
or.b32 %r7, %r7, %r6;""")  # fmt: skip
ROTATE = "ld.global.f32 %f1, [%rd10];\nst.shared.f32 [%r10], %f1;\n{}ld.shared.f32 %f2, [%r11];\n"
# Grid barrier on the counter at %rd2: all blocks have come when it is %r20.
GRID = """
bar.sync 0;
setp.ne.u32 %p1, %r0, 0;
@%p1 bra passed;
red.release.gpu.global.add.u32 [%rd2], 1;
again:
ld.acquire.gpu.global.u32 %r21, [%rd2];
setp.lt.u32 %p2, %r21, %r20;
@%p2 bra again;
passed:
bar.sync 0;
"""
ACROSS = """
mov.u32 %r20, %nctaid.x;
ld.global.f32 %f1, [%rd10];
add.f32 %f1, %f1, 0f3F800000;
st.global.f32 [%rd10], %f1;
{}
// What the next block wrote.
mov.u32 %r30, %nctaid.x;
add.s32 %r31, %r1, 1;
rem.u32 %r31, %r31, %r30;
mad.lo.u32 %r31, %r31, 256, %r0;
mul.wide.u32 %rd20, %r31, 4;
add.s64 %rd20, %rd0, %rd20;
ld.global.f32 %f2, [%rd20];
st.global.f32 [%rd11], %f2;
"""


@dataclass(frozen=True)
class Case:
    """A body with a hole, what goes into it in the right kernel and in the wrong one, and the fault
    of the wrong one. Parameters: two arrays of floats, and a zeroed counter."""

    body: str
    right: str
    wrong: str
    fault: type[PtxError]
    text: str
    blocks: int = 1
    shared: int = 4096
    places: str = PLACES
    line: str = ""
    extra: dict[str, Any] = field(default_factory=dict)


CASES = {
    "a read before the barrier": Case(
        ROTATE + "st.global.f32 [%rd11], %f2;", "bar.sync 0;\n", "", Race, "orders after a write",
        line="ld.shared.f32 %f2",
    ),
    "a write before the readers are done": Case(
        ROTATE.format("bar.sync 0;\n") + "{}st.shared.f32 [%r10], %f2;",
        "bar.sync 0;\n", "", Race, "orders after a read",
    ),
    "all read what one wrote": Case(
        "setp.eq.u32 %p0, %r0, 70;\n@%p0 st.shared.u32 [%r9], %r0;\n{}ld.shared.u32 %r12, [%r9];",
        "bar.sync 0;\n", "", Race, "orders after a write",
    ),
    "one writes what all read": Case(
        "setp.eq.u32 %p0, %r0, 70;\n@%p0 st.shared.u32 [%r9], %r0;\nbar.sync 0;\n"
        "ld.shared.u32 %r12, [%r9];\nld.shared.u32 %r12, [%r9];\n{}@%p0 st.shared.u32 [%r9], %r7;",
        "bar.sync 0;\n", "", Race, "orders after a read",
    ),
    "one block writes what all blocks read": Case(
        # The later ones look at it later, when the first waits already.
        "mov.u32 %r20, %nctaid.x;\nsetp.eq.u32 %p0, %r2, 70;\nmov.u32 %r30, %r1;\nmore:\n"
        "bar.sync 0;\nsub.s32 %r30, %r30, 1;\nsetp.ge.s32 %p3, %r30, 0;\n@%p3 bra more;\n"
        "ld.global.f32 %f1, [%rd0+64];\n{}"
        "@%p0 st.global.f32 [%rd0+64], 0f3F800000;", GRID, "bar.sync 0;\n", Race,
        "orders after a read", blocks=3,
    ),
    "two read at once and one of them writes": Case(
        "st.shared.f32 [%r10], 0f00000000;\nbar.sync 0;\nand.b32 %r12, %r0, 127;\n"
        "mad.lo.u32 %r12, %r12, 4, %r9;\nld.shared.f32 %f1, [%r12];\n{}"
        "setp.ge.u32 %p0, %r0, 128;\n@%p0 st.shared.f32 [%r12], 0f3F800000;",
        "bar.sync 0;\n", "", Race, "orders after a read",
    ),
    "two read one after the other and the second writes": Case(
        "st.shared.f32 [%r10], 0f00000000;\nbar.sync 0;\nand.b32 %r12, %r0, 127;\n"
        "mad.lo.u32 %r12, %r12, 4, %r9;\nsetp.ge.u32 %p0, %r0, 128;\n"
        "@!%p0 ld.shared.f32 %f1, [%r12];\n@%p0 ld.shared.f32 %f1, [%r12];\n{}"
        "@%p0 st.shared.f32 [%r12], 0f3F800000;",
        "bar.sync 0;\n", "", Race, "orders after a read",
    ),
    "all read what one copies": Case(
        "setp.ne.u32 %p0, %r0, 0;\n@%p0 bra all;\n"
        "cp.async.ca.shared.global [%r9], [%rd10], 4;\n{}all:\nbar.sync 0;\n"
        "ld.shared.f32 %f1, [%r9];", "cp.async.wait_all;\n", "", InFlight, "cp.async",
    ),
    "two warps write one place": Case(
        "cvt.rn.f32.u32 %f1, %r0;\nst.shared.f32 [{}], %f1;", "%r10", "%r9", Race,
        "different values",
    ),
    "a write over another warp's": Case(
        "cvt.rn.f32.u32 %f1, %r0;\nst.shared.f32 [%r10], %f1;\n{}st.shared.f32 [%r11], %f1;",
        "bar.sync 0;\n", "", Race, "orders after a write",
    ),
    "lanes of one warp without syncwarp": Case(
        ROTATE + "st.global.f32 [%rd11], %f2;", "bar.warp.sync -1;\n", "", Race,
        "orders after a write", places=NEIGHBOUR,
    ),
    "syncwarp where other warps wrote": Case(
        ROTATE + "st.global.f32 [%rd11], %f2;", "bar.sync 0;\n", "bar.warp.sync -1;\n", Race,
        "orders after a write",
    ),
    "a shuffle orders no memory": Case(
        ROTATE + "st.global.f32 [%rd11], %f2;", "bar.warp.sync -1;\n",
        "shfl.sync.idx.b32 %r15, %r0, 0, 31, -1;\n", Race, "orders after a write",
        places=NEIGHBOUR,
    ),
    "global memory between warps of a block": Case(
        "st.global.f32 [%rd10], 0f3F800000;\n{}xor.b32 %r20, %r2, 64;\n"
        "mul.wide.u32 %rd20, %r20, 4;\nadd.s64 %rd20, %rd0, %rd20;\n"
        "ld.global.f32 %f2, [%rd20];\nst.global.f32 [%rd11], %f2;",
        "bar.sync 0;\n", "", Race, "global memory that nothing orders after a write",
    ),
    "global memory between blocks": Case(
        ACROSS, GRID, "bar.sync 0;\n", Race, "global memory that nothing orders after a write",
        blocks=4,
    ),
    "a grid barrier without the block's first": Case(
        ACROSS, GRID, GRID.replace("bar.sync 0;", "", 1), Race, "orders after a write", blocks=4,
    ),
    "a grid barrier without the block's second": Case(
        ACROSS, GRID, GRID.rsplit("bar.sync 0;", 1)[0], Race, "orders after a write", blocks=4,
    ),
    "a grid barrier that does not release": Case(
        ACROSS, GRID, GRID.replace("red.release", "red.relaxed"), Race, "orders after a write",
        blocks=4,
    ),
    "a grid barrier that does not acquire": Case(
        ACROSS, GRID, GRID.replace("ld.acquire", "ld.relaxed"), Race, "orders after a write",
        blocks=4,
    ),
    "a grid barrier of fences without the second": Case(
        ACROSS,
        GRID.replace("red.release.gpu", "membar.gl;\nred").replace("ld.acquire.gpu", "ld.volatile")
        .replace("passed:", "membar.gl;\npassed:"),
        GRID.replace("red.release.gpu", "membar.gl;\nred").replace("ld.acquire.gpu", "ld.volatile"),
        Race, "orders after a write", blocks=4,
    ),
    "a grid barrier of fences without the first": Case(
        ACROSS,
        GRID.replace("red.release.gpu", "membar.gl;\nred"),
        GRID.replace("red.release.gpu", "red"), Race, "orders after a write", blocks=4,
    ),
    "a grid barrier for more blocks than there are": Case(
        ACROSS, GRID, GRID.replace("%p2, %r21, %r20", "%p2, %r21, 5"), Deadlock, "nobody writes",
        blocks=4,
    ),
    "an atomic and a plain access": Case(
        "mov.u32 %r12, 0;\nsetp.eq.u32 %p0, %r0, 0;\n@%p0 st.shared.u32 [%r9], %r12;\nbar.sync 0;\n"
        "atom.shared.add.u32 %r13, [%r9], 1;\n{}ld.shared.u32 %r14, [%r9];\n"
        "cvt.rn.f32.u32 %f1, %r14;\nst.global.f32 [%rd11], %f1;",
        "bar.sync 0;\n", "", Race, "after an atomic access",
    ),
    "a barrier in a branch": Case(
        "setp.lt.u32 %p0, %r0, {};\n@!%p0 bra skip;\nbar.sync 0;\nskip:\n", "256", "100",
        BarrierDivergence, "have ended",
    ),
    "a barrier that half of the warps never reach": Case(
        "setp.lt.u32 %p0, %r0, 128;\n@!%p0 bra skip;\nbar.sync 1, {};\nskip:\n", "128", "160",
        Deadlock, "never come",
    ),
    "lanes of a warp at two barriers": Case(
        "and.b32 %r12, %r0, {};\nsetp.eq.u32 %p0, %r12, 0;\n@%p0 bra other;\nbar.sync 0;\n"
        "bra join;\nother:\nbar.sync 0;\njoin:\n", "32", "1",
        BarrierDivergence, "another barrier instruction",
    ),
    "a shuffle in a branch": Case(
        "setp.lt.u32 %p0, %r0, {};\n@!%p0 bra skip;\n"
        "shfl.sync.bfly.b32 %r12, %r0, 1, 31, -1;\nskip:\n",
        "64", "72", WarpDivergence, "never come here",
    ),
    "a shuffle whose partners wait elsewhere": Case(
        "setp.lt.u32 %p0, %r0, {};\n@!%p0 bra skip;\n"
        "shfl.sync.bfly.b32 %r12, %r0, 1, 31, -1;\nskip:\n"
        "bar.sync 0;\n", "64", "72", WarpDivergence, "never come here",
    ),
    "a shuffle from a lane that is not named": Case(
        "and.b32 %r12, %r0, 31;\nsetp.lt.u32 %p0, %r12, 16;\n@!%p0 bra skip;\n"
        "shfl.sync.down.b32 %r12, %r0, {}, 31, 65535;\nskip:\n", "0", "8", WarpDivergence,
        "does not take part",
    ),
    "a shuffle by a lane that is not named": Case(
        "shfl.sync.idx.b32 %r12, %r0, 0, 31, {};\n", "-1", "65535", WarpDivergence,
        "not in its own member mask",
    ),
    "a vote in a branch": Case(
        "setp.lt.u32 %p0, %r0, {};\n@!%p0 bra skip;\nvote.sync.any.pred %p1, %p0, -1;\nskip:\n",
        "64", "72", WarpDivergence, "never come here",
    ),
    "a misaligned vector": Case(
        "and.b32 %r12, %r0, 127;\nmul.wide.u32 %rd20, %r12, {};\nadd.s64 %rd20, %rd0, %rd20;\n"
        "ld.global.v2.f32 {{%f1, %f2}}, [%rd20];", "8", "4", Misaligned, "8 bytes at 0x",
    ),
    "a misaligned vector in shared memory": Case(
        "st.shared.f32 [%r10], 0f00000000;\nbar.sync 0;\nand.b32 %r12, %r0, 7;\n"
        "mad.lo.u32 %r12, %r12, {}, %r9;\nld.shared.v4.f32 {{%f1, %f2, %f3, %f4}}, [%r12];",
        "16", "8", Misaligned, "16 bytes",
    ),
    "shared memory aligned by chance only": Case(
        "{}", "st.shared.f32 [%r10], 0f00000000;",
        "st.shared.v4.f32 [few], {{%f1, %f1, %f1, %f1}};",
        Misaligned, "16 bytes", extra={"before": ".shared .align 4 .b8 few[64];\n"},
    ),
    "past the end of an array": Case(
        "ld.global.f32 %f1, [%rd10{}];", "", "+4", OutOfBounds, "thread 255",
    ),
    "before the start of an array": Case(
        "st.global.f32 [%rd10{}], 0f00000000;", "", "+-4", OutOfBounds, "thread 0",
    ),
    "a vector over the end": Case(
        "and.b32 %r12, %r0, 63;\nmul.wide.u32 %rd20, %r12, 16;\nadd.s64 %rd20, %rd0, %rd20;\n"
        "ld.global.v4.f32 {{%f1, %f2, %f3, %f4}}, [%rd20{}];", "", "+16", OutOfBounds, "16 bytes",
    ),
    "past the end of shared memory": Case(
        "st.shared.f32 [%r10{}], 0f00000000;", "+3072", "+3076", OutOfBounds, "shared memory",
    ),
    "past the end of shared memory by a generic address": Case(
        "cvt.u64.u32 %rd20, %r10;\ncvta.shared.u64 %rd20, %rd20;\nst.f32 [%rd20{}], 0f00000000;",
        "+3072", "+3076", OutOfBounds, "shared memory",
    ),
    "shared memory that nobody wrote": Case(
        "st.shared.f32 [%r10], 0f00000000;\nbar.sync 0;\nld.shared.f32 %f1, [%r11{}];", "", "+1024",
        Uninitialised, "nobody wrote",
    ),
    "a copy not waited for": Case(
        "cp.async.ca.shared.global [%r10], [%rd10], 4;\ncp.async.commit_group;\n"
        "cp.async.ca.shared.global [%r10+1024], [%rd10], 4;\ncp.async.commit_group;\n"
        "cp.async.wait_group {};\nbar.sync 0;\nld.shared.f32 %f1, [%r11];\n"
        "st.global.f32 [%rd11], %f1;", "1", "2", InFlight, "cp.async",
    ),
    "a copy in no group": Case(
        "cp.async.ca.shared.global [%r10], [%rd10], 4;\n{}cp.async.wait_group 0;\nbar.sync 0;\n"
        "ld.shared.f32 %f1, [%r11];", "cp.async.commit_group;\n", "", InFlight, "cp.async",
    ),
    "a copy waited for by its own thread only": Case(
        "cp.async.ca.shared.global [%r10], [%rd10], 4;\ncp.async.wait_all;\n{}"
        "ld.shared.f32 %f1, [%r11];", "bar.sync 0;\n", "", Race, "orders after a write",
    ),
    "a copy into what others still read": Case(
        ROTATE.format("bar.sync 0;\n") + "{}cp.async.ca.shared.global [%r10], [%rd10], 4;\n"
        "cp.async.wait_all;\n", "bar.sync 0;\n", "", Race, "orders after a read",
    ),
    "a trap": Case("setp.gt.u32 %p0, %r0, {};\n@%p0 trap;", "300", "200", Trap, "trap"),
    "a loop without end": Case(
        "mov.u32 %r12, 0;\nturn:\nadd.s32 %r12, %r12, 1;\nsetp.lt.u32 %p0, %r12, 10;\n"
        "{} bra turn;\n", "@%p0", "@!%p9", TooLong, "100000 instructions",
    ),
}  # fmt: skip


def launched(case: Case, hole: str, **checks: Any) -> None:
    body = case.places + case.body.replace("{{", "\0").replace("}}", "\1").format("\2")
    body = body.replace("\0", "{").replace("\1", "}").replace("\2", hole.replace("{{", "{"))
    body = body.replace("}}", "}")
    text = kernel(body, 3, before=SHARED + case.extra.get("before", ""))
    count = 256 * case.blocks
    arrays = [np.arange(count, dtype=np.float32), np.zeros(count, np.float32)]
    counter = np.zeros(1, np.uint32)
    run(
        text, [*arrays, counter], blocks=case.blocks, shared=case.shared,
        checks=Checks(limit=100_000, **checks),
    )  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_planted_fault_is_found(name: str) -> None:
    case = CASES[name]
    with pytest.raises(case.fault, match=re.escape(case.text)) as caught:
        launched(case, case.wrong)
    if case.fault not in (Deadlock, TooLong):
        assert re.search(r"tested, line \d+ of its PTX, block \d+, thread \d+", str(caught.value))
    assert case.line in str(caught.value)


@pytest.mark.parametrize("seed", [None, 1, 2])
@pytest.mark.parametrize("name", CASES)
def test_the_corrected_kernel_passes(name: str, seed: int | None) -> None:
    launched(CASES[name], CASES[name].right, seed=seed)


def test_lanes_that_have_ended_take_part_in_nothing() -> None:
    text = "setp.ge.u32 %p0, %r0, {};\n@%p0 ret;\nbar.warp.sync -1;\n"
    run(kernel(text.format(64), 0), [])
    with pytest.raises(WarpDivergence, match="ended"):
        run(kernel(text.format(72), 0), [])


def test_a_seed_changes_what_a_missing_barrier_gives() -> None:
    body = PLACES + ROTATE.format("") + "st.global.f32 [%rd11], %f2;"
    results = set()
    for seed in range(4):
        data, out = np.arange(256, dtype=np.float32), np.zeros(256, np.float32)
        run(
            kernel(body, 2, before=SHARED), [data, out], shared=4096,
            checks=Checks(races=False, seed=seed),
        )  # fmt: skip
        results.add(out.tobytes())
    assert len(results) > 1
