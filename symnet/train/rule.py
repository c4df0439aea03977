"""The optimizer's rule in print."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

from symnet.expr import Expr, make, substitute, topological
from symnet.formula import text
from symnet.formula.assignments import Assignments
from symnet.ops.core import is_number
from symnet.ops.leaves import INPUT, UNKNOWN
from symnet.ops.table import divide
from symnet.optim import Optimizer
from symnet.optim.symbolic import GREEK
from symnet.rules.corrections import CORRECTIONS, decay_of
from symnet.train.model import Model


def settings(optimizer: Optimizer) -> list[str]:
    """What the letters of the hyper-parameters stand for."""
    found = []
    for name, value in optimizer.usual.items():
        shown = text(value) if isinstance(value, Expr) else f"{value:g}"
        if isinstance(value, Expr) or value:
            found.append(f"{GREEK.get(name, name)} = {shown}")
    return [", ".join(found)] if found else []


Rule = Sequence[tuple[str, Expr]]


def update_rule(optimizer: Optimizer, model: Model) -> Callable[[], Assignments]:
    """The rule line by line, what its letters stand for, and which parameters follow it: written
    when it is first asked for, which most trainings never do. GraphError at once if the optimizer's
    rule does not return what it should."""
    rule = optimizer.symbolic()
    names = [str(parameter.name) for parameter in model.parameters]
    return cache(lambda: _written(optimizer, rule, names))


def _written(optimizer: Optimizer, rule: Rule, names: Sequence[str]) -> Assignments:
    letters = {str(n.name): n for n in topological([value for _, value in rule]) if n.op is INPUT}
    slope = make(UNKNOWN, (letters["w"],), name="∇L", order=0)
    lines = [("g", slope), *rule] if optimizer.state else _with_slope(rule, slope)
    words = [_followers(names), *settings(optimizer), *_corrections(optimizer, rule)]
    return Assignments(lines, words)


def _corrections(optimizer: Optimizer, rule: Rule) -> list[str]:
    """Where another spelling runs than the one that prints."""
    fixed = {GREEK.get(name, name) for name, value in optimizer.usual.items() if is_number(value)}
    lines = []
    for node in topological([value for _, value in rule]):
        decay = decay_of(node)
        if decay is not None and decay[0].op is INPUT and decay[0].name in fixed:
            whole, inverse = text(node), text(divide(1, node.args[1]))
            spelled = f"{whole} = c {text(node.args[0])} where c = {inverse}"
            lines.append(f"computed as: {spelled}  ({CORRECTIONS[0].remark})")
    return lines


def _with_slope(rule: Rule, slope: Expr) -> list[tuple[str, Expr]]:
    """The rule with ∇L(w) for g, until a line gives g another meaning."""
    lines, fresh = [], True
    for name, value in rule:
        own = [n for n in topological([value]) if n.op is INPUT and n.name == "g" and fresh]
        (shown,) = substitute([value], dict.fromkeys(own, slope))
        lines.append((name, shown))
        fresh = fresh and name != "g"
    return lines


def _followers(names: Sequence[str]) -> str:
    """Which parameters the rule's w stands for; one of them may be called w itself."""
    if names == ["w"]:
        return "for the parameter w"
    if "w" in names:
        return f"for each of {', '.join(names)}, in the place of w"
    return f"for each w of {', '.join(names)}"
