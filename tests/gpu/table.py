"""How the results are printed."""

from __future__ import annotations

from collections.abc import Sequence

from tests.gpu.cases import FORMS, OURS
from tests.gpu.measuring import Result

_UPDATE_BYTES = 7
"""Adam reads weight, gradient and two moments, and writes all but the gradient."""


def _number(value: float) -> str:
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:.{digits}f}"


def _row(result: Result) -> list[str]:
    cells = [result.row.name]
    for form in FORMS:
        found = result.of(form.column).median
        cells.append("-" if found is None else _number(found))
    goal = "" if result.row.goal is None else f" [≥{result.row.goal:g}]"
    peer = result.fastest_peer
    cells.append("-" if result.ahead is None or peer is None else f"{_number(result.ahead)}{goal}")
    cells.append("-" if peer is None else peer.form.column)
    return cells


def lines_of(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows in columns, the first to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def table(results: Sequence[Result], bandwidth: float | None) -> str:
    """Microseconds a step, how far symnet is ahead of the fastest peer, and what is missing."""
    heads = ["workload", *(form.column for form in FORMS), "ahead", "of"]
    lines = ["microseconds a step, medians of interleaved rounds; [what issue 6 asks]"]
    lines += lines_of([heads, *map(_row, results)])
    for result in results:
        if "execution" in result.told:
            lines.append(f"{result.row.name}: {result.told['execution']}")
        lines += [
            f"{result.row.name}: {one.form.column} not available: {one.missing}"
            for one in result.timings
            if one.missing
        ]
    lines += [_update_line(result, bandwidth) for result in results if result.row.name == "update"]
    return "\n".join(lines)


def _update_line(result: Result, bandwidth: float | None) -> str:
    ours = result.of(OURS.column).median
    if ours is None or bandwidth is None:
        return "update: no bandwidth, since symnet or the copy was not measured"
    moved = result.row.workload.widths[0] * 4 * _UPDATE_BYTES
    share = moved / (ours * 1e-6) / bandwidth
    return (
        f"update: {moved / ours / 1e6:.2f} TB/s of {bandwidth / 1e12:.2f} TB/s that a copy moves "
        f"(read and written): {share:.0%} [≥85%]"
    )
