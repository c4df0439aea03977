"""`python -m tests.bench [workload ...] [--rounds 9] [--seconds 0.3] [--skip PEER]
[--json FILE]`.

Without names it runs everything: the workloads, the sweep, and how processes start. Each peer runs
in processes of its own, with 1 and with 2 threads; the faster form counts. symnet runs as a user
gets it. Every library begins at symnet's weights, sees the same data, shuffles it in every epoch,
and must give losses equal to 1e-4 in the first steps with the rows in order, or is not timed.
`symnet/floor` is explained in tests/bench/floor.py. Numbers in brackets are what issue 4 asks.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from codegen.machine import this_machine
from tests.bench.processes import Started, starts, sweeps
from tests.bench.rounds import Result, run, say
from tests.bench.table import COLUMNS, line, processes_table, steps_table, sweep_summary
from tests.bench.workloads import BY_NAME, NAMES

LIBRARIES = ("numpy", "numba", "llvmlite", "torch", "jax", "jaxlib", "scikit-learn")


def arguments(given: list[str] | None) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    choices = (*NAMES, "starts")
    parser.add_argument("workload", nargs="*", help=f"of {', '.join(choices)}; all if none")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.3, help="of a measurement, about")
    parser.add_argument("--skip", action="append", default=[], choices=COLUMNS[1:], help="a peer")
    parser.add_argument("--json", type=Path, metavar="FILE", help="writes everything there, too")
    asked = parser.parse_args(given)
    wrong = [name for name in asked.workload if name not in choices]
    if wrong or asked.rounds < 1:
        parser.error(f"no workload {wrong[0]!r}" if wrong else "at least one round")
    asked.workload = asked.workload or list(choices)
    return asked


def versions() -> dict[str, str]:
    """The versions of what is compared; "not installed" where it is not."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def document(results: list[Result], kinds: list[Started]) -> dict[str, Any]:
    """All that was measured, the machine and the versions."""
    machine = {**asdict(this_machine()), "load": os.getloadavg(), "system": platform.platform()}
    return {
        "machine": machine,
        "versions": versions(),
        "rates": {result.workload.name: asdict(result.rates) for result in results},
        "workloads": [result.as_json() for result in results],
        "processes": [kind.as_json() for kind in kinds],
    }


def main(given: list[str] | None = None) -> None:
    """Measures and prints."""
    asked = arguments(given)
    chosen = [BY_NAME[name] for name in BY_NAME if name in asked.workload]
    say(", ".join(f"{name} {version}" for name, version in versions().items()))
    results = run(chosen, asked.rounds, asked.seconds, asked.skip, lambda one: say(line(one)))
    if results:
        print(steps_table(results), flush=True)
    swept = sweeps() if "sweep" in asked.workload else []
    started = starts() if "starts" in asked.workload else []
    if swept or started:
        print("\nwhole processes, median of 3\n" + processes_table([*swept, *started]))
    if swept:
        print(sweep_summary(swept))
    if asked.json:
        asked.json.write_text(json.dumps(document(results, [*swept, *started]), indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
