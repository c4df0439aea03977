"""The sizes that texts for a GPU can count: indices and iterations take 32 bits there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import prod
from typing import Final

from codegen.cuda.device import DeviceError
from codegen.ir import Any, Contraction, Loop, Program, Statement, is_driver
from codegen.sizes import extent_value

MOST: Final = (1 << 31) - 1
"""Elements of a buffer, and iterations of nested loops that threads share out as one."""


def require_countable(program: Program, sizes: Mapping[str, int]) -> None:
    """DeviceError, which says what is too large, unless all is counted at these values of all
    sizes."""
    for buffer in program.buffers:
        elements = prod(extent_value(extent, sizes) for extent in buffer.shape)
        if elements > MOST:
            raise DeviceError(
                f"{program.name}: {buffer.name} would have {elements} elements; on a GPU an array "
                f"has at most 2**31 - 1 = {MOST}: a smaller batch may fit"
            )
    for iterations, label in _counted(program.body, sizes):
        if iterations > MOST:
            first = label.partition("\n")[0]
            raise DeviceError(
                f"{program.name}: {first or 'a loop'} would take {iterations} iterations; on a GPU "
                f"loops have at most 2**31 - 1 = {MOST}: a smaller batch may fit"
            )


def _counted(body: Iterable[Statement], sizes: Mapping[str, int]) -> Iterator[tuple[int, str]]:
    """What is counted by one index, and its label."""
    for statement in body:
        if isinstance(statement, Contraction):
            extents = {letter: extent_value(size, sizes) for letter, size in statement.extents}
            yield prod(extents[letter] for letter in statement.letters), statement.label
            yield max(extents.values(), default=0), statement.label
        elif isinstance(statement, Loop):
            if not is_driver(statement):
                yield _together(statement, sizes), statement.label
            yield from _counted(statement.body, sizes)


def _together(loop: Loop, sizes: Mapping[str, int]) -> int:
    """The iterations of a loop and of those in it that may be shared out with it."""
    own = extent_value(loop.extent, sizes)
    if not isinstance(loop.order, Any):
        return own
    inner = (one for one in loop.body if isinstance(one, Loop) and isinstance(one.order, Any))
    return own * max([1, *(_together(one, sizes) for one in inner)])
