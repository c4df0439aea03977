"""Scalar expressions: what one iteration of a loop computes.

A scalar is a frozen tree. Its leaves are constants, run-time sizes, loop axes, local values and
loads from buffers; its inner nodes apply a row of the intrinsics table (`codegen.intrinsics`).
Grammar, as `codegen.show` prints it:

    scalar := constant | <size> | axis | %local | buffer[index, ...] | function(scalar, ...)
    index  := affine | buffer[index, ...] < extent
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import copysign

Dtype = str
"""One of float32, float64, int32, int64, bool."""

FLOATS: tuple[Dtype, ...] = ("float32", "float64")
INTEGERS: tuple[Dtype, ...] = ("int32", "int64")


@dataclass(frozen=True, slots=True, eq=False)
class Constant:
    """Equal where the values are, but 0.0 is not -0.0: one cannot stand for the other."""

    value: float | int | bool
    dtype: Dtype

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Constant):
            return NotImplemented
        same = self.value == other.value and self.dtype == other.dtype
        return same and (self.value != 0 or copysign(1, self.value) == copysign(1, other.value))

    def __hash__(self) -> int:
        return hash((self.value, self.dtype))


@dataclass(frozen=True, slots=True)
class Size:
    """The value of a run-time size of the Program, an int64."""

    name: str
    dtype: Dtype = "int64"


@dataclass(frozen=True, slots=True)
class Axis:
    """The value of an enclosing loop's axis, an int64."""

    name: str
    dtype: Dtype = "int64"


@dataclass(frozen=True, slots=True)
class Local:
    """A value bound earlier in the same scope by a Let or by a fold."""

    name: str
    dtype: Dtype


@dataclass(frozen=True, slots=True)
class Affine:
    """offset + sum of coefficient * (axis or size); terms are sorted by kind and name."""

    offset: int = 0
    terms: tuple[tuple[Axis | Size, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Indirect:
    """An index read from an integer buffer; 0 <= value < bound is the caller's promise."""

    ref: Ref
    bound: int | str


Index = Affine | Indirect


class _Hashed:
    """Keeps its hash: passes look Refs up more often than they make them."""

    __slots__ = ("_hash",)
    _hash: int


@dataclass(frozen=True, slots=True)
class Ref(_Hashed):
    """One element of a buffer: an index a dimension."""

    buffer: str
    index: tuple[Index, ...]

    def __hash__(self) -> int:
        try:
            return self._hash
        except AttributeError:
            object.__setattr__(self, "_hash", hash((self.buffer, self.index)))
            return self._hash


@dataclass(frozen=True, slots=True)
class Load:
    ref: Ref
    dtype: Dtype


class Counted:
    """Keeps the number of its nodes, once somebody has counted them."""

    __slots__ = ("_count",)
    _count: int


@dataclass(frozen=True, slots=True)
class Apply(Counted):
    """One row of the intrinsics table applied to scalars.

    `select(condition, a, b)` evaluates only the branch taken: a load there may be out of bounds
    where the condition says otherwise.
    """

    function: str
    args: tuple[Scalar, ...]
    dtype: Dtype


Scalar = Constant | Size | Axis | Local | Load | Apply


def affine(offset: int = 0, terms: Mapping[Axis | Size, int] | None = None) -> Affine:
    """The canonical Affine of `offset` and `terms`: zero coefficients dropped, terms sorted."""
    kept = [(symbol, by) for symbol, by in (terms or {}).items() if by]
    kept.sort(key=lambda term: (isinstance(term[0], Size), term[0].name))
    return Affine(offset, tuple(kept))


@lru_cache(4096)
def at(axis: str) -> Affine:
    """The index that is just the axis."""
    return Affine(0, ((Axis(axis), 1),))


def loads(scalar: Scalar) -> Iterator[Ref]:
    """Every Ref a scalar reads, those inside indirect indices included, in order."""
    stack: list[Scalar] = [scalar]
    while stack:
        node = stack.pop()
        if isinstance(node, Apply):
            stack.extend(reversed(node.args))
        elif isinstance(node, Load):
            yield from nested_refs(node.ref)


def nested_refs(ref: Ref) -> Sequence[Ref]:
    """The Ref itself and every Ref its indices read."""
    found = [ref]
    for index in ref.index:
        if isinstance(index, Indirect):
            found += nested_refs(index.ref)
    return found
