"""What a report is about."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from symnet.expr import Expr
from symnet.formula.tree import Formula
from symnet.lower import Part

Array = np.ndarray[Any, Any]
Parts = Callable[[Mapping[Expr, Formula]], Sequence[Part]]
"""parts(names) -> the kernels, their formulas written with these names."""


@dataclass(frozen=True)
class Subject:
    """A loss as the user wrote it, what it was compiled to, and what its training went through.

    curves: title -> name -> values, one an epoch. snapshots: epoch -> parameters by name. feeds:
    data by input. rule: the optimizer's rule as text. rows: how many there are of each named size.
    """

    title: str
    loss: Expr
    parts: Parts
    curves: Mapping[str, Mapping[str, Sequence[float]]] = field(default_factory=dict)
    snapshots: Mapping[int, Mapping[str, Array]] = field(default_factory=dict)
    feeds: Mapping[Expr, Array] = field(default_factory=dict)
    rule: str = ""
    sizes: Mapping[str, int] = field(default_factory=dict)
    ended: str = ""
