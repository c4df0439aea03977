"""`symnet train`: derive, print, compile and train a built-in model, and test it."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Final

import symnet as sn
from symnet.cli.arguments import batch, one_of, positive, whole
from symnet.cli.recipes import RECIPES, Prepared, Problem, Recipe, optimizer, prepared, problem
from symnet.data import Dataset, load
from symnet.train.fit import State

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
    parser.add_argument("--quiet", action="store_true", help="print the last line only")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Trains and tests; 1 if the loss did not stay finite, 130 if interrupted."""
    recipe, dataset = RECIPES[arguments.dataset], load(arguments.dataset)
    data, model = prepared(recipe, dataset, arguments.seed), problem(recipe)
    if not arguments.quiet:
        _introduce(dataset, data, model)
    epochs = arguments.epochs or recipe.epochs
    rows = data.rows if arguments.batch_size is None else arguments.batch_size or recipe.batch
    rows = min(rows, data.rows)
    steps = epochs * -(-data.rows // rows)
    trainer = sn.Trainer(
        model.loss,
        optimizer(recipe, arguments.rate or recipe.rate, steps),
        metrics=model.metrics,
        threads=arguments.threads,
        seed=arguments.seed,
    )
    history = _fit(trainer, data, epochs, rows, arguments.quiet)
    return _report(trainer, recipe, data, history)


def _introduce(dataset: Dataset, data: Prepared, model: Problem) -> None:
    """The data, the network, and the sheet of its formulas."""
    held = len(dataset) - data.rows
    print(f"{dataset}; {data.rows} rows to learn from, {held} held out")
    print(f"network: {network_line(model)}\n")
    print(f"{sn.gradients(model.loss)}\n")
    counts = [int(parameter.value.size) for parameter in model.network.parameters()]
    print(f"{sum(counts)} parameters")


def _fit(
    trainer: sn.Trainer, data: Prepared, epochs: int, rows: int, quiet: bool
) -> sn.train.History:
    start = time.perf_counter()
    trainer.fit(data.training, epochs=0, batch_size=rows, progress=False)
    compiled = time.perf_counter() - start
    bar = sys.stderr.isatty() and not quiet
    if not quiet:
        print(f"compiled in {compiled:.2f} s: {trainer.compiles} kernels")
    start = time.perf_counter()
    history = trainer.fit(
        data.training,
        epochs=epochs,
        batch_size=rows,
        callbacks=[] if quiet or bar else [_line(epochs)],
        progress=bar,
    )
    return history
