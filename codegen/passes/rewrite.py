"""Rebuild scalars and statements with axes, locals and loads replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from operator import is_
from typing import TypeVar, overload

from codegen.intrinsics import INTRINSICS
from codegen.ir import (
    Barrier,
    Contraction,
    Factor,
    Let,
    Loop,
    Program,
    Statement,
    Store,
    Tree,
    Until,
    Yield,
)
from codegen.scalar import (
    Affine,
    Apply,
    Axis,
    Constant,
    Counted,
    Index,
    Indirect,
    Load,
    Local,
    Ref,
    Scalar,
    Size,
    affine,
    at,
)
from codegen.walk import nodes, scalars_of

Part = TypeVar("Part")


class NotAnIndex(Exception):
    """The replacement cannot stand where an index is wanted, or the reverse."""


def _keep(load: Load) -> Scalar:
    return load


@dataclass(frozen=True, slots=True)
class Substitution:
    """What to put in the place of axes, of locals, and (last) of loads; loads inside indices are
    replaced too unless `indices` is false. What nothing in it is replaced of is given back itself:
    programs are long, and most of what a pass looks at stays as it is."""

    axes: Mapping[str, Index] = field(default_factory=dict)
    locals: Mapping[str, Scalar] = field(default_factory=dict)
    load: Callable[[Load], Scalar] = _keep
    indices: bool = True

    @property
    def changes_nothing(self) -> bool:
        """True if there is nothing to put anywhere."""
        return not self.axes and not self.locals and self.load is _keep

    def scalar(self, scalar: Scalar) -> Scalar:
        """The scalar with everything replaced. Raises NotAnIndex."""
        return scalar if self.changes_nothing else self._scalar(scalar)

    def _scalar(self, scalar: Scalar) -> Scalar:
        if isinstance(scalar, Apply):
            return with_arguments(scalar, tuple(map(self._scalar, scalar.args)))
        if isinstance(scalar, Load):
            found = self.ref(scalar.ref)
            return self.load(scalar if found is scalar.ref else Load(found, scalar.dtype))
        if isinstance(scalar, Local):
            return self.locals.get(scalar.name, scalar)
        if isinstance(scalar, Axis) and scalar.name in self.axes:
            return index_value(self.axes[scalar.name])
        return scalar

    def ref(self, ref: Ref) -> Ref:
        """The same buffer at the replaced indices. Raises NotAnIndex."""
        if not self.axes and not any(isinstance(index, Indirect) for index in ref.index):
            return ref
        made = tuple(map(self.index, ref.index))
        return ref if _same(made, ref.index) else Ref(ref.buffer, made)

    def index(self, index: Index) -> Index:
        """The index with axes and indirect loads replaced. Raises NotAnIndex."""
        if isinstance(index, Indirect):
            at_indices = self.ref(index.ref)
            if not self.indices:
                return index if at_indices is index.ref else Indirect(at_indices, index.bound)
            # An index loads integers of either width, which the buffer knows and the Ref does not.
            found = self.load(Load(at_indices, "int64"))
            if not isinstance(found, Load):
                raise NotAnIndex
            return index if found.ref is index.ref else Indirect(found.ref, index.bound)
        if len(index.terms) == 1 and not index.offset and index.terms[0][1] == 1:
            symbol = index.terms[0][0]
            if isinstance(symbol, Axis):
                return self.axes.get(symbol.name, index)
            return index
        if not any(isinstance(one, Axis) and one.name in self.axes for one, _ in index.terms):
            return index
        offset, terms = index.offset, dict[Axis | Size, int]()
        for symbol, by in index.terms:
            put = self.axes.get(symbol.name) if isinstance(symbol, Axis) else None
            if put is None:
                put = Affine(0, ((symbol, 1),))
            if isinstance(put, Indirect):
                raise NotAnIndex
            offset += by * put.offset
            for inner, times in put.terms:
                terms[inner] = terms.get(inner, 0) + by * times
        return affine(offset, terms)

    def statement(self, statement: Statement) -> Statement:
        """The statement with all it holds replaced; what it binds keeps its name."""
        if self.changes_nothing:
            return statement
        match statement:
            case Loop(body=body) | Contraction(body=body):
                return with_body(statement, tuple(map(self.statement, body)))
            case Let(name, value):
                made = self._scalar(value)
                return statement if made is value else Let(name, made)
            case Store(ref, value):
                place, made = self.ref(ref), self._scalar(value)
                return statement if place is ref and made is value else Store(place, made)
            case Yield(values):
                results = tuple(map(self._scalar, values))
                return statement if _same(results, values) else Yield(results)
            case Until(ref):
                place = self.ref(ref)
                return statement if place is ref else Until(place)
            case Barrier():
                return statement


def _same(made: tuple[object, ...], before: tuple[object, ...]) -> bool:
    """True if the two hold the very same things."""
    return len(made) == len(before) and all(map(is_, made, before))


def with_arguments(scalar: Apply, args: tuple[Scalar, ...]) -> Apply:
    """The function of other arguments; the scalar itself if they are the very same."""
    return scalar if _same(args, scalar.args) else Apply(scalar.function, args, scalar.dtype)


@overload
def with_body(statement: Loop, body: tuple[Statement, ...]) -> Loop: ...
@overload
def with_body(statement: Contraction, body: tuple[Statement, ...]) -> Contraction: ...
def with_body(statement: Loop | Contraction, body: tuple[Statement, ...]) -> Loop | Contraction:
    """The statement around another body; itself if it is the very same one, so that what is known
    of it stays known."""
    if _same(body, statement.body):
        return statement
    if isinstance(statement, Contraction):
        return replace(statement, body=body)
    # What `replace` does, in a fifth of the time: passes do little else.
    return Loop(
        statement.axis, statement.extent, statement.order, body, statement.start, statement.label
    )


def index_value(index: Index) -> Scalar:
    """The index as an int64 scalar. Raises NotAnIndex for a load, whose dtype the Ref hides."""
    if isinstance(index, Indirect):
        raise NotAnIndex
    total: Scalar | None = None
    for symbol, by in index.terms:
        term: Scalar = symbol
        if by != 1:
            term = Apply("multiply", (Constant(by, "int64"), symbol), "int64")
        total = term if total is None else Apply("add", (total, term), "int64")
    if total is None:
        return Constant(index.offset, "int64")
    if index.offset:
        total = Apply("add", (total, Constant(index.offset, "int64")), "int64")
    return total


def size_of(statement: Statement) -> int:
    """How many scalar nodes the statement and all inside it have, each statement counting one."""
    if isinstance(statement, Loop | Contraction):
        return _kept_count(statement, statement.body, size_of)
    return 1 + sum(map(count, scalars_of(statement)))


def count(scalar: Scalar) -> int:
    """How many nodes the scalar has."""
    return _kept_count(scalar, scalar.args, count) if isinstance(scalar, Apply) else 1


def _kept_count(whole: Counted, parts: Iterable[Part], size: Callable[[Part], int]) -> int:
    """One more than its parts have, which are counted once: passes ask for it again and again."""
    try:
        return whole._count
    except AttributeError:
        object.__setattr__(whole, "_count", 1 + sum(map(size, parts)))
        return whole._count


def cost(scalar: Scalar) -> int:
    """What computing the scalar once costs, in additions; loads are free."""
    return sum(INTRINSICS[node.function].cost for node in nodes(scalar) if isinstance(node, Apply))


def with_unique_names(program: Program) -> Program:
    """The same program in which no two loops share an axis and no two bindings a name."""
    names = list(_bound(program.body))
    if len(set(names)) == len(names):
        return program
    return replace(program, body=_Unique().body(program.body, Substitution()))


def _bound(body: Iterable[Statement]) -> Iterator[str]:
    """The name of every axis, letter, Let and fold."""
    for statement in body:
        match statement:
            case Let(name):
                yield name
            case Loop(axis, order=order):
                yield axis
                if isinstance(order, Tree):
                    yield from order.names
                yield from _bound(statement.body)
            case Contraction(result=result):
                yield from (letter for letter, _ in statement.extents)
                yield result
                yield from _bound(statement.body)


@dataclass(slots=True)
class _Unique:
    taken: dict[str, int] = field(default_factory=dict)

    def fresh(self, name: str) -> str:
        if name not in self.taken:
            self.taken[name] = 1
            return name
        while (candidate := f"{name}_{self.taken[name] + 1}") in self.taken:
            self.taken[name] += 1
        self.taken[name] += 1
        self.taken[candidate] = 1
        return candidate

    def body(self, body: Iterable[Statement], names: Substitution) -> tuple[Statement, ...]:
        locals_ = dict(names.locals)
        inner = Substitution(names.axes, locals_)
        return tuple(self.statement(statement, inner, locals_) for statement in body)

    def statement(
        self, statement: Statement, names: Substitution, bound: dict[str, Scalar]
    ) -> Statement:
        if isinstance(statement, Let):
            value = names.scalar(statement.value)
            name = self.fresh(statement.name)
            _rename(bound, statement.name, name, value.dtype)
            kept = name == statement.name and value is statement.value
            return statement if kept else Let(name, value)
        if isinstance(statement, Contraction):
            return self.contraction(statement, names)
        if not isinstance(statement, Loop):
            return names.statement(statement)
        axis = self.fresh(statement.axis)
        axes = dict(names.axes)
        _move(axes, statement.axis, axis)
        body = self.body(statement.body, Substitution(axes, names.locals))
        order = statement.order
        kept = axis == statement.axis and _same(body, statement.body)
        if kept and not isinstance(order, Tree):
            return statement
        if isinstance(order, Tree):
            results = tuple(map(self.fresh, order.names))
            for old, new, dtype in zip(order.names, results, order.dtypes, strict=True):
                _rename(bound, old, new, dtype)
            order = replace(order, names=results)
        return replace(statement, axis=axis, body=body, order=order)

    def contraction(self, statement: Contraction, names: Substitution) -> Contraction:
        """The letters are axes of the body, so they are renamed like axes."""
        letters = {letter: self.fresh(letter) for letter, _ in statement.extents}
        axes, bound = dict(names.axes), dict(names.locals)
        for old, new in letters.items():
            _move(axes, old, new)
        result = self.fresh(statement.result)
        _rename(bound, statement.result, result, statement.dtype)
        body = self.body(statement.body, Substitution(axes, bound))
        return replace(
            statement,
            letters=tuple(letters[letter] for letter in statement.letters),
            terms=tuple(
                (_relettered(left, letters), _relettered(right, letters))
                for left, right in statement.terms
            ),
            extents=tuple((letters[letter], extent) for letter, extent in statement.extents),
            result=result,
            body=body,
        )


def _rename(bound: dict[str, Scalar], old: str, new: str, dtype: str) -> None:
    """From here on the local is called otherwise, or (again) as it is."""
    if new == old:
        bound.pop(old, None)
    else:
        bound[old] = Local(new, dtype)


def _move(axes: dict[str, Index], old: str, new: str) -> None:
    """From here on the axis is called otherwise, or (again) as it is."""
    if new == old:
        axes.pop(old, None)
    else:
        axes[old] = at(new)


def _relettered(factor: Factor, letters: Mapping[str, str]) -> Factor:
    return Factor(factor.buffer, tuple(letters[letter] for letter in factor.letters))
