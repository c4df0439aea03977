"""Operands as arrays over all lanes of the grid.

Every register is one array, every view of it as another type is the same memory, and every
instruction is bound once, for one shape of grid, to the arrays that it reads and writes. A bound
instruction is a function of `where`: True if all lanes execute it, or an array of bools.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.ptx.errors import PtxError, Unsupported
from tests.ptx.memory import LOCAL_WINDOW, SHARED_WINDOW
from tests.ptx.syntax import TYPES, Constant, Instruction, Module, Name, Operand, Vector

Array = np.ndarray[Any, Any]
Where = Any
Handler = Callable[[Where], None]
_UNSIGNED = {n: np.dtype(f"u{n}") for n in (1, 2, 4, 8)}
WINDOWS = {"shared": SHARED_WINDOW, "local": LOCAL_WINDOW}


def commit(target: Array, value: Array, where: Where) -> None:
    """Writes the lanes of `value` that are active."""
    np.copyto(target, value, casting="unsafe", where=where)


def lanes_of(where: Where, lanes: Array) -> Array:
    """The numbers of the active lanes; `lanes` are those of all."""
    return lanes if where is True else np.flatnonzero(where)


class Binder:
    """The registers and variables of one module over `count` lanes.

    `addresses` are those of the variables, `specials` the special registers.
    """

    def __init__(
        self,
        module: Module,
        count: int,
        addresses: dict[str, int],
        specials: dict[str, Array],
    ) -> None:
        self.module, self.count = module, count
        self.addresses, self.specials = addresses, specials
        self.lanes = np.arange(count)
        self._registers: dict[str, Array] = {}
        self._parameters: dict[str, Array] = {}

    def register(self, name: str) -> Array | None:
        """A register's own array, unsigned or bool; None if no such register was declared."""
        found = self._registers.get(name)
        if found is None and name in self.module.registers:
            kind = TYPES[self.module.registers[name]]
            plain = kind if kind.kind == "b" else _UNSIGNED[kind.itemsize]
            found = self._registers[name] = np.zeros(self.count, plain)
        return found

    def parameter(self, name: str) -> Array:
        """The bytes of a parameter or of a variable in param space, of shape (lanes, bytes)."""
        return self._parameters[name]

    def declare_parameter(self, name: str, size: int) -> None:
        """Room for it."""
        self._parameters.setdefault(name, np.zeros((self.count, max(size, 1)), np.uint8))

    def is_parameter(self, name: str) -> bool:
        return name in self._parameters

    def source(self, operand: Operand, kind: str | np.dtype) -> Array:
        """An operand's values as a type, one for each lane; a register that is wider gives its low
        part."""
        dtype = TYPES[kind] if isinstance(kind, str) else kind
        if isinstance(operand, Constant):
            return np.broadcast_to(_constant(operand, dtype), self.count)
        if not isinstance(operand, Name):
            raise Unsupported(f"the operand {operand}")
        found = self.register(operand.text)
        if found is None:
            found = self.specials.get(operand.text)
        if found is not None:
            if operand.negated:
                raise Unsupported(f"the operand !{operand.text}")
            return _seen(found, dtype, operand.text)
        if operand.text in self.addresses:
            value = np.array(self.addresses[operand.text], np.uint64)
            value = value.astype(_UNSIGNED[dtype.itemsize]).view(dtype)
            return np.broadcast_to(value, self.count)
        raise Unsupported(f"the operand {operand.text!r}, which was not declared")

    def target(self, operand: Operand, kind: str | np.dtype) -> Array:
        """Where results of a type go. A wider register takes them extended, so what is given may
        have a wider type; write by `commit`, or of the same size."""
        dtype = TYPES[kind] if isinstance(kind, str) else kind
        if not isinstance(operand, Name):
            raise Unsupported(f"the result {operand}")
        if operand.text == "_":
            return np.zeros(self.count, dtype)
        found = self.register(operand.text)
        if found is None:
            raise Unsupported(f"the result {operand.text!r}, which was not declared")
        if found.dtype.kind == "b" or found.itemsize == dtype.itemsize:
            return _seen(found, dtype, operand.text)
        if found.itemsize < dtype.itemsize:
            raise Unsupported(f"a result of type {dtype} in the narrower {operand.text}")
        letter = dtype.kind if dtype.kind in "iu" else "u"
        return found.view(f"{letter}{found.itemsize}")

    def guard(self, name: Name) -> tuple[Array, bool]:
        """The predicate of a guard, and whether it is negated."""
        found = self.register(name.text)
        if found is None or found.dtype.kind != "b":
            raise Unsupported(f"the guard {name.text!r}")
        return found, name.negated

    def address(self, operand: Operand) -> tuple[Array, int]:
        """The base of an address as uint64 or uint32, and its offset."""
        base, offset = operand.base, operand.offset  # type: ignore[union-attr]
        if isinstance(base, Name) and (found := self.register(base.text)) is not None:
            return found, offset
        return self.source(base, "u64"), offset


def _seen(found: Array, dtype: np.dtype, name: str) -> Array:
    if found.dtype == dtype:
        return found
    if (found.dtype.kind == "b") != (dtype.kind == "b"):
        raise Unsupported(f"{name} as {dtype}")
    if found.itemsize == dtype.itemsize:
        return found.view(dtype)
    if found.itemsize < dtype.itemsize:
        raise Unsupported(f"{name}, of {found.itemsize} bytes, as {dtype}")
    if found.strides == (0,):
        return np.broadcast_to(found[:1].view(dtype)[:1][0], found.shape)
    return found.view(dtype)[:: found.itemsize // dtype.itemsize]


def _constant(constant: Constant, dtype: np.dtype) -> Array:
    if dtype.kind == "b":
        return np.array(bool(constant.value))
    if constant.float_bytes and constant.float_bytes != dtype.itemsize:
        code = {4: "<f", 8: "<d"}[constant.float_bytes]
        value = struct.unpack(code, constant.value.to_bytes(constant.float_bytes, "little"))[0]
        if dtype.kind != "f":
            raise Unsupported(f"the constant {value} as {dtype}")
        return np.array(value, dtype)
    if dtype.kind == "f" and not constant.float_bytes:
        return np.array(constant.value, dtype)
    bits = constant.value & ((1 << 8 * dtype.itemsize) - 1)
    return np.array(bits, _UNSIGNED[dtype.itemsize]).view(dtype)


def items(operand: Operand) -> tuple[Operand, ...]:
    """The parts of a vector, or the operand alone."""
    return operand.items if isinstance(operand, Vector) else (operand,)


def guarded(handler: Handler, predicate: Array, negated: bool) -> Handler:
    """The handler for the lanes whose predicate says so."""

    def run(where: Where) -> None:
        chosen = ~predicate if negated else predicate
        if where is not True:
            chosen = chosen & where
        count = np.count_nonzero(chosen)
        if count == chosen.size:
            handler(True)
        elif count:
            # The instruction may write its own predicate.
            handler(chosen.copy() if chosen is predicate else chosen)

    return run


Builder = Callable[[Any, Instruction], Handler]


def build(table: dict[str, Builder], machine: Any, instruction: Instruction) -> Handler:
    """The bound instruction, with its guard."""
    builder = table.get(instruction.opcode)
    try:
        if builder is None:
            raise Unsupported("this instruction")
        handler = builder(machine, instruction)
    except PtxError as fault:
        raise Unsupported(
            f"line {instruction.line}: {instruction.text}: not known to the interpreter: {fault}"
        ) from None
    except (IndexError, KeyError, StopIteration, ValueError, AttributeError) as fault:
        raise Unsupported(
            f"line {instruction.line}: {instruction.text}: not known to the interpreter: "
            f"{type(fault).__name__} {fault}"
        ) from fault
    if instruction.guard is None:
        return handler
    return guarded(handler, *machine.binder.guard(instruction.guard))
