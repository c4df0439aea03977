"""Run programs a statement of the driver at a time: each kernel is compiled for a GPU and run by an
interpreter of its PTX; contractions, which have their own tests, by the interpreter of the IR.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Many
from dataclasses import dataclass, field, replace

import numpy as np

from codegen.cuda.device import Launch
from codegen.cuda.image import Image
from codegen.cuda.sources import HEADER, DeviceSource, flag, function, nest, single
from codegen.cuda.toolchain import image
from codegen.interpret import interpret
from codegen.ir import (
    Any,
    Barrier,
    Contraction,
    Loop,
    Program,
    Sequence,
    SizeRule,
    Statement,
    Until,
    is_driver,
)
from codegen.sizes import extent_value, known_sizes, ragged_value
from codegen.walk import index_buffers, root_of
from tests.ptx.device import SimulatedDevice

Arrays = dict[str, np.ndarray]

_ENTRY = """\
from codegen.cuda.control import words


{function}


def kernel(numbers, cells):
    called(int64(cuda.blockIdx.x), int64(cuda.gridDim.x), words(numbers), words(cells))
"""


def simulated(
    made: Image, blocks: int, numbers: np.ndarray, arrays: Many[np.ndarray]
) -> None:
    """Runs an image's kernel on so many blocks; its parameters are the addresses of the numbers and
    of cells with the addresses of the arrays, which change in place. An array given twice is the
    same memory."""
    device = SimulatedDevice()
    places = {id(array): device.allocate(array.nbytes) for array in arrays}
    for array in arrays:
        device.upload(places[id(array)], array)
    cells = np.array([places[id(array)] for array in arrays] or [0], np.int64)
    words = numbers if len(numbers) else np.zeros(1, np.int64)
    parameters = []
    for array in (words, cells):
        parameters.append(device.allocate(array.nbytes))
        device.upload(parameters[-1], array)
    function = device.load(made)
    device.launch(Launch(function, blocks, tuple(parameters), made.shared, False))
    for array in arrays:
        device.download(array, places[id(array)])


def compiled(source: DeviceSource) -> Image:
    """The source under an entry that only calls it."""
    text = HEADER + _ENTRY.format(function=function(source.text, "called"))
    return image(text, shared=source.shared)


@dataclass
class Run:
    """A program at work. `memory` holds an array for every buffer that is no view."""

    program: Program
    sizes: Mapping[str, int]
    blocks: int
    memory: Arrays = field(default_factory=dict)
    clocks: dict[str, np.ndarray] = field(default_factory=dict)
    kernels: int = 0

    def body(self, statements: tuple[Statement, ...]) -> bool:
        """Runs the driver's statements; True if an Until ended them."""
        waiting: list[Statement] = []
        for statement in (*statements, Barrier()):
            shared = isinstance(statement, Loop) and (
                isinstance(statement.order, Any) or is_driver(statement)
            )
            if not shared and not isinstance(statement, Barrier | Until | Contraction):
                waiting.append(statement)
                continue
            if waiting:
                self.call(single(tuple(waiting), index_buffers(self.program)))
                waiting = []
            if isinstance(statement, Until):
                if self.leaves(statement):
                    return True
            elif isinstance(statement, Contraction):
                self.contract(statement)
            elif isinstance(statement, Loop) and is_driver(statement):
                self.drive(statement)
            elif isinstance(statement, Loop):
                self.call(nest(statement, index_buffers(self.program)))
        return False

    def call(self, source: DeviceSource, *more: np.ndarray) -> None:
        """Runs one kernel; `more` are words whose addresses follow those of the clocks."""
        numbers = []
        for operand in source.sizes:
            extents = operand if isinstance(operand, tuple) else (operand,)
            numbers.append(int(np.prod([extent_value(e, self.sizes) for e in extents])))
        pointers = [self.memory[name] for name in source.buffers]
        pointers += [self.clocks[axis] for axis in source.clocks]
        made = compiled(source)
        simulated(made, self.blocks, np.array(numbers, np.int64), [*pointers, *more])
        self.kernels += 1

    def leaves(self, statement: Until) -> bool:
        word = np.full(1, -1, np.int64)
        self.call(flag(statement, index_buffers(self.program)), word)
        assert word[0] in (0, 1)
        return bool(word[0])

    def drive(self, loop: Loop) -> None:
        before = self.sizes
        start = extent_value(loop.start, before)
        assert isinstance(loop.order, Sequence)
        for step in range(start, start + extent_value(loop.extent, before)):
            sizes = dict(before)
            for rule in loop.order.ragged:
                sizes[rule.name] = ragged_value(rule, step, before)
            for size in self.program.sizes:
                if size.terms:
                    sizes[size.name] = size.value(sizes)
            self.sizes = sizes
            self.clocks[loop.axis] = np.array([step], np.int64)
            if self.body(loop.body):
                break
        self.sizes = before

    def contract(self, statement: Contraction) -> None:
        """By the interpreter of the IR, on views of the same memory."""
        buffers = tuple(
            replace(one, scope="state", storage=None) for one in self.program.buffers
        )
        sizes = tuple(SizeRule(name) for name in self.sizes)
        program = Program("contraction", sizes, buffers, (statement,))
        interpret(program, self.sizes, {one.name: self.view(one.name) for one in buffers})

    def view(self, name: str) -> np.ndarray:
        buffers = index_buffers(self.program)
        shape = tuple(extent_value(extent, self.sizes) for extent in buffers[name].shape)
        flat = self.memory[root_of(name, buffers)].reshape(-1)
        return flat[: int(np.prod(shape))].reshape(shape)


def run(program: Program, sizes: Mapping[str, int], arrays: Arrays, blocks: int = 1) -> Run:
    """Runs the scheduled program; argument and state arrays are read and written in place, and
    scratch begins as garbage."""
    known = known_sizes(program, sizes)
    made = Run(program, known, blocks)
    for buffer in program.buffers:
        if buffer.storage is not None:
            continue
        if buffer.scope in ("argument", "state"):
            made.memory[buffer.name] = np.asarray(arrays[buffer.name]).reshape(-1)
            continue
        shape = tuple(extent_value(extent, known) for extent in buffer.shape)
        garbage = np.frombuffer(b"\xa5" * int(np.prod(shape)) * 8, np.uint8)
        kind = np.dtype(buffer.dtype)
        made.memory[buffer.name] = garbage.view(kind)[: int(np.prod(shape))].copy()
    made.body(program.body)
    return made
