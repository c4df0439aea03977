"""Images on disk: found again, whole or not at all, bounded, shared by processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from codegen import cache, store
from codegen.cuda import keeping
from codegen.cuda.toolchain import image
from tests.cuda.texts import TEXT

TREE = Path(__file__).parents[2]
SCRIPT = """
import sys
from codegen import cache
from codegen.cuda.toolchain import image
from tests.cuda.texts import BRANCHED, TEXT
texts = [(BRANCHED if k > 2 else TEXT).replace("3.0", f"{k}.5") for k in map(int, sys.argv[1])]
made = {image(text).key: image(text).ptx for text in texts}
loaded = any(name in sys.modules for name in ("numba", "numba_cuda", "cuda.bindings"))
print(cache.compiled(), loaded, hash(tuple(sorted(made.items()))))
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A cold cache of its own, and an empty memory before and after."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("SYMNET_CACHE", str(folder))
    cache.forget()
    yield folder
    cache.forget()


def test_memory_then_disk_then_compiling(place):
    before = cache.compiled()
    first = image(TEXT)
    assert first.fresh
    again = image(TEXT, shared=8)
    assert not again.fresh
    cache.forget()
    read = image("# a label\n" + TEXT, shared=8)
    assert read == replace(again, text="# a label\n" + TEXT)
    assert cache.compiled() == before + 1
    assert {path.suffix for path in place.iterdir()} == {".py", ".ptx", ".cubin", ".json"}
    assert (place / f"{first.key}.py").read_text() == TEXT
    cache.forget()
    assert cache.clear() == 1
    assert not list(place.iterdir())
    assert image(TEXT).fresh


def test_files_that_are_not_ours_stay(place, monkeypatch):
    key = image(TEXT).key
    foreign = [place / name for name in ("notes.json", "model.py", "part.o", "big.cubin", "a.ptx")]
    for path in foreign:
        path.write_bytes(b"somebody's")
    # Without its last file an image is none, and goes too.
    (place / f"{key}.json").unlink()
    assert cache.entries() == ()
    monkeypatch.setattr(store, "LIMIT", 0)
    monkeypatch.setattr(store, "LOOKS", 1)
    cache.forget()
    image(TEXT)
    assert cache.clear() == 0
    assert sorted(place.iterdir()) == sorted(foreign)


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def digit(data: bytes) -> bytes:
    return data.replace(b'"registers": ', b'"registers": 1')


def another(data: bytes) -> bytes:
    return data[:-9] + b"x" + data[-8:]


@pytest.mark.parametrize(
    ("suffix", "spoil"),
    [
        *((suffix, spoil) for suffix in (".ptx", ".cubin", ".json") for spoil in (cut, another)),
        (".json", digit), (".json", lambda data: b""), (".json", lambda data: b"[1]"),
        (".json", lambda data: b"\xff\xfe"), (".cubin", None), (".ptx", None),
    ],
)  # fmt: skip
def test_a_spoilt_file_is_compiled_again(place, suffix, spoil):
    first = image(TEXT)
    path = place / f"{first.key}{suffix}"
    if spoil is None:
        path.unlink()
    else:
        path.write_bytes(spoil(path.read_bytes()))
    cache.forget()
    again = image(TEXT)
    assert again == first
    cache.forget()
    assert not image(TEXT).fresh


def test_the_least_lately_used_goes_with_all_its_files(place, monkeypatch):
    texts = [TEXT.replace("3.0", f"{k}.5") for k in range(3)]
    keys = [image(text).key for text in texts]
    for age, key in enumerate(keys):
        os.utime(place / f"{key}.json", (1000 - age, 1000 - age))
    cache.forget()
    image(texts[2])  # the oldest, but used now
    sizes = {entry.key: entry.size for entry in cache.entries()}
    files = [path for path in place.iterdir() if path.stem == keys[0]]
    assert sizes[keys[0]] == sum(path.stat().st_size for path in files)
    monkeypatch.setattr(store, "LIMIT", sum(sizes.values()) + 100)
    monkeypatch.setattr(store, "LOOKS", 1)
    image(TEXT.replace("3.0", "9.5"))
    assert keys[1] not in {path.stem for path in place.iterdir()}
    assert len(cache.entries()) == 3


def test_the_key_follows_helpers_compilers_and_architecture(place, monkeypatch, tmp_path):
    def key(text: str = TEXT, architecture: str = "sm_90a") -> str:
        keeping._fingerprint.cache_clear()
        return keeping.key_of(text, architecture)

    plain = key()
    assert key("# a label\n" + TEXT) == plain
    assert key(TEXT.replace("3.0", "4.0")) != plain
    assert key(architecture="sm_80") != plain
    (tmp_path / "codegen" / "cuda").mkdir(parents=True)
    for name in ("compiler", "image", "pieces"):
        source = (TREE / "codegen" / "cuda" / f"{name}.py").read_text()
        (tmp_path / "codegen" / "cuda" / f"{name}.py").write_text(source)
    helper = tmp_path / "codegen" / "helper.py"
    deep = tmp_path / "codegen" / "deep.py"
    helper.write_text("from codegen import (\n    deep,\n)\n")
    deep.write_text("one = 1\n")
    monkeypatch.setattr(keeping, "_TREE", tmp_path)
    plain = key()
    using = key("from codegen.helper import *\n" + TEXT)
    deep.write_text("one = 2\n")
    assert key() == plain
    assert key("from codegen.helper import *\n" + TEXT) != using
    (tmp_path / "codegen" / "cuda" / "image.py").write_text("THREADS = 128\n")
    assert key() != plain
    before = key()
    monkeypatch.setattr(keeping, "_version", lambda name: "another")
    assert key() != before
    keeping._fingerprint.cache_clear()


def start(folder: Path, numbers: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", SCRIPT, numbers],
        cwd=TREE,
        env={**os.environ, "SYMNET_CACHE": str(folder), "PYTHONHASHSEED": "0"},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_two_processes_fill_it_at_once_and_a_third_starts_without_numba(tmp_path):
    folder, other = tmp_path / "cache", tmp_path / "other"
    told = []
    # In another order, Numba counts its functions otherwise: the images are the same.
    for process in [start(folder, "123"), start(folder, "123"), start(other, "321")]:
        told.append(process.communicate()[0].split())
        assert process.returncode == 0
    assert told[0][1:] == told[1][1:] == told[2][1:]
    warm = start(folder, "123").communicate()[0].split()
    assert warm == ["0", "False", told[0][2]]
    assert not list(folder.glob("*.new"))
    for path in folder.glob("*.cubin"):
        assert path.read_bytes() == (other / path.name).read_bytes()


def test_kept_files_are_readable(place):
    made = image(TEXT)
    told = json.loads((place / f"{made.key}.json").read_text())
    assert told["entry"] == made.entry
    assert told["resources"]["registers"] == made.resources.registers
    assert (place / f"{made.key}.ptx").read_text() == made.ptx
    assert (place / f"{made.key}.cubin").read_bytes() == made.cubin
