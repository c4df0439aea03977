"""The loop IR: few concepts, all frozen.

    program   := sizes, buffers, body
    statement := Loop | Let | Store | Yield | Contraction | Until | Barrier
    order     := Any | Tree | Sequence

A Program is printed by `codegen.show`, checked by `codegen.check` and executed, slowly and
obviously, by `codegen.interpret`. Passes take a Program and return a Program.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from codegen.scalar import Counted, Dtype, Local, Ref, Scalar, at

Extent = int | str
"""A fixed number of iterations, or the name of a run-time size."""

STRANDS = 16
"""How many partial results a run of a fold has side by side: a vector of them on any machine."""

SCOPES = ("argument", "state", "step", "tile")


@dataclass(frozen=True, slots=True)
class SizeRule:
    """How a run-time size follows from others: the sum of coefficient * product of names.

    A rule without terms is a free size: the caller binds it.
    """

    name: str
    terms: tuple[tuple[int, tuple[str, ...]], ...] = ()

    def value(self, known: Mapping[str, int]) -> int:
        """The size's value from the values of the sizes before it."""
        total = 0
        for coefficient, names in self.terms:
            for name in names:
                coefficient *= known[name]
            total += coefficient
        return total


@dataclass(frozen=True, slots=True)
class Buffer:
    """A dense row-major array.

    scope: `argument` belongs to the caller, `state` lives as long as the executable, `step` is
    scratch in the arena, `tile` is scratch private to one tile. `storage` names the buffer whose
    memory this one views under another shape of equally many elements (a reshape).
    """

    name: str
    shape: tuple[Extent, ...]
    dtype: Dtype
    scope: str
    storage: str | None = None


@dataclass(frozen=True, slots=True)
class Any:
    """Iterations are independent. `tile`: how many in a row one worker takes; None inside one."""

    tile: int | None = None


@dataclass(frozen=True, slots=True)
class Tree:
    """A fold: iterations yield values that the monoid merges; the results are bound as `names`.

    The tree is part of the meaning, because it fixes the bits. In each run of `leaf` iterations the
    strands s = 0, ..., STRANDS - 1 each fold the iterations s, s + STRANDS, ... of the run in order
    from the identity; strand s is merged with strand s + 8, then with s + 4, s + 2, s + 1. A monoid
    that is ordered has one strand. The runs' results are merged pairwise, neighbours first, an odd
    one left over passing up unmerged.
    """

    monoid: str
    names: tuple[str, ...]
    dtypes: tuple[Dtype, ...]
    leaf: int = 1024


@dataclass(frozen=True, slots=True)
class Ragged:
    """Where the axis is t the size `name` is min(batch, total - (t mod ceil(total/batch)) * batch);
    sizes whose rules use it follow. Outside the loop it has its value at t = 0."""

    name: str
    batch: str
    total: str


@dataclass(frozen=True, slots=True)
class Sequence:
    """Iterations follow one another; `ragged` sizes change with the iteration."""

    ragged: tuple[Ragged, ...] = ()


Order = Any | Tree | Sequence


@dataclass(frozen=True, slots=True)
class Loop(Counted):
    """The axis runs over start, start + 1, ..., start + extent - 1."""

    axis: str
    extent: Extent
    order: Order
    body: tuple[Statement, ...]
    start: Extent = 0
    label: str = ""


@dataclass(frozen=True, slots=True)
class Let:
    name: str
    value: Scalar


@dataclass(frozen=True, slots=True)
class Store:
    ref: Ref
    value: Scalar


@dataclass(frozen=True, slots=True)
class Yield:
    """The last statement of a Tree loop's body: what this iteration gives to the fold."""

    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Factor:
    """A whole buffer with one letter a dimension."""

    buffer: str
    letters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Contraction(Counted):
    """For each choice of `letters`, whose first is the outermost: `result` is bound to the sum over
    the terms of the sum over all other letters of left * right; then the body (Lets and Stores)
    runs with the letters as its axes. `tile` counts the first letter's values in one tile."""

    letters: tuple[str, ...]
    terms: tuple[tuple[Factor, Factor], ...]
    extents: tuple[tuple[str, Extent], ...]
    result: str
    dtype: Dtype
    body: tuple[Statement, ...]
    tile: int | None = None
    label: str = ""

    @property
    def shared(self) -> Extent | None:
        """The extent of the first letter, which workers share out; None without letters."""
        return dict(self.extents)[self.letters[0]] if self.letters else None


@dataclass(frozen=True, slots=True)
class Until:
    """Leave the enclosing sequence here if the bool element is true (the same for all workers)."""

    ref: Ref


@dataclass(frozen=True, slots=True)
class Barrier:
    """All workers finish what stands above before any starts what stands below."""


Statement = Loop | Let | Store | Yield | Contraction | Until | Barrier


def contraction_into(
    out: Factor,
    terms: tuple[tuple[Factor, Factor], ...],
    extents: tuple[tuple[str, Extent], ...],
    dtype: Dtype,
    label: str = "",
) -> Contraction:
    """The contraction that stores each sum at its letters in `out` and does nothing else."""
    result = f"sum_{out.buffer}"
    target = Ref(out.buffer, tuple(map(at, out.letters)))
    body = (Store(target, Local(result, dtype)),)
    return Contraction(out.letters, terms, extents, result, dtype, body, label=label)


def is_driver(statement: Statement) -> bool:
    """True for a sequence that all workers walk through together: one that is ragged, or whose body
    directly holds an Any loop, a Contraction, an Until, a Barrier or another such sequence. Every
    other sequence is a part of one tile."""
    if not isinstance(statement, Loop) or not isinstance(statement.order, Sequence):
        return False
    return bool(statement.order.ragged) or any(
        isinstance(inner, Contraction | Until | Barrier)
        or (isinstance(inner, Loop) and isinstance(inner.order, Any))
        or is_driver(inner)
        for inner in statement.body
    )


def is_single(statement: Statement) -> bool:
    """True for what is one tile when it stands between kernels: a Let, a Store, a Tree, or a
    sequence that is no driver. Neighbours of this kind are one kernel and may share locals."""
    if isinstance(statement, Loop):
        return not isinstance(statement.order, Any) and not is_driver(statement)
    return isinstance(statement, Let | Store)


@dataclass(frozen=True, slots=True)
class Program:
    """Sizes in the order they are computed, buffers, statements; `slots` group step buffers that
    share memory (empty until memory is planned)."""

    name: str
    sizes: tuple[SizeRule, ...]
    buffers: tuple[Buffer, ...]
    body: tuple[Statement, ...]
    slots: tuple[tuple[str, ...], ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)

    def buffer(self, name: str) -> Buffer:
        """The buffer of that name; KeyError if there is none."""
        for buffer in self.buffers:
            if buffer.name == name:
                return buffer
        raise KeyError(name)
