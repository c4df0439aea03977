"""Functions, branches, scopes, variables and vectors in the PTX interpreter, and its device."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest

from codegen.cuda.device import Device, Launch
from tests.ptx.bench import HEAD, kernel, run
from tests.ptx.device import SimulatedDevice
from tests.ptx.errors import LaunchFault, OutOfBounds, Unsupported
from tests.ptx.machine import Checks
from tests.ptx.parser import parse
from tests.ptx.samples import values

Array = np.ndarray[Any, Any]
PLACE = """
mul.wide.u32 %rd9, %r2, 4;
add.s64 %rd10, %rd0, %rd9;
add.s64 %rd11, %rd1, %rd9;
ld.global.u32 %r10, [%rd10];
{}
st.global.u32 [%rd11], %r11;
"""
FUNCTIONS = """
.func (.param .b32 answer) twice(.param .b32 given);
.func (.param .b32 answer) thrice(.param .b32 given, .param .align 8 .b8 pair[8])
{
  .reg .b32 %r<9>;
  .reg .pred %p;
  ld.param.u32 %r0, [given+0];
  ld.param.v2.u32 {%r1, %r2}, [pair+0];
  setp.lt.u32 %p, %r0, %r1;
  @%p bra little;
  { // callseq
    .param .b32 a; .param .b32 b;
    st.param.b32 [a+0], %r0;
    call.uni (b), twice, (a);
    ld.param.b32 %r3, [b+0];
  }
  add.u32 %r3, %r3, %r0;
  st.param.b32 [answer+0], %r3;
  ret;
little:
  st.param.b32 [answer+0], %r2;
  ret;
}
.func (.param .b32 answer) twice(.param .b32 given)
{
  .reg .b32 %r<3>;
  ld.param.u32 %r1, [given];
  shl.b32 %r1, %r1, 1;
  st.param.u32 [answer], %r1;
  ret;
}
"""
CALL = """{
.param .b32 x; .param .align 8 .b8 y[8]; .param .b32 z;
st.param.b32 [x], %r10;
st.param.b32 [y], 100;
st.param.b32 [y+4], %r0;
call (z), thrice, (x, y);
ld.param.b32 %r11, [z];
}"""


def answered(body: str, given: Array, before: str = "", **more: Any) -> Array:
    """What each thread leaves in %r11, given its number in %r10."""
    out = np.zeros(given.size, np.uint32)
    text = kernel(PLACE.format(body), 2, before=before)
    run(text, [np.ascontiguousarray(given), out], blocks=given.size // 256, **more)
    return out


def small(seed: int) -> Array:
    return values("u32", seed)[:512] % 200


@pytest.mark.parametrize("seed", [None, 5])
def test_functions_are_called_by_some_lanes_and_from_two_places(seed: int | None) -> None:
    given = small(1)
    threads = np.arange(512) % 256
    thrice = np.where(given < 100, threads, 3 * given)
    checks = Checks(seed=seed)
    np.testing.assert_array_equal(answered(CALL, given, FUNCTIONS, checks=checks), thrice)
    body = f"""
    mov.u32 %r11, 1;
    setp.gt.u32 %p1, %r10, 150;
    @%p1 bra other;
    {CALL}
    bra join;
    other:
    add.u32 %r10, %r10, 7;
    {CALL}
    add.u32 %r11, %r11, 1;
    join:
    shfl.sync.bfly.b32 %r12, %r11, 1, 31, -1;
    mov.u32 %r11, %r12;
    """
    single = np.where(given > 150, 3 * (given + 7) + 1, thrice)
    found = answered(body, given, FUNCTIONS, checks=checks)
    np.testing.assert_array_equal(found, single[np.arange(512) ^ 1])


def test_barriers_inside_of_functions() -> None:
    before = """
.extern .shared .align 16 .b8 arena[];
.func (.param .b32 answer) turned(.param .b32 given)
{
  .reg .b32 %r<9>;
  mov.u32 %r0, %tid.x;
  shl.b32 %r1, %r0, 2;
  mov.u32 %r2, arena;
  add.u32 %r1, %r1, %r2;
  ld.param.u32 %r3, [given];
  bar.sync 0;
  st.shared.u32 [%r1], %r3;
  bar.sync 0;
  xor.b32 %r4, %r0, 255;
  shl.b32 %r4, %r4, 2;
  add.u32 %r4, %r4, %r2;
  ld.shared.u32 %r5, [%r4];
  st.param.b32 [answer+0], %r5;
  ret;
}
"""
    once = "{.param .b32 x; .param .b32 z;\nst.param.b32 [x], %r10;\ncall.uni (z), turned, (x);\n"
    once += "ld.param.b32 %r11, [z];\n}\n"
    given = small(2)
    found = answered(once, given, before, shared=1024)
    np.testing.assert_array_equal(found, given.reshape(2, 256)[:, ::-1].reshape(-1))
    found = answered(once + "mov.u32 %r10, %r11;\n" + once, given, before, shared=1024)
    np.testing.assert_array_equal(found, given)


def test_lanes_in_a_function_keep_what_they_were_given() -> None:
    before = """
.func (.param .b32 answer) met(.param .b32 given)
{
  .reg .b32 %r<3>;
  bar.warp.sync -1;
  ld.param.u32 %r1, [given];
  add.u32 %r1, %r1, 1;
  st.param.u32 [answer], %r1;
  bar.warp.sync -1;
  ret;
}
"""
    call = "{{.param .b32 x; .param .b32 z;\n{} st.param.b32 [x], %r11;\ncall (z), met, (x);\n"
    call += "ld.param.b32 %r11, [z];\n}}\n"
    body = (
        "setp.lt.u32 %p1, %r10, 100;\n@%p1 bra other;\n" + call.format("mov.u32 %r11, %r10;")
        + "bra join;\nother:\n" + call.format("add.u32 %r11, %r10, 1000;") + "join:\n"
    )  # fmt: skip
    given = small(1)
    expected = np.where(given < 100, given + 1001, given + 1)
    np.testing.assert_array_equal(answered(body, given, before), expected)


def test_what_cannot_be_called_is_named() -> None:
    call = "call.uni {}, ();"
    with pytest.raises(Unsupported, match="vprintf is called, and has no body"):
        answered(call.format("vprintf"), small(1), ".extern .func vprintf();\n")
    recursive = ".func around() {\ncall.uni around, ();\nret;\n}\n"
    with pytest.raises(Unsupported, match="around calls itself"):
        answered(call.format("around"), small(1), recursive)


def test_branch_tables() -> None:
    body = """
    and.b32 %r12, %r10, 3;
    table: .branchtargets first, second, third, first;
    brx.idx %r12, table;
    first:
    mov.u32 %r11, 10;
    bra.uni join;
    second:
    mov.u32 %r11, 20;
    bra.uni join;
    third:
    mov.u32 %r11, 30;
    join:
    bar.warp.sync -1;
    """
    given = small(3)
    expected = np.array([10, 20, 30, 10])[given & 3]
    np.testing.assert_array_equal(answered(body, given), expected)
    with pytest.raises(Unsupported, match="no branch 4"):
        answered(body.replace("%r10, 3", "%r10, 7"), np.full(256, 4, np.uint32))


def test_scopes_have_their_own_registers_and_labels() -> None:
    body = """
    mov.u32 %r11, 0;
    {
      .reg .b32 t;
      .reg .pred q;
      mov.u32 t, %r10;
      again:
      add.u32 %r11, %r11, 1;
      { .reg .b64 t; .reg .pred q; mov.u64 t, 5; again: setp.eq.u64 q, t, 6; add.u64 t, t, 1;
        @!q bra again; cvt.u32.u64 %r12, t; add.u32 %r11, %r11, %r12; }
      setp.ge.u32 q, %r11, t;
      @!q bra again;
    }
    { .reg .b16 t; mov.u16 t, 2; { .reg .b32 %r11; mov.u32 %r11, 99; } }
    """
    given = small(4)
    # Each turn adds 1 + 7, until that is no less.
    expected = 8 * np.maximum(1, -(-given.astype(int) // 8))
    np.testing.assert_array_equal(answered(body, given), expected)


def test_variables_of_the_module() -> None:
    before = (
        ".visible .global .align 4 .u32 table[4] = {7, 0x10, 9, -1};\n"
        ".const .align 8 .b8 bytes[6] = {1, 2, 3, 4, 5};\n.global .align 4 .u32 zero;\n"
        ".global .align 8 .u64 where[2] = {table, generic(zero)};\n"
    )
    body = """
    and.b32 %r12, %r10, 3;
    mul.wide.u32 %rd12, %r12, 4;
    ld.global.u64 %rd13, [where];
    add.s64 %rd13, %rd13, %rd12;
    ld.global.nc.u32 %r11, [%rd13];
    ld.const.u8 %r13, [bytes+4];
    ld.const.u8 %r14, [bytes+5];
    ld.global.u64 %rd14, [where+8];
    ld.u32 %r15, [%rd14];
    add.u32 %r11, %r11, %r13;
    add.u32 %r11, %r11, %r14;
    add.u32 %r11, %r11, %r15;
    """
    given = small(5)
    table = np.array([7, 16, 9, 0xFFFFFFFF], np.uint32)
    np.testing.assert_array_equal(answered(body, given, before), table[given & 3] + np.uint32(5))


def test_vectors_and_narrow_elements() -> None:
    body = """
    .local .align 16 .b8 own[32];
    cvt.u64.u32 %rd12, %r10;
    st.local.v4.u32 [own], {%r10, %r0, 3, 4};
    st.local.u8 [own+16], %r10;
    ld.local.v2.u64 {%rd13, %rd14}, [own];
    mov.b64 {_, %r12}, %rd13;
    ld.local.s8 %r13, [own+16];
    ld.local.u8 %r14, [own+16];
    mov.b64 {%r15, %r16}, %rd14;
    mad.lo.s32 %r11, %r12, 1000, %r13;
    mad.lo.u32 %r11, %r14, 1000000, %r11;
    mad.lo.u32 %r11, %r16, 7, %r11;
    """
    given = small(6)
    byte = given.astype(np.uint8)
    threads = np.arange(512) % 256
    expected = threads * 1000 + byte.view(np.int8).astype(int) + byte.astype(int) * 1000000 + 28
    np.testing.assert_array_equal(answered(body, given), expected.astype(np.uint32))
    # A pair of 64-bit words and four bytes of a global array.
    wide, out = np.arange(1024, dtype=np.uint64) << 33, np.zeros(512, np.uint64)
    text = kernel(
        "mul.wide.u32 %rd9, %r2, 16;\nadd.s64 %rd9, %rd9, %rd0;\nmul.wide.u32 %rd10, %r2, 8;\n"
        "add.s64 %rd10, %rd10, %rd1;\nld.global.L1::no_allocate.v2.u64 {%rd11, %rd12}, [%rd9];\n"
        "sub.u64 %rd11, %rd12, %rd11;\nst.global.cs.u64 [%rd10], %rd11;",
        2,
    )
    run(text, [wide, out], blocks=2)
    np.testing.assert_array_equal(out, np.full(512, 1 << 33))


def test_special_registers_of_a_grid_of_three_dimensions() -> None:
    names = ["%tid.x", "%tid.y", "%tid.z", "%ctaid.x", "%ctaid.y", "%ctaid.z", "%ntid.y",
             "%nctaid.z", "%laneid", "%warpid", "%lanemask_lt"]  # fmt: skip
    text = (
        f"{HEAD}.visible .entry tested(.param .u64 p0)\n{{\n.reg .b32 %r<30>;\n.reg .b64 %rd<3>;\n"
        "ld.param.u64 %rd0, [p0];\n"
        + "".join(f"mov.u32 %r{k}, {name};\n" for k, name in enumerate(names))
        # The number of the thread in the grid, x first.
        + "mad.lo.u32 %r20, %r2, 3, %r1;\nmad.lo.u32 %r20, %r20, 5, %r0;\n"
        "mad.lo.u32 %r21, %r5, 2, %r4;\nmad.lo.u32 %r21, %r21, 2, %r3;\n"
        f"mad.lo.u32 %r20, %r21, 60, %r20;\nmul.lo.u32 %r20, %r20, {4 * len(names)};\n"
        "cvt.u64.u32 %rd1, %r20;\nadd.s64 %rd0, %rd0, %rd1;\n"
        + "".join(f"st.global.u32 [%rd0+{4 * k}], %r{k};\n" for k in range(len(names)))
        + "ret;\n}\n"
    )
    device = SimulatedDevice()
    out = np.zeros((3, 2, 2, 4, 3, 5, len(names)), np.uint32)
    address = device.allocate(out.nbytes)
    device.run(device.load_ptx(text), [struct.pack("<q", address)], (2, 2, 3), (5, 3, 4))
    device.download(out, address)
    for place in np.ndindex(out.shape[:-1]):
        bz, by, bx, z, y, x = place
        thread = (z * 3 + y) * 5 + x
        assert out[place].tolist() == [
            x, y, z, bx, by, bz, 3, 3, thread % 32, thread // 32, (1 << thread % 32) - 1
        ]  # fmt: skip


def test_the_device_keeps_the_protocol() -> None:
    device: Device = SimulatedDevice(multiprocessors=3)
    text = kernel("red.global.add.u64 [%rd0], %rd1;", 2)
    assert (device.capability, device.multiprocessors) == ((9, 0), 3)
    function = device.load_ptx(text)  # type: ignore[attr-defined]
    total = np.zeros(1, np.int64)
    address = device.allocate(8)
    device.upload(address, total)
    launch = Launch(function, 2, (address, -3))
    device.launch(launch)
    graph = device.graph([launch, Launch(function, 3, (address, 1), 0, True)])
    graph.replay(4)
    device.synchronize()
    device.download(total, address)
    assert total[0] == -3 * 512 + 4 * (768 - 3 * 512)
    assert device.resident(function, 0) == 3
    with pytest.raises(LaunchFault, match="only 3 can be resident"):
        device.launch(Launch(function, 4, (address, 1), 0, True))
    with pytest.raises(LaunchFault, match="takes 2 parameters, got 1"):
        device.launch(Launch(function, 2, (address,)))
    with pytest.raises(LaunchFault, match="bytes of shared memory"):
        device.launch(Launch(function, 2, (address, 1), 300 << 10))
    with pytest.raises(OutOfBounds):
        device.launch(Launch(function, 2, (0, 1)))


def test_a_text_is_parsed_once_and_bad_text_is_named_by_its_line() -> None:
    text = kernel("add.u32 %r5, %r2, 1;", 0)
    assert parse(text) is parse(text)
    for bad in ("add.u32 %r5 %r2;", "?;", ".reg .weird %w;", "mov.u32 %r5, %nothing;", "frob %r5;"):
        text = kernel(f"mov.u32 %r3, 1;\n\n{bad}", 0)
        line = text[: text.index(bad)].count("\n") + 1
        with pytest.raises(Unsupported, match=rf"line {line}\b"):
            run(text, [])
