"""Fuse: few kernels that keep values in locals, in place of many that pass them through memory.

Rounds of three steps: producers are computed at their consumers (`substitute`), loops over the same
domain become one (`merge`), contractions take in what consumes them (`absorb`), loads of what was
just stored become locals, and what nobody reads any more is removed (`dead`). Every step also works
on the loops inside a merged loop.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from codegen.ir import Buffer, Contraction, Loop, Program, Statement, is_driver
from codegen.passes.absorb import absorb
from codegen.passes.access import Roots, accesses, roots_of
from codegen.passes.dead import without_dead_code
from codegen.passes.merge import forward, merge
from codegen.passes.rewrite import with_body, with_unique_names
from codegen.passes.substitute import substitute
from codegen.walk import index_buffers

ROUNDS = 2
"""A second round finds producers that lost a consumer in the first."""


def fuse(program: Program, roots: Roots | None = None) -> Program:
    """The same results from fewer, longer kernels, each within the budget of scalar nodes."""
    program = with_unique_names(program)
    numbers = itertools.count()
    roots = roots or roots_of(program)
    for _ in range(ROUNDS):
        fusion = _Fusion(index_buffers(program), roots, numbers)
        viewed = {roots[b.name] for b in program.buffers if b.storage is not None}
        body = fusion.body(program.body, viewed, phase=True)
        program = without_dead_code(with_unique_names(replace(program, body=body)), roots)
    return program


@dataclass(frozen=True, slots=True)
class _Fusion:
    buffers: Mapping[str, Buffer]
    roots: Roots
    numbers: Iterator[int]

    def body(
        self, body: tuple[Statement, ...], outside: set[str], *, phase: bool
    ) -> tuple[Statement, ...]:
        """`outside`: the roots that others than these statements touch, or under other names."""
        if len(body) > 1:
            body = substitute(body, self.buffers, self.roots, outside)
            body = merge(body, self.roots, phase=phase)
        if phase:
            body = absorb(body, self.buffers, self.roots)
        touched = [{access.root for access in accesses(one, self.roots)} for one in body]
        times = Counter(root for found in touched for root in found)
        result: list[Statement] = []
        for statement, found in zip(body, touched, strict=True):
            if isinstance(statement, Loop):
                shared = {root for root in found if times[root] > 1 or root in outside}
                driver = phase and is_driver(statement)
                inner = self.body(statement.body, shared, phase=driver)
                if not driver:
                    inner = forward(inner, self.roots, self.numbers)
                result.append(with_body(statement, inner))
            elif isinstance(statement, Contraction):
                known = forward(statement.body, self.roots, self.numbers)
                result.append(with_body(statement, known))
            else:
                result.append(statement)
        return tuple(result)
