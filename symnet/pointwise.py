"""Elementwise functions read from SymPy formulas.

A formula is read once, node by node, while SymPy's automatic evaluation is off, and becomes a
template over our own primitives in the order and grouping in which it was written. SymPy neither
rebuilds nor simplifies it: that changes what floating point makes of it. Only a part without
variables, such as sqrt(2/pi), becomes the number it stands for.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from symnet.errors import DtypeError, GraphError
from symnet.expr import Expr, origin_here
from symnet.functions import pointwise as f
from symnet.lazy import sympy
from symnet.ops.core import FLOATS, broadcast, common_shape, describe, number, operands
from symnet.ops.leaves import check_name
from symnet.ops.pointwise import ones, zeros

Slot = int


def _heaviside(x: Expr, at_zero: object = 0.5) -> Expr:
    return f.where(x > 0, ones(x), f.where(f.equal(x, 0), at_zero, zeros(x)))


# SymPy's class -> the function of its converted arguments.
_FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    **{name: getattr(f, name) for name in (
        "exp", "log", "expm1", "log1p", "sin", "cos", "tan", "asin", "acos", "atan", "sinh",
        "cosh", "tanh", "asinh", "acosh", "atanh", "atan2", "sign", "floor", "erf", "erfc",
    )},
    "Abs": f.abs,
    "ceiling": lambda x: -f.floor(-x),
    "sec": lambda x: 1 / f.cos(x),
    "csc": lambda x: 1 / f.sin(x),
    "cot": lambda x: 1 / f.tan(x),
    "sech": lambda x: 1 / f.cosh(x),
    "csch": lambda x: 1 / f.sinh(x),
    "coth": lambda x: 1 / f.tanh(x),
    "Heaviside": _heaviside,
    "StrictLessThan": f.less,
    "LessThan": f.less_equal,
    "StrictGreaterThan": f.greater,
    "GreaterThan": f.greater_equal,
    "Equality": f.equal,
    "Unequality": f.not_equal,
    "Not": f.logical_not,
    "ITE": f.where,
}  # fmt: skip
# Folded over their arguments from the left.
_FOLDS: Final[dict[str, Callable[..., Any]]] = {
    "Max": f.maximum, "Min": f.minimum, "And": f.logical_and, "Or": f.logical_or,
}  # fmt: skip


@dataclass(frozen=True)
class _Step:
    """A value computed from those in earlier slots, or a number."""

    function: Callable[..., Expr] | None
    slots: tuple[Slot, ...] = ()
    value: float = 0.0

    def run(self, values: list[Expr]) -> Expr:
        if self.function is None:
            return number(self.value, values[0].dtype)
        return self.function(*(values[slot] for slot in self.slots))


@dataclass(frozen=True)
class PointwiseFunction:
    """A function of floating-point expressions, applied element by element.

    Call it with expressions or numbers, by place or by name; they broadcast as in any op.
    """

    name: str
    signature: inspect.Signature
    steps: tuple[_Step, ...]
    result: Slot

    def __call__(self, *args: object, **kwargs: object) -> Expr:
        """The formula of these operands, of their common shape and dtype.

        Raises GraphError for arguments that do not fit the signature or are not expressions or
        numbers, DtypeError unless they are floating point, ShapeError if they do not broadcast.
        """
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise GraphError(f"{self}: {error} (at {origin_here()})") from None
        bound.apply_defaults()
        nodes = operands(self.name, list(bound.arguments.values()))
        for node in nodes:
            if node.dtype not in FLOATS:
                raise DtypeError(
                    f"{self} takes floating-point numbers, {describe(node)} is {node.dtype}: "
                    f"write sn.astype(x, dtype) (at {origin_here()})"
                )
        shape = common_shape(self.name, nodes)
        values = list(nodes)
        for step in self.steps:
            values.append(step.run(values))
        return broadcast(values[self.result], shape)

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(self.signature.parameters)})"


def pointwise(name: str, sympy_function: Callable[..., Any]) -> PointwiseFunction:
    """An elementwise function from a SymPy formula: `pointwise("swish", lambda x, beta: x / (1 +
    sympy.exp(-beta * x)))`.

    sympy_function is called once, with real symbols called as its parameters, and returns a SymPy
    expression; a parameter's default serves where the call leaves it out. Derivative, printing
    and kernels follow from the primitives. Defining a name again makes another function; nothing
    built with the former changes.

    Raises GraphError for a formula that holds anything without a primitive, such as a Bessel
    function, an `if`, or a Piecewise without a last (value, True).
    """
    check_name(name, "a pointwise function")
    signature = _signature(name, sympy_function)
    with _as_written(name):
        symbols = [sympy.Symbol(key, real=True) for key in signature.parameters]
        tree = sympy_function(*symbols)
        reader = _Reader(name, symbols)
        result = reader.read(_node(name, tree))
    return PointwiseFunction(name, signature, tuple(reader.steps), result)


def _signature(name: str, function: Callable[..., Any]) -> inspect.Signature:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        raise GraphError(
            f"{name}: expected a function of named parameters, got {function!r}"
        ) from None
    fixed = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if not signature.parameters or any(
        item.kind not in fixed for item in signature.parameters.values()
    ):
        raise GraphError(f"{name}: the parameters must be named, as in lambda x, beta: ...")
    return signature


@contextmanager
def _as_written(name: str) -> Iterator[None]:
    """SymPy without automatic evaluation; what it refuses becomes an error of ours."""
    try:
        with sympy.evaluate(False):
            yield
    except TypeError as error:
        if isinstance(error, GraphError):
            raise
        raise GraphError(
            f"{name}: {error}; the formula must be made of SymPy's functions, with "
            "sympy.Piecewise in place of if and sympy.exp in place of math.exp"
        ) from error


def _node(name: str, value: Any) -> Any:
    """A SymPy node from what the user's function returned; text is never read."""
    if isinstance(value, (bool, int, float)):
        return sympy.Float(value) if isinstance(value, float) else sympy.Integer(int(value))
    if not isinstance(value, sympy.Basic):
        raise GraphError(f"{name}: the function returned {value!r}, not a SymPy expression")
    if _is_condition(value):
        raise GraphError(f"{name}: {value} is a condition, not a number: use sympy.Piecewise")
    return value


class _Reader:
    """Converts a SymPy tree to steps: each computes one value from earlier ones. The first slots
    hold the parameters. Equal subtrees are read once."""

    def __init__(self, name: str, symbols: list[Any]) -> None:
        self.name = name
        self.steps: list[_Step] = []
        self._slots: dict[Any, Slot] = {symbol: slot for slot, symbol in enumerate(symbols)}
        self._first = len(symbols)
        self._varies: dict[Any, bool] = dict.fromkeys(symbols, True)

    def emit(self, function: Callable[..., Expr], *slots: Slot) -> Slot:
        """Adds a step; its slot."""
        return self._add_step(_Step(function, slots))

    def _add_step(self, step: _Step) -> Slot:
        self.steps.append(step)
        return self._first + len(self.steps) - 1

    def varies(self, node: Any) -> bool:
        """Whether a node depends on a parameter."""
        if node not in self._varies:
            self._varies[node] = any([self.varies(arg) for arg in node.args])
        return self._varies[node]

    def read(self, node: Any) -> Slot:
        """The slot of a node."""
        if node not in self._slots:
            self._slots[node] = self._read(node)
        return self._slots[node]

    def _read(self, node: Any) -> Slot:
        kind = node.func.__name__
        if not self.varies(node):
            return self._constant(node)
        if kind in ("Add", "Mul", "Pow", "Piecewise"):
            method: Callable[[Any], Slot] = getattr(self, f"_{kind.lower()}")
            return method(node)
        if kind in _FOLDS:
            return self._fold(_FOLDS[kind], [self.read(arg) for arg in node.args])
        if kind == "log" and len(node.args) == 2:
            argument, base = (self.read(sympy.log(arg)) for arg in node.args)
            return self.emit(f.divide, argument, base)
        if kind not in _FUNCTIONS:
            known = ", ".join([*sorted([*_FUNCTIONS, *_FOLDS]), "Piecewise"])
            raise GraphError(
                f"{self.name}: {kind} has no primitive; a formula may use + - * / **, numbers and "
                f"{known}"
            )
        return self.emit(_FUNCTIONS[kind], *(self.read(arg) for arg in node.args))

    def _fold(self, function: Callable[..., Any], slots: list[Slot]) -> Slot:
        total = slots[0]
        for slot in slots[1:]:
            total = self.emit(function, total, slot)
        return total

    def _constant(self, node: Any) -> Slot:
        return self._add_step(_Step(None, value=self._number(node)))

    def _number(self, node: Any) -> float | int:
        if node.is_Integer:
            return int(node)
        if _is_condition(node):
            raise GraphError(f"{self.name}: the condition {node} depends on no variable")
        try:
            value = float(node.evalf(25))
        except (TypeError, ValueError):
            value = float("nan")
        if value != value:
            raise GraphError(f"{self.name}: {node} is not a real number")
        return value

    def _add(self, node: Any) -> Slot:
        total = self.read(node.args[0])
        for arg in node.args[1:]:
            taken = _taken_away(arg)
            if taken:
                total = self.emit(f.subtract, total, self._product(taken))
            else:
                total = self.emit(f.add, total, self.read(arg))
        return total

    def _mul(self, node: Any) -> Slot:
        if node.args[0] is sympy.S.NegativeOne:
            return self.emit(f.negative, self._product(node.args[1:]))
        return self._product(node.args)

    def _product(self, factors: Sequence[Any]) -> Slot:
        first, *rest = factors
        total = self.read(first)
        for factor in rest:
            if _is_reciprocal(factor):
                total = self.emit(f.divide, total, self.read(factor.args[0]))
            else:
                total = self.emit(f.multiply, total, self.read(factor))
        return total

    def _pow(self, node: Any) -> Slot:
        base, exponent = node.args
        if base is sympy.E:
            return self.emit(f.exp, self.read(exponent))
        if _is_reciprocal(node):
            return self.emit(f.reciprocal, self.read(base))
        if exponent.is_Rational and exponent.q == 2 and abs(exponent.p) == 1:
            return self.emit(f.sqrt if exponent.p == 1 else f.rsqrt, self.read(base))
        return self.emit(f.pow, self.read(base), self.read(exponent))

    def _piecewise(self, node: Any) -> Slot:
        *cases, (otherwise, always) = (pair.args for pair in node.args)
        if always != sympy.true:
            raise GraphError(
                f"{self.name}: the last case of a Piecewise must be (value, True), so that it has "
                "a value everywhere"
            )
        total = self.read(otherwise)
        for value, condition in reversed(cases):
            total = self.emit(f.where, self.read(condition), self.read(value), total)
        return total


def _taken_away(term: Any) -> tuple[Any, ...]:
    """The factors of what a term of a sum subtracts: SymPy keeps a - 2*b as a + (-2)*b."""
    first, *rest = term.args if term.is_Mul else (term,)
    if not (first.is_Number and first.is_negative):
        return ()
    return tuple(rest) if first is sympy.S.NegativeOne and rest else (-first, *rest)


def _is_reciprocal(node: Any) -> bool:
    return bool(node.is_Pow and node.args[1] is sympy.S.NegativeOne)


def _is_condition(node: Any) -> bool:
    return isinstance(node, sympy.logic.boolalg.Boolean) and not node.is_Symbol
