"""What makes graphs and programs runs without Python's collector of cycles, and leaves it as it
was."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

import symnet as sn
from codegen.collector import uncollected
from codegen.passes import alike


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    """On before each test and after it."""
    gc.enable()
    yield
    gc.enable()


def test_it_is_off_inside_and_on_again_after_the_outermost() -> None:
    with uncollected():
        assert not gc.isenabled()
        with uncollected():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_it_is_on_again_after_an_exception() -> None:
    with pytest.raises(ZeroDivisionError), uncollected(), uncollected():
        raise ZeroDivisionError
    assert gc.isenabled()


def test_it_stays_off_for_who_had_it_off() -> None:
    gc.disable()
    with uncollected():
        pass
    assert not gc.isenabled()


def test_it_is_off_until_the_last_thread_is_done() -> None:
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with uncollected():
            inside.set()
            leave.wait()

    thread = threading.Thread(target=other)
    with uncollected():
        thread.start()
        inside.wait()
    assert not gc.isenabled()
    leave.set()
    thread.join()
    assert gc.isenabled()


_FORKING = """
import gc, os, threading
from codegen.collector import uncollected

inside, leave = threading.Event(), threading.Event()

def other():
    with uncollected():
        inside.set()
        leave.wait()

thread = threading.Thread(target=other)
thread.start()
inside.wait()
child = os.fork()
if not child:
    right = gc.isenabled()
    with uncollected():
        right = right and not gc.isenabled()
    os._exit(0 if right and gc.isenabled() else 1)
leave.set()
thread.join()
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_child_of_a_fork_has_it_on_though_another_thread_held_it_off() -> None:
    # In a process of its own: other tests' libraries warn of every fork.
    done = subprocess.run([sys.executable, "-c", _FORKING], timeout=300)
    assert done.returncode == 0


def trainer(depth: int) -> sn.Trainer:
    """A network of so many layers and its derivatives."""
    layers = [sn.nn.Dense(4, 4, activation="tanh") for _ in range(depth)]
    x = sn.input("X", ("N", 4))
    return sn.Trainer(sn.mean(sn.nn.Sequential(*layers)(x) ** 2), sn.optim.Adam(1e-3))


def collected_in(work: Callable[[], object]) -> set[str]:
    """The modules that were at work whenever the collector came."""
    found: set[str] = set()

    def note(phase: str, about: dict[str, int]) -> None:
        frame = sys._getframe(1)
        while frame.f_back is not None:
            found.add(frame.f_globals["__name__"])
            frame = frame.f_back

    gc.callbacks.append(note)
    try:
        work()
    finally:
        gc.callbacks.remove(note)
    return found


def test_neither_derivation_nor_compilation_is_collected() -> None:
    data = {"X": np.ones((64, 4), np.float32)}
    trainer(3).fit(data, epochs=1, progress=False)
    alike.forget()
    modules = collected_in(lambda: trainer(24).fit(data, epochs=1, progress=False))
    # What a user's own lines make, and the arrays of a fit, may be looked through.
    parts = ("symnet.diff", "symnet.simplify", "symnet.rules", "symnet.lower", "codegen.passes")
    assert not [module for module in modules if module.startswith(parts)]


def test_what_is_made_goes_without_the_collector() -> None:
    """Else its memory would grow from network to network while nobody collects."""
    trainer(3)
    gc.collect()
    with uncollected():
        before = len(gc.get_objects())
        for _ in range(5):
            trainer(3)
        grown = len(gc.get_objects()) - before
    with uncollected():
        kept = trainer(3)
        alone = len(gc.get_objects()) - before - grown
    assert kept.kernels == 0
    assert grown < 2 * alone
