"""Pointwise primitives: the machinery of a row. The rows stand in `table.py`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from symnet.errors import DtypeError
from symnet.expr import Attributes, Dtype, Expr, Op, Tangents, make, origin_here
from symnet.ops.core import (
    BOOL,
    FLOATS,
    broadcast,
    cast,
    common_shape,
    describe,
    number,
    operands,
    scalar_constant,
)
from symnet.sizes import Shape

Partial = Callable[..., Expr | None]
"""partial(y, *args) -> the derivative of y by one argument, in expressions; None means zero."""


@dataclass(frozen=True, eq=False, repr=False)
class Pointwise(Op):
    """A row: a function of scalars applied element by element.

    name: the array API's name. value: its meaning over an array namespace. partials: one an
    argument, from the result and the arguments, stated once for both modes. accepts: `float`,
    `number` or `any` operands, or `bool`. gives: `same` as the operands, or `bool`. domain: the
    interval of each argument in which tests draw. analytic: whether the value extends to complex
    arguments, so that the complex step is exact. convention: what is chosen where the derivative
    does not exist. text, latex: how the function's name prints.
    """

    name: str
    value_of: Callable[..., Any]
    partials: tuple[Partial, ...]
    accepts: str = "float"
    gives: str = "same"
    domain: tuple[tuple[float, float], ...] = ((-3.0, 3.0),)
    analytic: bool = True
    convention: str = ""
    text: str = ""
    latex: str = ""

    def __post_init__(self) -> None:
        # As a plain function has: help(sn.tanh) and sn.tanh.__name__ say what it is.
        names = ("x", "y", "z")[: self.arity] if self.arity <= 3 else ("*x",)
        about = f" {self.convention[:1].upper()}{self.convention[1:]}." if self.convention else ""
        object.__setattr__(self, "__name__", self.name)
        text = (
            f"{self.name}({', '.join(names)}), element by element, broadcast to one shape.{about}"
        )
        object.__setattr__(self, "__doc__", text)

    @property
    def arity(self) -> int:
        """The number of arguments."""
        return len(self.partials)

    def infer(self, args: tuple[Expr, ...], attrs: Attributes) -> tuple[Shape, Dtype]:
        kind = args[-1].dtype
        allowed = {"float": kind in FLOATS, "number": kind != BOOL, "bool": kind == BOOL}
        if not allowed.get(self.accepts, True):
            wanted = {"float": "floating-point", "number": "numeric", "bool": "boolean"}
            raise DtypeError(
                f"{self.name} takes {wanted[self.accepts]} operands, got "
                f"{', '.join(f'{describe(arg)} {arg.dtype}' for arg in args)}: "
                f"write sn.astype(x, dtype) (at {origin_here()})"
            )
        return args[-1].shape, BOOL if self.gives == "bool" else kind

    def value(self, xp: Any, node: Expr, *args: Any) -> Any:
        return self.value_of(xp, *args)

    def pullback(self, node: Expr, adjoint: Expr, index: int) -> Expr | None:
        if node.dtype not in FLOATS:
            return None
        partial = self.partials[index](node, *node.args)
        return None if partial is None else times(adjoint, partial)

    def pushforward(self, node: Expr, tangents: Tangents, lead: int) -> Expr | None:
        if node.dtype not in FLOATS:
            return None
        total: Expr | None = None
        for tangent, partial in zip(tangents, self.partials, strict=True):
            local = None if tangent is None else partial(node, *node.args)
            if tangent is not None and local is not None:
                term = times(tangent, local)
                total = term if total is None else total + term
        return total

    def __call__(self, *values: object) -> Expr:
        """The function of its operands, broadcast to one shape."""
        nodes = operands(self.name, values)
        shape = common_shape(self.name, nodes)
        return make(self, tuple(broadcast(node, shape) for node in nodes))


class Select(Pointwise):
    """where(condition, a, b): the adjoint of a select is a select."""

    def infer(self, args: tuple[Expr, ...], attrs: Attributes) -> tuple[Shape, Dtype]:
        if args[0].dtype != BOOL:
            raise DtypeError(f"where takes a boolean condition, got {args[0].dtype}")
        return args[1].shape, args[1].dtype

    def pullback(self, node: Expr, adjoint: Expr, index: int) -> Expr | None:
        if index == 0 or node.dtype not in FLOATS:
            return None
        zero = zeros(node)
        pair = (adjoint, zero) if index == 1 else (zero, adjoint)
        return make(self, (node.args[0], *pair))

    def pushforward(self, node: Expr, tangents: Tangents, lead: int) -> Expr | None:
        given = [tangent for tangent in tangents[1:] if tangent is not None]
        if not given:
            return None
        pair = [zeros(given[0]) if tangent is None else tangent for tangent in tangents[1:]]
        return make(self, (broadcast(node.args[0], given[0].shape), *pair))

    def __call__(self, *values: object) -> Expr:
        condition, first, second = values
        pair = operands(self.name, (first, second))
        if isinstance(condition, (bool, int, float)):
            condition = number(bool(condition), BOOL)
        (test,) = operands(self.name, (condition,))
        shape = common_shape(self.name, (test, *pair))
        return make(self, tuple(broadcast(node, shape) for node in (test, *pair)))


def zeros(like: Expr) -> Expr:
    """Zeros of the shape and dtype of another expression."""
    return broadcast(number(0, like.dtype), like.shape)


def ones(like: Expr) -> Expr:
    """Ones of the shape and dtype of another expression."""
    return broadcast(number(1, like.dtype), like.shape)


def times(left: Expr, right: Expr) -> Expr:
    """The product, without the factors that are exactly one."""
    if scalar_constant(left) == 1 and right.shape == left.shape:
        return right
    if scalar_constant(right) == 1:
        return left
    return left * right


def indicator(condition: Expr, like: Expr) -> Expr:
    """1 where the condition holds, else 0, in the dtype of `like`."""
    return cast(condition, like.dtype)
