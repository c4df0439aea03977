"""Names of what has none: index letters, intermediates, and which subexpressions become one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from symnet.expr import Expr, topological
from symnet.formula.tree import Symbol
from symnet.ops.core import BOOL, BROADCAST, CAST, CONSTANT, SIZE_VALUE
from symnet.ops.leaves import NAMED
from symnet.ops.reduction import SUM
from symnet.ops.views import IDENTITY, IOTA, RESHAPE
from symnet.sizes import Dimension, Size

# A formula with more parts than this is broken up; one that is used again, from this many on.
LONGEST, REPEATED, DEEPEST = 48, 12, 40

_LETTERS = "kjilmpqrtuv"
_PLAIN = (CONSTANT, SIZE_VALUE, IOTA, IDENTITY)


class Names:
    """Hands out names that nothing else in a formula has."""

    def __init__(self, taken: Iterable[str]) -> None:
        self.taken = set(taken)
        self._next: Counter[str] = Counter()

    def fresh(self, base: str, numbered: bool = False) -> str:
        """`base` if it is free, else base_2, base_3 ...; numbered ones begin with base_1."""
        name = f"{base}_1" if numbered else base
        self._next[base] = max(self._next[base], 1)
        while name in self.taken:
            self._next[base] += 1
            name = f"{base}_{self._next[base]}"
        self.taken.add(name)
        return name

    def letter(self, size: Dimension, used: Iterable[str]) -> Symbol:
        """An index letter for an axis: n for N, k for K, n for any other named size, else k, j."""
        blocked = self.taken | set(used)
        own = size.lower() if isinstance(size, Size) and len(size) == 1 else ""
        if isinstance(size, Size) and own in ("", "n"):
            own = "nm"
        pool = own + _LETTERS + "nabcdefgh"
        for letter in pool:
            if letter not in blocked:
                return Symbol(letter)
        return Symbol(next(f"i_{k}" for k in range(1, 1000) if f"i_{k}" not in blocked))


def is_squeeze(node: Expr) -> bool:
    """Whether a reshape only adds and drops axes of size 1."""
    before, after = node.args[0].shape, node.shape
    return [s for s in before if s != 1] == [s for s in after if s != 1]


def is_elided(node: Expr) -> bool:
    """Whether a node is written as its operand is: repeats, added axes, other precision."""
    if node.op is CAST:
        return node.args[0].dtype != BOOL
    return node.op is BROADCAST or (node.op is RESHAPE and is_squeeze(node))


def core(node: Expr) -> Expr:
    """The node under everything that is not written."""
    while is_elided(node):
        node = node.args[0]
    return node


def same(node: Expr) -> Expr:
    """The node under casts and changes of axes: it has the same elements, each as often."""
    while is_elided(node) and node.op is not BROADCAST:
        node = node.args[0]
    return node


def is_scalar(node: Expr) -> bool:
    """Whether a node is one number, however often it is repeated, or added to itself."""
    while node.shape != () and (is_elided(node) or node.op is SUM):
        node = node.args[0]
    return node.shape == ()


def is_atom(node: Expr) -> bool:
    """Whether a node is written as one symbol or number by itself."""
    return (not node.args) or node.op is NAMED or node.op in _PLAIN


def intermediates(outputs: Iterable[Expr], named: Mapping[Expr, object]) -> list[Expr]:
    """The nodes to be named so that no formula is long or deep, operands before users.

    `named` nodes have a name already. What is repeated is named once it is worth a name.
    """
    roots = list(outputs)
    order = topological(roots)
    users = _users(order, named)
    weights: dict[Expr, int] = {}
    depths: dict[Expr, int] = {}
    chosen: dict[Expr, None] = {}
    kept = {core(root) for root in roots}

    def choose(node: Expr) -> None:
        chosen[node] = None
        weights[node], depths[node] = 1, 0

    for node in order:
        if is_atom(node):
            weights[node], depths[node] = 1, 0
            continue
        parts = [core(arg) for arg in node.args]
        depths[node] = 1 + max(depths[arg] for arg in (*parts, *node.args))
        while True:
            weights[node] = 1 + sum(weights[part] for part in parts)
            heaviest = max(parts, key=weights.__getitem__)
            short = weights[node] <= LONGEST and depths[node] <= DEEPEST
            if short or weights[heaviest] == 1:
                break
            choose(heaviest)
            depths[node] = 1 + max(depths[part] for part in parts)
        if node in named:
            weights[node], depths[node] = 1, 0
            continue
        repeated = users[node] > 1 and weights[node] >= REPEATED
        if repeated and not is_elided(node) and node not in kept:
            choose(node)
    return [node for node in order if node in chosen]


def _users(order: Iterable[Expr], named: Mapping[Expr, object]) -> Counter[Expr]:
    found: Counter[Expr] = Counter()
    for node in order:
        if not is_elided(node) and node.op is not NAMED:
            found.update(core(arg) for arg in set(node.args))
    return found
