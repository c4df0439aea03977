"""The BLAS that SciPy carries: addresses of its routines, and one thread while we run."""

from __future__ import annotations

import ctypes
import functools
import importlib.machinery
import importlib.util
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

from codegen.lazy import cython_blas

_PREFIXES = ("scipy_", "")
_SUFFIXES = ("", "64_")


@functools.cache
def routine(name: str) -> int:
    """The address of a BLAS routine such as "sgemm": Fortran's interface, 32-bit integers."""
    capsule = _module().__pyx_capi__[name]
    get_name = ctypes.pythonapi.PyCapsule_GetName
    get_name.restype, get_name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
    get_pointer.restype = ctypes.c_void_p
    get_pointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    return int(get_pointer(capsule, get_name(capsule)))


@functools.cache
def _module() -> Any:
    """SciPy's table of BLAS addresses, without the rest of scipy.linalg, which takes 0.2 s."""
    name = "scipy.linalg.cython_blas"
    package = importlib.util.find_spec("scipy")
    for place in (package and package.submodule_search_locations) or ():
        for suffix in importlib.machinery.EXTENSION_SUFFIXES:
            path = Path(place, "linalg", f"cython_blas{suffix}")
            spec = importlib.util.spec_from_file_location(name, path)
            if path.exists() and spec is not None and spec.loader is not None:
                module = importlib.util.module_from_spec(spec)
                spec.loader.exec_module(module)
                return module
    return cython_blas


@functools.cache
def _thread_controls() -> tuple[Any, Any] | None:
    """OpenBLAS's own functions to read and set its number of threads, if they can be found."""
    routine("sgemm")
    try:
        maps = Path("/proc/self/maps").read_text()
    except OSError:
        return None
    paths = {line.split()[-1] for line in maps.splitlines() if "openblas" in line}
    for path in sorted(path for path in paths if "scipy.libs" in path):
        library = ctypes.CDLL(path)
        for prefix in _PREFIXES:
            for suffix in _SUFFIXES:
                get = getattr(library, f"{prefix}openblas_get_num_threads{suffix}", None)
                put = getattr(library, f"{prefix}openblas_set_num_threads{suffix}", None)
                if get is not None and put is not None:
                    return get, put
    return None


class OneThread:
    """While any run is inside, BLAS computes on the thread that calls it; then as it was before."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before = 1

    def __enter__(self) -> None:
        controls = _thread_controls()
        with self._lock:
            self._inside += 1
            if controls is not None and self._inside == 1:
                self._before = controls[0]()
                controls[1](1)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        controls = _thread_controls()
        with self._lock:
            self._inside -= 1
            if controls is not None and self._inside == 0:
                controls[1](self._before)


one_thread = OneThread()
