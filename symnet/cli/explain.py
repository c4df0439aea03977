"""`symnet explain`: what a model and its gradient cost, what they compile to, and the report."""

from __future__ import annotations

import argparse
import zipfile
from pathlib import Path
from typing import Any, Final

import numpy as np

import symnet as sn
from symnet import cost
from symnet.cli.arguments import UsageError, whole
from symnet.cli.models import HELP, find_model
from symnet.cli.recipes import RECIPES, optimizer, prepared, problem
from symnet.data import load

EPOCHS: Final = 60
RATE: Final = 1e-2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `symnet explain` takes."""
    parser.add_argument("model", metavar="MODEL", help=HELP)
    parser.add_argument("--stage", metavar="NAME", help="print the program as this pass left it")
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="write the report on the model as one HTML file"
    )
    parser.add_argument(
        "--data", metavar="FILE", help="train on these arrays first: a .npz of input names"
    )
    parser.add_argument(
        "--epochs",
        type=whole(0),
        help=f"passes over the data for the report; {EPOCHS}, or what suits a built-in model",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Counts operations, compiles loss and gradient, and says what runs; or writes the report."""
    if arguments.output is not None:
        return _write(arguments)
    if arguments.data is not None or arguments.epochs is not None:
        raise UsageError("--data and --epochs are for the report: say -o report.html too")
    loss = find_model(arguments.model).loss
    if not arguments.stage:
        print(f"{cost.explain(loss)}\n", flush=True)
    function = sn.compile({"loss": loss, **sn.gradients(loss)})
    if arguments.stage:
        print(function.stage(arguments.stage))
        return 0
    print(f"stages: {', '.join(function.stages)}")
    print(function.explain())
    return 0


def _write(arguments: argparse.Namespace) -> int:
    """Trains, where there is data to train on, and writes the report."""
    if arguments.stage:
        raise UsageError("--stage prints a program, -o writes a report: give one of them")
    path = Path(arguments.output)
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise UsageError(f"-o: {path} is no place for a file")
    builtin = arguments.model in RECIPES
    if builtin and arguments.data:
        raise UsageError(f"--data: {arguments.model} has data of its own")
    if not builtin and arguments.epochs is not None and not arguments.data:
        raise UsageError("--epochs: there is nothing to train on, give --data too")
    trainer = _trained_builtin(arguments) if builtin else _trained(arguments)
    report = trainer.report(title=_title(arguments.model))
    try:
        report.save(path)
    except OSError as error:
        raise UsageError(f"-o: {path}: {error.strerror or error}") from error
    print(f"{path}: {len(report.html.encode()):,} bytes")
    return 0


def _title(model: str) -> str:
    return f"{model.rpartition(':')[2]}: the network, its gradients, its training"


def _trained_builtin(arguments: argparse.Namespace) -> sn.Trainer:
    recipe = RECIPES[arguments.model]
    data, model = prepared(recipe, load(arguments.model), seed=0), problem(recipe)
    epochs = recipe.epochs if arguments.epochs is None else arguments.epochs
    steps = max(1, epochs * -(-data.rows // recipe.batch))
    rule = optimizer(recipe, recipe.rate, steps)
    trainer = sn.Trainer(model.loss, rule, metrics=model.metrics)
    trainer.fit(
        data.training,
        epochs=epochs,
        batch_size=recipe.batch,
        validation=data.held_out,
        callbacks=sn.report.Recorder(),
        progress=False,
    )
    return trainer


def _trained(arguments: argparse.Namespace) -> sn.Trainer:
    model = find_model(arguments.model)
    trainer = model.trainer or sn.Trainer(model.loss, sn.optim.Adam(RATE))
    if arguments.data:
        data = _arrays(Path(arguments.data))
        rows = min((len(array) for array in data.values() if array.ndim), default=1)
        trainer.fit(
            data,
            epochs=EPOCHS if arguments.epochs is None else arguments.epochs,
            batch_size=min(32, rows) if rows else None,
            callbacks=sn.report.Recorder(),
            progress=False,
        )
    return trainer


def _arrays(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of a .npz file; UsageError if it is none. Nothing in it is executed."""
    try:
        stored = np.load(path, allow_pickle=False)
        if isinstance(stored, np.ndarray):
            raise UsageError(f"--data: {path} holds one array without a name; a .npz is needed")
        with stored:
            return {name: stored[name] for name in stored.files}
    except FileNotFoundError as error:
        raise UsageError(f"--data: {path}: there is no such file") from error
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UsageError(f"--data: {path} is no .npz file of numbers") from error
