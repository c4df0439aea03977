"""What a formula's text says, before its names have a meaning. Each node knows its place."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Node:
    """One node; `place` is where the text of it, or of its sign, begins."""

    place: int


@dataclass(frozen=True, slots=True)
class Numeral(Node):
    """A number without sign, or ∞."""

    value: float


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A name; ∂L/∂w counts as one."""

    name: str


@dataclass(frozen=True, slots=True)
class Ones(Node):
    """A vector of ones, as long as its neighbours need."""


@dataclass(frozen=True, slots=True)
class Negated(Node):
    """−body."""

    body: Node


@dataclass(frozen=True, slots=True)
class Total(Node):
    """A sum of terms, each with its sign, + or -."""

    terms: tuple[tuple[str, Node], ...]


@dataclass(frozen=True, slots=True)
class Product(Node):
    """Factors from left to right, each with the sign before it: * ⊙ / ⊘, or none."""

    factors: tuple[tuple[str, Node], ...]


@dataclass(frozen=True, slots=True)
class Raised(Node):
    """base^exponent. raised: as a superscript; `elementwise` if written ^∘."""

    base: Node
    exponent: Node
    raised: bool = False
    elementwise: bool = False


@dataclass(frozen=True, slots=True)
class Transposed(Node):
    """baseᵀ."""

    base: Node


@dataclass(frozen=True, slots=True)
class Call(Node):
    """A function of arguments; `order` counts the primes of a derivative."""

    name: str
    arguments: tuple[Node, ...]
    order: int = 0


@dataclass(frozen=True, slots=True)
class Axis(Node):
    """The argument `axis 0` of a function."""

    number: int


@dataclass(frozen=True, slots=True)
class Listed(Node):
    """Several values, in parentheses or brackets."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Roots(Node):
    """As many square roots of the body."""

    count: int
    body: Node


@dataclass(frozen=True, slots=True)
class Fenced(Node):
    """A body between signs; kind: | for |x|, ‖ for ‖x‖, ⌊ for ⌊x⌋."""

    kind: str
    body: Node


@dataclass(frozen=True, slots=True)
class Bracket(Node):
    """[items]: 1 where the one relation in it holds, or a list; of arrays, blocks side by side, or
    `stacked` below each other."""

    items: tuple[Node, ...]
    stacked: bool = False


@dataclass(frozen=True, slots=True)
class Zeros(Node):
    """A block of so many rows or columns of zeros."""

    size: Node


@dataclass(frozen=True, slots=True)
class Cases(Node):
    """first where the condition holds, second elsewhere."""

    condition: Node
    first: Node
    second: Node


@dataclass(frozen=True, slots=True)
class Compared(Node):
    """left sign right, with a sign of order, or of logical and, or."""

    sign: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Part(Node):
    """base[indices]."""

    base: Node
    indices: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Span(Node):
    """start:stop:step as an index; all three may be absent."""

    start: Node | None = None
    stop: Node | None = None
    step: Node | None = None


@dataclass(frozen=True, slots=True)
class Letter(Node):
    """An index letter; with a limit it stays below that, else it runs along its axis."""

    name: str
    limit: Node | None = None


@dataclass(frozen=True, slots=True)
class Over(Node):
    """A reduction of a body over index letters: Σ, Π, max, min or argmax."""

    name: str
    letters: tuple[Letter, ...]
    body: Node


@dataclass(frozen=True, slots=True)
class Equation(Node):
    """left = right, for what a name, or each element of it, stands for."""

    left: Node
    right: Node
