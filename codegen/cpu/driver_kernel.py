"""The text of the driver, which walks a launch table; compiled as it stands, never imported.

`p`: the table, the sizes, the pointers, the clocks, the control words, the ragged rules.
`n`: rows of the table; words of one variant of the sizes, of one worker's pointers, of one worker's
clocks; clocks of one worker. `codegen.cpu.launch` says what a row means.

The variant is a number with one bit for each ragged rule, set where its last, smaller value holds.
"""

# Numba types its decorators only in part.
# mypy: disable-error-code="no-untyped-call, call-overload, call-arg, unreachable, var-annotated"

from __future__ import annotations

from typing import Any

from numba import njit

from codegen.cpu.calls import atomic_load, call_kernel, meet
from codegen.cpu.operations import int64_at, offset
from codegen.cpu.ragged import last_values as last_values_of

last_values = njit(error_model="numpy", nogil=True, inline="always")(last_values_of)

VECTORS = False
"""No loop here is long enough for any."""


@njit(error_model="numpy", nogil=True, inline="always")
def begin_or_count(control: Any, first: Any, worker: Any, workers: Any, meetings: Any) -> Any:
    """Notes that an outermost sequence begins, or that an iteration of it is complete. True if all
    leave after this iteration: the first worker decides, so that none goes on alone."""
    decided = 80 + 16 * (meetings & 1)
    if worker == 0:
        control[48] = 0 if first else control[48] + 1
        if first:
            control[64] = -1
        control[decided] = 0 if first else atomic_load(control, 32)
    if first:
        return False
    if workers > 1 and not meet(control, 16, 0, workers, meetings):
        return True
    return control[decided] != 0


def kernel(worker: Any, workers: Any, n: Any, p: Any) -> None:
    """Runs worker `worker`'s share of the whole table."""
    table, sizes, control = int64_at(p, 0), int64_at(p, 1), int64_at(p, 4)
    pointers, clocks = offset(int64_at(p, 2), worker * n[2]), offset(int64_at(p, 3), worker * n[3])
    row, known, variant, meetings = 0, 0, 0, 0
    while row < n[0]:
        entry, code = row * 8, table[row * 8]
        row += 1
        if code == 0:  # call
            n_there, p_there = offset(sizes, known + table[entry + 2]), table[entry + 3]
            call_kernel(table[entry + 1], worker, workers, n_there, offset(pointers, p_there))
            continue
        if code == 1:  # barrier
            if workers > 1 and not meet(control, 16, 0, workers, meetings):
                return
            meetings += 1
            continue
        if code == 4 and clocks[table[entry + 2]] == 0:  # until, and not yet
            continue
        # What is left begins, continues or leaves the sequence whose first row is `top`.
        top = table[entry + 1] * 8
        clock, end = table[top + 2], n[4] + table[top + 2]
        if code == 2:
            clocks[clock] = sizes[known + table[top + 3]] - 1
            clocks[end] = clocks[clock] + 1 + sizes[known + table[top + 4]]
        if table[top + 7] == 0 and code == 4 and worker == 0:
            control[64] = table[entry + 3]
        if table[top + 7] == 0 and code != 4:
            if begin_or_count(control, code == 2, worker, workers, meetings):
                return
            meetings += code == 3
        variant &= ~(((1 << table[top + 6] % 256) - 1) << (table[top + 6] // 256))
        known = variant * n[1]
        clocks[clock] += 1
        row = table[top + 5] + 1
        if code != 4 and clocks[clock] < clocks[end]:
            row = table[entry + 1] + 1
            mine = offset(sizes, known)
            variant |= last_values(mine, int64_at(p, 5), table[top + 6], clocks[clock])
            known = variant * n[1]
