"""The kernel that runs a whole launch table: every block walks it, as every worker does on a CPU.

Its two parameters are the addresses of the same words as those of `codegen.cpu.driver_kernel`:
`cells` holds the addresses of the table, the sizes, the pointers, the clocks, the control words and
the ragged rules; `numbers` the rows of the table, the words of one variant of the sizes, of one
block's pointers, of one block's clocks, and the clocks of one block. A call's second word is the
number of its function.
"""

from __future__ import annotations

from collections.abc import Sequence

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
    row, variant, meetings = int64(0), int64(0), int64(0)
    while row < rows:
        entry = onward(table, row * 8)
        code, known = entry[0], variant * variant_words
        row += 1
        if code == 0:
            which = entry[1]
            own_n, own_p = onward(sizes, known + entry[2]), onward(pointers, entry[3])
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
            value = sizes[known + top[3]]
            last = value + sizes[known + top[4]]
        else:
            value, last = clocks[clock] + 1, clocks[end]
        leaves = code == 4
        if depth == 0 and code != 4:
            # The first block decides for all, so that none goes on alone.
            decided = 80 + 16 * (meetings & 1)
            if worker == 0 and thread == 0:
                control[48] = 0 if code == 2 else control[48] + 1
                if code == 2:
                    control[64] = -1
                control[decided] = 0 if code == 2 else seen(onward(control, 32))
            if workers > 1 and code == 3:
                meetings += 1
                grid_barrier(onward(control, 16), meetings * workers)
            else:
                block_barrier()
            if code == 3 and control[decided] != 0:
                return
        if depth == 0 and code == 4 and worker == 0 and thread == 0:
            control[64] = entry[3]
        # All have read the clock before it changes.
        block_barrier()
        if thread == 0:
            clocks[clock] = value
            clocks[end] = last
        block_barrier()
        variant &= ~(((int64(1) << rules % 256) - 1) << (rules // 256))
        row = top[5] + 1
        if not leaves and value < last:
            row = top[1] + 1
            variant |= last_values(onward(sizes, variant * variant_words), ragged, rules, value)
"""


def persistent(sources: Sequence[DeviceSource]) -> str:
    """The text of the kernel for these distinct functions, in the order of their numbers."""
    functions = [_separate(source, at) for at, source in enumerate(sources)]
    lines = []
    for at in range(len(sources)):
        word = "if" if at == 0 else "elif"
        lines += [
            f"            {word} which == {at}:",
            f"                separate_{at}(worker, workers, own_n, own_p)",
        ]
    calls = "\n".join(lines) if lines else "            pass"
    return HEADER + _DRIVER.format(functions="\n\n".join(functions), calls=calls)


def _separate(source: DeviceSource, number: int) -> str:
    """The function as one that is called, not made a part of the kernel: the compiler goes by its
    name."""
    text = function(source.text, f"separate_{number}")
    return text.replace("@device_function", "@separate_function", 1)
