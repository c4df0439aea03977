"""What the parser makes of PTX text: modules of functions of instructions of operands."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

TYPES: dict[str, np.dtype] = {
    "pred": np.dtype(bool),
    **{f"b{8 * n}": np.dtype(f"u{n}") for n in (1, 2, 4, 8)},
    **{f"u{8 * n}": np.dtype(f"u{n}") for n in (1, 2, 4, 8)},
    **{f"s{8 * n}": np.dtype(f"i{n}") for n in (1, 2, 4, 8)},
    **{f"f{8 * n}": np.dtype(f"f{n}") for n in (2, 4, 8)},
    # Kept as bits; the instructions that take them convert.
    "bf16": np.dtype("u2"),
    "tf32": np.dtype("u4"),
    "f16x2": np.dtype("u4"),
    "bf16x2": np.dtype("u4"),
}
"""NumPy's type of each type of PTX (PTX ISA, "Fundamental Types")."""


@dataclass(frozen=True, slots=True)
class Name:
    """A register, variable, label or function, made unique over the module; `~` if negated."""

    text: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Constant:
    """An integer, or the bits of a float of `float_bytes` bytes."""

    value: int
    float_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Address:
    """`[base + offset]`."""

    base: Name | Constant
    offset: int


@dataclass(frozen=True, slots=True)
class Vector:
    """`{a, b}` or `(a, b)`, or `a|b` of the instructions with two results."""

    items: tuple[Operand, ...]


Operand = Name | Constant | Address | Vector


@dataclass(frozen=True, slots=True)
class Instruction:
    """`@guard opcode.modifiers operands;`, from a line of the text."""

    opcode: str
    modifiers: tuple[str, ...]
    operands: tuple[Operand, ...]
    guard: Name | None
    line: int
    text: str

    @property
    def types(self) -> tuple[str, ...]:
        """The types among the modifiers, in order."""
        return tuple(word for word in self.modifiers if word in TYPES)

    def has(self, *words: str) -> bool:
        """Whether one of these is among the modifiers."""
        return any(word in self.modifiers for word in words)


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of a state space; `size` is 0 for an extern one, whose size the launch gives."""

    name: str
    space: str
    align: int
    size: int
    data: bytes = b""
    addresses: tuple[tuple[int, str], ...] = ()


@dataclass(slots=True)
class Function:
    """A kernel or a function; `labels` give the number of the instruction that follows them."""

    name: str
    entry: bool
    parameters: tuple[Variable, ...]
    results: tuple[Variable, ...] = ()
    instructions: list[Instruction] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)
    tables: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(slots=True)
class Module:
    """A parsed text. `registers` gives each register's type."""

    functions: dict[str, Function] = field(default_factory=dict)
    variables: dict[str, Variable] = field(default_factory=dict)
    registers: dict[str, str] = field(default_factory=dict)

    @property
    def kernels(self) -> list[str]:
        """The names of what can be launched."""
        return [name for name, function in self.functions.items() if function.entry]
