"""Metrics: scalar expressions that say how good a prediction is. mse and mae are losses too."""

from __future__ import annotations

from symnet.errors import DtypeError, ShapeError
from symnet.expr import Expr, origin_here
from symnet.functions.pointwise import equal
from symnet.functions.reductions import argmax, mean, sum
from symnet.losses import mae as mae
from symnet.losses import mse as mse
from symnet.ops.core import BOOL, FLOATS, INTEGERS, cast, describe, operands
from symnet.sizes import Dimension


def accuracy(logits: Expr, target: Expr) -> Expr:
    """The share of rows that are classified right, a scalar of the logits' dtype.

    Several classes: logits (..., K) with integer labels (...) or one-hot floats (..., K); the
    class is the first largest. Two classes: one logit a row, logits (...) or (..., 1), with a
    target of equal shape that is 1 or True for the class of positive logits, and 0, -1 or False
    for the other; a logit of 0 belongs to the other. Probabilities serve for several classes; for
    two, give p - 0.5.

    Raises ShapeError for other shapes, DtypeError for logits that are not floats.
    """
    if logits.dtype not in FLOATS:
        raise DtypeError(f"accuracy: {describe(logits)} is {logits.dtype}, not floating point")
    if logits.shape == target.shape and _one_score(logits):
        positive = target if target.dtype == BOOL else target > 0
        return _share(logits, equal(logits > 0, positive))
    if logits.shape == target.shape and target.dtype in FLOATS:
        return _share(logits, equal(argmax(logits, axis=-1), argmax(target, axis=-1)))
    if logits.ndim and target.shape == logits.shape[:-1] and target.dtype in INTEGERS:
        if logits.shape[-1] == 1:
            raise ShapeError(
                f"accuracy: {describe(logits)} has one logit a row; drop its last axis to compare "
                f"with {describe(target)} (at {origin_here()})"
            )
        return _share(logits, equal(argmax(logits, axis=-1), target))
    raise ShapeError(
        f"accuracy: logits {describe(logits)} and target {describe(target)} {target.dtype} do not "
        f"fit: integer labels lack the last axis, all others have equal shapes "
        f"(at {origin_here()})"
    )


def _one_score(logits: Expr) -> bool:
    last: Dimension = logits.shape[-1] if logits.ndim else 1
    return logits.ndim < 2 or last == 1


def _share(logits: Expr, right: Expr) -> Expr:
    return mean(cast(right, logits.dtype))


def r2(prediction: Expr, target: Expr) -> Expr:
    """The coefficient of determination, 1 - sum((y - z)^2) / sum((y - mean(y))^2), a scalar.

    Over all elements together. 1 is perfect, 0 as good as the mean. Raises ShapeError unless the
    shapes are equal.
    """
    residual = mse(prediction, target, reduction="sum")
    (goal,) = operands("r2", (target,))
    return 1 - residual / sum((goal - mean(goal)) ** 2)
