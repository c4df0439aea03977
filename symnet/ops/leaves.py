"""Inputs, parameters, the step, named intermediates and unknown functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from symnet.errors import DtypeError, NameClashError, ShapeError, UnknownFunctionError
from symnet.expr import Attributes, Dtype, Expr, Op, Tangents, make, origin_here, topological
from symnet.ops.core import BOOL, DTYPES, FLOAT64, default_dtype, dtype_of, operands
from symnet.room import room_told
from symnet.sizes import Shape, shape_of, show_shape, size_names

# A name in quotes: NumPy imports its generators when they are first looked at.
Initialiser = Callable[[tuple[int, ...], "np.random.Generator"], np.ndarray[Any, Any]]
"""init(shape, generator) -> a float64 array of that shape."""


class Leaf(Op):
    """A node without operands, equal only to itself. attrs: name, shape, dtype."""

    def __init__(self, name: str) -> None:
        self.name = name

    def infer(self, args: tuple[Expr, ...], attrs: Attributes) -> tuple[Shape, Dtype]:
        return attrs["shape"], DTYPES[attrs["dtype"]]

    def value(self, xp: Any, node: Expr, *args: Any) -> Any:
        return xp.leaf(node)


class Named(Op):
    """Its operand, under a name that formulas show. attrs: name."""

    name = "named"

    def infer(self, args: tuple[Expr, ...], attrs: Attributes) -> tuple[Shape, Dtype]:
        return args[0].shape, args[0].dtype

    def value(self, xp: Any, node: Expr, *args: Any) -> Any:
        return args[0]

    def pullback(self, node: Expr, adjoint: Expr, index: int) -> Expr | None:
        return adjoint

    def pushforward(self, node: Expr, tangents: Tangents, lead: int) -> Expr | None:
        return tangents[0]


class Unknown(Op):
    """An unknown function of one scalar, or a derivative of it. attrs: name, order."""

    name = "unknown"

    def infer(self, args: tuple[Expr, ...], attrs: Attributes) -> tuple[Shape, Dtype]:
        return args[0].shape, args[0].dtype

    def value(self, xp: Any, node: Expr, *args: Any) -> Any:
        label = node.attrs["name"] + "′" * node.attrs["order"]
        raise UnknownFunctionError(
            f"{label} is an unknown function (made at {node.origin}): it prints and differentiates "
            "but has no values; define it with sn.pointwise to compute with it"
        )

    def _derivative(self, node: Expr) -> Expr:
        attrs = node.attrs
        return make(UNKNOWN, node.args, name=attrs["name"], order=attrs["order"] + 1)

    def pullback(self, node: Expr, adjoint: Expr, index: int) -> Expr | None:
        return adjoint * self._derivative(node)

    def pushforward(self, node: Expr, tangents: Tangents, lead: int) -> Expr | None:
        return None if tangents[0] is None else tangents[0] * self._derivative(node)


# Every input and parameter that is still in use, by serial number.
_alive: WeakValueDictionary[int, Expr] = WeakValueDictionary()


def _remembered(leaf: Expr) -> Expr:
    _alive[leaf.serial] = leaf
    return leaf


def leaves_called(name: object) -> list[Expr]:
    """The inputs and parameters of that name that are still in use."""
    return [leaf for leaf in list(_alive.values()) if leaf.name == name]


@dataclass(eq=False)
class Next:
    """What a state becomes after a step. Filled in once the state exists, since it reads it."""

    value: Any = None


INPUT, PARAMETER = Leaf("input"), Leaf("parameter")
STATE, STEP = Leaf("state"), Leaf("step")
NAMED, UNKNOWN = Named(), Unknown()


@dataclass(frozen=True, eq=False)
class Start:
    """How a parameter starts: an array, or an initialiser that draws one."""

    array: np.ndarray[Any, Any] | None = None
    initialiser: Initialiser | None = None


def check_name(name: object, what: str) -> str:
    """The name, if it is an identifier, possibly with dots; NameClashError otherwise."""
    if isinstance(name, str) and all(part.isidentifier() for part in name.split(".")):
        return name
    raise NameClashError(f"the name of {what} must be an identifier such as W_1, got {name!r}")


def input(name: str, shape: object = (), dtype: object = None) -> Expr:
    """Data of the given name and shape; a str in the shape is a named run-time size.

    The dtype defaults to `default_dtype` (float32). Two inputs are equal only if they are the
    same object.
    """
    kind = default_dtype.current if dtype is None else dtype_of(dtype)
    leaf = make(
        INPUT,
        identity=True,
        name=check_name(name, "an input"),
        shape=shape_of(shape),
        dtype=str(kind),
    )
    return _remembered(leaf)


def parameter(name: str, shape: object = None, init: object = None, dtype: object = None) -> Expr:
    """A quantity that training changes, with its starting value.

    init: an array, a list, a number (repeated over the shape), an initialiser of `sn.init`, or
    None for zeros. Without a shape the value's own shape is taken. The dtype must be floating
    point and defaults to `default_dtype`. ShapeError if value and shape differ, OutOfMemoryError if
    there is no room for it.
    """
    kind = default_dtype.current if dtype is None else dtype_of(dtype)
    if kind.kind != "f":
        raise DtypeError(f"a parameter must be float32 or float64, {name} is {kind}")
    check_name(name, "a parameter")
    if callable(init):
        start = Start(initialiser=init)
        wanted = fixed(shape_of(() if shape is None else shape), name)
    else:
        array = _numbers(name, 0.0 if init is None else init)
        wanted = fixed(array.shape if shape is None else shape_of(shape), name)
        if array.shape not in ((), wanted):
            raise ShapeError(
                f"parameter {name}: the value is {show_shape(array.shape)}, the shape "
                f"{show_shape(wanted)} (at {origin_here()})"
            )
        with room_told(f"parameter {name} (at {origin_here()})", wanted, kind):
            start = Start(array=np.broadcast_to(array, wanted).astype(kind))
    leaf = make(PARAMETER, identity=True, name=name, shape=wanted, dtype=str(kind), start=start)
    return _remembered(leaf)


def _numbers(name: str, value: object) -> np.ndarray[Any, Any]:
    try:
        given = np.asarray(value)
    except ValueError:
        given = np.asarray(None)
    if given.dtype.kind not in "biuf":
        raise DtypeError(
            f"parameter {name}: init is an array, a number or an initialiser such as "
            f"sn.init.glorot_uniform, got {value!r} (at {origin_here()})"
        )
    return given.astype(np.float64)


def fixed(shape: Shape, name: str) -> tuple[int, ...]:
    """A parameter's shape, which may name no run-time size."""
    if size_names(shape):
        raise ShapeError(f"parameter {name}: a parameter's sizes are fixed, got {shape}")
    return tuple(size for size in shape if isinstance(size, int))


def state_leaf(name: str, shape: Shape, dtype: Dtype) -> Expr:
    """What an optimizer remembers from step to step, starting at zeros."""
    wanted = fixed(shape, name)
    with room_told(f"the state {name}", wanted, dtype):
        start = Start(array=np.zeros(wanted, dtype))
    return make(STATE, identity=True, name=name, shape=shape, dtype=str(dtype), start=start)


def state(
    name: str, value: object, next: Expr | Callable[[Expr], Expr], dtype: object = None
) -> Expr:
    """A quantity that training carries along without deriving it, such as a running mean.

    value: what it starts from, a number or an array. next: its value after each training step, an
    expression or a function that makes one from the state; `fit` applies it, and nothing else
    does. The dtype defaults to `default_dtype`. ShapeError or DtypeError unless next is like it.
    """
    kind = default_dtype.current if dtype is None else dtype_of(dtype)
    array = np.asarray(value, kind)
    shape, start, after = array.shape, Start(array=array), Next()
    leaf = make(
        STATE,
        identity=True,
        name=check_name(name, "a state"),
        shape=shape,
        dtype=str(kind),
        start=start,
        next=after,
    )
    after.value = next(leaf) if callable(next) else next
    if after.value.shape != shape or after.value.dtype != kind:
        raise ShapeError(
            f"state {name} is {show_shape(shape)} {kind}, its next value "
            f"{show_shape(after.value.shape)} {after.value.dtype} (at {origin_here()})"
        )
    return leaf


def next_values(outputs: Sequence[Expr]) -> list[tuple[Expr, Expr]]:
    """The states that outputs depend on, directly or through each other, with what follows."""
    found: dict[Expr, Expr] = {}
    roots = list(outputs)
    for root in roots:
        for node in topological([root]):
            after = node.attrs.get("next") if node.op is STATE else None
            if after is not None and node not in found:
                found[node] = after.value
                roots.append(after.value)
    return list(found.items())


def named(name: str, expr: object) -> Expr:
    """The expression, as an intermediate that formulas show by this name."""
    (node,) = operands("named", (expr,))
    return make(NAMED, (node,), name=check_name(name, "an intermediate"))


def function(name: str) -> Callable[[object], Expr]:
    """An unknown function of one argument, elementwise: prints f and f′, refuses to compile."""
    check_name(name, "a function")

    def apply(argument: object) -> Expr:
        (node,) = operands(name, (argument,))
        return make(UNKNOWN, (node,), name=name, order=0)

    return apply


step = _remembered(make(STEP, identity=True, name="k", shape=(), dtype=str(FLOAT64)))
training = make(INPUT, identity=True, name="training", shape=(), dtype=str(BOOL))


def leaves(outputs: Any, op: Op) -> list[Expr]:
    """The leaves of one kind that outputs depend on, in topological order.

    NameClashError if two of them share a name.
    """
    found = [node for node in topological(outputs) if node.op is op]
    names: dict[str, Expr] = {}
    for node in found:
        other = names.setdefault(node.attrs["name"], node)
        if other is not node:
            raise NameClashError(
                f"two {op.name}s are called {node.name}: one made at {other.origin}, one at "
                f"{node.origin}; give one of them another name"
            )
    return found
