"""Run sample programs, plant faults in programs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from codegen.interpret import Outcome, interpret
from codegen.ir import Any, Barrier, Loop, Program, Statement
from codegen.passes.schedule import schedule
from tests.codegen.samples import Sample

Arrays = dict[str, np.ndarray]


def run(sample: Sample, program: Program | None = None, seed: int = 0) -> tuple[Outcome, Arrays]:
    """The outcome and arrays of the program (the sample's own), scheduled if it was not yet."""
    chosen = sample.program if program is None else program
    arrays = sample.arrays()
    return interpret(scheduled(chosen), sample.sizes, arrays, seed=seed), arrays


def scheduled(program: Program) -> Program:
    """The program itself if it has tiles or barriers, else with tiles and barriers."""
    return program if any(map(_is_scheduled, program.body)) else schedule(program)


def _is_scheduled(one: Statement) -> bool:
    if isinstance(one, Loop):
        tiled = isinstance(one.order, Any) and one.order.tile is not None
        return tiled or any(map(_is_scheduled, one.body))
    return isinstance(one, Barrier)


def same(one: Arrays, other: Arrays, tolerance: float = 0.0) -> bool:
    """True if all arrays agree, to the bit where the tolerance is 0."""
    return all(
        np.allclose(one[name], other[name], rtol=tolerance, atol=tolerance, equal_nan=True)
        for name in one
    )


def mapped(body: tuple[Statement, ...], change: Callable[[Statement], Statement | None]) -> tuple:
    """The statements, inner ones first, each changed or (None) dropped."""
    result = []
    for one in body:
        inner = replace(one, body=mapped(one.body, change)) if isinstance(one, Loop) else one
        changed = change(inner)
        if changed is not None:
            result.append(changed)
    return tuple(result)


def barriers(program: Program) -> int:
    """How many barriers the program has."""
    count = 0

    def note(one: Statement) -> Statement:
        nonlocal count
        count += isinstance(one, Barrier)
        return one

    mapped(program.body, note)
    return count


def without_barrier(program: Program, number: int) -> Program:
    """The program with one of its barriers dropped: a fault to be noticed."""
    seen = -1

    def drop(one: Statement) -> Statement | None:
        nonlocal seen
        seen += isinstance(one, Barrier)
        return None if isinstance(one, Barrier) and seen == number else one

    return replace(program, body=mapped(program.body, drop))
