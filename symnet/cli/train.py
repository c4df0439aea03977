"""`symnet train`: derive, print, compile and train a built-in model, and test it."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable
from typing import Final

import symnet as sn
from symnet.cli.arguments import UsageError, batch, one_of, positive, whole
from symnet.cli.recipes import RECIPES, Prepared, Problem, Recipe, optimizer, prepared, problem
from symnet.compile import memory_of, options_of
from symnet.data import Dataset, load
from symnet.train import History, State

INTERRUPTED: Final = 130
FAILED: Final = 1
LINES: Final = 10
"""About how many lines of progress are written where there is no terminal for a bar."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `symnet train` takes."""
    names = list(RECIPES)
    parser.add_argument("dataset", type=one_of("data set", names), help=", ".join(names))
    parser.add_argument("--epochs", type=whole(1), help="passes over the data")
    parser.add_argument("--batch-size", type=batch, default=0, help='rows of a step, or "all"')
    parser.add_argument("--rate", type=positive, help="the first learning rate; it falls to 0")
    parser.add_argument(
        "--seed", type=whole(0), default=0, help="decides the split, the start and the order"
    )
    parser.add_argument("--threads", type=whole(1), help="workers that share each loop")
    parser.add_argument("--target", default="cpu", help="what to compile for: cpu or cuda")
    parser.add_argument("--quiet", action="store_true", help="print the last line only")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Trains and tests; 1 if the loss did not stay finite, 130 if interrupted."""
    # That there is no GPU is said before anything is printed.
    memory_of(options_of(arguments.target, None))
    recipe, dataset = RECIPES[arguments.dataset], load(arguments.dataset)
    data, model = prepared(recipe, dataset, arguments.seed), problem(recipe)
    epochs = arguments.epochs or recipe.epochs
    rows = _rows(arguments.batch_size, recipe, data)
    steps = epochs * -(-data.rows // rows)
    trainer = sn.Trainer(
        model.loss,
        optimizer(recipe, arguments.rate or recipe.rate, steps),
        metrics=model.metrics,
        target=arguments.target,
        threads=arguments.threads,
        seed=arguments.seed,
    )
    if not arguments.quiet:
        _introduce(recipe, dataset, data, model)
        print(f"training: {epochs} epochs, {steps} steps of {rows} rows")
    history = _fit(trainer, data, epochs, rows, arguments.quiet)
    return _report(trainer, recipe, data, history, epochs)


def _rows(asked: int | None, recipe: Recipe, data: Prepared) -> int:
    """Rows of a step: None asks for all, 0 for what the recipe says."""
    rows = data.rows if asked is None else asked or recipe.batch
    if rows > data.rows:
        raise UsageError(
            f"--batch-size: {rows} rows a step, but there are {data.rows} to learn from; "
            "write --batch-size all for all of them"
        )
    return rows


def _introduce(recipe: Recipe, dataset: Dataset, data: Prepared, model: Problem) -> None:
    """The data, the network, and the sheet of its formulas."""
    held = len(dataset) - data.rows
    print(f"data: {dataset}; {data.rows} rows to learn from, {held} held out")
    count = sum(math.prod(map(int, node.shape)) for node in model.network.parameters())
    print(f"network: {model.shown}, {count} parameters")
    if recipe.smoothing:
        least = recipe.smoothing / recipe.classes
        most = 1 - recipe.smoothing + least
        print(f"targets: {most:g} for the right class, {least:g} for each other")
    print()
    print(f"{sn.gradients(model.loss)}\n")


def _fit(trainer: sn.Trainer, data: Prepared, epochs: int, rows: int, quiet: bool) -> History:
    if not quiet:
        print("compiling ...", end="", flush=True)
    start = time.perf_counter()
    trainer.fit(data.training, epochs=0, batch_size=rows, progress=False)
    compiled = time.perf_counter() - start
    bar = sys.stderr.isatty() and not quiet
    if not quiet:
        count = trainer.compiles
        kernels = f"{count} kernels anew" if count else "every kernel was in the cache"
        print(f" {compiled:.2f} s: {kernels}", flush=True)
    start = time.perf_counter()
    lines = [] if bar or quiet else [_line(epochs)]
    history = trainer.fit(
        data.training, epochs=epochs, batch_size=rows, callbacks=lines, progress=bar
    )
    if not quiet and history.epochs == epochs:
        print(f"trained for {time.perf_counter() - start:.2f} s: {history}")
    return history


def _line(epochs: int) -> Callable[[State], None]:
    """A callback that writes a line after about every tenth part of the epochs."""
    every = max(1, round(epochs / LINES))

    def write(state: State) -> None:
        done = state.epoch + 1
        if done % every and done != epochs:
            return
        metrics = (f"  {name} {values[-1]:.4g}" for name, values in state.history.metrics.items())
        line = f"epoch {done:>{len(str(epochs))}}/{epochs}  loss {state.loss:.4g}{''.join(metrics)}"
        print(line, flush=True)

    return write


def _report(
    trainer: sn.Trainer, recipe: Recipe, data: Prepared, history: History, epochs: int
) -> int:
    tested = trainer.evaluate(data.held_out)[recipe.metric]
    value = f"{100 * tested:.1f} %" if recipe.classes else f"{tested:.2f}"
    shown = f"test {recipe.metric}: {value}"
    if history.epochs == epochs:
        print(shown)
        return 0
    if history.stopped.startswith("interrupted"):
        print(f"symnet: {history.stopped}; so far {shown}", file=sys.stderr)
        return INTERRUPTED
    print(f"symnet: {history.stopped}; try a lower --rate", file=sys.stderr)
    return FAILED
