"""A process that trains and presses Ctrl-C at itself: `python -m tests.pressing HOW THREADS COUNT`.

HOW: `once`, `twice` (a second time soon after), `many` (`fit_many`). THREADS: a number, or none.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time

import numpy as np

import symnet as sn

RNG = np.random.default_rng(4)
DATA = {"X": RNG.normal(size=(333, 20)), "y": RNG.normal(size=(333, 3))}
BATCH = 32
STEPS = 11
ENDLESS = 100_000_000
LONGEST = 0.06
"""Seconds: Ctrl-C comes some time in this after the call, later where too many come before anything
is being trained."""
MOST = 20
"""How many times as often as wanted it may be pressed until enough have come in the training."""


def trainer(threads: int | None, seed: int = 2) -> sn.Trainer:
    """A network whose step is worth two workers."""
    x, y = sn.input("X", ("N", 20)), sn.input("y", ("N", 3))
    net = sn.nn.Sequential(sn.nn.Dense(20, 96, activation="tanh"), sn.nn.Dense(96, 3))
    return sn.Trainer(sn.losses.mse(net(x), y), sn.optim.Adam(1e-4), threads=threads, seed=seed)


class Presses:
    """Ctrl-C some time after `go` is set, and again a little later if there are two."""

    def __init__(self, delays: list[float]) -> None:
        self.go = threading.Event()
        self._delays = delays
        self._thread = threading.Thread(target=self._press)
        self._thread.start()

    def _press(self) -> None:
        self.go.wait()
        for delay in self._delays:
            time.sleep(delay)
            os.kill(os.getpid(), signal.SIGINT)

    def join(self) -> None:
        """Returns when all have been sent."""
        self._thread.join()


def equal(one: sn.Trainer, other: sn.Trainer) -> bool:
    """True if both are in the same state, to the bit."""
    states = one.state_dict(), other.state_dict()
    return all(states[0][name].tobytes() == array.tobytes() for name, array in states[1].items())


def pressed(made: sn.Trainer, delays: list[float]) -> sn.History | None:
    """What a fit that would never end gives; None if KeyboardInterrupt came out of it. If it is to
    be pressed twice, a callback takes most of the time."""
    presses, history = Presses(delays), None
    callbacks = [lambda state: time.sleep(LONGEST)] if len(delays) == 2 else []
    try:
        presses.go.set()
        history = made.fit(DATA, epochs=ENDLESS, batch_size=BATCH, callbacks=callbacks)
        presses.join()
    except KeyboardInterrupt:
        presses.join()
    return history


def fits(threads: int | None, count: int, twice: bool) -> None:
    """Fits one after the other, each interrupted, and then one to the end: until so many were
    interrupted in the training; or, pressed twice, until so many ended with KeyboardInterrupt."""
    chance, made, losses, heard, raised = random.Random(count), trainer(threads), [], 0, 0
    losses += made.fit(DATA, epochs=1, batch_size=BATCH).step_loss
    longest = LONGEST
    while (raised if twice else heard) < count:
        assert heard + raised < MOST * count, f"{heard} in the training, {raised} raised"
        delays = [chance.uniform(0, longest)] + [chance.uniform(0, LONGEST)] * twice
        before = int(made.state_dict()["k"])
        history = pressed(made, delays)
        after = int(made.state_dict()["k"])
        if history is not None:
            heard += 1
            losses += history.step_loss
            assert history.stopped == f"interrupted at step {after}", history.stopped
            assert len(history.step_loss) == after - before
            continue
        raised, longest = raised + 1, longest * (1.0 if twice else 1.2)
        assert twice or before == after, "one Ctrl-C raised although something was being trained"
    whole, done = trainer(threads), int(made.state_dict()["k"]) // STEPS
    losses += made.fit(DATA, epochs=1, batch_size=BATCH).step_loss
    straight = whole.fit(DATA, epochs=done + 1, batch_size=BATCH)
    assert equal(made, whole), "the bits are not those of one fit from beginning to end"
    assert twice or losses == straight.step_loss


def replicas(threads: int | None, count: int) -> None:
    """So many interrupted runs of `fit_many`, each of whose replicas is where it says it is."""
    chance, made, longest, number, raised = random.Random(count), trainer(threads), LONGEST, 0, 0
    made.fit_many(DATA, seeds=[0], epochs=1, batch_size=None)
    while number < count:
        assert raised < MOST * count
        presses, runs = Presses([0.01 + chance.uniform(0, longest)]), None
        try:
            presses.go.set()
            runs = made.fit_many(DATA, seeds=range(5), epochs=ENDLESS, batch_size=None)
        except KeyboardInterrupt:
            presses.join()
            raised, longest = raised + 1, longest * 1.2
            continue
        run, number = runs[number % 5], number + 1
        steps = len(run.history.step_loss)
        assert run.history.stopped == f"interrupted at step {steps}", run.history.stopped
        alone = trainer(1, run.seed)
        assert alone.fit(DATA, epochs=steps, batch_size=None).step_loss == run.history.step_loss
        for name, array in alone.parameters.items():
            assert array.tobytes() == run.parameters[name].tobytes()
        presses.join()


def alone_again(by: float = 60.0) -> None:
    """Waits until no thread but Python's own is left."""
    end = time.monotonic() + by
    while len(os.listdir("/proc/self/task")) > BEFORE and time.monotonic() < end:
        time.sleep(0.02)
    left = len(os.listdir("/proc/self/task")) - BEFORE
    assert left <= 0, f"{left} threads are left; Python's: {threading.enumerate()}"


BEFORE = len(os.listdir("/proc/self/task"))

if __name__ == "__main__":
    how, threads, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    chosen = None if threads == "none" else int(threads)
    if how == "many":
        replicas(chosen, count)
    else:
        fits(chosen, count, how == "twice")
    alone_again()
    print("done")
