"""`python tests/gpu/run_all.py [--seconds 470] [--skip COLUMN] [--only WORKLOAD] [--json FILE]`.

On a machine with a GPU: prints versions, runs every test marked `gpu`, then the benchmark, and
prints the table last. Everything that could hang or crash is a process of its own with a limit of
time: what fails is a line of the result. The JSON goes to the folder $OUT if that is set, else to
tests/gpu/results/. The status is 1 if a test or symnet itself failed, 2 without a GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

TREE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE))

from tests.gpu.cases import FORMS, OURS, ROWS, Row, small  # noqa: E402
from tests.gpu.machine import environment, versions  # noqa: E402
from tests.gpu.measuring import Bench, Result, say  # noqa: E402
from tests.gpu.table import table  # noqa: E402
from tests.gpu.workers import Failed, Worker  # noqa: E402

TESTS = 170.0
"""Seconds that the tests may take at most."""
WARMING = 60.0
"""Seconds that are waited for the compilers after the tests."""
ENOUGH = 35.0
"""Seconds under which no other workload is begun."""


def arguments(given: list[str] | None) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    columns = [form.column for form in FORMS if form != OURS]
    names = [row.name for row in ROWS]
    parser.add_argument("--seconds", type=float, default=470, help="for everything")
    parser.add_argument("--skip", action="append", default=[], choices=columns)
    parser.add_argument("--only", action="append", default=[], choices=names)
    parser.add_argument("--no-tests", action="store_true")
    parser.add_argument("--small", action="store_true", help="two steps an epoch: does it work?")
    parser.add_argument("--json", type=Path, metavar="FILE")
    return parser.parse_args(given)


def tests(seconds: float, around: dict[str, str]) -> dict[str, Any]:
    """The tests marked `gpu`: status, how long, and the end of what they printed."""
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-m", "gpu", "tests/gpu"]
    # Plug-ins that happen to be installed may warn; here that says nothing.
    command += ["-o", "filterwarnings=default", "-p", "no:cacheprovider", "--durations=5"]
    # Most of it is compiling.
    command += ["-n", "6"] if find_spec("xdist") else []
    begun = time.monotonic()
    process = subprocess.Popen(
        command,
        cwd=TREE,
        env={**around, "PYTHONPATH": str(TREE)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        printed, _ = process.communicate(timeout=seconds)
        status: int | str = process.returncode
    except subprocess.TimeoutExpired:
        process.kill()
        printed, _ = process.communicate()
        status = f"ended after {seconds:.0f} s"
    tail = "\n".join(printed.strip().splitlines()[-60:])
    print(tail, flush=True)
    return {"status": status, "seconds": time.monotonic() - begun, "printed": tail}


class Warming:
    """Processes that compile what the benchmark will run, while the tests do: the kernels are kept
    on disk. What fails here is told by the benchmark."""

    def __init__(self, rows: Sequence[Row], around: dict[str, str]) -> None:
        self._workers = [Worker(OURS.module, around) for _ in rows]
        for worker, row in zip(self._workers, rows, strict=True):
            worker.send("build", row, OURS.kind, None, 1)

    def end(self, seconds: float) -> None:
        """Waits at most so long for all of them."""
        deadline = time.monotonic() + seconds
        for worker in self._workers:
            try:
                worker.receive(max(deadline - time.monotonic(), 0.1))
            except Failed as fault:
                say(f"warming: {fault}")
            worker.close()


def asked(function: str, seconds: float, around: dict[str, str]) -> Any:
    """What a function of tests.gpu.machine gives in a process of its own, or why it does not."""
    worker = Worker("tests.gpu.machine", around)
    try:
        return worker.ask(seconds, "call", function)
    except Failed as fault:
        say(f"{function}: {fault}")
        return f"not available: {fault}"
    finally:
        worker.close()


def _write(file: Path, found: dict[str, Any]) -> None:
    file.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")


def place_of(wanted: Path | None, device: Any) -> Path:
    """Where the JSON goes."""
    if wanted is not None:
        return wanted
    folder = Path(os.environ.get("OUT") or TREE / "tests" / "gpu" / "results")
    folder.mkdir(parents=True, exist_ok=True)
    name = device["name"] if isinstance(device, dict) else "none"
    plain = "".join(each if each.isalnum() else "-" for each in str(name).lower()).strip("-")
    return folder / f"{datetime.now(UTC):%Y-%m-%d}-{plain}.json"


def main(given: list[str] | None = None) -> int:
    """Runs everything; the status."""
    begun, chosen = time.monotonic(), arguments(given)
    around = environment()

    def left() -> float:
        return chosen.seconds - (time.monotonic() - begun)

    found: dict[str, Any] = {"date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}
    found["versions"] = versions()
    for name, version in found["versions"].items():
        print(f"{name} {version}")
    found["device"] = asked("device", 60, around)
    print(f"device {found['device']}", flush=True)
    if not isinstance(found["device"], dict):
        print("no GPU, so nothing was measured")
        if chosen.json is not None:
            _write(chosen.json, found)
        return 2
    file = place_of(chosen.json, found["device"])
    keep = partial(_write, file, found)
    keep()
    rows = [row for row in ROWS if not chosen.only or row.name in chosen.only]
    warming = Warming(rows, around)
    if not chosen.no_tests:
        say("tests")
        found["tests"] = tests(min(TESTS, left()), around)
        keep()
    warming.end(min(WARMING, left()))
    found["copy_bytes_a_second"] = asked("copy_bandwidth", 60, around)
    results: list[Result] = []
    found["workloads"] = []
    for row in rows:
        if left() < ENOUGH:
            break
        say(row.name)
        bench = Bench(small(row) if chosen.small else row, around, left)
        results.append(bench.run(chosen.skip))
        found["workloads"].append(results[-1].as_json())
        keep()
    found["seconds"] = time.monotonic() - begun
    keep()
    return end(found, results, file)


def end(found: dict[str, Any], results: list[Result], file: Path) -> int:
    """Prints the table; the status."""
    bandwidth = found["copy_bytes_a_second"]
    measured = bandwidth if isinstance(bandwidth, float) else None
    tested = found.get("tests", {}).get("status", "not run")
    print(f"\n{found['device']}\ntests: status {tested}; {found['seconds']:.0f} s; {file}")
    unmeasured = [row.name for row in ROWS if row.name not in {each.row.name for each in results}]
    if unmeasured:
        print(f"not measured: {', '.join(unmeasured)}")
    print(table(results, measured), flush=True)
    failed = any(result.of(OURS.column).median is None for result in results)
    return int(failed or tested not in (0, "not run"))


if __name__ == "__main__":
    sys.exit(main())
