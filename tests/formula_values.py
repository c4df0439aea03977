"""The value of a printed formula, from its tree alone: what a reader would compute from the print.

Vectors are columns in products of matrices; beside a matrix they stand in every row. Bold ones are
as many as their neighbours need, and where nothing says how long, the line's shape does.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np

from symnet.formula import Sheet
from symnet.formula.components import component
from symnet.formula.naming import readable
from symnet.formula.sheet import Line
from symnet.formula.translate import Translator
from symnet.formula.tree import (
    EULER,
    ONES,
    Apply,
    Blocks,
    Definition,
    Element,
    Fence,
    Fold,
    Formula,
    Hadamard,
    Listed,
    MatrixProduct,
    Number,
    Partial,
    Piecewise,
    Power,
    Quotient,
    Relation,
    Scaled,
    Sum,
    Symbol,
    Transpose,
    walk,
)
from symnet.sizes import Size

Env = Mapping[str, Any]
CONSTANTS = {EULER.name: np.e, "π": np.pi, "∞": np.inf}

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "exp": np.exp,
    "log": np.log,
    "sin": np.sin,
    "tan": np.tan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "arcsin": np.arcsin,
    "arccos": np.arccos,
    "arctan": np.arctan,
    "arsinh": np.arcsinh,
    "arcosh": np.arccosh,
    "artanh": np.arctanh,
    "atan2": np.arctan2,
    "hypot": np.hypot,
    "erf": np.vectorize(math.erf),
    "erfc": np.vectorize(math.erfc),
    "min": lambda *xs: reduce(np.minimum, xs),
    "¬": np.logical_not,
    "cos": np.cos,
    "tanh": np.tanh,
    "sech": lambda x: 1 / np.cosh(x),
    "σ": lambda x: 1 / (1 + np.exp(-x)),
    "softplus": lambda x: np.log1p(np.exp(x)),
    "max": lambda *xs: reduce(np.maximum, xs),
    "argmax": lambda *xs: np.argmax(xs),
    "sign": np.sign,
    "diag": lambda x: np.diag(np.ravel(x)),
    "col": lambda x: x[:, None],
    "softmax": lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True),
}
FENCES: dict[str, Callable[[Any], Any]] = {
    "abs": np.abs,
    "floor": np.floor,
    "norm": np.linalg.norm,
    "root": np.sqrt,
    "bracket": lambda x: np.asarray(x, float),
}
SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    ">": np.greater,
    "<": np.less,
    "≤": np.less_equal,
    "≥": np.greater_equal,
    "=": np.equal,
    "≠": np.not_equal,
    "∧": np.logical_and,
    "\N{LOGICAL OR}": np.logical_or,
}
FOLDS: dict[str, Any] = {
    "Σ": np.add,
    "Π": np.multiply,
    "argmax": None,
    "max": np.maximum,
    "min": np.minimum,
}


def value(formula: Formula, env: Env) -> Any:
    """The formula's value; arrays meet by NumPy's rule, and a shape that does not fit raises."""
    match formula:
        case Number():
            return float(formula.value)
        case Symbol():
            return _symbol(formula, env)
        case Scaled():
            brackets = [f for f in formula.over if isinstance(f, Fence) and f.kind == "bracket"]
            if any(np.ndim(now := value(f, env)) == 0 and now == 0 for f in brackets):
                return 0.0  # whatever it multiplies, elements outside their array among it
            parts = [value(f, env) for f in formula.over]
            parts += [] if formula.body is None else [value(formula.body, env)]
            below = [value(f, env) for f in formula.under]
            assert all(np.ndim(part) == 0 for part in (*parts[: len(formula.over)], *below))
            ratio = float(formula.top / formula.bottom)
            return ratio * reduce(np.multiply, parts, 1.0) / reduce(np.multiply, below, 1.0)
        case Hadamard():
            return reduce(np.multiply, [value(f, env) for f in formula.factors])
        case Quotient():
            return value(formula.top, env) / value(formula.bottom, env)
        case Sum():
            return reduce(np.add, [value(f, env) for f in formula.terms])
        case MatrixProduct():
            return _product(formula, env)
        case Transpose():
            base = np.asarray(value(formula.base, env))
            return base[None, :] if base.ndim == 1 else base.T
        case _:
            return _other(formula, env)


def _other(formula: Formula, env: Env) -> Any:
    match formula:
        case Power():
            base, exponent = value(formula.base, env), value(formula.exponent, env)
            assert formula.elementwise or np.ndim(base) == 0 or isinstance(formula.base, Apply)
            return np.power(base, exponent)
        case Apply():
            return FUNCTIONS[formula.name](*(value(f, env) for f in formula.arguments))
        case Fence():
            return FENCES[formula.kind](value(formula.body, env))
        case Relation():
            return SIGNS[formula.sign](value(formula.left, env), value(formula.right, env))
        case Piecewise():
            holds = value(formula.condition, env)
            if np.ndim(holds) == 0:
                return value(formula.first if holds else formula.second, env)
            return np.where(holds, value(formula.first, env), value(formula.second, env))
        case Element():
            base = _indexed(formula, env)
            return base[tuple(_index(index, env) for index in formula.indices)]
        case Fold():
            return _fold(formula, env)
        case Blocks():
            return _blocks(formula, env)
        case Listed():
            return np.array([value(item, env) for item in formula.items])
    raise NotImplementedError(type(formula))


def _symbol(symbol: Symbol, env: Env) -> Any:
    if symbol == ONES:
        return 1.0
    if symbol.name in CONSTANTS:
        return CONSTANTS[symbol.name]
    return float(symbol.name) if symbol.name.isdigit() else env[symbol.name]


def _blocks(formula: Blocks, env: Env) -> Any:
    """The blocks one after another; what is 0 is as large as the blocks beside it."""
    parts = [np.asarray(value(item, env)) for item in formula.items]
    rank = max(1, *(part.ndim for part in parts))
    axis = 0 if formula.stacked else rank - 1
    whole = next((part for part in parts if part.ndim == rank), np.ones(1))
    filled = []
    for part, size in zip(parts, formula.sizes, strict=True):
        shape = list(whole.shape)
        shape[axis] = size_of(size, env)
        filled.append(np.broadcast_to(part, shape))
    return np.concatenate(filled, axis)


def size_of(size: object, env: Env) -> int:
    """A size: a number, or a polynomial in named ones."""
    return size.value(env) if isinstance(size, Size) else int(size)  # type: ignore[call-overload]


def _indexed(formula: Element, env: Env) -> Any:
    """The array of which an element is taken; indices of axes of size 1 may be left out."""
    base = np.asarray(value(formula.base, env))
    return base.squeeze() if base.ndim > len(formula.indices) else base


def _index(index: Formula, env: Env) -> Any:
    if isinstance(index, Symbol) and ":" in index.name:
        return slice(*(_place(part, env) for part in index.name.split(":")))
    return np.asarray(value(index, env)).astype(int)


def _place(text: str, env: Env) -> int | None:
    """A place such as 3, N or N - 1; nothing is None."""
    found = None
    for sign, name, digits in re.findall(r"([+-]?) ?(?:([A-Za-z]\w*)|(\d+))", text):
        found = (found or 0) + (-1 if sign == "-" else 1) * int(digits or env[name])
    return found


def _product(formula: MatrixProduct, env: Env) -> Any:
    factors = formula.factors
    row, column = Transpose(ONES), ONES
    arrays = [None if f in {row, column} else np.asarray(value(f, env)) for f in factors]
    first = isinstance(factors[0], Transpose) and np.ndim(value(factors[0].base, env)) < 2
    last = factors[-1] == ONES or (arrays[-1] is not None and arrays[-1].ndim == 1)
    matrices: list[Any] = [a[:, None] if a is not None and a.ndim == 1 else a for a in arrays]
    for place, factor in enumerate(factors):
        if factor == column:
            before = matrices[place - 1] if place else None
            matrices[place] = np.ones((1 if before is None else before.shape[1], 1))
    for place in reversed(range(len(factors))):
        if factors[place] == row:
            after = matrices[place + 1] if place + 1 < len(factors) else None
            matrices[place] = np.ones((1, 1 if after is None else after.shape[0]))
    result = reduce(np.matmul, matrices)
    if last:
        result = result[:, 0]
    inner = len(factors) == 2 or not last
    return result[0] if first and last and inner else result


def _fold(fold: Fold, env: Env) -> Any:
    """The reduction over the letters, each of which runs along the axes that it stands at."""
    letter, *others = fold.letters
    limit, *limits = fold.limits or (None,) * len(fold.letters)
    rest = Fold(fold.name, "", tuple(others), fold.body, tuple(limits))
    body: Formula = rest if others else fold.body
    sizes = set() if limit is None else {int(value(limit, env))}
    for part in walk(fold.body) if limit is None else ():
        if isinstance(part, Element):
            for axis, index in enumerate(part.indices):
                if index == letter:
                    known = {**env, **{other.name: 0 for other in others}}
                    base = _indexed(part, {**known, letter.name: 0})
                    sizes.add(base.shape[axis])
    (size,) = sizes
    terms = [value(body, {**env, letter.name: k}) for k in range(size)]
    if fold.name == "argmax":
        return np.argmax(terms, axis=0)
    start = {"Σ": [0.0], "Π": [1.0]}.get(fold.name, [])
    return reduce(FOLDS[fold.name], [*start, *terms])


def printed_value(translator: Translator, formula: Formula, env: Env) -> Any:
    """The value with the legend's names: vectors among them stand beside each row of a matrix."""
    values = dict(env)
    for definition in translator.needed([formula]):
        define(definition, values)
    return value(formula, values)


def define(definition: Definition, values: dict[str, Any]) -> None:
    """Gives the name that a definition defines its value; a vector stands beside each row."""
    left = definition.left
    if isinstance(left, Apply):
        return  # σ(t) = ...: a function that every reader knows
    if not isinstance(left, Element):
        values[left.name] = value(definition.right, values)  # type: ignore[attr-defined]
        return
    name = left.base.name  # type: ignore[attr-defined]
    values[name] = elements(left, definition.right, definition.shape, values)
    if name.partition("_")[0] == "s":
        values[name] = values[name][..., None]


def elements(left: Element, right: Formula, shape: Sequence[object], env: Env) -> Any:
    """The array of which a definition gives an element for each value of its letters."""
    sizes = [size_of(size, env) for size in shape]
    letters = [index.name for index in left.indices if isinstance(index, Symbol)]
    wide = [size for size in sizes if size != 1]
    return _table(right, letters, wide, env).reshape(sizes)


def _table(body: Formula, letters: list[str], sizes: list[int], env: Env) -> Any:
    """What a definition element by element defines."""
    if not letters:
        return np.asarray(value(body, env))
    first, *others = letters
    return np.array([_table(body, others, sizes[1:], {**env, first: k}) for k in range(sizes[0])])


def line_value(line: Line, values: dict[str, Any]) -> Any:
    """The right side of a line, at the shape that the line states; its notes are defined first."""
    for note in line.notes:
        define(note, values)
    by = line.left.by if isinstance(line.left, Partial) else line.left
    sizes = [
        int(size) if size.isdigit() else values[size] for size in line.shape.split("×") if size
    ]
    if isinstance(by, Element):
        return elements(by, line.right, sizes, values)
    found = np.asarray(value(line.right, values))
    assert np.broadcast_shapes(found.shape, sizes) == tuple(sizes), line
    return np.broadcast_to(found, sizes)


def sheet_values(sheet: Sheet, given: Env) -> dict[str, Any]:
    """The gradients by their parameters' names, computed from top to bottom as a reader would."""
    found, values = {}, dict(given)
    for line in (*sheet.forward, *sheet.backward):
        of = line.left.by if isinstance(line.left, Partial) else line.left
        name = of.base if isinstance(of, Element) else of
        assert isinstance(name, Symbol)
        kept = found if isinstance(line.left, Partial) else values
        kept[name.name] = line_value(line, values)
    return found


def component_values(
    equations: tuple[Sequence[Definition], Sequence[Definition]], given: Mapping[str, Any]
) -> list[float]:
    """The right sides of a scalar form, from the components of what is given."""
    results, where = equations
    known: dict[str, Any] = {}
    for name, array in given.items():
        for place in np.ndindex(*np.shape(array)):
            symbol = component(Symbol(readable(name)), place, np.shape(array))
            known[symbol.name] = np.asarray(array)[place]
    for definition in where:
        known[definition.left.name] = value(definition.right, known)  # type: ignore[attr-defined]
    return [float(value(definition.right, known)) for definition in results]
