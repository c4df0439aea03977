"""The value of a printed formula, from its tree alone: what a reader would compute from the print.

Vectors are columns in products of matrices; beside a matrix they stand in every row. Bold ones are
as many as their neighbours need, and where nothing says how long, the line's shape does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np

from symnet.formula.translate import Translator
from symnet.formula.tree import (
    EULER,
    ONES,
    Apply,
    Element,
    Fence,
    Fold,
    Formula,
    Hadamard,
    Listed,
    MatrixProduct,
    Number,
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

Env = Mapping[str, Any]

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "exp": np.exp,
    "log": np.log,
    "sin": np.sin,
    "cos": np.cos,
    "tanh": np.tanh,
    "sech": lambda x: 1 / np.cosh(x),
    "σ": lambda x: 1 / (1 + np.exp(-x)),
    "softplus": lambda x: np.log1p(np.exp(x)),
    "max": np.maximum,
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
}
FOLDS: dict[str, Callable[[Any, Any], Any]] = {
    "Σ": np.add,
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
            parts = (formula.condition, formula.first, formula.second)
            return np.where(*(value(part, env) for part in parts))
        case Element():
            base = np.asarray(value(formula.base, env))
            if base.ndim > len(formula.indices):
                base = base[..., 0]  # a name of the legend: one number a row
            return base[tuple(_index(index, env) for index in formula.indices)]
        case Fold():
            return _fold(formula, env)
        case Listed():
            return np.array([value(item, env) for item in formula.items])
    raise NotImplementedError(type(formula))


def _symbol(symbol: Symbol, env: Env) -> Any:
    if symbol == ONES:
        return 1.0
    if symbol == EULER:
        return np.e
    return env[symbol.name]


def _index(index: Formula, env: Env) -> Any:
    if isinstance(index, Symbol) and ":" in index.name:
        return slice(*(int(part) if part else None for part in index.name.split(":")))
    return np.asarray(value(index, env)).astype(int)


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
    body: Formula = Fold(fold.name, "", tuple(others), fold.body) if others else fold.body
    sizes = set()
    for part in walk(fold.body):
        if isinstance(part, Element):
            for axis, index in enumerate(part.indices):
                if index == letter:
                    known = {**env, **{other.name: 0 for other in others}}
                    base = np.asarray(value(part.base, {**known, letter.name: 0}))
                    sizes.add(base.shape[axis])
    (size,) = sizes
    terms = [value(body, {**env, letter.name: k}) for k in range(size)]
    return reduce(FOLDS[fold.name], terms)


def printed_value(
    translator: Translator, formula: Formula, env: Env, shape: Sequence[object]
) -> Any:
    """The value with the legend's names: vectors among them stand beside each row of a matrix.

    shape: that of the vectors in the legend that stand for no expression.
    """
    values = dict(env)
    shapes = {
        part.name: node.shape
        for node, named in translator.named.items()
        for part in walk(named)
        if isinstance(part, Symbol)
    }
    for definition in translator.needed([formula]):
        left = definition.left
        if isinstance(left, Element):
            name, letters = left.base.name, [i.name for i in left.indices]  # type: ignore[attr-defined]
            sizes = [int(str(size)) for size in shapes.get(name, shape)]
            values[name] = _table(definition.right, letters, sizes, values)
            if name.startswith("s"):
                values[name] = values[name][..., None]
        else:
            values[left.name] = value(definition.right, values)  # type: ignore[attr-defined]
    return value(formula, values)


def _table(body: Formula, letters: list[str], sizes: list[int], env: Env) -> Any:
    """What a definition element by element defines."""
    if not letters:
        return value(body, env)
    first, *others = letters
    return np.array([_table(body, others, sizes[1:], {**env, first: k}) for k in range(sizes[0])])
