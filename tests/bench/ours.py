"""The workloads in symnet, written as its users write them."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

import symnet as sn
from codegen.ir import Barrier, Loop, Sequence
from tests.bench.workloads import VISCOSITY, Array, Workload


def barriers(executable: Any) -> int:
    """How often the workers meet in a step: at the barriers, and at the turn of the loop over the
    steps. Never where one worker alone was the fastest."""
    times: dict[int, float] = {}
    for choice in executable._choices.values():
        known = ((count, choice.each(count)) for count in range(1, executable.workers + 1))
        times |= {count: seconds for count, seconds in known if seconds is not None}
    if min(times, key=times.__getitem__, default=1) == 1:
        return 0
    (*_, last) = executable.program.body
    turns = isinstance(last, Loop) and isinstance(last.order, Sequence)
    body = last.body if turns else executable.program.body
    return sum(isinstance(statement, Barrier) for statement in body) + turns


def network(widths: tuple[int, ...], activation: str) -> sn.nn.Sequential:
    """Dense layers, all but the last with the activation."""
    pairs = list(itertools.pairwise(widths))
    hidden = [sn.nn.Dense(*pair, activation=activation) for pair in pairs[:-1]]
    return sn.nn.Sequential(*hidden, sn.nn.Dense(*pairs[-1]))


def classifier(widths: tuple[int, ...], activation: str = "relu") -> sn.Expr:
    """The cross-entropy of X (N, features) and integer labels Y (N,)."""
    scores = network(widths, activation)(sn.input("X", ("N", widths[0])))
    return sn.losses.cross_entropy(scores, sn.input("Y", ("N",), dtype="int64"))


def residual(workload: Workload) -> sn.Expr:
    """Burgers' equation at points (x, t), and the distance to given values."""
    with sn.default_dtype(workload.dtype):
        x, t = sn.input("x", ("N", 1)), sn.input("t", ("N", 1))
        u = network(workload.widths, workload.activation)(sn.concat([x, t], axis=1))
        slope = sn.derivative(u, x)
        rest = sn.derivative(u, t) + u * slope - VISCOSITY * sn.derivative(slope, x)
        return sn.mean(rest**2) + sn.losses.mse(u, sn.input("Y", ("N", 1)))


class Training:
    """A workload bound to a trainer."""

    def __init__(self, workload: Workload, start: list[Array] | None, threads: int | None) -> None:
        self._workload = workload
        first, second = workload.arrays()
        if workload.kind == "residual":
            loss = residual(workload)
            self._feeds = {"x": first[:, :1].copy(), "t": first[:, 1:].copy(), "Y": second}
        else:
            loss = classifier(workload.widths, workload.activation)
            self._feeds = {"X": first, "Y": second}
        optimizer = getattr(sn.optim, workload.optimizer)(workload.rate)
        self.trainer = sn.Trainer(loss, optimizer, threads=threads)

    def weights(self) -> list[Array]:
        """The starting weights and biases, layer by layer; stacked where there are replicas."""
        drawn = []
        for seed in range(self._workload.replicas):
            self.trainer.reset(seed)
            drawn.append([array.copy() for array in self.trainer.parameters.values()])
        self.trainer.reset(0)
        if self._workload.replicas == 1:
            return drawn[0]
        return [np.stack(arrays) for arrays in zip(*drawn, strict=True)]

    def _fit(self, epochs: int, shuffle: bool) -> list[list[float]]:
        batch = self._workload.batch
        asked = {"epochs": epochs, "batch_size": batch, "shuffle": shuffle}
        if self._workload.replicas == 1:
            return [self.trainer.fit(self._feeds, progress=False, **asked).step_loss]
        seeds = range(self._workload.replicas)
        return [
            run.history.step_loss
            for run in self.trainer.fit_many(self._feeds, seeds=seeds, **asked)
        ]

    def losses(self, count: int) -> list[float]:
        """The loss of each of the first steps from the start, rows in order."""
        self.trainer.reset(0)
        epochs = -(-count // self._workload.steps)
        return [float(np.mean(step)) for step in zip(*self._fit(epochs, False), strict=True)][
            :count
        ]

    def train(self, epochs: int) -> None:
        """Trains on, rows shuffled."""
        self._fit(epochs, True)

    def compiles(self) -> int:
        """How many kernels had to be compiled so far."""
        return self.trainer.compiles

    def barriers(self) -> int:
        """Those of a step as it runs by now; a replica is trained by one worker."""
        return 0 if self._workload.replicas > 1 else barriers(self.trainer._executables[-1])


class Update:
    """The optimizer alone: new weights from a given gradient."""

    def __init__(self, workload: Workload, start: list[Array] | None, threads: int | None) -> None:
        first, self._gradient = workload.arrays()
        weight, gradient = sn.parameter("w", init=first), sn.input("g", first.shape)
        updates = sn.optim.Adam(workload.rate).updates([weight], [gradient])
        step = sn.schedules.step
        self._function = sn.compile([], [*updates, (step, step + 1)], threads=threads)

    def weights(self) -> list[Array]:
        """The starting weights."""
        return [self._function.parameters["w"].copy()]

    def losses(self, count: int) -> list[float]:
        """The mean square of the weights after each of the first steps."""
        found = []
        for _ in range(count):
            self.train(1)
            found.append(float(np.mean(self._function.parameters["w"].astype(np.float64) ** 2)))
        return found

    def train(self, epochs: int) -> None:
        """Makes so many steps."""
        for _ in range(epochs):
            self._function(g=self._gradient)

    def compiles(self) -> int:
        """How many kernels had to be compiled so far."""
        return self._function.compiles

    def barriers(self) -> int:
        """Those of a step as it runs by now."""
        return barriers(self._function.executable)


def make(
    workload: Workload, start: list[Array] | None, threads: int | None, kind: str
) -> Training | Update:
    """The workload, ready to train; `start` is not needed, these weights are the ones all take."""
    return (Update if workload.kind == "update" else Training)(workload, start, threads)
