"""The store of compiled kernels: shared, private, bounded, and never trusted blindly."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from codegen import cache, store
from codegen.cache import CacheError
from codegen.compile import assemble
from codegen.cpu.errors import CompileError
from codegen.cpu.jit import compile_text
from codegen.ir import Any, Loop, Program, SizeRule
from tests.codegen.build import argument, call, load, put

TREE = Path(__file__).parents[2]
HEADER = "from codegen.cpu.operations import *\ndef kernel(worker, workers, n, p):\n"
# A small kernel compiles in a tenth of a second.
TEXT = HEADER + "    int64_at(p, 0)[0] = n[0] + 1\n"
SCRIPT = """
import sys
from tests.codegen.samples import SAMPLES
from codegen import cache, store
from codegen.compile import compile_program
sample = SAMPLES["softmax"]
arrays = sample.arrays()
executable = compile_program(sample.program)
executable.bind(sample.sizes, arrays).run()
checksum = sum(float(each.sum()) for each in arrays.values())
print(executable.compiled, cache.compiled(), checksum, "numba" in sys.modules)
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A cold cache of its own, and an empty memory before and after."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("SYMNET_CACHE", str(folder))
    cache.forget()
    yield folder
    cache.forget()


def plus_one() -> Program:
    loop = Loop(
        "i", "n", Any(4), (put("y", "i", value=call("add", load("x", "i"), 1.0)),), label="add one"
    )
    return Program("plus_one", (SizeRule("n"),), (argument("x", "n"), argument("y", "n")), (loop,))


def runs(executable) -> bool:
    arrays = {"x": np.arange(6.0), "y": np.zeros(6)}
    executable.bind({"n": 6}, arrays).run()
    return bool((arrays["y"] == arrays["x"] + 1).all())


def start(folder: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        cwd=TREE,
        env={**os.environ, "SYMNET_CACHE": str(folder)},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_two_processes_may_fill_it_at_once_and_a_third_starts_without_numba(tmp_path):
    folder = tmp_path / "cache"
    told = []
    for process in [start(folder), start(folder)]:
        told.append(process.communicate()[0].split())
        assert process.returncode == 0
    assert told[0][2:] == told[1][2:]
    third = start(folder)
    warm = third.communicate()[0].split()
    assert warm[:2] == ["0", "0"]
    assert warm[2] == told[0][2]
    assert warm[3] == "False", "a warm start has imported Numba"
    assert not list(folder.glob("*.new"))


def test_memory_then_disk_then_compiling(place):
    before = cache.compiled()
    assert cache.kernel(TEXT).fresh
    assert not cache.kernel(TEXT).fresh
    cache.forget()
    assert not cache.kernel(TEXT).fresh
    assert cache.compiled() == before + 1
    cache.forget()
    cache.clear()
    assert cache.kernel(TEXT).fresh


def test_the_count_of_one_compilation(place):
    first = assemble((("given", plus_one()),))
    assert first.compiled == 2, "the kernel and the driver"
    assert assemble((("given", plus_one()),)).compiled == 0
    assert runs(first)


def spoil_end(data: bytes) -> bytes:
    return data[:-9] + b"x" + data[-8:]


@pytest.mark.parametrize(
    "spoil",
    [lambda data: data[: len(data) // 2], lambda data: b"", spoil_end, lambda data: b"\n" * 9],
    ids=["torn", "empty", "one byte", "no header"],
)
def test_a_spoilt_file_is_compiled_again_and_never_loaded(place, spoil):
    assemble((("given", plus_one()),))
    for path in place.glob("*.o"):
        path.write_bytes(spoil(path.read_bytes()))
    cache.forget()
    again = assemble((("given", plus_one()),))
    assert again.compiled == 2
    assert runs(again)
    cache.forget()
    assert assemble((("given", plus_one()),)).compiled == 0


def test_a_changed_source_on_disk_is_never_run(place):
    first = cache.kernel(TEXT)
    (place / f"{first.key}.py").write_text("raise SystemExit\n")
    (place / f"{first.key}.o").unlink()
    cache.forget()
    assert cache.kernel(TEXT).fresh
    assert (place / f"{first.key}.py").read_text() == TEXT


def test_the_key_follows_the_code_and_not_the_comments(monkeypatch):
    key = cache.key_of(TEXT)
    assert cache.key_of("# a label\n" + TEXT) == key
    assert cache.key_of(TEXT.replace("+ 1", "+ 2")) != key
    monkeypatch.setattr(cache, "_fingerprint", lambda: "another processor")
    assert cache.key_of(TEXT) != key


def test_entries_are_listed_and_cleared(place):
    keys = [cache.kernel(TEXT.replace("+ 1", f"+ {k}")).key for k in range(3)]
    os.utime(place / f"{keys[0]}.o", (1, 1))
    listed = cache.entries()
    assert {entry.key for entry in listed} == set(keys)
    assert listed[-1].key == keys[0]
    assert all(entry.size > 100 for entry in listed)
    (place / "half.o.new").write_bytes(b"left by a killed process")
    assert cache.clear() == 3
    assert list(place.iterdir()) == []
    assert cache.entries() == ()


def test_what_was_used_least_lately_goes_first(place, monkeypatch):
    keys = [cache.kernel(TEXT.replace("+ 1", f"+ {k}")).key for k in range(3)]
    for age, key in enumerate(keys):
        os.utime(place / f"{key}.o", (1000 - age, 1000 - age))
    cache.forget()
    cache.kernel(TEXT.replace("+ 1", "+ 2"))  # the oldest, but used now
    one = cache.entries()[0].size
    monkeypatch.setattr(store, "LIMIT", 3 * one + 20)
    monkeypatch.setattr(store, "LOOKS", 1)
    cache.kernel(TEXT.replace("+ 1", "+ 3"))
    left = {entry.key for entry in cache.entries()}
    assert keys[2] in left
    assert keys[1] not in left
    assert len(left) == 3


def test_the_folder_is_private(place):
    cache.kernel(TEXT)
    assert place.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_others_may_write_to_is_refused(place):
    place.mkdir()
    place.chmod(0o770)
    with pytest.raises(CacheError, match="can be written by others"):
        cache.kernel(TEXT)


def test_a_link_is_refused(place, tmp_path):
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CacheError, match="not a folder"):
        cache.folder()


def test_without_a_home_a_private_temporary_folder_serves(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.delenv("SYMNET_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked / "below"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    chosen = cache.folder()
    assert chosen == tmp_path / f"symnet-{os.getuid()}"
    assert chosen.stat().st_mode & 0o777 == 0o700


def test_the_usual_places(tmp_path, monkeypatch):
    monkeypatch.delenv("SYMNET_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.folder() == tmp_path / "xdg" / "symnet"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.folder() == tmp_path / ".cache" / "symnet"


def test_a_disk_that_takes_nothing_costs_only_time(place, monkeypatch):
    def full(path: Path, content: bytes) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(store, "_write", full)
    assert runs(assemble((("given", plus_one()),)))


def test_a_kernel_that_could_not_be_loaded_later_is_refused():
    raising = HEADER + "    int64_at(p, 0)[0] = [worker][workers]\n"
    with pytest.raises(CompileError, match="which may not be"):
        compile_text(raising, "raising")


def test_a_text_that_numba_refuses_says_which():
    with pytest.raises(CompileError, match="kernel broken was refused"):
        compile_text(HEADER + "    n[0] = unknown_name\n", "broken")
