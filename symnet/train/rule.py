"""The optimizer's rule in print."""

from __future__ import annotations

from symnet.expr import Expr, make, substitute, topological
from symnet.formula import text
from symnet.ops.leaves import INPUT, UNKNOWN
from symnet.optim import Optimizer
from symnet.optim.symbolic import GREEK
from symnet.train.model import Model


def settings(optimizer: Optimizer) -> list[str]:
    """What the letters of the hyper-parameters stand for."""
    found = []
    for name, value in optimizer.usual.items():
        shown = text(value) if isinstance(value, Expr) else f"{value:g}"
        if isinstance(value, Expr) or value:
            found.append(f"{GREEK.get(name, name)} = {shown}")
    return [", ".join(found)] if found else []


def update_rule(optimizer: Optimizer, model: Model) -> str:
    """The rule line by line, what its letters stand for, and which parameters follow it."""
    rule = optimizer.symbolic()
    letters = {str(n.name): n for n in topological([value for _, value in rule]) if n.op is INPUT}
    slope = make(UNKNOWN, (letters["w"],), name="∇L", order=0)
    lines = []
    if optimizer.state:
        lines.append(f"g ← {text(slope)}")
    elif "g" in letters:
        values = substitute([value for _, value in rule], {letters["g"]: slope})
        rule = [(name, value) for (name, _), value in zip(rule, values, strict=True)]
    lines += [f"{name} ← {text(value)}" for name, value in rule]
    names = ", ".join(str(parameter.name) for parameter in model.parameters)
    lines.append(f"for each w of {names}")
    lines += settings(optimizer)
    return "\n".join(lines)
