"""The kernel that runs a whole launch table: every block walks it, as every worker does on a CPU.

Its two parameters are the addresses of the same words as those of `codegen.cpu.driver_kernel`:
`cells` holds the addresses of the table, the sizes, the pointers, the clocks, the control words and
the ragged rules; `numbers` the rows of the table, the words of one variant of the sizes, of one
block's pointers, of one block's clocks, and the clocks of one block. A call's second word is the
number of its function.
"""

from __future__ import annotations

from collections.abc import Sequence

from codegen.cuda.image import SHARED_LIMIT
from codegen.cuda.sources import HEADER, DeviceSource, function

_DRIVER = """\
from codegen.cuda.control import *


{functions}


def kernel(numbers, cells):
    n, p = words(numbers), words(cells)
    thread, worker, workers = cuda.threadIdx.x, int64(cuda.blockIdx.x), int64(cuda.gridDim.x)
    rows, variant_words, clock_count = n[0], n[1], n[4]
    table, sizes, control, ragged = (
        pointer_in(p, 0), pointer_in(p, 1), pointer_in(p, 4), pointer_in(p, 5)
    )
    pointers = onward(pointer_in(p, 2), worker * n[2])
    clocks = onward(pointer_in(p, 3), worker * n[3])
    row, variant, meetings, begun = int64(0), int64(0), int64(0), int64(0)
    # What every call reads is copied to where it is near, if there is room: the sizes of the
    # variant at hand, the pointers, the table.
    near, known = offset(shared_int64(), {first}), sizes
    copied = variant_words + n[2]
    copies = copied <= {room}
    if copies:
        bring(near, sizes, variant_words)
        bring(onward(near, variant_words), pointers, n[2])
        known, pointers = near, onward(near, variant_words)
        if copied + rows * 8 <= {room}:
            bring(onward(near, copied), table, rows * 8)
            table = onward(near, copied)
        block_barrier()
    # Nobody writes it while the kernel runs: all blocks read the same.
    stops = control[32] != 0
    while row < rows:
        entry = onward(table, row * 8)
        code = entry[0]
        row += 1
        if code == 0:
            which = entry[1]
            own_n, own_p = onward(known, entry[2]), onward(pointers, entry[3])
{calls}
            block_barrier()
            continue
        if code == 1:
            if workers > 1:
                meetings += 1
                grid_barrier(onward(control, 16), meetings * workers)
            continue
        if code == 4 and clocks[entry[2]] == 0:
            continue
        # What is left begins, continues or leaves the sequence whose first row is `top`.
        top = onward(table, entry[1] * 8)
        clock, depth, rules = top[2], top[7], top[6]
        end = clock_count + clock
        if code == 2:
            value = known[top[3]]
            last = value + known[top[4]]
        else:
            value, last = clocks[clock] + 1, clocks[end]
        leaves = code == 4
        if depth == 0 and worker == 0 and thread == 0:
            if code == 2:
                control[48], control[64] = 0, -1
            elif code == 3:
                control[48] = value - begun
            else:
                control[64] = entry[3]
        # All have read the clock before it changes.
        if depth == 0 and code == 3 and workers > 1:
            meetings += 1
            grid_barrier(onward(control, 16), meetings * workers)
        else:
            block_barrier()
        if depth == 0 and code == 3 and stops:
            return
        if depth == 0 and code == 2:
            begun = value
        if thread == 0:
            clocks[clock] = value
            clocks[end] = last
        block_barrier()
        following = variant & ~(((int64(1) << rules % 256) - 1) << (rules // 256))
        row = top[5] + 1
        if not leaves and value < last:
            row = top[1] + 1
            at = known if following == variant else onward(sizes, following * variant_words)
            following |= last_values(at, ragged, rules, value)
        if following != variant:
            variant = following
            known = onward(sizes, variant * variant_words)
            if copies:
                # All have read those of the variant before.
                block_barrier()
                bring(near, known, variant_words)
                known = near
                block_barrier()
"""


def persistent(sources: Sequence[DeviceSource]) -> str:
    """The text of the kernel for these distinct functions, in the order of their numbers. It takes
    `SHARED_LIMIT` bytes of shared memory: behind what the functions use stands what it copies."""
    functions = [_separate(source, at) for at, source in enumerate(sources)]
    lines = []
    for at in range(len(sources)):
        word = "if" if at == 0 else "elif"
        lines += [
            f"            {word} which == {at}:",
            f"                separate_{at}(worker, workers, own_n, own_p)",
        ]
    calls = "\n".join(lines) if lines else "            pass"
    first = -(-_taken(sources) // 8)
    return HEADER + _DRIVER.format(
        functions="\n\n".join(functions), calls=calls, first=first, room=SHARED_LIMIT // 8 - first
    )


def _taken(sources: Sequence[DeviceSource]) -> int:
    """The bytes of shared memory that the functions use."""
    return max((source.shared for source in sources), default=0)


def _separate(source: DeviceSource, number: int) -> str:
    """The function as one that is called, not made a part of the kernel: the compiler goes by its
    name."""
    text = function(source.text, f"separate_{number}")
    return text.replace("@device_function", "@separate_function", 1)
