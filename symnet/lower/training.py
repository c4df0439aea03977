"""A step as the training loop: shuffled batches, histories and stop tests are part of the Program.

Free sizes, beside those of the data: `first` and `count`, the iterations to run; `capacity` of the
histories; `seed`; and for each sampled size N: `N.rows` of the data, `N.batch`, `N.total` rows
used in an epoch, `N.steps` of an epoch, `N.epoch` at iteration 0.
"""

from __future__ import annotations

from collections.abc import Sequence as Several
from dataclasses import dataclass

from codegen.ir import Any, Loop, Program, Ragged, Sequence, Statement, Store, Until
from codegen.scalar import Apply, Axis, Indirect, Ref, Scalar, Size, affine, at
from symnet.expr import Expr
from symnet.lower.builder import Builder, Place
from symnet.lower.program import (
    Lowered,
    commit,
    compute,
    declare_leaves,
    with_contents,
)
from symnet.lower.reading import materialise, read
from symnet.ops.leaves import INPUT
from symnet.sizes import named_size
from symnet.step import Step

AXIS = "t"


@dataclass(frozen=True)
class Training:
    """A step, the boolean scalars that end the run before its update, and the sampled sizes."""

    step: Step
    tests: tuple[Expr, ...]
    sampled: tuple[str, ...]
    shuffle: bool


def lower_training(training: Training, name: str = "training") -> Lowered:
    """The Program of the loop: one iteration is one step on one batch."""
    builder = Builder()
    for size in ("first", "count", "capacity", "seed"):
        builder.free_size(size)
    for size in training.sampled:
        builder.free_size(size)
        for part in ("rows", "batch", "total", "steps", "epoch"):
            builder.free_size(f"{size}.{part}")
        _draw_rows(builder, size, training.shuffle)
    leaves = declare_leaves(builder, training.step.leaves(training.tests))
    for leaf in leaves:
        if leaf.op is INPUT:
            _take_batch(builder, leaf, training.sampled)
    histories = _histories(builder, training)
    compute(builder, list(training.tests))
    for test in training.tests:
        builder.body.append(Until(Ref(materialise(builder, test), ())))
    commit(builder, training.step)
    ragged = tuple(Ragged(n, f"{n}.batch", f"{n}.total") for n in training.sampled)
    loop = Loop(AXIS, "count", Sequence(ragged), tuple(builder.body), "first", "training")
    program = Program(name, tuple(builder.sizes.values()), tuple(builder.buffers.values()), (loop,))
    lowered = Lowered(program, leaves, {}, builder.constants, histories, training.sampled)
    return with_contents(lowered, builder, training.step)


def _histories(builder: Builder, training: Training) -> dict[str, str]:
    compute(builder, list(training.step.outputs.values()))
    place = affine(0, {Axis(AXIS): 1, Size("first"): -1})
    names = {}
    for key, node in training.step.outputs.items():
        name = builder.buffer(
            f"history {key}", (named_size("capacity"),), str(node.dtype), "argument"
        )
        builder.body.append(Store(Ref(name, (place,)), read(builder, node, ())))
        names[key] = name
    return names


def _whole(function: str, left: Scalar, right: Scalar) -> Scalar:
    return Apply(function, (left, right), "int64")


def _draw_rows(builder: Builder, size: str, shuffle: bool) -> None:
    """The rows of this iteration's batch: consecutive places of a permutation of all rows, which
    the seed and the epoch choose."""
    name = builder.buffer(f"{size} rows", (named_size(size),), "int64", "step")
    steps, step = Size(f"{size}.steps"), Axis(AXIS)
    position = _whole("remainder", step, steps)
    start = _whole("multiply", position, Size(f"{size}.batch"))
    place = _whole("add", start, Axis("i0"))
    if shuffle:
        epoch = _whole("add", Size(f"{size}.epoch"), _whole("floor_divide", step, steps))
        count, seed = Size(f"{size}.rows"), Size("seed")
        place = Apply("permuted", (place, count, seed, epoch), "int64")
    store: Statement = Store(Ref(name, (at("i0"),)), place)
    builder.body.append(Loop("i0", size, Any(), (store,), label=f"rows of this batch of {size}"))


def _take_batch(builder: Builder, leaf: Expr, sampled: Several[str]) -> None:
    """Copies the batch's part of an input, if it has a sampled size, into a step buffer."""
    axes = [axis for axis, size in enumerate(leaf.shape) if size in sampled]
    if not axes:
        return
    whole = builder.home[leaf]
    for axis in axes:
        builder.widen(whole, axis, f"{leaf.shape[axis]}.rows")
    name = builder.buffer(f"{leaf.name} batch", leaf.shape, str(leaf.dtype), "step")

    def value(index: Place) -> Scalar:
        picked = tuple(
            Indirect(Ref(f"{leaf.shape[axis]} rows", (place,)), f"{leaf.shape[axis]}.rows")
            if axis in axes
            else place
            for axis, place in enumerate(index)
        )
        return builder.load(whole, picked)

    builder.fill(name, leaf.shape, value, f"this batch of {leaf.name}")
    builder.home[leaf] = name
