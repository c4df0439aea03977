"""The workloads in PyTorch: eager with the fused optimizer, and compiled steps.

Data stays in memory, an epoch's rows are gathered at once, and no loss is read inside an epoch.
Eager is with torch.optim, as users write it. Direct is the same with the private operations that
torch.optim calls, called directly, which spares a small network up to a third of a step. A compiled
step is one graph: loss, gradient (torch.func) and the optimizer's formula, for a compiled graph
writes the same sums in fewer loops than it would around the fused optimizer. Where a step is short,
one graph holds several, which spares up to a third of it again, and no guard is looked at once all
graphs have run.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn import functional

from tests.bench.workloads import VISCOSITY, Array, Workload, weights_of

Tensors = list[torch.Tensor]
TOGETHER = 8
"""Steps of one graph, where weights and layers are few; more compile for minutes."""


def forward(weights: Tensors, x: torch.Tensor, activation: str) -> torch.Tensor:
    """A dense network; batched where the weights are stacked replicas."""
    pointwise = torch.relu if activation == "relu" else torch.tanh
    for place in range(0, len(weights), 2):
        weight, bias = weights[place], weights[place + 1]
        if weight.ndim == 3:
            x = torch.baddbmm(bias[:, None], x, weight)
        else:
            x = torch.addmm(bias, x, weight)
        x = x if place + 2 == len(weights) else pointwise(x)
    return x


def _residual(u: torch.Tensor, y: torch.Tensor, slopes: Tensors) -> torch.Tensor:
    by_time, slope, curve = slopes
    rest = by_time + u * slope - VISCOSITY * curve
    return (rest**2).mean() + ((u - y) ** 2).mean()


def reverse_residual(weights: Tensors, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Burgers' equation by reverse mode twice, as eager programs have it."""
    place, time = (column.clone().requires_grad_() for column in (x[:, :1], x[:, 1:]))
    u = forward(weights, torch.cat([place, time], 1), "tanh")
    slope, by_time = torch.autograd.grad(u.sum(), [place, time], create_graph=True)
    (curve,) = torch.autograd.grad(slope.sum(), place, create_graph=True)
    return _residual(u, y, [by_time, slope, curve])


def nested_residual(weights: Tensors, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The same by torch.func, which torch.compile can follow (its jvp of jvp it cannot)."""

    def total(place: torch.Tensor, time: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        u = forward(weights, torch.cat([place, time], 1), "tanh")
        return u.sum(), u

    def slopes(place: torch.Tensor, time: torch.Tensor) -> tuple[torch.Tensor, Any]:
        found, u = torch.func.grad(total, argnums=(0, 1), has_aux=True)(place, time)
        return found[0].sum(), (u, *found)

    curve, (u, slope, by_time) = torch.func.grad(slopes, has_aux=True)(x[:, :1], x[:, 1:])
    return _residual(u, y, [by_time, slope, curve])


def loss_of(workload: Workload, weights: Tensors, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The loss; of replicas one each."""
    scores = forward(weights, x, workload.activation)
    if workload.kind != "replicas":
        return functional.cross_entropy(scores, y)
    each = functional.cross_entropy(scores.flatten(0, 1), y.flatten(), reduction="none")
    return each.view(y.shape).mean(1)


class Training:
    """What eager and compiled share: the data, the epochs and the batches."""

    def __init__(self, workload: Workload, start: list[Array]) -> None:
        self.workload = workload
        self._start = [torch.from_numpy(array) for array in start]
        self._x, self._y = (torch.from_numpy(array) for array in workload.arrays())
        self.restart()

    def restart(self) -> None:
        """Begins at the starting weights."""
        raise NotImplementedError

    def step(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """One step; its loss, still a tensor."""
        raise NotImplementedError

    def _epoch(self, shuffle: bool) -> Tensors:
        rows = self.workload.rows
        if self.workload.kind == "replicas":
            x, y, axis = *self._replicated(shuffle), 1
        else:
            order = torch.randperm(rows) if shuffle else None
            x = self._x if order is None else self._x.index_select(0, order)
            y = self._y if order is None else self._y.index_select(0, order)
            axis = 0
        return self._through(x, y, axis)

    def _through(self, x: torch.Tensor, y: torch.Tensor, axis: int) -> Tensors:
        """A step on each batch along the axis."""
        batch = self.workload.batch
        batches = zip(x.split(batch, axis), y.split(batch, axis), strict=True)
        return [self.step(*pair) for pair in batches]

    def _replicated(self, shuffle: bool) -> Tensors:
        """The data once a replica, each in its own order."""
        replicas, rows = self.workload.replicas, self.workload.rows
        order = torch.arange(rows).expand(replicas, rows)
        order = torch.rand(replicas, rows).argsort(1) if shuffle else order
        return [self._x[order], self._y[order]]

    def losses(self, count: int) -> list[float]:
        """The loss of each of the first steps from the start, rows in order."""
        self.restart()
        found: Tensors = []
        while len(found) < count:
            found += self._epoch(shuffle=False)
        return [float(loss.mean()) for loss in found[:count]]

    def train(self, epochs: int) -> None:
        """Trains on, rows shuffled; the losses of an epoch are put together at its end."""
        for _ in range(epochs):
            torch.stack(self._epoch(shuffle=True))


def eager_loss(
    workload: Workload, weights: Tensors, x: torch.Tensor, y: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """What is differentiated, and the loss as it is told."""
    if workload.kind == "residual":
        loss = reverse_residual(weights, x, y)
    else:
        loss = loss_of(workload, weights, x, y)
    return (loss.sum() if loss.ndim else loss), loss.detach()


class Eager(Training):
    """loss.backward() and the fused optimizer."""

    def restart(self) -> None:
        self._weights = [array.clone().requires_grad_() for array in self._start]
        kind = torch.optim.Adam if self.workload.optimizer == "Adam" else torch.optim.SGD
        self._optimizer = kind(self._weights, lr=self.workload.rate, fused=True)

    def step(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        self._optimizer.zero_grad(set_to_none=True)
        value, loss = eager_loss(self.workload, self._weights, x, y)
        value.backward()
        self._optimizer.step()
        return loss


def fused_adam(rate: float, weights: Tensors, gradients: Tensors, state: list[Tensors]) -> None:
    """What torch.optim.Adam(fused=True) calls. state: both moments, and the counts of steps."""
    torch._foreach_add_(state[2], 1)
    torch._fused_adam_(
        weights, gradients, state[0], state[1], [], state[2], lr=rate, beta1=0.9, beta2=0.999,
        weight_decay=0.0, eps=1e-8, amsgrad=False, maximize=False,
    )  # fmt: skip


def fused_state(weights: Tensors) -> list[Tensors]:
    """What it remembers, at the start."""
    moments = [[torch.zeros_like(array) for array in weights] for _ in range(2)]
    return [*moments, [torch.zeros(()) for _ in weights]]


class Direct(Training):
    """The same without torch.optim."""

    def restart(self) -> None:
        self._weights = [array.clone().requires_grad_() for array in self._start]
        self._state = fused_state(self._weights)

    def step(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        value, loss = eager_loss(self.workload, self._weights, x, y)
        gradients = list(torch.autograd.grad(value, self._weights))
        with torch.no_grad():
            if self.workload.optimizer == "SGD":
                torch._foreach_add_(self._weights, gradients, alpha=-self.workload.rate)
            else:
                fused_adam(self.workload.rate, self._weights, gradients, self._state)
        return loss


class Moments:
    """The optimizer's formula on given weights, in place, with what it remembers.

    The two numbers that change with the step are filled in from outside the graph.
    """

    def __init__(self, workload: Workload, weights: Tensors, most: int = 1) -> None:
        self.weights, self._workload, self._count = weights, workload, 0
        scales = torch.zeros(most, 2, dtype=weights[0].dtype)
        self._numbers, self._scales = scales.numpy(), [one.unbind() for one in scales.unbind()]
        zeros = [[torch.zeros_like(array) for array in weights] for _ in range(2)]
        self._state = [weights, *zeros]

    def advance(self, steps: int = 1) -> tuple[list[Tensors], list[tuple[torch.Tensor, ...]]]:
        """What a graph takes: the arrays, then the rate and the root of each of its steps."""
        for place in range(steps):
            self._count += 1
            if self._workload.optimizer == "Adam":
                rate = self._workload.rate / (1 - 0.9**self._count)
                self._numbers[place] = rate, (1 - 0.999**self._count) ** 0.5
        return self._state, self._scales[:steps]


def moved(workload: Workload, state: list[Tensors], scales: Any, gradients: Any) -> None:
    """The optimizer's step, in place."""
    weights, first, second = state
    if workload.optimizer == "SGD":
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.sub_(gradient, alpha=workload.rate)
        return
    rate, root = scales
    for weight, mean, square, gradient in zip(weights, first, second, gradients, strict=True):
        mean.mul_(0.9).add_(gradient, alpha=0.1)
        square.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
        weight.sub_(rate * mean / (square.sqrt() / root + 1e-8))


def settled(yes: bool) -> None:
    """Whether all graphs have been compiled, so that which to take is all that is to be decided."""
    torch.compiler.set_stance("default", skip_guard_eval_unsafe=yes)


class Compiled(Training):
    """torch.compile of a whole step, or of several."""

    def __init__(self, workload: Workload, start: list[Array]) -> None:
        self._compiled = torch.compile(self._graph, fullgraph=True, dynamic=False)
        few = workload.kind != "residual" and weights_of(workload) < 200_000
        self._together = TOGETHER if few and len(workload.widths) <= 5 else 1
        super().__init__(workload, start)

    def restart(self) -> None:
        weights = [array.clone() for array in self._start]
        self._moments = Moments(self.workload, weights, self._together)

    def losses(self, count: int) -> list[float]:
        """As above; whole epochs, in which every graph is compiled."""
        settled(False)
        found = super().losses(count)
        settled(True)
        return found

    def _through(self, x: torch.Tensor, y: torch.Tensor, axis: int) -> Tensors:
        most, found = self._together * self.workload.batch, []
        with torch.no_grad():
            for parts in zip(x.split(most, axis), y.split(most, axis), strict=True):
                steps = -(-parts[0].shape[axis] // self.workload.batch)
                found += self._compiled(*self._moments.advance(steps), *parts, axis)
        return found

    def _graph(
        self, state: list[Tensors], scales: Any, x: torch.Tensor, y: torch.Tensor, axis: int
    ) -> Tensors:
        batch = self.workload.batch
        batches = zip(scales, x.split(batch, axis), y.split(batch, axis), strict=True)
        return [self._one(state, *each) for each in batches]

    def _one(self, state: list[Tensors], scales: Any, x: torch.Tensor, y: torch.Tensor) -> Any:
        def value(weights: Tensors) -> tuple[torch.Tensor, torch.Tensor]:
            if self.workload.kind == "residual":
                loss = nested_residual(weights, x, y)
            else:
                loss = loss_of(self.workload, weights, x, y)
            return loss.sum(), loss

        gradients, (_, loss) = torch.func.grad_and_value(value, has_aux=True)(state[0])
        moved(self.workload, state, scales, gradients)
        return loss


class Update:
    """The optimizer alone, fused or compiled."""

    def __init__(self, workload: Workload, start: list[Array], kind: str) -> None:
        self._workload = workload
        weight = torch.from_numpy(start[0]).clone().requires_grad_()
        weight.grad = torch.from_numpy(workload.arrays()[1])
        self._weight, self._compiled = weight, None
        self._optimizer = torch.optim.Adam([weight], lr=workload.rate, fused=True)
        self._fused = fused_state([weight]) if kind == "direct" else None
        if kind == "compile":
            self._moments = Moments(workload, [weight.detach()])
            self._compiled = torch.compile(self._graph, fullgraph=True, dynamic=False)

    def _graph(self, state: list[Tensors], scales: Any, gradient: torch.Tensor) -> None:
        moved(self._workload, state, scales[0], [gradient])

    def losses(self, count: int) -> list[float]:
        """The mean square of the weights after each of the first steps."""
        found = []
        settled(False)
        for _ in range(count):
            self.train(1)
            found.append(float(np.mean(self._weight.detach().numpy().astype(np.float64) ** 2)))
        settled(True)
        return found

    def train(self, epochs: int) -> None:
        """Makes so many steps."""
        for _ in range(epochs):
            with torch.no_grad():
                if self._compiled is not None:
                    self._compiled(*self._moments.advance(), self._weight.grad)
                elif self._fused is not None:
                    fused_adam(
                        self._workload.rate, [self._weight], [self._weight.grad], self._fused
                    )
                else:
                    self._optimizer.step()


def make(
    workload: Workload, start: list[Array] | None, threads: int | None, kind: str
) -> Training | Update:
    """The workload, ready to train from the given weights; kind: eager, direct, compile."""
    if threads:
        torch.set_num_threads(threads)
    begin = [np.array(array) for array in start or ()]
    torch.compiler.reset()
    if workload.kind == "update":
        return Update(workload, begin, kind)
    return {"eager": Eager, "direct": Direct, "compile": Compiled}[kind](workload, begin)
