"""Program to Program, one file each, and the order in which they run."""

from __future__ import annotations

from codegen.ir import Program
from codegen.passes.common import common
from codegen.passes.contractions import contractions
from codegen.passes.early import early
from codegen.passes.fuse import fuse
from codegen.passes.memory import memory
from codegen.passes.schedule import schedule


def optimise(program: Program) -> tuple[tuple[str, Program], ...]:
    """The program after every pass, by the pass's name, in the order they ran; the last one is
    ready to be compiled."""
    expanded = contractions(program)
    moved = early(expanded)
    fused = fuse(moved)
    shared = common(fused)
    scheduled = schedule(shared)
    planned = memory(scheduled)
    return (
        ("contractions", expanded),
        ("early", moved),
        ("fuse", fused),
        ("common", shared),
        ("schedule", scheduled),
        ("memory", planned),
    )
