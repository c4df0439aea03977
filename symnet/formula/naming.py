"""Names of what has none: index letters, intermediates, and which subexpressions become one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping

from symnet.expr import Expr, topological
from symnet.formula.tree import Symbol
from symnet.ops.core import BOOL, BROADCAST, CAST, CONSTANT, SIZE_VALUE
from symnet.ops.leaves import NAMED
from symnet.ops.reduction import SUM
from symnet.ops.views import IDENTITY, IOTA, PLACE, RESHAPE
from symnet.sizes import Dimension, Size

# A formula with more parts than this, or deeper, is broken up.
LONGEST, DEEPEST = 48, 40

_LIGHT = 3  # a number times a name

_USUAL = {"weight": "W", "bias": "b"}  # the letters of a layer's parameters
_LETTERS = "kjilmpqrtuv"
_NUMBERS = (CONSTANT, SIZE_VALUE)
_PLAIN = (CONSTANT, SIZE_VALUE, IOTA, IDENTITY)


def readable(name: str) -> str:
    """A user's name as a symbol: hidden.weight is W_hidden, norm.gamma is gamma_norm."""
    *path, last = name.split(".")
    return "_".join([_USUAL.get(last, last), *path]) if path else name


class Names:
    """Hands out names that nothing else in a formula has."""

    def __init__(self, taken: Iterable[str]) -> None:
        self.taken = set(taken)
        self._next: Counter[str] = Counter()
        self._meanings: dict[Hashable, str] = {}
        self._uses: Counter[str] = Counter()

    def fresh(self, base: str, numbered: bool = False) -> str:
        """`base` if it is free, else base_2, base_3 ...; numbered ones begin with base_1."""
        name = f"{base}_1" if numbered else base
        self._next[base] = max(self._next[base], 1)
        while name in self.taken:
            self._next[base] += 1
            name = f"{base}_{self._next[base]}"
        self.taken.add(name)
        return name

    def meaning(self, base: str, numbered: bool, said: Hashable) -> str:
        """A name for what is said of it: the one that was given to it before, else a fresh one."""
        known = self._meanings.get((base, said))
        if known is None or known not in self.taken:
            known = self._meanings[base, said] = self.fresh(base, numbered)
        self._uses[known] += 1
        return known

    def forget(self, names: Iterable[str]) -> None:
        """These names are free again."""
        for name in names:
            self._uses[name] -= 1
            if self._uses[name] > 0:
                continue
            self.taken.discard(name)
            base, _, number = name.rpartition("_")
            if number.isdigit():
                self._next[base] = min(self._next[base], int(number) - 1)

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


def intermediates(
    outputs: Iterable[Expr],
    named: Mapping[Expr, object],
    preferred: Callable[[Expr], Expr] | None = None,
    longest: int = LONGEST,
) -> list[Expr]:
    """The nodes to be named so that no formula is long or deep, operands before users.

    `named` nodes have a name already. What is repeated is named once it is worth a name.
    preferred: what is named in the place of a node that it is a part of. longest: the parts that
    one formula may have; what is repeated is named from a quarter of them on.
    """
    roots = list(outputs)
    order = topological(roots)
    users = _users(order, named)
    choice = _Choice(preferred, longest)
    most = longest // 4
    weights = choice.weights
    kept = {core(root) for root in roots}
    numbers: set[Expr] = set()
    for node in order:
        if is_atom(node):
            choice.count(node, 1, 0)
            if node.op in _NUMBERS and node.shape == ():
                numbers.add(node)
            continue
        parts = choice.shorten(node)
        if node in named:
            choice.count(node, 1, 0)
            continue
        if numbers.issuperset(node.args):
            # A number such as 1/N is written where it stands.
            numbers.add(node)
            choice.count(node, min(choice.weights[node], _LIGHT), choice.depths[node])
            continue
        if node.op is PLACE and weights[parts[0]] >= most:
            # A block of its own: what stands in it gets a name.
            choice.choose(parts[0])
            choice.count(node, _LIGHT, 1)
        repeated = (users[node] - 1) * (weights[node] - 1) >= most - 1
        if repeated and not is_elided(node) and node not in kept:
            choice.choose(node)
    return [node for node in order if node in choice.chosen]


class _Choice:
    """The nodes that get names, with the weight and the depth of every formula so far."""

    def __init__(self, preferred: Callable[[Expr], Expr] | None, longest: int) -> None:
        self._longest = longest
        self.weights: dict[Expr, int] = {}
        self.depths: dict[Expr, int] = {}
        self.chosen: dict[Expr, None] = {}
        self._preferred = preferred or (lambda node: node)

    def count(self, node: Expr, weight: int, depth: int) -> None:
        """The node is written by so many parts, so deep."""
        self.weights[node], self.depths[node] = weight, depth

    def choose(self, node: Expr) -> None:
        """A name for the node, or for what is preferred to it."""
        inner = self._preferred(node)
        self.chosen[inner] = None
        self.count(inner, 1, 0)
        if inner is not node:
            self.count(node, _LIGHT, 1)

    def shorten(self, node: Expr) -> list[Expr]:
        """The parts of a node, the heaviest of them named as long as it is too long with them."""
        parts = [core(arg) for arg in node.args]
        self.depths[node] = 1 + max(self.depths[arg] for arg in (*parts, *node.args))
        while True:
            self.weights[node] = 1 + sum(self.weights[part] for part in parts)
            heaviest = max(parts, key=self.weights.__getitem__)
            short = self.weights[node] <= self._longest and self.depths[node] <= DEEPEST
            if short or self.weights[heaviest] <= _LIGHT:
                return parts
            self.choose(heaviest)
            self.depths[node] = 1 + max(self.depths[part] for part in parts)


def _users(order: Iterable[Expr], named: Mapping[Expr, object]) -> Counter[Expr]:
    found: Counter[Expr] = Counter()
    for node in order:
        if not is_elided(node) and node.op is not NAMED:
            found.update(core(arg) for arg in set(node.args))
    return found
