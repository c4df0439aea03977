"""Compiled kernels, kept: in memory for this process, and by content in a private folder.

The folder is `$SYMNET_CACHE`, else `$XDG_CACHE_HOME/symnet`, else `~/.cache/symnet`. A key is the
hash of everything the machine code follows from, so a stored object never goes stale. Beside each
`<key>.o` stands the readable `<key>.py` it was compiled from, which nothing ever executes.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import importlib.metadata
import os
import stat
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

from codegen.cpu.loader import Loaded, load
from codegen.lazy import jit
from codegen.machine import this_machine

LIMIT = 512 << 20
"""Bytes the folder may hold, or some more; what was used least lately goes first."""
LOOKS = 32
"""One in so many kernels looks whether it does: in a folder of thousands that takes longer than to
compile one."""

_MAGIC = b"symnet kernel 1"


class CacheError(Exception):
    """The folder cannot be trusted with machine code; the text says why."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One stored kernel: its key, the bytes of its files, and when it was last used (seconds)."""

    key: str
    size: int
    used: float


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
    """What this process holds: loaded kernels by key, and how many it has compiled."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.kernels: dict[str, Loaded] = {}
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
        _memory.kernels.clear()


def kernel(text: str) -> Kernel:
    """The kernel of a text: from memory, from disk, or compiled and stored."""
    key = key_of(text)
    with _memory.lock:
        found = _memory.kernels.get(key)
        fresh = False
        if found is None:
            found, fresh = _find(key, text)
            _memory.kernels[key] = found
        return Kernel(key, text, found, fresh)


def key_of(text: str) -> str:
    """The content's address: text (comment lines aside), helpers, libraries, processor, flags."""
    code = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    return hashlib.sha256("\n".join((_fingerprint(), *code)).encode()).hexdigest()


@functools.cache
def _fingerprint() -> str:
    machine = this_machine()
    here = Path(__file__).parent / "cpu"
    parts = [
        machine.name,
        machine.features,
        *(importlib.metadata.version(name) for name in ("numba", "llvmlite")),
        # What an object contains parts of, besides the text it was compiled from.
        *(path.read_text() for path in sorted(here.glob("*.py"))),
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _symbol(key: str) -> str:
    return f"kernel_{key[:16]}"


def _find(key: str, text: str) -> tuple[Loaded, bool]:
    place = folder()
    path = place / f"{key}.o"
    stored = _read(path)
    if stored is not None:
        with contextlib.suppress(OSError):
            os.utime(path)
        return load(stored, _symbol(key)), False
    made = bytes(jit.compile_text(text, _symbol(key)))
    _memory.compiled += 1
    # A disk that is full or has become read-only costs the next process time, not this one its run.
    with contextlib.suppress(OSError):
        _write(place / f"{key}.py", text.encode())
        _write(path, b"\n".join((_MAGIC, hashlib.sha256(made).hexdigest().encode(), made)))
        if int(key[:8], 16) % LOOKS == 0:
            _bound(place)
    return load(made, _symbol(key)), True


def _read(path: Path) -> bytes | None:
    """The object in a stored file; None if there is none, or it is not whole."""
    try:
        magic, checksum, made = path.read_bytes().split(b"\n", 2)
    except (OSError, ValueError):
        return None
    if magic != _MAGIC or hashlib.sha256(made).hexdigest().encode() != checksum:
        return None
    return made


def _write(path: Path, content: bytes) -> None:
    """All of the content under that name, or nothing: readers never see a part."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".new")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def _bound(place: Path) -> None:
    stored = sorted(_entries(place), key=lambda entry: entry.used)
    excess = sum(entry.size for entry in stored) - LIMIT
    for entry in stored:
        if excess <= 0:
            return
        _remove(place, entry.key)
        excess -= entry.size


def entries() -> tuple[Entry, ...]:
    """What the folder holds, the latest used first."""
    return tuple(sorted(_entries(folder()), key=lambda entry: -entry.used))


def clear() -> int:
    """Empties the folder and the memory of this process; gives the number of kernels removed."""
    place = folder()
    stored = _entries(place)
    for entry in stored:
        _remove(place, entry.key)
    # What a process that was killed while writing left behind.
    for path in place.glob("*.new"):
        path.unlink(missing_ok=True)
    forget()
    return len(stored)


def _entries(place: Path) -> list[Entry]:
    found = []
    for path in place.glob("*.o"):
        # Another process may remove a file while this one looks at it.
        with contextlib.suppress(OSError):
            state = path.stat()
            source = path.with_suffix(".py")
            size = state.st_size + (source.stat().st_size if source.exists() else 0)
            found.append(Entry(path.stem, size, state.st_mtime))
    return found


def _remove(place: Path, key: str) -> None:
    for suffix in (".o", ".py"):
        (place / f"{key}{suffix}").unlink(missing_ok=True)


def folder() -> Path:
    """The folder in use, made if need be; CacheError if others could write to it, or if there is
    none that we can write to."""
    chosen = os.environ.get("SYMNET_CACHE")
    if chosen:
        try:
            return _private(Path(chosen))
        except OSError as error:
            why = error.strerror or error
            raise CacheError(f"SYMNET_CACHE={chosen} cannot hold kernels: {why}") from error
    home = os.environ.get("XDG_CACHE_HOME") or Path(os.path.expanduser("~"), ".cache")
    try:
        return _private(Path(home, "symnet"))
    except OSError:
        return _temporary()


def _temporary() -> Path:
    try:
        return _private(Path(tempfile.gettempdir(), f"symnet-{os.getuid()}"))
    except OSError as error:
        why = error.strerror or error
        raise CacheError(f"no folder can hold kernels: {why}; set SYMNET_CACHE") from error


def _private(place: Path) -> Path:
    """The folder, which belongs to us alone; OSError if it cannot be made or written to."""
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    state = place.lstat()
    if not stat.S_ISDIR(state.st_mode):
        raise CacheError(f"{place} is not a folder (nor may it be a link)")
    if state.st_uid != os.getuid():
        raise CacheError(f"{place} belongs to user {state.st_uid}: it may hold foreign code")
    if state.st_mode & 0o022:
        raise CacheError(f"{place} can be written by others: chmod go-w it, or set SYMNET_CACHE")
    if not os.access(place, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, "it cannot be written to", str(place))
    return place
