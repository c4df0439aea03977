"""Expressions in matrix form, as formulas; what has no matrix form is named and defined."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import ClassVar

import numpy as np

from symnet.expr import Expr, make, topological
from symnet.formula.algebra import matrix_product, multiply, plain, scaled, transpose
from symnet.formula.elements import Elements, fold, mentions, symbols
from symnet.formula.naming import Names, core, intermediates, is_scalar, is_squeeze
from symnet.formula.patterns import (
    as_array,
    automatic_name,
    column,
    guarded_root,
    index_range,
    listed,
    squared,
)
from symnet.formula.products import as_matrix_product
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
    ONES,
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
from symnet.ops.contraction import split
from symnet.ops.core import BOOL, broadcast, number, scalar_constant
from symnet.ops.gather import parts, scatter_add
from symnet.ops.leaves import NAMED, UNKNOWN
from symnet.ops.pointwise import Pointwise
from symnet.ops.reduction import SOFTMAX, SUM, Reduction
from symnet.ops.views import IOTA
from symnet.sizes import show_shape

_SMALL = 9  # a constant array of no more elements is written out


class Translator(Elements):
    """Translates the nodes of one graph, under one set of names.

    `definitions` collects what had to be named, in the order in which it must be read.
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
        self._memo: dict[Expr, Formula] = {}
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
        self.root_nodes = roots

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
        return self._translate(inner)

    def array(self, node: Expr) -> Formula:
        """The node in matrix form: its name if it has one."""
        if node in self.named:
            return self.named[node]
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

    def _translate(self, node: Expr) -> Formula:
        if isinstance(node.op, Pointwise) or node.op is UNKNOWN:
            return self._whole_pointwise(node)
        if isinstance(node.op, Reduction):
            return self._whole_reduction(node)
        writer = self._ARRAYS.get(node.op.name)
        if writer is not None:
            return writer(self, node)
        return Apply(node.op.name, tuple(self.array(arg) for arg in node.args))

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

    def _whole_pointwise(self, node: Expr) -> Formula:
        if any(core(arg).op is IOTA for arg in node.args):
            return self.introduce(node, "Y")
        root = guarded_root(node)
        if root is not None:
            return self._root(root)
        args = list(node.args)
        columns = [column(arg) is not None for arg in args]
        if node.op.name == "multiply" and columns == [True, False]:
            args.reverse()
        formulas = [self.array(arg) for arg in args]
        return pointwise_formula(Operands(node, formulas, [is_scalar(arg) for arg in args]))

    def _root(self, node: Expr) -> Formula:
        inner = self.array(node)
        if isinstance(inner, Power) and isinstance(inner.base, Fence) and inner.base.kind == "norm":
            return inner.base
        return Fence("root", inner)

    def _whole_broadcast(self, node: Expr) -> Formula:
        source = column(node)
        if source is not None and source not in self.named:
            self._introduce_column(source)
        return self.array(node.args[0])

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

    def _whole_cast(self, node: Expr) -> Formula:
        inner = node.args[0]
        if inner.dtype != BOOL:
            return self.array(inner)
        if any(core(arg).op is IOTA for arg in inner.args):
            return self.introduce(node, "Y")
        return Fence("bracket", self.array(inner))

    def _whole_reshape(self, node: Expr) -> Formula:
        inner = self.array(node.args[0])
        if is_squeeze(node):
            return inner
        return Apply("reshape", (inner, Symbol(show_shape(node.shape))))

    def _whole_permute(self, node: Expr) -> Formula:
        inner = self.array(node.args[0])
        if node.attrs["axes"] == (1, 0):
            return transpose(inner)
        order = ",".join(map(str, node.attrs["axes"]))
        return Apply("permute", (inner, Symbol(f"({order})")))

    def _whole_slice(self, node: Expr) -> Formula:
        ranges = tuple(
            Symbol(":") if (start, step, size) == (0, 1, whole) else index_range(start, step, size)
            for start, step, size, whole in zip(
                node.attrs["start"],
                node.attrs["step"],
                node.shape,
                node.args[0].shape,
                strict=True,
            )
        )
        return Element(self.array(node.args[0]), ranges)

    def _whole_concat(self, node: Expr) -> Formula:
        operands = tuple(self.array(arg) for arg in node.args)
        return Apply("concat", (*operands, Symbol(f"axis {node.attrs['axis']}")))

    def _whole_place(self, node: Expr) -> Formula:
        # Zeros with the operand at a place: the place is written as the slice it fills.
        places = tuple(
            Symbol(":") if size == whole else index_range(start, step, size)
            for start, step, size, whole in zip(
                node.attrs["start"],
                node.attrs["step"],
                node.args[0].shape,
                node.shape,
                strict=True,
            )
        )
        return Apply("place", (self.array(node.args[0]), Element(Symbol("0"), places)))

    def _whole_einsum(self, node: Expr) -> Formula:
        letters, out = split(node.attrs["spec"])
        arrays = [k for k, own in enumerate(letters) if own]
        if len(arrays) == 1 and letters[arrays[0]] == out:
            product: Formula = ONE
            for own, arg in zip(letters, node.args, strict=True):
                part = scaled(self.array(arg), not own or is_scalar(arg))
                product = multiply(scaled(product, scalar=True), part)
            return product
        factors = as_matrix_product(node.attrs["spec"])
        if factors is None:
            return self._einsum(node, ()) if node.shape == () else self.introduce(node, "T", True)
        written = []
        for factor in factors:
            whole = self._repeated(node.args[factor.operand])
            written.append(transpose(whole) if factor.transposed else whole)
        return matrix_product(written)

    def _repeated(self, node: Expr) -> Formula:
        """A factor of a matrix product, with the ones that broadcasting hides elsewhere."""
        inner, whole = core(node), self.array(node)
        if is_scalar(node):
            return plain(replace(scaled(whole, True), body=ONES))
        if node.ndim < 2 or inner.ndim >= node.ndim:
            return whole
        squeezed = [size for size in node.args[0].shape if size != 1]
        is_column = node.args[0].ndim == node.ndim and node.args[0].shape[-1] == 1
        if not squeezed or node.op.name != "broadcast":
            return whole
        if is_column:
            return matrix_product([whole, Transpose(ONES)])
        return matrix_product([ONES, transpose(whole)])

    def _whole_reduction(self, node: Expr) -> Formula:
        (arg,), axes, row = node.args, node.attrs["axes"], node.op
        assert isinstance(row, Reduction)
        if row is SUM and is_scalar(arg):
            return self.repeated_sum(node)
        whole_sum = row is SUM and node.shape == ()
        while whole_sum and core(arg).op is SUM and core(arg) not in self.named:
            arg = core(arg).args[0]
        square = squared(arg) if whole_sum and core(arg) not in self.named else None
        if square is not None:
            return Power(Fence("norm", self.array(square)), Number(Fraction(2)))
        if node.shape == () or row.name == "logsumexp":
            return self._reduction(node, (COLON,) * node.ndim)
        whole = scaled(self.array(arg), scalar=False)
        if not isinstance(whole.body, (Symbol, Sum, MatrixProduct, Transpose)):
            return self._reduction(node, (COLON,) * node.ndim)
        bound = self.letters([arg.shape[axis] for axis in axes])
        folded = dict(zip(axes, bound, strict=True))
        indices = tuple(folded.get(axis, COLON) for axis in range(arg.ndim))
        part = multiply(replace(whole, body=None), scaled(Element(whole.body, indices), True))
        folded_part = fold(row, [b for b in bound if isinstance(b, Symbol)], part)
        return as_array(folded_part)

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
        value = scaled(self.array(values), is_scalar(values))
        return multiply(value, scaled(self.array(hot), False))

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
        "broadcast": _whole_broadcast,
        "cast": _whole_cast,
        "reshape": _whole_reshape,
        "permute": _whole_permute,
        "slice": _whole_slice,
        "place": _whole_place,
        "concat": _whole_concat,
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
