"""Names by role: what an intermediate without a name of the user's is in its network.

A value of the forward pass is a prediction, a residual, a share, an activation; a value of the
backward pass is the adjoint of one of these, Δ with the name of what it is the adjoint of.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set

from symnet.expr import Expr, topological
from symnet.formula.naming import core, is_elided, is_scalar
from symnet.formula.narrow import repeated_number
from symnet.ops.core import CONSTANT, SIZE_VALUE, scalar_constant
from symnet.ops.leaves import NAMED
from symnet.ops.pointwise import Pointwise
from symnet.ops.reduction import SOFTMAX, Reduction
from symnet.ops.table import divide, maximum, multiply, negative, subtract, where

_NUMBERS = (CONSTANT, SIZE_VALUE)


def _is_number(node: Expr) -> bool:
    """Whether a node is made of constants and sizes alone."""
    number = repeated_number(node)
    if number is None:
        return False
    return all(part.args or part.op in _NUMBERS for part in topological([number]))


def _functions(order: Iterable[Expr]) -> dict[Expr, str]:
    """What a function of one variable is applied to, and the user's name of its result, if any."""
    found: dict[Expr, str] = {}
    for node in order:
        inner = node.args[0] if node.op is NAMED else node
        if _is_function(inner):
            name = str(node.name) if node.op is NAMED else ""
            found[core(inner.args[0])] = name or found.get(core(inner.args[0]), "")
    return found


def _is_function(node: Expr) -> bool:
    if node.op is maximum:
        return scalar_constant(node.args[1]) is not None
    return isinstance(node.op, Pointwise) and node.op.arity == 1 and node.op is not negative


def _is_after_function(node: Expr) -> bool:
    """Whether a node is made element by element of the result of a function, as 1 − σ(z) is."""
    stack, seen = [node], {node}
    while stack:
        part = stack.pop()
        if part is not node and _is_function(part):
            return True
        if is_elided(part) or isinstance(part.op, Pointwise):
            stack += [arg for arg in part.args if arg not in seen]
            seen.update(part.args)
    return False


class Roles:
    """What the nodes of a loss and their adjoints are.

    order: the nodes of the loss; active: those that depend on what it is derived by; adjoints:
    theirs; named: the nodes that have a name.
    """

    def __init__(
        self,
        order: Sequence[Expr],
        active: Set[Expr],
        adjoints: Mapping[Expr, Expr],
        named: Iterable[Expr],
    ) -> None:
        self.forward, self._active = set(order), active
        self._residuals: set[Expr] = set()
        self._predictions: set[Expr] = set()
        for node in order:
            if node.op is subtract and node in active:
                left, right = (core(arg) for arg in node.args)
                if right not in active and not right.args:
                    self._residuals.add(node)
                    self._predictions.add(left)
        self._activations = _functions(order)
        self.owners: dict[Expr, Expr] = {}
        known = set(named)
        for node in sorted(known, key=lambda node: node.serial):
            if node in adjoints and not is_scalar(adjoints[node]):
                self.owners.setdefault(adjoints[node], node)
        self._nameless = self._without_names(order, adjoints, known)

    def _without_names(
        self, order: Sequence[Expr], adjoints: Mapping[Expr, Expr], known: Set[Expr]
    ) -> dict[Expr, Expr]:
        """From adjoints to values that might get a name: a prediction rather than a residual."""
        found: dict[Expr, Expr] = {}
        for node in order:
            adjoint = adjoints.get(node)
            if adjoint is None or adjoint in self.owners or node in known or is_elided(node):
                continue
            if node.args and not is_scalar(node) and node not in self._residuals:
                found[adjoint] = node
        return found

    def preferred(self, node: Expr) -> Expr:
        """The adjoint that a node is a multiple of, or a part of, if it is one; else the node."""
        inner = node
        while inner not in self.owners:
            numbers = [_is_number(arg) for arg in inner.args]
            if inner.op is where and scalar_constant(inner.args[2]) == 0:
                inner = core(inner.args[1])
            elif inner.op is multiply and any(numbers):
                inner = core(inner.args[numbers[0]])
            elif inner.op is divide and numbers[1]:
                inner = core(inner.args[0])
            else:
                return node
        return inner

    def value_of(self, adjoint: Expr) -> Expr | None:
        """The value without a name that this is the adjoint of."""
        return self._nameless.get(adjoint)

    def name(self, node: Expr) -> tuple[str, bool]:
        """A name for a node that has none, and whether such names are numbered from 1."""
        letters = "PRAHG" if node.ndim > 1 else "prahg"
        if node.op is SOFTMAX:
            return letters[0], False
        if node in self._activations and not _is_after_function(node):
            name = self._activations[node]
            return (f"z_{name}", False) if name else ("Z" if node.ndim > 1 else "z", True)
        if node in self._predictions:
            return "Ŷ" if node.ndim > 1 else "ŷ", False
        if node in self._residuals:
            return letters[1], False
        if isinstance(node.op, Reduction):
            return "s", False
        if node in self.forward and _is_function(node):
            return letters[2], True
        return (letters[3], True) if node in self.forward else (letters[4], True)
