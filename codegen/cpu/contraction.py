"""Contractions in matrix form: the operands of the one kernel that runs them all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from codegen.cpu.errors import CompileError
from codegen.cpu.operands import Operand
from codegen.cpu.source import KernelSource
from codegen.ir import Buffer, Contraction, Store
from codegen.passes.contractions import matrix_form
from codegen.scalar import Local

GEMM = {"float32": "sgemm", "float64": "dgemm"}
"""The BLAS routine whose address stands before a contraction's buffers, by dtype."""


def contraction(statement: Contraction, buffers: Mapping[str, Buffer]) -> KernelSource:
    """The kernel of a contraction in matrix form; CompileError if it has none.

    Several products accumulate in order; a sum over nothing is zero. The first pointer is that of
    the routine `GEMM` names, and only then come the buffers.
    """
    form = matrix_form(statement, buffers)
    if form is None:
        raise CompileError(f"the contraction {statement.label} is no matrix product")
    match statement.body:
        case (Store(ref, Local()),):
            out = ref.buffer
        case _:
            raise CompileError(f"the contraction {statement.label} does more than store its sums")
    double = int(statement.dtype == "float64")
    sizes: list[Operand] = [double, len(form.products), form.batch, form.rows, form.columns]
    pointers = [out]
    for product in form.products:
        sizes += [product.depth, int(product.left.transposed), int(product.right.transposed)]
        pointers += [product.left.buffer, product.right.buffer]
    return KernelSource(
        text=Path(__file__).with_name("gemm_kernel.py").read_text(),
        label=statement.label or f"contraction into {out}",
        sizes=tuple(sizes),
        buffers=tuple(pointers),
        routine=GEMM[statement.dtype],
    )
