"""Compute pointwise producers where they are consumed, in place of storing and loading them.

A producer is a perfect nest of Any loops around lets and one store into scratch, at an index that
is the nest's axes. It goes into its consumers if that stores less and computes (nearly) no more:
if one consumer wants each value once, or if the value is cheap.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from codegen.intrinsics import INTRINSICS
from codegen.ir import (
    Any,
    Buffer,
    Contraction,
    Extent,
    Let,
    Loop,
    Statement,
    Store,
    Until,
    is_driver,
)
from codegen.passes.access import Roots, accesses
from codegen.passes.rewrite import NotAnIndex, Substitution, cost, count, size_of
from codegen.scalar import (
    Affine,
    Apply,
    Axis,
    Index,
    Load,
    Local,
    Ref,
    Scalar,
    at,
    loads,
    nested_refs,
)
from codegen.walk import nodes, scalars_of

BUDGET = 150
"""How many scalar nodes a kernel may grow to: compilers take long over longer ones."""
SMALL = 8
"""A value of more nodes is spelled out once only where its nest can merge with its consumer's."""
CHEAP_COST = 4
CHEAP_LOADS = 2


@dataclass(frozen=True, slots=True)
class Producer:
    """The value of `ref`, whose indices `places` are the nest's axes, `domain` from outside in."""

    ref: Ref
    places: Mapping[int, str]
    value: Scalar
    domain: tuple[tuple[str, Extent], ...]

    def at_load(self, load: Load) -> Scalar:
        """The value the load would read. Raises NotAnIndex if it cannot be spelled there."""
        axes: dict[str, Index] = {}
        for place, (own, wanted) in enumerate(zip(self.ref.index, load.ref.index, strict=True)):
            if place in self.places:
                axes[self.places[place]] = wanted
            elif own != wanted:
                raise NotAnIndex
        return Substitution(axes).scalar(self.value)


def _target(statement: Statement) -> str | None:
    """The buffer that the statement would be the producer of."""
    body: tuple[Statement, ...] = (statement,)
    while len(body) == 1 and isinstance(loop := body[0], Loop) and isinstance(loop.order, Any):
        body = loop.body
    return body[-1].ref.buffer if body and isinstance(body[-1], Store) else None


def producer(statement: Statement) -> Producer | None:
    """The statement as a producer, if it is one."""
    axes: dict[str, Extent] = {}
    body: tuple[Statement, ...] = (statement,)
    while len(body) == 1 and isinstance(loop := body[0], Loop) and isinstance(loop.order, Any):
        axes[loop.axis] = loop.extent
        body = loop.body
    *lets, last = body or (statement,)
    if not isinstance(last, Store):
        return None
    bound: dict[str, Scalar] = {}
    for let in lets:
        if not isinstance(let, Let):
            return None
        bound[let.name] = Substitution(locals=bound).scalar(let.value)
        # Spelled out, shared values multiply: past the budget nobody could take it anyway.
        if count(bound[let.name]) > BUDGET:
            return None
    value = Substitution(locals=bound).scalar(last.value)
    places = {
        place: axis for axis in axes for place, i in enumerate(last.ref.index) if i == at(axis)
    }
    if sorted(places.values()) != sorted(axes) or not _is_free(last.ref, places):
        return None
    if any(isinstance(node, Local) for node in nodes(value)):
        return None
    return Producer(last.ref, places, value, tuple(axes.items()))


def _is_free(ref: Ref, places: Mapping[int, str]) -> bool:
    """True if the other indices use none of the nest's axes and load nothing."""
    own = set(places.values())
    return all(
        place in places
        or (isinstance(index, Affine) and not any(s.name in own for s, _ in index.terms))
        for place, index in enumerate(ref.index)
    )


def substitute(
    body: tuple[Statement, ...], buffers: Mapping[str, Buffer], roots: Roots, outside: set[str]
) -> tuple[Statement, ...]:
    """The statements with producers computed at their consumers where that pays.

    `outside`: the roots that are touched by other statements than these, and those with views.
    """
    state = _State(body, buffers, roots, outside)
    for number in range(len(body)):
        state.try_to_move(number)
    return tuple(statement for statement in state.body if statement is not None)


@dataclass(slots=True)
class _State:
    source: tuple[Statement, ...]
    buffers: Mapping[str, Buffer]
    roots: Roots
    outside: set[str]
    body: list[Statement | None] = field(default_factory=list)
    readers: defaultdict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    writers: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        self.body = list(self.source)
        for number, statement in enumerate(self.source):
            for access in accesses(statement, self.roots):
                if access.writes and number not in self.writers[access.root][-1:]:
                    insort(self.writers[access.root], number)
                elif not access.writes:
                    self.readers[access.root].add(number)

    def try_to_move(self, number: int) -> None:
        """Compute this statement at its consumers, if it is a producer and that pays."""
        statement = self.body[number]
        target = None if statement is None else _target(statement)
        if statement is None or target is None or not self._is_private(target, number):
            return
        consumers = sorted(self.readers[target])
        if not consumers or consumers[0] <= number or (made := producer(statement)) is None:
            return
        sources = {self.roots[ref.buffer] for ref in loads(made.value)}
        if not self._stays_valid(sources, number, consumers) or not self._pays(made, consumers):
            return
        try:
            changed = [self._consume(made, self.body[place]) for place in consumers]
        except NotAnIndex:
            return
        self.body[number] = None
        for place, new in zip(consumers, changed, strict=True):
            self.body[place] = new
            for source in sources:
                self.readers[source].add(place)
        for source in sources:
            self.readers[source].discard(number)
        self.readers[made.ref.buffer].clear()

    def _is_private(self, name: str, number: int) -> bool:
        return (
            self.buffers[name].scope in ("step", "tile")
            and self.buffers[name].storage is None
            and name not in self.outside
            and self.writers[name] == [number]
        )

    def _stays_valid(self, sources: Iterable[str], number: int, consumers: list[int]) -> bool:
        """True if nothing the value reads is written after it, up to the last consumer itself."""
        return all(
            bisect_right(self.writers[source], number)
            == bisect_right(self.writers[source], consumers[-1])
            for source in sources
        )

    def _pays(self, made: Producer, consumers: list[int]) -> bool:
        size = count(made.value)
        wanted: set[Ref] = set()
        repeated = False
        for place in consumers:
            statement = self.body[place]
            if statement is None or _needs_memory(statement, made.ref.buffer):
                return False
            found = list(_uses(statement, made.ref.buffer, (), guarded=False))
            if size_of(statement) + len(found) * size > BUDGET:
                return False
            if len(found) > 1 and size > SMALL and _merges(made, statement, found[0][0]):
                return False
            wanted.update(ref for ref, _ in found)
            repeated = repeated or any(again for _, again in found)
        if _is_cheap(made.value):
            return True
        once = len(consumers) == len(wanted) == 1 and not repeated
        return once and not self._has_kin(made)

    def _has_kin(self, made: Producer) -> bool:
        """True if another nest over the same domain computes most of the value: there it costs
        little more, and next to nothing is gained by storing what it is made of instead."""
        sought = _kin(made.value)
        if not sought:
            return False
        places = {place for ref in loads(made.value) for place in self.readers[ref.buffer]}
        for place in sorted(places):
            statement = self.body[place]
            other = producer(statement) if statement is not None else None
            if other is None or other.ref.buffer == made.ref.buffer:
                continue
            if [extent for _, extent in other.domain] != [extent for _, extent in made.domain]:
                continue
            axes = {theirs: at(ours) for (theirs, _), (ours, _) in
                    zip(other.domain, made.domain, strict=True)}  # fmt: skip
            if sought & set(nodes(Substitution(axes).scalar(other.value))):
                return True
        return False

    def _consume(self, made: Producer, statement: Statement | None) -> Statement:
        assert statement is not None, "a consumer is still there"

        def put(load: Load) -> Scalar:
            return made.at_load(load) if load.ref.buffer == made.ref.buffer else load

        return Substitution(load=put).statement(statement)


def _kin(value: Scalar) -> set[Scalar]:
    """What shares its work with a part of the value."""
    return {
        Apply(INTRINSICS[node.function].kin, node.args, node.dtype)
        for node in nodes(value)
        if isinstance(node, Apply) and INTRINSICS[node.function].kin
    }


def _needs_memory(statement: Statement, buffer: str) -> bool:
    """True if the consumer cannot compute the buffer's values itself."""
    match statement:
        case Contraction():
            return buffer in {factor.buffer for pair in statement.terms for factor in pair}
        case Until(ref):
            return buffer in {one.buffer for one in nested_refs(ref)}
        case Loop():
            return is_driver(statement) or any(_needs_memory(s, buffer) for s in statement.body)
    return False


def _merges(made: Producer, statement: Statement, wanted: Ref) -> bool:
    """True if the consumer's outer loops are the producer's, so that a local can pass the value."""
    axes: dict[str, str] = {}
    for axis, extent in made.domain:
        if not isinstance(statement, Loop) or not isinstance(statement.order, Any):
            return False
        if statement.extent != extent or not statement.body:
            return False
        axes[axis] = statement.axis
        statement = statement.body[-1]
    return all(wanted.index[place] == at(axes[axis]) for place, axis in made.places.items())


def _is_cheap(value: Scalar) -> bool:
    if not any(isinstance(node, Load | Axis) for node in nodes(value)):
        # The same in every iteration: it is computed once a kernel, however often it is wanted.
        return True
    return cost(value) <= CHEAP_COST and len(set(loads(value))) <= CHEAP_LOADS


def _uses(
    statement: Statement, buffer: str, axes: tuple[str, ...], *, guarded: bool
) -> Iterable[tuple[Ref, bool]]:
    """Each load of the buffer, and whether it stands where its value is wanted more than once.

    A load that uses the outer axes alone can be computed once in the outer loop, but not out of a
    branch, nor out of the kernel.
    """
    if isinstance(statement, Loop | Contraction):
        own = (statement.axis,) if isinstance(statement, Loop) else statement.letters
        for inner in statement.body:
            yield from _uses(inner, buffer, (*axes, *own), guarded=guarded)
    for scalar in scalars_of(statement):
        for load, in_branch in _loads(scalar):
            for ref in _of_buffer(load.ref, buffer):
                yield ref, _repeats(ref, axes, in_branch)
    if isinstance(statement, Store):
        for ref in _of_buffer(statement.ref, buffer):
            yield ref, _repeats(ref, axes, True)


def _of_buffer(ref: Ref, buffer: str) -> list[Ref]:
    return [one for one in nested_refs(ref) if one.buffer == buffer]


def _loads(scalar: Scalar) -> Iterable[tuple[Load, bool]]:
    stack = [(scalar, False)]
    while stack:
        node, in_branch = stack.pop()
        if isinstance(node, Load):
            yield node, in_branch
        elif isinstance(node, Apply):
            lazy = node.function == "select"
            stack.extend((arg, in_branch or (lazy and n > 0)) for n, arg in enumerate(node.args))


def _repeats(ref: Ref, axes: tuple[str, ...], in_branch: bool) -> bool:
    used = {
        symbol.name
        for index in ref.index
        if isinstance(index, Affine)
        for symbol, _ in index.terms
        if isinstance(symbol, Axis)
    }
    needed = [axis in used for axis in axes]
    if all(needed):
        return False
    leading = needed.index(False)
    return in_branch or leading == 0 or any(needed[leading:])
