"""One kernel a launch: the table as a list of launches around one outermost sequence.

Every kernel takes the address of the state, a few words in device memory: whether the sequence has
been left, how far the sizes of the variant at hand stand behind the first, and the driver's own
addresses. A launch after the sequence was left does nothing, so steps may be recorded and replayed
more often than there are iterations.
"""

from __future__ import annotations

from dataclasses import dataclass

from codegen.cpu.launch import BARRIER, BEGIN, CALL, Launch
from codegen.cuda.sources import HEADER, DeviceSource, function

STATE_WORDS = 16
"""Of the state: whether the sequence was left, where the sizes of the variant at hand begin, the
addresses of the driver's numbers and of its cells; the others are spare."""

_CALL = """\
from codegen.cuda.control import *


{function}


def kernel(state, n_place, p_place):
    held = words(state)
    if held[0] == 0:
        sizes = onward(pointer_in(pointer_in(held, 3), 1), held[1] + n_place)
        pointers = onward(pointer_in(pointer_in(held, 3), 2), p_place)
        called(int64(cuda.blockIdx.x), int64(cuda.gridDim.x), sizes, pointers)
"""

_CONTROL = """\
from codegen.cuda.control import *


def kernel(state, row):
    held = words(state)
    n, p = pointer_in(held, 2), pointer_in(held, 3)
    table, sizes, clocks, control = (
        pointer_in(p, 0), pointer_in(p, 1), pointer_in(p, 3), pointer_in(p, 4)
    )
    entry = onward(table, row * 8)
    code = entry[0]
    top = onward(table, entry[1] * 8)
    clock, rules = top[2], top[6]
    end = n[4] + clock
    if cuda.threadIdx.x == 0 and cuda.blockIdx.x == 0:
        if code == 2:
            clocks[clock] = sizes[top[3]]
            clocks[end] = clocks[clock] + sizes[top[4]]
            control[48], control[64], held[0] = 0, -1, 0
        elif code == 3 and held[0] == 0:
            clocks[clock] += 1
            control[48] += 1
            if control[32] != 0:
                held[0] = 1
        elif code == 4 and held[0] == 0 and clocks[entry[2]] != 0:
            control[64], held[0] = entry[3], 1
        if code != 4 and held[0] == 0:
            held[1] = 0
            if clocks[clock] < clocks[end]:
                held[1] = n[1] * last_values(sizes, pointer_in(p, 5), rules, clocks[clock])
            else:
                held[0] = 1
"""

_AFTER = """\
from codegen.cuda.control import *


def kernel(state):
    held = words(state)
    if cuda.threadIdx.x == 0 and cuda.blockIdx.x == 0:
        held[0], held[1] = 0, 0
"""


@dataclass(frozen=True, slots=True)
class Node:
    """A launch of the table's row: of a call's function, else of the kernel that keeps count."""

    row: int
    calls: bool


@dataclass(frozen=True, slots=True)
class Recording:
    """What runs once, then in every iteration, then once more; without a sequence all is `before`.
    `begin` is the row of the sequence, whose first launch ends `before`."""

    before: tuple[Node, ...]
    step: tuple[Node, ...] = ()
    after: tuple[Node, ...] = ()
    begin: int | None = None


def recording(launch: Launch) -> Recording | None:
    """The table as launches; None if sequences stand inside one another or follow each other, since
    a graph is one iteration of one of them."""
    begins = [at for at, row in enumerate(launch.rows) if row[0] == BEGIN]
    if len(begins) > 1:
        return None
    nodes = [Node(at, row[0] == CALL) for at, row in enumerate(launch.rows) if row[0] != BARRIER]
    if not begins:
        return Recording(tuple(nodes))
    (begin,) = begins
    end = launch.rows[begin][5]
    return Recording(
        tuple(node for node in nodes if node.row <= begin),
        tuple(node for node in nodes if begin < node.row <= end),
        tuple(node for node in nodes if node.row > end),
        begin,
    )


def call_text(source: DeviceSource) -> str:
    """The text of a kernel that is one function of the table."""
    return HEADER + _CALL.format(function=function(source.text, "called"))


def control_text() -> str:
    """The text of the kernel that begins, counts and leaves the sequence, as a row says."""
    return HEADER + _CONTROL


def after_text() -> str:
    """The text of the kernel after which launches do something again."""
    return HEADER + _AFTER
