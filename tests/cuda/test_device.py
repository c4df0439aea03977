"""The driver's interface, against a libcuda.so.1 of our own that says what it is asked."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from codegen.cuda.device import DeviceError, DriverDevice, current

STUB = Path(__file__).parent / "driver_stub.c"
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")

PROGRAM = """
import numpy as np
from codegen.cuda import device

gpu = device.current()
print(gpu.name, gpu.capability, gpu.multiprocessors)
address = gpu.allocate(1000)
sent, got = np.arange(10, dtype=np.float32), np.zeros(10, np.float32)
gpu.upload(address, sent)
gpu.download(got, address)
print((sent == got).all())

class image:
    key, entry, cubin, shared = "key", "kernel_1", b"\\x7fELF and more", 0

function = gpu.load(image)
assert gpu.load(image) is function
print(gpu.resident(function, 128))
once = device.Launch(function, 3, (7, 8), 16)
gpu.launch(once)
gpu.launch(device.Launch(function, 4, (11, 12), 16, True))
graph = gpu.graph([once, device.Launch(function, 5, (9, 10))])
graph.replay(2)
del graph
gpu.synchronize()
print(gpu.reaches(address), gpu.reaches(0x7000), gpu.reaches(0))
gpu.free(address)
try:
    gpu.allocate(1 << 60)
except device.DeviceError as fault:
    print(fault)
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], list[str]]:
    """What the program printed, and what the driver was asked."""
    if COMPILER is None:
        pytest.skip("there is no C compiler to make the stub of the driver with")
    place = tmp_path_factory.mktemp("driver")
    command = [COMPILER, "-shared", "-fPIC", "-w", "-o", place / "libcuda.so.1", STUB, "-ldl"]
    subprocess.run(command, check=True, timeout=60)
    root = Path(__file__).parents[2]
    environment = {**os.environ, "LD_LIBRARY_PATH": str(place), "PYTHONPATH": str(root)}
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines(), run.stderr.splitlines()


def test_the_device_is_described_and_memory_goes_there_and_back(told) -> None:
    printed, asked = told
    assert printed[:3] == ["stub (9, 0) 132", "True", "264"]
    assert "htod 40 stream 0x55" in asked
    assert "dtoh 40" in asked


def test_launches_have_their_grid_their_parameters_and_our_stream(told) -> None:
    _, asked = told
    launch = "launch 0x99 grid 3 1 1 block 256 1 1 shared 16 stream 0x55 parameters 7 8 extra (nil)"
    assert asked.count(launch) == 1
    assert "cooperative 0x99 grid 4 block 256 shared 16 parameters 11 12" in asked


def test_a_graph_is_made_node_by_node_replayed_and_freed(told) -> None:
    _, asked = told
    start = asked.index("graph create 0")
    first, second, *rest = asked[start + 1 : start + 6]
    end = "rest (nil) (nil) (nil)"
    assert first == (
        "node 0x60 of 0x42 after (nil): 0x99 grid 3 1 1 block 256 1 1 shared 16 "
        f"parameters 7 8 {end}"
    )
    assert second == (
        "node 0x61 of 0x42 after 0x60: 0x99 grid 5 1 1 block 256 1 1 shared 0 "
        f"parameters 9 10 {end}"
    )
    assert rest == ["destroy 0x42", "graph 0x43", "graph 0x43"]
    assert "exec destroy 0x43" in asked[start:]
    assert not any("capture" in line for line in asked)


def test_memory_of_another_gpu_is_told_from_ours(told) -> None:
    assert told[0][3] == "True False True"


def test_a_fault_of_the_driver_is_ours(told) -> None:
    printed, _ = told
    assert printed[4] == "cuMemAlloc gave error 2: told by the stub"


def test_without_a_driver_one_error_says_what_to_look_at() -> None:
    if Path("/dev/nvidiactl").exists():
        pytest.skip("there is a driver")
    current.cache_clear()
    with pytest.raises(DeviceError, match=r"no GPU can be used.*symnet"):
        current()


@pytest.mark.parametrize(
    ("start", "count", "told"),
    [
        (100, 0, "cuInit gave error 100: no device is detected"),
        (0, 0, "the NVIDIA driver sees none"),
    ],
)
def test_a_driver_that_sees_no_gpu_says_what_may_hide_it(start: int, count: int, told: str) -> None:
    api = SimpleNamespace(
        cuInit=lambda flags: (start,),
        cuDeviceGetCount=lambda: (0, count),
        cuGetErrorString=lambda error: (0, b"no device is detected"),
    )
    with pytest.raises(DeviceError, match=f"^no GPU can be used: {told}; CUDA_VISIBLE_DEVICES may"):
        DriverDevice(api)
