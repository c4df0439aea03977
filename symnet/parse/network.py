"""Whole networks from text: what there is, then what is computed of it, line by line.

    X: N×2                       data: a size with a name varies
    Y: N×1
    W_1: 2×3                     parameters: every size is a number
    b_1: 3
    Z_1 = X W_1 + b_1            one equation a line, as formulas print
    L = 1/N ‖tanh(Z_1) − Y‖²     the last one is the loss

`w: number` is a single number; the words `data`, `parameter` and `integer` behind a shape say what
it does not show. What follows a # is a remark. Nothing in the text is ever executed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NoReturn

from symnet.errors import ParseError, ShapeError, SymnetError
from symnet.expr import Expr
from symnet.ops.core import FLOAT64, INT64
from symnet.ops.leaves import input, named, parameter
from symnet.parse.formulas import define, grammar_of, meaning_of
from symnet.parse.meaning import Meaning
from symnet.parse.tokens import fault, normal_name, require_text
from symnet.parse.values import known
from symnet.sizes import Dimension, Shape, show_shape, size_names

LONGEST_NETWORK: Final = 200_000
_DECLARATION = re.compile(r"\s*([^\s:=,]+(?:\s*,\s*[^\s:=,]+)*)\s*:(?!=)(.*)")
_BETWEEN_SIZES = re.compile(r"\s*[×*,]\s*|\s+[xX]\s+|(?<=\d)[xX](?=\d)")
_KINDS: Final = ("data", "parameter", "integer")
_SINGLE: Final = ("number", "scalar")


@dataclass(frozen=True)
class Network:
    """A network read from text.

    leaves: its data and parameters by name, in the order of the text. defined: what each equation
    defines, the loss last.
    """

    leaves: Mapping[str, Expr]
    defined: Mapping[str, Expr]

    @property
    def loss(self) -> Expr:
        """What the last equation defines."""
        return list(self.defined.values())[-1]

    def parameters(self) -> list[Expr]:
        """What was declared as a parameter, in the order of the text."""
        return [leaf for leaf in self.leaves.values() if leaf.op.name == "parameter"]


@dataclass(frozen=True)
class _Line:
    """A line without its remark: where it begins and ends in the text."""

    start: int
    end: int


def parse_network(text: str) -> Network:
    """The network that a text writes.

    Its numbers are float64. ParseError, with line, column, a caret and advice, for what is no
    declaration or equation, for names that nothing declares or that stand twice, for arrays that
    do not fit, and for a loss that is not a number.
    """
    require_text(text, LONGEST_NETWORK)
    # Even a text of one line says which: there may be lines that were left empty.
    text = text.rstrip() + "\n\n"
    leaves: dict[str, Expr] = {}
    equations: list[_Line] = []
    for line in _lines(text):
        declared = _DECLARATION.fullmatch(text, line.start, line.end)
        if declared is None:
            equations.append(line)
            continue
        for place, name, leaf in _declared(text, declared):
            if name in leaves:
                raise fault(text, place, f"{name} is declared already")
            leaves[name] = leaf
            sizes = {size for other in leaves.values() for size in size_names(other.shape)}
            if clash := sorted(sizes & leaves.keys()):
                raise fault(text, place, f"{clash[0]} is the name of a size and of an array")
    if not equations:
        raise fault(text, 0, "there is no equation: the last line says the loss, such as L = x²")
    meaning = meaning_of(text, {name: known(e) for name, e in leaves.items()}, leaves, (), False)
    defined = {name: expr for line in equations for name, expr in _defined(meaning, line)}
    network = Network(leaves, defined)
    if network.loss.shape != ():
        shape = show_shape(network.loss.shape)
        advice = "the last line is the loss, a single number: write 1/N ‖…‖², or a sum Σ_n …"
        raise fault(text, _first(text, equations[-1]), f"this is {shape}; {advice}")
    return network


def _lines(text: str) -> Iterator[_Line]:
    start = 0
    for line in text.split("\n"):
        said = line.partition("#")[0].rstrip()
        if said.strip():
            yield _Line(start, start + len(said))
        start += len(line) + 1


def _first(text: str, line: _Line) -> int:
    said = text[line.start : line.end]
    return line.start + len(said) - len(said.lstrip())


def _declared(text: str, match: re.Match[str]) -> Iterator[tuple[int, str, Expr]]:
    """Each name before the colon, with its place and the leaf that it stands for."""
    shape, kind = _said(text, match.start(2), match[2])
    for part in re.finditer(r"[^\s,]+", match[1]):
        place = match.start(1) + part.start()
        name = normal_name(part[0])
        try:
            if kind == "parameter":
                leaf = parameter(name, shape, dtype=FLOAT64)
            else:
                leaf = input(name, shape, INT64 if kind == "integer" else FLOAT64)
        except SymnetError as error:
            raise fault(text, place, str(error).partition("\n")[0]) from None
        yield place, name, leaf


def _said(text: str, start: int, said: str) -> tuple[Shape, str]:
    """The shape behind a colon, and whether it is of data, of a parameter or of integers."""
    words = said.split()
    kind = words.pop() if len(words) > 1 and words[-1] in _KINDS else ""
    rest = said[: said.rstrip().rfind(kind)] if kind else said
    shape = _shape(text, start, rest)
    if kind == "parameter" and size_names(shape):
        raise fault(text, start, "the sizes of a parameter are numbers: 2×3, not N×3")
    return shape, kind or ("data" if size_names(shape) else "parameter")


def _shape(text: str, start: int, said: str) -> Shape:
    first = start + len(said) - len(said.lstrip())
    said = said.strip()
    if said in _SINGLE:
        return ()
    found: list[Dimension] = []
    at = 0
    for match in [*_BETWEEN_SIZES.finditer(said), None]:
        part = said[at : match.start()] if match else said[at:]
        found.append(_size(text, first + at, part.strip()))
        at = match.end() if match else at
    return tuple(found)


def _size(text: str, place: int, part: str) -> Dimension:
    if part.isdecimal() and part.isascii() and len(part) < 10:
        return int(part)
    if part.isidentifier():
        (size,) = input("size", (part,)).shape
        return size
    _refuse_shape(text, place, part)


def _refuse_shape(text: str, place: int, part: str) -> NoReturn:
    said = f"{part!r} is no size" if part else "a size is missing"
    advice = "a shape is written as N×3 or 2×3, a single number as `number`"
    if " " in part:
        advice += f", and behind it may stand {', '.join(_KINDS)}"
    raise fault(text, place, f"{said}: {advice}")


def _defined(meaning: Meaning, line: _Line) -> Iterator[tuple[str, Expr]]:
    """What an equation defines, under its name from now on."""
    text = meaning.text
    if "=" not in text[line.start : line.end]:
        advice = "a line declares, as in W: 2×3, or defines, as in Z = X W + b"
        raise fault(text, _first(text, line), f"this is neither: {advice}")
    if (double := text.find("==", line.start, line.end)) >= 0:
        raise fault(text, double + 1, "a definition has one =")
    try:
        grammar = grammar_of(text, line.start, line.end, meaning)
        equation = grammar.equation()
        grammar.end()
        name = define(meaning, equation)
        expr = meaning.names[name].expr
    except ParseError as error:
        raise _advised(error) from None
    except ShapeError as error:
        # What a size depends on may stand anywhere in the line, so that the line is pointed at.
        raise fault(text, _first(text, line), _unstated(str(error))) from None
    if not name:
        raise fault(text, _first(text, line), "this explains a function that is known already")
    if expr.args and expr.name is None:
        expr = named(name, expr)
    meaning.names[name] = known(expr)
    yield name, expr


def _unstated(said: str) -> str:
    """A shape that does not show, with what to do about it in a file, where none is stated."""
    head, colon, _ = said.partition(": state the shape of the line")
    return (
        f"{head}: multiply by ones, such as 2 \N{MATHEMATICAL BOLD DIGIT ONE}, only beside an array"
        if colon
        else said
    )


def _advised(error: ParseError) -> ParseError:
    """The error, with how to declare a name that nothing declares."""
    head, _, rest = str(error).partition("\n")
    if "nothing is called" not in head:
        return error
    name = head.partition("nothing is called ")[2].partition(":")[0]
    return ParseError(f"{head}; declare it on a line of its own: {name}: 2×3\n{rest}")
