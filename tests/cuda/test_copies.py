"""What is copied between the host and a GPU, and how often."""

import numpy as np

import symnet as sn
from codegen.cuda import device
from codegen.cuda.placing import DeviceMemory
from tests.ptx.device import SimulatedDevice


class Watched(SimulatedDevice):
    """Notes the bytes of each copy to the host."""

    def __init__(self) -> None:
        super().__init__()
        self.brought: list[int] = []

    def download(self, array: np.ndarray, address: int) -> None:
        self.brought.append(array.nbytes)
        super().download(array, address)


def test_a_result_is_brought_once(monkeypatch) -> None:
    gpu = Watched()
    monkeypatch.setattr(device, "current", lambda: gpu)
    x = sn.input("X", ("N", 40))
    function = sn.compile(x * 2 + 1, target="cuda")
    given = np.arange(1600, dtype=np.float32).reshape(40, 40)
    for turn in range(1, 3):
        found = function(X=given + turn)
        assert (found == (given + turn) * 2 + 1).all()
        assert gpu.brought.count(found.nbytes) == turn


def test_an_array_of_others_is_read_when_all_have_filled_it() -> None:
    class Asked(SimulatedDevice):
        settled = 0

        def settle(self) -> None:
            self.settled += 1

    gpu = Asked()
    memory = DeviceMemory(gpu)
    address = memory.take(16)
    memory.upload(address, np.arange(4, dtype=np.float32))
    found = np.empty(4, np.float32)
    memory.download(found, address)
    assert gpu.settled == 1
    assert found.tolist() == [0, 1, 2, 3]
