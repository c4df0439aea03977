"""A Tree loop as Numba source: leaf runs in order, then merged pairwise, without memory of its own.

The merge is a binary counter. After run number r the finished subtrees lie on a stack, one for
each bit of r + 1, so neighbours meet in exactly the order that `codegen.ir.Tree` states, and 64
cells hold the subtrees of more runs than there are numbers.
"""

from __future__ import annotations

from collections.abc import Callable

from codegen.cpu.expressions import Writer, literal, value
from codegen.ir import Loop, Statement, Tree, Yield
from codegen.monoids import MONOIDS
from codegen.scalar import Local

Body = Callable[[Writer, tuple[Statement, ...]], None]


def fold(writer: Writer, loop: Loop, order: Tree, body: Body) -> None:
    """Writes the fold and binds its results. `body` writes the statements before the Yield."""
    results = tuple(writer.fresh("v") for _ in order.names)
    run, level = writer.fresh("r"), writer.fresh("h")
    stacks = tuple(writer.fresh("s") for _ in order.names)
    for stack, result, start, dtype in zip(
        stacks, results, MONOIDS[order.monoid].identity(order.dtypes), order.dtypes, strict=True
    ):
        writer.line(f"{stack} = {dtype}_stack()")
        writer.line(f"{result} = {literal(start)}")
    extent = writer.operands.number(loop.extent)
    runs = f"({extent} + {order.leaf - 1}) // {order.leaf}"
    writer.line(f"{level} = 0")
    writer.line(f"for {run} in range({runs}):")
    writer.depth += 1
    _run(writer, loop, order, results, run, extent, body)
    _push(writer, order, results, stacks, run, level)
    writer.depth -= 1
    _collect(writer, order, results, stacks, runs, level)
    for name, result in zip(order.names, results, strict=True):
        writer.locals[name] = result


def _run(
    writer: Writer, loop: Loop, order: Tree, results: tuple[str, ...], run: str, extent: str,
    body: Body,
) -> None:  # fmt: skip
    """One leaf: its iterations in order, from the identity."""
    for result, start in zip(results, MONOIDS[order.monoid].identity(order.dtypes), strict=True):
        writer.line(f"{result} = {literal(start)}")
    axis = writer.fresh("i")
    writer.axes[loop.axis] = axis
    first, last = f"{run} * {order.leaf}", f"min({run} * {order.leaf} + {order.leaf}, {extent})"
    if loop.start != 0:
        start_name = writer.operands.number(loop.start)
        first, last = f"{start_name} + {first}", f"{start_name} + {last}"
    writer.line(f"for {axis} in range({first}, {last}):")
    writer.depth += 1
    *before, last_statement = loop.body
    body(writer, tuple(before))
    assert isinstance(last_statement, Yield)
    given = []
    for scalar in last_statement.values:
        given.append(writer.fresh("v"))
        writer.line(f"{given[-1]} = {value(writer, scalar)}")
    _merge(writer, order, results, tuple(given), results)
    writer.depth -= 1


def _merge(
    writer: Writer, order: Tree, left: tuple[str, ...], right: tuple[str, ...],
    into: tuple[str, ...],
) -> None:  # fmt: skip
    """Writes into = left merged with right; the three may be the same names."""
    lefts = tuple(Local(f"left{at}", dtype) for at, dtype in enumerate(order.dtypes))
    rights = tuple(Local(f"right{at}", dtype) for at, dtype in enumerate(order.dtypes))
    # The merge has a scope of its own: its names may be those of the program's locals.
    outer = writer.locals
    names = (local.name for local in lefts + rights)
    writer.locals = dict(zip(names, left + right, strict=True))
    merge = MONOIDS[order.monoid].merge(lefts, rights)
    for let in merge.lets:
        writer.bind(let.name, value(writer, let.value))
    texts = [value(writer, scalar) for scalar in merge.values]
    writer.locals = outer
    if len(into) > 1:
        # All are computed before any is assigned: each may read all.
        held = [writer.fresh("v") for _ in texts]
        for name, text in zip(held, texts, strict=True):
            writer.line(f"{name} = {text}")
        texts = held
    for name, text in zip(into, texts, strict=True):
        writer.line(f"{name} = {text}")


def _stacked(writer: Writer, order: Tree, stacks: tuple[str, ...], level: str) -> tuple[str, ...]:
    """Names for the subtree on the stack at that level."""
    held = []
    for stack, dtype in zip(stacks, order.dtypes, strict=True):
        held.append(writer.fresh("v"))
        writer.line(f"{held[-1]} = {stack}[{level}]" + (" != 0" if dtype == "bool" else ""))
    return tuple(held)


def _push(
    writer: Writer, order: Tree, results: tuple[str, ...], stacks: tuple[str, ...], run: str,
    level: str,
) -> None:  # fmt: skip
    """Merges the run with the finished subtrees before it, and leaves the sum on the stack."""
    writer.line(f"{level} = 0")
    writer.line(f"while ({run} >> {level}) & 1:")
    writer.depth += 1
    _merge(writer, order, _stacked(writer, order, stacks, level), results, results)
    writer.line(f"{level} += 1")
    writer.depth -= 1
    for stack, result, dtype in zip(stacks, results, order.dtypes, strict=True):
        writer.line(f"{stack}[{level}] = " + (f"uint8({result})" if dtype == "bool" else result))


def _collect(
    writer: Writer, order: Tree, results: tuple[str, ...], stacks: tuple[str, ...], runs: str,
    level: str,
) -> None:  # fmt: skip
    """Merges the subtrees that are left, the last (which the results hold already) first."""
    writer.line(f"{level} += 1")
    writer.line(f"while ({runs}) >> {level}:")
    writer.depth += 1
    writer.line(f"if (({runs}) >> {level}) & 1:")
    writer.depth += 1
    _merge(writer, order, _stacked(writer, order, stacks, level), results, results)
    writer.depth -= 1
    writer.line(f"{level} += 1")
    writer.depth -= 1
