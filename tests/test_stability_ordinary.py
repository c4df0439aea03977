"""On ordinary inputs the stable spelling is as good as the naive one, or within a few ulp."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from typing import Any

import mpmath
import numpy as np
import pytest

import symnet as sn
from symnet.expr import Expr
from symnet.reference.evaluation import interpret
from symnet.reference.over_mpmath import MpmathNamespace
from tests.data.stability_variants import FORMULAS

DIGITS = 60
DRAWS = 8
FEW = 4.0
# Where the terms of an output nearly cancel at a draw, what is left of their last bits is luck; in
# these the naive spelling is the luckier one. So many ulp of the small result are below one ulp of
# the terms.
UNLUCKY = {
    "1/(cosh*cosh)": 6.0,
    "swish": 13.0,
    "x/(1+exp(-1.7x))": 5.0,
    "x+log1p(exp(-2x))-log2": 21.0,
    "log(exp(x)+2.5exp(-x))": 6.0,
    "log sqrt(a^2+b^2)": 18.0,
    "gauss mix": 70.0,
    "exp ratio": 70.0,
    "softplus - x t": 16.0,
    "(exp-x)/(exp+x^2)": 9.0,
    "logsubexp": 7.0,
    "(1+x/r)/2": 5.0,
}


def draws(name: str, count: int) -> list[list[float]]:
    """Ordinary numbers: between 0.05 and 0.95, where every formula is defined, and normal ones."""
    random = np.random.default_rng(zlib.crc32(name.encode()))
    inside = random.uniform(0.05, 0.95, (DRAWS // 2, count))
    return [*inside.tolist(), *random.normal(0, 1.5, (DRAWS // 2, count)).tolist()]


def ulps(found: Sequence[Any], true: Sequence[Any]) -> list[float]:
    """The error of each output; NaN where it has no true value to be compared with."""
    result = []
    for part, exact in zip(found, true, strict=True):
        value = mpmath.mpc(exact).real if mpmath.im(exact) == 0 else mpmath.nan
        if mpmath.isnan(value) or not 1e-290 < abs(value) < 1e290:
            result.append(math.nan)
            continue
        gap = abs(mpmath.mpf(float(part)) - value) if np.isfinite(part) else mpmath.inf
        result.append(float(gap / math.ulp(float(value))))
    return result


def errors(name: str) -> tuple[float, float]:
    """The largest error over the draws, of the stable spelling and of the naive one."""
    formula, points = FORMULAS[name]
    first = points[0] if isinstance(points[0], tuple) else (points[0],)
    leaves = [sn.input(f"x_{k}", (), "float64") for k in range(len(first))]
    outputs: list[Expr] = [formula(*leaves)]
    outputs += sn.grad(outputs[0], leaves)
    stable = sn.stabilize(outputs)
    worst = [0.0, 0.0]
    for point in draws(name, len(leaves)):
        feeds = dict(zip(leaves, point, strict=True))
        with mpmath.workdps(DIGITS), MpmathNamespace.settings():
            values = {leaf: np.array(number, object) for leaf, number in feeds.items()}
            found = interpret(outputs, values, {}, MpmathNamespace)
            true = [np.ravel(part)[0] for part in found]
            if mpmath.isnan(true[0]) or mpmath.im(true[0]) != 0:
                continue
            for place, nodes in enumerate((stable, outputs)):
                own = sn.evaluate(nodes, feeds, stabilize=False)
                lost = [error for error in ulps(own, true) if not math.isnan(error)]
                worst[place] = max([worst[place], *lost])
    return worst[0], worst[1]


@pytest.mark.parametrize("name", list(FORMULAS))
def test_no_worse_than_the_naive_spelling(name: str):
    stable, naive = errors(name)
    assert stable <= max(FEW, naive, UNLUCKY.get(name, 0.0))
