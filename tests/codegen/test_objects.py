"""Kernels become the same object files however many threads make them."""

from __future__ import annotations

import gc
import threading

import pytest

from codegen import cache, store
from codegen.cpu import objects
from codegen.cpu.errors import CompileError
from codegen.cpu.jit import compile_texts
from codegen.cpu.objects import Objects, Written, object_of
from codegen.store import OBJECT

HEADER = """\
from codegen.cpu.operations import *

def kernel(worker, workers, n, p):
"""
LOOP = (
    HEADER
    + "    for i in range(n[0]):\n        float64_at(p, 0)[i] = exp(float64_at(p, 1)[i]) + {}.0\n"
)
TEXTS = {f"kernel_{number}": LOOP.format(number) for number in range(6)}
RAISING = HEADER + "    int64_at(p, 0)[0] = [worker][workers]\n"


def test_any_number_of_threads_makes_the_same_objects() -> None:
    alone = compile_texts(TEXTS, 1)
    assert list(alone) == list(TEXTS)
    assert len(set(alone.values())) == len(TEXTS)
    for threads in (2, 3, 8):
        assert compile_texts(TEXTS, threads) == alone


def test_they_are_made_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    both, count = threading.Barrier(2, timeout=60), 2

    def met(written: Written, symbol: str) -> bytes:
        nonlocal count
        if count:
            count -= 1
            both.wait()
        return object_of(written, symbol)

    monkeypatch.setattr(objects, "object_of", met)
    assert compile_texts(TEXTS, 2).keys() == TEXTS.keys()
    assert not count


def test_the_longest_of_those_that_wait_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []
    busy, go = threading.Barrier(3, timeout=60), threading.Event()

    def noted(written: Written, symbol: str) -> bytes:
        begun.append(symbol)
        if len(begun) <= 2:
            busy.wait()
            go.wait()
        return b""

    monkeypatch.setattr(objects, "object_of", noted)
    with Objects(2) as pool:
        pool.make(Written("-"), "a")
        pool.make(Written("--"), "b")
        busy.wait()
        for symbol, length in (("c", 3), ("d", 5), ("e", 4)):
            pool.make(Written("-" * length), symbol)
        go.set()
    assert begun[2] == "d"
    assert sorted(begun) == list("abcde")


@pytest.mark.parametrize("threads", [1, 2])
def test_what_is_refused_is_told_with_its_text(threads: int) -> None:
    for _ in range(4):
        with pytest.raises(CompileError, match=r"raising calls .*, which may not be\n") as told:
            compile_texts({**TEXTS, "raising": RAISING}, threads)
        assert RAISING in str(told.value)
        # What the exception held goes in whatever order.
        del told
        gc.collect()


def test_a_fault_while_writing_ends_the_threads() -> None:
    before = threading.active_count()
    with pytest.raises(KeyError), Objects(2) as pool:
        pool.make(Written(""), {}["nothing"])
    assert threading.active_count() == before


def test_kernels_of_one_call_are_looked_up_together(
    tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYMNET_CACHE", str(tmp_path / "kernels"))
    cache.forget()
    first, *others = TEXTS.values()
    assert [each.fresh for each in cache.kernels([first])] == [True]
    made = cache.kernels([first, others[0], others[0], others[1]])
    assert [each.fresh for each in made] == [False, True, False, True]
    assert made[1].loaded is made[2].loaded
    cache.forget()
    assert not any(each.fresh for each in cache.kernels([first, others[0], others[1]]))
    with pytest.raises(CompileError):
        cache.kernels([others[2], RAISING])
    assert len(store.entries()) == 3
    assert all(store.read(each.key, OBJECT) for each in store.entries())
