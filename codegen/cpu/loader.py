"""Objects into memory, by llvmlite alone: a warm start never imports Numba."""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
from dataclasses import dataclass
from typing import Any

from codegen.lazy import llvm
from codegen.machine import this_machine

_MATHEMATICS = """
    exp expm1 log log1p sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh atan2 erf erfc
    pow exp2 exp10 ldexp sincos fmod floor ceil trunc rint nearbyint round fmin fmax log2 log10
    sqrt fabs copysign cbrt fma
"""
_LIBM = tuple(name + suffix for name in _MATHEMATICS.split() for suffix in ("", "f"))
_LIBC = (
    "memcpy", "memmove", "memset", "sched_yield", "usleep", "pthread_create", "pthread_join",
    "clock_gettime",
)  # fmt: skip
SYMBOLS = frozenset((*_LIBM, *_LIBC))
"""Every function outside itself that an object may call."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A kernel in memory: its address holds as long as `engine` lives."""

    address: int
    engine: Any


def new_target_machine() -> Any:
    """LLVM's code generator for this machine. It makes one object at a time."""
    initialise()
    machine = this_machine()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=machine.name, features=machine.features, opt=3, codemodel="jitdefault", jit=True
    )


@functools.cache
def initialise() -> None:
    """Makes LLVM ready for this machine."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    for library, names in ((_mathematics(), _LIBM), (ctypes.CDLL(None), _LIBC)):
        for name in names:
            function = getattr(library, name, None)
            if function is not None:
                llvm.add_symbol(name, ctypes.cast(function, ctypes.c_void_p).value)


def _mathematics() -> ctypes.CDLL:
    try:
        return ctypes.CDLL("libm.so.6")
    except OSError:
        # Looking the name up starts other programs, so it comes second.
        return ctypes.CDLL(ctypes.util.find_library("m"))


def load(object_file: bytes, symbol: str) -> Loaded:
    """The function `symbol` of an object that `codegen.cpu.jit` made for this machine."""
    initialise()
    # An engine owns the machine it is made with, so each gets its own.
    machine = llvm.Target.from_default_triple().create_target_machine(
        jit=True, codemodel="jitdefault"
    )
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(object_file))
    engine.finalize_object()
    return Loaded(engine.get_function_address(symbol), engine)
