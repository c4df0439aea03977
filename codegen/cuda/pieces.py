"""The pieces of the CUDA toolkit: which file of which wheel or folder is there."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

from codegen.cpu.errors import CompileError

PIP: Final = "pip install 'symnet[cuda]'"
_FOLDERS: Final = ("lib64", "lib", "nvvm/lib64", "nvvm/lib", "nvvm/libdevice", "bin")
_STANDARD: Final = Path("/usr/local/cuda")


@dataclass(frozen=True, slots=True)
class Piece:
    """A file of the toolkit, the wheel it comes in, what it is for, and whether its version must be
    the one the extra `cuda` asks for."""

    name: str
    file: str
    wheel: str
    purpose: str
    pinned: bool = True


NVVM: Final = Piece("nvvm", "libnvvm.so*", "nvidia-nvvm", "writes PTX")
LIBDEVICE: Final = Piece("libdevice", "libdevice*.bc", "nvidia-nvvm", "mathematics for kernels")
NVRTC: Final = Piece("nvrtc", "libnvrtc.so*", "nvidia-cuda-nvrtc", "compiles CUDA C++")
NVJITLINK: Final = Piece("nvjitlink", "libnvJitLink.so*", "nvidia-nvjitlink", "makes cubins of PTX")
NVDISASM: Final = Piece(
    "nvdisasm", "nvdisasm*", "nvidia-cuda-nvdisasm", "shows machine code", pinned=False
)
CUOBJDUMP: Final = Piece(
    "cuobjdump", "cuobjdump*", "nvidia-cuda-cuobjdump", "looks into cubins", pinned=False
)
NEEDED: Final = (NVVM, LIBDEVICE, NVJITLINK)
"""What compiling takes."""
PIECES: Final = (*NEEDED, NVRTC, NVDISASM, CUOBJDUMP)
# Each Python module that compiling takes, and the distribution it comes in.
_MODULES: Final = {"numba_cuda": "numba-cuda", "cuda.bindings": "cuda-bindings"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a piece is; `version` is "" if nothing tells. `lost`: the wheel is installed, but its
    file is not there."""

    path: Path | None
    version: str
    wheel: bool
    lost: bool = False


def needed(piece: Piece) -> Path:
    """Where the piece is. CompileError, which says how to get it, if it is nowhere."""
    place = find(piece)
    if place is None or place.path is None:
        raise CompileError(
            f"target cuda: {piece.file} is missing, which {piece.purpose}; it comes in the "
            f"package {piece.wheel}: {PIP}"
        )
    return place.path


def needed_to_compile() -> None:
    """CompileError, which names what is missing and the line that installs it, if a kernel cannot
    be compiled here."""
    for module, distribution in _MODULES.items():
        if not _importable(module):
            raise CompileError(
                f"target cuda: the Python module {module} is missing; it comes in the package "
                f"{distribution}: {PIP}"
            )
    for piece in NEEDED:
        needed(piece)


def _importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def find(piece: Piece) -> Place | None:
    """The piece in its wheel, else in a folder of the toolkit, else on the path."""
    found = _in_wheel(piece)
    if found is not None and not found.lost:
        return found
    return _in_folders(piece) or found


def _in_wheel(piece: Piece) -> Place | None:
    try:
        wheel = importlib.metadata.distribution(piece.wheel)
        version = wheel.version or ""
        files = [file for file in wheel.files or () if fnmatch(file.name, piece.file)]
        paths = [Path(str(file.locate())) for file in files]
    except importlib.metadata.PackageNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        return Place(None, "", wheel=True, lost=True)
    there = [path for path in paths if _is_file(path)]
    return Place(there[0] if there else None, version, wheel=True, lost=not there)


def _in_folders(piece: Piece) -> Place | None:
    named = [os.environ[name] for name in ("CUDA_PATH", "CUDA_HOME") if os.environ.get(name)]
    for root in (*map(Path, named), _STANDARD):
        for folder in _FOLDERS:
            for path in _files(root / folder, piece.file):
                return Place(path, _version(root), wheel=False)
    program = shutil.which(piece.name)
    return Place(Path(program), "", wheel=False) if program else None


def _files(folder: Path, pattern: str) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if fnmatch(path.name, pattern))
    except OSError:
        return []


def _is_file(path: Path) -> bool:
    try:
        return path.is_file() and path.stat().st_size > 0
    except OSError:
        return False


def _version(root: Path) -> str:
    """What the name of the folder says: 13.0 of /usr/local/cuda-13.0."""
    try:
        match = re.search(r"cuda-(\d+\.\d+)", str(root.resolve()))
    except (OSError, RuntimeError):
        return ""
    return match[1] if match else ""
