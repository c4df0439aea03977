"""The one place from which a library is loaded late.

``import symnet`` costs NumPy and our own code. Every other library is reached through a proxy of
this module, and is imported when an attribute of the proxy is first used::

    from symnet.lazy import sympy

    sympy.Symbol("x")        # SymPy is imported here

What a proxy gives has the type ``Any``, so annotations cannot name its classes.
"""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType
from typing import Any, Final

# The pip extra that brings a library; the others come with symnet itself.
_EXTRAS: Final = {
    "matplotlib": "plot",
    "PIL": "plot",
    "fast_sugiyama": "plot",
    "sklearn": "sklearn",
    "torch": "bench",
    "jax": "bench",
    "cuda": "cuda",
}


class MissingDependency(ImportError):
    """A library that was about to be used cannot be imported; the text says how to install it."""


class Lazy:
    """Stands for the module ``name`` and imports it when one of its attributes is first used.

    Raises MissingDependency at that use if the module cannot be imported.
    """

    # On the class too, so that an instance without its state (copy makes one) does not look for
    # it in the module that it would have to know the name of.
    _name: str = ""
    _module: ModuleType | None = None

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        # Debuggers, copy and doctest ask every object for __wrapped__, __deepcopy__ and the like:
        # to be looked at is not to be used.
        if attribute.startswith("__") and attribute != "__version__":
            raise AttributeError(f"{self!r} has no attribute {attribute!r}")
        if self._module is None:
            self._module = _load(self._name)
        return getattr(self._module, attribute)

    def __repr__(self) -> str:
        return f"<{self._name}, imported at first use>"


def available(name: str) -> bool:
    """Whether the library ``name`` (such as "torch") is installed; imports nothing."""
    try:
        return importlib.util.find_spec(name.partition(".")[0]) is not None
    except ValueError:
        # A module that is loaded, but was made by hand and has no spec.
        return True


def _load(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        library = name.partition(".")[0]
        state = "is installed but cannot be imported" if available(library) else "is not installed"
        extra = f"[{_EXTRAS[library]}]" if library in _EXTRAS else ""
        raise MissingDependency(
            f'{name} {state} ({error}); try: pip install "symnet{extra}"', name=name
        ) from error


cuda_core_utils: Final = Lazy("cuda.core.utils")
fast_sugiyama: Final = Lazy("fast_sugiyama")
jax: Final = Lazy("jax")
jax_numpy: Final = Lazy("jax.numpy")
matplotlib: Final = Lazy("matplotlib")
mpmath: Final = Lazy("mpmath")
numba: Final = Lazy("numba")
pillow_image: Final = Lazy("PIL.Image")
rich_console: Final = Lazy("rich.console")
rich_progress: Final = Lazy("rich.progress")
scipy_special: Final = Lazy("scipy.special")
sympy: Final = Lazy("sympy")
torch: Final = Lazy("torch")
