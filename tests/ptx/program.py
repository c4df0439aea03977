"""From functions to basic blocks: what is executed without a look at who else is where.

Functions that are called come before those that call them, so that the block with the smallest
number, which runs first, is always one whose threads others wait for.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.ptx.errors import Unsupported
from tests.ptx.syntax import Function, Instruction, Module, Name, Vector

TERMINATORS = {"bra", "brx", "ret", "exit", "call", "bar", "barrier", "trap"}
WARP_WIDE = {"shfl", "vote", "match", "mma", "ldmatrix", "redux", "elect", "activemask"}


def is_warp_wide(i: Instruction) -> bool:
    """Whether lanes of a warp execute it together."""
    return i.opcode in WARP_WIDE or (i.opcode in ("bar", "barrier") and i.has("warp"))


def is_terminator(i: Instruction) -> bool:
    """Whether the block ends after it."""
    return i.opcode in TERMINATORS and not i.has("warp")


@dataclass(slots=True)
class Block:
    """Instructions one after the other: first perhaps one that is warp-wide, last perhaps one that
    goes elsewhere, which `end` holds."""

    function: str
    number: int
    together: Instruction | None = None
    instructions: list[Instruction] = field(default_factory=list)
    end: Instruction | None = None


@dataclass(slots=True)
class Program:
    """All blocks, the number of the first of each function, of each label, and the labels of each
    branch table."""

    blocks: list[Block]
    entries: dict[str, int]
    labels: dict[str, int]
    tables: dict[str, tuple[str, ...]]
    instructions: int


def assemble(module: Module, kernel: str) -> Program:
    """The blocks of a kernel and of what it calls; Unsupported if that is not in the module, or is
    recursive."""
    program = Program([], {}, {}, {}, 0)
    for name in _callees_first(module, kernel, ()):
        if name not in program.entries:
            _append(program, module.functions[name])
    return program


def callee(i: Instruction) -> str:
    """The function that a call calls; Unsupported if the call is indirect."""
    for operand in i.operands:
        if isinstance(operand, Name):
            return operand.text
        assert isinstance(operand, Vector)
    raise Unsupported(f"line {i.line}: {i.text}: no function is named")


def _callees_first(module: Module, name: str, path: tuple[str, ...]) -> list[str]:
    if name in path:
        raise Unsupported(f"{name} calls itself")
    if name not in module.functions:
        raise Unsupported(f"{name} is called, and has no body in this PTX")
    order: list[str] = []
    for i in module.functions[name].instructions:
        if i.opcode == "call" and callee(i) not in order:
            order += _callees_first(module, callee(i), (*path, name))
    return list(dict.fromkeys([*order, name]))


def _append(program: Program, function: Function) -> None:
    """Cuts a function at its labels, after its terminators and before what is warp-wide."""
    blocks, first = program.blocks, len(program.blocks)
    program.entries[function.name] = first
    program.tables |= function.tables
    labels: dict[int, list[str]] = {}
    for name, place in function.labels.items():
        labels.setdefault(place, []).append(name)
    current = _new(program, function)
    for place, i in enumerate(function.instructions):
        empty = not (current.instructions or current.together)
        if (place in labels or is_warp_wide(i)) and not empty:
            current = _new(program, function)
        for name in labels.get(place, ()):
            program.labels[name] = current.number
        if is_warp_wide(i):
            current.together = i
        elif is_terminator(i):
            current.end = i
            current = _new(program, function)
        else:
            current.instructions.append(i)
        program.instructions += 1
    for name in labels.get(len(function.instructions), ()):
        if current.instructions or current.together:
            current = _new(program, function)
        program.labels[name] = current.number
    if blocks[-1].end is None:
        # A function that ends without ret returns.
        blocks[-1].end = Instruction("ret", (), (), None, 0, "ret")


def _new(program: Program, function: Function) -> Block:
    block = Block(function.name, len(program.blocks))
    program.blocks.append(block)
    return block
