"""What the compiler and the machine report, as errors of ours: they know buffers and bytes, here it
is said which parameter or expression that is, and where the user wrote it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import prod
from typing import Any

import numpy as np

from codegen import cache, check
from codegen.cpu import errors as compiling
from codegen.executables import AnyBinding, AnyExecutable
from codegen.layout import BindError
from codegen.lazy import cuda_placing
from codegen.sizes import extent_value
from symnet.errors import CompileError, DeviceError, FeedError, OutOfMemoryError
from symnet.expr import Expr
from symnet.ops.leaves import INPUT
from symnet.room import show_bytes
from symnet.sizes import show_shape

_LONGEST = 300
"""Characters of what a compiler says, which may be pages."""


@contextmanager
def faults_told() -> Iterator[None]:
    """DeviceError for a fault of the GPU; CompileError for code that cannot be made or kept."""
    try:
        yield
    except (compiling.CompileError, check.ProgramError, BindError) as fault:
        first, _, more = str(fault).partition("\n")
        # Who asked for too much, or lacks a package, is told so in one line.
        own = more or not isinstance(fault, compiling.CompileError)
        told = f"a fault of symnet itself: {first[:_LONGEST]}" if own else first
        raise CompileError(told) from None
    except cache.CacheError as fault:
        raise CompileError(str(fault)) from None
    except cuda_placing.DeviceError as fault:
        told = str(fault)
        more = "; compiling, f.ptx, f.sass, f.explain() and `symnet export` need none"
        raise DeviceError(told + more * told.startswith("no GPU")) from None


def bind_program(
    executable: AnyExecutable,
    sizes: Mapping[str, int],
    arrays: Mapping[str, Any],
    held: Mapping[str, Expr],
) -> AnyBinding:
    """The program bound to arrays, where `held` says what each buffer holds.

    FeedError if an array does not fit, as one that was given out and changed; OutOfMemoryError,
    with the largest of the values computed on the way, if there is no room for those.
    """
    try:
        return executable.bind(sizes, arrays)
    except BindError as fault:
        leaf = held.get(fault.buffer)
        if leaf is None:
            raise
        if leaf.op is INPUT:
            raise FeedError(str(fault)) from None
        raise FeedError(
            f"the array of {leaf.name} (made at {leaf.origin}) was changed in more than its "
            f"values, which parameters[{leaf.name!r}] = values sets: {fault}"
        ) from None
    except (MemoryError, OverflowError):
        raise OutOfMemoryError(_largest(executable, sizes, held)) from None


def _largest(executable: AnyExecutable, sizes: Mapping[str, int], held: Mapping[str, Expr]) -> str:
    """Which of the values computed on the way takes most."""
    plan = executable.plan
    known = plan.values({name: int(sizes[name]) for name in plan.free}, 0)
    found = []
    for buffer in plan.program.buffers:
        if buffer.scope == "step":
            shape = tuple(extent_value(extent, known) for extent in buffer.shape)
            found.append((prod(shape) * np.dtype(buffer.dtype).itemsize, buffer, shape))
    count, buffer, shape = max(found, key=lambda one: one[0])
    node = held.get(buffer.name)
    what = "one" if node is None else f"that of {node.op.name} at {node.origin}"
    return (
        "there is not enough memory for the values computed on the way: "
        f"{what}, {show_shape(shape)} {buffer.dtype}, alone takes {show_bytes(count)}"
    )
