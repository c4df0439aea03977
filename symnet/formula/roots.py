"""Library functions as they are read, where they are built with a choice for a special value.

A root whose derivative at 0 is to be 0 is two choices about a square root. Formulas write √s, and
where its derivative stands a choice by √s itself, which is positive where s is. The logarithm of a
sum of exponentials is built so that nothing overflows, and is written as what it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from symnet.expr import Expr, make, rebuild, topological
from symnet.formula.naming import core
from symnet.formula.narrow import narrowed
from symnet.formula.patterns import guarded_root
from symnet.functions.pointwise import logaddexp
from symnet.ops.core import BROADCAST, broadcast, scalar_constant
from symnet.ops.leaves import NAMED
from symnet.ops.table import (
    divide,
    equal,
    exp,
    less,
    log,
    multiply,
    negative,
    softplus,
    sqrt,
    where,
)


def as_read(loss: Expr) -> Expr:
    """The loss with log(e^a + e^b) and softplus(b) for what `logaddexp` builds, and with what is
    repeated along first axes repeated at once, so that what reads the same is the same."""
    made: dict[Expr, Expr] = {}
    for node in topological([loss]):
        made[node] = _as_read(node, tuple(made[arg] for arg in node.args))
    return _by_name(made[loss])


def _as_read(node: Expr, args: tuple[Expr, ...]) -> Expr:
    pair = _logaddexp_of(node)
    if pair is None:
        whole = _repeated_at_once(node, args)
        return rebuild(node, args) if whole is None else whole
    first, second = args[0].args
    left, right = (broadcast(one, node.shape) for one in (first, second))
    zeros = [scalar_constant(one) == 0 for one in pair]
    if any(zeros):
        return make(softplus, (left if zeros[1] else right,))
    return make(log, (make(exp, (left,)) + make(exp, (right,)),))


def _by_name(loss: Expr) -> Expr:
    """The loss with the name of a node wherever the node stands."""
    order = topological([loss])
    names: dict[Expr, Expr] = {}
    for node in order:
        if node.op is NAMED and node.args[0].args:
            names.setdefault(node.args[0], node)
    bare: dict[Expr, Expr] = {}
    made: dict[Expr, Expr] = {}
    for node in order:
        within = bare if node.op is NAMED else made
        bare[node] = rebuild(node, tuple(within[arg] for arg in node.args))
        name = names.get(node)
        made[node] = bare[node] if name is None else make(NAMED, (bare[node],), **name.attrs)
    return made[loss]


def _repeated_at_once(node: Expr, args: tuple[Expr, ...]) -> Expr | None:
    """A broadcast of what has axes of size 1 before its own, without them; None for any other."""
    if node.op is not BROADCAST or args[0].ndim < 2 or args[0].shape[0] != 1:
        return None
    inner = narrowed(args[0])
    first = node.ndim - inner.ndim
    if not inner.ndim or args[0].shape[-inner.ndim :] != inner.shape or first <= 0:
        return None
    return broadcast(inner, node.shape)


def _logaddexp_of(node: Expr) -> tuple[Expr, Expr] | None:
    """The operands of a logaddexp; None if a node is none."""
    if node.op is not where or node.args[0].op is not equal:
        return None
    left, right = (one if scalar_constant(one) is None else core(one) for one in node.args[0].args)
    return (left, right) if logaddexp(left, right) is node else None


def _guards(order: Iterable[Expr]) -> tuple[dict[Expr, Expr], dict[Expr, Expr]]:
    """From conditions, and from roots behind them, to what the root is of."""
    conditions: dict[Expr, Expr] = {}
    roots: dict[Expr, Expr] = {}
    for node in order:
        inner = guarded_root(node)
        if inner is not None and node.args[0].op is less:
            conditions[node.args[0]] = inner
            roots[node.args[1]] = inner
    return conditions, roots


def with_plain_roots(outputs: Iterable[Expr]) -> Mapping[Expr, Expr]:
    """Every node of these graphs, as it is written.

    The same values wherever the choices are made as the guarded root makes them.
    """
    order = topological(list(outputs))
    conditions, roots = _guards(order)
    made: dict[Expr, Expr] = {}
    chosen: set[Expr] = set()
    for node in order:
        args = tuple(made[arg] for arg in node.args)
        if node in conditions:
            made[node] = make(less, (args[0], make(sqrt, (made[conditions[node]],))))
            chosen.add(made[node])
        elif node in roots:
            made[node] = make(sqrt, (made[roots[node]],))
        elif node.args and node.args[0] in conditions and guarded_root(node) is not None:
            made[node] = made[node.args[1]]
        elif node.op is where and args[0] in chosen and scalar_constant(args[2]) == 0:
            made[node] = make(where, (args[0], _where_holds(args[1], args[0]), args[2]))
        else:
            made[node] = rebuild(node, args)
    return made


def _where_holds(node: Expr, condition: Expr) -> Expr:
    """A product where a condition holds, without choices in it by the same condition."""
    if node.op is where and node.args[0] is condition:
        return _where_holds(node.args[1], condition)
    if node.op in (multiply, divide, negative):
        return rebuild(node, tuple(_where_holds(arg, condition) for arg in node.args))
    return node
