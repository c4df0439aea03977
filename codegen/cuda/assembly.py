"""From a scheduled program to images: one that is persistent, or one a launch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from codegen.cpu import launch as tables
from codegen.cpu.launch import Launch, Makers
from codegen.cuda.contraction import contraction
from codegen.cuda.execution import LAUNCHES, PERSISTENT, spread
from codegen.cuda.graphs import Recording, after_text, call_text, control_text, recording
from codegen.cuda.image import SHARED_LIMIT, Image
from codegen.cuda.persistent import persistent
from codegen.cuda.sources import DeviceSource, flag, nest, single
from codegen.cuda.toolchain import Architecture, image, images
from codegen.ir import Contraction, Loop, Program, is_driver
from codegen.layout import Plan


@dataclass(frozen=True)
class Assembled:
    """A program in one execution. `sources` has the distinct functions, in the order of the numbers
    by which the table calls them; `images` one image of all of them (persistent), else one a
    function, then the two that keep count. `products` are the numbers of the contractions."""

    kind: str
    launch: Launch
    plan: Plan
    table: npt.NDArray[np.int64]
    sources: tuple[DeviceSource, ...]
    products: frozenset[int]
    images: tuple[Image, ...]
    recorded: Recording | None

    def source(self, row: int) -> DeviceSource:
        """The function that the table's row calls, with the operands that it has there."""
        source = self.launch.kernels[self.launch.rows[row][1]]
        assert isinstance(source, DeviceSource)
        return source


def assemble_persistent(
    program: Program, precision: str, architecture: Architecture | None = None
) -> Assembled:
    """The scheduled program as one kernel."""
    launch, functions = _launched(program, precision, "rows")
    text = persistent(functions.distinct)
    whole = image(text, shared=SHARED_LIMIT, architecture=architecture)
    return _assembled(PERSISTENT, program, launch, functions, (whole,), None)


def assemble_launches(
    program: Program, precision: str, architecture: Architecture | None = None
) -> Assembled:
    """The scheduled program, which must be `recordable`, as launches."""
    program = spread(program)
    launch, functions = _launched(program, precision, "square")
    asked = [(call_text(source), source.shared) for source in functions.distinct]
    asked += [(text, 0) for text in (control_text(), after_text())]
    made = images(asked, architecture=architecture)
    return _assembled(LAUNCHES, program, launch, functions, made, recording(launch))


def recordable(program: Program) -> bool:
    """Whether the program has at most one sequence that all workers walk through."""
    sequences = 0
    waiting = list(program.body)
    while waiting:
        statement = waiting.pop()
        if isinstance(statement, Loop) and is_driver(statement):
            sequences += 1
            waiting += statement.body
    return sequences < 2


@dataclass(slots=True)
class _Functions:
    """The distinct functions of a program, in the order in which they are first called."""

    distinct: list[DeviceSource] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)
    products: set[int] = field(default_factory=set)
    order: list[int] = field(default_factory=list)

    def add(self, source: DeviceSource, *, product: bool) -> None:
        code = _code(source.text)
        if code not in self.numbers:
            self.numbers[code] = len(self.distinct)
            self.distinct.append(source)
        self.order.append(self.numbers[code])
        if product:
            self.products.add(self.numbers[code])


def _launched(program: Program, precision: str, shape: str) -> tuple[Launch, _Functions]:
    """The table, and its functions: the calls' second words are still places in `order`."""
    functions = _Functions()

    def kept(make: Callable[..., DeviceSource]) -> Callable[..., DeviceSource]:
        def made(*operands: object) -> DeviceSource:
            source = make(*operands)
            functions.add(source, product=make is product)
            return source

        return made

    def product(statement: Contraction, buffers: tables.Buffers) -> DeviceSource:
        # Tensor cores take float32 here: what the user made float64 stays so.
        own = precision if statement.dtype == "float32" else "float32"
        return contraction(statement, buffers, precision=own, shape=shape)

    makers = Makers(kept(nest), kept(single), kept(flag), kept(product))
    return tables.launch(program, makers), functions


def _assembled(
    kind: str,
    program: Program,
    launch: Launch,
    functions: _Functions,
    made: tuple[Image, ...],
    recorded: Recording | None,
) -> Assembled:
    table = np.array(launch.rows, np.int64).reshape(len(launch.rows), tables.ROW)
    calls = table[:, 0] == tables.CALL
    if functions.order:
        table[calls, 1] = np.array(functions.order, np.int64)[table[calls, 1]]
    table.setflags(write=False)
    products, distinct = frozenset(functions.products), tuple(functions.distinct)
    plan = Plan(program, launch, ())
    return Assembled(kind, launch, plan, table, distinct, products, made, recorded)


def _code(text: str) -> str:
    """The text without its comments: labels name a program's own buffers."""
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
