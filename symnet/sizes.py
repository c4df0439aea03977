"""Sizes of axes: integers, or polynomials in named run-time sizes.

A named size reads as the string it was given by: `x.shape == ("N", 64)`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from symnet.errors import ShapeError

Monomial = tuple[str, ...]


class Size(str):
    """A polynomial in named sizes with integer coefficients; its text is its canonical form."""

    __slots__ = ("terms",)
    terms: tuple[tuple[Monomial, int], ...]

    def __new__(cls, terms: Mapping[Monomial, int]) -> Size:
        kept = tuple(sorted((names, by) for names, by in terms.items() if by))
        size = super().__new__(cls, _text(kept))
        size.terms = kept
        return size

    def names(self) -> set[str]:
        """The named sizes it depends on."""
        return {name for names, _ in self.terms for name in names}

    def value(self, known: Mapping[str, int]) -> int:
        """The integer it stands for, given the named sizes; KeyError if one is unknown."""
        total = 0
        for names, by in self.terms:
            for name in names:
                by *= known[name]
            total += by
        return total


Dimension = int | Size
Shape = tuple[Dimension, ...]


def _text(terms: tuple[tuple[Monomial, int], ...]) -> str:
    parts: list[str] = []
    for names, by in sorted(terms, key=lambda term: (-len(term[0]), term[0])):
        body = "*".join(names)
        if not names:
            body = str(abs(by))
        elif abs(by) != 1:
            body = f"{abs(by)}*{body}"
        sign = "-" if by < 0 else "+"
        parts.append(f" {sign} {body}" if parts else (f"-{body}" if by < 0 else body))
    return "".join(parts) or "0"


def named_size(name: str) -> Size:
    """The run-time size of that name; ShapeError unless it is an identifier."""
    if not name.isidentifier():
        raise ShapeError(f"a named size must be an identifier, got {name!r}")
    return Size({(name,): 1})


def dimension(value: object) -> Dimension:
    """An axis's size from what a user writes: a non-negative integer or a name."""
    if isinstance(value, Size):
        return value
    if isinstance(value, str):
        return named_size(value)
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise ShapeError(f"a size must be an integer or a name, got {value!r}")
    number = int(value.__index__())
    if number < 0:
        raise ShapeError(f"a size must not be negative, got {number}")
    return number


def shape_of(values: object) -> Shape:
    """A shape from what a user writes: one size or a sequence of sizes."""
    if isinstance(values, (str, int)):
        return (dimension(values),)
    if not isinstance(values, Iterable):
        raise ShapeError(f"a shape is a tuple of sizes, got {values!r}")
    return tuple(dimension(value) for value in values)


def _terms(value: Dimension) -> Mapping[Monomial, int]:
    return dict(value.terms) if isinstance(value, Size) else {(): int(value)}


def _canonical(terms: Mapping[Monomial, int]) -> Dimension:
    kept = {names: by for names, by in terms.items() if by}
    if not kept:
        return 0
    if set(kept) == {()}:
        return kept[()]
    return Size(kept)


def add_sizes(*values: Dimension) -> Dimension:
    """The sum."""
    total: dict[Monomial, int] = {}
    for value in values:
        for names, by in _terms(value).items():
            total[names] = total.get(names, 0) + by
    return _canonical(total)


def scale_size(value: Dimension, by: int) -> Dimension:
    """The size times an integer."""
    return _canonical({names: old * by for names, old in _terms(value).items()})


def multiply_sizes(values: Iterable[Dimension]) -> Dimension:
    """The product; 1 for none."""
    total: Mapping[Monomial, int] = {(): 1}
    for value in values:
        product: dict[Monomial, int] = {}
        for left, by_left in total.items():
            for right, by_right in _terms(value).items():
                names = tuple(sorted(left + right))
                product[names] = product.get(names, 0) + by_left * by_right
        total = product
    return _canonical(total)


def divide_sizes(total: Dimension, part: Dimension) -> Dimension | None:
    """total / part where that is again a size, else None. `part` has one term or equals total."""
    if part == 0:
        return None
    if total == part:
        return 1
    if total == 0:
        return 0
    whole, divisor = _terms(total), _terms(part)
    if len(divisor) != 1:
        return None
    ((names, by),) = divisor.items()
    quotient: dict[Monomial, int] = {}
    for monomial, coefficient in whole.items():
        rest = list(monomial)
        for name in names:
            if name not in rest:
                return None
            rest.remove(name)
        if coefficient % by:
            return None
        quotient[tuple(rest)] = coefficient // by
    return _canonical(quotient)


def size_names(shape: Shape) -> set[str]:
    """The named sizes that occur in a shape."""
    return {name for value in shape if isinstance(value, Size) for name in value.names()}


def show_shape(shape: Shape) -> str:
    """A shape as people write it: `N×64`, `3`, or `scalar`."""
    return "×".join(str(value) for value in shape) if shape else "scalar"
