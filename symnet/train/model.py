"""What is trained: the loss, its gradients and the updates, all expressions of one graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from codegen.collector import uncollected
from symnet.diff import grad
from symnet.errors import GraphError, ShapeError, TrainingError
from symnet.expr import Expr, make
from symnet.functions.pointwise import isfinite, logical_not, sqrt, where
from symnet.functions.reductions import sum as sum_of
from symnet.ops.core import FLOAT64, cast, describe
from symnet.ops.leaves import INPUT, PARAMETER, STATE, Start, leaves, next_values, step
from symnet.optim import Optimizer
from symnet.rules.corrections import CORRECTIONS
from symnet.simplify import rewrite, simplify, stabilize
from symnet.step import Step, make_step


@dataclass(frozen=True, eq=False)
class Model:
    """The parts of a training, in the spelling that runs.

    loss: a scalar. metrics: scalars by name. gradients: one a parameter. updates: pairs of a leaf
    and its next value, the step among them. rate: the rate of a step; overruled by the state
    `rate_set` where that is a number. norm: the Euclidean norm of all gradients.
    """

    loss: Expr
    metrics: Mapping[str, Expr]
    parameters: tuple[Expr, ...]
    gradients: tuple[Expr, ...]
    updates: tuple[tuple[Expr, Expr], ...]
    rate: Expr
    norm: Expr
    rate_set: Expr

    def watched(self) -> Step:
        """One step to look at: the loss, the gradients and the next values, nothing applied."""
        outputs = {"loss": self.loss}
        pairs = zip(self.parameters, self.gradients, strict=True)
        outputs |= {f"gradient {parameter.name}": gradient for parameter, gradient in pairs}
        outputs |= {f"update {leaf.name}": value for leaf, value in self.updates}
        return make_step(outputs, self.updates)

    def measured(self) -> dict[str, Expr]:
        """The loss and the metrics by name."""
        return {"loss": self.loss, **self.metrics}


def _number_leaf(name: str, value: float) -> Expr:
    start = Start(array=np.asarray(value, np.float64))
    return make(STATE, identity=True, name=name, shape=(), dtype="float64", start=start)


def parameters_of(loss: Expr, chosen: Sequence[Expr] | None) -> tuple[Expr, ...]:
    """The parameters to train: those chosen, else all that the loss depends on.

    TrainingError if there are none, or one of them is not part of the loss.
    """
    found = leaves([loss], PARAMETER)
    if chosen is None:
        if not found:
            raise TrainingError("the loss depends on no parameter, so there is nothing to train")
        return tuple(found)
    if isinstance(chosen, (list, tuple)) and not chosen:
        raise TrainingError("parameters=[] leaves nothing to train; None takes all of the loss")
    for parameter in chosen:
        given: object = parameter
        if not isinstance(given, Expr) or given.op is not PARAMETER:
            raise GraphError(f"{given!r} is not a parameter")
        if parameter not in set(found):
            raise TrainingError(
                f"the loss does not depend on the parameter {parameter.name} made at "
                f"{parameter.origin}; it depends on {', '.join(str(p.name) for p in found)}"
            )
    return tuple(chosen)


def _require_scalar(name: str, value: object) -> None:
    if not isinstance(value, Expr):
        raise GraphError(f"{name} must be an expression, got {value!r}")
    if value.shape != ():
        raise ShapeError(f"{name} must be a scalar, {describe(value)} is not; use sn.mean")


def build(
    loss: Expr,
    optimizer: Optimizer,
    parameters: Sequence[Expr] | None = None,
    metrics: Mapping[str, Expr] | None = None,
) -> Model:
    """The model of a scalar loss; ShapeError or TrainingError where something does not fit."""
    measures: object = metrics
    if measures is not None and not isinstance(measures, Mapping):
        raise GraphError(f"metrics maps names to scalar expressions, got {measures!r}")
    for name, value in {"the loss": loss, **(metrics or {})}.items():
        _require_scalar(name, value)
    if loss.dtype.kind != "f":
        raise TrainingError(f"the loss must be floating point, it is {loss.dtype}")
    given: object = optimizer
    if not isinstance(given, Optimizer):
        raise TrainingError(f"the optimizer must be one such as sn.optim.Adam(1e-3), got {given!r}")
    with uncollected():
        return _derived(loss, optimizer, parameters_of(loss, parameters), dict(metrics or {}))


def _derived(
    loss: Expr, optimizer: Optimizer, chosen: tuple[Expr, ...], metrics: Mapping[str, Expr]
) -> Model:
    """The model, once all that was given is known to fit."""
    # Stable first, so that the derivative is one of the stable spelling, then stable itself.
    gradients = grad(stabilize(loss, smooth=True), list(chosen))
    gradients = tuple(simplify(stabilize(gradients)))
    loss, *measured = simplify(stabilize([loss, *metrics.values()]))
    rate_set = _number_leaf("rate_set", float("nan"))
    planned = _rate_of(optimizer)
    rate = where(rate_set == rate_set, rate_set, planned)
    updates = replace(optimizer, rate=rate).updates(chosen, gradients)
    values, _ = rewrite([value for _, value in updates], CORRECTIONS)
    updates = tuple((leaf, value) for (leaf, _), value in zip(updates, values, strict=True))
    squares = [sum_of(cast(g, FLOAT64) ** 2) for g in gradients]
    total = squares[0]
    for square in squares[1:]:
        total = total + square
    names = dict(zip(metrics, measured, strict=True))
    carried = next_values([loss, *measured])
    carried = [(leaf, simplify(stabilize(value))) for leaf, value in carried]
    every = (*updates, *carried, (step, step + 1))
    return Model(loss, names, chosen, gradients, every, rate, sqrt(total), rate_set)


def _rate_of(optimizer: Optimizer) -> Expr:
    """The optimizer's rate as a float64 scalar: a number becomes state, so that another number
    is not another program."""
    rate = optimizer.rate
    if isinstance(rate, Expr):
        return cast(rate, FLOAT64)
    return _number_leaf("rate", float(rate))


def not_finite(loss: Expr) -> Expr:
    """Whether a loss has become infinite or NaN."""
    return logical_not(isfinite(loss))


def bound_input(name: str) -> Expr:
    """A float64 scalar that the trainer feeds, such as the bound of a stop rule."""
    return make(INPUT, identity=True, name=name, shape=(), dtype=str(FLOAT64))
