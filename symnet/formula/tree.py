"""The formula tree: what a printer writes. Frozen, small, and free of the graph's spelling."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from fractions import Fraction


class Formula:
    """One node of a formula."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Number(Formula):
    """A number with a finite decimal expansion."""

    value: Fraction


@dataclass(frozen=True, slots=True)
class Symbol(Formula):
    """A name, as the user typed it; `size` if it names a size of an axis, `mask` if its elements
    are the brackets of a condition, 0 or 1."""

    name: str
    size: bool = False
    mask: bool = False


@dataclass(frozen=True, slots=True)
class Scaled(Formula):
    """top/bottom · over/under · body: numbers, scalar factors in order, and at most one array.

    `bottom` is positive, so the sign is that of `top`.
    """

    top: Fraction = Fraction(1)
    bottom: Fraction = Fraction(1)
    over: tuple[Formula, ...] = ()
    under: tuple[Formula, ...] = ()
    body: Formula | None = None


@dataclass(frozen=True, slots=True)
class Hadamard(Formula):
    """The elementwise product of arrays; operands that repeat along axes are written plainly."""

    factors: tuple[Formula, ...]


@dataclass(frozen=True, slots=True)
class Quotient(Formula):
    """The elementwise quotient by an array."""

    top: Formula
    bottom: Formula


@dataclass(frozen=True, slots=True)
class MatrixProduct(Formula):
    """The product of matrices and vectors."""

    factors: tuple[Formula, ...]


@dataclass(frozen=True, slots=True)
class Transpose(Formula):
    """The transpose."""

    base: Formula


@dataclass(frozen=True, slots=True)
class Sum(Formula):
    """A sum of terms; a negative term is written with a minus."""

    terms: tuple[Formula, ...]


@dataclass(frozen=True, slots=True)
class Power(Formula):
    """base^exponent; `elementwise` for the power of each element of an array."""

    base: Formula
    exponent: Formula
    elementwise: bool = False


@dataclass(frozen=True, slots=True)
class Apply(Formula):
    """A function of arguments; `latex` is its name there, `primes` count derivatives.

    A `bare` function, such as log, needs no parentheses about a single simple argument.
    """

    name: str
    arguments: tuple[Formula, ...]
    latex: str = ""
    primes: int = 0
    bare: bool = False


@dataclass(frozen=True, slots=True)
class Fence(Formula):
    """A formula between signs: "abs" |x|, "floor" ⌊x⌋, "norm" ‖x‖, "root" √x, "bracket" [x]."""

    kind: str
    body: Formula


@dataclass(frozen=True, slots=True)
class Relation(Formula):
    """left sign right, with a sign such as <, ≤, =, ≠ or ←."""

    sign: str
    left: Formula
    right: Formula


@dataclass(frozen=True, slots=True)
class Piecewise(Formula):
    """first where the condition holds, second elsewhere."""

    condition: Formula
    first: Formula
    second: Formula


@dataclass(frozen=True, slots=True)
class Element(Formula):
    """An element, or with the index `:` a row or column, of an array."""

    base: Formula
    indices: tuple[Formula, ...]


@dataclass(frozen=True, slots=True)
class Fold(Formula):
    """A reduction of `body` over index letters: Σ, Π, max, min, argmax.

    `limits`, if there are any, are one a letter: the letter stays below it. A letter without one
    runs as far as the axes at which it stands.
    """

    name: str
    latex: str
    letters: tuple[Symbol, ...]
    body: Formula
    limits: tuple[Formula | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Partial(Formula):
    """The symbol ∂of/∂by."""

    of: Formula
    by: Formula


@dataclass(frozen=True, slots=True)
class Chain(Formula):
    """Factors of the chain rule, joined by a dot; LaTeX writes a label under each that has one."""

    factors: tuple[Formula, ...]
    labels: tuple[Formula | None, ...]


@dataclass(frozen=True, slots=True)
class Listed(Formula):
    """The elements of a small constant array, row by row."""

    items: tuple[Formula, ...]


@dataclass(frozen=True, slots=True)
class Blocks(Formula):
    """Blocks side by side, or with `stacked` one below the other; 0 is a block of zeros.

    `sizes` are those of the blocks along the axis on which they follow one another.
    """

    items: tuple[Formula, ...]
    sizes: tuple[object, ...]
    stacked: bool = False


@dataclass(frozen=True, slots=True)
class Definition(Formula):
    """left = right: one line of a sheet or a legend. `shape` is that of the array whose elements it
    defines, if it defines elements."""

    left: Formula
    right: Formula
    shape: tuple[object, ...] = ()


COLON = Symbol(":")
ZERO = Number(Fraction(0))
ONE = Number(Fraction(1))
ONES = Symbol("\N{MATHEMATICAL BOLD DIGIT ONE}")
EULER = Symbol("e")
PI = Symbol("π")
# Functions whose powers are written at the name: sech²(x).
RAISED = frozenset({"sin", "cos", "tan", "sinh", "cosh", "tanh", "sech"})


def walk(formula: object) -> Iterator[Formula]:
    """Every node of a formula, or of a tuple of them."""
    stack: list[object] = [formula]
    while stack:
        part = stack.pop()
        if isinstance(part, tuple):
            stack.extend(part)
        elif isinstance(part, Formula):
            yield part
            stack.extend(getattr(part, field.name) for field in fields(part))  # type: ignore[arg-type]
