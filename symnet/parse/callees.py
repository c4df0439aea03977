"""The functions that a formula's text may call."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from symnet.expr import Expr
from symnet.functions import FUNCTIONS
from symnet.ops.core import FLOATS, cast
from symnet.ops.pointwise import Pointwise


@dataclass(frozen=True)
class Callee:
    """A function that text may call, with the fewest and the most arguments it takes."""

    apply: Callable[..., Expr]
    fewest: int
    most: int


_ACTIVATIONS = {
    "pow": (2, 2), "square": (1, 1), "reciprocal": (1, 1), "rsqrt": (1, 1), "logaddexp": (2, 2),
    "relu": (1, 1), "leaky_relu": (1, 2), "prelu": (2, 2), "elu": (1, 2), "selu": (1, 1),
    "log_sigmoid": (1, 1), "silu": (1, 1), "gelu": (1, 1), "mish": (1, 1), "softsign": (1, 1),
    "hardtanh": (1, 3), "hardswish": (1, 1), "clip": (3, 3),
}  # fmt: skip
_ALIASES = {
    "σ": "sigmoid", "ln": "log", "max": "maximum", "min": "minimum", "arcsin": "asin",
    "arccos": "acos", "arctan": "atan", "arsinh": "asinh", "arcosh": "acosh", "artanh": "atanh",
    "√": "sqrt",
}  # fmt: skip


def sech(x: Expr) -> Expr:
    """1/cosh x."""
    row: Callable[[Expr], Expr] = FUNCTIONS["cosh"]  # type: ignore[assignment]
    return 1 / row(x)


def _callees() -> dict[str, Callee]:
    found = {
        name: Callee(row, row.arity, row.arity)
        for name, row in FUNCTIONS.items()
        if isinstance(row, Pointwise) and row.gives == "same" and row.arity <= 2
    }
    for name, (fewest, most) in _ACTIVATIONS.items():
        found[name] = Callee(FUNCTIONS[name], fewest, most)  # type: ignore[arg-type]
    found["sech"] = Callee(sech, 1, 1)
    return found | {alias: found[name] for alias, name in _ALIASES.items()}


CALLEES: Final[Mapping[str, Callee]] = _callees()
"""Functions of numbers, element by element on arrays."""


def _soft(name: str) -> Callable[[Expr, tuple[int, ...]], Expr]:
    row: Callable[..., Expr] = FUNCTIONS[name]  # type: ignore[assignment]
    return lambda x, axes: row(x, axis=axes)


def _whole(name: str) -> Callable[[Expr, tuple[int, ...]], Expr]:
    row: Callable[..., Expr] = FUNCTIONS[name]  # type: ignore[assignment]
    return lambda x, axes: row(x if x.dtype in FLOATS else cast(x, FLOATS[1]), axis=axes)


ALONG: Final[Mapping[str, Callable[[Expr, tuple[int, ...]], Expr]]] = {
    "softmax": _soft("softmax"),
    "log_softmax": _soft("log_softmax"),
}
"""Functions along an axis, the last one if none is said."""
WHOLE: Final[Mapping[str, Callable[[Expr, tuple[int, ...]], Expr]]] = {
    "sum": _whole("sum"),
    "mean": _whole("mean"),
}
"""Functions of a whole array, or along the axes that are said, that are one number."""
SHAPING: Final = frozenset({"diag", "col", "reshape", "broadcast", "permute", "concat", "place"})
"""Functions that move the elements of an array."""
NAMES: Final = frozenset({*CALLEES, *ALONG, *WHOLE, *SHAPING, "not"})


def unknown(name: str, functions: Collection[str]) -> str:
    """What to say of a function that there is not."""
    near = get_close_matches(name, [*NAMES, *functions], n=1)
    hint = f"did you mean {near[0]}?" if near else f"a product is written {name}*(...)"
    return f"there is no function {name}: {hint}"
