"""How the outputs of a compiled function are written where its kernels are listed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from symnet.diff import flatten, grad
from symnet.expr import Expr
from symnet.formula.tree import Formula, Partial, Symbol
from symnet.ops.core import FLOATS
from symnet.ops.leaves import INPUT, NAMED, PARAMETER, leaves


def output_names(asked: Mapping[str, Expr], running: Mapping[str, Expr]) -> dict[Expr, Formula]:
    """Names of the expressions that run, from those that were asked for under the same keys.

    A gradient of a scalar is ∂L/∂w, by the scalar's own name or else L; anything else that is a
    key of a dict has that key for its name.
    """
    gradients = _gradients(asked.values())
    names: dict[Expr, Formula] = {}
    for key, node in asked.items():
        ran = running[key]
        if not ran.args or ran.op is NAMED:
            continue
        if node in gradients:
            names[ran] = gradients[node]
        elif key.isidentifier():
            names[ran] = Symbol(key)
    return names


def loss_symbol(loss: Expr) -> Symbol:
    """The name of a scalar: its own, else L."""
    return Symbol(str(loss.name) if loss.op is NAMED else "L")


def _gradients(nodes: Iterable[Expr]) -> dict[Expr, Formula]:
    """The names of those that are gradients of scalars: equal expressions are one object, so that
    differentiating again finds them."""
    made: dict[Expr, Formula] = {}
    scalars = (d[0].outputs for node in nodes if (d := node.derived) is not None)
    for y in dict.fromkeys(outputs[0] for outputs in scalars if len(outputs) == 1):
        if y.shape != ():
            continue
        targets = [x for x in (*leaves([y], PARAMETER), *leaves([y], INPUT)) if x.dtype in FLOATS]
        names = (Partial(loss_symbol(y), Symbol(str(target.name))) for target in targets)
        for slope, name in zip(flatten(grad(y, targets)), names, strict=True):
            if slope.args:
                made.setdefault(slope, name)
        made.setdefault(y, loss_symbol(y))
    return made
