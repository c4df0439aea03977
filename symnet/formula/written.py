"""Networks and derivatives written out by components, as equations one below another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from symnet.diff import grad
from symnet.errors import GraphError
from symnet.expr import Expr, topological
from symnet.formula import mathml
from symnet.formula.components import Array, Components, component
from symnet.formula.layers import layers
from symnet.formula.layout import aligned, indented, latex_rows
from symnet.formula.naming import Names, intermediates, readable
from symnet.formula.patterns import automatic_name
from symnet.formula.tex import LatexPrinter
from symnet.formula.text import TextPrinter
from symnet.formula.tree import Definition, Element, Formula, Partial, Symbol
from symnet.ops.core import FLOATS
from symnet.ops.leaves import INPUT, NAMED, PARAMETER, UNKNOWN

NOTATIONS = ("text", "latex", "mathml")


def own_names(order: Iterable[Expr], names: Names) -> dict[Expr, Symbol]:
    """The symbols of leaves and of the user's intermediates."""
    nodes = list(order)
    for node in nodes:
        if node.op is UNKNOWN:
            names.taken.add(node.attrs["name"])
    named = {
        node: Symbol(names.fresh(readable(node.name)))
        for node in nodes
        if node.name is not None and (not node.args or node.op is NAMED)
    }
    for node in nodes:
        if node.op is NAMED and node in named and node.args[0].args:
            named.setdefault(node.args[0], named[node])
    return named


def scalar_equations(expr: Expr) -> tuple[list[Definition], list[Definition]]:
    """The components of an expression, and the definitions of what they are written in.

    A gradient is ∂L/∂w by the components of w; a number without a name that depends on parameters
    is L, and any other expression f.
    """
    order = topological([expr])
    names = Names(())
    named = own_names(order, names)
    for node, name in _layers(expr, order).items():
        named[node] = Symbol(names.fresh(name))
    for node in intermediates([expr], named):
        named[node] = Symbol(names.fresh(*automatic_name(node)))
    components = Components([expr], named)
    written = components.body(expr)
    left = _left_side(expr, named, names)
    results = _equations(left, expr, written, trivial=True)
    nodes = [node for node in order if node.args and node in named and node is not expr]
    distinct = {named[node]: node for node in nodes}
    rests = [definition.right for definition in results]
    return results, components.definitions(distinct.values(), rests)


def _layers(expr: Expr, order: Sequence[Expr]) -> dict[Expr, str]:
    """Layers of the network that an expression is, or is the gradient of, if none has a name."""
    forward = order if expr.derived is None else topological(expr.derived[0].outputs)
    if any(node.op is NAMED for node in forward):
        return {}
    there = set(order) - {expr}
    found = layers(forward, set(forward))
    return {node: name for node, name in found.items() if node in there}


def _left_side(expr: Expr, named: Mapping[Expr, Symbol], names: Names) -> Formula:
    if expr in named:
        return named[expr]
    target = _derived_by(expr)
    if target is None:
        parametric = expr.shape == () and any(node.op is PARAMETER for node in named)
        return Symbol(names.fresh("L" if parametric else "f"))
    by = named.get(target) or Symbol(readable(str(target.name)))
    assert expr.derived is not None
    (loss,) = expr.derived[0].outputs
    return Partial(named.get(loss) or Symbol(names.fresh(readable(loss.name or "L"))), by)


def _derived_by(expr: Expr) -> Expr | None:
    """The parameter or input by which an expression is the gradient of something, if it is one."""
    if expr.derived is None or len(expr.derived[0].outputs) != 1:
        return None
    (loss,) = expr.derived[0].outputs
    if loss.shape != ():
        return None
    leaves = [n for n in topological([loss]) if n.op in (INPUT, PARAMETER) and n.dtype in FLOATS]
    alike = [leaf for leaf in leaves if leaf.shape == expr.shape and leaf.dtype == expr.dtype]
    return next((leaf for leaf in alike if grad(loss, leaf) is expr), None)


def _equations(
    left: Formula, node: Expr, written: Array, trivial: bool = False
) -> list[Definition]:
    shape = [int(size) for size in node.shape]
    found = []
    for place in np.ndindex(*shape):
        if isinstance(left, Partial):
            assert isinstance(left.by, Symbol)
            own: Formula = Partial(left.of, component(left.by, place, shape))
        else:
            assert isinstance(left, Symbol)
            own = component(left, place, shape)
        right: Formula = written.item(place) if shape else written.item()
        if trivial or own != right:
            found.append(Definition(own, right))
    return found


def sheet_equations(lines: Sequence[tuple[Formula, Expr]]) -> list[Definition]:
    """The lines of a sheet by components: what stands on the left, and the expression it is."""
    names = Names(())
    nodes = [node for _, node in lines]
    named = own_names(topological(nodes), names)
    wholes = [(_whole(left), node) for left, node in lines]
    for left, node in wholes:
        if isinstance(left, Symbol):
            named[node] = left
    components = Components(nodes, named)
    found: list[Definition] = []
    for left, node in wholes:
        own = named.get(node) == left
        found += _equations(left, node, components.body(node) if own else components.of(node))
    return found


def _whole(left: Formula) -> Formula:
    """What stands on the left without its indices."""
    if isinstance(left, Partial):
        return Partial(left.of, _whole(left.by))
    return left.base if isinstance(left, Element) else left


def shown(results: Sequence[Definition], where: Sequence[Definition], to: str) -> str:
    """Equations in a notation, one below another; a single one named f is its right side."""
    if to not in NOTATIONS:
        raise GraphError(f"a notation is one of {', '.join(NOTATIONS)}, got {to!r}")
    alone = len(results) == 1 and isinstance(results[0].left, Symbol) and not where
    if to == "mathml":
        return mathml.aligned((line.left, line.right) for line in (*results, *where))
    if to == "latex":
        tex = LatexPrinter()
        if alone:
            return tex.show(results[0].right)
        rows = [row for line in results for row in latex_rows(*_sides(tex, line))]
        below = [row for line in where for row in latex_rows(*_sides(tex, line))]
        marked = [rf"\text{{where }} {row}" if not k else row for k, row in enumerate(below)]
        return aligned([*rows, *marked])
    text = TextPrinter()
    if alone:
        return "\n".join(indented(text.show(results[0].right)))
    first = [row for line in results for row in indented(text.show(line))]
    below = [row for line in where for row in indented(text.show(line))]
    return "\n".join(
        [*first, *(f"{'where ' if not k else ' ' * 6}{r}" for k, r in enumerate(below))]
    )


def _sides(printer: LatexPrinter, line: Definition) -> tuple[str, str]:
    return printer.show(line.left), printer.show(line.right)
