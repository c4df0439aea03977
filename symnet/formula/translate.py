"""Expressions in matrix form, as formulas; what has no matrix form is named and defined."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import ClassVar

import numpy as np

from symnet.expr import Expr, make, topological
from symnet.formula.algebra import matrix_product, multiply, plain, scaled, single
from symnet.formula.elements import fold, mentions, symbols
from symnet.formula.naming import Names, core, intermediates, is_scalar, same
from symnet.formula.patterns import (
    automatic_name,
    column,
    guarded_root,
    listed,
    squared,
)
from symnet.formula.products import as_matrix_product
from symnet.formula.readings import Reading, diagonal, joint, spread
from symnet.formula.scalars import (
    Operands,
    constant_formula,
    log_formula,
    pointwise_formula,
    size_formula,
)
from symnet.formula.tree import (
    COLON,
    ONE,
    Apply,
    Definition,
    Element,
    Fence,
    Formula,
    MatrixProduct,
    Number,
    Power,
    Scaled,
    Sum,
    Symbol,
    Transpose,
)
from symnet.formula.views import Views
from symnet.ops.contraction import split
from symnet.ops.core import BOOL, FLOAT32, broadcast, number, scalar_constant
from symnet.ops.gather import parts, scatter_add
from symnet.ops.leaves import NAMED, UNKNOWN
from symnet.ops.pointwise import Pointwise
from symnet.ops.reduction import SOFTMAX, SUM, Reduction
from symnet.ops.views import IOTA
from symnet.sizes import Shape

_SMALL = 9  # a constant array of no more elements is written out


class Translator(Views):
    """Translates the nodes of one graph, under one set of names.

    `definitions` collects what had to be named, in the order in which it must be read; `shapes` are
    theirs where they are defined whole.
    """

    def __init__(
        self,
        outputs: Iterable[Expr],
        given: Mapping[Expr, str] | None = None,
        expand: bool = False,
    ) -> None:
        roots = list(outputs)
        order = topological(roots)
        super().__init__({}, Names(()), expand)
        self.definitions: list[Definition] = []
        self._memo: dict[Expr, Reading] = {}
        self.columns: set[Expr] = set()
        self.shapes: dict[Formula, Shape] = {}
        for node in order:
            if not node.args and node.name is not None:
                self.name(node, node.name)
            elif node.op is UNKNOWN:
                self.names.taken.add(node.attrs["name"])
        for node in order:
            if node.op is NAMED and node.name is not None:
                self.name(node, node.name)
                if node.args[0].args:
                    self.named.setdefault(node.args[0], self.named[node])
        for node, base in (given or {}).items():
            self.name(node, base)

    def name(self, node: Expr, base: str) -> Symbol:
        """Write the node by that name from now on, or by one like it if the name is taken."""
        symbol = Symbol(self.names.fresh(base))
        self.named[node] = symbol
        return symbol

    def define_long(self, outputs: Iterable[Expr]) -> None:
        """Name and define what would make the formulas of these outputs too long."""
        for node in intermediates(outputs, self.named):
            symbol = Symbol(self.names.fresh(*automatic_name(node)))
            self.definitions.append(self.equation(node, symbol))
            self.shapes[symbol] = node.shape
            self.named[node] = symbol

    def equation(self, node: Expr, symbol: Formula) -> Definition:
        """What the node is, as the definition of a symbol: element by element if need be."""
        before = len(self.definitions)
        right = self.body(node)
        last = self.definitions[-1] if len(self.definitions) > before else None
        if last is None or not isinstance(last.left, Element) or last.left.base != right:
            return Definition(symbol, right)
        # The name that the body was given is not needed: this definition takes its place.
        self.definitions.pop()
        assert isinstance(right, Symbol)
        self.names.taken.discard(right.name)
        self.named[node.args[0] if node.op is NAMED else node] = symbol
        return Definition(Element(symbol, last.left.indices), last.right)

    def body(self, node: Expr) -> Formula:
        """What the node is, even if it has a name of its own."""
        inner = node.args[0] if node.op is NAMED else node
        if not inner.args or inner.op is NAMED:
            return self.array(inner)
        return spread(self._translate(inner), inner.shape)

    def array(self, node: Expr) -> Formula:
        """The node in matrix form, as an array of its shape: its name if it has one."""
        return spread(self.loose(node), node.shape)

    def loose(self, node: Expr) -> Reading:
        if node in self.named:
            return Reading(self.named[node], node.shape)
        if node not in self._memo:
            self._memo[node] = self._translate(node)
        return self._memo[node]

    def needed(self, formulas: Iterable[Formula]) -> list[Definition]:
        """The definitions that these formulas rest on, in order of definition."""
        wanted = symbols(tuple(formulas))
        kept = []
        for definition in reversed(self.definitions):
            left = definition.left
            name = left.base if isinstance(left, Element) else left
            if isinstance(name, Symbol) and name.name in wanted:
                kept.append(definition)
                wanted |= symbols(definition.right)
        return kept[::-1]

    def _translate(self, node: Expr) -> Reading:
        read = self._written(node)
        rounded = single(read.formula) if node.dtype == FLOAT32 else read.formula
        return Reading(rounded, read.shape)

    def _written(self, node: Expr) -> Reading:
        if isinstance(node.op, Pointwise) or node.op is UNKNOWN:
            return self._whole_pointwise(node)
        reader = self._READINGS.get(node.op.name)
        if reader is not None:
            return reader(self, node)
        if node.op is SUM and is_scalar(node.args[0]):
            return Reading(self.repeated_sum(node), ())
        if isinstance(node.op, Reduction):
            return Reading(self._whole_reduction(node), node.shape)
        writer = self._ARRAYS.get(node.op.name)
        if writer is not None:
            return Reading(writer(self, node), node.shape)
        return Reading(Apply(node.op.name, tuple(map(self.array, node.args))), node.shape)

    def introduce(self, node: Expr, base: str, numbered: bool = False) -> Formula:
        """A name for the node, defined element by element."""
        symbol = Symbol(self.names.fresh(base, numbered))
        indices = self.letters(node.shape)
        self.named.pop(node, None)
        with self.inside(indices):
            body = self.element(node, indices)
        self.definitions.append(Definition(Element(symbol, indices), body))
        self.named[node] = symbol
        return symbol

    def _whole_pointwise(self, node: Expr) -> Reading:
        if any(core(arg).op is IOTA for arg in node.args):
            return Reading(self.introduce(node, "Y"), node.shape)
        root = guarded_root(node)
        if root is not None:
            return self._root(root)
        args = list(node.args)
        columns = [column(arg) is not None for arg in args]
        if node.op.name == "multiply" and columns == [True, False]:
            args.reverse()
        read = [self._operand(arg) for arg in args]
        if all(not one.shape or arg in self.columns for one, arg in zip(read, args, strict=True)):
            self.columns.add(node)
        numbers = [one.shape == () for one in read]
        formula = pointwise_formula(Operands(node, [one.formula for one in read], numbers))
        return Reading(formula, joint([one.shape for one in read]))

    def _operand(self, node: Expr) -> Reading:
        """An operand of a pointwise op; a reduction that stands beside each row gets a name."""
        source = column(node)
        if source is None:
            return self.loose(node)
        if source not in self.named:
            self._introduce_column(source)
        self.columns.add(node)
        return Reading(self.named[source], node.shape)

    def _root(self, node: Expr) -> Reading:
        inner = self._operand(node)
        within = inner.formula
        if isinstance(within, Power) and isinstance(within.base, Fence):
            norm = within.base.kind == "norm"
            return Reading(within.base if norm else Fence("root", within), inner.shape)
        return Reading(Fence("root", within), inner.shape)

    def _whole_broadcast(self, node: Expr) -> Reading:
        """What NumPy repeats by its own rule stays as it is; a column is repeated visibly."""
        (inner,) = node.args
        read = self.loose(inner)
        if inner in self.columns:
            self.columns.add(node)
            return read
        behind = node.shape[node.ndim - len(read.shape) :]
        own = tuple(read.shape)
        if own == behind or all(size == 1 for size in own):
            return read
        return Reading(spread(read, node.shape), node.shape)

    def _introduce_column(self, node: Expr) -> None:
        """A name for a reduction that stands beside each row; its coefficient stays outside."""
        indices = self.letters(node.shape)
        with self.inside(indices):
            product = scaled(self.element(node, indices), scalar=True)
        names = {index.name for index in indices if isinstance(index, Symbol)}
        inner: Formula = plain(product)
        outside = Scaled()
        if not mentions((product.over[:-1], product.under), names):
            outside, inner = replace(product, over=product.over[:-1]), product.over[-1]
        symbol = Symbol(self.names.fresh("s"))
        self.definitions.append(Definition(Element(symbol, indices), inner))
        self.named[node] = plain(replace(outside, body=symbol))

    def _whole_cast(self, node: Expr) -> Reading:
        inner = node.args[0]
        if inner.dtype != BOOL:
            return self.loose(inner)
        if any(core(arg).op is IOTA for arg in inner.args):
            return Reading(self.introduce(node, "Y"), node.shape)
        read = self.loose(inner)
        return Reading(Fence("bracket", read.formula), read.shape)

    def _whole_einsum(self, node: Expr) -> Formula:
        letters, out = split(node.attrs["spec"])
        arrays = [k for k, own in enumerate(letters) if own]
        if len(arrays) == 1 and letters[arrays[0]] == out:
            product: Formula = ONE
            for own, arg in zip(letters, node.args, strict=True):
                part = scaled(self.loose(arg).formula if not own else self.array(arg), not own)
                product = multiply(scaled(product, scalar=True), part)
            return product
        if as_matrix_product(node.attrs["spec"]) is None:
            return self._einsum(node, ()) if node.shape == () else self.introduce(node, "T", True)
        return self.matrix_einsum(node)

    def _whole_reduction(self, node: Expr) -> Formula:
        (arg,), axes, row = node.args, node.attrs["axes"], node.op
        assert isinstance(row, Reduction)
        whole_sum = row is SUM and node.shape == ()
        while whole_sum and same(arg).op is SUM and same(arg) not in self.named:
            arg = same(arg).args[0]
        square = squared(arg) if whole_sum and same(arg) not in self.named else None
        if square is not None:
            return Power(Fence("norm", self.array(square)), Number(Fraction(2)))
        if node.shape == ():
            return self._reduction(node, ())
        if row.name == "logsumexp":
            return self._reduction(node, (COLON,) * node.ndim)
        whole = scaled(self.array(arg), scalar=False)
        if not isinstance(whole.body, (Symbol, Sum, MatrixProduct, Transpose)):
            return self._reduction(node, (COLON,) * node.ndim)
        sizes = [arg.shape[axis] for axis in axes]
        bound = self.letters(sizes)
        folded = dict(zip(axes, bound, strict=True))
        indices = tuple(folded.get(axis, COLON) for axis in range(arg.ndim))
        part = multiply(replace(whole, body=None), scaled(Element(whole.body, indices), True))
        return fold(row, bound, sizes, part)

    def _whole_gather(self, node: Expr) -> Formula:
        source, index, out = parts(node.attrs["spec"])
        place = source.index("*")
        if out != source[:place] + index + source[place + 1 :]:
            return self.introduce(node, "v" if node.ndim == 1 else "T", True)
        indices: list[Formula] = [COLON] * len(source)
        indices[place] = self.array(node.args[1])
        return Element(self.array(node.args[0]), tuple(indices))

    def _whole_scatter(self, node: Expr) -> Formula:
        source, _, out = parts(node.attrs["spec"])
        values = node.args[0]
        if out != source.replace("*", "") or scalar_constant(values) == 1:
            return self.introduce(node, "Y" if scalar_constant(values) == 1 else "T")
        one = broadcast(number(1, values.dtype), values.shape)
        hot = scatter_add(one, node.args[1], node.attrs["spec"], node.attrs["size"])
        rows = len(source) == 2 and source[1] == "*"
        if is_scalar(values) or not rows:
            value = self.loose(values) if is_scalar(values) or len(source) == 2 else None
            if value is None:
                return self.introduce(node, "T")
            return multiply(scaled(value.formula, not value.shape), scaled(self.array(hot), False))
        return matrix_product([diagonal(self.array(values)), self.array(hot)])

    def _whole_softmax(self, node: Expr) -> Formula:
        arguments: tuple[Formula, ...] = (self.array(node.args[0]),)
        if node.attrs["axes"] != (node.ndim - 1,):
            arguments += tuple(Symbol(f"axis {axis}") for axis in node.attrs["axes"])
        return Apply("softmax", arguments, r"\operatorname{softmax}")

    def _whole_log_softmax(self, node: Expr) -> Formula:
        return log_formula(self.array(make(SOFTMAX, node.args, axes=node.attrs["axes"])))

    def _whole_constant(self, node: Expr) -> Formula:
        value = node.attrs["value"]
        if not isinstance(value, np.ndarray):
            return constant_formula(node)
        if value.size > _SMALL:
            symbol = Symbol(self.names.fresh("C"))
            self.named[node] = symbol
            return symbol
        return listed(value)

    _ARRAYS: ClassVar[dict[str, Callable[[Translator, Expr], Formula]]] = {
        "permute": Views.whole_permute,
        "slice": Views.whole_slice,
        "place": Views.whole_place,
        "concat": Views.whole_concat,
        "einsum": _whole_einsum,
        "gather": _whole_gather,
        "scatter_add": _whole_scatter,
        "softmax": _whole_softmax,
        "log_softmax": _whole_log_softmax,
        "constant": _whole_constant,
        "size": lambda self, node: size_formula(node.attrs["size"]),
        "identity": lambda self, node: Symbol("I"),
        "iota": lambda self, node: self.introduce(node, "i", True),
        "named": lambda self, node: self.array(node.args[0]),
    }
    _READINGS: ClassVar[dict[str, Callable[[Translator, Expr], Reading]]] = {
        "broadcast": _whole_broadcast,
        "cast": _whole_cast,
        "reshape": Views.whole_reshape,
    }
