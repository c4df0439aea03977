"""Small PTX kernels for the tests of the interpreter: one instruction on arrays, or any body."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.ptx.device import SimulatedDevice
from tests.ptx.machine import Checks

Array = np.ndarray[Any, Any]
_NAMES = {
    np.dtype(name): kind
    for name, kind in {
        "u1": "u8", "i1": "s8", "u2": "u16", "i2": "s16", "u4": "u32", "i4": "s32",
        "u8": "u64", "i8": "s64", "f2": "b16", "f4": "f32", "f8": "f64",
    }.items()
}  # fmt: skip
HEAD = ".version 9.0\n.target sm_90a\n.address_size 64\n"


def kind_of(array: Array) -> str:
    """PTX's type of an array's elements."""
    return _NAMES[array.dtype]


def kernel(body: str, parameters: int, before: str = "", threads: int = 256) -> str:
    """A module with one kernel of 64-bit parameters, which `body` finds in %rd0, %rd1..; %r0 is the
    thread's number in the block, %r1 the block's, %r2 the thread's in the grid."""
    names = ", ".join(f".param .u64 p{k}" for k in range(parameters))
    loads = "".join(f"ld.param.u64 %rd{k}, [p{k}];\n" for k in range(parameters))
    return (
        f"{HEAD}{before}.visible .entry tested({names})\n.maxntid {threads}, 1, 1\n{{\n"
        ".reg .pred %p<10>;\n.reg .b16 %h<20>;\n.reg .b32 %r<40>;\n.reg .b64 %rd<40>;\n"
        ".reg .f32 %f<40>;\n.reg .f64 %fd<20>;\n"
        f"{loads}mov.u32 %r0, %tid.x;\nmov.u32 %r1, %ctaid.x;\n"
        f"mad.lo.u32 %r2, %r1, {threads}, %r0;\n"
        f"{body}\nret;\n}}\n"
    )


def run(
    text: str,
    arguments: Sequence[Array | int],
    *,
    blocks: int = 1,
    threads: int = 256,
    shared: int = 0,
    checks: Checks | None = None,
    device: SimulatedDevice | None = None,
) -> SimulatedDevice:
    """Launches the only kernel of a text; arrays are uploaded before, and filled after."""
    device = device or SimulatedDevice(checks=checks)
    function = device.load_ptx(text)
    words, arrays = [], []
    for argument in arguments:
        value = argument
        if isinstance(argument, np.ndarray):
            value = device.allocate(argument.nbytes)
            device.upload(value, argument)
            arrays.append((value, argument))
        words.append(struct.pack("<q", value))
    device.run(function, words, blocks, threads, shared)
    for address, array in arrays:
        device.download(array, address)
        device.free(address)
    return device


def evaluate(instruction: str, sources: Sequence[Array], result: Any, *, guard: str = "") -> Array:
    """What an instruction gives, element by element: in its text, `d` is the result, of NumPy's
    type `result`, and `a`, `b`, `c`, `e`, `f`, `g` are the elements of the sources."""
    count = sources[0].size
    given = np.dtype(result)
    pred = given == np.dtype(bool)
    out = np.zeros(count, np.uint32 if pred else given)
    registers, body = [], [f"setp.ge.u32 %p9, %r2, {count};\n@%p9 ret;\n"]
    for k, source in enumerate(sources):
        name, kind = "abcefg"[k], kind_of(source)
        registers.append(f".reg .{_wide(kind)} {name};\n")
        body.append(
            f"mul.wide.u32 %rd30, %r2, {source.itemsize};\nadd.s64 %rd30, %rd30, %rd{k};\n"
            f"ld.global.{kind} {name}, [%rd30];\n"
        )
    kind = "pred" if pred else kind_of(out)
    registers.append(f".reg .{_wide(kind)} d;\n")
    body.append(f"{guard}{instruction}\n")
    body.append(
        f"mul.wide.u32 %rd30, %r2, {out.itemsize};\nadd.s64 %rd30, %rd30, %rd{len(sources)};\n"
    )
    if pred:
        body.append("selp.u32 %r30, 1, 0, d;\nst.global.u32 [%rd30], %r30;\n")
    else:
        body.append(f"st.global.{kind} [%rd30], d;\n")
    text = kernel("".join(registers + body), len(sources) + 1)
    arguments = [np.ascontiguousarray(source) for source in sources]
    run(text, [*arguments, out], blocks=-(-count // 256))
    return out.astype(bool) if pred else out


def _wide(kind: str) -> str:
    """The type of a register for it: there are none of 8 bits."""
    return {"u8": "b16", "s8": "b16"}.get(kind, kind)
