"""The text of what a parked worker runs; compiled as it stands, never imported.

`p`: the words of the crew, and the address of this very kernel, which a new thread enters. Word
16 * k is worker k's post: 0 no thread, 1 parked, 2 at work, 3 called, 4 left, 5 told to leave;
what follows it in its line belongs to its thread. The words after all posts, from 16 * `n[0]`, are
the order: address of the kernel, its workers, its `n`, its `p`, the lead's floating-point control;
then the system's clock (seconds, nanoseconds) when it began and when all had ended.
`n`: how many posts, then how many naps a parked worker takes before it leaves.

Worker 0 leads: it calls those who are parked, starts those who are not, sets them to work, works
too, and waits for them. It makes do with fewer workers where no thread can be started. Worker -1
sends away all who are parked, and returns when they have gone. No lock of Python is needed for any
of this, so no other thread of Python delays it and no signal divides it.
"""

# Numba types its decorators only in part.
# mypy: disable-error-code="no-untyped-call, call-overload, call-arg, unreachable, var-annotated"

from __future__ import annotations

from typing import Any

from numba import njit

from codegen.cpu.calls import (
    atomic_load,
    atomic_store,
    atomic_swap,
    call_kernel,
    clock_gettime,
    float_control,
    nap,
    pause,
    pthread_join,
    sched_yield,
    set_float_control,
    start_thread,
)
from codegen.cpu.operations import int64_at, offset

MONOTONIC = 1


@njit(error_model="numpy", nogil=True, inline="always")
def ordered(words: Any, posts: Any, worker: Any) -> None:
    """Carries out the order."""
    order = offset(words, 16 * posts)
    call_kernel(order[0], worker, order[1], int64_at(order, 2), int64_at(order, 3))


@njit(error_model="numpy", nogil=True, inline="always")
def wait(words: Any, post: Any, wanted: Any, patience: Any) -> Any:
    """Waits until the post is as wanted; False if it is told to leave instead, or after so many
    naps if `patience` is not 0."""
    spins, naps = 0, 0
    while True:
        state = atomic_load(words, post)
        if state == wanted:
            return True
        if state == 5:
            return False
        spins += 1
        if spins < 200:
            pause()
        elif spins < 2000:
            sched_yield()
        else:
            nap(100)
            naps += 1
            if patience != 0 and naps > patience:
                return False


@njit(error_model="numpy", nogil=True, inline="always")
def joined(words: Any, post: Any) -> None:
    """The thread of the post has come to its end."""
    pthread_join(words[post + 1], 0)
    atomic_store(words, post, 0)


@njit(error_model="numpy", nogil=True, inline="always")
def called(words: Any, address: Any, workers: Any, n: Any, p: Any) -> Any:
    """Calls so many workers, the lead among them; gives how many there are."""
    for other in range(1, workers):
        post = 16 * other
        if atomic_swap(words, post, 1, 3):
            continue
        if atomic_load(words, post) == 4:
            joined(words, post)
        atomic_store(words, post, 3)
        if start_thread(offset(words, post + 1), address, other, n, p) != 0:
            atomic_store(words, post, 0)
            return other
    return workers


def kernel(worker: Any, workers: Any, n: Any, p: Any) -> None:
    """Worker 0: one order. Any above it: orders until it leaves. -1: sends the parked away."""
    words, posts = int64_at(p, 0), n[0]
    if worker == -1:
        for other in range(1, posts):
            atomic_swap(words, 16 * other, 1, 5)
            if atomic_load(words, 16 * other) >= 4:
                joined(words, 16 * other)
        return
    if worker == 0:
        there = called(words, p[1], workers, n, p)
        words[16 * posts + 1] = there
        words[16 * posts + 4] = float_control()
        clock_gettime(MONOTONIC, offset(words, 16 * posts + 5))
        for other in range(1, there):
            atomic_store(words, 16 * other, 2)
        ordered(words, posts, 0)
        for other in range(1, there):
            wait(words, 16 * other, 1, 0)
        clock_gettime(MONOTONIC, offset(words, 16 * posts + 7))
        return
    post = 16 * worker
    while True:
        if wait(words, post, 2, n[1]):
            set_float_control(words[16 * posts + 4])
            ordered(words, posts, worker)
            atomic_store(words, post, 1)
        else:
            atomic_swap(words, post, 1, 4)
            if atomic_load(words, post) >= 4:
                return
