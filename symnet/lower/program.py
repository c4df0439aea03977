"""A step as a Program, run once or as the training loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from codegen.ir import Program
from symnet.expr import Expr, topological
from symnet.lower.builder import Builder
from symnet.lower.operations import emit, operands
from symnet.lower.reading import materialise, read
from symnet.ops.leaves import INPUT, PARAMETER, STATE, STEP
from symnet.step import Step

LEAVES = (INPUT, PARAMETER, STATE, STEP)


@dataclass(frozen=True)
class Lowered:
    """A Program and where its data stands: buffer names by leaf, output and constant.

    held: what each buffer holds. stored: the expression whose value the program stores in it; for
    a parameter or state that is the next value, and `updated` has the leaf.
    """

    program: Program
    leaves: Mapping[Expr, str]
    outputs: Mapping[str, str]
    constants: Mapping[str, np.ndarray[Any, Any]]
    histories: Mapping[str, str] = field(default_factory=dict)
    sampled: tuple[str, ...] = ()
    held: Mapping[str, Expr] = field(default_factory=dict)
    stored: Mapping[str, Expr] = field(default_factory=dict)
    updated: Mapping[str, Expr] = field(default_factory=dict)


def with_contents(lowered: Lowered, builder: Builder, step: Step) -> Lowered:
    """The same, knowing which expressions its buffers hold."""
    updated = {lowered.leaves[leaf]: leaf for leaf, _ in step.updates}
    held = {name: node for node, name in builder.home.items()}
    held |= {lowered.leaves[leaf]: leaf for leaf in lowered.leaves}
    stored = {name: node for name, node in held.items() if node.op not in LEAVES}
    stored |= {name: step.outputs[key] for key, name in lowered.outputs.items()}
    stored |= {name: step.outputs[key] for key, name in lowered.histories.items()}
    stored |= {lowered.leaves[leaf]: value for leaf, value in step.updates}
    return replace(lowered, held=held, stored=stored, updated=updated)


def declare_leaves(builder: Builder, leaves: Mapping[str, Expr]) -> dict[Expr, str]:
    """A buffer for each leaf: inputs belong to the caller, the rest is state."""
    for name, leaf in leaves.items():
        scope = "argument" if leaf.op is INPUT else "state"
        builder.home[leaf] = builder.buffer(name, leaf.shape, str(leaf.dtype), scope)
    return dict(builder.home)


def compute(builder: Builder, roots: list[Expr]) -> None:
    """Appends the statements that compute the roots, as far as they are not there yet."""
    needed, stack = set(roots), list(roots)
    while stack:
        more = set(operands(stack.pop())) - needed
        needed |= more
        stack += more
    for node in topological(roots):
        if node in needed and node.op not in LEAVES:
            emit(builder, node)


def store_node(builder: Builder, name: str, node: Expr, label: str) -> None:
    """Appends the loops that copy a node into a buffer."""
    builder.fill(name, node.shape, lambda index: read(builder, node, index), label)


def commit(builder: Builder, step: Step) -> None:
    """Computes every update, then lets them take effect: none sees another's result."""
    compute(builder, [value for _, value in step.updates])
    # Copying a target that is another's next value gives it a second home, which reads go to.
    homes = {target: builder.home[target] for target, _ in step.updates}
    for _, value in step.updates:
        if homes.keys() & set(_read_through(builder, value)):
            _copy(builder, value)
    for target, value in step.updates:
        store_node(builder, homes[target], value, f"{target.name} := its next value")


def _read_through(builder: Builder, node: Expr) -> list[Expr]:
    """The leaves that reading a node would read directly, through views."""
    found, stack = [], [node]
    while stack:
        inner = stack.pop()
        if inner.op in LEAVES:
            found.append(inner)
        elif inner not in builder.home:
            stack.extend(inner.args)
    return found


def _copy(builder: Builder, node: Expr) -> None:
    """Gives a view of a leaf memory of its own."""
    if node in builder.home:
        name = builder.fresh("t")
        builder.buffer(name, node.shape, str(node.dtype), "step")
        store_node(builder, name, node, "copy")
        builder.home[node] = name
    else:
        materialise(builder, node)


def lower(step: Step, name: str = "function") -> Lowered:
    """The Program that computes a step once: outputs into arguments, updates into state."""
    builder = Builder()
    leaves = declare_leaves(builder, step.leaves())
    compute(builder, list(step.outputs.values()))
    outputs = {}
    for key, node in step.outputs.items():
        target = builder.buffer(f"result {key}", node.shape, str(node.dtype), "argument")
        outputs[key] = target
        store_node(builder, target, node, f"result {key}")
    commit(builder, step)
    program = Program(
        name, tuple(builder.sizes.values()), tuple(builder.buffers.values()), tuple(builder.body)
    )
    return with_contents(Lowered(program, leaves, outputs, builder.constants), builder, step)
