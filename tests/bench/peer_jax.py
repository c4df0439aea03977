"""The workloads in JAX: an epoch is one compiled scan over its batches, with donated weights. Of a
small network eight epochs are one call, which spares it a tenth of its time.

The order of the rows comes from NumPy, since JAX's own permutation sorts, which costs more; each
step gathers its rows. A last, smaller batch is one more step inside the same compiled function.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.bench.workloads import VISCOSITY, Array, Workload, weights_of

Carry = Any
TOGETHER = 8


def forward(weights: list[Any], x: Any, activation: str) -> Any:
    """A dense network."""
    pointwise = jax.nn.relu if activation == "relu" else jnp.tanh
    for place in range(0, len(weights), 2):
        x = x @ weights[place] + weights[place + 1]
        x = x if place + 2 == len(weights) else pointwise(x)
    return x


def residual(weights: list[Any], x: Any, y: Any) -> Any:
    """Burgers' equation, the second derivative as a jvp of a gradient; of the whole batch, which
    takes a sixth less than the same point by point under vmap."""
    place, time = x[:, :1], x[:, 1:]

    def total(place: Any) -> Any:
        def of_both(place: Any, time: Any) -> tuple[Any, Any]:
            u = forward(weights, jnp.concatenate([place, time], axis=1), "tanh")
            return u.sum(), u

        return jax.grad(of_both, (0, 1), has_aux=True)(place, time)

    along = jnp.ones_like(place)
    ((slope, by_time), u), ((curve, _), _) = jax.jvp(total, (place,), (along,))
    rest = by_time + u * slope - VISCOSITY * curve
    return jnp.mean(rest**2) + jnp.mean((u - y) ** 2)


def loss_of(workload: Workload, weights: list[Any], x: Any, y: Any) -> Any:
    """The loss of one network on one batch."""
    if workload.kind == "residual":
        return residual(weights, x, y)
    scores = forward(weights, x, workload.activation)
    right = jnp.take_along_axis(scores, y[:, None], 1, mode="promise_in_bounds")[:, 0]
    return jnp.mean(jax.nn.logsumexp(scores, axis=1) - right)


def moved(workload: Workload, carry: Carry, gradients: list[Any]) -> Carry:
    """The carry after the optimizer's step."""
    weights, first, second, count = carry
    if workload.optimizer == "SGD":
        stepped = [w - workload.rate * g for w, g in zip(weights, gradients, strict=True)]
        return stepped, first, second, count
    count = count + 1
    kind = weights[0].dtype
    rate = (workload.rate / (1 - 0.9**count)).astype(kind)
    root = jnp.sqrt(1 - 0.999**count).astype(kind)
    first = [0.9 * m + 0.1 * g for m, g in zip(first, gradients, strict=True)]
    second = [0.999 * v + 0.001 * g * g for v, g in zip(second, gradients, strict=True)]
    triples = zip(weights, first, second, strict=True)
    weights = [w - rate * m / (jnp.sqrt(v) / root + 1e-8) for w, m, v in triples]
    return weights, first, second, count


def epoch(workload: Workload, carry: Carry, x: Any, y: Any, order: Any) -> tuple[Carry, Any]:
    """All batches of an epoch in the given order of rows: the new carry and every loss."""
    differentiate = jax.value_and_grad(partial(loss_of, workload))

    def body(held: Carry, rows: Any) -> tuple[Carry, Any]:
        batch = (a.at[rows].get(mode="promise_in_bounds") for a in (x, y))
        loss, gradients = differentiate(held[0], *batch)
        return moved(workload, held, gradients), loss

    full = workload.rows // workload.batch * workload.batch
    carry, losses = jax.lax.scan(body, carry, order[:full].reshape(-1, workload.batch))
    if full == workload.rows:
        return carry, losses
    carry, last = body(carry, order[full:])
    return carry, jnp.append(losses, last)


class Training:
    """A workload bound to its data and a compiled epoch."""

    def __init__(self, workload: Workload, start: list[Array]) -> None:
        self._workload, self._start = workload, start
        features, target = workload.arrays()
        labels = target.astype(np.int32) if target.dtype.kind == "i" else target
        self._data = jnp.asarray(features), jnp.asarray(labels)
        run = partial(epoch, workload)
        if workload.replicas > 1:
            run = jax.vmap(run, in_axes=(0, None, None, 0))
        self._epoch = jax.jit(run, donate_argnums=0)
        small = weights_of(workload) < 20_000 and workload.kind != "residual"
        self._together = TOGETHER if small else 1
        self._epochs = jax.jit(
            lambda carry, x, y, orders: jax.lax.scan(lambda c, o: run(c, x, y, o), carry, orders),
            donate_argnums=0,
        )
        self._random = np.random.default_rng(0)
        self._restart()

    def _restart(self) -> None:
        weights = [jnp.array(array) for array in self._start]
        used = weights if self._workload.optimizer == "Adam" else []
        zeros = [[jnp.zeros_like(array) for array in used] for _ in range(2)]
        shape = (self._workload.replicas,) if self._workload.replicas > 1 else ()
        self._carry = weights, *zeros, jnp.zeros(shape)

    def _order(self, shuffle: bool) -> Array:
        rows, replicas = self._workload.rows, self._workload.replicas
        if replicas == 1:
            order = self._random.permutation(rows) if shuffle else np.arange(rows)
            return order.astype(np.int32)
        order = np.tile(np.arange(rows, dtype=np.int32), (replicas, 1))
        return self._random.permuted(order, axis=1, out=order) if shuffle else order

    def losses(self, count: int) -> list[float]:
        """The loss of each of the first steps from the start, rows in order."""
        self._restart()
        found: list[float] = []
        while len(found) < count:
            self._carry, losses = self._epoch(self._carry, *self._data, self._order(False))
            found += (
                np.asarray(losses, np.float64).reshape(-1, self._workload.steps).mean(0).tolist()
            )
        # What is compiled when it is first called must not be so where it is timed.
        self.train(self._together)
        return found[:count]

    def train(self, epochs: int) -> None:
        """Trains on, rows shuffled."""
        calls = epochs // self._together if self._together > 1 else 0
        for _ in range(calls):
            orders = np.stack([self._order(True) for _ in range(self._together)])
            self._carry, losses = self._epochs(self._carry, *self._data, orders)
        for _ in range(epochs - calls * self._together):
            self._carry, losses = self._epoch(self._carry, *self._data, self._order(True))
        jax.block_until_ready((self._carry, losses))


class Update:
    """The optimizer alone, donated in and out."""

    def __init__(self, workload: Workload, start: list[Array]) -> None:
        weight = jnp.array(start[0])
        zeros = ([jnp.zeros_like(weight)] for _ in range(2))
        self._carry = [weight], *zeros, jnp.zeros(())
        self._gradient = jnp.asarray(workload.arrays()[1])
        self._step = jax.jit(lambda c, g: moved(workload, c, [g]), donate_argnums=0)

    def losses(self, count: int) -> list[float]:
        """The mean square of the weights after each of the first steps."""
        found = []
        for _ in range(count):
            self.train(1)
            found.append(float(np.mean(np.asarray(self._carry[0][0], np.float64) ** 2)))
        return found

    def train(self, epochs: int) -> None:
        """Makes so many steps."""
        for _ in range(epochs):
            self._carry = self._step(self._carry, self._gradient)
        jax.block_until_ready(self._carry)


def make(
    workload: Workload, start: list[Array] | None, threads: int | None, kind: str
) -> Training | Update:
    """The workload, ready to train from the given weights. Threads are set by the process."""
    jax.config.update("jax_enable_x64", workload.dtype == "float64")
    return (Update if workload.kind == "update" else Training)(workload, list(start or ()))
