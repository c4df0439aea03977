"""Scalar common subexpressions: what a kernel would compute or load twice becomes a Let.

What does not change inside a loop moves out to the body around it, up to the outermost loop of its
kernel. Nothing leaves a branch of a `select`: a value is bound only where it is computed in any
case. A load counts as the same only while nobody stores to its buffer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from codegen.ir import Let, Loop, Program, Statement, Store, Tree, Yield, is_driver
from codegen.passes.access import Access, Roots, accesses, read_by, roots_of
from codegen.passes.number import numbered
from codegen.passes.rewrite import with_arguments, with_body, with_unique_names
from codegen.scalar import Affine, Apply, Axis, Index, Load, Local, Ref, Scalar
from codegen.walk import scalars_of

Key = tuple[Scalar, tuple[int, ...]]
"""A scalar, and how often each buffer it loads from had been stored to."""


def common(program: Program, roots: Roots | None = None) -> Program:
    """The program with repeated and loop-invariant scalars of each kernel bound once."""
    program = with_unique_names(program)
    roots = roots or roots_of(program)
    names = _Names()
    return with_unique_names(replace(program, body=_phases(program.body, roots, names)))


@dataclass(slots=True)
class _Names:
    """Numbers for new locals, program-wide."""

    count: int = 0

    def fresh(self) -> str:
        self.count += 1
        return f"shared_{self.count}"


def _phases(body: tuple[Statement, ...], roots: Roots, names: _Names) -> tuple[Statement, ...]:
    result: list[Statement] = []
    for statement in body:
        if isinstance(statement, Loop) and is_driver(statement):
            statement = with_body(statement, _phases(statement.body, roots, names))
        elif isinstance(statement, Loop):
            statement = _kernel(statement, roots, names)
        result.append(statement)
    return tuple(result)


def _kernel(loop: Loop, roots: Roots, names: _Names) -> Loop:
    """The loop with its body's invariants moved out of inner loops, repeats bound, inside first."""
    body: list[Statement] = []
    for statement in numbered(loop.body, roots):
        if isinstance(statement, Loop):
            inner = _kernel(statement, roots, names)
            lets, inner = _Hoist(inner, roots, names).run()
            body += [*lets, inner]
        else:
            body.append(statement)
    return with_body(loop, tuple(_Bind(tuple(body), roots, names).run()))


def _unconditional(scalar: Scalar) -> Iterator[Scalar]:
    """The arguments that are computed whenever the scalar is."""
    if isinstance(scalar, Apply):
        yield from scalar.args[:1] if scalar.function == "select" else scalar.args


@dataclass(slots=True)
class _Hoist:
    """Moves what one inner loop computes anew in every iteration, unchanged, in front of it."""

    loop: Loop
    roots: Roots
    names: _Names
    found: dict[Scalar, Local] = field(default_factory=dict)
    lets: list[Let] = field(default_factory=list)
    varying: set[str] = field(default_factory=set)

    def run(self) -> tuple[list[Let], Loop]:
        touched = accesses(self.loop, self.roots)
        self.varying = {access.root for access in touched if access.writes}
        if isinstance(self.loop.order, Tree):
            self.varying -= {f"%{name}" for name in self.loop.order.names}
        body = [self.statement(statement) for statement in self.loop.body]
        return self.lets, with_body(self.loop, tuple(s for s in body if s is not None))

    def statement(self, statement: Statement) -> Statement | None:
        match statement:
            case Let(name, value) if self.is_invariant(value) and not isinstance(value, Local):
                self.lets.append(statement)
                self.varying.discard(f"%{name}")
                return None
            case Let(name, value):
                made = self.scalar(value)
                return statement if made is value else Let(name, made)
            case Store(ref, value):
                made = self.scalar(value)
                return statement if made is value else Store(ref, made)
            case Yield(values):
                return Yield(tuple(map(self.scalar, values)))
        return statement

    def scalar(self, scalar: Scalar) -> Scalar:
        if isinstance(scalar, Apply | Load) and self.is_invariant(scalar):
            if scalar not in self.found:
                self.found[scalar] = Local(self.names.fresh(), scalar.dtype)
                self.lets.append(Let(self.found[scalar].name, scalar))
            return self.found[scalar]
        if isinstance(scalar, Apply):
            free = len(list(_unconditional(scalar)))
            args = (self.scalar(arg) if n < free else arg for n, arg in enumerate(scalar.args))
            return with_arguments(scalar, tuple(args))
        return scalar

    def is_invariant(self, scalar: Scalar) -> bool:
        match scalar:
            case Axis(name):
                return name != self.loop.axis
            case Local(name):
                return f"%{name}" not in self.varying
            case Apply(_, args):
                return all(map(self.is_invariant, args))
            case Load(ref):
                return self.is_steady(ref)
        return True

    def is_steady(self, ref: Ref) -> bool:
        return self.roots[ref.buffer] not in self.varying and all(map(self._fixed, ref.index))

    def _fixed(self, index: Index) -> bool:
        if not isinstance(index, Affine):
            return self.is_steady(index.ref)
        return all(
            not isinstance(symbol, Axis) or symbol.name != self.loop.axis
            for symbol, _ in index.terms
        )


@dataclass(slots=True)
class _Bind:
    """Binds what a list of statements computes more than once; inner loops have had their turn."""

    body: tuple[Statement, ...]
    roots: Roots
    names: _Names
    stores: Counter[str] = field(default_factory=Counter)
    uses: Counter[Key] = field(default_factory=Counter)
    bound: dict[Key, Local] = field(default_factory=dict)
    result: list[Statement] = field(default_factory=list)

    def run(self) -> list[Statement]:
        for statement in self.body:
            for scalar in scalars_of(statement):
                self.tally(scalar, guarded=False)
            self.note_stores(statement)
        self.stores.clear()
        for statement in self.body:
            self.result.append(self.rewritten(statement))
            self.note_stores(statement)
        return self.result

    def note_stores(self, statement: Statement) -> None:
        written: set[Access] = {a for a in accesses(statement, self.roots) if a.writes}
        self.stores.update({access.root for access in written})

    def key(self, scalar: Scalar) -> Key:
        return scalar, tuple(self.stores[access.root] for access in read_by(scalar, self.roots))

    def tally(self, scalar: Scalar, *, guarded: bool) -> None:
        if not isinstance(scalar, Apply | Load):
            return
        key = self.key(scalar)
        if guarded and not self.uses[key]:
            # A branch may use what is bound before it, and never binds.
            pass
        else:
            self.uses[key] += 1
            if self.uses[key] > 1:
                return
        if isinstance(scalar, Apply):
            free = len(list(_unconditional(scalar)))
            for place, arg in enumerate(scalar.args):
                self.tally(arg, guarded=guarded or place >= free)

    def rewritten(self, statement: Statement) -> Statement:
        match statement:
            case Let(name, value):
                return self.let(name, value)
            case Store(ref, value):
                made = self.scalar(value, guarded=False)
                return statement if made is value else Store(ref, made)
            case Yield(values):
                return Yield(tuple(self.scalar(value, guarded=False) for value in values))
        return statement

    def let(self, name: str, value: Scalar) -> Let:
        if not isinstance(value, Apply | Load):
            return Let(name, value)
        key = self.key(value)
        if key in self.bound:
            return Let(name, self.bound[key])
        new = self.inside(value, guarded=False)
        self.bound[key] = Local(name, value.dtype)
        return Let(name, new)

    def scalar(self, scalar: Scalar, *, guarded: bool) -> Scalar:
        if not isinstance(scalar, Apply | Load):
            return scalar
        key = self.key(scalar)
        if key in self.bound:
            return self.bound[key]
        new = self.inside(scalar, guarded=guarded)
        if guarded or self.uses[key] < 2:
            return new
        self.bound[key] = Local(self.names.fresh(), scalar.dtype)
        self.result.append(Let(self.bound[key].name, new))
        return self.bound[key]

    def inside(self, scalar: Apply | Load, *, guarded: bool) -> Scalar:
        if isinstance(scalar, Load):
            return scalar
        free = len(list(_unconditional(scalar)))
        args = tuple(
            self.scalar(arg, guarded=guarded or place >= free)
            for place, arg in enumerate(scalar.args)
        )
        return with_arguments(scalar, args)
