"""Modules that load when first used: a warm start reads objects and never needs Numba, and who only
imports reads nothing."""

from __future__ import annotations

import importlib
from typing import Any, Final


class Lazy:
    """Stands for the module `name` and imports it when one of its attributes is first used."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):
            # To be looked at (by copy, a debugger, doctest) is not to be used.
            raise AttributeError(attribute)
        return getattr(importlib.import_module(self._name), attribute)


def module(lazy: Lazy) -> Any:
    """The module itself, for who asks it for much: each look through a Lazy costs a microsecond."""
    return importlib.import_module(lazy._name)


llvm: Final = Lazy("llvmlite.binding")
metadata: Final = Lazy("importlib.metadata")
jit: Final = Lazy("codegen.cpu.jit")
numba_cuda: Final = Lazy("numba.cuda.descriptor")
cuda_compiler: Final = Lazy("codegen.cuda.compiler")
driver: Final = Lazy("cuda.bindings.driver")
cuda_runtime: Final = Lazy("codegen.cuda.runtime")
cuda_placing: Final = Lazy("codegen.cuda.placing")
