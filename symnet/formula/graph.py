"""What a sheet asks of the graph: its targets, its named nodes, and local derivatives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from symnet.diff import Nested, adjoints, flatten
from symnet.errors import GraphError, ShapeError
from symnet.expr import Expr, make, origin_here, rebuild, substitute, topological
from symnet.formula.naming import Names, core
from symnet.ops.contraction import EINSUM
from symnet.ops.core import FLOATS, describe, number, scalar_constant
from symnet.ops.leaves import INPUT, NAMED, PARAMETER, leaves, named
from symnet.ops.pointwise import Pointwise
from symnet.ops.table import add, maximum, negative


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


def with_names(loss: Expr, targets: Sequence[Expr]) -> Expr:
    """The loss with layers named Z_1, A_1, ... if the user named no intermediate of it."""
    order = topological([loss])
    active = active_nodes(order, targets)
    named_already = any(node.op is NAMED and node in active for node in order)
    if named_already or any(target.args for target in targets):
        return loss
    chosen = _layers(order, active)
    names = Names(node.name for node in order if node.name)
    made: dict[Expr, Expr] = {}
    for node in order:
        made[node] = rebuild(node, tuple(made[arg] for arg in node.args))
        if node in chosen and node is not loss:
            made[node] = named(names.fresh(chosen[node]), made[node])
    return made[loss]


def _layers(order: Sequence[Expr], active: set[Expr]) -> dict[Expr, str]:
    """Pre-activations and activations: a product, plus a bias if one is added, and a function."""
    users: dict[Expr, list[Expr]] = {}
    for node in order:
        for arg in dict.fromkeys(core(arg) for arg in node.args):
            users.setdefault(arg, []).append(node)
    chosen: dict[Expr, str] = {}
    found = (n for n in order if n.op is EINSUM and n in active and n.ndim)
    for number_, product in enumerate(found, 1):
        node = product
        consumers = users.get(node, [])
        if len(consumers) == 1 and consumers[0].op is add:
            others = [core(arg) for arg in consumers[0].args if core(arg) is not node]
            node = consumers[0] if others and not others[0].args else node
        chosen[node] = f"Z_{number_}"
        functions = [user for user in users.get(node, []) if _is_activation(user)]
        if functions:
            chosen[functions[0]] = f"A_{number_}"
    return chosen


def _is_activation(node: Expr) -> bool:
    if node.op is maximum:
        return scalar_constant(node.args[1]) is not None
    return isinstance(node.op, Pointwise) and node.op.arity == 1 and node.op is not negative


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
