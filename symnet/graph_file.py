"""A graph as JSON and arrays, and back: data only, nothing that a reader would execute.

A node is {"op": name, "args": [earlier nodes], "attrs": {...}}. Sizes, tuples and arrays in
attributes are written as {"size": ...}, {"tuple": ...} and {"array": key}.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from symnet import init
from symnet.errors import SymnetError, TrainingError
from symnet.expr import Expr, make, topological
from symnet.feeds import limits_of
from symnet.ops.core import BROADCAST
from symnet.ops.leaves import (
    INPUT,
    PARAMETER,
    STATE,
    STEP,
    Initialiser,
    Start,
    check_name,
    step,
    training,
)
from symnet.ops.pointwise import Pointwise
from symnet.ops.registry import OPS
from symnet.ops.views import PLACE, SLICE
from symnet.reference.starts import starting_value
from symnet.sizes import Size

Array = np.ndarray[Any, Any]
IDENTITIES = (INPUT, PARAMETER, STATE, STEP)


DRAWS: dict[str, Initialiser] = {
    row.__name__: row
    for row in (
        *(init.zeros, init.ones, init.glorot_uniform, init.glorot_normal),
        *(init.he_uniform, init.he_normal, init.lecun_uniform, init.lecun_normal),
    )
}
"""The initialisers that a file may name."""


def _named_initialiser(start: Start) -> str | None:
    name = getattr(start.initialiser, "__name__", "")
    return name if DRAWS.get(name) is start.initialiser else None


class _Writer:
    def __init__(self) -> None:
        self.arrays: dict[str, Array] = {}

    def keep(self, array: Array) -> dict[str, str]:
        key = f"array{len(self.arrays)}"
        self.arrays[key] = array
        return {"array": key}

    def value(self, item: Any) -> Any:
        if isinstance(item, Size):
            return {"size": [[list(names), by] for names, by in item.terms]}
        if isinstance(item, tuple):
            return {"tuple": [self.value(part) for part in item]}
        if isinstance(item, np.ndarray):
            return self.keep(item)
        if isinstance(item, float):
            return {"float": item.hex()}
        return item

    def attrs(self, node: Expr, seed: int) -> dict[str, Any]:
        # What a state becomes is among the updates; a slice's start is a tuple like any other.
        start = node.attrs.get("start")
        own = {
            name for name, v in node.attrs.items() if name != "next" and not isinstance(v, Start)
        }
        found = {name: self.value(node.attrs[name]) for name in sorted(own)}
        if isinstance(start, Start):
            drawn = _named_initialiser(start)
            array = None if drawn else starting_value(node, seed)
            found["start"] = {"draw": drawn} if array is None else self.keep(array)
        return found


def write(
    roots: Sequence[Expr], seed: int
) -> tuple[list[dict[str, Any]], dict[Expr, int], dict[str, Array]]:
    """The nodes that roots depend on, the number of each, and the arrays they refer to.

    A starting value drawn by an initialiser of `sn.init` stays a draw; any other is stored as
    the array that `seed` gives.
    """
    writer = _Writer()
    order = topological(roots)
    numbers = {node: place for place, node in enumerate(order)}
    nodes = [
        {
            "op": node.op.name,
            "args": [numbers[arg] for arg in node.args],
            "attrs": writer.attrs(node, seed),
        }
        for node in order
    ]
    return nodes, numbers, writer.arrays


def _read_value(item: Any, arrays: Mapping[str, Array]) -> Any:
    if not isinstance(item, dict):
        return item
    ((kind, content),) = item.items()
    if kind == "size":
        return Size({tuple(names): int(by) for names, by in content})
    if kind == "tuple":
        return tuple(_read_value(part, arrays) for part in content)
    if kind == "float":
        return float.fromhex(content)
    if kind == "draw":
        return Start(initialiser=DRAWS[content])
    array = arrays[content].copy()
    array.setflags(write=False)
    return array


def _read_node(entry: Mapping[str, Any], made: Sequence[Expr], arrays: Mapping[str, Array]) -> Expr:
    op = OPS[entry["op"]]
    attrs = {name: _read_value(item, arrays) for name, item in entry["attrs"].items()}
    if op is STEP:
        return step
    if "name" in attrs:
        check_name(attrs["name"], f"a node of the file ({op.name})")
    if op is INPUT and attrs["name"] == training.name:
        return training
    if isinstance(attrs.get("start"), np.ndarray):
        attrs["start"] = Start(array=attrs["start"])
    args = tuple(made[place] for place in entry["args"] if 0 <= place < len(made))
    if len(args) != len(entry["args"]):
        raise TrainingError(f"the file's {op.name} refers to a node that does not come before it")
    node = make(op, args, identity=op in IDENTITIES, **attrs)
    _check_axes(node)
    return node


def _check_axes(node: Expr) -> None:
    """TrainingError for a node that would read outside its operand, as no function makes one."""
    attrs, inner = node.attrs, node.args[0].shape if node.args else ()
    fits = True
    if node.op is BROADCAST:
        own = node.shape[node.ndim - len(inner) :]
        fits = len(own) == len(inner) <= node.ndim and all(
            small in (1, wide) for small, wide in zip(inner, own, strict=True)
        )
    elif node.op.name == "permute":
        fits = sorted(attrs["axes"]) == list(range(len(inner)))
    elif "axes" in attrs:
        fits = list(attrs["axes"]) == sorted(set(attrs["axes"]) & set(range(len(inner))))
    elif isinstance(node.op, Pointwise):
        fits = all(arg.shape == node.shape for arg in node.args)
    if node.op in (SLICE, PLACE):
        ranks = {len(attrs["start"]), len(attrs["step"]), len(inner), node.ndim}
        fits = len(ranks) == 1 and all(isinstance(by, int) and by for by in attrs["step"])
    if not fits:
        raise TrainingError(f"the file's {node.op.name} does not fit its operand")
    limits_of([node])


def read(entries: Sequence[Mapping[str, Any]], arrays: Mapping[str, Array]) -> list[Expr]:
    """The expressions that `write` wrote. TrainingError if the file does not describe a graph."""
    made: list[Expr] = []
    for place, entry in enumerate(entries):
        try:
            made.append(_read_node(entry, made, arrays))
        except SymnetError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise TrainingError(f"node {place} of the file is damaged: {error!r}") from error
    return made
