"""Loop nests as texts of device functions: one readable Python source each, blind to sizes and
names; the counterpart of `codegen.cpu.source`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from codegen.cpu.errors import CompileError
from codegen.cpu.expressions import Writer, element
from codegen.cpu.operands import Operand, Operands
from codegen.cpu.source import KernelSource
from codegen.cuda.bodies import body, independent
from codegen.cuda.chains import chain
from codegen.cuda.teams import BLOCK, PLACES, Scope, fits_a_thread, touched
from codegen.ir import STRANDS, Any, Buffer, Loop, Statement, Until

HEADER: Final = """\
from math import inf, nan

from numba import cuda, float32, float64, int32, int64, uint8

from codegen.cuda.contraction_parts import *
from codegen.cuda.contraction_sums import *
from codegen.cuda.contraction_tensor import *
from codegen.cuda.operations import *


"""
"""What stands before the functions of a module."""

_HEAD: Final = "def kernel(worker, workers, n, p):\n"


@dataclass(frozen=True, slots=True)
class DeviceSource(KernelSource):
    """A device function before it is compiled.

    `text` defines `kernel(worker, workers, n, p)`: the block's number, how many blocks there are,
    and pointers to int64: cell k of `n` holds `sizes[k]`; the cells of `p` hold the addresses of
    `buffers` and those of the `clocks` (the values of enclosing axes). The arguments are the same
    in all threads of a block. All threads enter and all leave; whoever calls puts a barrier of the
    block after the call. `work`: the product of these is how many threads find something to do;
    `single`: only block 0 works; `shared`: bytes of the dynamic shared memory that it uses.
    """

    work: tuple[Operand, ...] = ()
    single: bool = False
    shared: int = 0


def function(text: str, name: str) -> str:
    """The function of a source's text under another name, without the header."""
    _, _, lines = text.partition(_HEAD)
    if not lines:
        raise CompileError(f"no function kernel in\n{text}")
    return f"@device_function\ndef {name}(worker, workers, n, p):\n{lines}"


def nest(loop: Loop, buffers: Mapping[str, Buffer]) -> DeviceSource:
    """The function of an Any loop cut into tiles: each block takes a run of neighbouring ones, as
    workers do on a processor, and its threads share out the iterations in it."""
    order = loop.order
    if not isinstance(order, Any):
        raise CompileError(f"the loop over {loop.axis} cannot be shared out")
    writer = Writer(Operands(buffers))
    extent = writer.operands.number(loop.extent)
    tile = writer.operands.number(order.tile or 1)
    writer.line(f"first = share(worker, workers, {extent}, {tile})")
    writer.line(f"last = share(worker + 1, workers, {extent}, {tile})")
    scope = Scope(writer, BLOCK)
    independent(scope, loop, ("first", "last"))
    made = chain(loop, buffers)
    threads = 1 if fits_a_thread(made.body) else STRANDS
    work: tuple[Operand, ...] = (*(one.extent for one in made.loops), threads)
    return finished(writer, loop.label, work=work, shared=scope.shared[0])


def single(statements: tuple[Statement, ...], buffers: Mapping[str, Buffer]) -> DeviceSource:
    """The function of statements that are one tile together: the first block runs them."""
    writer = Writer(Operands(buffers))
    touched(statements, buffers)
    scope = Scope(writer, BLOCK)
    writer.line("if worker == 0:")
    with writer.indented():
        body(scope, statements)
        if not statements:
            writer.line("pass")
    labels = [each.label for each in statements if isinstance(each, Loop) and each.label]
    return finished(writer, "; ".join(labels), single=True, shared=scope.shared[0])


def flag(until: Until, buffers: Mapping[str, Buffer]) -> DeviceSource:
    """The function by which each block reads the flag for itself: it puts 0 or 1 into the word
    whose address follows those of the clocks."""
    writer = Writer(Operands(buffers))
    writer.line("if me == 0:")
    with writer.indented():
        text = element(writer, until.ref)
        cell = len(writer.operands.pointers) + len(writer.operands.clocks)
        writer.line(f"int64_at(p, {cell})[0] = int64({text} != 0)")
    return finished(writer, f"until {until.ref.buffer}")


def finished(
    writer: Writer,
    label: str,
    *,
    work: tuple[Operand, ...] = (),
    single: bool = False,
    shared: int = 0,
) -> DeviceSource:
    """The function whose body the writer holds; in it `me`, `lane` and `half` say which thread of
    the block, which of the half-warp, and which half-warp this is."""
    operands = writer.operands
    # A cell may hold any constant, but a dimension is known to be small.
    known = (re.sub(r"= max\((n\d+), 1\)$", r"= max(small(\1), 1)", line)
             for line in operands.prologue())  # fmt: skip
    lines = ["    " + line for line in (*PLACES, *known)] + writer.lines
    comment = "".join(f"# {line}\n" for line in label.splitlines())
    return DeviceSource(
        text=comment + HEADER + _HEAD + "\n".join(lines) + "\n",
        label=label,
        sizes=tuple(operands.sizes),
        buffers=tuple(operands.pointers),
        clocks=tuple(operands.clocks),
        work=work,
        single=single,
        shared=shared,
    )
