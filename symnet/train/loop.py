"""The compiled training loop, bound to data: it runs in chunks of whole steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from codegen.choice import TRIAL
from codegen.collector import uncollected
from codegen.compile import Options, compile_program
from codegen.cpu.launch import RAGGED_LIMIT
from codegen.executables import AnyExecutable
from codegen.runtime import Outcome
from symnet.errors import TrainingError
from symnet.expr import Expr
from symnet.faults import bind_program, faults_told
from symnet.guard import watched
from symnet.lower import Lowered, Training, lower_training
from symnet.ops.leaves import INPUT, training
from symnet.step import Step, make_step
from symnet.train.data import Data
from symnet.train.model import Model, not_finite

Array = np.ndarray[Any, Any]
CHUNK_SECONDS = 0.1
CAPACITY = 1 << 15


@dataclass(frozen=True)
class Compiled:
    """The training program of a model for some sampled sizes, ready to be bound.

    tests: how many tests may end it in good order; each further one has a message.
    """

    lowered: Lowered
    executable: AnyExecutable
    tests: int
    messages: tuple[str, ...]


def compile_training(
    model: Model, sampled: Sequence[str], shuffle: bool, bound: Expr | None, options: Options
) -> Compiled:
    """Compiles the loop: the step of the model, its histories and its stop tests. TrainingError if
    rows of more named sizes are picked than a loop can count; CompileError."""
    if len(sampled) > RAGGED_LIMIT:
        raise TrainingError(
            f"a step picks rows along at most {RAGGED_LIMIT} named sizes, here along "
            f"{len(sampled)}: {', '.join(sampled)}; batch_size={{name: None}} takes all of one"
        )
    outputs = {"loss": model.loss, "rate": model.rate}
    outputs |= {f"metric {name}": value for name, value in model.metrics.items()}
    ends = {"end not finite": not_finite(model.loss)}
    if bound is not None:
        outputs["norm"] = model.norm
        ends["end norm"] = model.norm < bound
    # The tests too: what they compute must not reach outside of an array either.
    step, messages = watched(make_step(outputs | ends, model.updates))
    tests = [step.outputs[name] for name in (*ends, *messages)]
    shown = {name: step.outputs[name] for name in outputs}
    training = Training(Step(shown, step.updates), tuple(tests), tuple(sampled), shuffle)
    with uncollected(), faults_told():
        lowered = lower_training(training)
        executable = compile_program(lowered.program, options)
    return Compiled(lowered, executable, len(ends), tuple(messages.values()))


@dataclass(frozen=True)
class Chunk:
    """What some steps gave: their values by history name, how many were complete, and the test
    that ended them, if one did (0: the loss is not finite, 1: the gradient norm)."""

    values: dict[str, Array]
    complete: int
    test: int | None
    message: str = ""


class Loop:
    """A compiled training bound to its data and to the arrays it trains."""

    def __init__(
        self,
        compiled: Compiled,
        data: Data,
        held: Mapping[Expr, Array],
        extra: Mapping[Expr, Array],
        seed: int,
        epoch: int,
    ) -> None:
        lowered = compiled.lowered
        kinds = {b.name: b.dtype for b in lowered.program.buffers}
        self._histories = {
            key: np.zeros(CAPACITY, kinds[name]) for key, name in lowered.histories.items()
        }
        fed: dict[Expr, Any] = {training: np.ones((), bool), **extra, **data.arrays}
        arrays: dict[str, Any] = dict(lowered.constants)
        for leaf, name in lowered.leaves.items():
            arrays[name] = fed[leaf] if leaf.op is INPUT else held[leaf]
        for key, name in lowered.histories.items():
            arrays[name] = self._histories[key]
        sizes = {"first": 0, "count": 0, "capacity": CAPACITY, "seed": seed, **data.sizes}
        for name, one in data.sampled.items():
            sizes.pop(name)
            sizes |= {f"{name}.rows": one.rows, f"{name}.batch": one.batch}
            sizes |= {f"{name}.total": one.total, f"{name}.steps": one.steps}
            sizes |= {f"{name}.epoch": epoch}
        free = compiled.executable.plan.free
        known = {name: value for name, value in sizes.items() if name in free}
        self._tests, self._messages = compiled.tests, compiled.messages
        self.binding = bind_program(compiled.executable, known, arrays, lowered.held)
        self._seconds, self._current = 0.0, True

    def run(self, first: int, most: int) -> Chunk:
        """Runs up to `most` steps from iteration `first`, as many as take about a tenth of a
        second; at least one."""
        workers, trial = self.binding.choice.pick()
        seconds = self.binding.choice.each(workers) or self._seconds
        sizes = self.sizes(first, most, TRIAL if trial else CHUNK_SECONDS, seconds)
        return self.chunk(sizes, self.binding.run(sizes, workers))

    def sizes(
        self, first: int, most: int, wanted: float, seconds: float | None = None
    ) -> dict[str, int]:
        """The run from iteration `first` of at most `most` steps that takes about as long as is
        wanted, if a step takes so many seconds (None: as the one before)."""
        each = self._seconds if seconds is None else seconds
        fitting = max(1, int(wanted / each)) if each else 1
        return {"first": first, "count": min(most, CAPACITY, fitting)}

    def chunk(self, sizes: Mapping[str, int], outcome: Outcome, share: float = 1.0) -> Chunk:
        """What a run of these sizes gave, which had that share of the time it took."""
        self._current = False
        steps = sizes["count"] if outcome.stopped is None else 1
        self._seconds = outcome.seconds * share / max(steps, 1)
        seen = outcome.iterations + (outcome.stopped is not None)
        values = {name: array[:seen].copy() for name, array in self._histories.items()}
        if outcome.stopped is None or outcome.stopped < self._tests:
            return Chunk(values, outcome.iterations, outcome.stopped)
        message = self._messages[outcome.stopped - self._tests]
        return Chunk(values, outcome.iterations, None, message)

    def pull(self) -> None:
        """Brings the arrays it trains up to date, where it runs on copies of them."""
        if not self._current:
            self.binding.pull()
            self._current = True

    def push(self) -> None:
        """Goes on with what now stands in the arrays it trains."""
        self.binding.push()
