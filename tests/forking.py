"""A process that trains and forks: `python -m tests.forking CASE`; it prints that it is done."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable

import numpy as np

import symnet as sn
from codegen import crew

RNG = np.random.default_rng(8)
ROWS = 203
FEATURES = RNG.normal(size=(ROWS, 24))
LABELS = RNG.integers(0, 5, ROWS)
VALUES = RNG.normal(size=(ROWS, 2))
LIMIT = 300.0
"""Seconds after which a child counts as hung."""


def classifier(threads: int | None) -> sn.Trainer:
    """Like the digits, only smaller."""
    x, y = sn.input("X", ("N", 24)), sn.input("Y", ("N",), dtype="int64")
    net = sn.nn.Sequential(sn.nn.Dense(24, 80, activation="relu"), sn.nn.Dense(80, 5))
    loss = sn.losses.cross_entropy(net(x), y)
    return sn.Trainer(loss, sn.optim.Adam(1e-3), threads=threads)


def regression(threads: int | None, optimizer: sn.optim.Optimizer | None = None) -> sn.Trainer:
    """Three layers of tanh."""
    x, y = sn.input("X", ("N", 24)), sn.input("Y", ("N", 2))
    layers = [sn.nn.Dense(24, 48, activation="tanh"), sn.nn.Dense(48, 48, activation="tanh")]
    net = sn.nn.Sequential(*layers, sn.nn.Dense(48, 2))
    return sn.Trainer(sn.losses.mse(net(x), y), optimizer or sn.optim.SGD(0.01), threads=threads)


def doubles(threads: int | None) -> sn.Trainer:
    """The same in float64."""
    with sn.default_dtype("float64"):
        return regression(threads)


def clipped(threads: int | None) -> sn.Trainer:
    """The same with a norm over all gradients."""
    return regression(threads, sn.optim.Adam(1e-2, clip_norm=0.1))


MAKERS = {"digits": classifier, "tanh": regression, "float64": doubles, "clipped": clipped}


def feeds(name: str) -> dict[str, np.ndarray]:
    """Data for one of them."""
    return {"X": FEATURES, "Y": LABELS if name == "digits" else VALUES}


def trained(
    name: str, threads: int | None, epochs: int = 6, callbacks: tuple[Callable, ...] = ()
) -> list[bytes]:
    """The bits of everything after some shuffled epochs, whose last batch is short."""
    trainer = MAKERS[name](threads)
    history = trainer.fit(feeds(name), epochs=epochs, batch_size=32, callbacks=callbacks)
    assert history.loss[-1] < history.loss[0]
    losses = np.array(history.step_loss).tobytes()
    return [losses, *(array.tobytes() for array in trainer.state_dict().values())]


def digest(bits: list[bytes]) -> bytes:
    """A short name of the bits."""
    return hashlib.sha256(b"".join(bits)).digest()


def ended(child: int) -> None:
    """Waits for a child, which must end, and well."""
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            assert os.waitstatus_to_exitcode(status) == 0
            return
        time.sleep(0.01)
    raise AssertionError("the child hangs")


def child_ends() -> None:
    """A callback forks, and the child ends at once."""

    def fork(state: sn.State) -> None:
        child = os.fork()
        if not child:
            os._exit(0)
        ended(child)

    assert trained("digits", 2, callbacks=(fork,)) == trained("digits", 1)


def child_trains_on() -> None:
    """A callback forks, and both come to the same end."""
    reading, writing = os.pipe()
    children = []

    def fork(state: sn.State) -> None:
        if state.epoch == 2:
            children.append(os.fork())

    bits = trained("digits", 2, callbacks=(fork,))
    if not children[0]:
        os.write(writing, digest(bits))
        os._exit(0)
    ended(children[0])
    assert bits == trained("digits", 1)
    assert os.read(reading, 32) == digest(bits)


def after_a_fit() -> None:
    """A child of a process whose workers are parked trains too, while its parent does."""
    alone = trained("digits", 2)
    child = os.fork()
    assert trained("digits", 2) == alone
    if not child:
        # As a process usually ends, with what Python does then.
        sys.exit(0)
    ended(child)


def beside_a_training() -> None:
    """Forks while another thread trains, again and again; each child trains by itself."""
    alone = trained("tanh", 2)
    found: list[list[bytes]] = []
    thread = threading.Thread(target=lambda: found.append(trained("digits", 2, 3000)))
    thread.start()
    forks = 0
    while thread.is_alive() and forks < 10:
        child = os.fork()
        if not child:
            os._exit(trained("tanh", 2) != alone)
        ended(child)
        forks += 1
    thread.join()
    assert forks
    assert found == [trained("digits", 1, 3000)]


def _send(queue: multiprocessing.Queue) -> None:
    queue.put(digest(trained("digits", 2)))


def processes(method: str) -> None:
    """Two processes of `multiprocessing` train at the same time."""
    alone = digest(trained("digits", 2))
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    both = [context.Process(target=_send, args=(queue,)) for _ in range(2)]
    for each in both:
        each.start()
    assert [queue.get(timeout=LIMIT) for _ in both] == [alone] * 2
    for each in both:
        each.join(LIMIT)
        assert each.exitcode == 0


def parked() -> None:
    """The process ends while workers wait for more, which would not leave by themselves; the
    trainer lives as long as the module."""
    crew._NAPS = 1 << 60
    trainer = KEPT["digits"] = classifier(2)
    before = len(os.listdir("/proc/self/task"))
    trainer.fit(feeds("digits"), epochs=2, batch_size=32)
    assert len(os.listdir("/proc/self/task")) > before


KEPT: dict[str, sn.Trainer] = {}


def daemon() -> None:
    """The process ends while a thread that nobody waits for is training."""
    trained("digits", 2)
    threading.Thread(target=lambda: trained("digits", 2, 1_000_000_000), daemon=True).start()
    time.sleep(0.2)


CASES: dict[str, Callable[[], None]] = {
    "child ends": child_ends,
    "child trains on": child_trains_on,
    "after a fit": after_a_fit,
    "beside a training": beside_a_training,
    "multiprocessing, fork": lambda: processes("fork"),
    "multiprocessing, spawn": lambda: processes("spawn"),
    "parked": parked,
    "daemon": daemon,
}

if __name__ == "__main__":
    CASES[sys.argv[1]]()
    print("done")
