"""Images on disk: under which key, in which files, and whether what is read is whole.

Beside the readable `<key>.py` stand `<key>.ptx`, `<key>.cubin` and, written last, `<key>.json`: the
names, counts and resources of the image, and the hash of all three.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from codegen import cache, store
from codegen.cuda.image import Image, Resources
from codegen.cuda.pieces import LIBDEVICE, NVJITLINK, NVVM, find

_FORMAT: Final = "symnet image 1"
_PACKAGES: Final = ("numba", "llvmlite", "numba-cuda")
_TREE: Final = Path(__file__).parents[2]
# All that is compiled passes through it, whatever a text imports.
_COMPILER: Final = "codegen.cuda.compiler"
_IMPORT: Final = re.compile(
    r"^[ \t]*(?:from +(codegen[\w.]*) +import +(\([^)]*\)|.*)|import +(codegen[\w.]*))",
    re.MULTILINE,
)


def key_of(text: str, architecture: str) -> str:
    """The content's address: the text (comment lines aside), the helpers it imports, the compilers
    and the architecture."""
    return cache.address(text, f"{architecture} {_fingerprint(tuple(sorted(_imported(text))))}")


@functools.cache
def _fingerprint(imported: tuple[str, ...]) -> str:
    parts = [_FORMAT, *(_version(name) for name in _PACKAGES)]
    parts += [_piece(piece) for piece in (NVVM, LIBDEVICE, NVJITLINK)]
    parts += [path.read_text() for path in sorted(_closure({_COMPILER, *imported}))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _piece(piece: Any) -> str:
    place = find(piece)
    return f"{place.version} {'' if place.wheel else place.path}" if place else ""


def _closure(modules: set[str]) -> set[Path]:
    """The files of these modules and of all of ours that they import."""
    found: set[Path] = set()
    waiting = sorted(modules)
    while waiting:
        path = _file(waiting.pop())
        if path is not None and path not in found:
            found.add(path)
            waiting += _imported(path.read_text())
    return found


def _imported(text: str) -> Iterator[str]:
    """The modules of ours that a text may import: of `from a import b` both a and a.b."""
    for base, names, module in _IMPORT.findall(text):
        yield base or module
        for name in re.findall(r"\w+", names):
            yield f"{base}.{name}"


def _file(module: str) -> Path | None:
    path = _TREE.joinpath(*module.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def read(key: str, text: str) -> Image | None:
    """The image kept under a key; None if there is none, or it is not whole."""
    try:
        told: dict[str, Any] = json.loads(store.read(key, store.IMAGE) or b"{}")
        ptx, cubin = store.read(key, ".ptx") or b"", store.read(key, ".cubin") or b""
        if told.pop("hash") != _hash(told, ptx, cubin):
            return None
        kept = Image(
            key=key,
            text=text,
            entry=told["entry"],
            parameters=told["parameters"],
            architecture=told["architecture"],
            ptx=ptx.decode(),
            cubin=cubin,
            resources=Resources(**told["resources"]),
            shared=0,
            fresh=False,
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    store.used(key, store.IMAGE)
    return kept


def keep(image: Image) -> None:
    """Stores an image by its key."""
    told: dict[str, Any] = {
        "format": _FORMAT,
        "entry": image.entry,
        "parameters": image.parameters,
        "architecture": image.architecture,
        "resources": asdict(image.resources),
    }
    told["hash"] = _hash(told, image.ptx.encode(), image.cubin)
    files = {
        ".py": image.text.encode(),
        ".ptx": image.ptx.encode(),
        ".cubin": image.cubin,
        store.IMAGE: json.dumps(told, indent=1).encode(),
    }
    store.keep(image.key, files)


def _hash(told: dict[str, Any], ptx: bytes, cubin: bytes) -> str:
    written = json.dumps(told, sort_keys=True).encode()
    return hashlib.sha256(b"\0".join((written, ptx, cubin))).hexdigest()
