"""Computed indices: held inside their axis when compiled, and watched.

The door checks the integers that a user feeds. An index that a formula computes can be anything;
a kernel must not reach outside an array for it.
"""

from __future__ import annotations

from collections.abc import Sequence

from symnet.expr import Expr, rebuild, topological
from symnet.functions.pointwise import logical_or, maximum, minimum
from symnet.functions.reductions import max as largest
from symnet.functions.reductions import min as smallest
from symnet.ops.core import CONSTANT, INTEGERS, size_value
from symnet.ops.gather import GATHER, SCATTER_ADD
from symnet.ops.leaves import INPUT
from symnet.ops.reduction import ARGMAX
from symnet.ops.views import IOTA
from symnet.sizes import Dimension, add_sizes
from symnet.step import Step

_SEEN_THROUGH = ("broadcast", "reshape", "permute", "cast", "named")


def _axis_size(node: Expr) -> Dimension:
    """The size of the axis that a gather's or a scatter's index runs over."""
    source = node.args[0] if node.op is GATHER else node
    size: Dimension = source.shape[node.attrs["spec"].index("*")]
    return size


def _certain(node: Expr) -> bool:
    """Whether an index cannot lie outside, or is checked where data comes in."""
    index, size = node.args[1], _axis_size(node)
    if 0 in index.shape:
        return True
    while index.op.name in _SEEN_THROUGH and index.dtype in INTEGERS:
        index = index.args[0]
    if index.op in (INPUT, CONSTANT):
        return index.dtype in INTEGERS
    if index.op is ARGMAX:
        return bool(index.args[0].shape[index.attrs["axes"][0]] == size)
    return index.op is IOTA and bool(index.attrs["size"] == size)


def guarded(roots: Sequence[Expr]) -> tuple[list[Expr], list[tuple[Expr, str]]]:
    """The expressions with every computed index clipped to its axis; and for each such index a
    boolean that is true if clipping changed it, with what to say then."""
    made: dict[Expr, Expr] = {}
    checks: dict[Expr, str] = {}
    for node in topological(roots):
        args = tuple(made[arg] for arg in node.args)
        if node.op in (GATHER, SCATTER_ADD) and not _certain(node):
            index = args[1]
            size = _axis_size(node)
            last = size_value(add_sizes(size, -1), index.dtype)
            outside = logical_or(smallest(index) < 0, largest(index) > last)
            checks[outside] = (
                f"the index computed for the {node.op.name} at {node.origin} must be from 0 to "
                f"{add_sizes(size, -1)}, and is not"
            )
            args = (args[0], maximum(minimum(index, last), 0))
        made[node] = rebuild(node, args)
    return [made[root] for root in roots], list(checks.items())


def watched(step: Step) -> tuple[Step, dict[str, str]]:
    """The step with computed indices held inside their axes, and one more output for each, true
    if it had to be: its name, with what to say then."""
    roots, checks = guarded(step.roots())
    count = len(step.outputs)
    outputs = dict(zip(step.outputs, roots[:count], strict=True))
    targets = [target for target, _ in step.updates]
    messages = {f"index {place}": message for place, (_, message) in enumerate(checks)}
    outputs |= zip(messages, (check for check, _ in checks), strict=True)
    return Step(outputs, tuple(zip(targets, roots[count:], strict=True))), messages
