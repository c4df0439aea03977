"""The graph: hash-consed expressions.

An Expr is an op applied to Exprs. Equal expressions are one object, so common subexpressions are
found by construction and `is` is equality; `==` is the elementwise comparison. Parameters and
inputs are equal only by identity.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import count
from types import MappingProxyType
from typing import Any, ClassVar
from weakref import WeakValueDictionary

import numpy as np

from symnet.errors import GraphError
from symnet.sizes import Shape

Dtype = np.dtype[Any]
Attributes = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an expression was written: the user's file and line, and the layer, if any."""

    file: str
    line: int
    layer: str | None = None

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}"
        return f"layer {self.layer}, {place}" if self.layer else place


Tangents = tuple["Expr | None", ...]


@dataclass(frozen=True, eq=False)
class Derivation:
    """How derivatives came about: `again` makes them anew from another spelling of `outputs`."""

    outputs: tuple[Expr, ...]
    again: Callable[[list[Expr]], list[Expr]]


class Op:
    """A row of the op table. Subclasses state its shapes, its value and its derivative."""

    name: str

    def infer(self, args: tuple[Expr, ...], attrs: Attributes) -> tuple[Shape, Dtype]:
        """Shape and dtype of the result; ShapeError or DtypeError if the operands do not fit."""
        raise NotImplementedError(self.name)

    def value(self, xp: Any, node: Expr, *args: Any) -> Any:
        """The result over the array namespace `xp`, from the operands' values."""
        raise NotImplementedError(self.name)

    def pullback(self, node: Expr, adjoint: Expr, index: int) -> Expr | None:
        """The adjoint's contribution to operand `index`; None where that is zero."""
        raise NotImplementedError(self.name)

    def pushforward(self, node: Expr, tangents: Tangents, lead: int) -> Expr | None:
        """The result's tangent from the operands' tangents; None means zero.

        Tangents have `lead` axes (0 or 1) before their operand's own: many directions at once.
        """
        raise NotImplementedError(self.name)

    def __repr__(self) -> str:
        return f"<op {self.name}>"


class Expr:
    """One node of the graph.

    op: its row; args: operands; attrs: what else decides its value; shape: sizes, integers or
    names; dtype: a NumPy dtype. `serial` numbers nodes in the order of their making. `derived`
    says of what it was made as a derivative, if the chain rule made it.
    """

    __slots__ = (
        *("__weakref__", "args", "attrs", "derived", "dtype", "op"),
        *("origin", "serial", "shape"),
    )
    op: Op
    args: tuple[Expr, ...]
    attrs: Attributes
    shape: Shape
    dtype: Dtype
    origin: Origin
    serial: int
    derived: tuple[Derivation, int] | None

    __array_ufunc__ = None
    dispatch: ClassVar[dict[str, Callable[..., Any]]] = {}

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def name(self) -> str | None:
        """The name of an input, parameter or named intermediate, else None."""
        return self.attrs.get("name")

    def parameters(self) -> list[Expr]:
        """The parameters it depends on, in topological order; NameClashError if two share a
        name."""
        found: list[Expr] = Expr.dispatch["parameters"](self)
        return found

    def __getattr__(self, name: str) -> Any:
        hint = f"; write sn.{name}(x, ...)" if name in Expr.dispatch else ""
        raise AttributeError(f"an expression has no attribute {name!r}{hint}", name=name, obj=self)

    # By identity, as it is without __eq__; every set and dict of the graph asks for it.
    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        raise GraphError(
            "an expression has no truth value while the graph is built: use sn.where(condition, "
            f"a, b) in place of if, and `is` for identity (expression at {self.origin})"
        )

    def __float__(self) -> float:
        raise GraphError(
            f"an expression is not a number; sn.evaluate(expr, feeds) computes it "
            f"(expression at {self.origin})"
        )

    __int__ = __index__ = __complex__ = __float__

    def __iter__(self) -> Iterator[Expr]:
        raise GraphError(f"an expression cannot be iterated over (expression at {self.origin})")

    def __len__(self) -> int:
        raise GraphError(f"use .shape in place of len() (expression at {self.origin})")

    def __contains__(self, item: object) -> bool:
        raise GraphError("`in` has no meaning for an expression")

    def __array__(self, *args: object, **kwargs: object) -> np.ndarray[Any, Any]:
        raise GraphError(
            f"an expression is not an array; sn.evaluate(expr, feeds) computes it "
            f"(expression at {self.origin})"
        )

    def __copy__(self) -> Expr:
        return self

    def __deepcopy__(self, memo: object) -> Expr:
        return self

    def __str__(self) -> str:
        return str(Expr.dispatch["str"](self))

    def __repr__(self) -> str:
        shape = "×".join(map(str, self.shape)) or "scalar"
        leaf = f"{self.op.name} " if self.name is not None and not self.args else ""
        return f"<{leaf}{self} : {shape} {self.dtype}>"

    def _repr_latex_(self) -> str:
        return f"${Expr.dispatch['latex'](self)}$"

    @property
    def T(self) -> Expr:
        """The transpose of a matrix."""
        return _apply("transpose", self)

    def __getitem__(self, key: object) -> Expr:
        return _apply("getitem", self, key)

    def __neg__(self) -> Expr:
        return _apply("negative", self)

    def __pos__(self) -> Expr:
        return self

    def __abs__(self) -> Expr:
        return _apply("abs", self)

    def __invert__(self) -> Expr:
        return _apply("logical_not", self)

    def __add__(self, other: object) -> Expr:
        return _apply("add", self, other)

    def __radd__(self, other: object) -> Expr:
        return _apply("add", other, self)

    def __sub__(self, other: object) -> Expr:
        return _apply("subtract", self, other)

    def __rsub__(self, other: object) -> Expr:
        return _apply("subtract", other, self)

    def __mul__(self, other: object) -> Expr:
        return _apply("multiply", self, other)

    def __rmul__(self, other: object) -> Expr:
        return _apply("multiply", other, self)

    def __truediv__(self, other: object) -> Expr:
        return _apply("divide", self, other)

    def __rtruediv__(self, other: object) -> Expr:
        return _apply("divide", other, self)

    def __pow__(self, other: object) -> Expr:
        return _apply("pow", self, other)

    def __rpow__(self, other: object) -> Expr:
        return _apply("pow", other, self)

    def __matmul__(self, other: object) -> Expr:
        return _apply("matmul", self, other)

    def __rmatmul__(self, other: object) -> Expr:
        return _apply("matmul", other, self)

    def __and__(self, other: object) -> Expr:
        return _apply("logical_and", self, other)

    def __rand__(self, other: object) -> Expr:
        return _apply("logical_and", other, self)

    def __or__(self, other: object) -> Expr:
        return _apply("logical_or", self, other)

    def __ror__(self, other: object) -> Expr:
        return _apply("logical_or", other, self)

    def __lt__(self, other: object) -> Expr:
        return _apply("less", self, other)

    def __le__(self, other: object) -> Expr:
        return _apply("less_equal", self, other)

    def __gt__(self, other: object) -> Expr:
        return _apply("greater", self, other)

    def __ge__(self, other: object) -> Expr:
        return _apply("greater_equal", self, other)

    def __eq__(self, other: object) -> Expr:  # type: ignore[override]
        return _apply("equal", self, other)

    def __ne__(self, other: object) -> Expr:  # type: ignore[override]
        return _apply("not_equal", self, other)


def _apply(function: str, *operands: object) -> Expr:
    result: Expr = Expr.dispatch[function](*operands)
    return result


_table: WeakValueDictionary[tuple[Hashable, ...], Expr] = WeakValueDictionary()
_lock = threading.Lock()
_serial = count()
_layer: ContextVar[str | None] = ContextVar("layer", default=None)


@contextmanager
def layer_scope(name: str) -> Iterator[None]:
    """Expressions made inside say that they belong to the layer of that name."""
    token = _layer.set(name)
    try:
        yield
    finally:
        _layer.reset(token)


def origin_here() -> Origin:
    """The innermost frame that is not symnet's own."""
    frame = sys._getframe(1)
    while frame.f_back and f"{frame.f_globals.get('__name__')}.".startswith("symnet."):
        frame = frame.f_back
    return Origin(frame.f_code.co_filename, frame.f_lineno, _layer.get())


def _key(value: Any) -> Hashable:
    """What makes two attribute values the same: 0.0 and -0.0, 1 and 1.0 and True differ."""
    if isinstance(value, np.ndarray):
        return ("array", value.shape, value.dtype.str, value.tobytes())
    if isinstance(value, float):
        return ("float", value.hex())
    if isinstance(value, tuple):
        return tuple(_key(item) for item in value)
    return (type(value).__name__, value)


def make(op: Op, args: tuple[Expr, ...] = (), identity: bool = False, **attrs: Any) -> Expr:
    """The expression `op(*args)`; the existing one if it has been made before.

    With `identity` the node is new and equal to no other: inputs, parameters, random draws.
    Raises ShapeError or DtypeError where the operands do not fit.
    """
    key: tuple[Hashable, ...] = (op.name, *map(id, args))
    key += tuple((name, _key(attrs[name])) for name in sorted(attrs))
    if not identity:
        with _lock:
            found = _table.get(key)
        if found is not None:
            return found
    shape, dtype = op.infer(args, attrs)
    node = object.__new__(Expr)
    node.op, node.args, node.attrs = op, args, MappingProxyType(attrs)
    node.shape, node.dtype, node.origin = shape, dtype, origin_here()
    node.serial, node.derived = next(_serial), None
    if identity:
        return node
    with _lock:
        return _table.setdefault(key, node)


def topological(outputs: Iterable[Expr]) -> list[Expr]:
    """Every node the outputs depend on, operands before users, in a deterministic order."""
    order: list[Expr] = []
    seen: set[Expr] = set()
    # Below a None waits a node all of whose operands have been seen to.
    stack: list[Expr | None] = list(reversed(list(outputs)))
    while stack:
        node = stack.pop()
        if node is None:
            node = stack.pop()
            assert node is not None
            order.append(node)
        elif node not in seen:
            seen.add(node)
            if node.args:
                stack += (node, None)
                stack += [arg for arg in reversed(node.args) if arg not in seen]
            else:
                order.append(node)
    return order


def rebuild(node: Expr, args: tuple[Expr, ...]) -> Expr:
    """The same op with the same attributes over other operands; the node itself if equal."""
    if all(new is old for new, old in zip(args, node.args, strict=True)):
        return node
    return make(node.op, args, **node.attrs)


def substitute(outputs: Iterable[Expr], replacements: Mapping[Expr, Expr]) -> list[Expr]:
    """The outputs with every occurrence of a key replaced by its value, bottom-up."""
    roots = list(outputs)
    made: dict[Expr, Expr] = {}
    for node in topological(roots):
        if node in replacements:
            made[node] = replacements[node]
        else:
            made[node] = rebuild(node, tuple(made[arg] for arg in node.args))
    return [made[root] for root in roots]
