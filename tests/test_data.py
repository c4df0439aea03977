"""The data sets are scikit-learn's own; dividing and standardising keep the parts apart."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from sklearn import datasets

from symnet import default_dtype
from symnet.data import DATASETS, Split, fit_scaling, load, moons, sources, split, standardize
from symnet.errors import TrainingError
from symnet.lazy import MissingDependency

LOADERS = {
    "digits": datasets.load_digits,
    "breast-cancer": datasets.load_breast_cancer,
    "diabetes": datasets.load_diabetes,
}


@pytest.mark.parametrize("name", LOADERS)
def test_files_are_read_as_scikit_learn_reads_them(name):
    ours, theirs = load(name, "float64"), LOADERS[name]()
    np.testing.assert_allclose(ours.features, theirs.data, rtol=1e-13, atol=1e-15)
    np.testing.assert_array_equal(ours.target, theirs.target)
    assert ours.feature_names == tuple(theirs.feature_names)
    assert ours.classes == tuple(str(item) for item in getattr(theirs, "target_names", ()))


@pytest.mark.parametrize(("points", "noise", "seed"), [(200, 0.1, 0), (7, 0.3, 5), (100, 0.0, 1)])
def test_moons_are_those_of_scikit_learn_to_the_bit(points, noise, seed):
    ours = moons(points, noise, seed, dtype="float64")
    features, target = datasets.make_moons(points, noise=noise, random_state=seed)
    np.testing.assert_array_equal(ours.features, features)
    np.testing.assert_array_equal(ours.target, target)


@pytest.mark.parametrize("name", DATASETS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_set_is_complete(name, dtype):
    data = load(name, dtype)
    assert data.features.dtype == dtype
    assert data.features.shape == (len(data), len(data.feature_names))
    assert data.target.shape == (len(data),)
    if data.kind == "classification":
        assert data.target.dtype == np.int64
        assert set(data.target) == set(range(len(data.classes)))
    else:
        assert data.target.dtype == dtype
    assert np.isfinite(data.features).all()
    assert str(data).startswith(f"{name}: {len(data)} rows")


def test_the_default_dtype_holds():
    with default_dtype("float64"):
        assert load("moons").features.dtype == "float64"
    assert load("moons").features.dtype == "float32"


def test_scikit_learn_is_not_imported():
    code = (
        "import sys; from symnet.data import load; [load(n) for n in "
        f"{list(DATASETS)}]; print('sklearn' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_without_scikit_learn_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(sources, "find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match=r'pip install "symnet\[sklearn\]"'):
        load("digits")
    assert len(load("moons")) == 200


@pytest.mark.parametrize("name", DATASETS)
def test_a_split_is_a_partition_and_repeats(name):
    data = load(name, "float64")
    parts, again = split(data, 0.2, seed=3), split(data, 0.2, seed=3)
    np.testing.assert_array_equal(parts.held_out.features, again.held_out.features)
    assert len(parts.training) + len(parts.held_out) == len(data)
    assert abs(len(parts.held_out) - 0.2 * len(data)) <= max(1, len(data.classes) / 2)
    joined = np.concatenate([parts.training.features, parts.held_out.features])
    np.testing.assert_array_equal(np.sort(joined, axis=0), np.sort(data.features, axis=0))
    other = split(data, 0.2, seed=4)
    assert not np.array_equal(other.held_out.features, parts.held_out.features)


def test_a_split_takes_its_share_of_every_class():
    data = load("digits")
    parts = split(data, 0.2)
    whole, held = np.bincount(data.target), np.bincount(parts.held_out.target)
    np.testing.assert_array_equal(held, np.round(0.2 * whole))


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5, float("nan"), 1e-9])
def test_a_share_that_leaves_a_part_empty_is_refused(share):
    with pytest.raises(TrainingError):
        split(load("moons"), share)


def test_scaling_learns_from_the_training_part_only():
    parts = split(load("breast-cancer", "float64"), 0.2)
    scaled = standardize(parts)
    np.testing.assert_allclose(scaled.training.features.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(scaled.training.features.std(axis=0), 1, atol=1e-12)
    changed = Split(parts.training, parts.held_out.rows(np.arange(3)))
    np.testing.assert_array_equal(standardize(changed).training.features, scaled.training.features)
    scaling = fit_scaling(parts.training.features)
    np.testing.assert_allclose(
        scaling.undo(scaled.held_out.features), parts.held_out.features, rtol=1e-12, atol=1e-15
    )


def test_a_column_that_never_varies_becomes_zero():
    values = np.array([[1.0, 0.1], [3.0, 0.1], [5.0, 0.1]])
    scaled = fit_scaling(values).apply(values)
    np.testing.assert_array_equal(scaled[:, 1], 0)
    np.testing.assert_allclose(scaled[:, 0], [-(1.5**0.5), 0, 1.5**0.5], atol=1e-15)


def test_unknown_names_and_bad_arguments_are_refused():
    with pytest.raises(TrainingError, match="digits, breast-cancer, diabetes, moons"):
        load("iris")
    with pytest.raises(TrainingError):
        load("moons", "int64")
    for points, noise in ((1, 0.1), (10, -1.0)):
        with pytest.raises(TrainingError):
            moons(points, noise)
