"""The workloads in PyTorch on the GPU, each in the fastest form that a careful user would write.

Data stays on the GPU, an epoch's rows are gathered at once, no loss is read inside an epoch.
`eager`: backward() and the fused optimizer. `compile`, `reduce-overhead`: the whole step, gradient
and optimizer included, as one compiled graph. `graph`: the eager step captured in a CUDA graph that
gathers its own rows by a counter on the GPU, so that a step is one replay and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch._dynamo import mark_static_address

from tests.bench.peer_torch import loss_of
from tests.bench.workloads import Array, Workload
from tests.gpu.cases import Row

Tensors = list[torch.Tensor]
GPU = torch.device("cuda")


def _on_gpu(array: Array) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).to(GPU)


class Training:
    """What all forms share: the data, the epochs and the batches."""

    def __init__(self, workload: Workload, start: list[Array]) -> None:
        self.workload = workload
        self._start = [_on_gpu(array) for array in start]
        self._x, self._y = (_on_gpu(array) for array in workload.arrays())
        self.restart()

    def restart(self) -> None:
        """Begins at the starting weights."""
        raise NotImplementedError

    def step(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """One step; its loss, still a tensor."""
        raise NotImplementedError

    def epoch(self, shuffle: bool) -> torch.Tensor:
        """The losses of all batches."""
        rows, batch = self.workload.rows, self.workload.batch
        order = torch.randperm(rows, device=GPU) if shuffle else None
        x = self._x if order is None else self._x.index_select(0, order)
        y = self._y if order is None else self._y.index_select(0, order)
        pairs = zip(x.split(batch), y.split(batch), strict=True)
        return torch.stack([self.step(*pair) for pair in pairs])

    def losses(self, count: int) -> list[float]:
        """The loss of each of the first steps from the start, rows in order."""
        self.restart()
        found: list[float] = []
        while len(found) < count:
            found += self.epoch(shuffle=False).tolist()
        return found[:count]

    def train(self, epochs: int) -> None:
        """Trains on, rows shuffled, until all is done."""
        for _ in range(epochs):
            self.epoch(shuffle=True)
        torch.cuda.synchronize()


def optimizer_of(workload: Workload, weights: Tensors, capturable: bool) -> torch.optim.Optimizer:
    """The fused optimizer."""
    if workload.optimizer == "Adam":
        return torch.optim.Adam(weights, lr=workload.rate, fused=True, capturable=capturable)
    return torch.optim.SGD(weights, lr=workload.rate, fused=True)


class Eager(Training):
    """loss.backward() and the fused optimizer."""

    def restart(self) -> None:
        self._weights = [array.clone().requires_grad_() for array in self._start]
        self._optimizer = optimizer_of(self.workload, self._weights, False)

    def step(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        self._optimizer.zero_grad(set_to_none=True)
        loss = loss_of(self.workload, self._weights, x, y)
        loss.backward()
        self._optimizer.step()
        return loss.detach()


class Graph(Training):
    """The step as a CUDA graph, one for full batches and one for a last partial batch."""

    def restart(self) -> None:
        work = self.workload
        self._weights = [array.clone().requires_grad_() for array in self._start]
        self._optimizer = optimizer_of(work, self._weights, True)
        self._order = torch.arange(work.rows, device=GPU)
        self._found = torch.zeros(work.steps, device=GPU)
        self._place = torch.zeros((), dtype=torch.int64, device=GPU)
        self._whole = self._captured(work.batch)
        left = work.rows % work.batch
        self._last = self._captured(left) if left else None
        # Warming up has trained: everything goes back, in place, since the graphs hold addresses.
        with torch.no_grad():
            for weight, array in zip(self._weights, self._start, strict=True):
                weight.copy_(array)
            for state in self._optimizer.state.values():
                for value in state.values():
                    if isinstance(value, torch.Tensor):
                        value.zero_()

    def _body(self, count: int) -> None:
        steps = torch.arange(count, device=GPU)
        rows = self._order.index_select(0, self._place * self.workload.batch + steps)
        x, y = self._x.index_select(0, rows), self._y.index_select(0, rows)
        loss = loss_of(self.workload, self._weights, x, y)
        for weight, slope in zip(
            self._weights, torch.autograd.grad(loss, self._weights), strict=True
        ):
            weight.grad = slope
        self._optimizer.step()
        self._found.index_copy_(0, self._place.view(1), loss.detach().view(1))
        self._place += 1

    def _captured(self, count: int) -> torch.cuda.CUDAGraph:
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(3):
                self._place.zero_()
                self._body(count)
        torch.cuda.current_stream().wait_stream(beside)
        self._place.zero_()
        made = torch.cuda.CUDAGraph()
        with torch.cuda.graph(made):
            self._body(count)
        return made

    def epoch(self, shuffle: bool) -> torch.Tensor:
        rows = self.workload.rows
        if shuffle:
            self._order.copy_(torch.randperm(rows, device=GPU))
        self._place.zero_()
        for _ in range(rows // self.workload.batch):
            self._whole.replay()
        if self._last is not None:
            self._last.replay()
        return self._found.clone()


class Moments:
    """The weights, what the optimizer remembers, and the step, which is counted on the GPU."""

    def __init__(self, weights: Tensors) -> None:
        zeros = [[torch.zeros_like(array) for array in weights] for _ in range(2)]
        self.state = [weights, *zeros]
        self.count = torch.zeros((), device=GPU)
        for tensor in (self.count, *(array for arrays in self.state for array in arrays)):
            mark_static_address(tensor)


def moved(workload: Workload, state: list[Tensors], count: torch.Tensor, gradients: Any) -> None:
    """The optimizer's step by its formula, in place."""
    weights, first, second = state
    if workload.optimizer == "SGD":
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.sub_(gradient, alpha=workload.rate)
        return
    count.add_(1)
    rate = workload.rate / (1 - 0.9**count)
    root = (1 - 0.999**count).sqrt()
    for weight, mean, square, gradient in zip(weights, first, second, gradients, strict=True):
        mean.mul_(0.9).add_(gradient, alpha=0.1)
        square.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
        weight.sub_(rate * mean / (square.sqrt() / root + 1e-8))


def compiled(body: Callable[..., Any], kind: str) -> Callable[..., Any]:
    """torch.compile in its default form, or the one that makes CUDA graphs itself."""
    mode = "reduce-overhead" if kind == "reduce-overhead" else None
    return torch.compile(body, fullgraph=True, dynamic=False, mode=mode)


class Compiled(Training):
    """torch.compile of the whole step."""

    def __init__(self, workload: Workload, start: list[Array], kind: str) -> None:
        self._kind = kind
        self._compiled = compiled(self._graph, kind)
        super().__init__(workload, start)

    def restart(self) -> None:
        self._moments = Moments([array.clone() for array in self._start])

    def _graph(
        self, state: list[Tensors], count: torch.Tensor, x: torch.Tensor, y: torch.Tensor
    ) -> torch.Tensor:
        def value(weights: Tensors) -> torch.Tensor:
            return loss_of(self.workload, weights, x, y)

        gradients, loss = torch.func.grad_and_value(value)(state[0])
        moved(self.workload, state, count, gradients)
        return loss

    def step(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            torch.compiler.cudagraph_mark_step_begin()
            loss = self._compiled(self._moments.state, self._moments.count, x, y)
            # The next replay writes where this one did.
            return loss.clone() if self._kind == "reduce-overhead" else loss


class Update:
    """The optimizer alone."""

    def __init__(self, workload: Workload, start: list[Array], kind: str) -> None:
        self._kind, self._workload = kind, workload
        self._weight = _on_gpu(start[0])
        self._gradient = _on_gpu(workload.arrays()[1])
        self._one: Callable[[], Any]
        if kind in ("eager", "graph"):
            weight = self._weight.requires_grad_()
            weight.grad = self._gradient
            optimizer = optimizer_of(workload, [weight], kind == "graph")
            self._one = optimizer.step
            if kind == "graph":
                self._capture(optimizer)
            return
        moments = Moments([self._weight])
        made = compiled(partial(moved, workload), kind)
        self._one = partial(made, moments.state, moments.count, [self._gradient])

    def _capture(self, optimizer: torch.optim.Optimizer) -> None:
        begin = self._weight.detach().clone()
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(3):
                optimizer.step()
        torch.cuda.current_stream().wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            optimizer.step()
        with torch.no_grad():
            self._weight.copy_(begin)
            for value in optimizer.state[self._weight].values():
                value.zero_()
        self._graph, self._one = graph, graph.replay

    def losses(self, count: int) -> list[float]:
        """The mean square of the weights after each of the first steps."""
        found = []
        for _ in range(count):
            self.train(1)
            weights = self._weight.detach().cpu().numpy().astype(np.float64)
            found.append(float(np.mean(weights**2)))
        return found

    def train(self, epochs: int) -> None:
        """Makes so many steps."""
        with torch.no_grad():
            for _ in range(epochs):
                self._one()
        torch.cuda.synchronize()


def make(row: Row, kind: str, start: Any) -> Training | Update:
    """The row's workload, ready to train from the given weights."""
    torch.backends.cuda.matmul.allow_tf32 = row.precision == "tf32"
    torch.backends.cudnn.allow_tf32 = row.precision == "tf32"
    begin = [np.array(array) for array in start or ()]
    if row.workload.kind == "update":
        return Update(row.workload, begin, kind)
    if kind in ("eager", "graph"):
        return (Eager if kind == "eager" else Graph)(row.workload, begin)
    return Compiled(row.workload, begin, kind)
