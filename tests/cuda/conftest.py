"""Where there are no wheels of the compilers for GPUs, as the extra `cuda` marks, nothing here is
collected; `make test` says so. Elsewhere what is missing makes these tests fail."""

import contextlib
import platform
import sys

from codegen.cpu.errors import CompileError
from codegen.cuda.loading import compilers

# No package `tests/cuda/__init__.py`: pytest would import it as `cuda`, in the place of NVIDIA's.
if sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"):
    collect_ignore_glob = ["*.py"]
else:
    # What the tests import of Numba's is then as the library imports it.
    with contextlib.suppress(CompileError):
        compilers()
