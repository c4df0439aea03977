"""Compiled kernels, kept: in memory for this process, and by content in a private folder."""

from __future__ import annotations

import functools
import hashlib
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from codegen import store
from codegen.cpu.loader import Loaded, load
from codegen.lazy import jit, metadata
from codegen.machine import this_machine
from codegen.store import LIMIT as LIMIT
from codegen.store import CacheError as CacheError
from codegen.store import Entry as Entry
from codegen.store import entries as entries
from codegen.store import folder as folder

Found = TypeVar("Found")
_MAGIC = b"symnet kernel 1"


@dataclass(frozen=True, slots=True)
class Kernel:
    """One kernel in memory. `fresh`: this look-up compiled it."""

    key: str
    text: str
    loaded: Loaded
    fresh: bool

    @property
    def llvm(self) -> str:
        """The optimised LLVM module; made anew, since only the object is kept."""
        return str(jit.list_text(self.text, _symbol(self.key)).llvm)

    @property
    def assembly(self) -> str:
        """The processor's instructions; made anew, since only the object is kept."""
        return str(jit.list_text(self.text, _symbol(self.key)).assembly)


class _Memory:
    """What this process holds: what it has found by key, and how many kernels it has compiled."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.found: dict[str, Any] = {}
        self.compiled = 0


_memory = _Memory()
# A child must not find it held by a thread that it does not have.
os.register_at_fork(
    before=_memory.lock.acquire,
    after_in_parent=_memory.lock.release,
    after_in_child=_memory.lock.release,
)


def compiled() -> int:
    """How many kernels this process has compiled, rather than found in memory or on disk."""
    return _memory.compiled


def forget() -> None:
    """Empties the memory of this process; what already runs keeps its kernels."""
    with _memory.lock:
        _memory.found.clear()


def kernel(text: str) -> Kernel:
    """The kernel of a text: from memory, from disk, or compiled and stored."""
    return kernels([text])[0]


def kernels(texts: Sequence[str]) -> list[Kernel]:
    """The kernels of texts. Those that neither memory nor disk holds are compiled side by side, on
    as many cores as there are; none is stored if one of them cannot be compiled."""
    wanted = {key_of(text): text for text in texts}
    with _memory.lock:
        absent = {key: text for key, text in wanted.items() if key not in _memory.found}
        absent = {key: text for key, text in absent.items() if not _recalled(key)}
        if absent:
            _compile(absent)
        return [
            Kernel(key, text, _memory.found[key], absent.pop(key, None) is not None)
            for text in texts
            for key in [key_of(text)]
        ]


def holds(key: str) -> bool:
    """Whether this process holds something under a key."""
    return key in _memory.found


def once(key: str, find: Callable[[], tuple[Found, bool]]) -> tuple[Found, bool]:
    """What this process holds under a key, else what `find` gives; and whether it was compiled by
    this look-up, as `find` says."""
    with _memory.lock:
        held: Found | None = _memory.found.get(key)
        if held is not None:
            return held, False
        found, fresh = find()
        _memory.found[key] = found
        _memory.compiled += fresh
        return found, fresh


def key_of(text: str) -> str:
    """The content's address: text (comment lines aside), helpers, libraries, processor, flags."""
    return address(text, _fingerprint())


def address(text: str, fingerprint: str) -> str:
    """The hash of a text, its comment lines aside, and of all else its code follows from."""
    code = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    return hashlib.sha256("\n".join((fingerprint, *code)).encode()).hexdigest()


@functools.cache
def _fingerprint() -> str:
    machine = this_machine()
    here = Path(__file__).parent / "cpu"
    parts = [
        machine.name,
        machine.features,
        *(metadata.version(name) for name in ("numba", "llvmlite")),
        # What an object contains parts of, besides the text it was compiled from.
        *(path.read_text() for path in sorted(here.glob("*.py"))),
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _symbol(key: str) -> str:
    return f"kernel_{key[:16]}"


def _recalled(key: str) -> bool:
    """Whether the disk holds the kernel, which then is in memory."""
    stored = _whole(store.read(key, store.OBJECT))
    if stored is None:
        return False
    store.used(key, store.OBJECT)
    _memory.found[key] = load(stored, _symbol(key))
    return True


def _compile(absent: Mapping[str, str]) -> None:
    """Compiles texts by key, stores them, and loads them into memory."""
    named = {_symbol(key): text for key, text in absent.items()}
    objects = jit.compile_texts(named, this_machine().cores)
    for key, text in absent.items():
        made = objects[_symbol(key)]
        content = b"\n".join((_MAGIC, hashlib.sha256(made).hexdigest().encode(), made))
        store.keep(key, {".py": text.encode(), store.OBJECT: content})
        _memory.found[key] = load(made, _symbol(key))
        _memory.compiled += 1


def _whole(content: bytes | None) -> bytes | None:
    """The object in a stored file; None if there is none, or it is not whole."""
    try:
        magic, checksum, made = (content or b"").split(b"\n", 2)
    except ValueError:
        return None
    if magic != _MAGIC or hashlib.sha256(made).hexdigest().encode() != checksum:
        return None
    return made


def clear() -> int:
    """Empties the folder and the memory of this process; gives the number of kernels removed."""
    removed = store.clear()
    forget()
    return removed
