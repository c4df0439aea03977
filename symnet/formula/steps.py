"""The steps of backpropagation, as claims that can be printed, altered and checked."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from symnet.expr import Expr, make
from symnet.formula.jacobians import Jacobian, local_jacobian
from symnet.formula.naming import is_squeeze
from symnet.ops.core import CAST, CONSTANT, FLOATS, SIZE_VALUE, number, peel, scalar_constant
from symnet.ops.leaves import INPUT, NAMED, UNKNOWN
from symnet.ops.views import RESHAPE
from symnet.sizes import show_shape

_RULES = {
    "add": "sum rule",
    "subtract": "sum rule",
    "negative": "sum rule",
    "multiply": "product rule",
    "divide": "quotient rule",
    "pow": "power rule",
    "einsum": "product of matrices",
    "broadcast": "what is repeated collects the sum",
    "sum": "each element of a sum counts once",
    "where": "each branch where its condition holds",
    "gather": "what is picked is added back to its place",
    "scatter_add": "what was added up is picked again",
    "permute": "the axes in their former order",
    "reshape": "the same elements in their former shape",
    "slice": "what is cut out goes back to its place",
    "place": "what was put in its place is cut out",
    "concat": "each part gets its own",
    "named": "another name",
    "cast": "the same number",
}


@dataclass(frozen=True, eq=False)
class Step:
    """One step of backpropagation: from a node to its operand `index`.

    Everything but the numbers of the step is a claim in expressions of the network, which is what
    prints and what `check` evaluates.

    jacobian: the local Jacobian, ∂node/∂operand. seed: stands for the adjoint of the node in
    `handed`, what this step hands on to the operand; both for the loss are the number 1 and what
    follows from it. terms: what each step so far has handed on to the operand, in full, this one
    last. adjoint: their sum. shape: that of the operand, empty for a number. shared: whether
    further steps lead to the operand. values: node and adjoint in numbers, where they were given.
    """

    number: int
    node: Expr
    index: int
    rule: str
    jacobian: Jacobian
    seed: Expr
    handed: Expr
    terms: tuple[Expr, ...]
    adjoint: Expr
    shape: str
    shared: bool = False
    values: str = ""

    @property
    def operand(self) -> Expr:
        """What the step leads to."""
        return self.node.args[self.index]

    @property
    def meets(self) -> bool:
        """Whether an earlier step had already reached the operand, so that a sum begins."""
        return len(self.terms) > 1

    @property
    def scalar(self) -> bool:
        """Whether node and operand are numbers, so that ∂node/∂operand is one number."""
        return self.node.shape == self.operand.shape == ()


def rule_of(node: Expr) -> str:
    """The rule of differentiation that a node asks for, in words."""
    if node.op is UNKNOWN:
        return f"chain rule, {node.attrs['name']} unknown"
    factors = {"divide": node.args[1:], "multiply": node.args}.get(node.op.name, ())
    if any(_is_constant(factor) for factor in factors):
        return "constant factor"
    return _RULES.get(node.op.name, f"chain rule through {node.op.name}")


def _is_constant(node: Expr, depth: int = 4) -> bool:
    """Whether a node is plain to see as a number made of numbers and sizes, such as 1/N."""
    node = peel(node)
    if not node.args:
        return node.op in (CONSTANT, SIZE_VALUE)
    return depth > 0 and all(_is_constant(arg, depth - 1) for arg in node.args)


def edges(order: Sequence[Expr], active: Collection[Expr]) -> Iterator[tuple[Expr, int]]:
    """Each use of an active operand by a node of these, from the last node to the first."""
    for node in reversed(order):
        if node.dtype in FLOATS:
            for index, operand in enumerate(node.args):
                if operand in active and operand.dtype in FLOATS:
                    yield node, index


def silent_nodes(order: Sequence[Expr], active: Collection[Expr], wrt: Expr) -> set[Expr]:
    """Names, casts and added axes of what nothing else uses: they are written as what they hold."""
    uses: dict[Expr, int] = {}
    for node, index in edges(order, active):
        uses[node.args[index]] = uses.get(node.args[index], 0) + 1
    found = set()
    for node in order:
        plain = node.op in (NAMED, CAST) or (node.op is RESHAPE and is_squeeze(node))
        if plain and node is not wrt and uses.get(node.args[0]) == 1 and node.args[0] is not wrt:
            found.add(node)
    return found


def added(terms: Sequence[Expr]) -> Expr:
    """The sum of terms; numbers are added at once."""
    total = terms[0]
    for term in terms[1:]:
        left, right = (scalar_constant(part) for part in (total, term))
        if total.shape == () and left is not None and right is not None:
            total = number(left + right, total.dtype)
        else:
            total = total + term
    return total


def backward(
    loss: Expr, order: Sequence[Expr], active: Collection[Expr], silent: Collection[Expr]
) -> tuple[list[Step], Mapping[Expr, Expr]]:
    """The steps from the loss down, and the adjoint of every node that they reach."""
    top = loss
    while top in silent:
        top = top.args[0]
    parts: dict[Expr, tuple[Expr, ...]] = {loss: (number(1, loss.dtype),)}
    steps: list[Step] = []
    for node, index in edges(order, active):
        operand, above = node.args[index], parts.get(node)
        if above is None:
            continue
        term = node.op.pullback(node, added(above), index)
        jacobian = local_jacobian(node, index)
        if term is None or jacobian is None:
            continue
        parts[operand] = (*parts.get(operand, ()), term)
        if node in silent:
            continue
        seed = number(1, node.dtype) if node is top else _seed(node)
        handed = node.op.pullback(node, seed, index)
        assert handed is not None
        shape = show_shape(operand.shape) if operand.shape else ""
        so_far = parts[operand]
        rule, place = rule_of(node), len(steps) + 1
        sum_ = added(so_far)
        steps.append(Step(place, node, index, rule, jacobian, seed, handed, so_far, sum_, shape))
    return steps, {node: added(terms) for node, terms in parts.items()}


def _seed(node: Expr) -> Expr:
    return make(INPUT, identity=True, name="δ", shape=node.shape, dtype=str(node.dtype))
