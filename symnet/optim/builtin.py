"""The usual optimizers, each a rule in the letters of its paper, with PyTorch's conventions."""

from __future__ import annotations

import math
from typing import Any

from symnet.errors import TrainingError
from symnet.expr import Expr
from symnet.functions.pointwise import equal, maximum, sqrt, where
from symnet.ops.core import FLOAT64, cast, is_number, number
from symnet.ops.leaves import named
from symnet.optim.rule import Groups, Hyper, Optimizer, from_rule

After = dict[str, Expr]


def _is_zero(value: Hyper) -> bool:
    return not isinstance(value, Expr) and value == 0


def _decayed(w: Expr, g: Expr, weight_decay: Hyper) -> Expr:
    """The gradient of the loss plus weight_decay / 2 times the sum of w^2."""
    return g if _is_zero(weight_decay) else named("g", g + weight_decay * w)


def sgd(w: Expr, g: Expr, t: Expr, *, rate: Hyper, weight_decay: Hyper = 0.0) -> After:
    """w - rate g."""
    return {"w": w - rate * _decayed(w, g, weight_decay)}


def _accumulate(g: Expr, m: Expr, t: Expr, momentum: Hyper, dampening: Hyper) -> Expr:
    # The first step is not dampened, as in PyTorch.
    share = where(equal(t, 1), number(1, FLOAT64), 1 - dampening)
    fresh = g if _is_zero(dampening) else cast(share, g.dtype) * g
    return momentum * m + fresh


def momentum_sgd(
    w: Expr,
    g: Expr,
    m: Expr,
    t: Expr,
    *,
    rate: Hyper,
    momentum: Hyper = 0.9,
    dampening: Hyper = 0.0,
    weight_decay: Hyper = 0.0,
) -> After:
    """Polyak's heavy ball (1964) in PyTorch's form, where the rate multiplies the sum."""
    velocity = _accumulate(_decayed(w, g, weight_decay), m, t, momentum, dampening)
    return {"w": w - rate * velocity, "m": velocity}


def nesterov_sgd(
    w: Expr,
    g: Expr,
    m: Expr,
    t: Expr,
    *,
    rate: Hyper,
    momentum: Hyper = 0.9,
    weight_decay: Hyper = 0.0,
) -> After:
    """Nesterov's accelerated gradient as Sutskever et al. (2013) write it, in PyTorch's form."""
    gradient = _decayed(w, g, weight_decay)
    velocity = momentum * m + gradient
    return {"w": w - rate * (gradient + momentum * velocity), "m": velocity}


def _moments(g: Expr, m: Expr, v: Expr, beta1: Hyper, beta2: Hyper) -> tuple[Expr, Expr]:
    return beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2


def _direction(m: Expr, v: Expr, t: Expr, beta1: Hyper, beta2: Hyper, epsilon: Hyper) -> Expr:
    """m̂ / (sqrt(v̂) + ε). The corrections are float64 scalars, rounded once."""
    first = named("m̂", m / cast(1 - beta1**t, m.dtype))
    second = named("v̂", v / cast(1 - beta2**t, v.dtype))
    return first / (sqrt(second) + epsilon)


def adam(
    w: Expr,
    g: Expr,
    m: Expr,
    v: Expr,
    t: Expr,
    *,
    rate: Hyper,
    beta1: Hyper = 0.9,
    beta2: Hyper = 0.999,
    epsilon: Hyper = 1e-8,
    weight_decay: Hyper = 0.0,
) -> After:
    """Algorithm 1 of Kingma and Ba, Adam, 2015; weight decay enters the gradient."""
    m, v = _moments(_decayed(w, g, weight_decay), m, v, beta1, beta2)
    return {"w": w - rate * _direction(m, v, t, beta1, beta2, epsilon), "m": m, "v": v}


def amsgrad(
    w: Expr,
    g: Expr,
    m: Expr,
    v: Expr,
    u: Expr,
    t: Expr,
    *,
    rate: Hyper,
    beta1: Hyper = 0.9,
    beta2: Hyper = 0.999,
    epsilon: Hyper = 1e-8,
    weight_decay: Hyper = 0.0,
) -> After:
    """Adam with the largest v so far, u: Reddi et al., 2018, in PyTorch's form."""
    m, v = _moments(_decayed(w, g, weight_decay), m, v, beta1, beta2)
    u = maximum(u, v)
    return {"w": w - rate * _direction(m, u, t, beta1, beta2, epsilon), "m": m, "v": v, "u": u}


def adamw(
    w: Expr,
    g: Expr,
    m: Expr,
    v: Expr,
    t: Expr,
    *,
    rate: Hyper,
    beta1: Hyper = 0.9,
    beta2: Hyper = 0.999,
    epsilon: Hyper = 1e-8,
    weight_decay: Hyper = 0.01,
) -> After:
    """Algorithm 2 of Loshchilov and Hutter, 2019: the weights decay apart from the gradient."""
    m, v = _moments(g, m, v, beta1, beta2)
    kept = w if _is_zero(weight_decay) else (1 - rate * weight_decay) * w
    return {"w": kept - rate * _direction(m, v, t, beta1, beta2, epsilon), "m": m, "v": v}


_sgd = from_rule(sgd, state=(), name="SGD")
_momentum = from_rule(momentum_sgd, state=("m",), name="Momentum")
_nesterov = from_rule(nesterov_sgd, state=("m",), name="Nesterov momentum")
_adam = from_rule(adam, state=("m", "v"), name="Adam")
_amsgrad = from_rule(amsgrad, state=("m", "v", "u"), name="AMSGrad")
_adamw = from_rule(adamw, state=("m", "v"), name="AdamW")


def _check(label: str, name: str, value: Hyper, below: float = math.inf) -> None:
    """TrainingError unless a number lies in [0, below); an Expr is not known yet."""
    if is_number(value) and not 0 <= value < below:
        limit = "" if below == math.inf else f" and below {below:g}"
        raise TrainingError(f"{label}: {name} must be at least 0{limit}, got {value!r}")


def SGD(
    rate: Hyper,
    momentum: Hyper = 0.0,
    nesterov: bool = False,
    weight_decay: Hyper = 0.0,
    *,
    dampening: Hyper = 0.0,
    groups: Groups | None = None,
    clip_norm: float | None = None,
    clip_value: float | None = None,
) -> Optimizer:
    """Gradient descent, w - rate (g + weight_decay w), with PyTorch's momentum if there is one.

    With momentum: m <- momentum m + (1 - dampening) g, but m <- g at the first step, and then
    w - rate m; with nesterov w - rate (g + momentum m). For groups and clipping see Optimizer.
    Raises TrainingError for numbers below 0, and for nesterov without momentum or with dampening.
    """
    _check("SGD", "momentum", momentum)
    shared: dict[str, Any] = {
        "groups": groups, "clip_norm": clip_norm, "clip_value": clip_value,
        "weight_decay": weight_decay,
    }  # fmt: skip
    _check_common("SGD", rate, weight_decay)
    if nesterov and (_is_zero(momentum) or not _is_zero(dampening)):
        raise TrainingError("SGD: nesterov needs momentum and no dampening")
    if _is_zero(momentum) and not any("momentum" in own for own in (groups or {}).values()):
        return _sgd(rate, **shared)
    if nesterov:
        return _nesterov(rate, momentum=momentum, **shared)
    return _momentum(rate, momentum=momentum, dampening=dampening, **shared)


def Momentum(
    rate: Hyper,
    momentum: Hyper = 0.9,
    nesterov: bool = False,
    weight_decay: Hyper = 0.0,
    **others: Any,
) -> Optimizer:
    """SGD with momentum 0.9; the other arguments are SGD's."""
    return SGD(rate, momentum, nesterov, weight_decay, **others)


def _check_common(label: str, rate: Hyper, weight_decay: Hyper) -> None:
    _check(label, "the rate", rate)
    _check(label, "weight_decay", weight_decay)


def _check_adam(label: str, beta1: Hyper, beta2: Hyper, epsilon: Hyper) -> None:
    _check(label, "beta1", beta1, below=1)
    _check(label, "beta2", beta2, below=1)
    _check(label, "epsilon", epsilon)


def Adam(
    rate: Hyper = 1e-3,
    beta1: Hyper = 0.9,
    beta2: Hyper = 0.999,
    epsilon: Hyper = 1e-8,
    weight_decay: Hyper = 0.0,
    *,
    amsgrad: bool = False,
    groups: Groups | None = None,
    clip_norm: float | None = None,
    clip_value: float | None = None,
) -> Optimizer:
    """Adam (Kingma and Ba, 2015, Algorithm 1); weight_decay w is added to the gradient.

    With amsgrad the largest v so far divides (Reddi et al., 2018). For groups and clipping see
    Optimizer. Raises TrainingError for numbers out of range.
    """
    _check_common("Adam", rate, weight_decay)
    _check_adam("Adam", beta1, beta2, epsilon)
    make = _amsgrad if amsgrad else _adam
    return make(
        rate, beta1=beta1, beta2=beta2, epsilon=epsilon, weight_decay=weight_decay,
        groups=groups, clip_norm=clip_norm, clip_value=clip_value,
    )  # fmt: skip


def AdamW(
    rate: Hyper = 1e-3,
    beta1: Hyper = 0.9,
    beta2: Hyper = 0.999,
    epsilon: Hyper = 1e-8,
    weight_decay: Hyper = 0.01,
    *,
    groups: Groups | None = None,
    clip_norm: float | None = None,
    clip_value: float | None = None,
) -> Optimizer:
    """Adam with decoupled weight decay: w (1 - rate weight_decay) takes Adam's step.

    Loshchilov and Hutter, 2019, Algorithm 2, as PyTorch reads it. For groups and clipping see
    Optimizer. Raises TrainingError for numbers out of range.
    """
    _check_common("AdamW", rate, weight_decay)
    _check_adam("AdamW", beta1, beta2, epsilon)
    return _adamw(
        rate, beta1=beta1, beta2=beta2, epsilon=epsilon, weight_decay=weight_decay,
        groups=groups, clip_norm=clip_norm, clip_value=clip_value,
    )  # fmt: skip
