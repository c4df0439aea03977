"""The compilers loaded before anything asks for them: libraries of the toolkit from where they are,
and Numba's package for GPUs, which may know less of NumPy than the NumPy that is here."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import warnings
from collections.abc import Iterator
from typing import Final

import numpy as np

from codegen.cpu.errors import CompileError
from codegen.cuda.pieces import NVJITLINK, NVVM, PIP, needed
from codegen.lazy import numba_cuda

# numba-cuda 0.30 looks for each of these when it first compiles, to offer it in kernels; NumPy 2.4
# has the first two no more, 2.5 none (NumPy release notes, "Expired deprecations").
_GONE: Final = {"trapz": "trapezoid", "in1d": "isin", "row_stack": "vstack"}


@functools.cache
def compilers() -> None:
    """Loads all that compiling takes. CompileError if a library or the package cannot be loaded."""
    for piece in (NVVM, NVJITLINK):
        path = needed(piece)
        try:
            # Who loads it by its name afterwards gets this one: the bindings look in fewer places.
            ctypes.CDLL(str(path))
        except OSError as fault:
            raise CompileError(f"target cuda: {path} cannot be loaded: {fault}; {PIP}") from None
    with warnings.catch_warnings(), _names_that_are_gone():
        # Of a package that is as it is.
        warnings.simplefilter("ignore")
        try:
            target = numba_cuda.cuda_target
            # What a first compilation would load: all that kernels may call.
            target.typing_context.refresh()
            target.target_context.refresh()
        except Exception as fault:
            # It comes upon whatever the packages beside it lack.
            raise CompileError(
                f"target cuda: numba-cuda cannot be loaded beside these packages: "
                f"{type(fault).__name__}: {fault}; {PIP}"
            ) from fault


@contextlib.contextmanager
def _names_that_are_gone() -> Iterator[None]:
    """NumPy with the names that it had, under those that it has."""
    added = [name for name in _GONE if not hasattr(np, name)]
    for name in added:
        setattr(np, name, getattr(np, _GONE[name]))
    try:
        yield
    finally:
        for name in added:
            delattr(np, name)
