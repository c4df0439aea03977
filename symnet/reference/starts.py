"""The values that parameters and states start from."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from symnet.errors import DtypeError, ShapeError
from symnet.expr import Expr
from symnet.ops.leaves import Start
from symnet.sizes import show_shape


def starting_value(leaf: Expr, seed: int = 0) -> np.ndarray[Any, Any]:
    """The array that a parameter or a state starts from, in its dtype; the caller's own.

    A drawn value depends on the seed and on the leaf's name alone, not on what else is drawn.
    ShapeError if the initialiser returns another shape, DtypeError unless it returns finite
    numbers.
    """
    start: Start = leaf.attrs["start"]
    if start.initialiser is None:
        return np.array(start.array, leaf.dtype)
    digest = hashlib.sha256(f"{seed}:{leaf.name}".encode()).digest()
    generator = np.random.Generator(np.random.Philox(int.from_bytes(digest[:16], "little")))
    shape = tuple(int(size) for size in leaf.shape)
    drawn = np.asarray(start.initialiser(shape, generator))
    if drawn.dtype.kind not in "iuf" or not np.isfinite(drawn).all():
        raise DtypeError(
            f"the initialiser of {leaf.name} must return finite numbers, got {drawn.dtype}; an "
            "initialiser with arguments is called first, as in sn.init.normal(0.1)"
        )
    if drawn.shape != shape:
        raise ShapeError(
            f"the initialiser of {leaf.name} gave {show_shape(drawn.shape)}, asked for "
            f"{show_shape(shape)}"
        )
    return drawn.astype(leaf.dtype)
