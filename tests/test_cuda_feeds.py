"""Arrays on a GPU at the door: what is used in place, and what is refused in which words."""

from __future__ import annotations

import gc
from functools import partial
from typing import Any

import numpy as np
import pytest

import symnet as sn
from symnet.device_arrays import DeviceArray, Placed, fetch
from symnet.errors import DeviceError, FeedError, GraphError
from symnet.feeds import bind, limits_of

X = sn.input("X", ("N", 4))
LABELS = sn.input("y", ("N",), "int64")


class Memory:
    """A GPU's memory, played by host arrays at made-up addresses."""

    def __init__(self) -> None:
        self.held: dict[int, bytearray] = {}
        self.next = 256
        self.downloads = 0

    def take(self, count: int) -> int:
        address, self.next = self.next, self.next + -(-max(count, 1) // 256) * 256
        self.held[address] = bytearray(count)
        return address

    def give(self, count: int, address: int) -> None:
        assert len(self.held.pop(address)) == count

    def upload(self, address: int, array: np.ndarray) -> None:
        self.held[address][:] = array.tobytes()

    def download(self, array: np.ndarray, address: int) -> None:
        self.downloads += 1
        array[...] = np.frombuffer(self.held[address], array.dtype).reshape(array.shape)


class Shown:
    """What another library shows of an array."""

    def __init__(self, **more: Any) -> None:
        self.__cuda_array_interface__ = {
            "shape": (3, 4), "typestr": "<f4", "data": (512, False), "version": 3, **more
        }  # fmt: skip


def nothing(placed: Placed) -> np.ndarray:
    raise AssertionError("nothing has to be read")


def test_an_array_on_the_gpu_is_used_where_it_is():
    strides = (16, 4)
    for given in (Shown(), Shown(strides=None, version=2), Shown(strides=strides)):
        bound = bind([X], {"X": given}, fetch=nothing)
        assert bound.arrays == {}
        assert bound.sizes == {"N": 3}
        placed = bound.placed[X]
        assert (placed.address, placed.shape, placed.dtype) == (512, (3, 4), np.float32)
        assert placed.owner is given
    row = Shown(shape=(1, 4), strides=(999, 4))
    assert bind([X], {"X": row}, fetch=nothing).sizes == {"N": 1}
    empty = Shown(shape=(0, 4), strides=(1, 1), data=(0, False))
    assert bind([X], {"X": empty}, fetch=nothing).sizes == {"N": 0}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"shape": (3, 5)}, "input X: expected N×4, got 3×5"),
        ({"typestr": "<f8"}, "X is float32, the array on the GPU float64"),
        ({"typestr": ">f4"}, "bytes are in the other order"),
        ({"strides": (32, 4)}, "strided"),
        ({"strides": (4, 12)}, "strided"),
        ({"mask": object()}, "masked"),
        ({"data": (520, False)}, "no multiple of 16 bytes"),
    ],
)
def test_what_cannot_be_used_in_place_is_refused(more: dict[str, Any], words: str):
    with pytest.raises(FeedError, match=words):
        bind([X], {"X": Shown(**more)}, fetch=nothing)


def test_the_cpu_refuses_it_by_name():
    f = sn.compile(sn.sum(X))
    with pytest.raises(FeedError, match=r'X is fed a Shown on the GPU.*target="cuda"'):
        f(X=Shown())
    with pytest.raises(FeedError, match="on the GPU"):
        sn.evaluate(sn.sum(X), {"X": Shown()})


def test_a_library_that_refuses_to_show_its_memory():
    class Recording:
        @property
        def __cuda_array_interface__(self) -> dict[str, Any]:
            raise RuntimeError("call detach() first")

    with pytest.raises(FeedError, match=r"X is fed a Recording.*call detach\(\) first"):
        bind([X], {"X": Recording()}, fetch=nothing)


def test_values_that_pick_along_an_axis_are_looked_at():
    memory = Memory()
    labels = DeviceArray(memory, (3,), np.dtype(np.int64))
    labels.write(np.array([0, 3, 1]))
    limits = limits_of([sn.losses.cross_entropy(X, LABELS)])
    feeds = {"X": Shown(), "y": labels}
    bound = bind([X, LABELS], feeds, limits=limits, fetch=partial(fetch, memory))
    assert memory.downloads == 1
    assert bound.on_host(lambda placed: np.zeros(placed.shape)).arrays.keys() == {X, LABELS}
    labels.write(np.array([0, 4, 1]))
    with pytest.raises(FeedError, match=r"y picks one of 4: .*got 4 at \[1\]"):
        bind([X, LABELS], feeds, limits=limits, fetch=partial(fetch, memory))
    with pytest.raises(FeedError, match="the size N is 3 in X and 2 in y"):
        bind([X, LABELS], {"X": Shown(), "y": [0, 1]}, limits=limits, fetch=nothing)


def test_a_device_array_shows_itself_and_goes_back():
    memory = Memory()
    array = DeviceArray(memory, (2, 3), np.dtype(np.float32))
    array.write(np.arange(6, dtype=np.float32).reshape(2, 3))
    shown = array.__cuda_array_interface__
    assert (shown["shape"], shown["typestr"], shown["version"]) == ((2, 3), "<f4", 3)
    assert (shown["strides"], shown["stream"], shown["data"][1]) == (None, None, False)
    assert array.numpy().tolist() == [[0, 1, 2], [3, 4, 5]]
    assert (array.ndim, array.shape, array.dtype) == (2, (2, 3), np.float32)
    assert repr(array) == "DeviceArray(2×3 float32)"
    assert list(memory.held) == [shown["data"][0]]
    del array
    gc.collect()
    assert memory.held == {}


def test_options_that_do_not_go_together():
    loss = sn.mean(X)
    with pytest.raises(GraphError, match="a target is one of cpu, cuda, got 'tpu'"):
        sn.compile(loss, target="tpu")
    with pytest.raises(GraphError, match="a precision is one of float32, tf32, bf16, got 'fp8'"):
        sn.compile(loss, target="cuda", precision="fp8")
    with pytest.raises(GraphError, match='is for target="cuda"'):
        sn.compile(loss, precision="tf32")
    with pytest.raises(GraphError, match="threads"):
        sn.compile(loss, target="cuda", threads=2)
    f = sn.compile(loss)
    for name in ("ptx", "sass"):
        with pytest.raises(GraphError, match=f'f.{name} .*target="cuda"'):
            getattr(f, name)


def test_without_a_gpu_one_error_says_what_there_is_to_do(monkeypatch: pytest.MonkeyPatch):
    from codegen.cuda import device

    def missing() -> None:
        raise device.DeviceError("no GPU can be used: no NVIDIA driver was found")

    monkeypatch.setattr(device, "current", missing)
    with pytest.raises(DeviceError, match=r"no NVIDIA driver was found; compiling, f.ptx, f.sass"):
        sn.to_device(np.zeros(3))
