"""The private folder that keeps compiled code, by content.

It is `$SYMNET_CACHE`, else `$XDG_CACHE_HOME/symnet`, else `~/.cache/symnet`. A key is the hash of
everything the code follows from, so what is stored never goes stale. Beside each compiled file
stands the readable `<key>.py` it was compiled from, which nothing ever executes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LIMIT = 512 << 20
"""Bytes the folder may hold, or some more; what was used least lately goes first."""
LOOKS = 32
"""One in so many kernels looks whether it does: in a folder of thousands that takes longer than to
compile one."""
OBJECT: Final = ".o"
IMAGE: Final = ".json"
# Of each kernel the file that is written last and read first, then what may stand beside it.
_MAIN: Final = (OBJECT, IMAGE)
_BESIDE: Final = (".py", ".ptx", ".cubin")
_KEY: Final = re.compile(r"[0-9a-f]{64}")


class CacheError(Exception):
    """The folder cannot be trusted with machine code; the text says why."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One stored kernel: its key, the bytes of its files, and when it was last used (seconds)."""

    key: str
    size: int
    used: float


def read(key: str, suffix: str) -> bytes | None:
    """One file of a key, which may be torn or spoilt; None if it cannot be read."""
    try:
        return (folder() / f"{key}{suffix}").read_bytes()
    except OSError:
        return None


def used(key: str, suffix: str) -> None:
    """Notes that the kernel whose main file has this suffix was used just now."""
    with contextlib.suppress(OSError):
        os.utime(folder() / f"{key}{suffix}")


def keep(key: str, files: Mapping[str, bytes]) -> None:
    """Stores the files of a key by suffix, in their order: the main one comes last. A disk that is
    full or has become read-only costs the next process time, not this one its run."""
    place = folder()
    with contextlib.suppress(OSError):
        for suffix, content in files.items():
            _write(place / f"{key}{suffix}", content)
        if int(key[:8], 16) % LOOKS == 0:
            _bound(place)


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
    """Empties the folder; gives the number of kernels removed."""
    place = folder()
    stored = list(_entries(place))
    for entry in stored:
        _remove(place, entry.key)
    # What processes that were killed while writing left behind.
    left = [path for suffix in _BESIDE for path in _stored(place, suffix)]
    for path in (*left, *place.glob("*.new")):
        path.unlink(missing_ok=True)
    return len(stored)


def _stored(place: Path, suffix: str) -> Iterator[Path]:
    """Our files with a suffix: whoever chose the folder may have others there."""
    return (path for path in place.glob(f"*{suffix}") if _KEY.fullmatch(path.stem))


def _entries(place: Path) -> Iterator[Entry]:
    for suffix in _MAIN:
        for path in _stored(place, suffix):
            # Another process may remove a file while this one looks at it.
            with contextlib.suppress(OSError):
                state = path.stat()
                beside = (_size(path.with_suffix(other)) for other in _BESIDE)
                yield Entry(path.stem, state.st_size + sum(beside), state.st_mtime)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _remove(place: Path, key: str) -> None:
    for suffix in (*_MAIN, *_BESIDE):
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
