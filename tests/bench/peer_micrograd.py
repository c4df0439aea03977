"""The moons in micrograd, which computes on one number at a time.

It has no tanh, exponential or logarithm; they are added here as its own operations are made. Each
row is differentiated on its own, into the same gradients, which takes half the time of a graph of
the whole batch. The nodes of a row refer to one another, so that only the collector frees them: it
runs once a row, on the young, which is 2.5 times faster than leaving it on. An "epoch" is of so few
steps here that a round ends.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from micrograd.engine import Value

from tests.bench.workloads import Array, Workload

Layer = tuple[list[list[Value]], list[Value]]


def _pointwise(value: Value, result: float, slope: float, name: str) -> Value:
    out = Value(result, (value,), name)

    def backward() -> None:
        value.grad += slope * out.grad

    out._backward = backward
    return out


def tanh(value: Value) -> Value:
    """The hyperbolic tangent."""
    result = math.tanh(value.data)
    return _pointwise(value, result, 1 - result * result, "tanh")


def exp(value: Value) -> Value:
    """The exponential."""
    result = math.exp(value.data)
    return _pointwise(value, result, result, "exp")


def log(value: Value) -> Value:
    """The natural logarithm."""
    return _pointwise(value, math.log(value.data), 1 / value.data, "log")


def layers_of(start: list[Array]) -> list[Layer]:
    """A column of weights and a bias for each neuron."""
    layers = []
    for weight, bias in zip(start[::2], start[1::2], strict=True):
        columns = [[Value(float(entry)) for entry in column] for column in weight.T]
        layers.append((columns, [Value(float(entry)) for entry in bias]))
    return layers


def scores(layers: list[Layer], row: list[Value]) -> list[Value]:
    """What the network gives for a row of features."""
    for place, (columns, biases) in enumerate(layers):
        row = [
            sum((w * x for w, x in zip(column, row, strict=True)), bias)
            for column, bias in zip(columns, biases, strict=True)
        ]
        row = row if place + 1 == len(layers) else [tanh(value) for value in row]
    return row


def cross_entropy(found: list[Value], label: int) -> Value:
    """Of one row; the largest score is taken away first, as a number."""
    largest = max(score.data for score in found)
    parts = [exp(score - largest) for score in found]
    return log(sum(parts[1:], parts[0])) + largest - found[label]


class Training:
    """The moons bound to their data."""

    steps = 2

    def __init__(self, workload: Workload, start: list[Array]) -> None:
        self._workload, self._start = workload, start
        features, labels = workload.arrays()
        self._rows, self._labels = features.tolist(), labels.tolist()
        self._random = np.random.default_rng(0)
        self._restart()

    def _restart(self) -> None:
        self._layers = layers_of(self._start)
        self._learned = [
            value
            for columns, biases in self._layers
            for group in (*columns, biases)
            for value in group
        ]

    def _step(self, rows: list[int]) -> float:
        for value in self._learned:
            value.grad = 0
        total, share = 0.0, 1 / len(rows)
        for row in rows:
            found = scores(self._layers, [Value(entry) for entry in self._rows[row]])
            loss = cross_entropy(found, self._labels[row]) * share
            loss.backward()
            total += loss.data
            del found, loss
            gc.collect(0)
        for value in self._learned:
            value.data -= self._workload.rate * value.grad
        return total

    def _run(self, steps: int, order: Callable[[], Array]) -> list[float]:
        """So many steps in epochs of rows in that order."""
        batch, losses = self._workload.batch, []
        gc.disable()
        try:
            while len(losses) < steps:
                rows = order().tolist()
                firsts = range(0, len(rows), batch)[: steps - len(losses)]
                losses += [self._step(rows[first : first + batch]) for first in firsts]
        finally:
            gc.enable()
        return losses

    def losses(self, count: int) -> list[float]:
        """The loss of each of the first steps from the start, rows in order."""
        self._restart()
        return self._run(count, lambda: np.arange(self._workload.rows))

    def train(self, epochs: int) -> None:
        """Trains on, rows shuffled, `steps` steps an epoch."""
        for _ in range(epochs):
            self._run(self.steps, lambda: self._random.permutation(self._workload.rows))


def make(workload: Workload, start: Any, threads: int | None, kind: str) -> Training:
    """The moons, ready to train from the given weights."""
    return Training(workload, list(start))
