"""What a sheet asks of the graph: its targets, its named nodes, and local derivatives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from symnet.diff import Nested, adjoints, flatten
from symnet.errors import GraphError, ShapeError
from symnet.expr import Expr, make, origin_here, substitute
from symnet.ops.core import FLOATS, describe, number
from symnet.ops.leaves import INPUT, NAMED, PARAMETER, leaves


def require_scalar(loss: Expr, what: str) -> None:
    """ShapeError unless the loss is a single number."""
    if loss.shape != ():
        raise ShapeError(
            f"{what}: {describe(loss)} is not a scalar; reduce it by sn.sum or sn.mean "
            f"(at {origin_here()})"
        )


def targets_of(loss: Expr, wrt: Nested | None) -> list[Expr]:
    """What the loss is differentiated by: `wrt`, or its parameters, or without any its inputs."""
    if wrt is not None:
        return flatten(wrt)
    found = leaves([loss], PARAMETER)
    found = found or [leaf for leaf in leaves([loss], INPUT) if leaf.dtype in FLOATS]
    if not found:
        raise GraphError("gradients: the loss depends on no parameter and no floating-point input")
    return found


def active_nodes(order: Sequence[Expr], sources: Iterable[Expr]) -> set[Expr]:
    """The sources and every node that depends on one."""
    active = set(sources)
    for node in order:
        if any(arg in active for arg in node.args) and node.dtype in FLOATS:
            active.add(node)
    return active


def direct_parts(node: Expr, stops: set[Expr]) -> list[Expr]:
    """The stops that a node is made of without another stop between, in topological order."""
    root = node.args[0] if node.op is NAMED else node
    found: dict[Expr, None] = {}
    seen: set[Expr] = set()
    stack = [root]
    while stack:
        current = stack.pop()
        if current in seen:
            continue
        seen.add(current)
        if current in stops:
            found[current] = None
        else:
            stack.extend(reversed(current.args))
    return list(found)


def local_partials(node: Expr, parts: Sequence[Expr]) -> dict[Expr, Expr]:
    """The derivative of a scalar node by each of its direct parts, the others held fixed."""
    root = node.args[0] if node.op is NAMED else node
    held = {
        part: make(INPUT, identity=True, name="held", shape=part.shape, dtype=str(part.dtype))
        for part in parts
    }
    (free,) = substitute([root], held)
    found = adjoints({free: number(1, free.dtype)}, held.values())
    back = {leaf: part for part, leaf in held.items()}
    return {
        part: substitute([found[leaf]], back)[0] for part, leaf in held.items() if leaf in found
    }
