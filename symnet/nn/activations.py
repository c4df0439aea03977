"""Activations by name. A function of one Expr serves as well as a name."""

from __future__ import annotations

from collections.abc import Callable

from symnet.errors import GraphError
from symnet.expr import Expr
from symnet.functions import pointwise, reductions

Activation = Callable[[Expr], Expr]


def gelu_tanh(x: Expr) -> Expr:
    """The tanh form of gelu (Hendrycks and Gimpel, 2016)."""
    return pointwise.gelu(x, approximate=True)


ACTIVATIONS: dict[str, Activation] = {
    "abs": pointwise.abs,
    "elu": pointwise.elu,
    "exp": pointwise.exp,
    "gelu": pointwise.gelu,
    "gelu_tanh": gelu_tanh,
    "hardswish": pointwise.hardswish,
    "hardtanh": pointwise.hardtanh,
    "leaky_relu": pointwise.leaky_relu,
    "log_sigmoid": pointwise.log_sigmoid,
    "log_softmax": reductions.log_softmax,
    "mish": pointwise.mish,
    "relu": pointwise.relu,
    "selu": pointwise.selu,
    "sigmoid": pointwise.sigmoid,
    "silu": pointwise.silu,
    "sin": pointwise.sin,
    "softmax": reductions.softmax,
    "softplus": pointwise.softplus,
    "softsign": pointwise.softsign,
    "square": pointwise.square,
    "swish": pointwise.silu,
    "tanh": pointwise.tanh,
}


def activation_of(given: object, layer: str) -> Activation | None:
    """The function for a name or a callable; None for None and "linear".

    Raises GraphError for an unknown name, with the names there are, and for anything else.
    """
    if given is None:
        return None
    if isinstance(given, str):
        if given == "linear":
            return None
        if given not in ACTIVATIONS:
            known = ", ".join(["linear", *ACTIVATIONS])
            raise GraphError(f"{layer}: no activation is called {given!r}; there are {known}")
        return ACTIVATIONS[given]
    if isinstance(given, Expr) or not callable(given):
        raise GraphError(
            f"{layer}: an activation is a name or a function of one expression, got {given!r}"
        )
    return given
