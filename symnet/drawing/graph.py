"""What a drawing shows: boxes for the nodes of a loss, and which leads to which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from symnet.diff import adjoints
from symnet.expr import Expr, topological
from symnet.formula.graph import active_nodes, require_scalar, targets_of
from symnet.formula.layers import with_names
from symnet.formula.notation import Notation
from symnet.formula.steps import silent_nodes
from symnet.formula.text import TextPrinter
from symnet.formula.translate import Translator
from symnet.ops.contraction import EINSUM
from symnet.ops.core import BROADCAST, FLOATS, number
from symnet.ops.leaves import INPUT, NAMED, PARAMETER, STATE
from symnet.ops.pointwise import zeros
from symnet.ops.table import add
from symnet.sizes import show_shape

_MOST_LINES = 5
# So many nodes become one box, and more only where there are too many boxes still.
_GROUPS = (4, 8, 16, 1000)
_LEAVES = (INPUT, PARAMETER, STATE)


@dataclass(frozen=True, eq=False)
class Box:
    """A node of the network, or several that are drawn as one.

    node: the one whose value leaves the box. lines: what it says, an equation each. kind: input,
    parameter, operation or loss. shape: of the value, empty for a number. gradient: the symbol of
    the derivative by it, empty where there is none. adjoint: that derivative. uses: in how many
    places of other boxes it is used; of more than one the gradients add up. inside: how many nodes
    the box stands for.
    """

    node: Expr
    lines: tuple[str, ...]
    kind: str
    shape: str
    gradient: str = ""
    adjoint: Expr | None = None
    uses: int = 1
    inside: int = 1


@dataclass(frozen=True)
class Graph:
    """Boxes, operands before users, and the arrows between them, by their places.

    An arrow leads from operand to user; `backward` says whether a gradient comes back along it.
    """

    loss: str
    boxes: tuple[Box, ...]
    arrows: Mapping[tuple[int, int], bool] = field(default_factory=dict)


class Reader:
    """Reads the graph of a loss: which nodes are drawn, what they say, and what leads where."""

    def __init__(self, loss: Expr) -> None:
        require_scalar(loss, "draw")
        self.targets = targets_of(loss, None)
        self.loss = with_names(loss, self.targets)
        whole = topological([self.loss])
        self.active = active_nodes(whole, self.targets)
        order = [node for node in whole if node in self.active]
        first = self.targets[0]
        silent = silent_nodes(order, self.active, first)
        self.silent = silent | {node for node in order if node.op is BROADCAST}
        self.inline = set(self._products(order))
        self.order = order
        self.notation = Notation(self.loss, first, order, self.silent, self.inline)
        self.brief = Translator([self.loss])
        self.brief.names = self.notation.local.names
        seed = {self.loss: number(1, self.loss.dtype)}
        self.adjoints = adjoints(seed, order)
        self.top = self.loss
        while self.top in self.silent:
            self.top = self.top.args[0]
        self.parts = {node: self._parts(node) for node in order if self._is_drawn(node)}
        drawn = [*self.parts, *(part for parts in self.parts.values() for part in parts)]
        self.drawn = [node for node in whole if node in set(drawn)]
        self.printer = TextPrinter()

    def _products(self, order: Sequence[Expr]) -> Iterator[Expr]:
        """Products of matrices that only a sum uses: X W + b is one box."""
        users: dict[Expr, list[Expr]] = {}
        for node in order:
            for arg in node.args:
                users.setdefault(arg, []).append(node)
        for node in order:
            own = users.get(node, [])
            if node.op is EINSUM and node.ndim and len(own) == 1 and own[0].op is add:
                yield node

    def _is_drawn(self, node: Expr) -> bool:
        return node not in self.silent and node not in self.inline

    def _parts(self, node: Expr) -> list[Expr]:
        """The drawn nodes that a node is made of: its operands, or what these are made of."""
        found: list[Expr] = []
        stack = list(reversed(node.args))
        while stack:
            part = stack.pop()
            if part in self.active and self._is_drawn(part):
                found.append(part)
            elif part.args:
                stack.extend(reversed(part.args))
            elif part.op in _LEAVES:
                found.append(part)
        return found

    def kind(self, node: Expr) -> str:
        """Input, parameter, operation or loss."""
        if node is self.top:
            return "loss"
        if node.op is PARAMETER:
            return "parameter"
        return "operation" if node.args else "input"

    def equation(self, node: Expr, brief: bool) -> str:
        """What a node is, by its operands; brief: by what has a name of its own."""
        if not node.args:
            name = self.printer.show(self.notation.local.array(node))
            return f"{name}: {show_shape(node.shape)}" if node.shape else name
        if brief:
            return self.printer.show(self.brief.equation(node, self.notation.symbols[node]))
        return self.printer.show(self.notation.equation(node))

    def heads(self, nodes: Iterable[Expr]) -> None:
        """From now on, what these nodes are made of is written out as far as they go."""
        for node in nodes:
            if node in self.notation.symbols:
                self.brief.named.setdefault(node, self.notation.symbols[node])

    def letter(self, node: Expr) -> str:
        """The Z of Z_1, if the node is computed and has a name; else nothing."""
        named = node.args and self.notation.named_by_user(node)
        return self.printer.show(self.notation.symbols[node]).partition("_")[0] if named else ""

    def gradient(self, node: Expr) -> tuple[str, Expr | None]:
        """The symbol of the derivative by a node, and the derivative; nothing for data."""
        if node not in self.active or node.dtype not in FLOATS:
            return "", None
        symbol = self.printer.show(self.notation.adjoint(node))
        return symbol, self.adjoints.get(node, zeros(node))


def graph_of(loss: Expr, most: int) -> Graph:
    """The graph of a scalar loss. Of more than `most` boxes each layer becomes one.

    ShapeError unless the loss is a scalar, GraphError if it depends on nothing.
    """
    reader = Reader(loss)
    groups = [[node] for node in reader.drawn]
    for largest in _GROUPS:
        if len(groups) > most:
            groups = _grouped(reader, largest)
    reader.heads(group[-1] for group in groups)
    return _graph(reader, groups)


def _graph(reader: Reader, groups: Sequence[Sequence[Expr]]) -> Graph:
    place = {node: number_ for number_, group in enumerate(groups) for node in group}
    arrows: dict[tuple[int, int], bool] = {}
    uses = [0] * len(groups)
    for node, parts in reader.parts.items():
        for part in parts:
            if place[part] != place[node]:
                backward = part in reader.active
                arrows[place[part], place[node]] = backward
                uses[place[part]] += backward
    boxes = [_box(reader, group, count) for group, count in zip(groups, uses, strict=True)]
    top = reader.printer.show(reader.notation.symbols[reader.loss])
    return Graph(top, tuple(boxes), arrows)


def _box(reader: Reader, group: Sequence[Expr], uses: int) -> Box:
    node = group[-1]
    said = [n for n in group if n.op is NAMED or reader.notation.named_by_user(n) or n is node]
    lines = [reader.equation(n, brief=len(group) > 1) for n in said if n.args or n is node]
    if len(lines) > _MOST_LINES:
        lines = [*lines[: _MOST_LINES - 2], "…", lines[-1]]
    own = [reader.equation(n, brief=False) for n in group if not n.args and n is not node]
    lines += [", ".join(own)] if own else []
    symbol, adjoint = reader.gradient(node)
    shape = show_shape(node.shape) if node.shape else ""
    return Box(node, tuple(lines), reader.kind(node), shape, symbol, adjoint, uses, len(group))


def _grouped(reader: Reader, largest: int) -> list[list[Expr]]:
    """The nodes of each use of a layer together; what has no layer with the box that uses it.

    largest: as many nodes as one box holds, parameters apart. A node joins others only if nothing
    else uses it, so that no arrows lead in a circle.
    """
    users: dict[Expr, list[Expr]] = {node: [] for node in reader.drawn}
    for node, parts in reader.parts.items():
        for part in dict.fromkeys(parts):
            users[part].append(node)
    owner: dict[Expr, Expr] = {}
    letters: dict[Expr, set[str]] = {}
    sizes: Counter[Expr] = Counter()
    for node in reversed(reader.drawn):
        owners = list(dict.fromkeys(owner[user] for user in users[node]))
        joins = len(owners) == 1 and _joins(reader, node, owners[0])
        letter = reader.letter(node)
        # A second Z in a box is that of another use of its layer.
        if joins and node.op is not PARAMETER:
            joins = letter not in letters[owners[0]] and sizes[owners[0]] < largest
        head = owners[0] if joins else node
        letters.setdefault(head, set()).update([letter] if letter else [])
        sizes[head] += node.op is not PARAMETER
        owner[node] = head
    groups: dict[Expr, list[Expr]] = {}
    for node in reader.drawn:
        groups.setdefault(owner[node], []).append(node)
    # The last node of a group is the one it is known by, and nodes stand behind their operands.
    place = {node: number_ for number_, node in enumerate(reader.drawn)}
    return [groups[head] for head in sorted(groups, key=place.__getitem__)]


def _joins(reader: Reader, node: Expr, head: Expr) -> bool:
    """Whether a node is drawn with the one box that uses it."""
    if node.op is PARAMETER or not node.args:
        return node.op is PARAMETER
    layers = (node.origin.layer, head.origin.layer)
    if None in layers:
        return not reader.notation.named_by_user(node)
    return layers[0] == layers[1]


def values_wanted(boxes: Iterable[Box]) -> list[Expr]:
    """The nodes and derivatives whose numbers a drawing shows."""
    found = []
    for box in boxes:
        found += [box.node, *([box.adjoint] if box.adjoint is not None else [])]
    return found
