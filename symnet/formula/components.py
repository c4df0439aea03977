"""Expressions written out component by component, for arrays of few and known elements.

Components are counted from 1, as in matrices by hand: the element in row 1 and column 2 of W_1 is
W_{1,12}. Axes of size 1 have no subscript; from 10 elements on, subscripts stand apart: x_{10,2}.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import product
from typing import Any, ClassVar

import numpy as np

from symnet.errors import GraphError
from symnet.expr import Expr, topological
from symnet.formula.algebra import literal, multiply, scaled
from symnet.formula.scalars import Operands, log_formula, pointwise_formula
from symnet.formula.sums import total
from symnet.formula.tree import (
    EULER,
    ONE,
    ZERO,
    Apply,
    Definition,
    Fence,
    Formula,
    Number,
    Power,
    Relation,
    Scaled,
    Symbol,
    walk,
)
from symnet.ops.contraction import split
from symnet.ops.core import BOOL, describe
from symnet.ops.gather import parts
from symnet.ops.leaves import NAMED, UNKNOWN
from symnet.ops.pointwise import Pointwise
from symnet.ops.reduction import Reduction
from symnet.sizes import Size

MOST = 5000  # components, terms of a sum, symbols and numbers
Array = np.ndarray[Any, Any]
_COMPARE: dict[str, Callable[[Fraction, Fraction], bool]] = {
    "less": lambda a, b: a < b,
    "less_equal": lambda a, b: a <= b,
    "equal": lambda a, b: a == b,
    "not_equal": lambda a, b: a != b,
}


def component(symbol: Symbol, place: Sequence[int], shape: Sequence[int]) -> Symbol:
    """The symbol of one component: W_{1,12} of W_1, x_1 of x."""
    wide = [(k + 1, size) for k, size in zip(place, shape, strict=True) if size != 1]
    if not wide:
        return symbol
    apart = "," if any(size > 9 for _, size in wide) else ""
    digits = apart.join(str(k) for k, _ in wide)
    head, _, below = symbol.name.partition("_")
    subscript = f"{below},{digits}" if below else digits
    return Symbol(f"{head}_{subscript}" if len(subscript) == 1 else f"{head}_{{{subscript}}}")


def _array(shape: Sequence[int], element: Callable[[tuple[int, ...]], Formula]) -> Array:
    found = np.empty(tuple(shape), dtype=object)
    for place in np.ndindex(*shape):
        found[place] = element(place)
    return found


def _fixed(node: Expr) -> tuple[int, ...]:
    """The shape, of which every size is a number."""
    return tuple(int(size) for size in node.shape)


def _times(left: Formula, right: Formula) -> Formula:
    return multiply(scaled(left, True), scaled(right, True))


class Components:
    """The components of the nodes of a graph. `named` nodes are written by their symbols."""

    def __init__(self, roots: Iterable[Expr], named: Mapping[Expr, Symbol]) -> None:
        self.named = named
        self._order = topological(roots)
        self._made: dict[Expr, Array] = {}
        self._bodies: dict[Expr, Array] = {}
        for node in self._order:
            _require_small(node)
            self._make(node)

    def of(self, node: Expr) -> Array:
        """The components, by their names where the node has one."""
        return self._made[node]

    def body(self, node: Expr) -> Array:
        """What the components are, even if they have names."""
        return self._bodies[node]

    def definitions(self, nodes: Iterable[Expr], needed: Iterable[Formula]) -> list[Definition]:
        """What the components of named nodes are that these formulas rest on, in order."""
        wanted = {part.name for f in needed for part in walk(f) if isinstance(part, Symbol)}
        found: list[Definition] = []
        rank = {node: place for place, node in enumerate(self._order)}
        for node in sorted(nodes, key=rank.__getitem__, reverse=True):
            pairs = zip(self.of(node).ravel()[::-1], self.body(node).ravel()[::-1], strict=True)
            for left, right in pairs:
                if isinstance(left, Symbol) and left.name in wanted and left != right:
                    found.append(Definition(left, right))
                    wanted |= {part.name for part in walk(right) if isinstance(part, Symbol)}
        return found[::-1]

    def _make(self, node: Expr) -> None:
        symbol = self.named.get(node)
        names: Array | None = None
        if symbol is not None:
            shape = _fixed(node)
            names = _array(shape, lambda place: component(symbol, place, shape))
        if not node.args and names is not None:
            self._made[node] = self._bodies[node] = names
            return
        found = self._written(node)
        self._bodies[node] = found
        self._made[node] = found if names is None else names
        _require_short(node, found)

    def _written(self, node: Expr) -> Array:
        args = [self._made[arg] for arg in node.args]
        if node.op is NAMED:
            return self._bodies[node.args[0]]
        if isinstance(node.op, Pointwise) or node.op is UNKNOWN:
            return _array(_fixed(node), lambda at: _pointwise(node, [arg[at] for arg in args]))
        if isinstance(node.op, Reduction):
            return self._reduction(node, args[0])
        writer = self._WRITERS.get(node.op.name)
        if writer is None:
            raise GraphError(f"{node.op.name} has no scalar form (at {node.origin})")
        return writer(self, node, args)

    def _constant(self, node: Expr, args: list[Array]) -> Array:
        value = np.asarray(node.attrs["value"])
        return _array(value.shape, lambda at: literal(value[at].item(), node.dtype))

    def _cast(self, node: Expr, args: list[Array]) -> Array:
        if node.args[0].dtype != BOOL:
            return args[0]
        return _array(_fixed(node), lambda at: _bracket(args[0][at]))

    def _slice(self, node: Expr, args: list[Array]) -> Array:
        starts, steps = node.attrs["start"], node.attrs["step"]
        return _array(
            _fixed(node),
            lambda at: args[0][tuple(a + b * k for a, b, k in zip(starts, steps, at, strict=True))],
        )

    def _place(self, node: Expr, args: list[Array]) -> Array:
        found = _array(_fixed(node), lambda at: ZERO)
        starts, steps = node.attrs["start"], node.attrs["step"]
        for at in np.ndindex(*args[0].shape):
            found[tuple(a + b * k for a, b, k in zip(starts, steps, at, strict=True))] = args[0][at]
        return found

    def _einsum(self, node: Expr, args: list[Array]) -> Array:
        letters, out = split(node.attrs["spec"])
        sizes = {
            letter: size
            for own, arg in zip(letters, args, strict=True)
            for letter, size in zip(own, np.shape(arg), strict=True)
        }
        gone = [letter for letter in sizes if letter not in out]
        _require_terms(node, int(np.prod([sizes[letter] for letter in sizes])))

        def element(at: tuple[int, ...]) -> Formula:
            known = dict(zip(out, at, strict=True))
            terms = []
            for bound in product(*(range(sizes[letter]) for letter in gone)):
                every = {**known, **dict(zip(gone, bound, strict=True))}
                term: Any = ONE
                for own, arg in zip(letters, args, strict=True):
                    term = _times(term, arg[tuple(every[letter] for letter in own)])
                terms.append(term)
            return total(terms, True)

        return _array([sizes[letter] for letter in out], element)

    def _reduction(self, node: Expr, arg: Array) -> Array:
        axes = node.attrs["axes"]
        moved = np.moveaxis(arg, axes, range(-len(axes), 0))
        flat = moved.reshape((*_fixed(node), -1))
        row = node.op
        return _array(_fixed(node), lambda at: _folded(row.name, flat[at]))

    def _softmax(self, node: Expr, args: list[Array]) -> Array:
        powers = _array(_fixed(node), lambda at: Power(EULER, args[0][at]))
        axes = node.attrs["axes"]
        moved = np.moveaxis(powers, axes, range(-len(axes), 0))
        flat = moved.reshape((*moved.shape[: node.ndim - len(axes)], -1))

        def element(at: tuple[int, ...]) -> Formula:
            row = tuple(k for axis, k in enumerate(at) if axis not in axes)
            return Scaled(over=(powers[at],), under=(total(list(flat[row]), True),))

        return _array(_fixed(node), element)

    def _log_softmax(self, node: Expr, args: list[Array]) -> Array:
        shares = self._softmax(node, args)
        return _array(_fixed(node), lambda at: log_formula(shares[at]))

    def _gather(self, node: Expr, args: list[Array]) -> Array:
        source, index, out = parts(node.attrs["spec"])

        def element(at: tuple[int, ...]) -> Formula:
            by = dict(zip(out, at, strict=True))
            where = args[1][tuple(by[letter] for letter in index)]
            row = [slice(None) if letter == "*" else by[letter] for letter in source]
            values: list[Formula] = args[0][tuple(row)].tolist()
            if isinstance(where, Number):
                return values[int(where.value)]
            places = range(len(values))
            terms = [_times(values[k], _is_at(where, k)) for k in places]
            return total(terms, True)

        return _array(_fixed(node), element)

    def _scatter(self, node: Expr, args: list[Array]) -> Array:
        source, index, out = parts(node.attrs["spec"])
        terms: dict[tuple[int, ...], list[Formula]] = {}
        for at in np.ndindex(*args[0].shape):
            by = dict(zip(out, at, strict=True))
            where = args[1][tuple(by[letter] for letter in index)]
            for place in range(int(node.attrs["size"])):
                to = tuple(place if letter == "*" else by[letter] for letter in source)
                terms.setdefault(to, []).append(_times(args[0].item(*at), _is_at(where, place)))
        return _array(_fixed(node), lambda at: total(terms.get(at, [ZERO]), True))

    _WRITERS: ClassVar[dict[str, Callable[[Components, Expr, list[Array]], Array]]] = {
        "constant": _constant,
        "size": lambda self, node, args: _array((), lambda at: literal(int(node.attrs["size"]))),
        "iota": lambda self, node, args: _array(_fixed(node), lambda at: literal(at[0])),
        "identity": lambda self, node, args: _array(
            _fixed(node),
            lambda at: ONE if at[0] == at[1] else ZERO,
        ),
        "cast": _cast,
        "broadcast": lambda self, node, args: np.broadcast_to(args[0], _fixed(node)),
        "reshape": lambda self, node, args: args[0].reshape(_fixed(node)),
        "permute": lambda self, node, args: args[0].transpose(node.attrs["axes"]),
        "concat": lambda self, node, args: np.concatenate(args, node.attrs["axis"]),
        "slice": _slice,
        "place": _place,
        "einsum": _einsum,
        "softmax": _softmax,
        "log_softmax": _log_softmax,
        "gather": _gather,
        "scatter_add": _scatter,
    }


def _pointwise(node: Expr, formulas: list[Formula]) -> Formula:
    """A pointwise op of components; comparisons of numbers are decided."""
    compare = _COMPARE.get(node.op.name)
    left, right = formulas[0], formulas[-1]
    if compare is not None and isinstance(left, Number) and isinstance(right, Number):
        return ONE if compare(left.value, right.value) else ZERO
    if node.op.name == "where" and isinstance(left, Number):
        return formulas[1] if left == ONE else formulas[2]
    if node.op.name == "where" and formulas[1] == formulas[2]:
        return formulas[1]
    return pointwise_formula(Operands(node, formulas, [True] * len(formulas)))


def _bracket(condition: Formula) -> Formula:
    return condition if isinstance(condition, Number) else Fence("bracket", condition)


def _is_at(index: Formula, place: int) -> Formula:
    """[index = place], or its value where the index is known."""
    where = Number(Fraction(place))
    if isinstance(index, Number):
        return ONE if index == where else ZERO
    return Fence("bracket", Relation("=", index, where))


def _folded(name: str, items: Sequence[Formula]) -> Formula:
    if name == "sum":
        return total(list(items), True)
    if name == "logsumexp":
        return log_formula(total([Power(EULER, item) for item in items], True))
    if name == "prod":
        found: Formula = ONE
        for item in items:
            found = _times(found, item)
        return found
    known = {"max": r"\max", "min": r"\min", "argmax": r"\operatorname{argmax}"}
    return (
        items[0] if len(items) == 1 and name != "argmax" else Apply(name, tuple(items), known[name])
    )


def _require_small(node: Expr) -> None:
    """GraphError where an axis is a named size or the elements are too many to be written out."""
    if isinstance(node.attrs.get("size"), Size):
        raise GraphError(
            f"the scalar form writes numbers, but {node.attrs['size']} is a named size: give it a "
            f"number, such as 3 (at {node.origin})"
        )
    for axis, size in enumerate(node.shape):
        if not isinstance(size, int):
            raise GraphError(
                f"the scalar form writes every component out, but axis {axis} of {describe(node)} "
                f"has the named size {size}: give it a number, such as 3 (at {node.origin})"
            )
    _require_terms(node, int(np.prod(_fixed(node))))


def _require_terms(node: Expr, count: int) -> None:
    if count > MOST:
        raise GraphError(
            f"the scalar form writes out at most {MOST} components or terms, {describe(node)} "
            f"needs {count} (at {node.origin})"
        )


def _require_short(node: Expr, found: Array) -> None:
    longest = 0
    for formula in found.ravel():
        longest += _length(formula, MOST - longest)
        if longest > MOST:
            raise GraphError(
                f"the scalar form would be enormous: {describe(node)} has more than {MOST} symbols "
                f"and numbers; name intermediates by sn.named (at {node.origin})"
            )


def _length(formula: Formula, limit: int) -> int:
    """The symbols and numbers in a formula, counted up to a limit."""
    found = 0
    for part in walk(formula):
        found += isinstance(part, (Symbol, Number))
        if found > limit:
            break
    return found
