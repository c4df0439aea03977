"""`python -m tests.bench [workload ...] [--rounds 9] [--seconds 0.3] [--skip PEER]
[--python LIBRARY=PATH] [--json FILE]`.

Without names it runs everything: the workloads, the sweep, and how processes start. Each peer runs
in processes of its own, with 1 and with 2 threads; the faster form counts. symnet runs as a user
gets it. Every library begins at symnet's weights, sees the same data, shuffles it in every epoch,
and must give losses equal to 1e-4 in the first steps with the rows in order, or is not timed.
`symnet/floor` is explained in tests/bench/floor.py. Numbers in brackets are what issue 4 asks.
A library that is not installed has no figures; one that cannot be installed beside symnet may run
in an interpreter of its own: `--python pytensor=/somewhere/bin/python` (it needs NumPy, and
scikit-learn for the digits).
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from codegen.machine import this_machine
from tests.bench.processes import Started, starts, sweeps
from tests.bench.rounds import Result, run, say
from tests.bench.table import (
    COLUMNS,
    line,
    memory_table,
    needs_table,
    processes_table,
    steps_table,
    sweep_summary,
)
from tests.bench.workloads import BY_NAME, NAMES

LIBRARIES = (
    "numpy", "numba", "llvmlite", "torch", "jax", "jaxlib", "scikit-learn", "pytensor", "micrograd",
)  # fmt: skip
PEERS = ("torch", "jax", "pytensor", "micrograd")


def arguments(given: list[str] | None) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    choices = (*NAMES, "starts")
    parser.add_argument("workload", nargs="*", help=f"of {', '.join(choices)}; all if none")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.3, help="of a measurement, about")
    parser.add_argument("--skip", action="append", default=[], choices=COLUMNS[1:], help="a peer")
    parser.add_argument("--python", action="append", default=[], metavar="LIBRARY=PATH",
                        help=f"the interpreter of one of {', '.join(PEERS)}")  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="writes everything there, too")
    asked = parser.parse_args(given)
    wrong = [name for name in asked.workload if name not in choices]
    if wrong or asked.rounds < 1:
        parser.error(f"no workload {wrong[0]!r}" if wrong else "at least one round")
    asked.workload = asked.workload or list(choices)
    asked.python = dict(one.partition("=")[::2] for one in asked.python)
    for library, path in asked.python.items():
        if library not in PEERS or not Path(path).is_file():
            parser.error(f"--python: {library}={path} is not a peer and its interpreter")
    return asked


def versions(pythons: dict[str, str]) -> dict[str, str]:
    """The versions of what is compared; "not installed" where it is not."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    for name, path in pythons.items():
        show = f"import importlib.metadata as m; print(m.version({name!r}))"
        told = subprocess.run([path, "-c", show], capture_output=True, text=True, check=False)
        found[name] = f"{told.stdout.strip() or 'not installed'} in {path}"
    return found


def document(
    results: list[Result], kinds: list[Started], known: dict[str, str]
) -> dict[str, Any]:
    """All that was measured, the machine and the versions."""
    machine = {**asdict(this_machine()), "load": os.getloadavg(), "system": platform.platform()}
    return {
        "machine": machine,
        "versions": known,
        "workloads": [result.as_json() for result in results],
        "processes": [kind.as_json() for kind in kinds],
    }


def main(given: list[str] | None = None) -> None:
    """Measures and prints."""
    asked = arguments(given)
    chosen = [BY_NAME[name] for name in BY_NAME if name in asked.workload]
    known = versions(asked.python)
    say(", ".join(f"{name} {version}" for name, version in known.items()))
    results = run(
        chosen, asked.rounds, asked.seconds, asked.skip, lambda one: say(line(one)), asked.python
    )
    if results:
        tables = (steps_table, needs_table, memory_table)
        print("\n\n".join(table(results) for table in tables), flush=True)
    swept = sweeps() if "sweep" in asked.workload else []
    started = starts(asked.python) if "starts" in asked.workload else []
    if swept or started:
        print("\nwhole processes, median of 3\n" + processes_table([*swept, *started]))
    if swept:
        print(sweep_summary(swept))
    if asked.json:
        everything = document(results, [*swept, *started], known)
        asked.json.write_text(json.dumps(everything, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
