"""Expressions from text, by a grammar of our own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from symnet.errors import ParseError, SymnetError
from symnet.expr import Dtype, Expr
from symnet.ops.core import FLOAT32, FLOAT64, FLOATS
from symnet.parse.arrays import defined, shaped
from symnet.parse.callees import NAMES
from symnet.parse.grammar import Grammar
from symnet.parse.meaning import Meaning
from symnet.parse.tokens import LONGEST, normal_name, require_text, tokenize
from symnet.parse.tree import Call, Equation, Name, Node, Numeral, Part
from symnet.parse.values import Value, known
from symnet.sizes import Shape, named_size, shape_of, size_names

UNUSUAL = frozenset(".ΣΠᵀ")
"""Characters that end a name unless it was given with them."""


@dataclass(frozen=True)
class Parsed:
    """A formula read from text, and what its names stand for, in the order of their reading."""

    expr: Expr
    names: Mapping[str, Expr]


def parse(text: str, names: Mapping[str, Expr] | None = None) -> Expr:
    """The expression that a text writes; see `parse_formula`."""
    return parse_formula(text, names).expr


def parse_formula(
    text: str,
    names: Mapping[str, Expr] | None = None,
    functions: Sequence[str] = (),
    shape: object = None,
) -> Parsed:
    """The expression that a text writes, and its names.

    names: what names stand for, arrays too; any other becomes a scalar float64 input of that name.
    functions: names that are unknown functions, so that f(x) and f'(x) may be written. shape: that
    of the result, where the text does not show it, as with ones. Numbers are float32 if all given
    names are, else float64. Text that `str(expr)` and `sn.formula(expr)` print is read, with the
    definitions behind its `where`.

    ParseError, with a caret under the place, for anything that the grammar does not say and for
    arrays that do not fit; the length and the nesting of a text are bounded.
    """
    require_text(text, LONGEST)
    given = {normal_name(name): known(expr) for name, expr in (names or {}).items()}
    meaning = meaning_of(text, given, names or {}, functions, open=True)
    grammar = grammar_of(text, 0, len(text), meaning)
    body, equations = grammar.formula()
    for equation in equations:
        define(meaning, equation)
    value = meaning.of(body)
    wanted = None if shape is None else shape_of(shape)
    return Parsed(finished(meaning, body, value, wanted).expr, meaning.used)


def meaning_of(
    text: str,
    given: Mapping[str, Value],
    names: Mapping[str, Expr],
    functions: Sequence[str],
    open: bool,
) -> Meaning:
    """What reads trees, under the names that are given."""
    shapes = tuple(size for expr in names.values() for size in expr.shape)
    sizes = {name: named_size(name) for name in size_names(shapes)}
    return Meaning(text, given, sizes, frozenset(functions), _number_dtype(names), open)


def grammar_of(
    text: str, start: int, end: int, meaning: Meaning, further: Iterable[tuple[int, int]] = ()
) -> Grammar:
    """What reads a part of the text as a tree; the part may go on further down in the text."""
    unusual = [name for name in meaning.names if not UNUSUAL.isdisjoint(name)]
    unusual.sort(key=len, reverse=True)
    words = tokenize(text, start, end, unusual)
    for begin, behind in further:
        words[-1:] = tokenize(text, begin, behind, unusual)
    return Grammar(text, words, meaning.names, meaning.functions, NAMES)


def finished(meaning: Meaning, node: Node, value: Value, shape: Shape | None) -> Value:
    """The value of a whole formula, of the shape that is stated."""
    if shape is None and not any(extent.size is None for extent in value.shape):
        return value if not value.wait else known(value.expr)
    if shape is None:
        raise meaning.fault(node, "how many elements this has does not show: state its shape")
    try:
        found = shaped(value, shape)
    except ParseError:
        raise
    except SymnetError as error:
        raise meaning.fault(node, str(error).partition("\n")[0]) from None
    found.form = value.form if found.rank == value.rank else found.form
    found.mask = value.mask
    return found


def define(meaning: Meaning, equation: Equation, shape: Shape | None = None) -> str:
    """Give a name the meaning that an equation says; the name is returned.

    `σ(t) = ...` explains a function that is known, and defines nothing: its name is empty.
    """
    left = equation.left
    if isinstance(left, Call) and left.name in NAMES:
        return ""
    name, indices = _defined_name(meaning, left)
    if name in meaning.names:
        raise meaning.fault(left, f"{name} is defined already")
    letters = [index for index in indices if index is not None]
    meaning.scope = {letter: meaning.letter(letter) for letter in letters}
    scope = meaning.scope
    try:
        body = meaning.of(equation.right)
    finally:
        meaning.scope = {}
    if letters or indices:
        if body.rank:
            raise meaning.fault(equation.right, "each element is one number")
        column = len(indices) == 1 and name.startswith("s")
        mask = body.mask
        body = defined(body, indices, scope, column)
        body.mask = mask
    if shape is not None:
        body = finished(meaning, equation.right, body, shape)
    meaning.names[name] = body
    return name


def _defined_name(meaning: Meaning, left: Node) -> tuple[str, list[str | None]]:
    """The name on a left side, and its index letters; None is an axis of one place."""
    base, indices = (left.base, left.indices) if isinstance(left, Part) else (left, ())
    letters: list[str | None] = []
    for index in indices:
        place = isinstance(index, Numeral) and index.value == 0
        if not place and not isinstance(index, Name):
            raise meaning.fault(index, "an index letter belongs here")
        letters.append(None if not isinstance(index, Name) else index.name)
    if not isinstance(base, Name):
        raise meaning.fault(left, "a definition begins with a name")
    return base.name, letters


def _number_dtype(names: Mapping[str, Expr]) -> Dtype:
    kinds = {node.dtype for node in names.values() if node.dtype in FLOATS}
    return FLOAT32 if kinds == {FLOAT32} else FLOAT64
