"""`python -m codegen.doctor.probe NAME`: tries what may end a process, answers in JSON."""

from __future__ import annotations

import ctypes
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Final

from codegen.ir import Any as Independent
from codegen.ir import Buffer, Loop, Program, SizeRule, Store
from codegen.lazy import Lazy
from codegen.machine import this_machine
from codegen.scalar import Apply, Constant, Load, Ref, at

Answer = dict[str, Any]
DRIVER: Final = "libcuda.so.1"
# A module of each library that loads what is compiled in it, and something it must have.
_USED: Final[Mapping[str, tuple[str, str]]] = {
    "numpy": ("numpy.linalg", "solve"),
    "scipy": ("scipy.special", "erf"),
    "sympy": ("sympy", "Symbol"),
    "rich": ("rich.progress", "Progress"),
    "llvmlite": ("llvmlite.binding", "get_host_cpu_name"),
    "numba": ("numba.core.compiler", "compile_extra"),
}


def libraries(*names: str) -> Answer:
    """For each library None if it can be imported, or why not; and the BLAS of NumPy."""
    answer: Answer = {"imports": {name: _import_fault(name) for name in names}}
    if answer["imports"].get("numpy", "") is None:
        answer["blas"] = _blas()
    return answer


def _import_fault(name: str) -> str | None:
    module, attribute = _USED.get(name, (name, "Lazy"))
    try:
        getattr(Lazy(module), attribute)
    except Exception as error:
        # Whatever a library raises when it is imported is what is wrong with it.
        return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    return None


def _blas() -> str:
    try:
        found = Lazy("numpy").show_config(mode="dicts")["Build Dependencies"]["blas"]
        return f"{found['name']} {found.get('version', '')}".strip()
    except (AttributeError, KeyError, TypeError):
        return ""


def compiling() -> Answer:
    """Compiles y[i] = x[i]·x[i] + 1 and runs it: the seconds, the kernels, the machine."""
    answer = libraries("llvmlite", "numba", "numpy")
    if any(answer["imports"].values()):
        return answer
    answer["machine"] = asdict(this_machine())
    numpy, compiler = Lazy("numpy"), Lazy("codegen.compile")
    answer["targets"] = list(compiler.TARGETS)
    start = time.perf_counter()
    executable = compiler.compile_program(_square_plus_one(), compiler.Options(threads=1))
    given, result = numpy.arange(5.0), numpy.zeros(5)
    executable.bind({"n": 5}, {"x": given, "y": result}).run()
    answer["seconds"] = time.perf_counter() - start
    answer["kernels"] = executable.compiled
    answer["right"] = result.tolist() == [1.0, 2.0, 5.0, 10.0, 17.0]
    return answer


def device_code() -> Answer:
    """Compiles y[i] = x[i]·x[i] + 1 for a GPU, which need not be there: the seconds, the images and
    their architecture."""
    compiler = Lazy("codegen.compile")
    start = time.perf_counter()
    images = compiler.compile_program(_square_plus_one(), compiler.Options("cuda")).images
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "images": len(images), "architecture": images[0].architecture}


def _square_plus_one() -> Program:
    x = Load(Ref("x", (at("i"),)), "float64")
    square = Apply("multiply", (x, x), "float64")
    value = Apply("add", (square, Constant(1.0, "float64")), "float64")
    loop = Loop("i", "n", Independent(), (Store(Ref("y", (at("i"),)), value),))
    buffers = tuple(Buffer(name, ("n",), "float64", "argument") for name in "xy")
    return Program("doctor", (SizeRule("n"),), buffers, (loop,))


def driver() -> Answer:
    """The CUDA version that the NVIDIA driver takes, as 1000 major + 10 minor (CUDA driver API,
    cuDriverGetVersion), and its devices."""
    try:
        library = ctypes.CDLL(DRIVER)
    except OSError as error:
        return {"absent": str(error)}
    version = ctypes.c_int(0)
    code = library.cuDriverGetVersion(ctypes.byref(version))
    if code:
        return {"fault": f"cuDriverGetVersion gave error {code}"}
    answer: Answer = {"version": version.value, "devices": []}
    code = library.cuInit(0)
    if code:
        return {**answer, "start": code}
    count = ctypes.c_int(0)
    library.cuDeviceGetCount(ctypes.byref(count))
    answer["devices"] = [_device(library, number) for number in range(count.value)]
    return answer


def _device(library: ctypes.CDLL, number: int) -> str:
    name = ctypes.create_string_buffer(256)
    library.cuDeviceGetName(name, len(name), number)
    return name.value.decode(errors="replace")


PROBES: Final[Mapping[str, Callable[..., Answer]]] = {
    "libraries": libraries,
    "compiling": compiling,
    "device code": device_code,
    "driver": driver,
}


def main(name: str, *given: str) -> None:
    """Prints what the probe answers, in one line."""
    try:
        answer = PROBES[name](*given)
    except Exception as error:
        told = (str(error).splitlines() or [""])[0]
        answer = {"fault": f"{type(error).__name__}: {told}"}
    print(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
