"""The built-in models: for each data set a network, a loss, and numbers that train it well."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

import symnet as sn
from symnet.data import Dataset, Scaling, Split, fit_scaling, split

Array = np.ndarray[Any, Any]
HELD_OUT = 0.2
"""The share of the rows that is only tested on."""


@dataclass(frozen=True)
class Recipe:
    """How to learn one data set: the layers' widths, from features to results, and the training.

    The optimizer is AdamW, its rate falling from `rate` to 0 along a cosine. divisor: what the
    features are divided by; None standardises each column.
    """

    widths: tuple[int, ...]
    activation: str
    epochs: int
    rate: float
    decay: float
    classes: int
    divisor: float | None = None
    batch: int = 32

    @property
    def metric(self) -> str:
        """What counts: accuracy or R2."""
        return "accuracy" if self.classes else "R2"


RECIPES: Final[Mapping[str, Recipe]] = {
    "digits": Recipe((64, 256, 128, 10), "relu", 60, 1e-2, 0.3, classes=10, divisor=16.0),
    "moons": Recipe((2, 16, 16, 1), "tanh", 300, 1e-2, 0.01, classes=2),
    "breast-cancer": Recipe((30, 16, 1), "tanh", 40, 3e-3, 0.3, classes=2),
    "diabetes": Recipe((10, 16, 1), "tanh", 60, 3e-3, 1.0, classes=0),
}


@dataclass(frozen=True)
class Problem:
    """A recipe's expressions."""

    network: sn.nn.Sequential
    loss: sn.Expr
    metrics: Mapping[str, sn.Expr]


def problem(recipe: Recipe) -> Problem:
    """The network, its loss and its metric, of inputs X (N, features) and a target.

    The target is y (N,), class numbers, for several classes, else Y (N, 1), floating point.
    """
    *hidden, last = itertools.pairwise(recipe.widths)
    layers = [sn.nn.Dense(a, b, activation=recipe.activation) for a, b in hidden]
    network = sn.nn.Sequential(*layers, sn.nn.Dense(*last))
    result = network(sn.input("X", ("N", recipe.widths[0])))
    if recipe.classes > 2:
        target = sn.input("y", ("N",), dtype="int64")
        loss = sn.losses.cross_entropy(result, target)
    else:
        target = sn.input("Y", ("N", 1))
        rows = sn.losses.binary_cross_entropy if recipe.classes else sn.losses.mse
        loss = rows(result, target)
    measure = sn.metrics.accuracy if recipe.classes else sn.metrics.r2
    return Problem(network, loss, {recipe.metric: measure(result, target)})


def optimizer(recipe: Recipe, rate: float, steps: int) -> sn.optim.Optimizer:
    """AdamW with a rate that reaches 0 after so many steps."""
    return sn.optim.AdamW(sn.schedules.cosine(rate, 0.0, steps), weight_decay=recipe.decay)


@dataclass(frozen=True)
class Prepared:
    """The feeds of both parts of a data set."""

    training: Mapping[str, Array]
    held_out: Mapping[str, Array]

    @property
    def rows(self) -> int:
        """How many rows there are to learn from."""
        return len(self.training["X"])


def prepared(recipe: Recipe, dataset: Dataset, seed: int) -> Prepared:
    """A random fifth held out, and both parts scaled by what the other part shows."""
    parts = split(dataset, HELD_OUT, seed)
    features = _features(recipe, parts)
    target = Scaling(np.zeros(1), np.ones(1))
    if not recipe.classes:
        target = fit_scaling(parts.training.target[:, None])
    return Prepared(*(_feeds(recipe, part, features, target) for part in _both(parts)))


def _both(parts: Split) -> tuple[Dataset, Dataset]:
    return parts.training, parts.held_out


def _features(recipe: Recipe, parts: Split) -> Scaling:
    if recipe.divisor is None:
        return fit_scaling(parts.training.features)
    return Scaling(np.zeros(1), np.full(1, recipe.divisor))


def _feeds(
    recipe: Recipe, part: Dataset, features: Scaling, target: Scaling
) -> dict[str, Array]:
    scaled = features.apply(part.features)
    if recipe.classes > 2:
        return {"X": scaled, "y": part.target}
    column = part.target[:, None].astype(scaled.dtype)
    return {"X": scaled, "Y": target.apply(column)}
