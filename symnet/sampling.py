"""Numbers for the inputs of a graph, where any that fit will do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from symnet.expr import Expr, topological
from symnet.feeds import limits_of
from symnet.ops.core import FLOATS
from symnet.ops.leaves import INPUT, PARAMETER, STATE, leaves, training
from symnet.sizes import Size, size_names

Array = np.ndarray[Any, Any]


def sample_inputs(nodes: Sequence[Expr], seed: int) -> dict[Expr, Array]:
    """Numbers for the inputs that nodes depend on: normal ones, class numbers, coin flips. Named
    sizes become small, each another."""
    generator = np.random.default_rng(seed)
    names = sorted({name for node in topological(nodes) for name in size_names(node.shape)})
    sizes = {name: 5 + 2 * place for place, name in enumerate(names)}
    ranges = limits_of(nodes).ranges
    feeds = {}
    for leaf in leaves(nodes, INPUT):
        if leaf is training:
            continue
        shape = tuple(_numbers(leaf.shape, sizes))
        (below,) = _numbers([ranges.get(leaf, 2)], sizes)
        feeds[leaf] = _drawn(leaf.dtype, shape, below, generator)
    return feeds


def sample_held(nodes: Sequence[Expr], seed: int) -> dict[Expr, Array]:
    """Numbers for the parameters and the state that nodes depend on, none of them 0 by design:
    normal ones for parameters, positive ones for state, since roots are taken of it."""
    generator = np.random.default_rng(seed)
    feeds: dict[Expr, Array] = {}
    for leaf in leaves(nodes, PARAMETER):
        drawn = generator.standard_normal(tuple(map(int, leaf.shape)))
        feeds[leaf] = np.asarray(0.5 * drawn).astype(leaf.dtype)
    for leaf in leaves(nodes, STATE):
        if leaf.dtype in FLOATS:
            drawn = generator.uniform(0.1, 1.0, tuple(map(int, leaf.shape)))
            feeds[leaf] = np.asarray(drawn).astype(leaf.dtype)
    return feeds


def _numbers(shape: Any, sizes: Mapping[str, int]) -> Iterator[int]:
    for size in shape:
        yield size.value(sizes) if isinstance(size, Size) else int(size)


def _drawn(
    dtype: np.dtype[Any], shape: tuple[int, ...], below: int, generator: np.random.Generator
) -> Array:
    if dtype.kind == "f":
        return generator.standard_normal(shape)
    drawn = generator.integers(0, 2 if dtype.kind == "b" else below, shape)
    return np.asarray(drawn).astype(dtype)
