"""Arrays in the memory of a GPU: ours, and those of other libraries, passed without a copy.

The CUDA array interface, version 3 (numba.readthedocs.io, "CUDA Array Interface"), is how torch,
CuPy, JAX and Numba show each other their memory.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Protocol

import numpy as np

from symnet.errors import FeedError
from symnet.faults import faults_told
from symnet.lazy import cuda_core_utils
from symnet.sizes import show_shape

Array = np.ndarray[Any, Any]
ALIGNMENT = 16
"""Bytes: kernels read four float32 at once."""


class Memory(Protocol):
    """A GPU's memory. What is copied is C-contiguous; who reads waits for all that was started."""

    def take(self, count: int) -> int:
        """The address of so many bytes, whatever they hold."""

    def give(self, count: int, address: int) -> None:
        """Takes back what `take` gave."""

    def upload(self, address: int, array: Array) -> None: ...

    def download(self, array: Array, address: int) -> None: ...


@dataclass(frozen=True, eq=False)
class Placed:
    """A C-contiguous array on a GPU: where it is, and who keeps it there."""

    address: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    owner: object = None

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The bytes it takes."""
        return self.size * self.dtype.itemsize

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        # No stream: whoever made it has waited until it was complete.
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.address, False),
            "strides": None,
            "stream": None,
            "version": 3,
        }


class DeviceArray:
    """An array on the GPU that belongs to symnet; its memory goes back when nobody has it any more.

    torch.as_tensor(a, device="cuda"), cupy.asarray(a) and jax.numpy.from_dlpack(a) see the same
    memory without a copy; `a.numpy()` brings it to the host.
    """

    @faults_told()
    def __init__(self, memory: Memory, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        count = prod(shape) * dtype.itemsize
        self._memory = memory
        self.placed = Placed(memory.take(count), shape, dtype)
        weakref.finalize(self, memory.give, count, self.placed.address).atexit = False

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        return self.placed.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """What the elements are."""
        return self.placed.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.placed.ndim

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return self.placed.__cuda_array_interface__

    def numpy(self) -> Array:
        """A copy on the host."""
        return fetch(self._memory, self.placed)

    @faults_told()
    def write(self, array: Array) -> None:
        """Takes the values of an array of the same shape and dtype."""
        self._memory.upload(self.placed.address, np.ascontiguousarray(array))

    def __dlpack__(self, **asked: Any) -> Any:
        """A capsule of the DLPack protocol, made by cuda-core."""
        return self._view().__dlpack__(**asked)

    def __dlpack_device__(self) -> Any:
        return self._view().__dlpack_device__()

    def _view(self) -> Any:
        # -1: nobody has to be waited for.
        return cuda_core_utils.StridedMemoryView.from_cuda_array_interface(self, stream_ptr=-1)

    def __repr__(self) -> str:
        return f"DeviceArray({show_shape(self.shape) or 'a number'} {self.dtype})"


def placed_on_gpu(array: object) -> bool:
    """Whether it is an array on the GPU that has come through the door, or one of ours."""
    return isinstance(array, Placed | DeviceArray)


def alias_of(array: Placed | DeviceArray) -> Placed:
    """The same memory, which this keeps from nobody."""
    there = array.placed if isinstance(array, DeviceArray) else array
    return replace(there, owner=None)


@faults_told()
def fetch(memory: Memory, placed: Placed) -> Array:
    """A copy on the host of an array on the GPU."""
    array = np.empty(placed.shape, placed.dtype)
    if array.size:
        memory.download(array, placed.address)
    return array


def placed_of(name: str, data: object) -> Placed | None:
    """Where an array lies that is on a GPU; None for what is on the host.

    FeedError, which names it, for what cannot be used in place: masked, strided, read backwards.
    """
    try:
        shown = getattr(data, "__cuda_array_interface__", None)
    except Exception as fault:  # torch refuses tensors that record gradients.
        kind = type(data).__name__
        raise FeedError(f"{name} is fed a {kind} that shows no memory: {fault}") from fault
    if not isinstance(shown, dict):
        return None
    shape = tuple(int(count) for count in shown["shape"])
    dtype = np.dtype(shown["typestr"])
    if shown.get("mask") is not None:
        raise FeedError(f"{name} is fed a masked array on the GPU; fill it first")
    if not dtype.isnative:
        raise FeedError(f"{name} is fed {dtype} on the GPU, whose bytes are in the other order")
    address = int(shown["data"][0] or 0)
    if address % ALIGNMENT:
        raise FeedError(
            f"{name} is fed an array on the GPU that begins at no multiple of {ALIGNMENT} bytes, "
            "as a part of another may; copy it there first"
        )
    strides = shown.get("strides")
    if strides is not None and not _contiguous(shape, tuple(strides), dtype.itemsize):
        raise FeedError(
            f"{name} is fed a strided array on the GPU; make it contiguous there, for instance "
            "with .contiguous() or cupy.ascontiguousarray"
        )
    return Placed(address, shape, dtype, data)


def _contiguous(shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int) -> bool:
    wanted = itemsize
    for count, stride in zip(reversed(shape), reversed(strides), strict=True):
        if count != 1 and stride != wanted and 0 not in shape:
            return False
        wanted *= count
    return True


Fetch = Callable[[Placed], Array]
