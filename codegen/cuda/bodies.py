"""Statements inside a kernel, written for a team of threads."""

from __future__ import annotations

from codegen.cpu.errors import CompileError
from codegen.cuda.chains import Chain, chain
from codegen.cuda.columns import columns
from codegen.cuda.columns import suits as down_columns
from codegen.cuda.folds import fold
from codegen.cuda.quads import quads, suits
from codegen.cuda.teams import (
    ALONE,
    BLOCK,
    HALF,
    HALVES,
    Pending,
    Scope,
    barrier,
    comment,
    fits_a_thread,
    later,
    plain,
    shared_out,
    walked,
)
from codegen.ir import Any, Barrier, Let, Loop, Sequence, Statement, Store, Tree, Until


def body(scope: Scope, statements: tuple[Statement, ...]) -> None:
    """Writes the statements in order."""
    for statement in statements:
        match statement:
            case Let() | Store() | Until():
                plain(scope, statement)
            case Barrier():
                barrier(scope, statement)
            case Loop(order=Tree() as order):
                scope.meet(later(scope, statement))
                fold(scope, statement, order, body)
            case Loop(order=Sequence()):
                _in_order(scope, statement)
            case Loop(order=Any()):
                reach = "0", f"small({scope.writer.operands.number(statement.extent)})"
                independent(scope, statement, reach)
            case _:
                raise CompileError(f"{type(statement).__name__} cannot stand inside a kernel")


def _in_order(scope: Scope, loop: Loop) -> None:
    """A sequence, which all members walk through."""
    comment(scope.writer, loop)
    before, outside = scope.pending, scope.exits
    scope.exits = Pending()
    with walked(scope.writer, loop):
        body(scope, loop.body)
        if not loop.body:
            scope.writer.line("pass")
        again = later(scope, loop)
        if scope.team is not ALONE and scope.pending.clashes(again):
            scope.writer.line(scope.team.wait)
            scope.pending = Pending()
    scope.pending |= before | scope.exits
    scope.exits = outside


def independent(scope: Scope, loop: Loop, reach: tuple[str, str]) -> None:
    """An Any loop from one number up to another, shared out among the members: to threads if they
    can run its iterations alone, to half-warps if not. A half-warp runs those one by one."""
    writer = scope.writer
    made = chain(loop, writer.operands.buffers)
    for one in made.loops:
        comment(writer, one)
    alone = fits_a_thread(made.body)
    if scope.team is ALONE or (scope.team is HALF and not alone):
        before = scope.pending
        with walked(writer, loop):
            body(scope, loop.body)
            if not loop.body:
                writer.line("pass")
        scope.pending |= before
        return
    scope.meet(later(scope, loop))
    depth, known = writer.depth, 0
    for let, extents in made.before:
        # Only if an iteration comes that would compute it: what it loads may not be there.
        names = [f"{reach[0]} < {reach[1]}", *map(writer.operands.number, extents[1:])][known:]
        if names:
            writer.line(f"if {' and '.join(names)}:")
            writer.depth += 1
            known += len(names)
        plain(scope, let)
    _shared(scope, made, reach, alone)
    writer.depth = depth


def _shared(scope: Scope, made: Chain, reach: tuple[str, str], alone: bool) -> None:
    writer = scope.writer
    if scope.team is BLOCK and suits(made.loops, made.body, writer.operands.buffers):
        quads(writer, made.loops, made.body, reach)
        return
    if scope.team is BLOCK and down_columns(made):
        columns(scope, made, reach, body)
        return
    by, team = (scope.team, ALONE) if alone else (HALVES, HALF)
    with shared_out(writer, made.loops, by, reach):
        body(scope.inner(team), made.body)
