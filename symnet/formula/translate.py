"""Expressions in matrix form, as formulas; what has no matrix form is named and defined."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import ClassVar

import numpy as np

from symnet.expr import Expr, make, topological
from symnet.formula.algebra import matrix_product, multiply, scaled, single, transpose
from symnet.formula.elements import fold
from symnet.formula.equations import Equations
from symnet.formula.ledger import clumsy
from symnet.formula.naming import core, is_scalar, readable, same
from symnet.formula.narrow import repeated_number
from symnet.formula.patterns import (
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
    rooted,
    size_formula,
)
from symnet.formula.tree import (
    COLON,
    ONE,
    ZERO,
    Apply,
    Element,
    Fence,
    Formula,
    MatrixProduct,
    Number,
    Power,
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
from symnet.ops.table import add
from symnet.ops.views import IDENTITY, IOTA
from symnet.sizes import multiply_sizes

_SMALL = 9  # a constant array of no more elements is written out


class Translator(Equations):
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
        super().__init__(expand)
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
        symbol = Symbol(self.names.fresh(readable(base)))
        self.named[node] = symbol
        return symbol

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
        if node not in self.memo:
            self.memo[node] = self._translate(node)
        return self.memo[node]

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
        if node.op is SUM and repeated_number(node.args[0]) is not None:
            return Reading(self.repeated_sum(node), ())
        if isinstance(node.op, Reduction):
            return Reading(self._whole_reduction(node), node.shape)
        writer = self._ARRAYS.get(node.op.name)
        if writer is not None:
            return Reading(writer(self, node), node.shape)
        return Reading(Apply(node.op.name, tuple(map(self.array, node.args))), node.shape)

    def _whole_pointwise(self, node: Expr) -> Reading:
        if any(core(arg).op is IOTA for arg in node.args):
            base = "Y" if node.op.name == "equal" or node.dtype != BOOL else "M"
            return Reading(self.introduce(node, base), node.shape)
        root = guarded_root(node)
        if root is not None:
            return self._root(root)
        joined = self.in_blocks(node) if node.op is add else None
        if joined is not None:
            return Reading(joined, node.shape)
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
            self.introduce_column(source)
        self.columns.add(node)
        return Reading(self.named[source], node.shape)

    def _root(self, node: Expr) -> Reading:
        inner = self._operand(node)
        return Reading(rooted(inner.formula), inner.shape)

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

    def _whole_cast(self, node: Expr) -> Reading:
        inner = node.args[0]
        if inner.dtype != BOOL:
            return self.loose(inner)
        if any(core(arg).op is IOTA for arg in inner.args):
            base = "Y" if inner.op.name == "equal" else "M"
            return Reading(self.introduce(node, base), node.shape)
        read = self.loose(inner)
        mask = isinstance(read.formula, Symbol) and read.formula.mask
        return Reading(read.formula if mask else Fence("bracket", read.formula), read.shape)

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
        whole_square = None if square is None else self.array(square)
        if whole_square is not None and not clumsy(whole_square, self.makeshift):
            return Power(Fence("norm", whole_square), Number(Fraction(2)))
        if node.shape == ():
            return self._reduction(node, ())
        if row.name == "logsumexp":
            return self._reduction(node, (COLON,) * node.ndim)
        own = self.loose(arg).shape
        repeats = len(own) == arg.ndim and set(node.shape) != {1}
        if repeats and {own[k] for k in range(arg.ndim) if k not in axes} == {1}:
            return self._repeated_reduction(node)
        if row is SUM and own == node.shape == arg.shape[len(axes) :] and axes[-1] < len(axes):
            # What is repeated along all these axes is there so many times.
            times = size_formula(multiply_sizes(arg.shape[: len(axes)]))
            return multiply(scaled(times, True), scaled(self.loose(arg).formula, False))
        whole = scaled(self.array(arg), scalar=False)
        hollow = any(core(part).op is IDENTITY for part in arg.args)
        if hollow or (node.ndim > 1 and not isinstance(whole.body, Symbol)):
            return self.introduce(node, "T", True)
        if not isinstance(whole.body, (Symbol, Sum, MatrixProduct, Transpose)):
            return self._reduction(node, (COLON,) * node.ndim)
        sizes = [arg.shape[axis] for axis in axes]
        bound = self.letters(sizes)
        folded = dict(zip(axes, bound, strict=True))
        indices = tuple(folded.get(axis, COLON) for axis in range(arg.ndim))
        part = multiply(replace(whole, body=None), scaled(Element(whole.body, indices), True))
        return fold(row, bound, sizes, part)

    def _repeated_reduction(self, node: Expr) -> Formula:
        """A reduction of what is the same along all axes that stay: one number, repeated."""
        (arg,), axes, row = node.args, node.attrs["axes"], node.op
        assert isinstance(row, Reduction)
        sizes = [arg.shape[axis] for axis in axes]
        bound = dict(zip(axes, self.letters(sizes), strict=True))
        indices = tuple(bound.get(axis, ZERO) for axis in range(arg.ndim))
        with self.inside(indices):
            body = self.element(arg, indices)
        return spread(Reading(self.fold(row, tuple(bound.values()), sizes, body), ()), node.shape)

    def _whole_gather(self, node: Expr) -> Formula:
        number = repeated_number(node.args[0])
        if number is not None:
            return self.array(broadcast(number, node.shape))
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
        (arg,), axes = node.args, node.attrs["axes"]
        turned = node.ndim == 2 and axes == (0,)
        if axes != (node.ndim - 1,) and not turned:
            return self.introduce(node, "T", True)
        inner = self.transposed(arg) if turned else self.array(arg)
        found = Apply("softmax", (inner,), r"\operatorname{softmax}")
        return transpose(found) if turned else found

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
