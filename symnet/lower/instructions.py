"""Which vector instructions a kernel came to, counted in its assembly."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Final

# The mnemonic and the operands of a line of x86-64 assembly in AT&T's notation.
_INSTRUCTION: Final = re.compile(r"^\s+([a-z][a-z0-9]*)(?:\s+(.*))?$")
_REGISTERS: Final = ("zmm", "ymm", "xmm")
_SCALAR: Final = re.compile(r"(ss|sd|ss2sd|sd2ss|ss2si|sd2si|si2ss|si2sd|si2ssl|si2sdl|sil|siq)$")
_MULTIPLY_ADD: Final = re.compile(r"^vfn?m(add|sub)")
_ARM_VECTOR: Final = re.compile(r"\bv\d+\.(16b|8h|4s|2d|8b|4h|2s)\b")
_ARM_MULTIPLY_ADD: Final = re.compile(r"^fml[as]$|^fn?m(add|sub)$")


@dataclass(frozen=True)
class Instructions:
    """The instructions of a kernel.

    total: all of them. zmm, ymm, xmm: those on vectors of 512, 256 and 128 bits; on ARM, whose
    vectors have 128, they count as xmm. scalar: floating point on one number at a time.
    multiply_adds: fused multiplications and additions among them. calls: of other functions.
    """

    total: int = 0
    zmm: int = 0
    ymm: int = 0
    xmm: int = 0
    scalar: int = 0
    multiply_adds: int = 0
    calls: int = 0

    @property
    def vector(self) -> int:
        """The instructions on vectors."""
        return self.zmm + self.ymm + self.xmm

    def __str__(self) -> str:
        kinds = (
            (self.zmm, "on zmm (512 bits)"),
            (self.ymm, "on ymm (256 bits)"),
            (self.xmm, "on xmm (128 bits)"),
            (self.scalar, "scalar"),
            (self.multiply_adds, "multiply-add"),
            (self.calls, "call" if self.calls == 1 else "calls"),
        )
        parts = [f"{count} {kind}" for count, kind in kinds if count]
        return f"{self.total} instructions" + (f": {', '.join(parts)}" if parts else "")


def count_instructions(assembly: str) -> Instructions:
    """The instructions of an assembly text, x86-64 in AT&T's notation or ARM's."""
    found: Counter[str] = Counter()
    for line in assembly.splitlines():
        match = _INSTRUCTION.match(line)
        if match is None:
            continue
        mnemonic, operands = match[1], match[2] or ""
        found["total"] += 1
        found["calls"] += mnemonic in ("call", "callq", "bl", "blr")
        kind = _kind(mnemonic, operands)
        if kind:
            found[kind] += 1
            fused = _MULTIPLY_ADD.match(mnemonic) or _ARM_MULTIPLY_ADD.match(mnemonic)
            found["multiply_adds"] += fused is not None
    return Instructions(**found)


def _kind(mnemonic: str, operands: str) -> str:
    if _ARM_VECTOR.search(operands):
        return "xmm"
    for register in _REGISTERS:
        if f"%{register}" in operands:
            return "scalar" if register == "xmm" and _SCALAR.search(mnemonic) else register
    return ""
