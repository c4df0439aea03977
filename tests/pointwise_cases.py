"""Arguments for a pointwise row: inputs of many shapes with values inside the row's domain."""

from __future__ import annotations

import numpy as np

import symnet as sn
from symnet.expr import Expr
from symnet.ops.pointwise import Pointwise

SHAPES = {
    "scalar": [(), (), ()],
    "equal": [(2, 3), (2, 3), (2, 3)],
    "row": [(2, 3), (3,), (3,)],
    "column": [(2, 1), (2, 3), (1, 3)],
    "with scalar": [(), (3,), ()],
    "empty": [(0, 3), (3,), (1, 3)],
    "odd": [(7, 1, 5), (5,), (7, 3, 1)],
}
# What decides, rather than being computed with.
CONDITIONS = {("where", 0)}


def arguments(row: Pointwise, shapes: str, dtype: str = "float64") -> dict[Expr, np.ndarray]:
    """Inputs for each argument of the row, with values inside its domain; none are tied."""
    generator = np.random.default_rng(sum(map(ord, row.name + shapes)))
    domain = row.domain if len(row.domain) == row.arity else row.domain * row.arity
    values = {}
    for index, (low, high) in enumerate(domain):
        shape = SHAPES[shapes][index]
        drawn = generator.uniform(low, high, shape)
        kind = "bool" if row.accepts == "bool" or (row.name, index) in CONDITIONS else dtype
        array = drawn > (low + high) / 2 if kind == "bool" else drawn.astype(kind)
        values[sn.input("abc"[index], shape, kind)] = np.asarray(array)
    return values
