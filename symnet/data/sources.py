"""Where data sets come from: files that scikit-learn brings along, and formulas.

The files are read as they lie: importing scikit-learn for them would take a second.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np

from symnet.data.dataset import Array, Dataset
from symnet.errors import TrainingError
from symnet.lazy import MissingDependency
from symnet.ops.core import FLOATS, default_dtype, dtype_of

_TEN_MEASURES = (
    "radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity",
    "concave points", "symmetry", "fractal dimension",
)  # fmt: skip
_BREAST_CANCER_FEATURES = (
    *(f"mean {name}" for name in _TEN_MEASURES),
    *(f"{name} error" for name in _TEN_MEASURES),
    *(f"worst {name}" for name in _TEN_MEASURES),
)
_DIABETES_FEATURES = ("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6")


def load(name: str, dtype: object = None) -> Dataset:
    """A data set by name: digits, breast-cancer, diabetes or moons.

    dtype: of the features, and of the target of a regression; the default dtype unless stated.
    TrainingError for another name; MissingDependency where scikit-learn, whose files the first
    three are, is not installed.
    """
    if name not in DATASETS:
        raise TrainingError(f"a data set is one of {', '.join(DATASETS)}, got {name!r}")
    return DATASETS[name](_float_dtype(dtype))


def moons(points: int = 200, noise: float = 0.1, seed: int = 0, dtype: object = None) -> Dataset:
    """Two interleaving half circles with normal noise, one class each, in random order.

    The same points as scikit-learn's make_moons(points, noise=noise, random_state=seed).
    TrainingError for fewer than two points or a negative noise.
    """
    if points < 2 or noise < 0:
        raise TrainingError(
            f"moons takes at least 2 points and no negative noise, got {points} and {noise}"
        )
    random = np.random.RandomState(seed)
    outer, inner = (np.linspace(0, np.pi, count) for count in (points // 2, points - points // 2))
    across = np.append(np.cos(outer), 1 - np.cos(inner))
    up = np.append(np.sin(outer), 1 - np.sin(inner) - 0.5)
    target = np.repeat([0, 1], [len(outer), len(inner)])
    order = np.arange(points)
    random.shuffle(order)
    features = np.stack([across, up], axis=1)[order]
    features += random.normal(scale=noise, size=features.shape)
    return Dataset(
        "moons",
        "classification",
        features.astype(_float_dtype(dtype)),
        target[order].astype(np.int64),
        ("x", "y"),
        ("outer", "inner"),
    )


def _float_dtype(dtype: object) -> np.dtype[Any]:
    kind = default_dtype.current if dtype is None else dtype_of(dtype)
    if kind not in FLOATS:
        raise TrainingError(f"features are float32 or float64, got {kind}")
    return kind


def _file(name: str) -> Path:
    """A data file of the installed scikit-learn."""
    found = find_spec("sklearn")
    for folder in (found.submodule_search_locations or ()) if found else ():
        path = Path(folder, "datasets", "data", name)
        if path.is_file():
            return path
    state = "has no file " + name if found else "is not installed"
    raise MissingDependency(
        f'the data comes with scikit-learn, which {state}; try: pip install "symnet[sklearn]"',
        name="sklearn",
    )


def _table(name: str, delimiter: str | None = ",", skip: int = 0) -> Array:
    table: Array = np.loadtxt(_file(name), delimiter=delimiter, skiprows=skip)
    return table


def _digits(dtype: np.dtype[Any]) -> Dataset:
    table = _table("digits.csv.gz")
    names = tuple(f"pixel_{row}_{column}" for row in range(8) for column in range(8))
    classes = tuple(map(str, range(10)))
    features, target = table[:, :-1].astype(dtype), table[:, -1].astype(np.int64)
    return Dataset("digits", "classification", features, target, names, classes)


def _breast_cancer(dtype: np.dtype[Any]) -> Dataset:
    table = _table("breast_cancer.csv", skip=1)
    features, target = table[:, :-1].astype(dtype), table[:, -1].astype(np.int64)
    return Dataset(
        "breast-cancer",
        "classification",
        features,
        target,
        _BREAST_CANCER_FEATURES,
        ("malignant", "benign"),
    )


def _diabetes(dtype: np.dtype[Any]) -> Dataset:
    """Columns are centred and have the sum of squares 1, as in the published table."""
    raw = _table("diabetes_data_raw.csv.gz", delimiter=None)
    target = _table("diabetes_target.csv.gz", delimiter=None)
    centred = raw - raw.mean(axis=0)
    centred -= centred.mean(axis=0)
    features = centred / raw.std(axis=0) / np.sqrt(len(raw))
    return Dataset(
        "diabetes", "regression", features.astype(dtype), target.astype(dtype), _DIABETES_FEATURES
    )


def _moons(dtype: np.dtype[Any]) -> Dataset:
    return moons(dtype=dtype)


DATASETS: Final[dict[str, Callable[[np.dtype[Any]], Dataset]]] = {
    "digits": _digits,
    "breast-cancer": _breast_cancer,
    "diabetes": _diabetes,
    "moons": _moons,
}
