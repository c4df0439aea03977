"""The built-in models: for each data set a network, a loss, and numbers that train it well."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

import symnet as sn
from symnet.data import Dataset, Scaling, fit_scaling, split

Array = np.ndarray[Any, Any]
HELD_OUT: Final = 0.2
"""The share of the rows that is only tested on."""
_UNSCALED: Final = Scaling(np.zeros(1), np.ones(1))


@dataclass(frozen=True)
class Recipe:
    """How to learn one data set: the layers' widths, from features to results, and the training.

    The optimizer is AdamW, its rate falling from `rate` to 0 along a cosine. divisor: what the
    features are divided by; None standardises each column. smoothing: the share of a target that
    is spread over all classes (Szegedy et al., Rethinking the Inception Architecture, 2016).
    """

    widths: tuple[int, ...]
    activation: str
    epochs: int
    rate: float
    decay: float
    classes: int
    divisor: float | None = None
    smoothing: float = 0.0
    batch: int = 32

    @property
    def metric(self) -> str:
        """What counts: accuracy or R2."""
        return "accuracy" if self.classes else "R2"


RECIPES: Final[Mapping[str, Recipe]] = {
    "digits": Recipe(
        (64, 256, 10), "relu", 30, 1e-2, 0.01, classes=10, divisor=16.0, smoothing=0.1
    ),
    "moons": Recipe((2, 16, 16, 1), "tanh", 300, 1e-2, 0.01, classes=2),
    "breast-cancer": Recipe((30, 16, 1), "tanh", 40, 3e-3, 0.3, classes=2),
    "diabetes": Recipe((10, 16, 1), "tanh", 60, 3e-3, 1.0, classes=0),
}


@dataclass(frozen=True)
class Problem:
    """A recipe's expressions, and its network in a line."""

    network: sn.nn.Sequential
    loss: sn.Expr
    metrics: Mapping[str, sn.Expr]
    shown: str


def problem(recipe: Recipe) -> Problem:
    """The network, its loss and its metric, of inputs X (N, features) and Y (N, results).

    A row of Y is a distribution over the classes, 0 or 1 if there are two, or a number.
    """
    *hidden, last = itertools.pairwise(recipe.widths)
    layers = [sn.nn.Dense(a, b, activation=recipe.activation) for a, b in hidden]
    network = sn.nn.Sequential(*layers, sn.nn.Dense(*last))
    result = network(sn.input("X", ("N", recipe.widths[0])))
    target = sn.input("Y", ("N", recipe.widths[-1]))
    measure = sn.metrics.accuracy if recipe.classes else sn.metrics.r2
    metrics = {recipe.metric: measure(result, target)}
    return Problem(network, _loss(recipe.classes, result, target), metrics, _shown(recipe))


def _loss(classes: int, result: sn.Expr, target: sn.Expr) -> sn.Expr:
    if classes > 2:
        return sn.losses.cross_entropy(result, target)
    if classes:
        return sn.losses.binary_cross_entropy(result, target)
    return sn.losses.mse(result, target)


def _shown(recipe: Recipe) -> str:
    first, *hidden, last = recipe.widths
    inner = [f"{width} {recipe.activation}" for width in hidden]
    return " → ".join([str(first), *inner, str(last)])


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
    """A random fifth held out, and both parts scaled by the part to learn from."""
    parts = split(dataset, HELD_OUT, seed)
    learned = parts.training
    features, target = fit_scaling(learned.features), _UNSCALED
    if recipe.divisor is not None:
        features = Scaling(np.zeros(1), np.full(1, recipe.divisor))
    if not recipe.classes:
        target = fit_scaling(learned.target[:, None])

    def feeds(part: Dataset) -> dict[str, Array]:
        wanted = target.apply(_targets(recipe, part))
        return {"X": features.apply(part.features), "Y": wanted}

    return Prepared(feeds(learned), feeds(parts.held_out))


def _targets(recipe: Recipe, part: Dataset) -> Array:
    if recipe.classes <= 2:
        return part.target[:, None].astype(part.features.dtype)
    hot = np.eye(recipe.classes)[part.target]
    soft = (1 - recipe.smoothing) * hot + recipe.smoothing / recipe.classes
    return soft.astype(part.features.dtype)
