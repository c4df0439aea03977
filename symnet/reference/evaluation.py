"""Evaluating a graph op by op: slow, obvious, and what everything fast is tested against."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from symnet.diff import Nested, flatten, unflatten
from symnet.errors import GraphError
from symnet.expr import Expr, topological
from symnet.feeds import Bound, Feeds, bind, limits_of
from symnet.ops.leaves import INPUT, PARAMETER, STATE, STEP, leaves, training
from symnet.reference.namespace import Array, Namespace
from symnet.reference.over_jax import JaxNamespace
from symnet.reference.over_mpmath import MpmathNamespace
from symnet.reference.over_numpy import ComplexNamespace, NumpyNamespace
from symnet.reference.over_torch import TorchNamespace
from symnet.reference.starts import starting_value

NAMESPACES: Final[dict[str, type[Namespace]]] = {
    row.name: row
    for row in (NumpyNamespace, ComplexNamespace, TorchNamespace, JaxNamespace, MpmathNamespace)
}


def namespace_of(name: str) -> type[Namespace]:
    """The array namespace of that name; GraphError if there is none."""
    if name not in NAMESPACES:
        raise GraphError(f"a namespace is one of {', '.join(NAMESPACES)}, got {name!r}")
    return NAMESPACES[name]


def evaluate(
    outputs: Nested, feeds: Feeds | None = None, *, seed: int = 0, namespace: str = "numpy"
) -> Any:
    """The values of expressions as NumPy arrays, nested as outputs; scalars as NumPy scalars.

    feeds: data by name or Expr, for parameters too; a parameter that is not fed starts as
    `seed` says, `training` is False and the step 0. namespace: what computes it, numpy, torch,
    jax or mpmath (50 digits, then rounded). FeedError for data that does not fit.
    """
    nodes = flatten(outputs)
    bound = bind_leaves(nodes, feeds, seed=seed)
    chosen = namespace_of(namespace)
    with chosen.settings():
        found = interpret(nodes, bound.arrays, bound.sizes, chosen)
        xp = chosen({}, {})
        arrays = [xp.to_numpy(v, node.dtype) for v, node in zip(found, nodes, strict=True)]
    return unflatten(outputs, [array if array.ndim else array[()] for array in arrays])


def bind_leaves(outputs: Sequence[Expr], feeds: Feeds | None, *, seed: int = 0) -> Bound:
    """A value for every leaf that outputs depend on: what is fed, else what it starts from."""
    inputs, own = leaves(outputs, INPUT), leaves(outputs, PARAMETER)
    rest = leaves(outputs, STATE) + leaves(outputs, STEP)
    required = [node for node in inputs if node is not training]
    optional = [*own, *rest, *(node for node in inputs if node is training)]
    bound = bind(required, feeds, optional=optional, limits=limits_of(outputs))
    for node in optional:
        if node not in bound.arrays:
            bound.arrays[node] = (
                starting_value(node, seed) if "start" in node.attrs else np.zeros((), node.dtype)
            )
    return bound


def interpret(
    outputs: Iterable[Expr],
    values: Mapping[Expr, Array],
    sizes: Mapping[str, int],
    namespace: type[Namespace],
) -> list[Array]:
    """The outputs as the namespace's own arrays, from the leaves' arrays and the named sizes.

    Leaves may be NumPy arrays or the namespace's own, such as tensors that require gradients.
    Call it inside `namespace.settings()`.
    """
    roots = list(outputs)
    xp = namespace(values, sizes)
    found: dict[Expr, Array] = {}
    for node in topological(roots):
        args = (found[arg] for arg in node.args)
        found[node] = xp.finish(node.op.value(xp, node, *args), node.dtype)
    return [found[root] for root in roots]
