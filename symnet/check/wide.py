"""The same graph in float64, so that what is checked is the formula and not its rounding."""

from __future__ import annotations

from collections.abc import Sequence

from symnet.expr import Expr, make, rebuild, topological
from symnet.ops.leaves import Leaf


def widened(outputs: Sequence[Expr]) -> tuple[list[Expr], dict[Expr, Expr]]:
    """The outputs with float64 in place of float32, and for each leaf the leaf in its place.

    Casts to float32 become casts to float64: the real-number meaning is what is left.
    """
    made: dict[Expr, Expr] = {}
    for node in topological(outputs):
        args = tuple(made[arg] for arg in node.args)
        if node.attrs.get("dtype") == "float32":
            attrs = dict(node.attrs) | {"dtype": "float64"}
            made[node] = make(node.op, args, identity=isinstance(node.op, Leaf), **attrs)
        else:
            made[node] = rebuild(node, args)
    leaves = {node: wide for node, wide in made.items() if isinstance(node.op, Leaf)}
    return [made[output] for output in outputs], leaves
