"""A rule is an equation between expressions; a structural rule says one about shapes.

A pattern is an expression whose leaves are variables. A variable of shape `()` stands for an
expression of any shape. A pattern of matrices stands for arrays of any rank: its axis 0 (size A)
for all axes that are kept, its axis 1 (size B) for all axes that a reduction or softmax goes over.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from symnet.expr import Expr, make, topological
from symnet.ops.core import FLOAT64, INT64, scalar_constant
from symnet.ops.leaves import Leaf
from symnet.sizes import shape_of

VARIABLE = Leaf("variable")
MATRIX, ROWS = ("A", "B"), ("A",)
Interval = tuple[float, float]
REALS: Interval = (-math.inf, math.inf)


def variable(
    name: str,
    shape: tuple[str, ...] = (),
    dtype: object = FLOAT64,
    accepts: Callable[[Expr], bool] | None = None,
) -> Expr:
    """A leaf of a pattern: matches any expression, or those that `accepts` says."""
    return make(
        VARIABLE,
        identity=True,
        name=name,
        shape=shape_of(shape),
        dtype=str(dtype),
        accepts=accepts,
    )


def index_variable(name: str) -> Expr:
    """A leaf of a pattern that stands for one integer a row."""
    return variable(name, ROWS, INT64)


def is_constant(node: Expr) -> bool:
    """Whether every element is one known finite number that is not zero."""
    value = scalar_constant(node)
    return value is not None and math.isfinite(value) and value != 0


def is_surely_finite(node: Expr) -> bool:
    """Whether every element is finite whatever is fed: finite constants and sizes of axes."""
    value = scalar_constant(node)
    if value is not None:
        return math.isfinite(value)
    return node.op.name == "size"


@dataclass(frozen=True, eq=False)
class Rule:
    """left = right wherever the left side is defined in the reals.

    reason: why the right side is better. domain: the interval of each variable, the reals where
    none is stated. remark: what a formula says behind `computed as: left = right`. smooth: whether
    the right side has the left side's derivatives of every order by the chain rule. text, latex:
    how the right side prints where its own expression would be hard to read; an equals sign in it
    means that it replaces the left side too. `<x>` stands for what the variable or term x is.
    terms: expressions over the variables that text and latex mention. shown: whether a formula
    says that it was used.
    """

    name: str
    left: Expr
    right: Expr
    reason: str
    domain: Mapping[str, Interval] = field(default_factory=dict)
    remark: str = "same function"
    smooth: bool = True
    text: str = ""
    latex: str = ""
    terms: Mapping[str, Expr] = field(default_factory=dict)
    shown: bool = True

    @property
    def roots(self) -> tuple[str, ...]:
        """The names of the ops at which it can fire."""
        return (self.left.op.name,)

    @cached_property
    def needs(self) -> frozenset[str]:
        """The ops that must stand under the root of whatever the left side matches."""
        return frozenset(
            arg.op.name
            for arg in self.left.args
            if arg.op is not VARIABLE
            and arg.op.name not in ("broadcast", "reshape", "constant")
            and not (arg.op.name == "multiply" and arg.args[0] is arg.args[1])
            and scalar_constant(arg) is None
        )

    @cached_property
    def variables(self) -> tuple[Expr, ...]:
        """The variables of the left side, as they come."""
        return tuple(node for node in topological([self.left]) if node.op is VARIABLE)

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


@dataclass(frozen=True, eq=False)
class Structural:
    """A family of equations that one pattern cannot state.

    Their shapes and axes are attributes, or they hold up to associativity; `rewrite` gives the
    right side for a left side, or None. examples: left sides at which it fires. error: the
    relative difference of both sides, for a right side that is a series. among: ops one of which
    must stand under the root, if any are stated. shown: whether a formula
    says that it was used; not where only values that are selected away change.
    """

    name: str
    roots: tuple[str, ...]
    rewrite: Callable[[Expr], Expr | None]
    reason: str
    examples: Callable[[], tuple[Expr, ...]]
    remark: str = "same function"
    smooth: bool = True
    text: str = ""
    latex: str = ""
    terms: Mapping[str, Expr] = field(default_factory=dict)
    error: float = 0.0
    among: frozenset[str] = frozenset()
    shown: bool = True

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


AnyRule = Rule | Structural
