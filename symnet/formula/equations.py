"""Equations: what a node is, as the definition of a name, and the legend that a formula needs."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from dataclasses import replace

from symnet.expr import Expr
from symnet.formula.algebra import plain, scaled
from symnet.formula.elements import mentions
from symnet.formula.ledger import Ledger, base_name, clumsy, has_open_sums
from symnet.formula.moves import symbols
from symnet.formula.naming import Names, intermediates
from symnet.formula.patterns import automatic_name
from symnet.formula.readings import Reading
from symnet.formula.tree import (
    ZERO,
    Definition,
    Element,
    Fence,
    Formula,
    Partial,
    Scaled,
    Symbol,
)
from symnet.formula.views import Views
from symnet.ops.core import BOOL
from symnet.sizes import Shape


class Equations(Views):
    """Keeps the definitions that a translation makes.

    `definitions` collects what had to be named, in the order in which it must be read; `defined`
    are the nodes of those that are intermediates; `makeshift` are names of what has no matrix form.
    """

    def __init__(self, expand: bool) -> None:
        self._names_of: Ledger[Expr, Formula] = Ledger()
        super().__init__(self._names_of, Names(()), expand)
        self.definitions: list[Definition] = []
        self.memo: Ledger[Expr, Reading] = Ledger()
        self.makeshift: set[str] = set()
        self.columns: set[Expr] = set()
        self.units: dict[tuple[Formula, Shape], Symbol] = {}
        self.defined: dict[str, Expr] = {}
        self._places: list[str] = []
        self._place_of: dict[str, int] = {}

    def body(self, node: Expr) -> Formula:
        """What the node is, even if it has a name of its own."""
        raise NotImplementedError

    def define_long(
        self,
        outputs: Iterable[Expr],
        preferred: Callable[[Expr], Expr] | None = None,
        name: Callable[[Expr], tuple[str, bool]] = automatic_name,
    ) -> None:
        """Name and define what would make the formulas of these outputs too long.

        preferred: what to name in the place of a node; name: its name, and whether it is numbered.
        """
        for node in intermediates(outputs, self.named, preferred):
            self.define(node, Symbol(self.names.fresh(*name(node))))

    def define(self, node: Expr, symbol: Symbol) -> None:
        """The node is written by the symbol from now on, and this says what it is."""
        self.definitions.append(self.equation(node, symbol))
        self.defined[symbol.name] = node
        self.named[node] = symbol

    def moment(self) -> tuple[int, int, int]:
        """This moment of the translation, to which it can be taken back."""
        return self._names_of.mark(), self.memo.mark(), len(self.definitions)

    def undo(self, moment: tuple[int, int, int]) -> None:
        """Everything that was named and defined since then is forgotten."""
        names, memo, count = moment
        undone = {base_name(definition.left) for definition in self.definitions[count:]}
        del self.definitions[count:]
        for name in self._places[count:]:
            del self._place_of[name]
        del self._places[count:]
        self._names_of.undo(names)
        self.memo.undo(memo)
        self.names.forget(undone)
        self.makeshift -= undone

    def equation(self, node: Expr, symbol: Formula) -> Definition:
        """What the node is, as the definition of a symbol: element by element if need be."""
        moment = self.moment()
        right = self.body(node)
        if self.is_plain(node, right, moment[2]):
            return Definition(symbol, right)
        # The names that the matrix form was given are not needed: this definition does without.
        self.undo(moment)
        written = self.elementwise(node, symbol)
        if clumsy(written.right, self.makeshift):
            return Definition(symbol, self.body(node))
        return written

    def whole(self, node: Expr) -> Formula:
        """What the node is; by a name that is defined by elements, if it has no matrix form."""
        moment = self.moment()
        right = self.body(node)
        if not clumsy(right, set()):
            return right
        self.undo(moment)
        symbol = Symbol(self.names.fresh("T", numbered=True))
        self.definitions.append(self.elementwise(node, symbol))
        return symbol

    def is_plain(self, node: Expr, right: Formula, before: int) -> bool:
        """Whether a matrix form reads well: no word in the place of a sign, no name that serves
        nothing else, and no row sums for a column that has a name of its own."""
        if clumsy(right, self.makeshift):
            return False
        fresh = self.definitions[before:]
        if node.ndim == 1 and has_open_sums(right):
            return False
        column = node.ndim > 1 and 1 in node.shape
        return not (column and fresh) and right not in [
            getattr(d.left, "base", d.left) for d in fresh
        ]

    def elementwise(self, node: Expr, symbol: Formula) -> Definition:
        """The definition of an element: a partial derivative is by an element."""
        indices = self.letters(node.shape)
        with self.inside(indices):
            body = self.body_element(node, indices)
        kept = tuple(index for index in indices if index != ZERO) or indices
        if isinstance(symbol, Partial):
            return Definition(Partial(symbol.of, Element(symbol.by, kept)), body, node.shape)
        return Definition(Element(symbol, kept), body, node.shape)

    def needed(self, formulas: Iterable[Formula], known: Container[str] = ()) -> list[Definition]:
        """The definitions that these formulas rest on, in order of definition, but for those of
        `known` names and what only they rest on."""
        for place in range(len(self._places), len(self.definitions)):
            self._places.append(base_name(self.definitions[place].left))
            self._place_of[self._places[-1]] = place
        found: set[int] = set()
        names = list(symbols(tuple(formulas)))
        while names:
            name = names.pop()
            at = self._place_of.get(name)
            if at is not None and at not in found and name not in known:
                found.add(at)
                names += symbols(self.definitions[at].right)
        return [self.definitions[place] for place in sorted(found)]

    def introduce(self, node: Expr, base: str, numbered: bool = False) -> Formula:
        """A name for the node, defined element by element."""
        mask = node.dtype == BOOL
        indices = self.letters(node.shape)
        self.named.pop(node, None)
        with self.inside(indices):
            body = self.element(node, indices)
        said = (indices, Fence("bracket", body) if mask else body, node.shape)
        symbol = Symbol(self.names.meaning(base, numbered, said), mask=mask)
        if base not in ("Y", "M"):
            self.makeshift.add(symbol.name)
        self.definitions.append(Definition(Element(symbol, indices), *said[1:]))
        self.named[node] = symbol
        return symbol

    def introduce_column(self, node: Expr) -> None:
        """A name for a reduction that stands beside each row; its coefficient stays outside."""
        indices = self.letters(node.shape)
        with self.inside(indices):
            product = scaled(self.element(node, indices), scalar=True)
        names = {index.name for index in indices if isinstance(index, Symbol)}
        inner: Formula = plain(product)
        outside = Scaled()
        if not product.over:
            # The same number beside each row.
            self.named[node] = inner
            return
        if not mentions((product.over[:-1], product.under), names):
            outside, inner = replace(product, over=product.over[:-1]), product.over[-1]
        said = (indices, inner, node.shape)
        symbol = Symbol(self.names.meaning("s", False, said))
        self.definitions.append(Definition(Element(symbol, indices), inner, node.shape))
        self.named[node] = plain(replace(outside, body=symbol))
