"""How the shape of a formula reads, and what must be written so that it is the shape that is meant.

The conventions, which `tests/test_formula_shapes.py` checks on printed formulas:

- A number beside an array stands for every element: X + 1.
- A vector beside a matrix stands in every row: X W + b, X ⊙ b.
- A vector in every column is written as a product with ones, which print bold: X ⊙ (v 1ᵀ). So is
  whatever else is repeated with nothing beside it that shows the shape: 1 bᵀ, 2 1.
- In a product of matrices a vector is a column. X ⊙ b and X ⊙ (v 1ᵀ) are X diag(b) and diag(v) X.
- Z[:,0] is the column of an N×1 matrix as a vector; col(v) is the N×1 matrix, vᵀ the 1×N one.
- A name with a legend such as s[n] = Σ_k X[n,k], beside a matrix, is one number a row.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from symnet.formula.algebra import matrix_product, plain, scaled, transpose
from symnet.formula.tree import COLON, ONES, ZERO, Apply, Element, Formula, Symbol, Transpose
from symnet.sizes import Shape, show_shape


@dataclass(frozen=True)
class Reading:
    """A formula, and the shape that it reads as: () for a number that stands for an array."""

    formula: Formula
    shape: Shape


def joint(shapes: list[Shape]) -> Shape:
    """The shape of an elementwise function of operands that read as these shapes."""
    longest = max((len(shape) for shape in shapes), default=0)
    padded = [(1,) * (longest - len(shape)) + shape for shape in shapes]
    return tuple(
        next((size for size in sizes if size != 1), 1) for sizes in zip(*padded, strict=True)
    )


def spread(reading: Reading, shape: Shape) -> Formula:
    """The formula of an array of this shape, with the repetition written where it does not show."""
    formula, own = reading.formula, reading.shape
    if own == shape:
        return formula
    if all(size == 1 for size in own) and len(shape) in (1, 2):
        number = pick(formula, (ZERO,) * len(own))
        ones = replace(scaled(number, scalar=True), body=ONES)
        return plain(ones) if len(shape) == 1 else matrix_product([plain(ones), Transpose(ONES)])
    if len(shape) == 2 and own == shape[1:]:
        row = transpose(formula)
        return row if shape[0] == 1 else matrix_product([ONES, row])
    if len(shape) == len(own) == 2 and own[0] == 1:
        return matrix_product([ONES, formula])
    if len(shape) == len(own) == 2 and own[1] == 1:
        return matrix_product([formula, Transpose(ONES)])
    return Apply("broadcast", (formula, Symbol(show_shape(shape))))


def diagonal(formula: Formula) -> Formula:
    """The diagonal matrix of a vector, its coefficient in front."""
    product = scaled(formula, scalar=False)
    body = ONES if product.body is None else product.body
    return plain(replace(product, body=Apply("diag", (body,), r"\operatorname{diag}")))


def pick(formula: Formula, indices: tuple[Formula, ...]) -> Formula:
    """Elements of an array, its coefficient in front; `:` keeps an axis whole."""
    if not indices or all(index == COLON for index in indices):
        return formula
    product = scaled(formula, scalar=False)
    if product.body is None:
        return formula
    body = product.body
    if isinstance(body, Apply) and body.name == "col" and indices == (COLON, ZERO):
        return plain(replace(product, body=body.arguments[0]))
    picked = Element(body, indices)
    if any(index == COLON for index in indices):
        return plain(replace(product, body=picked))
    return plain(replace(product, body=None, over=(*product.over, picked)))
