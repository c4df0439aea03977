"""Views in matrix form: reshapes, transposes, slices, and placements into zeros."""

from __future__ import annotations

from symnet.expr import Expr
from symnet.formula.algebra import (
    column_matrix,
    matrix_product,
    multiply,
    negate,
    scaled,
    transpose,
)
from symnet.formula.blocks import row_of
from symnet.formula.elements import Elements
from symnet.formula.naming import core, is_scalar, is_squeeze
from symnet.formula.narrow import narrowed, repeated_number
from symnet.formula.patterns import index_range
from symnet.formula.products import as_matrix_product
from symnet.formula.readings import Reading, diagonal, pick
from symnet.formula.scalars import size_formula
from symnet.formula.sums import total
from symnet.formula.tree import (
    COLON,
    ONE,
    ZERO,
    Apply,
    Blocks,
    Definition,
    Element,
    Fence,
    Formula,
    Listed,
    Relation,
    Symbol,
    Transpose,
)
from symnet.ops.contraction import EINSUM
from symnet.ops.core import BOOL, BROADCAST, CAST, broadcast
from symnet.ops.pointwise import Pointwise
from symnet.ops.views import IDENTITY, RESHAPE
from symnet.sizes import Shape, show_shape


class Views(Elements):
    """Writes views, and what a product of matrices makes of them."""

    definitions: list[Definition]
    columns: set[Expr]
    units: dict[tuple[Formula, Shape], Symbol]

    def whole_reshape(self, node: Expr) -> Reading:
        (inner,) = node.args
        before, after = inner.shape, node.shape
        if after == () or is_scalar(inner):
            return Reading(self._squeezed(inner), ())
        if after == (1,) * (len(after) - len(before)) + before:
            return self.loose(inner)
        kept = tuple(size for size in before if size != 1)
        if not is_squeeze(node):
            return Reading(self._reshaped(inner, after), after)
        if len(before) == len(after) == 2:
            return Reading(transpose(self.array(inner)), after)
        if after == kept:
            return Reading(self._squeezed(inner), after)
        if after == (*kept, 1) and len(kept) == 1:
            return Reading(column_matrix(self._squeezed(inner)), after)
        if after == (1, *kept) and len(kept) == 1:
            return Reading(transpose(self._squeezed(inner)), after)
        return Reading(self._reshaped(inner, after), after)

    def _reshaped(self, node: Expr, shape: Shape) -> Formula:
        return Apply("reshape", (self.array(node), Symbol(show_shape(shape))))

    def _squeezed(self, node: Expr) -> Formula:
        """The node without its axes of size 1: the places of a slice, or [:,0]."""
        if is_scalar(node):
            return self.loose(node).formula
        if node not in self.named and node.op.name == "slice":
            return self._sliced(node, drop=True)
        if node not in self.named and node.op is RESHAPE and node.ndim > node.args[0].ndim:
            return self._squeezed(node.args[0])
        kept = tuple(size for size in node.shape if size != 1)
        if node not in self.named and isinstance(node.op, Pointwise) and kept != node.shape:
            return self.array(narrowed(node))
        return pick(self.array(node), tuple(ZERO if size == 1 else COLON for size in node.shape))

    def whole_slice(self, node: Expr) -> Formula:
        return self._sliced(node, drop=False)

    def _sliced(self, node: Expr, drop: bool) -> Formula:
        number = repeated_number(node.args[0])
        if number is not None:
            kept = tuple(size for size in node.shape if size != 1) if drop else node.shape
            return self.array(broadcast(number, kept))
        indices = []
        for start, step, size, whole in zip(
            node.attrs["start"],
            node.attrs["step"],
            node.shape,
            node.args[0].shape,
            strict=True,
        ):
            if size == 1 and drop:
                indices.append(size_formula(start))
            elif (start, step, size) == (0, 1, whole):
                indices.append(COLON)
            else:
                indices.append(index_range(start, step, size))
        return pick(self.array(node.args[0]), tuple(indices))

    def whole_concat(self, node: Expr) -> Formula:
        """Blocks side by side or below each other."""
        found = self.in_blocks(node)
        if found is not None:
            return found
        operands = tuple(self.array(arg) for arg in node.args)
        return Apply("concat", (*operands, Symbol(f"axis {node.attrs['axis']}")))

    def in_blocks(self, node: Expr) -> Formula | None:
        """A matrix or vector put together from blocks; None for what is no such thing."""
        row = row_of(node, self.named) if node.ndim in (1, 2) else None
        if row is None:
            return None
        found: list[Formula] = []
        for block in row.blocks:
            if block.node is None:
                found.append(ZERO)
            elif node.ndim == 1 and block.size == 1:
                found.append(self._squeezed(block.node))
            else:
                found.append(self._block(block.node, row.axis))
        sizes = tuple(block.size for block in row.blocks)
        if node.ndim == 1 and set(sizes) == {1} and ZERO not in found:
            return Listed(tuple(found))
        return Blocks(tuple(found), sizes, stacked=row.axis == 0)

    def _block(self, node: Expr, axis: int) -> Formula:
        """A block; a number repeated in one row or column shows that it is no wider."""
        number = repeated_number(node)
        if number is None or node.ndim != 2 or node.shape[axis] != 1 or node in self.named:
            return self.array(node)
        vector = self.array(broadcast(number, node.shape[1 - axis :][:1]))
        return column_matrix(vector) if axis == 1 else transpose(vector)

    def whole_place(self, node: Expr) -> Formula:
        """Zeros with the operand at a place: a row or column by a unit vector, else the slice."""
        (inner,), start = node.args, node.attrs["start"]
        moved = [k for k in range(node.ndim) if inner.shape[k] != node.shape[k]]
        if len(moved) == 1 and node.ndim < 3 and inner.shape[moved[0]] == 1:
            (axis,) = moved
            unit = self._unit(start[axis], node, axis)
            value = self._squeezed(inner)
            if node.ndim == 1:
                return multiply(scaled(value, True), scaled(unit, False))
            pair = [value, Transpose(unit)] if axis == 1 else [unit, transpose(value)]
            return matrix_product(pair)
        found = self.in_blocks(node)
        if found is not None:
            return found
        places = tuple(
            COLON if (size, step) == (whole, 1) else index_range(first, step, size)
            for first, step, size, whole in zip(
                start, node.attrs["step"], inner.shape, node.shape, strict=True
            )
        )
        return Apply("place", (self.array(inner), Element(Symbol("0"), places)))

    def _unit(self, place: object, node: Expr, axis: int) -> Formula:
        """The unit vector of a place on an axis, defined by a bracket."""
        at = size_formula(place)  # type: ignore[arg-type]
        size = node.shape[axis : axis + 1]
        known = self.units.get((at, size))
        if known is not None and known.name in self.names.taken:
            return known
        (letter,) = self.letters(size)
        bracket = Fence("bracket", Relation("=", letter, at))
        base = f"e_{place}" if isinstance(place, int) else "e_last"
        symbol = Symbol(self.names.meaning(base, False, (letter, bracket, size)))
        self.definitions.append(Definition(Element(symbol, (letter,)), bracket, size))
        self.units[at, size] = symbol
        return symbol

    def whole_permute(self, node: Expr) -> Formula:
        if node.attrs["axes"] == (1, 0):
            return self.transposed(node.args[0])
        order = ",".join(map(str, node.attrs["axes"]))
        return Apply("permute", (self.array(node.args[0]), Symbol(f"({order})")))

    def transposed(self, node: Expr) -> Formula:
        """The transpose of a matrix, of each term of a sum and of each factor of a product."""
        node = self._uncast(node)
        if node.op is IDENTITY:
            return self.array(node)
        if node in self.named or not node.args:
            return transpose(self.array(node))
        if node.op.name == "permute":
            return self.array(node.args[0])
        if node.op is EINSUM and as_matrix_product(node.attrs["spec"]):
            return self.matrix_einsum(node, turned=True)
        if node.op.name in ("add", "subtract") and self._all_whole(node.args):
            left, right = (self.transposed(arg) for arg in node.args)
            right = negate(right, False) if node.op.name == "subtract" else right
            return total([left, right], False)
        if node.op.name == "multiply":
            return self._transposed_product(node)
        return transpose(self.array(node))

    def _uncast(self, node: Expr) -> Expr:
        """The node under conversions between numbers, which are not written."""
        while node not in self.named and node.op is CAST and node.args[0].dtype != BOOL:
            node = node.args[0]
        return node

    def _all_whole(self, nodes: tuple[Expr, ...]) -> bool:
        """Whether each operand reads as the matrix that it is."""
        return all(self.loose(node).shape == node.shape for node in nodes)

    def _transposed_product(self, node: Expr) -> Formula:
        scalars = [arg for arg in node.args if is_scalar(arg)]
        others = tuple(arg for arg in node.args if not is_scalar(arg))
        if len(others) != 1 or not self._all_whole(others):
            return transpose(self.array(node))
        outside = scaled(self.loose(scalars[0]).formula, True)
        return multiply(outside, scaled(self.transposed(others[0]), False))

    def matrix_einsum(self, node: Expr, turned: bool = False) -> Formula:
        """A product of two matrices or vectors, or its transpose."""
        written: list[Formula] = []
        factors = as_matrix_product(node.attrs["spec"]) or ()
        one = [core(arg).op is IDENTITY and core(arg).shape == arg.shape for arg in node.args]
        for factor in factors:
            if all(one) or not one[factor.operand]:
                written += self._factors(node.args[factor.operand], factor.transposed)
        if len(written) == 1:
            return transpose(written[0]) if turned else written[0]
        if turned:
            written = [transpose(part) for part in reversed(written)]
        return matrix_product(written)

    def _factors(self, node: Expr, turned: bool) -> list[Formula]:
        """A factor of a product of matrices: X ⊙ b is X diag(b), X ⊙ (v 𝟏ᵀ) is diag(v) X."""
        parts = self._hadamard_parts(node) if node.ndim == 2 else [node]
        left: Formula = ONE
        middle: Formula = ONE
        right: Formula = ONE
        for part in parts:
            own, beside = self.loose(part), self._each_row(part)
            if beside is not None:
                left = multiply(scaled(left, False), scaled(beside, False))
            elif len(own.shape) == 1 and len(parts) > 1:
                right = multiply(scaled(right, False), scaled(own.formula, False))
            else:
                middle = multiply(scaled(middle, False), scaled(own.formula, own.shape == ()))
        if len(parts) == 1 or scaled(middle, False).body is None:
            return [self._turned(node, turned)]
        found = [*([diagonal(left)] if left != ONE else []), middle]
        found += [diagonal(right)] if right != ONE else []
        return [transpose(one) for one in reversed(found)] if turned else found

    def _turned(self, node: Expr, turned: bool) -> Formula:
        if turned and node.ndim == 2:
            return self.transposed(node)
        return transpose(self.array(node)) if turned else self.array(node)

    def _hadamard_parts(self, node: Expr) -> list[Expr]:
        """The operands of elementwise products in a matrix, in order."""
        found: list[Expr] = []
        stack = [node]
        while stack:
            part = self._uncast(stack.pop())
            product = isinstance(part.op, Pointwise) and part.op.name == "multiply"
            if product and part not in self.named:
                stack.extend(reversed(part.args))
            else:
                found.append(part)
        return found

    def _each_row(self, node: Expr) -> Formula | None:
        """The vector that a matrix repeats in every column; None if it is another matrix."""
        if node in self.named or node.op is not BROADCAST or is_scalar(node):
            return None
        (inner,) = node.args
        if inner.ndim != 2 or inner.shape[1] != 1 or inner.shape[0] == 1:
            return None
        if inner in self.columns:
            return self.loose(inner).formula
        source = core(inner)
        return self.array(source) if source.ndim == 1 and inner.op is RESHAPE else None
