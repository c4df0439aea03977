"""Contractions in matrix form: the operands of the one kernel of a dtype that runs them all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from codegen.cpu.epilogue import epilogue
from codegen.cpu.errors import CompileError
from codegen.cpu.operands import Operand
from codegen.cpu.source import KernelSource
from codegen.ir import Buffer, Contraction, Extent
from codegen.machine import this_machine
from codegen.passes.contractions import MatrixForm, matrix_form

_TEXT = '''\
"""Products of {dtype} matrices in tiles of registers of {vector_bytes} bytes."""

from codegen.cpu.contraction_kernel import contraction_code


def llvm(symbol):
    return contraction_code(symbol, "{dtype}", {vector_bytes})
'''

Group = tuple[Extent, ...]


@dataclass(frozen=True, slots=True)
class ContractionSource:
    """Two kernels: `products`, whose pointers come after the epilogue's address and the worker's
    scratch, and the `epilogue`, whose operands follow those and end in the scratch."""

    products: KernelSource
    epilogue: KernelSource


def contraction(statement: Contraction, buffers: Mapping[str, Buffer]) -> ContractionSource:
    """The kernels of a contraction in matrix form; CompileError if it has none.

    Each element is one chain of fused multiply-adds over the depths of all products, in order; a
    sum over nothing is zero.
    """
    form = matrix_form(statement, buffers)
    if form is None:
        raise CompileError(f"the contraction {statement.label} is no matrix product")
    sizes, pointers = operands(statement, form)
    finish = epilogue(statement, form, buffers)
    text = _TEXT.format(dtype=statement.dtype, vector_bytes=this_machine().vector_bytes)
    label = f"products of {statement.dtype} matrices"
    products = KernelSource(text, label, tuple(sizes), tuple(pointers))
    return ContractionSource(products, finish)


def operands(statement: Contraction, form: MatrixForm) -> tuple[list[Operand], list[str]]:
    """The sizes, as `codegen.cpu.contraction_kernel` lists them, and the left and the right buffer
    of each product."""
    sizes = _shared(statement, form)
    sizes += [form.batch, form.rows, form.columns, len(form.products)]
    pointers: list[str] = []
    for product in form.products:
        sizes += [product.depth]
        sizes += _strides(form.rows, product.depth, product.left.transposed)
        sizes += _strides(product.depth, form.columns, product.right.transposed)
        pointers += [product.left.buffer, product.right.buffer]
    return sizes, pointers


def _shared(statement: Contraction, form: MatrixForm) -> list[Operand]:
    """The axis that is shared out, its first extent, how many of those are a tile (0: one worker
    takes all), and how many indices each of them is."""
    groups = (form.batch, form.rows, form.columns)
    for axis, group in enumerate(groups):
        if group:
            return [axis, group[0], statement.tile or 0, group[1:]]
    return [0, 1, 0, 1]


def _strides(first: Group, second: Group, transposed: bool) -> list[Operand]:
    """Elements from one batch, one `first` and one `second` index of an operand to the next."""
    across: list[Operand] = [1, first] if transposed else [second, 1]
    return [(*first, *second), *across]
