"""Einsums that are products of two matrices or vectors."""

from __future__ import annotations

from dataclasses import dataclass

from symnet.ops.contraction import split


@dataclass(frozen=True)
class Factor:
    """One factor of a matrix product: which operand, and whether it is transposed."""

    operand: int
    transposed: bool


def as_matrix_product(spec: str) -> tuple[Factor, Factor] | None:
    """The einsum as a product of two factors, in the order of the operands where that can be.

    None for every other contraction. A vector is a column, transposed where it stands first.
    """
    letters, out = split(spec)
    if len(letters) != 2 or any(len(set(own)) != len(own) for own in letters):
        return None
    left, right = letters
    shared = set(left) & set(right)
    if len(shared) > 1 or not all(1 <= len(own) <= 2 for own in letters) or shared & set(out):
        return None
    if not shared and not len(left) == len(right) == 1:
        return None
    inner = "".join(shared)
    rows, columns = left.replace(inner, ""), right.replace(inner, "")
    if len(rows) > 1 or len(columns) > 1:
        return None
    if len(left) == 1 and len(right) == 2 and out == columns:
        # A vector is a column: v @ W is Wᵀ v.
        return _oriented(1, right, inner), Factor(0, transposed=False)
    if out == rows + columns:
        return _oriented(0, left, inner), _oriented(1, right, inner, first=False)
    if out == columns + rows:
        return _oriented(1, right, inner), _oriented(0, left, inner, first=False)
    return None


def _oriented(operand: int, letters: str, inner: str, first: bool = True) -> Factor:
    if len(letters) == 1:
        # aᵀ b and aᵀ M sum over the vector's axis; a bᵀ sums over nothing.
        return Factor(operand, transposed=bool(inner) == first)
    return Factor(operand, transposed=letters.index(inner) == (0 if first else 1))
