"""From a module text to an image: held in memory, kept on disk, or compiled."""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace
from typing import Final

from codegen import cache
from codegen.cpu.errors import CompileError
from codegen.cuda import keeping
from codegen.cuda.image import SHARED_LIMIT, Image
from codegen.cuda.pieces import needed_to_compile
from codegen.lazy import cuda_compiler


@dataclass(frozen=True, slots=True)
class Architecture:
    """A compute capability, and "a" where its code may use what only this one has."""

    major: int
    minor: int
    suffix: str = ""

    @property
    def name(self) -> str:
        """As the assembler calls it: sm_90a."""
        return f"sm_{self.major}{self.minor}{self.suffix}"


HOPPER: Final = Architecture(9, 0, "a")
"""What is compiled for where no device is."""


def image(text: str, *, shared: int = 0, architecture: Architecture = HOPPER) -> Image:
    """The image of a text's function `kernel`, whose parameters are all int64.

    shared: bytes of dynamic shared memory that a launch gives it. CompileError if the text is
    refused, if shared is more than a block may have, or if a piece of the toolkit is missing.
    """
    if not 0 <= shared <= SHARED_LIMIT:
        raise CompileError(f"{shared} bytes of shared memory: a block has {SHARED_LIMIT}")
    key = keeping.key_of(text, architecture.name)
    found, fresh = cache.once(key, lambda: _find(key, text, architecture))
    return replace(found, text=text, shared=shared, fresh=fresh)


def _find(key: str, text: str, architecture: Architecture) -> tuple[Image, bool]:
    kept = keeping.read(key, text)
    if kept is not None:
        return kept, False
    made = _compiled(key, text, architecture)
    keeping.keep(made)
    return made, True


def _compiled(key: str, text: str, architecture: Architecture) -> Image:
    needed_to_compile()
    entry = f"kernel_{key[:16]}"
    capability = architecture.major, architecture.minor, architecture.suffix
    count = _parameters(text)
    ptx = cuda_compiler.ptx_of(text, entry, count, capability)
    cubin, resources = cuda_compiler.cubin_of(ptx, entry, capability)
    return Image(
        key, text, entry, count, architecture.name, ptx, cubin, resources, shared=0, fresh=True
    )


def _parameters(text: str) -> int:
    """How many parameters the text's function `kernel` takes."""
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise CompileError(f"not Python: {error}\n{text}") from error
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef) and statement.name == "kernel":
            return len(statement.args.args)
    raise CompileError(f"no function kernel in\n{text}")
