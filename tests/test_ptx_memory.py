"""Device memory of the PTX interpreter: its life, its ends, and the order of launches."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ptx.bench import kernel, run
from tests.ptx.device import SimulatedDevice
from tests.ptx.errors import OutOfBounds, Uninitialised, UseAfterFree


def test_device_memory_has_a_life() -> None:
    device = SimulatedDevice()
    address = device.allocate(400)
    assert address % 256 == 0
    load = kernel(
        "mul.wide.u32 %rd9, %r0, 4;\nadd.s64 %rd9, %rd9, %rd0;\nld.global.u32 %r9, [%rd9];", 1
    )
    with pytest.raises(Uninitialised, match="thread 0"):
        run(load, [address], threads=100, device=device)
    device.upload(address, np.zeros(100, np.uint32))
    run(load, [address], threads=100, device=device)
    with pytest.raises(OutOfBounds, match="thread 100"):
        run(load, [address], threads=101, device=device)
    wide = load.replace("%r0, 4", "%r0, 16")
    wide = wide.replace("ld.global.u32 %r9", "ld.global.v4.u32 {%r9, _, _, _}")
    rest = device.allocate(24)
    device.upload(rest, np.zeros(24, np.uint8))
    with pytest.raises(OutOfBounds, match="thread 1"):
        run(wide, [rest], threads=2, device=device)
    with pytest.raises(OutOfBounds, match="leaves every allocation"):
        device.upload(address, np.zeros(101, np.uint32))
    device.free(address)
    with pytest.raises(UseAfterFree):
        run(load, [address], threads=100, device=device)
    with pytest.raises(UseAfterFree):
        device.download(np.zeros(100, np.uint32), address)
    with pytest.raises(UseAfterFree):
        device.free(address)
    with pytest.raises(OutOfBounds):
        device.free(address + 8)


def test_one_launch_is_ordered_after_another() -> None:
    device = SimulatedDevice()
    places = "xor.b32 %r9, %r2, {};\nmul.wide.u32 %rd9, %r9, 4;\nadd.s64 %rd9, %rd9, %rd0;\n"
    write = kernel(places.format(0) + "st.global.u32 [%rd9], %r2;", 1)
    read = kernel(places.format(300) + "ld.global.u32 %r9, [%rd9];", 1)
    address = device.allocate(4 * 512)
    for _ in range(3):
        run(write, [address], blocks=2, device=device)
        run(read, [address], blocks=2, device=device)
    found = np.zeros(512, np.uint32)
    device.download(found, address)
    np.testing.assert_array_equal(found, np.arange(512))
