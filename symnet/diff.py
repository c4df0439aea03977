"""The chain rule: reverse and forward accumulation over the graph, and what follows from them.

The result is again a graph of primitives. Where several paths meet, the contributions are added
by an explicit `add`. Both modes follow from what each row states once (Griewank and Walther,
Evaluating Derivatives, 2008, chapter 3).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from symnet.errors import DtypeError, GraphError, ShapeError
from symnet.expr import Derivation, Expr, make, origin_here, substitute, topological
from symnet.ops.core import FLOATS, broadcast, describe, number
from symnet.ops.leaves import INPUT
from symnet.ops.pointwise import ones, zeros
from symnet.ops.views import identity, permute, reshape
from symnet.rows import require_separate_rows
from symnet.sizes import multiply_sizes

Nested = Any
"""An Expr, or a list, tuple or dict of Nested."""


def flatten(nested: Nested) -> list[Expr]:
    """The expressions of a nested structure, in order; GraphError for anything else."""
    if isinstance(nested, Expr):
        return [nested]
    if isinstance(nested, Mapping):
        return [node for value in nested.values() for node in flatten(value)]
    if isinstance(nested, (list, tuple)):
        return [node for value in nested for node in flatten(value)]
    raise GraphError(f"expected expressions, got {nested!r}")


def unflatten(nested: Nested, values: Iterable[Any]) -> Any:
    """The values in the structure of `nested`."""
    return _filled(nested, iter(values))


def _filled(part: Nested, supply: Iterator[Any]) -> Any:
    # No function inside another that calls itself: such a cycle keeps the values alive.
    if isinstance(part, Mapping):
        return {key: _filled(value, supply) for key, value in part.items()}
    if isinstance(part, (list, tuple)):
        return type(part)(_filled(value, supply) for value in part)
    return next(supply)


def _differentiable(nodes: Sequence[Expr]) -> None:
    for node in nodes:
        if node.dtype not in FLOATS:
            raise DtypeError(
                f"derivatives need floating-point numbers, {describe(node)} is {node.dtype} "
                f"(at {origin_here()})"
            )


def _active(order: Sequence[Expr], sources: Iterable[Expr]) -> set[Expr]:
    """The nodes through which a source reaches the outputs."""
    active = set(sources)
    for node in order:
        if node.dtype in FLOATS and any(arg in active for arg in node.args):
            active.add(node)
    return active


def adjoints(seeds: Mapping[Expr, Expr], wrt: Iterable[Expr]) -> dict[Expr, Expr]:
    """The adjoint of every node between `wrt` and the seeded outputs.

    seeds: output -> its adjoint, of its shape. Nodes that nothing reaches are absent.
    """
    order = topological(seeds)
    active = _active(order, wrt)
    found: dict[Expr, Expr] = dict(seeds)
    for node in reversed(order):
        adjoint = found.get(node)
        if adjoint is None or node not in active:
            continue
        for index, arg in enumerate(node.args):
            if arg not in active:
                continue
            part = node.op.pullback(node, adjoint, index)
            if part is not None:
                found[arg] = found[arg] + part if arg in found else part
    return found


Chain = Callable[[list[Expr], list[Expr]], list[Expr]]
"""chain(outputs, wrt) -> derivatives of those outputs by those nodes."""


def _remembered(outputs: Sequence[Expr], wrt: Sequence[Expr], chain: Chain) -> list[Expr]:
    """The derivatives that `chain` makes, each of which remembers how.

    So the spelling that runs can be made by "stabilise, differentiate, stabilise" also where the
    user differentiated first. Derivatives that are part of the outputs are nothing to make anew.
    An intermediate in `wrt` counts as a leaf, which no other spelling of the outputs may swallow.
    """
    results = chain(list(outputs), list(wrt))
    leaves = [_leaf_like(node) if node.args else node for node in wrt]
    there = dict(zip(wrt, leaves, strict=True))
    back = dict(zip(leaves, wrt, strict=True))

    def again(spelled: list[Expr]) -> list[Expr]:
        return substitute(chain(spelled, leaves), back)

    derivation = Derivation(tuple(substitute(outputs, there)), again)
    given = set(topological(outputs))
    for index, result in enumerate(results):
        if result.args and result.derived is None and result not in given:
            result.derived = derivation, index
    return results


def _leaf_like(node: Expr) -> Expr:
    return make(INPUT, identity=True, name="wrt", shape=node.shape, dtype=str(node.dtype))


def vjp(outputs: Nested, wrt: Nested, cotangents: Nested) -> Nested:
    """The vector-Jacobian product: d/dwrt of the sum of <cotangent, output>, nested as wrt.

    Raises ShapeError if a cotangent is not shaped as its output, DtypeError for integers.
    """
    results, targets, seeds = flatten(outputs), flatten(wrt), flatten(cotangents)
    _differentiable([*results, *targets])
    for result, seed in zip(results, seeds, strict=True):
        if seed.shape != result.shape:
            raise ShapeError(f"vjp: the cotangent of {describe(result)} is {describe(seed)}")

    def chain(spelled: list[Expr], nodes: list[Expr]) -> list[Expr]:
        start: dict[Expr, Expr] = {}
        for result, seed in zip(spelled, seeds, strict=True):
            start[result] = start[result] + seed if result in start else seed
        found = adjoints(start, nodes)
        return [found.get(node, zeros(node)) for node in nodes]

    return unflatten(wrt, _remembered(results, targets, chain))


def grad(y: Expr, wrt: Nested) -> Nested:
    """The gradient of a scalar, shaped and nested as wrt.

    Raises ShapeError unless y is a scalar, DtypeError unless all are floating point.
    """
    if y.shape != ():
        raise ShapeError(
            f"grad: {describe(y)} is not a scalar; reduce it (sn.sum, sn.mean) or use sn.jacobian "
            f"(at {origin_here()})"
        )
    return vjp(y, wrt, number(1, y.dtype))


def _tangents(seeds: Mapping[Expr, Expr], outputs: Sequence[Expr], lead: int) -> dict[Expr, Expr]:
    """The tangent of every node that the seeds reach, with `lead` axes before its own."""
    found = dict(seeds)
    for node in topological(outputs):
        if node in found or not any(arg in found for arg in node.args):
            continue
        tangent = node.op.pushforward(node, tuple(found.get(arg) for arg in node.args), lead)
        if tangent is not None:
            found[node] = tangent
    return found


def jvp(outputs: Nested, wrt: Nested, tangents: Nested) -> Nested:
    """The Jacobian-vector product: the outputs' change for a change of wrt, nested as outputs.

    Raises ShapeError if a tangent is not shaped as what it changes.
    """
    results, sources, directions = flatten(outputs), flatten(wrt), flatten(tangents)
    _differentiable([*results, *sources])
    for source, direction in zip(sources, directions, strict=True):
        if direction.shape != source.shape:
            raise ShapeError(f"jvp: the tangent of {describe(source)} is {describe(direction)}")

    def chain(spelled: list[Expr], nodes: list[Expr]) -> list[Expr]:
        found = _tangents(dict(zip(nodes, directions, strict=True)), spelled, lead=0)
        return [found.get(node, zeros(node)) for node in spelled]

    return unflatten(outputs, _remembered(results, sources, chain))


def hvp(y: Expr, wrt: Nested, vectors: Nested) -> Nested:
    """The Hessian of a scalar times a vector, by forward over reverse; nested as wrt."""
    return jvp(grad(y, wrt), wrt, vectors)


def _jacobian_one(y: Expr, x: Expr) -> Expr:
    """dy/dx, shaped y.shape + x.shape: one forward sweep, with a leading axis of directions unless
    x is a number."""
    if not x.shape:
        change = _tangents({x: number(1, x.dtype)}, [y], lead=0).get(y)
        return zeros(y) if change is None else change
    count = multiply_sizes(x.shape)
    directions = reshape(identity(count, x.dtype), (count, *x.shape))
    columns = _tangents({x: directions}, [y], lead=1).get(y)
    if columns is None:
        return broadcast(number(0, y.dtype), (*y.shape, *x.shape))
    return reshape(permute(columns, (*range(1, columns.ndim), 0)), (*y.shape, *x.shape))


def jacobian(y: Expr, wrt: Nested) -> Nested:
    """The derivative of every element of y by every element of wrt: y.shape + w.shape."""
    sources = flatten(wrt)
    _differentiable([y, *sources])

    def chain(spelled: list[Expr], nodes: list[Expr]) -> list[Expr]:
        return [_jacobian_one(spelled[0], node) for node in nodes]

    return unflatten(wrt, _remembered([y], sources, chain))


def hessian(y: Expr, wrt: Nested) -> Nested:
    """The second derivatives of a scalar: w.shape + w.shape, or nested lists for several w."""
    gradients = grad(y, wrt)
    if isinstance(wrt, Expr):
        return jacobian(gradients, wrt)
    return unflatten(wrt, [jacobian(gradient, wrt) for gradient in flatten(gradients)])


def derivative(u: Expr, x: Expr, order: int = 1) -> Expr:
    """The derivative row by row, u_i by x_i, shaped as u.

    u and x share their first axis, and x has one element a row. Raises ShapeError if a row of u
    depends on another row of x, or if the shapes are otherwise.
    """
    _differentiable([u, x])
    if x.ndim == 0 or u.ndim == 0 or u.shape[0] != x.shape[0] or any(s != 1 for s in x.shape[1:]):
        raise ShapeError(
            f"derivative: {describe(u)} by {describe(x)}: both need the same first axis, and x one "
            f"element a row (at {origin_here()})"
        )
    require_separate_rows(u, x)
    for _ in range(order):
        u = jvp(u, x, ones(x))
    return u
