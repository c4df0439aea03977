"""`symnet explain`: what a model and its gradient cost, and what they compile to."""

from __future__ import annotations

import argparse

import symnet as sn
from symnet import cost
from symnet.cli.models import HELP, find_model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `symnet explain` takes."""
    parser.add_argument("model", metavar="MODEL", help=HELP)
    parser.add_argument("--stage", metavar="NAME", help="print the program as this pass left it")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Counts operations, compiles loss and gradient, and says what runs."""
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
