"""Put loops over the same domain into one, and keep in locals what one iteration stores and loads.

Two sibling Any loops of equal extent become one if some buffer is touched by both at the same
iteration (else there is nothing to gain), and no element is touched at two different iterations
with a write among them (else the order would matter). One of the two moves to the other across the
statements between, none of which may clash with it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from codegen.ir import Any, Barrier, Let, Loop, Statement, Store, Until, is_driver
from codegen.passes.access import Access, Roots, accesses, aligned
from codegen.passes.rewrite import Substitution, size_of, with_body
from codegen.passes.substitute import BUDGET
from codegen.scalar import Constant, Local, Ref, Scalar, at

COPY = 4
"""A statement of so few nodes joins a full kernel: a copy of what it just computed is free."""
NEAREST = 8
"""How many groups a statement looks at, and how many a group may be moved across."""


@dataclass(slots=True, eq=False)
class Group:
    """A statement to be, and what it touches. `order` places it among its siblings."""

    order: int
    head: Statement
    body: list[Statement]
    touches: defaultdict[str, list[Access]]
    size: int

    @property
    def loop(self) -> Loop | None:
        """The head, if others may join it."""
        if isinstance(self.head, Loop) and isinstance(self.head.order, Any):
            return self.head
        return None


def merge(body: tuple[Statement, ...], roots: Roots, *, phase: bool) -> tuple[Statement, ...]:
    """The statements with sibling loops merged wherever that is right and gains something.

    Between kernels (`phase`), statements that a local connects stay side by side.
    """
    line = _Line(roots, phase)
    for statement in body:
        line.add(statement)
    return tuple(
        with_body(group.loop, tuple(group.body)) if group.loop else group.head
        for group in line.groups
    )


@dataclass(slots=True)
class _Line:
    """The groups so far, in order; per root, the groups that touch it, and the last to do so."""

    roots: Roots
    phase: bool
    groups: list[Group] = field(default_factory=list)
    touching: defaultdict[str, list[Group]] = field(default_factory=lambda: defaultdict(list))
    last_access: dict[str, int] = field(default_factory=dict)
    last_write: dict[str, int] = field(default_factory=dict)
    wall: int = -1
    count: int = 0

    def add(self, statement: Statement) -> None:
        group = self._group(statement)
        if isinstance(statement, Barrier | Until) or is_driver(statement):
            # Nothing moves across what all workers do together.
            self._append(group)
            self.wall = group.order
            return
        for target in self._candidates(group):
            if self._can_rise(group, target):
                self._join(target, group)
                return
            if self._can_sink(target):
                self.groups.pop(self._place(target.order))
                for near in self.touching.values():
                    near[:] = [one for one in near if one is not target]
                self._append(target)
                self._join(target, group)
                return
        self._append(group)

    def _group(self, statement: Statement) -> Group:
        touches: defaultdict[str, list[Access]] = defaultdict(list)
        for access in accesses(statement, self.roots):
            touches[access.root].append(access)
        inner = list(statement.body) if isinstance(statement, Loop) else []
        return Group(-1, statement, inner, touches, size_of(statement))

    def _append(self, group: Group) -> None:
        group.order = self.count
        self.count += 1
        self.groups.append(group)
        self._note(group, group.touches)

    def _note(self, group: Group, touches: Iterable[str]) -> None:
        for root in touches:
            near = self.touching[root]
            if group not in near[-NEAREST:]:
                near.append(group)
                del near[:-NEAREST]
            self.last_access[root] = max(self.last_access.get(root, -1), group.order)
            if any(access.writes for access in group.touches[root]):
                self.last_write[root] = max(self.last_write.get(root, -1), group.order)

    def _candidates(self, group: Group) -> list[Group]:
        if group.loop is None:
            return []
        near = {one.order: one for root in group.touches for one in self.touching[root]}
        latest = [near[order] for order in sorted(near, reverse=True)[:NEAREST]]
        return [one for one in latest if one.order > self.wall and self._fits(one, group)]

    def _fits(self, one: Group, group: Group) -> bool:
        first, second = one.loop, group.loop
        if first is None or second is None:
            return False
        if (first.extent, first.start) != (second.extent, second.start):
            return False
        if one.size + group.size > BUDGET and group.size - 2 > COPY:
            return False
        gains = False
        for root in group.touches.keys() & one.touches.keys():
            for mine in group.touches[root]:
                for theirs in one.touches[root]:
                    beside = aligned(theirs, first.axis, mine, second.axis)
                    if (mine.writes or theirs.writes) and not beside:
                        return False
                    gains = gains or beside
        return gains

    def _can_rise(self, group: Group, target: Group) -> bool:
        latest = max(
            (self.last_access if any(a.writes for a in found) else self.last_write).get(root, -1)
            for root, found in group.touches.items()
        )
        return latest <= target.order

    def _can_sink(self, target: Group) -> bool:
        between = self.groups[self._place(target.order) + 1 :]
        if self.phase and any(root.startswith("%") for root in self.groups[-1].touches):
            return False
        return len(between) <= NEAREST and not any(
            mine.writes or theirs.writes
            for other in between
            for root in other.touches.keys() & target.touches.keys()
            for mine in target.touches[root]
            for theirs in other.touches[root]
        )

    def _place(self, order: int) -> int:
        return bisect_right(self.groups, order, key=lambda group: group.order) - 1

    def _join(self, target: Group, group: Group) -> None:
        assert target.loop is not None, "only loops are candidates"
        assert group.loop is not None, "only loops are joined"
        renamed = Substitution({group.loop.axis: at(target.loop.axis)})
        for statement in group.body:
            moved = renamed.statement(statement)
            target.body.append(moved)
            for access in accesses(moved, self.roots):
                if access not in target.touches[access.root]:
                    target.touches[access.root].append(access)
        target.size += group.size
        if not target.loop.label:
            target.head = replace(target.loop, label=group.loop.label)
        self._note(target, group.touches)


def forward(
    body: tuple[Statement, ...], roots: Roots, numbers: Iterator[int]
) -> tuple[Statement, ...]:
    """The body of a loop with loads of what it just stored replaced by locals %kept_<number>_..."""
    return tuple(_forwarded(body, roots, {}, numbers))


def _forwarded(
    body: tuple[Statement, ...], roots: Roots, known: dict[Ref, Scalar], numbers: Iterator[int]
) -> list[Statement]:
    result: list[Statement] = []
    # Indices are left alone: they must stay loads.
    replaced = Substitution(load=lambda load: known.get(load.ref, load), indices=False)
    for statement, wanted in zip(body, _loaded_later(body, roots), strict=True):
        if isinstance(statement, Loop):
            written = {a.root for a in accesses(statement, roots) if a.writes}
            _drop(known, written, roots)
            inner = tuple(_forwarded(statement.body, roots, dict(known), numbers))
            result.append(with_body(statement, inner))
        elif isinstance(statement, Store):
            value = replaced.scalar(statement.value)
            _drop(known, {roots[statement.ref.buffer]}, roots)
            if statement.ref in wanted and not isinstance(value, Local | Constant):
                local = Local(f"kept_{next(numbers)}_{statement.ref.buffer}", value.dtype)
                result.append(Let(local.name, value))
                value = local
            result.append(Store(statement.ref, value))
            if isinstance(value, Local | Constant):
                known[statement.ref] = value
        else:
            result.append(replaced.statement(statement))
    return result


def _loaded_later(body: tuple[Statement, ...], roots: Roots) -> list[set[Ref | None]]:
    """For each statement, what those after it load."""
    later: list[set[Ref | None]] = [set()]
    for statement in reversed(body[1:]):
        read = {access.ref for access in accesses(statement, roots) if not access.writes}
        later.append(later[-1] | read)
    return later[::-1][: len(body)]


def _drop(known: dict[Ref, Scalar], written: set[str], roots: Roots) -> None:
    for ref in [ref for ref in known if roots[ref.buffer] in written]:
        del known[ref]
