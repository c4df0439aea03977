"""The paths from a loss to a variable: one contribution each, which add up to the gradient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import overload

from symnet.errors import GraphError
from symnet.expr import Expr, topological
from symnet.formula.graph import active_nodes, require_scalar
from symnet.formula.notation import Notation
from symnet.formula.printer import Printer
from symnet.formula.steps import silent_nodes
from symnet.formula.tex import LatexPrinter
from symnet.formula.text import TextPrinter
from symnet.formula.translate import Translator
from symnet.formula.tree import Formula, Symbol
from symnet.ops.core import number

_MOST = 4096


@dataclass(frozen=True)
class Path:
    """One way from the loss to a variable, and what it contributes to the gradient."""

    nodes: tuple[Expr, ...]
    contribution: Expr


class Paths(Sequence[Path]):
    """The paths from a loss to a variable; their contributions add up to the gradient.

    It prints one path a line, by the names along it; where nothing on the way of several paths has
    a name, every node gets one.
    """

    def __init__(self, loss: Expr, found: Sequence[Path]) -> None:
        self.loss, self._found = loss, tuple(found)

    @overload
    def __getitem__(self, index: int) -> Path: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Path]: ...
    def __getitem__(self, index: int | slice) -> Path | Sequence[Path]:
        return self._found[index]

    def __len__(self) -> int:
        return len(self._found)

    def _lines(self, printer: Printer, arrow: str) -> tuple[list[tuple[str, str]], list[str]]:
        outputs = [path.contribution for path in self._found]
        translator = Translator([self.loss, *outputs])
        translator.define_long(outputs)
        named, taken = dict(translator.named), set(translator.names.taken)
        named.setdefault(self.loss, Symbol(translator.names.fresh("L")))
        labels = [_label(path, named, printer, arrow) for path in self._found]
        said: list[str] = []
        if any(labels.count(label) > 1 and label.count(arrow) == 1 for label in labels):
            # Nothing on the way has a name that would tell these paths apart.
            nodes = self._every_node(taken)
            labels = [_label(path, nodes.symbols, printer, arrow) for path in self._found]
            said = [printer.show(line) for line in nodes.forward()]
        shown = [translator.array(output) for output in outputs]
        needed = [printer.show(definition) for definition in translator.needed(shown)]
        lines = zip(labels, map(printer.show, shown), strict=True)
        return list(lines), [*said, *needed]

    def _every_node(self, taken: set[str]) -> Notation:
        """Symbols of all nodes on the way, none of which means anything else."""
        wrt = self._found[0].nodes[-1]
        whole = topological([self.loss])
        active = active_nodes(whole, [wrt])
        order = [node for node in whole if node in active]
        silent = silent_nodes([node for node in order if node is not wrt], active, wrt)
        return Notation(self.loss, wrt, order, silent, taken=taken)

    def __str__(self) -> str:
        lines, where = self._lines(TextPrinter(), " → ")
        rows = [f"{labels}:  {contribution}" for labels, contribution in lines]
        return "\n".join([*rows, *(f"where {text}" for text in where)])

    def latex(self) -> str:
        """One path a row, as an aligned environment."""
        lines, where = self._lines(LatexPrinter(), r" \to ")
        rows = [f"{labels} &: {contribution}" for labels, contribution in lines]
        rows += [f"\\text{{where}} &\\quad {text}" for text in where]
        return "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}"

    def _repr_latex_(self) -> str:
        return f"${self.latex()}$"


def _label(path: Path, named: Mapping[Expr, Formula], printer: Printer, arrow: str) -> str:
    """The names along a path, each once."""
    labels: list[str] = []
    for node in path.nodes:
        label = printer.show(named[node]) if node in named else ""
        if label and label not in labels[-1:]:
            labels.append(label)
    return arrow.join(labels)


def paths(loss: Expr, wrt: Expr) -> Paths:
    """Every path from a scalar loss to `wrt`, with its contribution to the gradient.

    Raises ShapeError unless the loss is a scalar, GraphError for more than 4096 paths.
    """
    require_scalar(loss, "paths")
    order = topological([loss])
    active = active_nodes(order, [wrt])
    counts: dict[Expr, int] = {wrt: 1}
    for node in order:
        if node in active and node not in counts:
            counts[node] = sum(counts.get(arg, 0) for arg in node.args)
    if counts.get(loss, 0) > _MOST:
        raise GraphError(
            f"paths: there are {counts[loss]} paths, more than {_MOST} cannot be listed; sn.derive "
            "shows where they meet, sn.grad gives their sum"
        )
    found: list[Path] = []
    stack: list[tuple[tuple[Expr, ...], Expr]] = [((loss,), number(1, loss.dtype))]
    while stack:
        trail, adjoint = stack.pop()
        node = trail[-1]
        if node is wrt:
            found.append(Path(trail, adjoint))
            continue
        for index in reversed(range(len(node.args))):
            if counts.get(node.args[index]):
                part = node.op.pullback(node, adjoint, index)
                if part is not None:
                    stack.append(((*trail, node.args[index]), part))
    return Paths(loss, found)
