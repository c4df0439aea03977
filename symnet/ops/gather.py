"""Gather and its adjoint, scatter-add: elements picked by an integer array.

A specification names each axis by a letter: `n*,n->n` picks one element a row, `*k,pq->pqk` takes
whole rows. The star is the axis that the index runs over; every letter stands in the result.
"""

from __future__ import annotations

import string
from typing import Any

from symnet.errors import DtypeError, ShapeError
from symnet.expr import Attributes, Dtype, Expr, Op, Tangents, make, origin_here
from symnet.ops.core import INTEGERS, describe
from symnet.sizes import Dimension, Shape


def parts(spec: str) -> tuple[str, str, str]:
    """The letters of the source, of the index and of the result."""
    left, out = spec.split("->")
    source, index = left.split(",")
    return source, index, out


def _letter_sizes(spec: str, pairs: list[tuple[str, Expr]]) -> dict[str, Dimension]:
    sizes: dict[str, Dimension] = {}
    for letters, node in pairs:
        for letter, size in zip(letters, node.shape, strict=True):
            if sizes.setdefault(letter, size) != size:
                raise ShapeError(
                    f"gather {spec}: {' and '.join(describe(n) for _, n in pairs)} do not fit: "
                    f"{sizes[letter]} and {size} differ (at {origin_here()})"
                )
    return sizes


def _ahead(spec: str, lead: int) -> str:
    """The specification with `lead` more axes before the source's and the result's."""
    source, index, out = parts(spec)
    letters = next(letter for letter in string.ascii_letters if letter not in spec)[:lead]
    return f"{letters}{source},{index}->{letters}{out}"


class Gather(Op):
    """result[...] = source[..., index[...], ...]. args: source, index. attrs: spec."""

    name = "gather"

    def infer(self, args: tuple[Expr, ...], attrs: Attributes) -> tuple[Shape, Dtype]:
        source, index, out = parts(attrs["spec"])
        if args[1].dtype not in INTEGERS:
            raise DtypeError(
                f"an index must be int32 or int64, {describe(args[1])} is {args[1].dtype} "
                f"(at {origin_here()})"
            )
        sizes = _letter_sizes(attrs["spec"], [(source, args[0]), (index, args[1])])
        return tuple(sizes[letter] for letter in out), args[0].dtype

    def value(self, xp: Any, node: Expr, *args: Any) -> Any:
        return xp.gather(node.attrs["spec"], *args)

    def pullback(self, node: Expr, adjoint: Expr, index: int) -> Expr | None:
        if index == 1:
            return None
        source = parts(node.attrs["spec"])[0]
        size = node.args[0].shape[source.index("*")]
        return scatter_add(adjoint, node.args[1], node.attrs["spec"], size)

    def pushforward(self, node: Expr, tangents: Tangents, lead: int) -> Expr | None:
        if tangents[0] is None:
            return None
        return gather(tangents[0], node.args[1], _ahead(node.attrs["spec"], lead))


class ScatterAdd(Op):
    """Zeros to which each value is added at its index. args: values, index. attrs: spec of the
    gather whose adjoint this is, size of the starred axis."""

    name = "scatter_add"

    def infer(self, args: tuple[Expr, ...], attrs: Attributes) -> tuple[Shape, Dtype]:
        source, index, out = parts(attrs["spec"])
        sizes = _letter_sizes(attrs["spec"], [(out, args[0]), (index, args[1])])
        sizes["*"] = attrs["size"]
        return tuple(sizes[letter] for letter in source), args[0].dtype

    def value(self, xp: Any, node: Expr, *args: Any) -> Any:
        return xp.scatter_add(node.attrs["spec"], *args, xp.sizes(node.shape))

    def pullback(self, node: Expr, adjoint: Expr, index: int) -> Expr | None:
        return gather(adjoint, node.args[1], node.attrs["spec"]) if index == 0 else None

    def pushforward(self, node: Expr, tangents: Tangents, lead: int) -> Expr | None:
        if tangents[0] is None:
            return None
        spec = _ahead(node.attrs["spec"], lead)
        return scatter_add(tangents[0], node.args[1], spec, node.attrs["size"])


GATHER, SCATTER_ADD = Gather(), ScatterAdd()


def gather(source: Expr, index: Expr, spec: str) -> Expr:
    """The elements of `source` that `index` picks."""
    return make(GATHER, (source, index), spec=spec)


def scatter_add(values: Expr, index: Expr, spec: str, size: Dimension) -> Expr:
    """The adjoint of `gather`: values added up where their index says."""
    return make(SCATTER_ADD, (values, index), spec=spec, size=size)
