"""Arrays that begin at a cache line."""

import gc
import subprocess
import sys

import pytest

from codegen.alignment import aligned


def test_what_no_memory_holds_is_a_memory_error():
    for count in (1 << 50, 1 << 61):
        with pytest.raises(MemoryError):
            aligned((count,), "uint8")


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (5,), (7, 11), (1 << 18,), (1000, 1001)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool"])
def test_an_array_begins_at_a_cache_line_and_is_whole(shape, dtype):
    array = aligned(shape, dtype)
    assert array.shape == shape
    assert array.dtype == dtype
    assert not array.size or array.ctypes.data % 64 == 0
    assert array.flags.carray
    array[...] = 1
    assert (array == 1).all()


def test_large_arrays_outlive_their_makers_and_share_nothing():
    arrays = [aligned((1 << 19,), "float32") for _ in range(4)]
    for number, array in enumerate(arrays):
        array[...] = number
    parts = [array[5:] for array in arrays]
    del arrays, array
    gc.collect()
    assert [(part.min(), part.max()) for part in parts] == [(n, n) for n in range(4)]


_FORKING = """
import os
from codegen.alignment import aligned

array = aligned((1 << 19,), "float32")
array[...] = 1
child = os.fork()
if not child:
    array[...] = 2
    os._exit(0)
os.waitpid(child, 0)
raise SystemExit(int((array != 1).any()))
"""


def test_a_forked_process_has_its_own():
    # In a process of its own: other tests' libraries warn of every fork.
    assert subprocess.run([sys.executable, "-c", _FORKING], timeout=300).returncode == 0
