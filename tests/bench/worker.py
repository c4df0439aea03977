"""A peer in a process of its own: `python -m tests.bench.worker LIBRARY KIND THREADS`.

Requests and answers are pickled over the standard streams. A worker that waits costs nothing, so
that rounds of several libraries can take turns, each with its own number of threads.
"""

from __future__ import annotations

import importlib
import os
import pickle
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.workloads import Array, Workload

TREE = Path(__file__).parents[2]
MODULES = {
    "symnet": "tests.bench.ours",
    "torch": "tests.bench.peer_torch",
    "jax": "tests.bench.peer_jax",
    "pytensor": "tests.bench.peer_pytensor",
    "micrograd": "tests.bench.peer_micrograd",
    "machine": "tests.bench.limits",
}


@dataclass(frozen=True)
class Form:
    """A library, how it runs (eager, compile, scan ...) and on how many threads; 0: its default."""

    library: str
    kind: str
    threads: int

    @property
    def column(self) -> str:
        """What of several forms the fastest stands for."""
        return f"{self.library} {self.kind}".strip()

    def __str__(self) -> str:
        return f"{self.column}, {self.threads} threads" if self.threads else self.column


def environment(threads: int) -> dict[str, str]:
    """The environment of a process that is to use so many threads; 0 leaves all as it is."""
    found = {**os.environ, "PYTHONPATH": str(TREE), "JAX_PLATFORMS": "cpu"}
    if threads:
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC")
        found |= {name: str(threads) for name in names}
        eigen = "true" if threads > 1 else "false"
        found["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={eigen}"
    return found


class Failed(Exception):
    """What a worker raised, in a line."""


class Worker:
    """The process of a form, seen from outside."""

    def __init__(self, form: Form, python: str = sys.executable) -> None:
        self.form = form
        command = [python, "-m", "tests.bench.worker"]
        self._process = subprocess.Popen(
            [*command, form.library, form.kind, str(form.threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(form.threads),
            cwd=TREE,
        )

    def send(self, method: str, *arguments: Any) -> None:
        """Asks without waiting."""
        assert self._process.stdin
        pickle.dump((method, arguments), self._process.stdin)
        self._process.stdin.flush()

    def receive(self) -> Any:
        """The next answer; Failed if the worker raised or has ended."""
        assert self._process.stdout
        try:
            fine, value = pickle.load(self._process.stdout)
        except EOFError:
            raise Failed(f"the process ended with status {self._process.wait()}") from None
        if not fine:
            raise Failed(value)
        return value

    def ask(self, method: str, *arguments: Any) -> Any:
        """Asks and waits."""
        self.send(method, *arguments)
        return self.receive()

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            if stream:
                stream.close()
        self._process.wait()


class Served:
    """What a worker answers to."""

    def __init__(self, form: Form) -> None:
        self._form, self._module = form, importlib.import_module(MODULES[form.library])
        self._made: Any = None
        self._steps = 1

    def build(self, workload: Workload, start: list[Array] | None) -> None:
        """Makes the workload, from given weights but for symnet."""
        self._made = None
        form = self._form
        self._made = self._module.make(workload, start, form.threads or None, form.kind)
        # What is slow enough makes fewer steps than there are in an epoch.
        self._steps = getattr(self._made, "steps", workload.steps)

    def made(self, method: str, *arguments: Any) -> Any:
        """A method of what was made."""
        return getattr(self._made, method)(*arguments)

    def seconds(self, epochs: int) -> float:
        """How long so many epochs take."""
        begin = time.perf_counter()
        self._made.train(epochs)
        return time.perf_counter() - begin

    def microseconds(self, epochs: int) -> float:
        """Microseconds a step over so many epochs."""
        return 1e6 * self.seconds(epochs) / (epochs * self._steps)

    def peak(self) -> int:
        """The most memory that the process has had, in bytes."""
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    def epochs_within(self, seconds: float) -> int:
        """How many epochs take about so long; at least one. It warms up, too.

        What a call costs besides its epochs must not be taken for theirs, so that it is tried with
        half of them at least.
        """
        epochs = 1
        self.seconds(1)
        while (elapsed := self.seconds(epochs)) < seconds / 2:
            epochs *= 4 if elapsed < seconds / 16 else 2
        return max(1, round(epochs * seconds / elapsed))


def main() -> None:
    """Answers until the input ends."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # What a library prints must not stand between the answers.
    served: Served | None = None
    form = Form(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    while True:
        try:
            method, arguments = pickle.load(requests)
        except EOFError:
            return
        try:
            served = served or Served(form)
            answer = (True, getattr(served, method)(*arguments))
        except Exception as error:
            lines = str(error).strip().splitlines() or [""]
            answer = (False, f"{type(error).__name__}: {lines[0]}")
        pickle.dump(answer, answers)
        answers.flush()


if __name__ == "__main__":
    main()
