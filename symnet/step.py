"""A step: named outputs and updates, the graph that one pass of the compiled program computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from symnet.errors import DtypeError, GraphError, NameClashError, ShapeError
from symnet.expr import Expr, topological
from symnet.ops.core import cast, describe
from symnet.ops.leaves import INPUT, PARAMETER, STATE, STEP
from symnet.sizes import show_shape

UPDATABLE = (PARAMETER, STATE, STEP)


@dataclass(frozen=True)
class Step:
    """What one pass computes.

    outputs: name -> expression, computed from the state before the pass. updates: pairs of a
    parameter or state leaf and its next value; all are computed before any takes effect.
    """

    outputs: Mapping[str, Expr]
    updates: tuple[tuple[Expr, Expr], ...] = ()

    def roots(self) -> list[Expr]:
        """Every expression it computes, outputs first."""
        return [*self.outputs.values(), *(value for _, value in self.updates)]

    @cached_property
    def held(self) -> tuple[Expr, ...]:
        """Its parameters and state, in topological order; NameClashError as from `leaves`."""
        return tuple(leaf for leaf in self.leaves().values() if leaf.op is not INPUT)

    def leaves(self, others: Sequence[Expr] = ()) -> dict[str, Expr]:
        """Inputs, parameters and state by name, in topological order, those of other expressions
        included; NameClashError if two share a name."""
        found: dict[str, Expr] = {}
        targets = [leaf for leaf, _ in self.updates]
        for node in topological([*self.roots(), *targets, *others]):
            if node.op in (INPUT, *UPDATABLE):
                other = found.setdefault(str(node.name), node)
                if other is not node and STEP in (other.op, node.op):
                    mine = node if other.op is STEP else other
                    raise NameClashError(
                        f"{node.name} is the step that training counts: give the {mine.op.name} "
                        f"made at {mine.origin} another name"
                    )
                if other is not node:
                    raise NameClashError(
                        f"two different things are called {node.name}: one made at "
                        f"{other.origin}, one at {node.origin}; give one of them another name"
                    )
        return found


def make_step(
    outputs: Mapping[str, Expr], updates: Mapping[Expr, Expr] | Sequence[tuple[Expr, Expr]] = ()
) -> Step:
    """A step, checked: only parameters and state are updated, each once, in shape and dtype.

    Raises GraphError, ShapeError or DtypeError where an update does not fit its target.
    """
    pairs = list(updates.items()) if isinstance(updates, Mapping) else list(updates)
    checked: dict[Expr, Expr] = {}
    for target, value in pairs:
        leaf: object = target
        if not isinstance(leaf, Expr) or leaf.op not in UPDATABLE:
            raise GraphError(f"only parameters and state can be updated, got {target!r}")
        if target in checked:
            raise GraphError(f"{target.name} is updated twice")
        if value.shape != target.shape:
            raise ShapeError(
                f"the update of {describe(target)} has the shape {show_shape(value.shape)}"
            )
        if value.dtype != target.dtype:
            if value.dtype.kind != "f" or value.dtype.itemsize > target.dtype.itemsize:
                raise DtypeError(
                    f"the update of {target.name} ({target.dtype}) is {value.dtype}: "
                    "write sn.astype(value, dtype)"
                )
            value = cast(value, target.dtype)
        checked[target] = value
    return Step(dict(outputs), tuple(checked.items()))
