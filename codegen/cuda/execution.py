"""Persistent or launches: which execution of a program a GPU takes, and on how many blocks.

The model's figures are estimates from data sheets (H100 SXM) and published launch times, not fits
to measurements: what is chosen may be slower than what is not, and never gives another result but
for the order of sums in tensor cores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Final

from codegen.ir import (
    Any,
    Barrier,
    Contraction,
    Extent,
    Loop,
    Program,
    Sequence,
    Statement,
    Until,
    is_driver,
)
from codegen.passes.contractions import matrix_form
from codegen.passes.rewrite import cost
from codegen.sizes import extent_value
from codegen.walk import index_buffers, scalars_of, shared_out

PERSISTENT: Final = "persistent"
LAUNCHES: Final = "launches"
EXECUTIONS: Final = (PERSISTENT, LAUNCHES)
SUPPOSED: Final = 128
"""What a run-time size is taken for where nothing is bound yet."""
SQUARE: Final = 64
"""Rows, and columns, of a product that one block of a launch makes at least."""
LARGE: Final = 128
"""The same where there are so many that all multiprocessors still have some."""
_MOST_BLOCKS: Final = 64
"""Of a persistent kernel: a barrier of more costs more than they gain."""

# Seconds, and scalar operations a second on one multiprocessor.
_LAUNCH: Final = 2.0e-6
_CALL: Final = 0.3e-6
_BARRIERS: Final = {False: 0.1e-6, True: 1.5e-6}
_ROWS_RATE: Final = 5e10
_SQUARE_RATE: Final = 1.3e11
_LOOP_RATE: Final = 4e10
_REPEATS: Final = 8
"""Iterations that an inner sequence is taken to have where nothing says more."""


@dataclass(frozen=True, slots=True)
class Execution:
    """How a program runs: `blocks` of the persistent kernel, or the most of any launch; `why`."""

    kind: str
    blocks: int
    why: str


@dataclass(frozen=True, slots=True)
class _Piece:
    """One call: scalar operations, how many tiles they are cut into, results."""

    operations: float
    tiles: int
    results: float
    contraction: bool


def choose(
    program: Program,
    sizes: Mapping[str, int],
    multiprocessors: int,
    *,
    asked: str | None = None,
    recordable: bool = True,
) -> Execution:
    """The quicker execution of a scheduled program by the model, at these values of all sizes.

    asked: PERSISTENT or LAUNCHES where the caller decides. recordable: whether the program has at
    most one sequence, so that launches can be recorded.
    """
    value = _values(sizes)
    pieces = list(_pieces(program.body, value, 1))
    barriers = _barriers(program.body)
    most = max((piece.tiles for piece in pieces), default=1)
    counts = [1]
    while counts[-1] * 2 <= min(most, multiprocessors, _MOST_BLOCKS):
        counts.append(counts[-1] * 2)
    # A sequence is started once for many iterations, all else each time.
    start = 0.0 if any(map(is_driver, program.body)) else _LAUNCH
    times = {count: start + _persistent(pieces, barriers, count) for count in counts}
    blocks = min(times, key=lambda count: times[count])
    launches = _launches(pieces, multiprocessors)
    told = (
        f"a step is estimated at {times[blocks] * 1e6:.1f} us in one kernel of {blocks} "
        f"block{'s' * (blocks > 1)}, {launches * 1e6:.1f} us as {len(pieces)} "
        f"launch{'es' * (len(pieces) != 1)}"
    )
    if not recordable:
        why = "its sequences stand inside one another, which a graph cannot replay"
        return Execution(PERSISTENT, blocks, why)
    if asked is not None:
        kind, why = asked, f"asked for; {told}"
    else:
        kind, why = (PERSISTENT if times[blocks] <= launches else LAUNCHES), told
    return Execution(kind, blocks if kind == PERSISTENT else 2 * multiprocessors, why)


def _values(sizes: Mapping[str, int]) -> Callable[[Extent], int]:
    return lambda extent: extent_value(extent, sizes)


def _persistent(pieces: list[_Piece], barriers: int, blocks: int) -> float:
    seconds = barriers * _BARRIERS[blocks > 1]
    for piece in pieces:
        rate = _ROWS_RATE if piece.contraction else _LOOP_RATE
        seconds += _CALL + piece.operations / (min(blocks, piece.tiles) * rate)
    return seconds


def _launches(pieces: list[_Piece], multiprocessors: int) -> float:
    seconds = 0.0
    for piece in pieces:
        rate = _SQUARE_RATE if piece.contraction else _LOOP_RATE
        # A block of a product makes a square of results; a loop gives each thread four iterations.
        blocks = max(piece.results / (SQUARE * SQUARE if piece.contraction else 1024), 1)
        seconds += _LAUNCH + piece.operations / (min(blocks, multiprocessors) * rate)
    return seconds


def _pieces(
    body: tuple[Statement, ...], value: Callable[[Extent], int], times: int
) -> Iterator[_Piece]:
    for statement in body:
        if isinstance(statement, Barrier | Until):
            continue
        if isinstance(statement, Loop) and is_driver(statement):
            outermost = isinstance(statement.order, Sequence) and times == 1
            yield from _pieces(statement.body, value, 1 if outermost else times * _REPEATS)
            continue
        operations = _operations(statement, value) * times
        shared = shared_out(statement)
        tiles = -(-value(shared[0]) // shared[2]) if shared else 1
        results = operations
        if isinstance(statement, Contraction):
            extents = dict(statement.extents)
            results = float(prod(value(extents[letter]) for letter in statement.letters))
        yield _Piece(operations, max(tiles, 1), results, isinstance(statement, Contraction))


def _operations(statement: Statement, value: Callable[[Extent], int]) -> float:
    """Scalar operations of one run of a statement; a fused multiply-add counts as one."""
    own = 1.0 + sum(map(cost, scalars_of(statement)))
    if isinstance(statement, Loop):
        inner = sum(_operations(one, value) for one in statement.body)
        return own + value(statement.extent) * inner
    if isinstance(statement, Contraction):
        extents = {letter: value(extent) for letter, extent in statement.extents}
        sums = prod(extents.values()) * len(statement.terms)
        finished = prod(extents[letter] for letter in statement.letters)
        return own + sums + finished * sum(_operations(one, value) for one in statement.body)
    return own


def _barriers(body: tuple[Statement, ...]) -> int:
    total = 0
    for statement in body:
        total += isinstance(statement, Barrier)
        if isinstance(statement, Loop) and is_driver(statement):
            total += 1 + _barriers(statement.body)
    return total


def spread(program: Program) -> Program:
    """The scheduled program as launches take it: any block may take any iteration, since nothing
    starts before all that was started earlier is done. A loop of one dimension is cut where a
    block's threads have four neighbours each, all others after every iteration; products after
    each matrix of a batch, else after 64 rows."""
    buffers = index_buffers(program)

    def cut(statement: Statement) -> Statement:
        match statement:
            case Loop(order=Any(tile)) if tile is not None:
                deep = any(isinstance(inner, Loop) for inner in statement.body)
                return replace(statement, order=Any(1 if deep else 1024))
            case Contraction(tile=int()):
                form = matrix_form(statement, buffers)
                return replace(statement, tile=1 if form is not None and form.batch else SQUARE)
            case Loop() if is_driver(statement):
                return replace(statement, body=tuple(map(cut, statement.body)))
        return statement

    return replace(program, body=tuple(map(cut, program.body)))
