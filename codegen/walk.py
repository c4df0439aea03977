"""What statements and scalars hold, and which memory a buffer lives in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from codegen.ir import (
    Any,
    Buffer,
    Contraction,
    Extent,
    Let,
    Loop,
    Program,
    Statement,
    Store,
    Until,
    Yield,
)
from codegen.scalar import Apply, Load, Ref, Scalar, nested_refs


def index_buffers(program: Program) -> dict[str, Buffer]:
    """The buffers by name."""
    return {buffer.name: buffer for buffer in program.buffers}


def root_of(name: str, buffers: Mapping[str, Buffer]) -> str:
    """The buffer whose memory this one lives in: itself, or the end of its chain of views."""
    while (storage := buffers[name].storage) is not None:
        name = storage
    return name


def shared_out(statement: Statement) -> tuple[Extent, Extent, int] | None:
    """Extent, start and tile of what a statement of the driver shares out among the workers; None
    if it is one tile, or no statement that is shared out."""
    match statement:
        case Loop(extent=extent, order=Any(tile), start=start):
            return extent, start, tile or 1
        case Contraction(shared=extent, tile=int(tile)) if extent is not None:
            return extent, 0, tile
    return None


def scalars_of(statement: Statement) -> tuple[Scalar, ...]:
    """The scalars a statement holds itself, not those of statements inside it."""
    if isinstance(statement, Let | Store):
        return (statement.value,)
    return statement.values if isinstance(statement, Yield) else ()


def nodes(scalar: Scalar) -> Sequence[Scalar]:
    """The scalar and all below it, not what its indices read."""
    if not isinstance(scalar, Apply):
        return (scalar,)
    found: list[Scalar] = []
    stack: list[Scalar] = [scalar]
    while stack:
        node = stack.pop()
        found.append(node)
        if isinstance(node, Apply):
            stack.extend(node.args)
    return found


def refs_of(statement: Statement) -> Iterator[Ref]:
    """Every Ref a statement holds itself, those inside indices included."""
    if isinstance(statement, Store | Until):
        yield from nested_refs(statement.ref)
    for scalar in scalars_of(statement):
        for node in nodes(scalar):
            if isinstance(node, Load):
                yield from nested_refs(node.ref)


def buffers_of(statement: Statement) -> list[str]:
    """The names of the buffers a statement itself touches."""
    if isinstance(statement, Contraction):
        return [factor.buffer for pair in statement.terms for factor in pair]
    return [ref.buffer for ref in refs_of(statement)]
