"""Room on the GPU for arrays that belong to whoever binds programs."""

from __future__ import annotations

from typing import Any

import numpy as np

from codegen.cuda import device as devices
from codegen.cuda.allocation import Pool
from codegen.cuda.device import Device
from codegen.cuda.device import DeviceError as DeviceError

Array = np.ndarray[Any, Any]


class DeviceMemory:
    """The memory of one GPU. What is given back is kept for the next of the same size."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self._pool = Pool()

    def take(self, count: int) -> int:
        """The address, a multiple of 256, of so many bytes, whatever they hold."""
        return self._pool.take(self.device, count)

    def give(self, count: int, address: int) -> None:
        """Takes back what `take` gave."""
        self._pool.give(self.device, count, address)

    def upload(self, address: int, array: Array) -> None:
        """Copies a C-contiguous array there."""
        self.device.upload(address, array)

    def download(self, array: Array, address: int) -> None:
        """Fills a C-contiguous array, after all that was started before, whoever started it."""
        self.device.settle()
        self.device.download(array, address)


def memory() -> DeviceMemory:
    """That of the GPU in use; DeviceError if there is none."""
    return DeviceMemory(devices.current())
