"""What runs images: a GPU through the driver's interface, or whatever else has these methods."""

from __future__ import annotations

import contextlib
import ctypes
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from codegen.cuda.image import THREADS, Image
from codegen.lazy import driver, module

Array = np.ndarray[Any, Any]


# After these the context of the process is lost (CUDA Driver API, CUresult).
_LOST = frozenset({214, 220, 700, 702, *range(709, 721)})
_HIDDEN = "CUDA_VISIBLE_DEVICES may hide it, `nvidia-smi` says what there is"


class DeviceError(RuntimeError):
    """There is no GPU that can be used, or it reported a fault; the text says what."""


@dataclass(frozen=True, slots=True)
class Launch:
    """One kernel to be started: `parameters` are 64-bit words, `shared` counts bytes of dynamic
    shared memory; if `cooperative`, all blocks must be resident at once."""

    function: Any
    blocks: int
    parameters: tuple[int, ...]
    shared: int = 0
    cooperative: bool = False


class Graph(Protocol):
    """Launches that follow one another, recorded once."""

    def replay(self, times: int) -> None:
        """Starts the launches so many times over, after all that was started before."""


class Device(Protocol):
    """A GPU. Everything is done in the order in which it is asked for; addresses are numbers."""

    @property
    def name(self) -> str: ...

    @property
    def capability(self) -> tuple[int, int]: ...

    @property
    def multiprocessors(self) -> int: ...

    def allocate(self, count: int) -> int:
        """The address, a multiple of 256, of so many bytes, whatever they hold."""

    def free(self, address: int) -> None: ...

    def upload(self, address: int, array: Array) -> None:
        """Copies a C-contiguous array there; it may be changed as soon as this returns."""

    def download(self, array: Array, address: int) -> None:
        """Fills a C-contiguous array from there, after all that was started before."""

    def reaches(self, address: int) -> bool:
        """False where the memory there is known to be another GPU's."""

    def load(self, image: Image) -> Any:
        """The function of an image, to be launched."""

    def resident(self, function: Any, shared: int) -> int:
        """How many blocks of it fit on the GPU at once."""

    def launch(self, launch: Launch) -> None: ...

    def graph(self, launches: Sequence[Launch]) -> Graph: ...

    def synchronize(self) -> None:
        """Waits for all that was started through this; DeviceError if a kernel failed."""

    def settle(self) -> None:
        """Waits for all that anybody in this process has started."""


@functools.cache
def current() -> Device:
    """The first GPU; DeviceError if there is none, or no driver, or no bindings to it."""
    try:
        found = module(driver)
    except ImportError as missing:
        raise DeviceError(
            f"no GPU can be used: {missing}; pip install 'symnet[cuda]', and see `symnet doctor`"
        ) from None
    try:
        return DriverDevice(found)
    except RuntimeError as fault:
        if isinstance(fault, DeviceError):
            raise
        raise DeviceError(
            f"no GPU can be used: {_without_driver(fault)}; `symnet doctor` says more"
        ) from None


def _without_driver(fault: RuntimeError) -> str:
    """Why the bindings found no driver that they can use, in other words than theirs."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "no NVIDIA driver was found (libcuda.so.1)"
    return f"the NVIDIA driver is not one that the bindings know ({fault})"


class DriverDevice:
    """The first GPU that the driver names, in the context that other libraries use too, on a stream
    of our own."""

    def __init__(self, api: Any) -> None:
        self._api = api
        try:
            self._ask("cuInit", 0)
            (self._count,) = self._ask("cuDeviceGetCount")
        except DeviceError as fault:
            raise DeviceError(f"no GPU can be used: {fault}; {_HIDDEN}") from None
        if self._count < 1:
            raise DeviceError(f"no GPU can be used: the NVIDIA driver sees none; {_HIDDEN}")
        (self._number,) = self._ask("cuDeviceGet", 0)
        (self._context,) = self._ask("cuDevicePrimaryCtxRetain", self._number)
        with self._entered():
            flag = api.CUstream_flags.CU_STREAM_NON_BLOCKING
            (self._stream,) = self._ask("cuStreamCreate", flag)
        self._modules: dict[str, tuple[Any, Any]] = {}

    @functools.cached_property
    def name(self) -> str:
        (name,) = self._ask("cuDeviceGetName", 256, self._number)
        return bytes(name).split(b"\0", 1)[0].decode(errors="replace")

    @functools.cached_property
    def capability(self) -> tuple[int, int]:
        return self._attribute("COMPUTE_CAPABILITY_MAJOR"), self._attribute(
            "COMPUTE_CAPABILITY_MINOR"
        )

    @functools.cached_property
    def multiprocessors(self) -> int:
        return self._attribute("MULTIPROCESSOR_COUNT")

    def allocate(self, count: int) -> int:
        with self._entered():
            (address,) = self._ask("cuMemAlloc", max(count, 1))
        return int(address)

    def free(self, address: int) -> None:
        with self._entered():
            self._ask("cuMemFree", address)

    def upload(self, address: int, array: Array) -> None:
        if not array.nbytes:
            return
        with self._entered():
            # From memory that is not pinned the copy has left the array when the call returns.
            host = array.__array_interface__["data"][0]
            self._ask("cuMemcpyHtoDAsync", address, host, array.nbytes, self._stream)
            self._ask("cuStreamSynchronize", self._stream)

    def download(self, array: Array, address: int) -> None:
        if not array.nbytes:
            return
        with self._entered():
            host = array.__array_interface__["data"][0]
            self._ask("cuMemcpyDtoHAsync", host, address, array.nbytes, self._stream)
            self._ask("cuStreamSynchronize", self._stream)

    def reaches(self, address: int) -> bool:
        if self._count < 2:
            return True
        attribute = self._api.CUpointer_attribute.CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL
        with self._entered():
            # An error means that the driver does not know: there may be no memory at all.
            status, *owner = self._api.cuPointerGetAttribute(attribute, address)
        return int(status) != 0 or int(owner[0]) == int(self._number)

    def load(self, image: Image) -> Any:
        if image.key not in self._modules:
            with self._entered():
                (module,) = self._ask("cuModuleLoadData", image.cubin)
                (function,) = self._ask("cuModuleGetFunction", module, image.entry.encode())
            self._modules[image.key] = module, function
        return self._modules[image.key][1]

    def resident(self, function: Any, shared: int) -> int:
        with self._entered():
            (each,) = self._ask(
                "cuOccupancyMaxActiveBlocksPerMultiprocessor", function, THREADS, shared
            )
        return int(each) * self.multiprocessors

    def launch(self, launch: Launch) -> None:
        with self._entered():
            self._start(launch)

    def graph(self, launches: Sequence[Launch]) -> Graph:
        # Made node by node. A stream that records forbids what other threads, other libraries and
        # Python's collector may do meanwhile: to wait for the context, or to free memory (CUDA
        # Driver API, "Stream Capture": prohibited operations).
        with self._entered():
            (graph,) = self._ask("cuGraphCreate", 0)
            try:
                before: list[Any] = []
                for launch in launches:
                    before = [self._node(graph, before, launch)]
                (made,) = self._ask("cuGraphInstantiate", graph, 0)
            finally:
                self._ask("cuGraphDestroy", graph)
        return _DriverGraph(self, made)

    def _node(self, graph: Any, before: list[Any], launch: Launch) -> Any:
        """The launch as a node of a graph, which copies the parameters."""
        node = self._api.CUDA_KERNEL_NODE_PARAMS()
        node.func, node.sharedMemBytes = launch.function, launch.shared
        node.gridDimX, node.gridDimY, node.gridDimZ = launch.blocks, 1, 1
        node.blockDimX, node.blockDimY, node.blockDimZ = THREADS, 1, 1
        node.kernelParams = _parameters(launch)
        (made,) = self._ask("cuGraphAddKernelNode", graph, before, len(before), node)
        return made

    def replay(self, graph: Any, times: int) -> None:
        """Starts a graph of the driver's so many times."""
        with self._entered():
            for _ in range(times):
                self._ask("cuGraphLaunch", graph, self._stream)

    def drop(self, graph: Any) -> None:
        """Frees a graph of the driver's when it has run."""
        with self._entered():
            self._ask("cuGraphExecDestroy", graph)

    def synchronize(self) -> None:
        with self._entered():
            self._ask("cuStreamSynchronize", self._stream)

    def settle(self) -> None:
        with self._entered():
            self._ask("cuCtxSynchronize")

    def _start(self, launch: Launch) -> None:
        name = "cuLaunchCooperativeKernel" if launch.cooperative else "cuLaunchKernel"
        more = () if launch.cooperative else (0,)
        self._ask(
            name, launch.function, launch.blocks, 1, 1, THREADS, 1, 1, launch.shared,
            self._stream, _parameters(launch), *more,
        )  # fmt: skip

    def _attribute(self, name: str) -> int:
        which = getattr(self._api.CUdevice_attribute, f"CU_DEVICE_ATTRIBUTE_{name}")
        (value,) = self._ask("cuDeviceGetAttribute", which, self._number)
        return int(value)

    @contextlib.contextmanager
    def _entered(self) -> Iterator[None]:
        """With our context, and afterwards again with whichever the thread had."""
        self._ask("cuCtxPushCurrent", self._context)
        try:
            yield
        finally:
            self._ask("cuCtxPopCurrent")

    def _ask(self, name: str, *arguments: Any) -> tuple[Any, ...]:
        """What a function of the driver gives beside its status; DeviceError if that is bad."""
        status, *values = getattr(self._api, name)(*arguments)
        if int(status) == 0:
            return tuple(values)
        told = self._api.cuGetErrorString(status)[1]
        text = told.decode() if isinstance(told, bytes) else "no more is known"
        if int(status) in _LOST:
            text += "; nothing more can run on the GPU in this process, start it again"
        raise DeviceError(f"{name} gave error {int(status)}: {text}")


def _parameters(launch: Launch) -> tuple[tuple[int, ...], tuple[Any, ...]]:
    """A kernel's parameters as the bindings take them: values, and the type of each."""
    return launch.parameters, (ctypes.c_int64,) * len(launch.parameters)


class _DriverGraph:
    def __init__(self, device: DriverDevice, graph: Any) -> None:
        self._device, self._graph = device, graph

    def replay(self, times: int) -> None:
        self._device.replay(self._graph, times)

    def __del__(self) -> None:
        # While the interpreter ends, the driver may have gone first.
        with contextlib.suppress(DeviceError, AttributeError, TypeError):
            self._device.drop(self._graph)
