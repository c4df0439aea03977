"""Each probe in a process of its own, all at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

SECONDS: Final = 60.0
"""How long a probe may take, as on a machine that is busy with much else."""
PROBE: Final = "codegen.doctor.probe"

Answer = dict[str, Any]


def ask(probes: Mapping[str, Sequence[str]], seconds: float = SECONDS) -> dict[str, Answer]:
    """What probes answer, by the keys under which their names (of `codegen.doctor.probe`) and
    arguments stand. An answer with the key "fault" says why there is none."""
    try:
        place = tempfile.TemporaryDirectory(prefix="symnet-doctor-", ignore_cleanup_errors=True)
    except OSError as error:
        return {key: {"fault": f"no temporary folder can be made: {error}"} for key in probes}
    with place:
        running = {key: _started(given, place.name) for key, given in probes.items()}
        try:
            return {key: _answer(one, seconds) for key, one in running.items()}
        finally:
            for one in running.values():
                if isinstance(one, subprocess.Popen):
                    with suppress(OSError):
                        one.kill()
                    one.communicate()


def _started(given: Sequence[str], place: str) -> subprocess.Popen[str] | OSError:
    settings = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PYTHONIOENCODING": "utf-8",
        # Kernels of the probe are compiled anew, and are not kept.
        "SYMNET_CACHE": os.path.join(place, "kernels"),
    }
    command = [sys.executable, "-P", "-m", PROBE, *given]
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            env=settings,
        )
    except OSError as error:
        return error


def _answer(child: subprocess.Popen[str] | OSError, seconds: float) -> Answer:
    if isinstance(child, OSError):
        return {"fault": f"Python cannot be started: {child}"}
    try:
        printed, faults = child.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        return {"fault": f"no answer within {seconds:g} s"}
    if child.returncode < 0:
        return {"fault": f"the process was ended by {_signal(-child.returncode)}"}
    try:
        # The last line, for a library may print one of its own when it is imported.
        answer = json.loads(printed.splitlines()[-1])
    except (IndexError, ValueError):
        told = faults.strip().splitlines()
        return {"fault": told[-1] if told else f"it ended with status {child.returncode}"}
    return answer if isinstance(answer, dict) else {"fault": "an answer that makes no sense"}


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
