"""What an expression and its gradient cost: operations as polynomials in the named sizes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Final

from symnet.diff import Nested, flatten, grad
from symnet.errors import GraphError
from symnet.expr import Expr, topological
from symnet.ops.contraction import split
from symnet.ops.core import scalar_constant
from symnet.ops.leaves import INPUT, NAMED, PARAMETER, STATE, leaves
from symnet.ops.pointwise import Pointwise
from symnet.simplify import Firing, simplify_report, stabilize_report
from symnet.sizes import Dimension, Size, add_sizes, multiply_sizes, scale_size, show_shape

# A tree's count doubles at each sharing, so that a deep graph has numbers of thousands of digits.
LARGEST: Final = 10**100
_VIEWS: Final = ("named", "reshape", "permute", "broadcast")


@dataclass(frozen=True)
class Counts:
    """Operations on numbers. Each is an integer or a polynomial in named sizes.

    functions: exp, log, tanh, sqrt, powers and the like. selections: comparisons, where, maximum,
    absolute values, changes of sign and of dtype. contractions: the multiplications and additions
    of products of matrices. Counts beyond 10^100 are given as 10^100.
    """

    additions: Dimension = 0
    multiplications: Dimension = 0
    divisions: Dimension = 0
    functions: Dimension = 0
    selections: Dimension = 0
    contractions: Dimension = 0

    @property
    def total(self) -> Dimension:
        """All of them, one as much as another."""
        return add_sizes(*(getattr(self, field.name) for field in fields(self)))

    def at(self, sizes: Mapping[str, int]) -> int:
        """The total for given sizes; KeyError if one is missing."""
        return _value(self.total, sizes)

    def __str__(self) -> str:
        kinds = ((field.name, getattr(self, field.name)) for field in fields(self))
        parts = [_named(count, kind) for kind, count in kinds if count]
        return f"{_shown(self.total)} = {' + '.join(parts)}" if parts else "0"


def _named(count: Dimension, kind: str) -> str:
    shown = f"({_shown(count)})" if isinstance(count, Size) and len(count.terms) > 1 else ""
    return f"{shown or _shown(count)} {kind.removesuffix('s') if count == 1 else kind}"


def _shown(count: Dimension) -> str:
    return "more than 10^100" if count == LARGEST else str(count).replace("*", "·")


def _value(count: Dimension, sizes: Mapping[str, int]) -> int:
    return count.value(sizes) if isinstance(count, Size) else int(count)


def _elements(node: Expr) -> Dimension:
    return multiply_sizes(node.shape)


_KINDS: Final[Mapping[str, str]] = {
    "add": "additions",
    "subtract": "additions",
    "multiply": "multiplications",
    "divide": "divisions",
} | dict.fromkeys(
    ("negative", "abs", "sign", "floor", "maximum", "minimum", "where", "less", "less_equal",
     "equal", "not_equal", "logical_and", "logical_or", "logical_not", "isfinite", "cast"),
    "selections",
)  # fmt: skip


def _pointwise(node: Expr) -> Counts:
    elements = _elements(node)
    if node.op.name == "pow":
        exponent = scalar_constant(node.args[1])
        if exponent in (1, 2, 3, 4):
            return Counts(multiplications=scale_size(elements, int(exponent) - 1))
    return Counts(**{_KINDS.get(node.op.name, "functions"): elements})


def _einsum(node: Expr) -> Counts:
    letters, out = split(node.attrs["spec"])
    sizes = {
        letter: size
        for own, arg in zip(letters, node.args, strict=True)
        for letter, size in zip(own, arg.shape, strict=True)
    }
    points = multiply_sizes(sizes.values())
    if set(sizes) == set(out):
        return Counts(multiplications=scale_size(points, len(node.args) - 1))
    return Counts(contractions=scale_size(points, len(node.args)))


def _fold(node: Expr) -> Counts:
    """A reduction: one operation less than elements for each result."""
    kind = {"sum": "additions", "prod": "multiplications"}.get(node.op.name, "selections")
    return Counts(**{kind: _merges(node.args[0], node)})


def _merges(source: Expr, node: Expr) -> Dimension:
    return add_sizes(_elements(source), scale_size(_elements(node), -1))


def _logsumexp(node: Expr) -> Counts:
    (source,) = node.args
    merges, elements = _merges(source, node), _elements(source)
    return Counts(
        additions=add_sizes(elements, merges, _elements(node)),
        functions=add_sizes(elements, _elements(node)),
        selections=merges,
    )


def _softmax(node: Expr) -> Counts:
    """The largest element, differences from it, exponentials, their sum, and the quotient or, of
    log_softmax, the difference from the sum's logarithm."""
    elements = _elements(node)
    rows = multiply_sizes(s for k, s in enumerate(node.shape) if k not in node.attrs["axes"])
    merges = add_sizes(elements, scale_size(rows, -1))
    if node.op.name == "softmax":
        return Counts(add_sizes(elements, merges), 0, elements, elements, merges)
    return Counts(
        add_sizes(scale_size(elements, 2), merges), 0, 0, add_sizes(elements, rows), merges
    )


def _scatter(node: Expr) -> Counts:
    return Counts(additions=_elements(node.args[0]))


_COSTS: Final[Mapping[str, Callable[[Expr], Counts]]] = {
    "cast": _pointwise,
    "unknown": _pointwise,
    "einsum": _einsum,
    "logsumexp": _logsumexp,
    "softmax": _softmax,
    "log_softmax": _softmax,
    "scatter_add": _scatter,
} | dict.fromkeys(("sum", "prod", "max", "min", "argmax"), _fold)


def own_count(node: Expr) -> Counts:
    """What a node does itself, its operands given. Leaves and views do nothing."""
    if isinstance(node.op, Pointwise):
        return _pointwise(node)
    rule = _COSTS.get(node.op.name)
    return rule(node) if rule else Counts()


def _summed(counts: Iterable[tuple[Counts, int]]) -> Counts:
    totals: dict[str, dict[tuple[str, ...], int]] = {f.name: Counter() for f in fields(Counts)}
    for count, times in counts:
        for kind, monomials in totals.items():
            value = getattr(count, kind)
            terms = value.terms if isinstance(value, Size) else (((), value),)
            for names, by in terms:
                monomials[names] += by * times
    return Counts(**{kind: _capped(monomials) for kind, monomials in totals.items()})


def _capped(monomials: Mapping[tuple[str, ...], int]) -> Dimension:
    if any(abs(by) > LARGEST for by in monomials.values()):
        return LARGEST
    return add_sizes(Size(monomials))


def operation_count(outputs: Nested) -> Counts:
    """What computing the outputs costs where every shared expression is computed once."""
    return _summed((own_count(node), 1) for node in topological(flatten(outputs)))


def tree_count(outputs: Nested) -> Counts:
    """What computing the outputs costs where each use of an expression computes it anew."""
    roots = flatten(outputs)
    uses: Counter[Expr] = Counter(roots)
    order = topological(roots)
    for node in reversed(order):
        for arg in node.args:
            uses[arg] += uses[node]
    return _summed((own_count(node), uses[node]) for node in order)


def byte_count(outputs: Nested) -> Dimension:
    """The bytes that computing the outputs reads and writes, one operation after another.

    Each operation reads its operands and writes its result; views are read through. Fused loops
    touch less, since what stays in a register is neither written nor read.
    """
    total: list[Dimension] = []
    for node in topological(flatten(outputs)):
        if node.args and node.op.name not in _VIEWS:
            parts = [node, *(_behind(arg) for arg in node.args)]
            total += [scale_size(_elements(part), part.dtype.itemsize) for part in parts]
    return add_sizes(0, *total)


def reused_values(value: Expr, gradient: Nested) -> tuple[Expr, ...]:
    """The forward values that the backward pass reads again, in the order of their computation.

    Inputs, parameters and numbers are there in any case, and are not counted.
    """
    forward = topological([value])
    known = set(forward)
    wanted: set[Expr] = set()
    for node in topological(flatten(gradient)):
        if node not in known:
            wanted.update(_behind(arg) for arg in node.args)
    moving: set[Expr] = set()
    for node in forward:
        if node.op in (INPUT, PARAMETER, STATE) or any(arg in moving for arg in node.args):
            moving.add(node)
    return tuple(node for node in forward if node in wanted and node in moving and node.args)


def _behind(node: Expr) -> Expr:
    """The array that a view, a name or a repetition looks at."""
    while node.op.name in _VIEWS:
        node = node.args[0]
    return node


@dataclass(frozen=True)
class Explanation:
    """What a loss and its gradient cost, and which rules made them cheaper or more accurate.

    loss, gradient_tree (each use anew), gradient (as differentiated, shared), rewritten (the
    gradient that runs, shared), together (loss and gradient that run, sharing between them).
    reused: forward values that the backward pass reads again; names: what they are called.
    loss_bytes, bytes: what the loss, and loss and gradient together, read and write.
    """

    loss: Counts
    gradient_tree: Counts
    gradient: Counts
    rewritten: Counts
    together: Counts
    firings: tuple[Firing, ...]
    reused: tuple[Expr, ...] = ()
    names: Mapping[Expr, str] = field(default_factory=dict)
    loss_bytes: Dimension = 0
    bytes: Dimension = 0

    @property
    def kept(self) -> Dimension:
        """The bytes of the forward values that the backward pass reuses."""
        return add_sizes(0, *(scale_size(_elements(n), n.dtype.itemsize) for n in self.reused))

    def ratio(self, sizes: Mapping[str, int]) -> float:
        """How often the cost of the loss alone buys loss and gradient, at given sizes."""
        return self.together.at(sizes) / max(1, self.loss.at(sizes))

    def limit(self) -> float:
        """The ratio as all named sizes grow alike."""
        degree, top = _leading(self.together.total)
        below, bottom = _leading(self.loss.total)
        return float("inf") if degree > below or not bottom else top / bottom

    def __str__(self) -> str:
        named = isinstance(self.loss.total, Size)
        lines = [
            ("loss", self.loss),
            ("gradient, each use computed anew", self.gradient_tree),
            ("gradient, shared", self.gradient),
            ("gradient, shared and simplified", self.rewritten),
            ("loss and gradient together", self.together),
        ]
        shown = [f"{label:<33} {counts}" for label, counts in lines]
        where = " for large sizes" if named else ""
        shown.append(f"together {self.limit():.3g} times the loss alone{where}")
        shown.append(
            f"bytes read and written, one operation after another: loss {_shown(self.loss_bytes)}, "
            f"together {_shown(self.bytes)}"
        )
        return "\n".join([*shown, self._reuse(), *self._rules()])

    def _reuse(self) -> str:
        if not self.reused:
            return "the backward pass reuses no forward value"
        labels = [self.names.get(node) or str(node) for node in self.reused]
        shapes = [f" ({show_shape(node.shape)})" if node.shape else "" for node in self.reused]
        listed = ", ".join(f"{a}{b}" for a, b in zip(labels, shapes, strict=True))
        return f"the backward pass reuses {listed}: {_shown(self.kept)} bytes kept"

    def _rules(self) -> list[str]:
        places: dict[str, Counter[str]] = {}
        for firing in self.firings:
            places.setdefault(str(firing.rule), Counter())[str(firing.left.origin)] += 1
        lines = ["rules that fired:" if places else "no rule fired"]
        for rule, found in places.items():
            first = ", ".join(list(found)[:3]) + (", ..." if len(found) > 3 else "")
            lines.append(f"  {rule} ({found.total()}×, {first})")
        return lines


def _leading(count: Dimension) -> tuple[int, int]:
    """The highest degree of a polynomial, and the sum of its coefficients there."""
    terms = count.terms if isinstance(count, Size) else (((), int(count)),)
    degree = max((len(names) for names, _ in terms), default=0)
    return degree, sum(by for names, by in terms if len(names) == degree)


def explain(loss: Expr, wrt: Nested | None = None) -> Explanation:
    """What a scalar and its gradient cost, before and after rewriting.

    wrt: what to differentiate by, the loss's parameters unless given. GraphError if there are
    none, ShapeError unless the loss is a scalar.
    """
    targets = leaves([loss], PARAMETER) if wrt is None else flatten(wrt)
    if not targets:
        raise GraphError("explain: the loss has no parameters; say what to differentiate by")
    raw = grad(loss, targets)
    # An intermediate that the gradient is asked for must not be rewritten away before it is taken.
    keep = any(target.args for target in targets)
    value, early = (loss, ()) if keep else stabilize_report(loss, smooth=True)
    (value, gradient), late = stabilize_report([value, raw if keep else grad(value, targets)])
    (value, gradient), exact = simplify_report([value, gradient])
    names = {_behind(n): str(n.name) for n in topological([loss, value]) if n.op is NAMED}
    return Explanation(
        operation_count(loss),
        tree_count(raw),
        operation_count(raw),
        operation_count(gradient),
        operation_count([value, gradient]),
        early + late + exact,
        reused_values(value, gradient),
        names,
        byte_count(loss),
        byte_count([value, gradient]),
    )
