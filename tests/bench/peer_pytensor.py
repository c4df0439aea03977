"""The workloads in PyTensor: one compiled function a step, on shared variables updated in place.

Numba is the linker, which was faster here than C on every workload (moons 57 to 77 microseconds a
step, digits 42 to 140). A function of the whole epoch by `scan` was slower than a call a step, with
both linkers. An epoch's rows are gathered at once, and each step takes a view of them. Replicas are
stacked, and their products batched.

PyTensor pins Numba: what it asks for may not go beside symnet. Then give it an environment of its
own, `pip install pytensor scikit-learn`, and name that with `--python pytensor=ITS_PYTHON`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt

from tests.bench.workloads import VISCOSITY, Array, Workload

Tensors = list[Any]


def forward(weights: Tensors, x: Any, activation: str) -> Any:
    """A dense network; batched where the weights are stacked replicas."""
    for place in range(0, len(weights), 2):
        weight, bias = weights[place], weights[place + 1]
        x = pt.dot(x, weight) + bias if weight.ndim == 2 else pt.matmul(x, weight) + bias[:, None]
        if place + 2 < len(weights):
            x = pt.maximum(x, 0) if activation == "relu" else pt.tanh(x)
    return x


def residual(weights: Tensors, x: Any, y: Any) -> Any:
    """Burgers' equation by reverse mode twice."""
    place, time = x[:, :1], x[:, 1:]
    u = forward(weights, pt.concatenate([place, time], axis=1), "tanh")
    slope, by_time = pytensor.grad(u.sum(), [place, time])
    curve = pytensor.grad(slope.sum(), place)
    rest = by_time + u * slope - VISCOSITY * curve
    return (rest**2).mean() + ((u - y) ** 2).mean()


def loss_of(workload: Workload, weights: Tensors, x: Any, y: Any) -> Any:
    """The loss; of replicas one each."""
    if workload.kind == "residual":
        return residual(weights, x, y)
    scores = forward(weights, x, workload.activation)
    logs = pt.special.log_softmax(scores, axis=-1)
    right = pt.eq(y[..., None], np.arange(workload.widths[-1]))
    return -pt.where(right, logs, np.zeros((), workload.dtype)).sum(axis=-1).mean(axis=-1)


def moved(workload: Workload, state: Tensors, gradients: Tensors) -> Tensors:
    """The state (weights; for Adam both moments and the count of steps) after the step."""
    count, kind = len(gradients), np.dtype(workload.dtype).type
    pairs = list(zip(state[:count], gradients, strict=True))
    if workload.optimizer == "SGD":
        return [weight - kind(workload.rate) * gradient for weight, gradient in pairs]
    steps = state[-1] + 1
    rate = pt.cast(workload.rate / (1 - 0.9**steps), workload.dtype)
    root = pt.cast(pt.sqrt(1 - 0.999**steps), workload.dtype)
    held = zip(state[count : 2 * count], gradients, strict=True)
    means = [kind(0.9) * m + kind(0.1) * g for m, g in held]
    held = zip(state[2 * count : 3 * count], gradients, strict=True)
    squares = [kind(0.999) * v + kind(0.001) * g * g for v, g in held]
    triples = zip(state[:count], means, squares, strict=True)
    weights = [w - rate * m / (pt.sqrt(v) / root + kind(1e-8)) for w, m, v in triples]
    return [*weights, *means, *squares, steps]


def beginning(workload: Workload, start: list[Array]) -> list[Array]:
    """The state before the first step."""
    weights = [np.array(array, workload.dtype) for array in start]
    if workload.optimizer == "SGD":
        return weights
    return [*weights, *(np.zeros_like(array) for _ in range(2) for array in weights), np.zeros(())]


class Training:
    """A workload bound to its data and a compiled step."""

    def __init__(self, workload: Workload, start: list[Array]) -> None:
        self._workload, self._start = workload, start
        self._features, self._target = workload.arrays()
        self._state = [pytensor.shared(array) for array in beginning(workload, start)]
        self._random = np.random.default_rng(0)
        stacked = workload.replicas > 1
        x = pt.tensor("x", dtype=workload.dtype, shape=(None,) * (2 + stacked))
        y = pt.tensor("y", dtype=self._target.dtype, shape=(None,) * (self._target.ndim + stacked))
        weights = self._state[: len(start)]
        loss = loss_of(workload, weights, x, y)
        gradients = pytensor.grad(loss.sum(), weights)
        updates = list(zip(self._state, moved(workload, self._state, gradients), strict=True))
        shown = pytensor.Out(loss, borrow=True)
        self._step = pytensor.function([x, y], shown, updates=updates, mode="NUMBA")
        self._step.trust_input = True

    def _order(self, shuffle: bool) -> Array:
        rows, replicas = self._workload.rows, self._workload.replicas
        if replicas == 1:
            return self._random.permutation(rows) if shuffle else np.arange(rows)
        order = np.tile(np.arange(rows), (replicas, 1))
        return self._random.permuted(order, axis=1, out=order) if shuffle else order

    def _epoch(self, shuffle: bool) -> list[Array]:
        batch, order = self._workload.batch, self._order(shuffle)
        x, y = self._features[order], self._target[order]
        if self._workload.replicas == 1:
            return [self._step(x[k : k + batch], y[k : k + batch]) for k in range(0, len(x), batch)]
        first = range(0, self._workload.rows, batch)
        return [self._step(x[:, k : k + batch], y[:, k : k + batch]) for k in first]

    def losses(self, count: int) -> list[float]:
        """The loss of each of the first steps from the start, rows in order."""
        again = beginning(self._workload, self._start)
        for shared, array in zip(self._state, again, strict=True):
            shared.set_value(array)
        found: list[float] = []
        while len(found) < count:
            found += [float(np.mean(loss)) for loss in self._epoch(shuffle=False)]
        return found[:count]

    def train(self, epochs: int) -> None:
        """Trains on, rows shuffled."""
        for _ in range(epochs):
            self._epoch(shuffle=True)


class Update:
    """The optimizer alone, in place."""

    def __init__(self, workload: Workload, start: list[Array]) -> None:
        self._state = [pytensor.shared(array) for array in beginning(workload, start)]
        gradient = pytensor.shared(workload.arrays()[1], borrow=True)
        new = moved(workload, self._state, [gradient])
        updates = list(zip(self._state, new, strict=True))
        self._step = pytensor.function([], [], updates=updates, mode="NUMBA")

    def losses(self, count: int) -> list[float]:
        """The mean square of the weights after each of the first steps."""
        found = []
        for _ in range(count):
            self._step()
            found.append(float(np.mean(self._state[0].get_value().astype(np.float64) ** 2)))
        return found

    def train(self, epochs: int) -> None:
        """Makes so many steps."""
        for _ in range(epochs):
            self._step()


def make(
    workload: Workload, start: list[Array] | None, threads: int | None, kind: str
) -> Training | Update:
    """The workload, ready to train from the given weights. Threads are set by the process."""
    pytensor.config.floatX = workload.dtype
    return (Update if workload.kind == "update" else Training)(workload, list(start or ()))
