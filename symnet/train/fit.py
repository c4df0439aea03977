"""One fit: chunks of steps, and what happens between them at the ends of epochs."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import numpy as np

from symnet.errors import TrainingError
from symnet.expr import Expr
from symnet.held import Held
from symnet.ops.core import is_number
from symnet.ops.leaves import step as step_leaf
from symnet.stop import below, gradient_norm, patience
from symnet.train.history import History, Record
from symnet.train.loop import Chunk, Loop
from symnet.train.model import Model
from symnet.train.progress import Progress
from symnet.train.stopping import Rule, Watch

Array = np.ndarray[Any, Any]
ByLeaf = dict[Expr, Array]


@dataclass(frozen=True)
class State:
    """What a callback sees after an epoch. `parameters` are the arrays in training themselves."""

    epoch: int
    step: int
    loss: float
    parameters: Held
    history: History
    _rate: Array

    def set_rate(self, rate: float) -> None:
        """The rate of every later step, in place of the optimizer's. TrainingError unless it is a
        finite number from 0."""
        if not is_number(rate) or not 0 <= rate < np.inf:
            raise TrainingError(f"set_rate takes a finite number from 0, got {rate!r}")
        self._rate[...] = rate


Callback = Callable[[State], "str | None"]


class Interrupts:
    """Ctrl-C while this is entered, in the main thread: the first asks for a `halt` after the
    step under way instead of raising. A second raises KeyboardInterrupt at once in what users wrote
    (`open`), else when all is in order, at the end."""

    def __init__(self) -> None:
        self.halt = False
        self._again = False
        self._open = False
        self._before: Any = None

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
        if self._again and kind is None:
            raise KeyboardInterrupt

    @contextmanager
    def open(self) -> Iterator[None]:
        """While a callback runs, which may take long or for ever."""
        self._open = True
        try:
            yield
        finally:
            self._open = False

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._again, self.halt = self.halt, True
        if self._again and self._open:
            raise KeyboardInterrupt


@dataclass
class Fit:
    """A training under way. `position` is the iteration of this fit's first epoch to start at."""

    model: Model
    loop: Loop
    held: ByLeaf
    steps: int
    epochs: int
    position: int
    rules: Sequence[Rule]
    callbacks: Sequence[Callback]
    validate: Callable[[], Mapping[str, float]] | None
    progress: Progress
    history: History = field(default_factory=History)
    done: int = 0
    interrupts: Interrupts = field(default_factory=Interrupts)

    def run(self) -> None:
        """Trains until the last epoch or a reason to stop; `done` counts iterations completed."""
        self.begin()
        try:
            with self.progress:
                while (wanted := self.wanted()) is not None:
                    self.take(self.loop.run(*wanted))
        finally:
            self.loop.pull()
        self.end()

    def begin(self) -> None:
        """Makes ready for the first chunk."""
        names = ("loss", "rate", *(f"metric {name}" for name in self.model.metrics))
        self.record = Record(self.steps, names, self.position)
        self.watches = [Watch(rule) for rule in self.rules if isinstance(rule, patience)]
        self.trained = {leaf: self.held[leaf] for leaf in self.model.parameters}
        self.done = self.position

    def wanted(self) -> tuple[int, int] | None:
        """The iteration at which the next chunk begins and how long it may be; None at the end."""
        last = self.steps * self.epochs
        if self.done >= last or self._ended():
            return None
        return self.done, self._most(self.done, last)

    def take(self, chunk: Chunk) -> None:
        """Keeps what a chunk gave, and looks whether to go on."""
        self.done += chunk.complete
        self._note(chunk)
        if self._ended():
            self.record.close_epochs(self.history)
        else:
            self._end_epochs(self.trained)
        if self.interrupts.halt and not self._ended():
            self.history.stopped = f"interrupted at step {self._step()}"

    def end(self) -> None:
        """Puts the best parameters back where a rule asks for it, and says why it ended."""
        for watch in self.watches:
            watch.restore(self.trained)
        if not self._ended():
            self.history.stopped = f"all {self.epochs} epochs done"

    def _ended(self) -> bool:
        return bool(self.history.stopped)

    def _most(self, done: int, last: int) -> int:
        """Steps until something must be looked at."""
        return self.steps - done % self.steps if self._looks() else last - done

    def _step(self) -> int:
        return int(self.held[step_leaf])

    def _note(self, chunk: Chunk) -> None:
        """Keeps the values of complete steps and says why a test ended the run."""
        values = {name: array[: chunk.complete] for name, array in chunk.values.items()}
        self.history.step_loss += values["loss"].tolist()
        self.history.step_rate += values["rate"].tolist()
        self.record.extend(values)
        if chunk.message:
            self.history.stopped = (
                f"{chunk.message}, at step {self._step()}; the parameters are those before it"
            )
        if chunk.test is None:
            return
        loss, rate = chunk.values["loss"][-1], chunk.values["rate"][-1]
        if chunk.test == 0:
            self.history.stopped = (
                f"the loss is {loss} at step {self._step()} with rate {rate:g}; the parameters "
                "are those before this step"
            )
        else:
            bound = next(rule.value for rule in self.rules if isinstance(rule, gradient_norm))
            norm = float(chunk.values["norm"][-1])
            # As few digits as still show that it is less.
            texts = (f"{norm:.{digits}g}" for digits in range(2, 18))
            shown = next((text for text in texts if float(text) < bound), repr(norm))
            self.history.stopped = f"gradient norm {shown} < {bound:g} at step {self._step()}"

    def _end_epochs(self, trained: ByLeaf) -> None:
        closed = self.record.close_epochs(self.history)
        if closed and self.history.loss:
            self.progress.update(self.history)
        if closed and self._looks():
            with self.interrupts.open():
                self._look(trained)

    def _looks(self) -> bool:
        """Whether anything is to be done after each epoch."""
        rules = [rule for rule in self.rules if not isinstance(rule, gradient_norm)]
        return bool(self.callbacks or self.validate or rules)

    def _look(self, trained: ByLeaf) -> None:
        """Validation, stop rules and callbacks after an epoch."""
        history = self.history
        if self.validate or self.callbacks or self.watches:
            self.loop.pull()
        if self.validate:
            for name, value in self.validate().items():
                history.validation.setdefault(name, []).append(float(value))
        epoch = history.epochs - 1
        for watch in self.watches:
            if watch.look(history, epoch, trained):
                history.stopped = str(watch.rule)
            history.best_epoch = watch.epoch
        for rule in self.rules:
            if isinstance(rule, below) and history.value(rule.what) < rule.value:
                value = history.value(rule.what)
                history.stopped = f"{rule.what} {value:.4g} < {rule.value:g} after epoch {epoch}"
        parameters = Held({str(leaf.name): array for leaf, array in trained.items()})
        rate = self.held[self.model.rate_set]
        state = State(epoch, self._step(), history.loss[-1], parameters, history, rate)
        for callback in self.callbacks:
            if callback(state) == "stop":
                history.stopped = f"a callback said stop after epoch {epoch}"
        if self.callbacks:
            # They may have written into the parameters, or set the rate.
            self.loop.push()
