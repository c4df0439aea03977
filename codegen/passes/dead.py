"""Remove what nobody reads: stores into scratch, lets, folds, contractions, then the buffers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace

from codegen.ir import Contraction, Let, Loop, Program, Statement, Store, Tree, Until
from codegen.passes.access import Roots, accesses, all_accesses, roots_of
from codegen.passes.rewrite import with_body
from codegen.walk import index_buffers


def without_dead_code(program: Program, roots: Roots | None = None) -> Program:
    """The program reduced to what argument and state buffers and untils depend on."""
    roots = roots or roots_of(program)
    needs: defaultdict[str, set[str]] = defaultdict(set)
    live = set(_wanted(program, roots))
    for statement in _makers(program.body):
        read: set[str] = set()
        made: set[str] = set()
        for access in accesses(statement, roots):
            (made if access.writes else read).add(access.root)
        for root in made:
            needs[root] |= read
    stack = list(live)
    while stack:
        for root in needs[stack.pop()] - live:
            live.add(root)
            stack.append(root)
    body = tuple(_kept(program.body, live, roots))
    used = {access.root for access in all_accesses(body, roots)}
    buffers = index_buffers(program)
    kept = tuple(
        buffer for name, buffer in buffers.items()
        if buffer.scope in ("argument", "state") or roots[name] in used
    )  # fmt: skip
    return replace(program, body=body, buffers=kept)


def _wanted(program: Program, roots: Roots) -> Iterator[str]:
    for buffer in program.buffers:
        if buffer.scope in ("argument", "state"):
            yield roots[buffer.name]
    for statement in _always_run(program.body):
        yield from (access.root for access in accesses(statement, roots))


def _always_run(body: Iterable[Statement]) -> Iterator[Statement]:
    """Untils, and yields of folds that also store."""
    for statement in body:
        if isinstance(statement, Until):
            yield statement
        if isinstance(statement, Loop):
            yield from _always_run(statement.body)
            if isinstance(statement.order, Tree) and _stores(statement):
                yield statement.body[-1]


def _stores(loop: Loop) -> bool:
    return any(
        isinstance(one, Store | Contraction) or (isinstance(one, Loop) and _stores(one))
        for one in loop.body
    )


def _makers(body: Iterable[Statement]) -> Iterator[Statement]:
    """The statements whose reads are needed as soon as what they write is."""
    for statement in body:
        if isinstance(statement, Loop):
            yield from _makers(statement.body)
            if isinstance(statement.order, Tree):
                # The yield: what a fold's names depend on. Stores inside count by themselves too.
                yield with_body(statement, statement.body[-1:])
        elif isinstance(statement, Contraction):
            # The sum by itself; what is done with it counts by itself too.
            yield with_body(statement, ())
            yield from statement.body
        elif isinstance(statement, Let | Store):
            yield statement


def _kept(body: Iterable[Statement], live: set[str], roots: Roots) -> Iterator[Statement]:
    for statement in body:
        match statement:
            case Let(name, _):
                if f"%{name}" in live:
                    yield statement
            case Store(ref, _):
                if roots[ref.buffer] in live:
                    yield statement
            case Contraction():
                inner = tuple(_kept(statement.body, live, roots))
                if any(isinstance(one, Store) for one in inner):
                    yield with_body(statement, inner)
            case Loop():
                inner = tuple(_kept(statement.body, live, roots))
                if _is_needed(statement, inner, live):
                    yield with_body(statement, inner)
            case _:
                yield statement


def _is_needed(loop: Loop, inner: tuple[Statement, ...], live: set[str]) -> bool:
    if isinstance(loop.order, Tree) and any(f"%{name}" in live for name in loop.order.names):
        return True
    # Lets and the yield alone have no effect.
    return any(isinstance(one, Store | Contraction | Until | Loop) for one in inner)
