"""What a data set is, dividing it and standardising it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from symnet.errors import TrainingError

Array = np.ndarray[Any, Any]
Kind = Literal["classification", "regression"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Examples in rows.

    features: floating point, (rows, columns). target: int64 class numbers (rows,) or floating
    point values (rows,). feature_names: one a column. classes: the class names, in the order of
    their numbers; empty for a regression.
    """

    name: str
    kind: Kind
    features: Array
    target: Array
    feature_names: tuple[str, ...]
    classes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.features)

    def __str__(self) -> str:
        what = f"{len(self.classes)} classes" if self.classes else "a number to predict"
        return f"{self.name}: {len(self)} rows, {self.features.shape[1]} features, {what}"

    def rows(self, index: Array) -> Dataset:
        """The rows of an index or a mask, in its order."""
        return replace(self, features=self.features[index], target=self.target[index])


@dataclass(frozen=True, eq=False)
class Split:
    """The rows to learn from and the rows held out."""

    training: Dataset
    held_out: Dataset


@dataclass(frozen=True, eq=False)
class Scaling:
    """The mean and the standard deviation of each column of some array."""

    mean: Array
    deviation: Array

    def apply(self, values: Array) -> Array:
        """Values in units of the deviation from the mean; columns that never vary become 0."""
        return ((values - self.mean) / self.deviation).astype(values.dtype)

    def undo(self, values: Array) -> Array:
        """What `apply` made these values of."""
        return (values * self.deviation + self.mean).astype(values.dtype)


def split(dataset: Dataset, share: float = 0.2, seed: int = 0) -> Split:
    """A random share of the rows held out, at least one; the same rows for the same seed.

    In a classification each class gives its share, rounded, so that none is left out by chance.
    TrainingError unless 0 < share < 1 and both parts get rows.
    """
    if not 0 < share < 1:
        raise TrainingError(f"the share held out lies between 0 and 1, got {share}")
    random = np.random.default_rng(seed)
    groups = [np.arange(len(dataset))]
    if dataset.kind == "classification":
        groups = [np.flatnonzero(dataset.target == k) for k in range(len(dataset.classes))]
    held = np.zeros(len(dataset), np.bool_)
    for group in groups:
        held[random.permutation(group)[: round(share * len(group))]] = True
    if held.all() or not held.any():
        raise TrainingError(f"{len(dataset)} rows are too few to hold out a share of {share}")
    return Split(dataset.rows(np.flatnonzero(~held)), dataset.rows(np.flatnonzero(held)))


def fit_scaling(values: Array) -> Scaling:
    """The scaling of an array's columns, in float64; of a column that never varies it is 1."""
    wide = np.asarray(values, np.float64)
    # Rounding gives a constant column a deviation of 1e-17 or so, which would be blown up.
    varies = wide.max(axis=0) > wide.min(axis=0)
    mean = np.where(varies, wide.mean(axis=0), wide[0])
    return Scaling(mean, np.where(varies, wide.std(axis=0), 1.0))


def standardize(parts: Split) -> Split:
    """Both parts with features in units of the training part's deviation from its mean.

    Nothing of the held-out part enters the scaling. Targets stay as they are.
    """
    scaling = fit_scaling(parts.training.features)
    return Split(
        *(
            replace(part, features=scaling.apply(part.features))
            for part in (parts.training, parts.held_out)
        )
    )
