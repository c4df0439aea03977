"""Sums of formulas: like terms together, in the order in which sums are written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction

from symnet.formula.algebra import is_negative, multiply, plain, scaled
from symnet.formula.tree import (
    ZERO,
    Formula,
    MatrixProduct,
    Number,
    Scaled,
    Sum,
    Symbol,
)


def _terms(formula: Formula) -> tuple[Formula, ...]:
    return formula.terms if isinstance(formula, Sum) else (formula,)


def _like_terms(terms: Iterable[Formula], scalar: bool) -> list[Formula]:
    """Terms without zeros, x + x as 2 x and −x − x as −2 x. Numbers and differences stay as they
    were written."""
    kept: list[Formula] = []
    for term in terms:
        product = scaled(term, scalar)
        for place, other in enumerate(kept):
            against = scaled(other, scalar)
            if (
                not isinstance(term, Number)
                and product.top * against.top > 0
                and replace(against, top=product.top) == product
            ):
                kept[place] = plain(replace(product, top=product.top + against.top))
                break
        else:
            if product.top != 0:
                kept.append(term)
    return kept


def _distributed(terms: Sequence[Formula]) -> list[Formula]:
    """A number times a sum is multiplied out where that brings like terms together."""
    kinds = [_kind(term) for term in terms]
    found: list[Formula] = []
    for place, term in enumerate(terms):
        product = scaled(term, scalar=True)
        alone = len(product.over) == 1 and not product.under and product.body is None
        inner = product.over[0] if alone else None
        others = {kind for k, kind in enumerate(kinds) if k != place and kind is not None}
        if isinstance(inner, Sum) and not others.isdisjoint(map(_kind, inner.terms)):
            number = replace(product, over=())
            found += [multiply(number, scaled(part, scalar=True)) for part in inner.terms]
        else:
            found.append(term)
    return found


def _kind(term: Formula) -> Formula | None:
    """A term without its number; None for a number."""
    product = scaled(term, scalar=True)
    return replace(product, top=Fraction(1), bottom=Fraction(1)) if product.over else None


def total(formulas: Sequence[Formula], scalar: bool) -> Formula:
    """The sum; a positive term leads, and a fraction common to all stands in front."""
    flat = [term for formula in formulas for term in _terms(formula)]
    terms = _like_terms(_distributed(flat) if scalar else flat, scalar)
    if not terms:
        return ZERO
    if len(terms) == 1:
        return terms[0]
    products = [scaled(term, scalar) for term in terms]
    common = _common_fraction(products)
    if common is not None:
        inner = [plain(_without(product, common)) for product in products]
        return multiply(common, scaled(total(inner, scalar), scalar))
    if not scalar:
        terms = _penalties_last(terms)
    first = next((k for k, term in enumerate(terms) if not is_negative(term)), 0)
    return Sum((terms[first], *terms[:first], *terms[first + 1 :]))


def _penalties_last(terms: Sequence[Formula]) -> list[Formula]:
    """A number times a symbol behind products of matrices: Xᵀ r + 0.1 w, Xᵀ D X + 0.1 I."""
    if not any(isinstance(scaled(term, False).body, MatrixProduct) for term in terms):
        return list(terms)
    return sorted(terms, key=_is_penalty)


def _is_penalty(term: Formula) -> bool:
    product = scaled(term, scalar=False)
    alone = isinstance(product.body, Symbol) and not (product.over or product.under)
    return alone and product.top != product.bottom


def _common_fraction(products: Sequence[Scaled]) -> Scaled | None:
    """The coefficient that all terms share up to sign, if it is a fraction such as 1/N."""
    first = products[0]
    common = Scaled(abs(first.top), first.bottom, (), first.under)
    shared = all(
        (abs(p.top), p.bottom, p.under) == (common.top, common.bottom, common.under)
        for p in products
    )
    is_fraction = common.bottom != 1 or any(
        isinstance(factor, Symbol) and factor.size for factor in common.under
    )
    return common if shared and is_fraction else None


def _without(product: Scaled, common: Scaled) -> Scaled:
    return replace(product, top=product.top / common.top, bottom=Fraction(1), under=())
