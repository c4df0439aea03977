"""LLVM arithmetic as NVVM takes it, for formulas that were written for a processor.

NVVM reads an older LLVM than the one that compiles for the CPU: it has neither `fneg` nor the
functions fabs, rint and floor. And it makes one operation of a sum and a product wherever it can,
which formulas that compute their own rounding errors must not suffer (`codegen.cpu.lanes` flags
such sums and products); the instructions add.rn and mul.rn are never made one (PTX ISA, "add").
"""

# Numba types its helpers only in part.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba.core import cgutils

_REPLACED = {"llvm.rint": "round", "llvm.floor": "floor"}


class ExactBuilder:
    """An llvmlite builder whose flagged sums and products are rounded each for itself, and whose
    calls of LLVM's functions are of those that NVVM knows."""

    def __init__(self, builder: Any) -> None:
        self._builder = builder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._builder, name)

    def fadd(self, a: Any, b: Any, flags: Sequence[str] = ()) -> Any:
        return self._nvvm("add.rn", a, b) if flags else self._builder.fadd(a, b)

    def fsub(self, a: Any, b: Any, flags: Sequence[str] = ()) -> Any:
        return self._nvvm("add.rn", a, self.fneg(b)) if flags else self._builder.fsub(a, b)

    def fmul(self, a: Any, b: Any, flags: Sequence[str] = ()) -> Any:
        return self._nvvm("mul.rn", a, b) if flags else self._builder.fmul(a, b)

    def fneg(self, x: Any) -> Any:
        """By its sign bit, so that the sign of a NaN turns too."""
        word = _word(x)
        bits = self._builder.xor(self._builder.bitcast(x, word), word(1 << word.width - 1))
        return self._builder.bitcast(bits, x.type)

    def call(self, function: Any, args: Sequence[Any], *more: Any, **named: Any) -> Any:
        name = function.name.rpartition(".")[0]
        if name == "llvm.fabs":
            (x,) = args
            word = _word(x)
            bits = self._builder.bitcast(x, word)
            bits = self._builder.and_(bits, word((1 << word.width - 1) - 1))
            return self._builder.bitcast(bits, x.type)
        if name in _REPLACED:
            return self._nvvm(_REPLACED[name], *args)
        return self._builder.call(function, args, *more, **named)

    def _nvvm(self, name: str, *args: Any) -> Any:
        kind = args[0].type
        suffix = "f" if isinstance(kind, ir.FloatType) else "d"
        declared = cgutils.get_or_insert_function(
            self._builder.module,
            ir.FunctionType(kind, [kind] * len(args)),
            f"llvm.nvvm.{name}.{suffix}",
        )
        return self._builder.call(declared, args)


def _word(x: Any) -> Any:
    return ir.IntType(32 if isinstance(x.type, ir.FloatType) else 64)
