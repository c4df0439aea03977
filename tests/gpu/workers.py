"""Processes that are asked things and may hang or crash without harm to who asks.

`python -m tests.gpu.workers MODULE` answers requests, pickled over the standard streams, with the
methods of what `MODULE.make` gave.
"""

from __future__ import annotations

import importlib
import os
import pickle
import select
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

TREE = Path(__file__).parents[2]
_HEAD = struct.Struct("<Q")


class Failed(Exception):
    """A worker raised, ended, or did not answer in time; the text is one line."""


class Worker:
    """A process, seen from outside. What it writes to its error stream is kept in a file."""

    def __init__(self, module: str, environment: dict[str, str]) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.gpu.workers", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**environment, "PYTHONPATH": str(TREE)},
            cwd=TREE,
        )

    def send(self, method: str, *arguments: Any) -> None:
        """Asks without waiting."""
        assert self._process.stdin
        try:
            _write(self._process.stdin.fileno(), (method, arguments))
        except OSError:
            raise Failed(self._ended()) from None

    def receive(self, seconds: float) -> Any:
        """The next answer; Failed if there is none within that time, after which the process is
        ended."""
        assert self._process.stdout
        deadline = time.monotonic() + seconds
        try:
            fine, value = _read(self._process.stdout.fileno(), deadline)
        except TimeoutError:
            self.close()
            raise Failed(f"no answer within {seconds:.0f} s") from None
        except EOFError:
            raise Failed(self._ended()) from None
        if not fine:
            raise Failed(value)
        return value

    def ask(self, seconds: float, method: str, *arguments: Any) -> Any:
        """Asks, and waits at most so long."""
        self.send(method, *arguments)
        return self.receive(seconds)

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            if stream:
                stream.close()
        self._process.wait()
        self._errors.close()

    def _ended(self) -> str:
        status = self._process.wait(10)
        self._errors.seek(0)
        lines = self._errors.read()[-4000:].decode(errors="replace").strip().splitlines()
        return f"the process ended with status {status}: {lines[-1] if lines else 'no more said'}"


def _write(stream: int, value: Any) -> None:
    data = pickle.dumps(value)
    view = memoryview(_HEAD.pack(len(data)) + data)
    while view:
        view = view[os.write(stream, view) :]


def _read(stream: int, deadline: float | None = None) -> Any:
    (count,) = _HEAD.unpack(_bytes(stream, _HEAD.size, deadline))
    return pickle.loads(_bytes(stream, count, deadline))


def _bytes(stream: int, count: int, deadline: float | None) -> bytes:
    """So many bytes; EOFError if the stream ends before, TimeoutError if the time does."""
    found = bytearray()
    while len(found) < count:
        left = None if deadline is None else max(deadline - time.monotonic(), 0)
        if not select.select([stream], [], [], left)[0]:
            raise TimeoutError
        piece = os.read(stream, count - len(found))
        if not piece:
            raise EOFError
        found += piece
    return bytes(found)


class Served:
    """What a worker answers to."""

    def __init__(self, module: str) -> None:
        self._module = importlib.import_module(module)
        self._made: Any = None
        self._steps = 1

    def build(self, row: Any, kind: str, start: Any, count: int) -> list[float]:
        """Makes the row's workload and gives the losses of its first steps."""
        self._steps = row.workload.steps
        self._made = self._module.make(row, kind, start)
        return [float(loss) for loss in self._made.losses(count)]

    def made(self, method: str, *arguments: Any) -> Any:
        """A method of what was made."""
        return getattr(self._made, method)(*arguments)

    def call(self, function: str, *arguments: Any) -> Any:
        """A function of the module."""
        return getattr(self._module, function)(*arguments)

    def seconds(self, epochs: int) -> float:
        """How long so many epochs take, until all of it is done."""
        begin = time.perf_counter()
        self._made.train(epochs)
        return time.perf_counter() - begin

    def microseconds(self, epochs: int) -> float:
        """Microseconds a step over so many epochs."""
        return 1e6 * self.seconds(epochs) / (epochs * self._steps)

    def epochs_within(self, seconds: float) -> int:
        """How many epochs take about so long; at least one. It warms up, too."""
        epochs = 1
        self.seconds(1)
        while (elapsed := self.seconds(epochs)) < seconds / 4:
            epochs *= 4 if elapsed < seconds / 16 else 2
        return max(1, round(epochs * seconds / elapsed))


def main() -> None:
    """Answers until the input ends."""
    answers = os.dup(1)
    os.dup2(2, 1)  # What a library prints must not stand between the answers.
    served: Served | None = None
    while True:
        try:
            method, arguments = _read(0)
        except EOFError:
            return
        try:
            served = served or Served(sys.argv[1])
            answer = (True, getattr(served, method)(*arguments))
        except Exception as error:
            traceback.print_exc()
            lines = str(error).strip().splitlines() or [""]
            answer = (False, f"{type(error).__name__}: {lines[0][:300]}")
        _write(answers, answer)


if __name__ == "__main__":
    main()
