"""Certification: how many units in the last place an expression loses, and at which node."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from symnet.diff import Nested, flatten, grad
from symnet.errors import GraphError
from symnet.expr import Expr, Origin, origin_here, topological
from symnet.feeds import Feeds
from symnet.formula import text
from symnet.lazy import mpmath
from symnet.ops.contraction import EINSUM
from symnet.ops.core import FLOATS
from symnet.ops.leaves import INPUT, PARAMETER, leaves
from symnet.ops.reduction import SUM
from symnet.reference import bind_leaves, interpret
from symnet.reference.over_mpmath import MpmathNamespace
from symnet.reference.over_numpy import NumpyNamespace
from symnet.simplify import Firing, stabilize_report

Array = np.ndarray[Any, Any]
DIGITS: Final = (50, 400, 1600)
"""The precisions tried, until both spellings give the same numbers."""
LIMITS: Final = {"float32": 1e3, "float64": 1e5}
"""Units in the last place above which a row counts as lost: 6e-5 and 2e-11 of the value."""


@dataclass(frozen=True)
class Row:
    """One output or gradient: its largest error in units in the last place (infinite for a NaN or
    an infinity that should be a number), and the node that loses most on the way to it.
    origin: where that was written, or what it came of. undefined: the formula has no value there,
    as log(x) has none at -1."""

    name: str
    error: float
    node: Expr
    loss: float
    origin: Origin
    undefined: bool = False

    @property
    def lost(self) -> bool:
        """Whether the error is above the limit."""
        return not self.error <= LIMITS[str(self.node.dtype)]

    def __str__(self) -> str:
        if self.undefined:
            return f"{self.name}  undefined at these numbers"
        if self.error == 0:
            return f"{self.name}  exact"
        where = f"most at {_short(text(self.node))} ({self.loss:.3g} ulp, {self.origin})"
        return f"{self.name}  {self.error:.3g} ulp  {'LOST, ' if self.lost else ''}{where}"


class Certificate(Sequence[Row]):
    """The rows; true if none is lost. `str` is a table."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = tuple(rows)

    def __getitem__(self, index: Any) -> Any:
        return self._rows[index]

    def __len__(self) -> int:
        return len(self._rows)

    def __bool__(self) -> bool:
        return not any(row.lost for row in self._rows)

    def __str__(self) -> str:
        return "\n".join(map(str, self._rows))


def _short(shown: str) -> str:
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


def certify(
    outputs: Nested, feeds: Feeds | None = None, *, stabilize: bool = True, seed: int = 0
) -> Certificate:
    """The error of each output, and of each gradient of a scalar output, against the true value.

    The truth is what the formula as written gives in mpmath, at a precision at which the stable
    spelling gives the same; where the formula itself gives no number, as sin(x)/x at 0, the stable
    spelling alone. Gradients are by the parameters, or without any by the floating-point inputs.
    stabilize: certify the spelling that runs by default; else the naive one. Slow: meant for a
    few rows of data. GraphError for an output that is not floating point, and where there is none.
    """
    named = list(_named(outputs))
    if not named:
        raise GraphError("certify: there are no outputs")
    written = [node for _, node in named]
    stable, firings = stabilize_report(written)
    running = stable if stabilize else written
    truth = _truth(written, stable, feeds, seed)
    nodes = topological(running)
    bound = bind_leaves(written, feeds, seed=seed)
    with np.errstate(all="ignore"):
        computed = dict(
            zip(nodes, interpret(nodes, bound.arrays, bound.sizes, NumpyNamespace), strict=True)
        )
    precise = _in_mpmath(nodes, bound.arrays, bound.sizes, DIGITS[-1])
    sums = _sums(nodes)
    errors = {
        node: ulps(computed[node], precise[node], node, sums) if node.dtype in FLOATS else 0.0
        for node in nodes
    }
    rows = []
    for (name, _), root, true in zip(named, running, truth, strict=True):
        worst, loss = _worst(root, errors)
        error = ulps(computed[root], true, root, sums)
        undefined = all(map(mpmath.isnan, np.asarray(true).flat)) and np.size(true) > 0
        origin = _origin(worst, firings)
        rows.append(Row(name, error, worst, loss or error, origin, undefined))
    return Certificate(rows)


def _named(outputs: Nested) -> Iterator[tuple[str, Expr]]:
    """The outputs and their gradients, with names."""
    nodes = flatten(outputs)
    keys = list(outputs) if isinstance(outputs, Mapping) and len(outputs) == len(nodes) else None
    for place, node in enumerate(nodes):
        if node.dtype not in FLOATS:
            raise GraphError(f"certify: {text(node)} is {node.dtype}, not floating point")
        label = node.name or (f"output {place}" if place else "value")
        if keys is not None:
            label = str(keys[place])
        yield label, node
        if node.shape != ():
            continue
        inputs = [leaf for leaf in leaves([node], INPUT) if leaf.dtype in FLOATS]
        wrt = leaves([node], PARAMETER) or inputs
        for leaf, slope in zip(wrt, grad(node, wrt), strict=True):
            yield f"∂{label}/∂{leaf.name}", slope


def _in_mpmath(
    nodes: Sequence[Expr], arrays: Mapping[Expr, Array], sizes: Mapping[str, int], digits: int
) -> dict[Expr, Array]:
    with mpmath.workdps(digits), MpmathNamespace.settings():
        found = interpret(nodes, arrays, sizes, MpmathNamespace)
    return dict(zip(nodes, found, strict=True))


def _truth(
    written: Sequence[Expr], stable: Sequence[Expr], feeds: Feeds | None, seed: int
) -> list[Array]:
    """The true values: as written, once the precision suffices."""
    bound = bind_leaves(written, feeds, seed=seed)
    both = list(dict.fromkeys([*written, *stable]))
    for digits in DIGITS:
        found = _in_mpmath(both, bound.arrays, bound.sizes, digits)
        pairs = [(found[a], found[b]) for a, b in zip(written, stable, strict=True)]
        if all(_agree(a, b) for a, b in pairs):
            break
    return [np.where(_undefined(a, b), b, a) for a, b in pairs]


def _undefined(written: Array, stable: Array) -> Array:
    """Where only the stable spelling gives a number: the other one is undefined there, or would
    need more digits still, as log(1 - sigmoid(10000)) does."""
    pairs = zip(np.asarray(written).flat, np.asarray(stable).flat, strict=True)
    flat = [bool(mpmath.isnan(a) or (mpmath.isinf(a) and mpmath.isfinite(b))) for a, b in pairs]
    return np.array(flat, bool).reshape(np.shape(written))


def _agree(left: Array, right: Array) -> bool:
    """Whether two spellings give the same numbers, wherever the first gives one."""

    def same(a: Any, b: Any) -> bool:
        if mpmath.isnan(a) or a == b:
            return True
        return bool(mpmath.isfinite(a) and abs(a - b) <= abs(a) * mpmath.mpf("1e-25"))

    pairs = zip(np.asarray(left).flat, np.asarray(right).flat, strict=True)
    return all(same(a, b) for a, b in pairs)


def _sums(nodes: Sequence[Expr]) -> set[Expr]:
    """The nodes whose elements are made of sums, whose terms may cancel in the data itself."""
    found: set[Expr] = set()
    for node in nodes:
        if node.op in (SUM, EINSUM) or any(arg in found for arg in node.args):
            found.add(node)
    return found


def ulps(computed: Array, true: Array, node: Expr, sums: set[Expr]) -> float:
    """The largest error of an array in units in the last place: of each element, or, where the
    elements are sums, of the largest."""
    kind = node.dtype.type
    exact_values = [float(value) for value in np.asarray(true).flat]
    finite = [abs(value) for value in exact_values if np.isfinite(value)]
    floor = kind(max(finite, default=0.0) if node in sums else 0.0)

    def one(value: Any, exact: Any) -> float:
        rounded = kind(float(exact)) if not mpmath.isnan(exact) else kind(np.nan)
        if np.isnan(rounded) or value == rounded:
            return 0.0
        if not np.isfinite(value) or not np.isfinite(rounded):
            return float("inf")
        unit = mpmath.mpf(float(np.spacing(max(np.abs(rounded), floor))))
        return float(abs(mpmath.mpf(float(value)) - exact) / unit)

    pairs = zip(np.asarray(computed).flat, np.asarray(true).flat, strict=True)
    with np.errstate(all="ignore"):
        return max((one(value, exact) for value, exact in pairs), default=0.0)


def _worst(root: Expr, errors: Mapping[Expr, float]) -> tuple[Expr, float]:
    """The node below a root whose error exceeds its operands' most, and by how much."""
    worst, most = root, 0.0
    for node in topological([root]):
        before = max((errors[arg] for arg in node.args), default=0.0)
        gain = 0.0 if np.isinf(before) else errors[node] - before
        if gain > most:
            worst, most = node, gain
    return worst, most


def _origin(node: Expr, firings: Sequence[Firing]) -> Origin:
    """Where a node was written; of one that a rule or the chain rule made, which has the place of
    this very call, where the nearest thing below it was that the user wrote."""
    here = origin_here()
    became = {firing.right: firing.left for firing in firings}
    reached = {node: None}
    waiting = deque(reached)
    while waiting:
        each = waiting.popleft()
        source = became.get(each, each)
        if source.origin != here and source.args:
            return source.origin
        fresh = [arg for arg in (*source.args, *each.args) if arg not in reached]
        reached |= dict.fromkeys(fresh)
        waiting.extend(fresh)
    return node.origin
