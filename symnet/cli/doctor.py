"""`symnet doctor`: what of all that symnet stands on is here, and what mends the rest."""

from __future__ import annotations

import argparse

from codegen.doctor import as_json, diagnose, healthy, shown


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `symnet doctor` takes."""
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints the findings; 1 if something is wrong that computing on the CPU needs."""
    found = diagnose()
    print(as_json(found) if arguments.json else shown(found))
    return 0 if healthy(found) else 1
