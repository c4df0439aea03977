"""What is measured: one row a workload, and its data.

Only NumPy is imported, so that a peer's process holds nothing of symnet. The digits are read from
the file that scikit-learn brings along; the pictures of `mnist` are synthetic, of the same shape.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np

Array = np.ndarray[Any, Any]
Kind = Literal["classifier", "residual", "update", "replicas"]

SWEEP_WIDTHS = tuple(range(16, 16 + 24 * 8, 8))
SWEEP_EPOCHS = 20
VISCOSITY = 0.05


@dataclass(frozen=True)
class Goals:
    """What issue 4 asks: at least so many times ahead, at most so many times the floor."""

    eager: float | None = None
    jax: float | None = None
    floor: float | None = None


@dataclass(frozen=True)
class Workload:
    """A training. `rows` is a multiple of `batch` unless the last batch shall be a partial one.

    classifier: softmax cross-entropy. residual: Burgers' equation, u_t + u u_x = v u_xx, and the
    square distance to targets. update: the optimizer alone, widths being the number of weights.
    replicas: so many classifiers, each with its own weights and its own order of the rows.
    """

    name: str
    widths: tuple[int, ...]
    batch: int
    rows: int
    data: Callable[[Workload], tuple[Array, Array]]
    goals: Goals = Goals()
    activation: Literal["relu", "tanh"] = "relu"
    optimizer: Literal["Adam", "SGD"] = "Adam"
    rate: float = 1e-3
    kind: Kind = "classifier"
    dtype: str = "float32"
    replicas: int = 1

    @property
    def steps(self) -> int:
        """Steps of an epoch; the last may have fewer rows."""
        return -(-self.rows // self.batch)

    def arrays(self) -> tuple[Array, Array]:
        """Features and targets: floats of the workload's dtype, int64 labels."""
        features, target = self.data(self)
        wanted = target if target.dtype.kind == "i" else target.astype(self.dtype)
        return np.ascontiguousarray(features, self.dtype), wanted


def digits() -> tuple[Array, Array]:
    """The 1797 handwritten digits, features from 0 to 1."""
    found = find_spec("sklearn")
    folders = (found.submodule_search_locations or ()) if found else ()
    for folder in folders:
        table = np.loadtxt(Path(folder, "datasets", "data", "digits.csv.gz"), delimiter=",")
        return table[:, :-1] / 16, table[:, -1].astype(np.int64)
    raise ModuleNotFoundError("the digits come with scikit-learn, which is not installed")


def _digits(workload: Workload) -> tuple[Array, Array]:
    features, labels = digits()
    return features[: workload.rows], labels[: workload.rows]


def _moons(workload: Workload) -> tuple[Array, Array]:
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, workload.rows)
    angle = random.uniform(0, np.pi, workload.rows)
    across = np.where(labels == 0, np.cos(angle), 1 - np.cos(angle))
    up = np.where(labels == 0, np.sin(angle), 0.5 - np.sin(angle))
    return np.stack([across, up], 1) + random.normal(0, 0.1, (workload.rows, 2)), labels


def _clusters(workload: Workload) -> tuple[Array, Array]:
    """Ten noisy prototypes, mostly dark as pictures of digits are; a fifth of the labels are
    wrong, so that there is something to learn in every step."""
    random = np.random.default_rng(0)
    width, classes = workload.widths[0], workload.widths[-1]
    labels = random.integers(0, classes, workload.rows)
    prototypes = np.maximum(random.normal(0, 0.5, (classes, width)), 0).astype(np.float32)
    noise = random.standard_normal((workload.rows, width), np.float32)
    shown = np.where(random.random(workload.rows) < 0.2, random.permutation(labels), labels)
    return np.clip(prototypes[labels] + 0.3 * noise, 0, 1), shown


def _collocation(workload: Workload) -> tuple[Array, Array]:
    points = np.random.default_rng(0).uniform([-1, 0], [1, 1], (workload.rows, 2))
    return points, -np.sin(np.pi * points[:, :1]) * np.exp(-points[:, 1:])


def _gradient(workload: Workload) -> tuple[Array, Array]:
    """The weights, and the gradient that every step is given."""
    random = np.random.default_rng(0)
    first, second = (random.standard_normal(workload.widths[0], np.float32) for _ in range(2))
    return first, second


DEEP = (64, *(64,) * 20, 10)
MOONS = (2, 16, 16, 2)

WORKLOADS = (
    Workload(
        "moons", MOONS, 100, 2000, _moons, Goals(80, 5), "tanh", optimizer="SGD", rate=0.1
    ),
    Workload("digits", (64, 128, 10), 32, 1797, _digits, Goals(16, 1.8, 2)),
    Workload("mnist-small", (784, 128, 10), 64, 12800, _clusters, Goals(3.2, 1.6, 1.7)),
    Workload("mnist", (784, 512, 512, 10), 128, 6400, _clusters, Goals(1.4, 1.25, 1.3), rate=1e-4),
    Workload("wide", (1024,) * 4 + (10,), 512, 2048, _clusters, Goals(1.3, 1.2, 1.2), rate=1e-4),
    Workload("deep", DEEP, 64, 1792, _digits, Goals(20, 2), "tanh"),
    Workload(
        "pinn", (2, 64, 64, 64, 64, 1), 256, 2560, _collocation, Goals(10, 1.5), "tanh",
        kind="residual", dtype="float64",
    ),
    Workload("update", (10_000_000,), 1, 1, _gradient, Goals(1.3, 1.3, 1.15), kind="update"),
    Workload(
        "many", MOONS, 100, 2000, _moons, Goals(100, 6), "tanh", optimizer="SGD", rate=0.1,
        kind="replicas", replicas=64,
    ),
)  # fmt: skip
BY_NAME = {workload.name: workload for workload in WORKLOADS}
NAMES = (*BY_NAME, "sweep")


def weights_of(workload: Workload) -> int:
    """How many numbers one network learns."""
    if workload.kind == "update":
        return workload.widths[0]
    return sum(a * b + b for a, b in itertools.pairwise(workload.widths))


def start_of(widths: tuple[int, ...]) -> list[Array]:
    """Starting weights by Glorot's rule, where each library draws its own."""
    random, arrays = np.random.default_rng(0), []
    for inputs, outputs in itertools.pairwise(widths):
        limit = np.sqrt(6 / (inputs + outputs))
        arrays.append(random.uniform(-limit, limit, (inputs, outputs)).astype(np.float32))
        arrays.append(np.zeros(outputs, np.float32))
    return arrays
