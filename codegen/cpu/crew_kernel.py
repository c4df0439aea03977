"""The text of what a parked worker runs; compiled as it stands, never imported.

`p`: the words of the crew. Word 16 * k is worker k's post: 0 gone, 1 parked, 2 at work, 3 parked
and reserved. The words after them, from 16 * `n[0]`, are the order: address of the kernel, its
workers, its `n`, its `p`, and the lead's floating-point control word. Worker -1 reserves the posts
of those who are there; worker 0 leads: it sets the reserved to work, works too, and waits for them.
A worker that has been parked for long leaves, unless it is reserved.
`n`: how many posts, then how many naps a parked worker takes before it leaves.
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
    float_control,
    nap,
    pause,
    sched_yield,
    set_float_control,
)
from codegen.cpu.operations import int64_at, offset


@njit(error_model="numpy", nogil=True, inline="always")
def ordered(words: Any, posts: Any, worker: Any) -> None:
    """Carries out the order."""
    order = offset(words, 16 * posts)
    call_kernel(order[0], worker, order[1], int64_at(order, 2), int64_at(order, 3))


@njit(error_model="numpy", nogil=True, inline="always")
def wait(words: Any, post: Any, wanted: Any, patience: Any) -> Any:
    """Waits until the post is as wanted; False after so many naps, if `patience` is not 0."""
    spins, naps = 0, 0
    while atomic_load(words, post) != wanted:
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
    return True


def kernel(worker: Any, workers: Any, n: Any, p: Any) -> None:
    """Worker 0 and -1: one order, one reservation. Any other: orders until it leaves."""
    words = int64_at(p, 0)
    if worker == -1:
        for other in range(1, workers):
            atomic_swap(words, 16 * other, 1, 3)
        return
    if worker == 0:
        words[16 * n[0] + 4] = float_control()
        for other in range(1, workers):
            atomic_store(words, 16 * other, 2)
        ordered(words, n[0], 0)
        for other in range(1, workers):
            wait(words, 16 * other, 1, 0)
        return
    post = 16 * worker
    while True:
        if not wait(words, post, 2, n[1]):
            if atomic_swap(words, post, 1, 0):
                return
            continue
        set_float_control(words[16 * n[0] + 4])
        ordered(words, n[0], worker)
        atomic_store(words, post, 1)
