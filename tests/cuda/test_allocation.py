"""Which allocations a pool keeps, on a device that only counts."""

import itertools
import sys
import threading

import pytest

from codegen.cuda import allocation
from codegen.cuda.allocation import Pool
from codegen.cuda.device import DeviceError

GIGABYTE = 1 << 30


class Counting:
    """Memory of so many bytes, given out by number."""

    def __init__(self, total: int) -> None:
        self.left, self.held, self.numbers = total, {}, itertools.count(1)

    def allocate(self, count: int) -> int:
        if count > self.left:
            raise DeviceError("cuMemAlloc gave error 2: out of memory")
        self.left -= count
        number = next(self.numbers)
        self.held[number] = count
        return number

    def free(self, address: int) -> None:
        self.left += self.held.pop(address)


@pytest.fixture
def gpu() -> Counting:
    return Counting(80 * GIGABYTE)


def test_what_is_given_back_is_taken_again(gpu) -> None:
    pool = Pool()
    first = pool.take(gpu, 512)
    pool.give(gpu, 512, first)
    assert pool.take(gpu, 512) == first
    assert next(gpu.numbers) == 2


def test_a_size_that_never_comes_back_does_not_stay_for_ever(gpu) -> None:
    pool = Pool()
    for size in range(256, 256 * 1000, 256):
        pool.give(gpu, size, pool.take(gpu, size))
    assert len(gpu.held) <= 32
    for size in range(10):
        pool.give(gpu, GIGABYTE + size, pool.take(gpu, GIGABYTE + size))
    assert list(gpu.held.values()) == [GIGABYTE + 9]
    assert pool.take(gpu, GIGABYTE + 9) in gpu.held
    assert len(gpu.held) == 1


def test_no_more_of_one_size_is_kept_than_is_of_use(gpu) -> None:
    pool = Pool()
    for address in [pool.take(gpu, 256) for _ in range(20)]:
        pool.give(gpu, 256, address)
    assert len(gpu.held) == 4


def test_where_memory_is_short_all_pools_give_theirs_back(gpu) -> None:
    one, other = Pool(), Pool()
    size = 50 * GIGABYTE
    one.give(gpu, size, one.take(gpu, size))
    assert gpu.left < size
    address = other.take(gpu, size)
    with pytest.raises(DeviceError, match="out of memory"):
        one.take(gpu, size)
    other.give(gpu, size, address)
    assert one.take(gpu, size)


def test_a_pool_that_goes_gives_all_back(gpu) -> None:
    pool = Pool()
    pool.give(gpu, 256, pool.take(gpu, 256))
    assert gpu.held
    del pool
    assert not gpu.held


def test_threads_share_a_pool(gpu, monkeypatch) -> None:
    """None is lost, and none is given to two."""
    monkeypatch.setattr(allocation, "_KEPT", 32)
    pool, faults, turns = Pool(), [], sys.getswitchinterval()

    out = set()

    def use() -> None:
        try:
            for _ in range(2000):
                address = pool.take(gpu, 256)
                assert address not in out
                out.add(address)
                out.remove(address)
                pool.give(gpu, 256, address)
        except Exception as fault:
            faults.append(fault)

    threads = [threading.Thread(target=use) for _ in range(4)]
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(turns)
    assert not faults
    assert sorted(gpu.held) == sorted(address for _, _, address in pool._kept)
