"""Packing: an operand copied into panels that a register tile reads one whole row at a time."""

# llvmlite has no types.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from codegen.cpu.code import INDEX, Int, Pointer, Vectors, inner_function, lane_numbers, loop

_QUARTER = 16
"""Bytes of the parts of a register inside which shuffles are cheapest."""


@dataclass(frozen=True, slots=True)
class _Job:
    """Element (k, i) of the source goes to into[k * row + i], for all i < count, or as many as a
    vector has lanes."""

    vectors: Vectors
    source: Pointer
    lane: Int
    stride: Int
    depth: Int
    count: Int
    into: Pointer
    row: Int


def pack(module: Any, vectors: Vectors) -> Any:
    """The function (source, lane stride, depth stride, depth, count, into, row) that fills as many
    columns of a panel as a vector has lanes. Of the source it touches no lane from `count` on; into
    the panel it may write as many rows past the last as there are lanes."""
    real = vectors.real.as_pointer()
    kinds = [real, INDEX, INDEX, INDEX, INDEX, real, INDEX]

    def write(builder: Any, *args: Any) -> None:
        job = _Job(vectors, *args)
        with builder.if_else(job.lane.compare("==", 1)) as (beside, apart):
            with beside:
                _copy(job)
            with apart, builder.if_else(job.stride.compare("==", 1)) as (turned, neither):
                with turned:
                    _transpose(job)
                with neither:
                    _gather(job)

    return inner_function(module, f"pack_{vectors.lanes}", kinds, write)


def _copy(job: _Job) -> None:
    """The lanes stand side by side: one vector a row."""
    vectors, builder = job.vectors, job.depth.builder
    mask = vectors.first_lanes(job.count)
    with builder.if_else(job.count >= vectors.lanes) as branches:
        for branch, whole in zip(branches, (True, False), strict=True):
            with branch, loop(job.depth.constant(0), job.depth) as k:
                place = job.source + k * job.stride
                value = place.load(vectors.kind) if whole else vectors.load_masked(place, mask)
                (job.into + k * job.row).store(value)


def _transpose(job: _Job) -> None:
    """The depth is contiguous: squares of as many rows as lanes, turned in registers."""
    vectors, builder = job.vectors, job.depth.builder
    # Lanes past the last repeat it.
    lanes = [job.depth.constant(lane).at_most(job.count - 1) for lane in range(vectors.lanes)]
    lines = [job.source + lane * job.lane for lane in lanes]
    whole = job.depth // vectors.lanes * vectors.lanes
    with loop(job.depth.constant(0), whole, vectors.lanes) as k:
        _put(job, k, [(line + k).load(vectors.kind) for line in lines])
    with builder.if_then(whole < job.depth):
        mask = vectors.first_lanes(job.depth - whole)
        _put(job, whole, [vectors.load_masked(line + whole, mask) for line in lines])


def _put(job: _Job, first: Int, rows: list[Any]) -> None:
    for number, value in enumerate(transposed(first.builder, job.vectors, rows)):
        (job.into + (first + number) * job.row).store(value)


def _gather(job: _Job) -> None:
    """Any strides: element by element."""
    with loop(job.depth.constant(0), job.depth) as k:
        line, target = job.source + k * job.stride, job.into + k * job.row
        with loop(job.depth.constant(0), job.count.at_most(job.vectors.lanes)) as lane:
            (target + lane).store((line + lane * job.lane).load())


def transposed(builder: Any, vectors: Vectors, rows: list[Any]) -> list[Any]:
    """The columns of a square of vectors, by log2(lanes) layers of shuffles of pairs.

    First inside the quarters of a register, where neighbours interleave; then whole quarters.
    """
    lanes = vectors.lanes
    quarter = min(_QUARTER * 8 // vectors.bits, lanes)
    distance = 1
    while distance < lanes:
        if distance < quarter:
            pair = _interleaving(lanes, quarter, distance)
        else:
            pair = _halving(lanes, quarter)
        values = list(rows)
        for low in range(lanes):
            if not low & distance:
                high = low | distance
                for place, order in zip((low, high), pair, strict=True):
                    values[place] = builder.shuffle_vector(
                        rows[low], rows[high], lane_numbers(order)
                    )
        rows, distance = values, 2 * distance
    return [rows[_place(column, quarter)] for column in range(lanes)]


def _interleaving(lanes: int, quarter: int, run: int) -> tuple[list[int], list[int]]:
    """Runs of the two vectors in turn, in each quarter: of its lower half, then of its upper."""
    pair: tuple[list[int], list[int]] = ([], [])
    for half, order in enumerate(pair):
        for start in range(half * quarter // 2, lanes, quarter):
            for first in range(start, start + quarter // 2, run):
                order += range(first, first + run)
                order += range(lanes + first, lanes + first + run)
    return pair


def _halving(lanes: int, quarter: int) -> tuple[list[int], list[int]]:
    """The even quarters of both vectors, and the odd ones."""
    even, odd = (
        [lane for start in range(first, 2 * lanes, 2 * quarter)
         for lane in range(start, start + quarter)]
        for first in (0, quarter)
    )  # fmt: skip
    return even, odd


def _place(column: int, quarter: int) -> int:
    """Which vector holds the column after all layers: those inside quarters bring its bits out from
    the highest to the lowest."""
    place, low = column // quarter, column % quarter
    for bit in reversed(range(quarter.bit_length() - 1)):
        place = 2 * place + (low >> (quarter.bit_length() - 2 - bit) & 1)
    return place
