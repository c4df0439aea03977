"""Program to Program, one file each, and the order in which they run."""

from __future__ import annotations

from codegen.ir import Program
from codegen.passes.access import roots_of
from codegen.passes.alike import once
from codegen.passes.common import common
from codegen.passes.contractions import contractions
from codegen.passes.early import early
from codegen.passes.fuse import fuse
from codegen.passes.memory import memory
from codegen.passes.schedule import schedule


def optimise(program: Program) -> tuple[tuple[str, Program], ...]:
    """The program after every pass, by the pass's name, in the order they ran; the last one is
    ready to be compiled."""
    expanded, moved, fused, shared = once(program, _blind)
    roots = roots_of(shared)
    scheduled = schedule(shared, roots)
    planned = memory(scheduled, roots)
    return (
        ("contractions", expanded),
        ("early", moved),
        ("fuse", fused),
        ("common", shared),
        ("schedule", scheduled),
        ("memory", planned),
    )


def _blind(program: Program) -> tuple[Program, ...]:
    """The program after each pass to which lengths of axes are only equal or not."""
    # No pass makes a buffer: what is known of a statement stays true for the next one.
    roots = roots_of(program)
    expanded = contractions(program)
    moved = early(expanded, roots)
    fused = fuse(moved, roots)
    return expanded, moved, fused, common(fused, roots)
