"""From the tree of a formula to expressions: what its names stand for, and which arrays meet."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import Final

from symnet.errors import ParseError, SymnetError
from symnet.expr import Dtype, Expr, make
from symnet.functions import FUNCTIONS
from symnet.ops.core import FLOAT32, FLOAT64, number, size_value
from symnet.ops.leaves import UNKNOWN, input
from symnet.ops.views import identity
from symnet.parse.alignment import as_float, elementwise
from symnet.parse.arrays import (
    element,
    letter_value,
    matrix_product,
    narrowed,
    over,
    transposed,
)
from symnet.parse.callees import ALONG, CALLEES, SHAPING, WHOLE
from symnet.parse.indices import index_of, size_of
from symnet.parse.shaping import along, bracket, shaping, whole
from symnet.parse.tokens import fault
from symnet.parse.tree import (
    Axis,
    Bracket,
    Call,
    Cases,
    Compared,
    Fenced,
    Letter,
    Listed,
    Name,
    Negated,
    Node,
    Numeral,
    Ones,
    Over,
    Part,
    Product,
    Raised,
    Roots,
    Span,
    Total,
    Transposed,
    Zeros,
)
from symnet.parse.values import Extent, Value, known, sizes
from symnet.sizes import Dimension

_OPERATIONS: Final = {"+": "add", "-": "subtract", **dict.fromkeys(("", *"*×⊙"), "multiply")}
_QUOTIENTS: Final = ("/", "⊘")
_COMPARISONS: Final = {"<": "less", "≤": "less_equal", ">": "greater", "≥": "greater_equal",
                       "=": "equal", "≠": "not_equal", "∧": "logical_and",
                       "\N{LOGICAL OR}": "logical_or"}  # fmt: skip
_LARGEST: Final = 3.4e38


def operation(name: str) -> Callable[..., Expr]:
    """An operation of expressions by its name."""
    found: Callable[..., Expr] = Expr.dispatch[name]
    return found


class Meaning:
    """Finds out what trees stand for, under names that may be added to.

    open: whether a name that nothing gives becomes a number to be fed.
    """

    def __init__(
        self,
        text: str,
        names: Mapping[str, Value],
        sizes: Mapping[str, Dimension],
        functions: Collection[str],
        dtype: Dtype,
        open: bool,
    ) -> None:
        self.text, self.names, self.sizes = text, dict(names), sizes
        self.functions, self.dtype, self.open = functions, dtype, open
        self.scope: Mapping[str, Extent] = {}
        self.used: dict[str, Expr] = {}
        self.guarded = False

    def of(self, node: Node) -> Value:
        """What a tree stands for; ParseError with a caret at what does not fit."""
        return self._shown(node, lambda: _MEANINGS[type(node)](self, node))

    def _shown(self, node: Node, make: Callable[[], Value]) -> Value:
        """The value that is made; faults are shown at the node."""
        try:
            value = make()
        except ParseError:
            raise
        except SymnetError as error:
            raise self.fault(node, str(error).partition("\n")[0]) from None
        if value.waits_too_long:
            raise self.fault(node, "too much has no known size")
        return value

    def fault(self, node: Node, message: str) -> ParseError:
        """The error for what stands at a node."""
        return fault(self.text, node.place, message)

    def each(self, apply: Callable[..., Expr], values: Sequence[Value]) -> Value:
        """A function of arrays, element by element."""
        return elementwise(apply, values, self.scope, self.dtype)

    def constant(self, value: float) -> Value:
        """A number that was written as one."""
        return Value(lambda: number(value, self.dtype), literal=value).settle((), ())

    def numeral(self, node: Numeral) -> Value:
        value = node.value
        if math.isinf(value) and self.text[node.place] == "∞":
            return self.constant(value)
        if not math.isfinite(value) or (self.dtype == FLOAT32 and abs(value) > _LARGEST):
            shown = self.text[node.place :].split()[0]
            raise self.fault(node, f"{shown} is too large for {self.dtype}")
        return self.constant(value)

    def name(self, node: Name) -> Value:
        name = node.name
        if name in self.scope:
            return letter_value(name, self.scope)
        if name in self.names:
            value = self.names[name]
            if not value.wait:
                self.used[name] = value.expr
            return value
        if name in ("π", "pi"):
            return self.constant(math.pi)
        if name == "e":
            raise self.fault(
                node,
                "e is read as Euler's number, and only in e^x: give another name or write exp(1)",
            )
        if name in self.sizes:
            size = self.sizes[name]
            return Value(lambda: size_value(size, self.dtype)).settle((), ())
        matrices = any(value.rank > 1 for value in self.names.values())
        if self.open and not name.startswith("∂") and not (name == "I" and matrices):
            self.names[name] = known(input(name, dtype=FLOAT64))
            return self.name(node)
        if name == "I":
            extent = Extent()
            return Value(lambda: identity(sizes([extent])[0], self.dtype), [extent] * 2).settle(
                (), [extent]
            )
        near = get_close_matches(name, self.names, n=1)
        hint = f": did you mean {near[0]}?" if near else ""
        raise self.fault(node, f"nothing is called {name}{hint}")

    def ones(self, node: Ones) -> Value:
        extent = Extent()

        def build() -> Expr:
            return operation("broadcast_to")(number(1, self.dtype), sizes([extent]))

        return Value(build, [extent]).settle((), [extent])

    def negated(self, node: Negated) -> Value:
        value = self.of(node.body)
        if value.literal is not None:
            return self.constant(-value.literal)
        return self.each(lambda x: -x, [value])

    def total(self, node: Total) -> Value:
        found = self.of(node.terms[0][1])
        for sign, term in node.terms[1:]:
            found = self._joined(sign, found, self.of(term), term)
        return found

    def product(self, node: Product) -> Value:
        outside = self.guarded
        self.guarded |= any(isinstance(factor, Bracket) for _, factor in node.factors)
        found = self.of(node.factors[0][1])
        for sign, factor in node.factors[1:]:
            found = self._joined(sign, found, self.of(factor), factor)
        self.guarded = outside
        return found

    def _joined(self, sign: str, left: Value, right: Value, node: Node) -> Value:
        """Two values with a sign between them; faults are shown at the right one."""
        if not sign and left.rank and right.rank:
            return self._shown(
                node, lambda: matrix_product(left, right, self.scope, self.dtype)
            )
        apply = self._divided if sign in _QUOTIENTS else operation(_OPERATIONS[sign])
        return self._shown(node, lambda: self.each(apply, [left, right]))

    def _divided(self, top: Expr, bottom: Expr) -> Expr:
        quotient: Expr = operation("divide")(
            as_float(top, self.dtype), as_float(bottom, self.dtype)
        )
        return quotient

    def raised(self, node: Raised) -> Value:
        base, square = node.base, isinstance(node.exponent, Numeral) and node.exponent.value == 2
        if isinstance(base, Name) and base.name == "e" and "e" not in self.names:
            return self.each(CALLEES["exp"].apply, [self.of(node.exponent)])
        if isinstance(base, Fenced) and base.kind == "‖" and square:
            return self._squares(self.of(base.body))
        value = self.of(base)
        if value.rank > 1 and node.raised and not isinstance(base, Call):
            raise self.fault(
                node,
                "is this the square of a matrix or of its elements? A A is one, A^∘2 the other",
            )
        return self.each(self._power, [value, self.of(node.exponent)])

    def _power(self, base: Expr, exponent: Expr) -> Expr:
        raised: Expr = operation("pow")(as_float(base, self.dtype), as_float(exponent, self.dtype))
        return raised

    def _squares(self, value: Value) -> Value:
        return whole(lambda x, axes: operation("sum")(x * x, axis=axes), value, None, self.dtype)

    def transposed(self, node: Transposed) -> Value:
        return transposed(self.of(node.base))

    def roots(self, node: Roots) -> Value:
        value = self.of(node.body)
        for _ in range(node.count):
            value = self.each(CALLEES["√"].apply, [value])
        return value

    def fenced(self, node: Fenced) -> Value:
        value = self.of(node.body)
        if node.kind == "‖":
            return whole(_norm, value, None, self.dtype)
        return self.each(operation("abs" if node.kind == "|" else "floor"), [value])

    def compared(self, node: Compared) -> Value:
        values = [self.of(node.left), self.of(node.right)]
        apply = operation(_COMPARISONS[node.sign])
        guarded = 2 if node.sign in ("∧", "\N{LOGICAL OR}") else 0
        return elementwise(apply, values, self.scope, self.dtype, truth=True, guarded=guarded)

    def cases(self, node: Cases) -> Value:
        outside, self.guarded = self.guarded, True
        values = [self.of(part) for part in (node.condition, node.first, node.second)]
        self.guarded = outside
        if values[0].mask:
            values[0] = elementwise(lambda x: x > 0, values[:1], self.scope, self.dtype, truth=True)
        if not values[0].truth:
            raise self.fault(node.condition, "a condition such as x > 0 belongs here")
        return elementwise(operation("where"), values, self.scope, self.dtype, guarded=1)

    def bracket(self, node: Bracket) -> Value:
        values = [None if isinstance(item, Zeros) else self.of(item) for item in node.items]
        first = values[0]
        if len(values) > 1 or first is None or not first.truth:
            return bracket(self, node, values)
        astype, kind = operation("astype"), self.dtype
        found = elementwise(lambda x: astype(x, kind), [first], self.scope, kind, guarded=1)
        found.mask = True
        return found

    def part(self, node: Part) -> Value:
        base = self.of(node.base)
        if base.rank > len(node.indices):
            # An axis of one place needs no index.
            base = narrowed(base)
        if base.rank != len(node.indices):
            raise self.fault(node, f"{len(node.indices)} indices for {base.rank} axes")
        indices = [
            index_of(self, item, extent)
            for item, extent in zip(node.indices, base.shape, strict=True)
        ]
        return element(base, indices, self.scope, self.guarded)

    def over(self, node: Over) -> Value:
        outside = self.scope
        # A letter that is in use already means the inner one within the inner sum.
        letters = [letter.name for letter in node.letters]
        kept = {a: extent for a, extent in outside.items() if a not in letters}
        self.scope = {**kept, **{letter.name: self._range(letter) for letter in node.letters}}
        try:
            body = self.of(node.body)
            return over(node.name, body, letters, self.scope, self.dtype)
        finally:
            self.scope = outside

    def letter(self, name: str) -> Extent:
        """How far a letter runs: along its axes; else n up to N."""
        return Extent(usual=self.sizes.get(name.upper()))

    def _range(self, letter: Letter) -> Extent:
        """How far an index letter runs."""
        if letter.limit is None:
            return self.letter(letter.name)
        size = self.size(letter.limit)
        if size is None:
            raise self.fault(letter.limit, "a limit is a number or made of the names of sizes")
        return Extent(size, limited=True)

    def call(self, node: Call) -> Value:
        name = node.name
        if name in self.functions:
            return self._unknown_function(node)
        if name in SHAPING:
            return shaping(self, node)
        if name in ALONG or name in WHOLE:
            return along(self, node)
        if name == "not":
            (value,) = self._arguments(node, 1, 1)
            logical_not = operation("logical_not")
            return elementwise(logical_not, [value], self.scope, self.dtype, truth=True, guarded=1)
        callee = CALLEES[name]
        return self.each(callee.apply, self._arguments(node, callee.fewest, callee.most))

    def _arguments(self, node: Call, fewest: int, most: int) -> list[Value]:
        count = len(node.arguments)
        if not fewest <= count <= most:
            wanted = " to ".join(map(str, sorted({fewest, most})))
            plural = "" if fewest == most == 1 else "s"
            raise self.fault(node, f"{node.name} takes {wanted} argument{plural}, got {count}")
        return [self.of(argument) for argument in node.arguments]

    def _unknown_function(self, node: Call) -> Value:
        values = self._arguments(node, 1, 1)
        name, order = node.name, node.order
        return self.each(lambda x: make(UNKNOWN, (x,), name=name, order=order), values)

    def listed(self, node: Listed) -> Value:
        raise self.fault(node, "one value belongs here, not several")

    def size(self, node: Node) -> Dimension | None:
        """The size that a tree of numbers and names of sizes stands for; None for any other."""
        free = {k: v for k, v in self.sizes.items() if k not in self.names and k not in self.scope}
        return size_of(node, free)


def _norm(x: Expr, axes: tuple[int, ...]) -> Expr:
    row: Callable[..., Expr] = FUNCTIONS["norm"]  # type: ignore[assignment]
    return row(x, axis=axes)


def misplaced(meaning: Meaning, node: Node) -> Value:
    """A node that stands only among indices or arguments."""
    raise meaning.fault(node, "this has no value by itself")


_MEANINGS: Final[Mapping[type[Node], Callable[..., Value]]] = {
    Numeral: Meaning.numeral,
    Name: Meaning.name,
    Ones: Meaning.ones,
    Negated: Meaning.negated,
    Total: Meaning.total,
    Product: Meaning.product,
    Raised: Meaning.raised,
    Transposed: Meaning.transposed,
    Roots: Meaning.roots,
    Fenced: Meaning.fenced,
    Compared: Meaning.compared,
    Cases: Meaning.cases,
    Bracket: Meaning.bracket,
    Part: Meaning.part,
    Over: Meaning.over,
    Zeros: misplaced,
    Axis: misplaced,
    Span: misplaced,
    Call: Meaning.call,
    Listed: Meaning.listed,
}
