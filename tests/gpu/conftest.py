"""The device of these tests, or why there is none."""

from __future__ import annotations

import pytest

from codegen.cuda.device import Device, DeviceError, current


@pytest.fixture(scope="session")
def device() -> Device:
    """The GPU; without one the tests are skipped, and say what was looked for."""
    try:
        return current()
    except DeviceError as missing:
        pytest.skip(str(missing))


@pytest.fixture(autouse=True)
def _on_the_device(device: Device) -> Device:
    return device
