"""NIST's certified nonlinear regressions, fitted with our Jacobian.

The certified values: NIST Statistical Reference Datasets, Nonlinear Regression, "lower
difficulty", https://www.itl.nist.gov/div898/strd/nls/nls_main.shtml.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import symnet as sn
from symnet.expr import Expr

with np.load(Path(__file__).parent / "data" / "nist_lower.npz") as _archive:
    ARRAYS = {name: _archive[name] for name in _archive.files}
META = {row["name"]: row for row in json.loads(bytes(ARRAYS.pop("meta")).decode())}

Model = Callable[[Expr, Expr], Expr]
MODELS: dict[str, Model] = {}


def _residuals(model: Model, size: int) -> tuple[Expr, Expr, Expr, Expr]:
    """The inputs, the parameters and the residuals of a model, in float64."""
    with sn.default_dtype("float64"):
        x, y = sn.input("x", ("N",)), sn.input("y", ("N",))
        b = sn.parameter("b", (size,))
        return x, y, b, y - model(x, b)


def fit(model: Model, x: np.ndarray, y: np.ndarray, start: np.ndarray) -> tuple:
    """Levenberg and Marquardt's method with Fletcher's scaling: parameters, residual sum of
    squares, standard deviations."""
    x_in, y_in, b, residuals = _residuals(model, len(start))
    outputs = [residuals, sn.jacobian(residuals, b)]
    evaluate = lambda at: sn.evaluate(outputs, {x_in: x, y_in: y, b: at})  # noqa: E731
    at, damping = start.astype(float), 1e-2
    r, J = evaluate(at)
    for _ in range(2000):
        scale = np.linalg.norm(J, axis=0)
        wide = np.vstack([J / scale, np.sqrt(damping) * np.eye(len(at))])
        move = np.linalg.lstsq(wide, np.concatenate([-r, np.zeros(len(at))]))[0] / scale
        new_r, new_J = evaluate(at + move)
        if np.isfinite(new_r).all() and new_r @ new_r <= r @ r:
            done = np.abs(move).max() <= 1e-14 * np.abs(at).max()
            at, r, J, damping = at + move, new_r, new_J, max(damping / 10, 1e-15)
            if done:
                break
        else:
            damping *= 5
            if damping > 1e16:
                break
    covariance = np.linalg.inv((J / scale).T @ (J / scale)) / np.outer(scale, scale)
    return at, r @ r, np.sqrt(np.diag(covariance) * (r @ r) / (len(r) - len(at)))


def _chwirut(x: Expr, b: Expr) -> Expr:
    return sn.exp(-b[0] * x) / (b[1] + b[2] * x)


def _bell(x: Expr, centre: Expr, width: Expr) -> Expr:
    return sn.exp(-((x - centre) ** 2) / width**2)


def _gauss(x: Expr, b: Expr) -> Expr:
    decay = b[0] * sn.exp(-b[1] * x)
    return decay + b[2] * _bell(x, b[3], b[4]) + b[5] * _bell(x, b[6], b[7])


def _lanczos(x: Expr, b: Expr) -> Expr:
    first, second = b[0] * sn.exp(-b[1] * x), b[2] * sn.exp(-b[3] * x)
    return first + second + b[4] * sn.exp(-b[5] * x)


MODELS |= {
    "Chwirut1": _chwirut,
    "Chwirut2": _chwirut,
    "DanWood": lambda x, b: b[0] * x ** b[1],
    "Gauss1": _gauss,
    "Gauss2": _gauss,
    "Lanczos3": _lanczos,
    "Misra1a": lambda x, b: b[0] * (1 - sn.exp(-b[1] * x)),
    "Misra1b": lambda x, b: b[0] * (1 - (1 + b[1] * x / 2) ** -2),
}


def test_every_regression_has_its_model():
    assert set(MODELS) == set(META)


@pytest.mark.parametrize("start", ["start1", "start2"])
@pytest.mark.parametrize("name", MODELS)
def test_certified_values_are_reached(name: str, start: str):
    x, y = ARRAYS[f"{name}/x"][:, 0], ARRAYS[f"{name}/y"]
    b, rss, deviations = fit(MODELS[name], x, y, ARRAYS[f"{name}/{start}"])
    assert rss == pytest.approx(META[name]["rss"], rel=1e-7)
    assert b == pytest.approx(ARRAYS[f"{name}/b"], rel=1e-7)
    assert deviations == pytest.approx(ARRAYS[f"{name}/sd"], rel=1e-7)


@pytest.mark.parametrize("name", MODELS)
def test_jacobian_at_the_start_equals_the_hand_written_differences(name: str):
    """Against a central difference, so that a fit by a wrong Jacobian cannot pass unseen."""
    x, y = ARRAYS[f"{name}/x"][:, 0], ARRAYS[f"{name}/y"]
    at = ARRAYS[f"{name}/start2"]
    x_in, y_in, b, residuals = _residuals(MODELS[name], len(at))
    found = sn.evaluate(sn.jacobian(residuals, b), {x_in: x, y_in: y, b: at})
    for k in range(len(at)):
        step = np.zeros(len(at))
        step[k] = 1e-6 * abs(at[k])
        ends = [sn.evaluate(residuals, {x_in: x, y_in: y, b: at + s * step}) for s in (1, -1)]
        true = (ends[0] - ends[1]) / (2 * step[k])
        assert np.allclose(found[:, k], true, rtol=1e-5, atol=1e-5 * np.abs(true).max())
