"""`symnet check`: a model's gradient against differences, the complex step, torch and JAX; or,
with --certify, its value and gradient against numbers of high precision."""

from __future__ import annotations

import argparse

import symnet as sn
from symnet.cli.arguments import UsageError, whole
from symnet.cli.models import HELP, find_model, sample_feeds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `symnet check` takes."""
    parser.add_argument("model", metavar="MODEL", help=HELP)
    parser.add_argument("--seed", type=whole(0), default=0, help="decides the numbers tried")
    parser.add_argument(
        "--certify", action="store_true", help="say what is lost to rounding, and where"
    )
    parser.add_argument(
        "--naive", action="store_true", help="certify the formulas as written, not as they run"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints the table of comparisons; 1 if one of them fails."""
    if arguments.naive and not arguments.certify:
        raise UsageError("--naive says what --certify looks at: give both")
    model = find_model(arguments.model)
    feeds = sample_feeds(model.loss, arguments.seed)
    if arguments.certify:
        certificate = sn.certify(
            model.loss,
            {**feeds, **model.parameters},
            stabilize=not arguments.naive,
            seed=arguments.seed,
        )
        print(certificate)
        return 0 if certificate else 1
    result = sn.check_grad(model.loss, {**feeds, **model.parameters}, seed=arguments.seed)
    print(result)
    wrong = sum(row.verdict == "WRONG" for row in result)
    compared = sum(row.absolute is not None for row in result)
    print(f"{compared} comparisons, {wrong or 'none'} wrong")
    return 0 if result else 1
