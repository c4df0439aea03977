"""The text of the driver, which walks a launch table; compiled as it stands, never imported.

`p`: the table, the sizes, the pointers, the clocks, the control words, the ragged rules.
`n`: rows of the table; words of one variant of the sizes, of one worker's pointers, of one worker's
clocks; clocks of one worker. `codegen.cpu.launch` says what a row means.

The variant is a number with one bit for each ragged rule, set where its last, smaller value holds.
"""

# Numba types its decorators only in part.
# mypy: disable-error-code="call-arg, unreachable, var-annotated"

from __future__ import annotations

from typing import Any

from codegen.cpu.calls import atomic_load, call_kernel, meet
from codegen.cpu.operations import int64_at, offset


def kernel(worker: Any, workers: Any, n: Any, p: Any) -> None:
    """Runs worker `worker`'s share of the whole table."""
    table, sizes = int64_at(p, 0), int64_at(p, 1)
    pointers = offset(int64_at(p, 2), worker * n[2])
    clocks = offset(int64_at(p, 3), worker * n[3])
    control, ragged = int64_at(p, 4), int64_at(p, 5)
    row, variant, meetings = 0, 0, 0
    while row < n[0]:
        entry, known = offset(table, row * 8), offset(sizes, variant * n[1])
        code = entry[0]
        row += 1
        if code == 0:  # call
            call_kernel(
                entry[1], worker, workers, offset(known, entry[2]), offset(pointers, entry[3])
            )
            continue
        if code == 1:  # barrier
            if workers > 1:
                if not meet(control, 16, 0, workers, meetings):
                    return
                meetings += 1
            continue
        # What is left begins, continues or leaves a sequence; `top` is its row.
        top, leave = offset(table, entry[1] * 8), False
        if code == 2:  # begin
            clocks[top[2]] = known[top[3]] - 1
            clocks[n[4] + top[2]] = known[top[3]] + known[top[4]]
            if top[7] == 0 and worker == 0:
                control[48], control[64] = 0, -1
        elif code == 3:  # end
            if top[7] == 0:
                if worker == 0:
                    control[48] += 1
                    control[80 + 16 * (meetings & 1)] = atomic_load(control, 32)
                # All leave after the same iteration, or none does.
                decided = 80 + 16 * (meetings & 1)
                if workers > 1:
                    if not meet(control, 16, 0, workers, meetings):
                        return
                    meetings += 1
                if control[decided] != 0:
                    return
        else:  # until
            if clocks[entry[2]] == 0:
                continue
            leave = True
            if top[7] == 0 and worker == 0:
                control[64] = entry[3]
        first, last = top[6] // 256, top[6] // 256 + top[6] % 256
        for rule in range(first, last):
            variant &= ~(1 << rule)
        value = clocks[top[2]] + 1
        if leave or value >= clocks[n[4] + top[2]]:
            row = top[5] + 1
            continue
        clocks[top[2]] = value
        row = entry[1] + 1
        known = offset(sizes, variant * n[1])
        for rule in range(first, last):
            batch, total = known[ragged[2 * rule]], known[ragged[2 * rule + 1]]
            if batch <= 0 or total <= 0:
                variant |= 1 << rule
                continue
            count = (total + batch - 1) // batch
            if value % count == count - 1 and total % batch != 0:
                variant |= 1 << rule
