"""The workloads in symnet on the GPU, written as its users write them."""

from __future__ import annotations

from typing import Any

import numpy as np

import symnet as sn
from tests.bench.ours import classifier
from tests.bench.workloads import Array
from tests.gpu.cases import Row


class Training:
    """A classifier bound to a trainer."""

    def __init__(self, row: Row) -> None:
        workload = row.workload
        self._workload = workload
        features, target = workload.arrays()
        self._feeds = {"X": features, "Y": target}
        optimizer = getattr(sn.optim, workload.optimizer)(workload.rate)
        loss = classifier(workload.widths, workload.activation)
        self.trainer = sn.Trainer(loss, optimizer, target="cuda", precision=row.precision)

    def weights(self) -> list[Array]:
        """The starting weights and biases, layer by layer."""
        self.trainer.reset(0)
        return [array.copy() for array in self.trainer.parameters.values()]

    def _fit(self, epochs: int, shuffle: bool) -> list[float]:
        batch = self._workload.batch
        history = self.trainer.fit(
            self._feeds, epochs=epochs, batch_size=batch, shuffle=shuffle, progress=False
        )
        return list(history.step_loss)

    def losses(self, count: int) -> list[float]:
        """The loss of each of the first steps from the start, rows in order."""
        self.trainer.reset(0)
        return self._fit(-(-count // self._workload.steps), False)[:count]

    def train(self, epochs: int) -> None:
        """Trains on, rows shuffled."""
        self._fit(epochs, True)

    def told(self) -> dict[str, Any]:
        """How it runs, and what its kernels take."""
        made = [*self.trainer._programs.values()][-1].executable
        return {**_told(made), "compiled": self.trainer.compiles}


def _told(made: Any) -> dict[str, Any]:
    """Of the execution that the sizes bound last decided for."""
    execution, _ = [*made._layouts.values()][-1]
    images = made.assembled(execution.kind).images
    return {
        "execution": f"{execution.kind}, at most {execution.blocks} blocks: {execution.why}",
        "kernels": [{"entry": image.entry, **_resources(image.resources)} for image in images],
    }


def _resources(resources: Any) -> dict[str, int]:
    return {name: getattr(resources, name) for name in resources.__dataclass_fields__}


class Update:
    """The optimizer alone: new weights from a given gradient, both on the GPU."""

    def __init__(self, row: Row) -> None:
        first, gradient = row.workload.arrays()
        self._gradient = sn.to_device(gradient)
        weight, slope = sn.parameter("w", init=first), sn.input("g", first.shape)
        updates = sn.optim.Adam(row.workload.rate).updates([weight], [slope])
        step = sn.schedules.step
        self._function = sn.compile([], [*updates, (step, step + 1)], target="cuda")

    def weights(self) -> list[Array]:
        """The starting weights."""
        return [np.array(self._function.parameters["w"])]

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

    def told(self) -> dict[str, Any]:
        """How it runs, and what its kernels take."""
        return _told(self._function.executable)


def make(row: Row, kind: str, start: Any) -> Training | Update:
    """The row's workload, ready to train; these weights are the ones that all take."""
    return (Update if row.workload.kind == "update" else Training)(row)
