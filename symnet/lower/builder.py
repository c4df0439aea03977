"""The program while it is being built: sizes, buffers, statements, and where each node lives."""

from __future__ import annotations

import typing
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count

import numpy as np

from codegen.ir import Any, Buffer, Extent, Loop, SizeRule, Statement, Store
from codegen.scalar import (
    FLOATS,
    Affine,
    Apply,
    Axis,
    Constant,
    Index,
    Indirect,
    Load,
    Ref,
    Scalar,
    affine,
    at,
)
from codegen.scalar import Size as SizeScalar
from symnet.expr import Expr
from symnet.sizes import Dimension, Shape, Size

Place = tuple[Affine, ...]
"""The index of one iteration of a loop nest: one axis a dimension."""


class Builder:
    """Collects a Program's parts. Node -> buffer for everything that has memory."""

    def __init__(self) -> None:
        self.sizes: dict[str, SizeRule] = {}
        self.buffers: dict[str, Buffer] = {}
        self.body: list[Statement] = []
        self.home: dict[Expr, str] = {}
        self.constants: dict[str, np.ndarray[typing.Any, typing.Any]] = {}
        self._operands: dict[tuple[float, str], str] = {}
        self._numbers = count()
        self._rules: dict[Size, str] = {}

    def free_size(self, name: str) -> str:
        """A size that the caller binds."""
        self.sizes.setdefault(name, SizeRule(name))
        return name

    def extent(self, size: Dimension) -> Extent:
        """The extent that stands for a size of the graph."""
        if not isinstance(size, Size):
            return size
        if size in self._rules:
            return self._rules[size]
        for name in sorted(size.names()):
            self.free_size(name)
        if size.terms == (((str(size),), 1),):
            return str(size)
        name = f"({size})"
        self.sizes[name] = SizeRule(name, tuple((by, names) for names, by in size.terms))
        self._rules[size] = name
        return name

    def number(self, value: float, dtype: str) -> Scalar:
        """A constant number. All but the plainest are operands of the kernels, not part of their
        text, so that another rate or another schedule compiles nothing."""
        if dtype not in FLOATS or value in (0.0, 1.0, -1.0, 2.0):
            return Constant(value, dtype)
        name = self._operands.get((value, dtype))
        if name is None:
            name = self.buffer(self.fresh("number"), (), dtype, "argument")
            self._operands[value, dtype] = name
            self.constants[name] = np.asarray(value, dtype)
        return self.load(name, ())

    def index_of(self, size: Dimension) -> Affine:
        """A size as an index."""
        if not isinstance(size, Size):
            return affine(size)
        terms: dict[Axis | SizeScalar, int] = {}
        offset = 0
        for names, by in size.terms:
            if names:
                terms[SizeScalar(str(self.extent(Size({names: 1}))))] = by
            else:
                offset = by
        return affine(offset, terms)

    def fresh(self, prefix: str) -> str:
        """A name not used before."""
        return f"{prefix}{next(self._numbers)}"

    def buffer(
        self, name: str, shape: Shape, dtype: str, scope: str, storage: str | None = None
    ) -> str:
        """A new buffer."""
        extents = tuple(self.extent(size) for size in shape)
        self.buffers[name] = Buffer(name, extents, dtype, scope, storage)
        return name

    def widen(self, name: str, axis: int, extent: Extent) -> None:
        """Gives a buffer another extent along an axis."""
        old = self.buffers[name]
        shape = (*old.shape[:axis], extent, *old.shape[axis + 1 :])
        self.buffers[name] = replace(old, shape=shape)

    def scratch(self, node: Expr, storage: str | None = None) -> str:
        """A step buffer that holds a node from now on."""
        name = self.buffer(self.fresh("t"), node.shape, str(node.dtype), "step", storage)
        self.home[node] = name
        return name

    def load(self, name: str, index: Sequence[Index]) -> Load:
        """An element of a buffer."""
        return Load(Ref(name, tuple(index)), self.buffers[name].dtype)

    def moved(self, index: Affine, by: int, offset: Dimension) -> Affine:
        """offset + by * index."""
        return combine(self.index_of(offset), index, by)

    def nest(self, shape: Shape, body: Callable[[Place], Sequence[Statement]], label: str) -> None:
        """Appends independent loops over a shape around the statements of `body(index)`."""
        axes = [f"i{place}" for place in range(len(shape))]
        inner = tuple(body(tuple(at(axis) for axis in axes)))
        for axis, size in reversed(list(zip(axes, shape, strict=True))):
            inner = (Loop(axis, self.extent(size), Any(), inner, label=label),)
        self.body.extend(inner)

    def fill(self, name: str, shape: Shape, value: Callable[[Place], Scalar], label: str) -> None:
        """Appends loops that store `value(index)` at every index of a buffer."""
        self.nest(shape, lambda index: [Store(Ref(name, index), value(index))], label)


def as_scalar(index: Index) -> Scalar:
    """An index as an int64 value."""
    if isinstance(index, Indirect):
        return Apply("cast", (Load(index.ref, "int64"),), "int64")
    total: Scalar | None = Constant(index.offset, "int64") if index.offset else None
    for symbol, by in index.terms:
        term: Scalar = symbol
        if by != 1:
            term = Apply("multiply", (Constant(by, "int64"), symbol), "int64")
        total = term if total is None else Apply("add", (total, term), "int64")
    return Constant(0, "int64") if total is None else total


def combine(left: Affine, right: Affine, by: int) -> Affine:
    """left + by * right."""
    terms = dict(left.terms)
    for symbol, coefficient in right.terms:
        terms[symbol] = terms.get(symbol, 0) + by * coefficient
    return affine(left.offset + by * right.offset, terms)
