"""The trainer: a loss, an optimizer, and the arrays they move."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from functools import partial
from typing import Any

import numpy as np

from codegen.compile import Options
from codegen.executables import AnyExecutable
from codegen.machine import this_machine
from symnet.compile import (
    Function,
    memory_of,
    options_of,
    refuse_unknown,
    starting_values_of,
)
from symnet.device_arrays import Fetch, Memory, fetch
from symnet.diff import Nested, flatten, unflatten
from symnet.errors import TrainingError
from symnet.expr import Expr, topological
from symnet.faults import faults_told
from symnet.feeds import Bound, Feeds
from symnet.formula.tree import Formula
from symnet.held import Held, overwrite
from symnet.lower import Part, listing
from symnet.ops.leaves import NAMED, training
from symnet.optim import Optimizer
from symnet.report import Report, make_report
from symnet.simplify import stabilize
from symnet.step import make_step
from symnet.stop import gradient_norm
from symnet.train import door
from symnet.train.asked import Asked, Ready, Watched
from symnet.train.data import Data, hold_out, prepare
from symnet.train.fit import Callback, Fit, Interrupts
from symnet.train.history import History
from symnet.train.loop import Compiled, Loop, compile_training
from symnet.train.many import Run, Runs, plan, run_in_turn, run_together
from symnet.train.model import Model, bound_input, build
from symnet.train.past import Past
from symnet.train.progress import Progress
from symnet.train.rule import update_rule
from symnet.train.saving import PLACE, checked_state, load, save
from symnet.train.stopping import check_names, rules_of

Array = np.ndarray[Any, Any]
NORM_BOUND = bound_input("stop.gradient_norm")


class Trainer:
    """Trains the parameters of a scalar loss.

    loss: a scalar Expr. optimizer: of `sn.optim`. parameters: those to train, all by default.
    metrics: name -> scalar Expr, measured with the loss. target: "cpu" or "cuda". precision: of
    the factors of matrix products on a GPU, as in `sn.compile`. threads: workers of the CPU that
    share each loop. seed: decides starting values, shuffling and held-out shares.

    On a GPU, data, parameters and optimizer state are there for a whole fit, and the arrays here
    are brought up to date before validation, stop rules and callbacks look, and at its end.
    """

    def __init__(
        self,
        loss: Expr,
        optimizer: Optimizer,
        *,
        parameters: Sequence[Expr] | None = None,
        metrics: Mapping[str, Expr] | None = None,
        target: str = "cpu",
        precision: str = "float32",
        threads: int | None = None,
        seed: int = 0,
    ) -> None:
        options = options_of(target, threads, precision)
        model = build(loss, optimizer, parameters, metrics)
        door.check_names(model.metrics)
        self._take(model, update_rule(optimizer, model), options, seed)
        self._written = loss

    def _take(self, model: Model, rule: Callable[[], str], options: Options, seed: int) -> None:
        """Becomes the trainer of a model, at the beginning."""
        self._written = model.loss
        refuse_unknown([model.loss, *model.metrics.values()])
        door.check_rate(model.rate)
        self.model, self._rule, self._options = model, rule, options
        self._memory: Memory | None = None
        self._wants = door.Wants()
        self._step = make_step({**model.measured(), "rate": model.rate}, model.updates)
        self._programs: dict[tuple[Any, ...], Compiled] = {}
        self._functions: dict[tuple[Any, ...], Function] = {}
        self.seed = door.seed_of(seed)
        self.reset()

    def reset(self, seed: int | None = None) -> None:
        """Starts anew: parameters as the seed draws them, everything else as at the beginning."""
        self.seed = self.seed if seed is None else door.seed_of(seed)
        self._held = starting_values_of(self._step, self.seed)
        self._epoch, self._position, self._steps = 0, 0, 0
        self._past = Past()

    @property
    def inputs(self) -> list[Expr]:
        """The inputs that data must give."""
        return list(self._wants.of([*self.model.measured().values()])[0])

    @property
    def parameters(self) -> Held:
        """The parameters' arrays by name: the ones in training, not copies."""
        return Held({str(leaf.name): self._held[leaf] for leaf in self.model.parameters})

    def _trained(self) -> dict[str, Expr]:
        return {str(leaf.name): leaf for leaf in self.model.parameters}

    @property
    def _executables(self) -> list[AnyExecutable]:
        programs = [made.executable for made in self._programs.values()]
        return programs + [function.executable for function in self._functions.values()]

    @property
    def kernels(self) -> int:
        """How many kernels its programs use so far; `compiles` of them were compiled anew."""
        return len({kernel.source for each in self._executables for kernel in each.kernels})

    @property
    def compiles(self) -> int:
        """How many kernels had to be compiled so far; the others came from the cache."""
        return sum(each.compiled for each in self._executables)

    def fit(
        self,
        data: Feeds,
        *,
        epochs: int,
        batch_size: object = 32,
        shuffle: bool = True,
        drop_last: bool = False,
        validation: float | Feeds | None = None,
        stop: object = (),
        callbacks: Callback | Sequence[Callback] = (),
        progress: bool | None = None,
    ) -> History:
        """Trains for some epochs, or until a stop rule; a second fit continues.

        data: arrays by input name, read where they are if they fit, but copied for callbacks.
        batch_size: rows of a step, None for all, or a mapping from size names. validation: a share
        of the rows to hold out, or feeds. stop: rules of `sn.stop`. callbacks: one or several,
        called with a `State` after each epoch; "stop" ends the run. progress: a bar; None shows it
        on a terminal only. Ctrl-C ends it after the step. Raises FeedError, TrainingError.
        """
        listed = door.callbacks_of(callbacks)
        asked = Asked(epochs, batch_size, shuffle, drop_last, validation, stop, listed, progress)
        return self._fit(data, asked)

    def fit_many(
        self,
        data: Feeds,
        *,
        seeds: Iterable[int],
        rate: object = None,
        epochs: int,
        batch_size: object = 32,
        shuffle: bool = True,
        drop_last: bool = False,
        validation: float | Feeds | None = None,
        stop: object = (),
    ) -> Runs:
        """Trains one replica of the network for each seed, several at a time, one worker each.

        Every replica starts anew, and gives to the bit what a trainer of that seed gives by
        itself; this trainer's own parameters stay as they are. On a GPU they are trained one after
        the other. rate: None for the optimizer's, one number, or one for each seed. The rest is as
        in `fit`.
        """
        asked = Asked(epochs, batch_size, shuffle, drop_last, validation, stop, (), False)
        pairs, interrupts = plan(seeds, rate), Interrupts()
        replicas = [self._replica(*pair) for pair in pairs]
        # A held-out share is drawn anew for each seed; other data is looked at once.
        ready = None if isinstance(validation, float) else self._ready(data, asked)
        fits = [
            partial(each._begun, ready or each._ready(data, asked), asked, interrupts)
            for each in replicas
        ]
        workers = self._options.threads or this_machine().cores
        with faults_told(), interrupts:
            histories = run_in_turn(fits) if self._fetch else run_together(fits, workers)
        return Runs(
            Run(*pair, history, each.parameters)
            for pair, history, each in zip(pairs, histories, replicas, strict=True)
        )

    def _replica(self, seed: int, rate: float | None) -> Trainer:
        """A trainer of the same compiled programs, at the beginning."""
        replica = copy(self)
        replica.reset(seed)
        if rate is not None:
            replica._held[self.model.rate_set][...] = rate
        return replica

    def _fit(self, data: Feeds, asked: Asked) -> History:
        ready, interrupts = self._ready(data, asked), Interrupts()
        with faults_told():
            fit, steps = self._begun(ready, asked, interrupts), ready.data.steps
        self._past.begin(ready.feeds, fit.history, asked.callbacks, self.parameters)
        with faults_told(), interrupts:
            try:
                fit.run()
            finally:
                # A callback that raises ends the run, but what was trained stays trained.
                self._epoch += fit.done // steps
                self._position, self._steps = fit.done % steps, steps
        return fit.history

    def _ready(self, data: Feeds, asked: Asked) -> Ready:
        """Everything that was asked for, checked."""
        door.require_count(asked.epochs)
        rules = rules_of(asked.stop)
        check_names(rules, list(self.model.metrics), asked.validation is not None)
        feeds, held_out = self._split(data, asked.validation)
        measured, updates = list(self.model.measured().values()), self.model.updates
        door.check_feeds(feeds, self._trained())
        if held_out is not None:
            self._bind(measured, held_out, allow_nan=False)
        limits = self._wants.of([*measured, *(value for _, value in updates)])[1]
        held = None if asked.callbacks else [*self._held.values()]
        made = prepare(self.inputs, limits, feeds, *asked.rows, held, self._fetch)
        return Ready(feeds, held_out, made, rules)

    def _begun(self, ready: Ready, asked: Asked, interrupts: Interrupts) -> Fit:
        """The fit, bound to the data and to this trainer's parameters."""
        bounds = [rule.value for rule in ready.rules if isinstance(rule, gradient_norm)]
        held_out, steps = ready.held_out, ready.data.steps
        return Fit(
            model=self.model,
            loop=self._loop(ready.data, asked.shuffle, bounds[0] if bounds else None),
            held=self._held,
            steps=steps,
            epochs=int(asked.epochs),
            position=self._position if self._steps == steps else 0,
            rules=ready.rules,
            callbacks=asked.callbacks,
            validate=None if held_out is None else lambda: self.evaluate(held_out),
            progress=Progress(int(asked.epochs), asked.progress),
            history=History(notes=ready.data.notes),
            interrupts=interrupts,
        )

    def _split(self, data: Feeds, validation: float | Feeds | None) -> tuple[Feeds, Feeds | None]:
        if validation is None or isinstance(validation, Mapping):
            return data, validation
        if isinstance(validation, bool) or not isinstance(validation, (int, float)):
            raise TrainingError(f"validation is a share of the rows or feeds, got {validation!r}")
        return hold_out(self.inputs, data, float(validation), self.seed, self._fetch)

    def _loop(self, data: Data, shuffle: bool, norm_bound: float | None) -> Loop:
        key = (tuple(data.sampled), bool(shuffle), norm_bound is not None)
        if key not in self._programs:
            bound = None if norm_bound is None else NORM_BOUND
            made = compile_training(self.model, tuple(data.sampled), shuffle, bound, self._options)
            self._programs[key] = made
        extra = {NORM_BOUND: np.asarray(norm_bound or 0.0, np.float64)}
        return Loop(self._programs[key], data, self._held, extra, self.seed, self._epoch)

    def _function(self, outputs: Mapping[str, Expr], apply: bool = False) -> Function:
        key = (apply, *((name, node.serial) for name, node in outputs.items()))
        if key not in self._functions:
            step = make_step(outputs, self.model.updates if apply else ())
            self._functions[key] = Function(dict(outputs), step, self._options, self.seed)
        return self._functions[key]

    def _bind(
        self, nodes: Sequence[Expr], feeds: Feeds, allow_nan: bool = True, allow_empty: bool = False
    ) -> Bound:
        """Data for the inputs of expressions, checked."""
        wants, own = self._wants.of(nodes), (self._trained(), [*self._held.values()])
        return door.bound(wants, feeds, *own, self._fetch, allow_nan, allow_empty)

    @property
    def _fetch(self) -> Fetch | None:
        """What brings arrays from the GPU; None where the CPU runs."""
        self._memory = self._memory or memory_of(self._options)
        return None if self._memory is None else partial(fetch, self._memory)

    def _call(self, function: Function, bound: Bound, there: Memory | None = None) -> Any:
        door.check_own(function.leaves, self._held, self.parameters)
        mode = {training: np.zeros((), bool)}
        values = {**mode, **self._held, **bound.arrays, **bound.placed}
        with faults_told():
            return function.run(values, bound.sizes, there)

    def evaluate(self, feeds: Feeds) -> dict[str, float]:
        """The loss and the metrics on all rows of the feeds at once."""
        function = self._function(self.model.measured())
        result = self._call(function, self._bind(function.step.roots(), feeds))
        return {name: float(value) for name, value in result.items()}

    def predict(self, outputs: Nested, feeds: Feeds) -> Any:
        """The values of expressions with the parameters as they are, nested as outputs; only the
        inputs that they depend on are needed. If any of those is on the GPU, so are the values."""
        nodes = stabilize(flatten(outputs))
        named = {str(place): node for place, node in enumerate(nodes)}
        bound = self._bind(nodes, feeds, allow_empty=True)
        there = self._memory if bound.placed else None
        return unflatten(outputs, self._call(self._function(named), bound, there).values())

    def step(self, feeds: Feeds) -> Watched:
        """Makes one step on these feeds and shows what it did."""
        watched = self.model.watched()
        bound = self._bind(watched.roots(), feeds, allow_nan=False)
        result = self._call(self._function(watched.outputs, apply=True), bound)
        gradients = {str(p.name): result[f"gradient {p.name}"] for p in self.model.parameters}
        names = [str(leaf.name) for leaf, _ in self.model.updates]
        return Watched(
            float(result["loss"]), gradients, {name: result[f"update {name}"] for name in names}
        )

    def update_formulas(self) -> str:
        """The optimizer's rule, with this model's symbols."""
        return self._rule()

    def report(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        data: Feeds | None = None,
        title: str = "",
    ) -> Report:
        """The report on the model and on its fits so far, written to a file if a path is given.

        One HTML file: formulas with their derivations, kernels, operation counts, curves. With a
        `sn.report.Recorder` among the callbacks of a fit and two inputs, a slider moves the
        decision boundary through the epochs. data: the points to show, those of the last fit by
        default. FeedError for data that does not fit.
        """
        feeds = self._past.feeds if data is None else data
        bound = self._bind([self._written], feeds).on_host(self._fetch) if feeds else None
        shown = self._written, self._parts, self._rule(), bound, title
        made = make_report(self._past.subject(*shown))
        if path is not None:
            made.save(path)
        return made

    @faults_told()
    def _parts(self, names: Mapping[Expr, Formula]) -> Sequence[Part]:
        """The kernels of the training as it was last compiled, else of one watched step."""
        if not self._programs:
            watched = self.model.watched()
            return self._function(watched.outputs, apply=True).listed(names)
        made = [*self._programs.values()][-1]
        return listing(made.lowered, made.executable, names)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the trainer to a file that `Trainer.load` reads: graph, arrays, state."""
        save(path, self.model, self.state_dict(), self.seed, self._rule())

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        target: str = "cpu",
        precision: str = "float32",
        threads: int | None = None,
    ) -> Trainer:
        """A trainer as it was saved: it goes on where that one stopped. Nothing in the file is
        executed; TrainingError if it is not a saved trainer."""
        options = options_of(target, threads, precision)
        model, state, seed, rule = load(path)
        trainer = cls.__new__(cls)
        trainer._take(model, lambda: rule, options, seed)
        trainer.load_state_dict(state)
        return trainer

    @property
    def expressions(self) -> dict[str, Expr]:
        """The loss, the metrics, the parameters and the named intermediates, by name."""
        named = {str(n.name): n for n in topological([self.model.loss]) if n.op is NAMED}
        parameters = {str(leaf.name): leaf for leaf in self.model.parameters}
        return {**named, **parameters, **self.model.measured()}

    def state_dict(self) -> dict[str, Array]:
        """Copies of everything that training changes, by name: parameters, optimizer state, the
        step k, and the epoch and the position in it."""
        state = {str(leaf.name): array.copy() for leaf, array in self._held.items()}
        place = np.array([self._epoch, self._position, self._steps], np.int64)
        return {**state, PLACE: place}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes back what `state_dict` gave; TrainingError if names or shapes differ."""
        wanted = {str(leaf.name): array for leaf, array in self._held.items()}
        given, (self._epoch, self._position, self._steps) = checked_state(state, wanted)
        for name, array in wanted.items():
            overwrite(name, array, given[name])
