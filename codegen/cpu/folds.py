"""A Tree loop as Numba source, without memory of its own beyond a few cells on the stack.

The strands of a run lie side by side, so that LLVM folds them as a vector. The merge of runs is a
binary counter: after run number r the finished subtrees lie on a stack, one for each bit of r + 1,
so neighbours meet in exactly the order that `codegen.ir.Tree` states, and 64 cells hold the
subtrees of more runs than there are numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from codegen.cpu.expressions import Writer, literal, value
from codegen.ir import STRANDS, Loop, Statement, Tree, Yield
from codegen.monoids import MONOIDS
from codegen.scalar import Constant, Dtype, Local

Body = Callable[[Writer, tuple[Statement, ...]], None]


@dataclass(frozen=True, slots=True)
class Cells:
    """An array on the stack that holds one carrier's values."""

    name: str
    dtype: Dtype

    def read(self, place: str) -> str:
        """The value at that place, as an expression."""
        return f"({self.name}[{place}] != 0)" if self.dtype == "bool" else f"{self.name}[{place}]"

    def write(self, writer: Writer, place: str, text: str) -> None:
        """The line that puts the value of an expression there."""
        text = f"uint8({text})" if self.dtype == "bool" else text
        writer.line(f"{self.name}[{place}] = {text}")


def cells(writer: Writer, dtypes: Sequence[Dtype], kind: str) -> tuple[Cells, ...]:
    """New arrays, one a dtype: `stack`, `strands` or `tower` of `codegen.cpu.operations`."""
    made = tuple(Cells(writer.fresh("s"), dtype) for dtype in dtypes)
    for one in made:
        writer.line(f"{one.name} = {one.dtype}_{kind}()")
    return made


def identity(order: Tree) -> tuple[Constant, ...]:
    """What each carrier begins with."""
    return MONOIDS[order.monoid].identity(order.dtypes)


def clear(writer: Writer, order: Tree, into: Sequence[Cells], place: str) -> None:
    """The lines that put the identity there."""
    for one, constant in zip(into, identity(order), strict=True):
        one.write(writer, place, literal(constant))


def merged(
    writer: Writer, order: Tree, left: Sequence[str], right: Sequence[str]
) -> tuple[str, ...]:
    """Left merged with right, carrier by carrier: expressions to be used once."""
    lefts = tuple(Local(f"left{at}", dtype) for at, dtype in enumerate(order.dtypes))
    rights = tuple(Local(f"right{at}", dtype) for at, dtype in enumerate(order.dtypes))
    # The merge has a scope of its own: its names may be those of the program's locals.
    outer = writer.locals
    names = (local.name for local in lefts + rights)
    writer.locals = dict(zip(names, (*left, *right), strict=True))
    merge = MONOIDS[order.monoid].merge(lefts, rights)
    for let in merge.lets:
        writer.bind(let.name, value(writer, let.value))
    texts = [value(writer, scalar) for scalar in merge.values]
    writer.locals = outer
    if len(texts) == 1:
        return tuple(texts)
    # All are computed before any is assigned: each may read all.
    held = tuple(writer.fresh("v") for _ in texts)
    for name, text in zip(held, texts, strict=True):
        writer.line(f"{name} = {text}")
    return held


def merge_cells(
    writer: Writer, order: Tree, into: Sequence[Cells], place: str, right: Sequence[str]
) -> None:
    """The lines that merge values into cells, which stand to the left."""
    left = [one.read(place) for one in into]
    for one, text in zip(into, merged(writer, order, left, right), strict=True):
        one.write(writer, place, text)


def given(writer: Writer, loop: Loop) -> tuple[str, ...]:
    """The lines that compute what an iteration yields, and their names."""
    last = loop.body[-1]
    assert isinstance(last, Yield)
    names = tuple(writer.fresh("v") for _ in last.values)
    for name, scalar in zip(names, last.values, strict=True):
        writer.line(f"{name} = {value(writer, scalar)}")
    return names


def fold(writer: Writer, loop: Loop, order: Tree, body: Body) -> None:
    """Writes the fold and binds its results. `body` writes the statements before the Yield."""
    strands, stack = (cells(writer, order.dtypes, "stack") for _ in range(2))
    results = tuple(writer.fresh("v") for _ in order.names)
    for result, constant in zip(results, identity(order), strict=True):
        writer.line(f"{result} = {literal(constant)}")
    with each_run(writer, loop, order) as (run, runs, first, count):
        _run(writer, loop, order, strands, first, count, body)
        for result, one in zip(results, strands, strict=True):
            writer.line(f"{result} = {one.read('0')}")
        level = begin_push(writer, run, runs)
        with writer.indented():
            left = [one.read(level) for one in stack]
            held = merged(writer, order, left, results)
            for result, text in zip(results, held, strict=True):
                writer.line(f"{result} = {text}")
        end_push(writer, level)
        for one, result in zip(stack, results, strict=True):
            one.write(writer, level, result)
    for name, result in zip(order.names, results, strict=True):
        writer.locals[name] = result


@contextmanager
def each_run(
    writer: Writer, loop: Loop, order: Tree
) -> Iterator[tuple[str, str, str, str]]:
    """The loop over the runs of a fold, in which what is written stands: names or expressions of
    the run's number, of how many there are, of its first iteration and of its length."""
    extent = writer.operands.number(loop.extent)
    run, first, count = (writer.fresh(letter) for letter in "rfe")
    runs = f"({extent} + {order.leaf - 1}) // {order.leaf}"
    writer.line(f"for {run} in range({runs}):")
    with writer.indented():
        writer.line(f"{first} = {run} * {order.leaf}")
        writer.line(f"{count} = min({order.leaf}, {extent} - {first})")
        if loop.start != 0:
            writer.line(f"{first} += {writer.operands.number(loop.start)}")
        yield run, runs, first, count


def begin_push(writer: Writer, run: str, runs: str) -> str:
    """The head of the loop that merges a run with the subtrees before it: those of its size, and
    after the last run all that are left. What it does at a level is to be written, indented by two;
    gives the level's name."""
    level, mask = writer.fresh("h"), writer.fresh("m")
    writer.line(f"{mask} = {run} if {run} + 1 == {runs} else {run} & ~({run} + 1)")
    writer.line(f"{level} = 0")
    writer.line(f"while {mask} >> {level}:")
    writer.depth += 1
    writer.line(f"if ({mask} >> {level}) & 1:")
    return level


def end_push(writer: Writer, level: str) -> None:
    """The end of that loop. The subtree then belongs on the stack, at that level."""
    writer.line(f"{level} += 1")
    writer.depth -= 1


def _run(
    writer: Writer, loop: Loop, order: Tree, strands: Sequence[Cells], first: str, count: str,
    body: Body,
) -> None:  # fmt: skip
    """One run, whose result is left in the first cells."""
    place, axis = writer.fresh("k"), writer.fresh("i")
    writer.axes[loop.axis] = axis

    def iteration(reach: str, index: str, strand: str) -> None:
        writer.line(f"for {place} in range({reach}):")
        with writer.indented():
            writer.line(f"{axis} = {index}")
            body(writer, loop.body[:-1])
            merge_cells(writer, order, strands, strand, given(writer, loop))

    if MONOIDS[order.monoid].ordered:
        clear(writer, order, strands, "0")
        iteration(count, f"{first} + {place}", "0")
        return
    writer.line(f"for {place} in range({STRANDS}):")
    with writer.indented():
        clear(writer, order, strands, place)
    if any(isinstance(inner, Loop) for inner in loop.body):
        iteration(count, f"{first} + {place}", f"{place} & {STRANDS - 1}")
    else:
        # A fixed count becomes a vector without a rest, one known to be smaller a masked vector.
        whole = writer.fresh("b")
        writer.line(f"for {whole} in range({count} // {STRANDS}):")
        with writer.indented():
            iteration(f"{STRANDS}", f"{first} + {whole} * {STRANDS} + {place}", place)
        rest = f"({count} & {STRANDS - 1})"
        iteration(rest, f"{first} + {count} - {rest} + {place}", place)
    half = writer.fresh("w")
    writer.line(f"{half} = {STRANDS // 2}")
    writer.line(f"while {half}:")
    with writer.indented():
        writer.line(f"for {place} in range({half}):")
        with writer.indented():
            right = [one.read(f"{place} + {half}") for one in strands]
            merge_cells(writer, order, strands, place, right)
        writer.line(f"{half} >>= 1")
