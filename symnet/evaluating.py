"""`sn.evaluate`: the reference interpreter on the spelling that runs."""

from __future__ import annotations

from typing import Any

from symnet.diff import Nested, flatten, unflatten
from symnet.feeds import Feeds
from symnet.reference import evaluate as interpreted
from symnet.simplify import stabilize as stabilized


def evaluate(
    outputs: Nested,
    feeds: Feeds | None = None,
    *,
    seed: int = 0,
    namespace: str = "numpy",
    stabilize: bool = True,
) -> Any:
    """The values of expressions as NumPy arrays, nested as outputs; scalars as NumPy scalars.

    Slow and exact in every dtype; compiles nothing. feeds: data by name or Expr, for parameters
    too; a parameter that is not fed starts as `seed` says, `training` is False and the step 0.
    namespace: what computes it, numpy, torch, jax or mpmath (50 digits, then rounded).
    stabilize: compute in the numerically stable spelling. FeedError for data that does not fit.
    """
    nodes = flatten(outputs)
    if stabilize:
        nodes = stabilized(nodes)
    return unflatten(outputs, interpreted(nodes, feeds, seed=seed, namespace=namespace))
