"""Folds down the columns of a matrix, 16 neighbouring columns at a time.

A half-warp that folded one column would read a number of every row, and a row's neighbours would be
other half-warps' concern. So half-warp s takes strand s of all 16 columns, one a lane: what it
reads stands side by side. The strands of column c then go through shared memory to the lanes of
half-warp c, which merges them and runs what follows the folds.
"""

from __future__ import annotations

from collections.abc import Sequence

from codegen.cpu.folds import given
from codegen.cuda.chains import Chain
from codegen.cuda.folds import (
    Body,
    Counter,
    Fold,
    cells_of,
    get_held,
    merge_lanes,
    put_held,
    runs_of,
)
from codegen.cuda.teams import ALONE, HALF, Scope, comment, fits_a_thread
from codegen.ir import STRANDS, Let, Loop, Statement, Store, Tree
from codegen.monoids import MONOIDS
from codegen.scalar import Affine, Axis, Index, Load, Local
from codegen.walk import nodes, scalars_of

# One more than lanes, so that a column of the cells lies in as many banks.
_ROW = STRANDS + 1


def suits(made: Chain) -> bool:
    """True for a loop over columns whose body is folds down them and then Lets and Stores."""
    trees, rest = _parts(made.body)
    (axis, *others) = (loop.axis for loop in made.loops)
    outside = {let.name for let, _ in made.before}
    return (
        not others
        and bool(trees)
        and all(isinstance(one, Let | Store) for one in rest)
        and all(_down(tree, axis, outside) for tree in trees)
    )


def _parts(body: Sequence[Statement]) -> tuple[list[Loop], list[Statement]]:
    """The folds that the body begins with, and the rest."""
    trees = []
    for one in body:
        if not isinstance(one, Loop) or not isinstance(one.order, Tree):
            break
        trees.append(one)
    return trees, list(body[len(trees) :])


def _down(tree: Loop, axis: str, outside: set[str]) -> bool:
    """True if neighbouring columns are neighbours in memory wherever the fold reads, and it uses
    nothing that the loop computes a column at a time."""
    assert isinstance(tree.order, Tree)
    if MONOIDS[tree.order.monoid].ordered or not fits_a_thread(tree.body[:-1]):
        return False
    plain = [one for one in tree.body if not isinstance(one, Loop)]
    if len(plain) < len(tree.body):
        return False
    found = [node for one in plain for scalar in scalars_of(one) for node in nodes(scalar)]
    bound = outside | {one.name for one in plain if isinstance(one, Let)}
    if any(isinstance(node, Local) and node.name not in bound for node in found):
        return False
    last = [node.ref.index[-1] for node in found if isinstance(node, Load) and node.ref.index]
    return any(_steps(index, axis) for index in last) and not any(
        _steps(index, tree.axis) for index in last
    )


def _steps(index: Index, axis: str) -> bool:
    return isinstance(index, Affine) and any(
        symbol == Axis(axis) and by for symbol, by in index.terms
    )


def columns(scope: Scope, made: Chain, reach: tuple[str, str], body: Body) -> None:
    """Writes the loop for a block, from one column up to another; `body` writes statements."""
    writer, (loop,) = scope.writer, made.loops
    trees, rest = _parts(made.body)
    base, mine, read = (writer.fresh(letter) for letter in "kij")
    start = "" if loop.start == 0 else f" + {writer.operands.number(loop.start)}"
    writer.line(f"{base} = {reach[0]}")
    writer.line(f"while {base} < {reach[1]}:")
    with writer.indented():
        writer.line(f"{mine}, {read} = {base} + half{start}, {base} + lane{start}")
        for tree in trees:
            comment(writer, tree)
            writer.axes[loop.axis] = read
            _fold(scope, tree, f"{base} + lane < {reach[1]}", body)
        writer.axes[loop.axis] = mine
        writer.line(f"if {base} + half < {reach[1]}:")
        with writer.indented():
            body(scope.inner(HALF), tuple(rest))
            if not rest:
                writer.line("pass")
        writer.line(f"{base} = on({base}, {STRANDS})")


def _fold(scope: Scope, tree: Loop, present: str, body: Body) -> None:
    """One fold of 16 columns: all threads of half-warp c have the result of column c."""
    writer, order = scope.writer, tree.order
    assert isinstance(order, Tree)
    made = Fold(scope, tree, order, tuple(writer.fresh("v") for _ in order.names), body)
    extent, runs = runs_of(made)
    cells = cells_of(made, STRANDS * _ROW)
    counter = Counter.begun(made)
    run = writer.fresh("r")
    writer.line(f"for {run} in range({runs}):")
    with writer.indented():
        _strands(made, f"{run} * {order.leaf}", extent, present)
        put_held(made, cells, f"half * {_ROW} + lane")
        writer.line("block_barrier()")
        get_held(made, cells, f"lane * {_ROW} + half")
        # The cells may be written again.
        writer.line("block_barrier()")
        merge_lanes(made)
        counter.push(made, run, runs)
    writer.locals.update(zip(order.names, made.held, strict=True))


def _strands(made: Fold, first: str, extent: str, present: str) -> None:
    """Each thread's strand of its column, of one run."""
    writer, tree, leaf = made.writer, made.loop, made.order.leaf
    begin, count, place, axis = (writer.fresh(letter) for letter in "feki")
    writer.line(f"{begin} = {first}")
    writer.line(f"{count} = min({leaf}, {extent} - {begin})")
    start = "" if tree.start == 0 else f" + {writer.operands.number(tree.start)}"
    made.clear(made.held)
    writer.line(f"if {present}:")
    with writer.indented():
        writer.line(f"{place} = half")
        writer.line(f"while {place} < {count}:")
        with writer.indented():
            writer.line(f"{axis} = on({begin}, {place}){start}")
            writer.axes[tree.axis] = axis
            made.body(made.scope.inner(ALONE), tree.body[:-1])
            made.take(made.held, given(writer, tree))
            writer.line(f"{place} += {STRANDS}")
