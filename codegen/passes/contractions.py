"""Tell the contractions that are matrix products from the others, and spell the others as loops."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from codegen.ir import (
    Any,
    Buffer,
    Contraction,
    Extent,
    Factor,
    Let,
    Loop,
    Program,
    Statement,
    Store,
    Tree,
    Yield,
)
from codegen.passes.rewrite import with_body, with_unique_names
from codegen.scalar import FLOATS, Apply, Dtype, Load, Local, Ref, Scalar, at
from codegen.walk import index_buffers

Letters = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Operand:
    """A factor read as [batch][first][second]; transposed: as [batch][second][first]."""

    buffer: str
    transposed: bool


@dataclass(frozen=True, slots=True)
class Product:
    """left [batch][rows][depth] times right [batch][depth][columns]."""

    left: Operand
    right: Operand
    depth: tuple[Extent, ...]


@dataclass(frozen=True, slots=True)
class MatrixForm:
    """result [batch][rows][columns] = sum of the products; every group of extents may be empty (1).

    All buffers are row-major and a group is contiguous, so that it counts as one dimension. Only a
    buffer's first dimension may be longer than the extent that is contracted over it. Where a group
    has several extents, the body only stores the result, row-major, into a buffer of that shape.
    """

    batch: tuple[Extent, ...]
    rows: tuple[Extent, ...]
    columns: tuple[Extent, ...]
    products: tuple[Product, ...]


def contractions(program: Program) -> Program:
    """Expand every contraction that is no matrix product, and those that sum over nothing."""
    buffers = index_buffers(program)
    # A letter that became an axis may bear the name of an enclosing loop's axis.
    return with_unique_names(replace(program, body=tuple(_expanded(program.body, buffers))))


def _expanded(body: tuple[Statement, ...], buffers: Mapping[str, Buffer]) -> Iterator[Statement]:
    for statement in body:
        if isinstance(statement, Loop):
            yield with_body(statement, tuple(_expanded(statement.body, buffers)))
        elif isinstance(statement, Contraction) and not _pays(statement, buffers):
            yield from expand(statement)
        else:
            yield statement


def _pays(statement: Contraction, buffers: Mapping[str, Buffer]) -> bool:
    form = matrix_form(statement, buffers)
    return form is not None and all(product.depth for product in form.products)


def matrix_form(statement: Contraction, buffers: Mapping[str, Buffer]) -> MatrixForm | None:
    """The contraction as matrix products, or None if it is none of float32 or float64."""
    extents = dict(statement.extents)
    factors = [factor for pair in statement.terms for factor in pair]
    if any(not _plain(factor, extents, buffers) for factor in factors):
        return None
    out = statement.letters
    products: list[Product] = []
    groups: tuple[Letters, Letters, Letters] | None = None
    for left, right in statement.terms:
        split = _split(out, left.letters, right.letters)
        if split is None or (groups is not None and groups != split[:3]):
            return None
        groups, depth, swapped = split[:3], split[3], split[4]
        one, two = (right, left) if swapped else (left, right)
        batch, rows, columns = groups
        if not (_grouped(one, batch, rows, depth) and _grouped(two, batch, depth, columns)):
            return None
        products.append(
            Product(
                _operand(one, batch, rows, depth),
                _operand(two, batch, depth, columns),
                tuple(extents[letter] for letter in depth),
            )
        )
    if groups is None or not (max(map(len, groups)) < 2 or _is_flat(statement, buffers)):
        return None
    named = [tuple(extents[letter] for letter in group) for group in groups]
    return MatrixForm(named[0], named[1], named[2], tuple(products))


def _plain(factor: Factor, extents: Mapping[str, Extent], buffers: Mapping[str, Buffer]) -> bool:
    buffer = buffers[factor.buffer]
    inner = zip(factor.letters[1:], buffer.shape[1:], strict=True)
    return (
        buffer.dtype in FLOATS
        and len(set(factor.letters)) == len(factor.letters)
        and all(extents[letter] == extent for letter, extent in inner)
    )


def _is_flat(statement: Contraction, buffers: Mapping[str, Buffer]) -> bool:
    """True if the body does nothing but store the result at its letters."""
    match statement.body:
        case (Store(Ref(name, index), Local()),):
            target = Factor(name, statement.letters)
            places = tuple(map(at, statement.letters))
            return index == places and _plain(target, dict(statement.extents), buffers)
    return False


def _split(
    out: Letters, left: Letters, right: Letters
) -> tuple[Letters, Letters, Letters, Letters, bool] | None:
    """Batch, rows, columns, depth, and whether the right factor holds the rows."""
    batch = tuple(letter for letter in out if letter in left and letter in right)
    of_left = tuple(letter for letter in out if letter in left and letter not in right)
    of_right = tuple(letter for letter in out if letter in right and letter not in left)
    depth = tuple(letter for letter in left if letter in right and letter not in out)
    if len(batch) + len(of_left) + len(of_right) != len(out):
        return None
    if any(letter not in out and letter not in depth for letter in (*left, *right)):
        return None
    if out == batch + of_left + of_right:
        return batch, of_left, of_right, depth, False
    if out == batch + of_right + of_left:
        return batch, of_right, of_left, depth, True
    return None


def _grouped(factor: Factor, batch: Letters, first: Letters, second: Letters) -> bool:
    return factor.letters in (batch + first + second, batch + second + first)


def _operand(factor: Factor, batch: Letters, first: Letters, second: Letters) -> Operand:
    return Operand(factor.buffer, factor.letters != batch + first + second)


def expand(statement: Contraction) -> tuple[Statement, ...]:
    """The contraction as Any loops over its letters around Tree sums over the others."""
    extents = dict(statement.extents)
    dtype = statement.dtype
    body: list[Statement] = []
    total: Scalar | None = None
    for number, (left, right) in enumerate(statement.terms):
        lets, value = _term(statement, number, left, right, dtype)
        body += lets
        total = value if total is None else Apply("add", (total, value), dtype)
    assert total is not None, "a contraction has a term"
    body += [Let(statement.result, total), *statement.body]
    for letter in reversed(statement.letters):
        body = [Loop(letter, extents[letter], Any(), tuple(body), label=statement.label)]
    return tuple(body)


def _term(
    statement: Contraction, number: int, left: Factor, right: Factor, dtype: Dtype
) -> tuple[list[Statement], Scalar]:
    extents = dict(statement.extents)
    loads = (Load(_ref(left), dtype), Load(_ref(right), dtype))
    value: Scalar = Apply("multiply", loads, dtype)
    inner: list[Statement] = []
    letters = dict.fromkeys((*left.letters, *right.letters))
    for letter in reversed([name for name in letters if name not in statement.letters]):
        name = f"{statement.result}_{letter}_{number}"
        order = Tree("sum", (name,), (dtype,))
        inner = [Loop(letter, extents[letter], order, (*inner, Yield((value,))))]
        value = Local(name, dtype)
    return inner, value


def _ref(factor: Factor) -> Ref:
    return Ref(factor.buffer, tuple(map(at, factor.letters)))
