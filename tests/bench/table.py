"""How the results are printed."""

from __future__ import annotations

from collections.abc import Sequence

from tests.bench.floor import operations, traffic
from tests.bench.processes import Started, fastest
from tests.bench.rounds import Result

COLUMNS = (
    "symnet", "torch eager", "torch direct", "torch compile", "jax scan", "pytensor", "micrograd",
)
RATIOS = (
    "eager/symnet", "direct/symnet", "compile/symnet", "jax/symnet", "pytensor/symnet",
    "symnet/floor",
)
NEEDS = (
    "operations", "GFLOP/s", "us", "BLAS us", "bytes beyond L2", "GB/s", "us",
    "barriers", "us", "floor us",
)


def lines_of(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows in columns, the first to the left and the others to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _number(value: float) -> str:
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:.{digits}f}"


def _timed(result: Result, column: str) -> str:
    timing = result.best(column)
    if timing is None:
        return next((one.shown for one in result.of(column)), "not run")
    threads = f" {timing.form.threads}t" if timing.form.threads else ""
    return f"{_number(timing.median)} ({_number(timing.quartile)}){threads}"


def _ratio(above: float | None, below: float | None, goal: float | None, most: bool) -> str:
    if above is None or below is None:
        return "-"
    wanted = "" if goal is None else f" [{'≤' if most else '≥'}{goal:g}]"
    return f"{_number(above / below)}{wanted}"


def _row(result: Result) -> list[str]:
    best = {column: result.best(column) for column in COLUMNS}
    medians = {column: one.median if one else None for column, one in best.items()}
    ours, goals = medians["symnet"], result.workload.goals
    return [
        result.workload.name,
        *(_timed(result, column) for column in COLUMNS),
        _number(result.floor.whole),
        _ratio(medians["torch eager"], ours, goals.eager, False),
        _ratio(medians["torch direct"], ours, None, False),
        _ratio(medians["torch compile"], ours, None, False),
        _ratio(medians["jax scan"], ours, goals.jax, False),
        _ratio(medians["pytensor"], ours, None, False),
        _ratio(ours, result.floor.whole, goals.floor, True),
    ]


def steps_table(results: Sequence[Result]) -> str:
    """Microseconds a step, and the ratios; in brackets what issue 4 asks."""
    heads = ["workload", *COLUMNS, "floor", *RATIOS]
    title = "microseconds a step: median (lower quartile), threads of the faster form"
    where: dict[tuple[str, str], list[str]] = {}
    for result in results:
        for timing in result.timings:
            if timing.missing:
                key = str(timing.form), timing.missing
                where.setdefault(key, []).append(result.workload.name)
    notes = [
        f"{', '.join(names)}: {form} not available: {reason}"
        for (form, reason), names in where.items()
    ]
    return "\n".join([title, *lines_of([heads, *map(_row, results)]), *notes])


def needs_table(results: Sequence[Result]) -> str:
    """What a step needs and what that costs at least, by which the floor is set."""
    rows = [["workload", *NEEDS]]
    rows += [[result.workload.name, *_needs(result)] for result in results]
    title = "a step's floor: max(the less of the first two, the third) + barriers, in microseconds"
    return "\n".join([title, *lines_of(rows)])


def _needs(result: Result) -> list[str]:
    computed, moved = operations(result.workload), traffic(result.workload)
    parts = result.floor
    return [
        f"{computed:.4g}",
        _rate(computed, min(parts.registers, parts.blas)),
        _number(parts.registers),
        _number(parts.blas),
        f"{moved:.4g}",
        _rate(moved, parts.bytes),
        _number(parts.bytes),
        str(result.barriers),
        _number(parts.barriers),
        _number(parts.whole),
    ]


def _rate(count: float, microseconds: float) -> str:
    """Thousands of millions a second."""
    return _number(count / microseconds / 1e3) if microseconds else "-"


def memory_table(results: Sequence[Result]) -> str:
    """Peak memory of the processes that the times are those of."""
    rows = [["workload", *COLUMNS]]
    for result in results:
        best = [result.best(column) for column in COLUMNS]
        peaks = [f"{one.peak / 2**20:.0f}" if one else "-" for one in best]
        rows.append([result.workload.name, *peaks])
    return "\n".join(["peak memory of a process, MiB", *lines_of(rows)])


def line(result: Result) -> str:
    """A workload's row by itself."""
    return "  " + "  ".join(_row(result)[1:])


def processes_table(kinds: Sequence[Started]) -> str:
    """Seconds and peak memory of whole processes."""
    heads = ["process", "who", "seconds", "peak MiB"]
    rows = [[kind.what, kind.label, *_measured(kind)] for kind in kinds]
    notes = [f"{kind.what} {kind.label}: {kind.missing}" for kind in kinds if kind.missing]
    return "\n".join([*lines_of([heads, *rows]), *notes])


def _measured(kind: Started) -> list[str]:
    if not kind.seconds:
        return ["not available", "-"]
    return [f"{kind.median:.2f}", f"{max(kind.peaks) / 2**20:.0f}"]


def sweep_summary(kinds: Sequence[Started]) -> str:
    """How far symnet is ahead over the whole sweep."""
    medians = {kind.library: kind.median for kind in fastest(list(kinds))}
    ours = medians.pop("symnet", None)
    if ours is None:
        return "sweep: symnet not available"
    goals = {"scikit-learn": "≥1", "jax": "≥10"}
    parts = [f"{name}/symnet {value / ours:.2f} [{goals[name]}]" for name, value in medians.items()]
    return "sweep: " + ", ".join(parts)
