"""Scalar expressions as Numba source."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from codegen.cpu.errors import CompileError
from codegen.cpu.operands import Operands
from codegen.intrinsics import INTRINSICS
from codegen.scalar import (
    FLOATS,
    INTEGERS,
    Affine,
    Apply,
    Axis,
    Constant,
    Dtype,
    Index,
    Load,
    Local,
    Ref,
    Scalar,
    Size,
)

# A line with more calls inside one another than this is cut in two: Python's parser refuses about
# two hundred parentheses, and a reader far fewer.
_HEIGHT = 8
_PRODUCTS = {2.0: "power_2", 3.0: "power_3", 4.0: "power_4"}


@dataclass(slots=True)
class Writer:
    """The body of one kernel while it is being written: lines, and who is called what."""

    operands: Operands
    lines: list[str] = field(default_factory=list)
    depth: int = 1
    axes: dict[str, str] = field(default_factory=dict)
    locals: dict[str, str] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    # What stands for an element of these buffers, which are at work elsewhere.
    moved: dict[str, Callable[[Ref], str]] = field(default_factory=dict)

    def line(self, text: str) -> None:
        """One line at the current depth."""
        self.lines.append("    " * self.depth + text)

    @contextmanager
    def indented(self) -> Iterator[None]:
        """What is written inside stands one step deeper."""
        self.depth += 1
        yield
        self.depth -= 1

    def fresh(self, letter: str) -> str:
        """A name that this kernel has not used: the letter and a number."""
        count = self.counters.get(letter, 0)
        self.counters[letter] = count + 1
        return f"{letter}{count}"

    def bind(self, local: str, text: str) -> None:
        """Lets a local of the program stand for that text's value from here on."""
        name = self.fresh("v")
        self.line(f"{name} = {text}")
        self.locals[local] = name


def value(writer: Writer, scalar: Scalar) -> str:
    """The scalar as an expression; may write lines before it that the expression uses."""
    return _value(writer, scalar)[0]


def element(writer: Writer, ref: Ref) -> str:
    """The element as something to assign to, or to read."""
    if ref.buffer in writer.moved:
        return writer.moved[ref.buffer](ref)
    return f"{writer.operands.pointer(ref.buffer)}[{_offset(writer, ref)}]"


def store(writer: Writer, ref: Ref, scalar: Scalar) -> None:
    """The line that stores the scalar."""
    text = value(writer, scalar)
    if writer.operands.buffer(ref.buffer).dtype == "bool":
        text = f"uint8({text})"
    writer.line(f"{element(writer, ref)} = {text}")


def literal(constant: Constant) -> str:
    """A constant that reads back as exactly its value in its dtype."""
    if constant.dtype == "bool":
        return str(bool(constant.value))
    if constant.dtype in INTEGERS:
        number = int(constant.value)
        text = f"({number})" if number < 0 else str(number)
        return f"int32({number})" if constant.dtype == "int32" else text
    with np.errstate(over="ignore"):
        typed = np.dtype(constant.dtype).type(constant.value)
    text = _digits(typed)
    if constant.dtype == "float32":
        return f"float32({text})"
    return f"({text})" if text.startswith("-") else text


def _digits(typed: np.floating[Any]) -> str:
    real = float(typed)
    if math.isnan(real):
        return "nan"
    if math.isinf(real):
        return "inf" if real > 0 else "-inf"
    # The shortest digits of the float32, unless reading them as a float64 first rounds elsewhere.
    short = str(typed)
    return short if type(typed)(float(short)) == typed else repr(real)


def _value(writer: Writer, scalar: Scalar) -> tuple[str, int]:
    """The expression and how many calls deep it is."""
    match scalar:
        case Constant(value=number, dtype="int64") if abs(int(number)) > 1:
            # An integer is an extent in disguise (where a slice or a concatenation is cut).
            return writer.operands.number(int(number)), 0
        case Constant():
            return literal(scalar), 0
        case Size(name=name):
            return writer.operands.number(name), 0
        case Axis(name=name):
            return _axis(writer, name), 0
        case Local(name=name):
            if name not in writer.locals:
                raise CompileError(f"the local %{name} is not bound where it is used")
            return writer.locals[name], 0
        case Load(ref=ref):
            text = element(writer, ref)
            return (f"({text} != 0)" if scalar.dtype == "bool" else text), 1
        case Apply(function="select"):
            return _select(writer, scalar)
        case Apply():
            parts = [_value(writer, argument) for argument in scalar.args]
            return _shallow(writer, _spelled(scalar, [text for text, _ in parts]), parts)


def _shallow(writer: Writer, text: str, parts: list[tuple[str, int]]) -> tuple[str, int]:
    height = 1 + max((height for _, height in parts), default=0)
    if height < _HEIGHT:
        return text, height
    name = writer.fresh("v")
    writer.line(f"{name} = {text}")
    return name, 0


def _select(writer: Writer, scalar: Apply) -> tuple[str, int]:
    """A conditional expression, or a conditional statement if a branch needs lines of its own:
    they must not run where the branch is not taken."""
    condition, height = _value(writer, scalar.args[0])
    outer, depth = writer.lines, writer.depth
    branches = []
    writer.depth = depth + 1
    for argument in scalar.args[1:]:
        writer.lines = []
        text, branch_height = _value(writer, argument)
        branches.append((text, branch_height, writer.lines))
    writer.lines, writer.depth = outer, depth
    (yes, yes_height, yes_lines), (no, no_height, no_lines) = branches
    if not yes_lines and not no_lines:
        parts = [(condition, height), (yes, yes_height), (no, no_height)]
        return _shallow(writer, f"({yes} if {condition} else {no})", parts)
    name = writer.fresh("v")
    writer.line(f"if {condition}:")
    writer.lines += [*yes_lines, "    " * (depth + 1) + f"{name} = {yes}"]
    writer.line("else:")
    writer.lines += [*no_lines, "    " * (depth + 1) + f"{name} = {no}"]
    return name, 0


def _spelled(scalar: Apply, args: list[str]) -> str:
    if scalar.function == "cast":
        return _cast(args[0], scalar.args[0].dtype, scalar.dtype)
    if scalar.function == "power":
        return _power(scalar, args)
    if scalar.function not in INTRINSICS:
        raise CompileError(f"no intrinsic is called {scalar.function!r}")
    text = INTRINSICS[scalar.function].cpu.format(*args)
    # Numba widens the sums and products of int32.
    return f"int32({text})" if scalar.dtype == "int32" else text


def _power(scalar: Apply, args: list[str]) -> str:
    base, exponent = scalar.args
    if scalar.dtype in INTEGERS:
        text = f"power_integer({args[0]}, {args[1]})"
        return f"int32({text})" if scalar.dtype == "int32" else text
    if isinstance(exponent, Constant):
        if exponent.value in _PRODUCTS:
            return f"{_PRODUCTS[float(exponent.value)]}({args[0]})"
        if exponent.value == 1:
            return args[0]
        one = literal(Constant(1.0, base.dtype))
        if exponent.value == 0:
            return one
        if exponent.value == -1:
            return f"({one} / {args[0]})"
    return f"power_float({args[0]}, {args[1]})"


def _cast(text: str, given: Dtype, wanted: Dtype) -> str:
    if given == wanted:
        return text
    if wanted == "bool":
        return f"({text} != 0)"
    if wanted in INTEGERS and given in FLOATS:
        return f"{wanted}_of_float({text})"
    return f"{wanted}({text})"


def _axis(writer: Writer, name: str) -> str:
    # An axis that no loop of this kernel runs over is one that the driver runs over.
    return writer.axes.get(name) or writer.operands.clock(name)


def _offset(writer: Writer, ref: Ref) -> str:
    """Where the element stands in its buffer, row-major, by Horner's rule."""
    shape = writer.operands.buffer(ref.buffer).shape
    if len(ref.index) != len(shape):
        raise CompileError(f"{ref.buffer} has {len(shape)} dimensions, not {len(ref.index)}")
    text = ""
    for position, index in enumerate(ref.index):
        if text:
            text = f"({text})" if " + " in text or " - " in text else text
            text = f"{text} * {writer.operands.dimension(ref.buffer, position)}"
        term = _index(writer, index)
        if term:
            text = f"{text} + {term}" if text else term
    return text or "0"


def _index(writer: Writer, index: Index) -> str:
    """One index; empty if it is plainly zero."""
    if not isinstance(index, Affine):
        return element(writer, index.ref)
    parts = []
    for symbol, by in index.terms:
        name = (
            _axis(writer, symbol.name)
            if isinstance(symbol, Axis)
            else writer.operands.number(symbol.name)
        )
        if abs(by) != 1:
            # A coefficient or an offset is an extent in disguise (two axes made one, a slice).
            name = f"{name} * {writer.operands.number(abs(by))}"
        parts.append(("- " if by < 0 else "+ ") + name)
    if index.offset:
        number = abs(index.offset)
        name = "1" if number == 1 else writer.operands.number(number)
        parts.append(("- " if index.offset < 0 else "+ ") + name)
    text = " ".join(parts)
    return text[2:] if text.startswith("+ ") else text.replace("- ", "-", 1)
