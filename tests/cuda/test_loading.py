"""The compilers beside a newer NumPy than they know, and libraries that are no libraries."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from codegen.cpu.errors import CompileError
from codegen.cuda import loading, pieces
from codegen.lazy import Lazy
from tests.cuda.texts import TEXT

# NumPy 2.5 has none of these names.
NEWER = """
import sys
import numpy as np

for name in ("trapz", "in1d", "row_stack"):
    if hasattr(np, name):
        delattr(np, name)
        np.__all__.remove(name)

from codegen.cuda import loading
from codegen.cuda.toolchain import HOPPER, image
loading.compilers()
assert image(sys.argv[1], architecture=HOPPER).fresh
print([name for name in ("trapz", "in1d", "row_stack") if hasattr(np, name)])
"""


def run(program: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[2]
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *arguments],
        env={**os.environ, "PYTHONPATH": str(root), **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_numpy_that_lacks_what_numba_looks_for_is_enough(tmp_path):
    done = run(NEWER, TEXT, SYMNET_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_names_are_only_lent():
    missing = [name for name in loading._GONE if not hasattr(np, name)]
    with loading._names_that_are_gone():
        assert all(hasattr(np, name) for name in loading._GONE)
    assert [name for name in loading._GONE if not hasattr(np, name)] == missing


def test_a_library_that_cannot_be_loaded_is_named(tmp_path, monkeypatch):
    broken = tmp_path / "libnvvm.so.4"
    broken.write_text("no library")
    monkeypatch.setattr(loading, "needed", lambda piece: broken)
    with pytest.raises(CompileError, match=r"libnvvm\.so\.4 cannot be loaded.*symnet\[cuda\]"):
        loading.compilers.__wrapped__()


def test_packages_that_do_not_fit_one_another_are_one_error(monkeypatch):
    monkeypatch.setattr(loading, "numba_cuda", Lazy("numba.cuda.no_such_module"))
    with pytest.raises(CompileError, match=r"numba-cuda cannot be loaded.*no_such_module"):
        loading.compilers.__wrapped__()


# Where only a folder that nothing names has the library, as in a toolkit that is not on a path.
ELSEWHERE = """
import sys
from pathlib import Path
from codegen.cuda import loading, pieces

real = pieces.needed
loading.needed = lambda piece: Path(sys.argv[1]) if piece is pieces.NVVM else real(piece)
loading.compilers()
from cuda.bindings import nvvm
nvvm.version()
from_others = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines()
               if "libnvvm" in line}
print(from_others == {sys.argv[1]})
"""


def test_the_bindings_take_the_library_that_was_found(tmp_path):
    place = tmp_path / "libnvvm.so.4"
    shutil.copyfile(pieces.needed(pieces.NVVM), place)
    done = run(ELSEWHERE, str(place))
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "True"
