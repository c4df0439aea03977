"""Rebuild scalars and statements with axes, locals and loads replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from operator import is_

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

    def scalar(self, scalar: Scalar) -> Scalar:
        """The scalar with everything replaced. Raises NotAnIndex."""
        if isinstance(scalar, Apply):
            made = tuple(map(self.scalar, scalar.args))
            kept = _same(made, scalar.args)
            return scalar if kept else Apply(scalar.function, made, scalar.dtype)
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
        match statement:
            case Loop(body=body) | Contraction(body=body):
                inner = tuple(map(self.statement, body))
                return statement if _same(inner, body) else replace(statement, body=inner)
            case Let(name, value):
                made = self.scalar(value)
                return statement if made is value else Let(name, made)
            case Store(ref, value):
                place, made = self.ref(ref), self.scalar(value)
                return statement if place is ref and made is value else Store(place, made)
            case Yield(values):
                return Yield(tuple(map(self.scalar, values)))
            case Until(ref):
                return Until(self.ref(ref))
            case Barrier():
                return statement


def _same(made: tuple[object, ...], before: tuple[object, ...]) -> bool:
    """True if the two, of equal length, hold the very same things."""
    return all(map(is_, made, before))


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
        return 1 + sum(map(size_of, statement.body))
    return 1 + sum(map(count, scalars_of(statement)))


def count(scalar: Scalar) -> int:
    """How many nodes the scalar has."""
    return len(nodes(scalar))


def cost(scalar: Scalar) -> int:
    """What computing the scalar once costs, in additions; loads are free."""
    return sum(INTRINSICS[node.function].cost for node in nodes(scalar) if isinstance(node, Apply))


def with_unique_names(program: Program) -> Program:
    """The same program in which no two loops share an axis and no two bindings a name."""
    return replace(program, body=_Unique().body(program.body, Substitution()))


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
