"""One process from its start: `python -m tests.bench.start digits|sweep|import LIBRARY`.

Prints one line of JSON when it is done: the time of day and the peak memory in bytes. Nothing is
loaded that the library does not need.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
import time
from dataclasses import replace
from typing import Any

import numpy as np

from tests.bench.worker import MODULES
from tests.bench.workloads import BY_NAME, SWEEP_EPOCHS, SWEEP_WIDTHS, Workload, digits, start_of


def one(library: str, workload: Workload, epochs: int) -> None:
    """Trains a workload from weights of its own."""
    peer = importlib.import_module(MODULES[library])
    made: Any = peer.make(workload, start_of(workload.widths), None, "eager")
    made.train(epochs)


def sweep(library: str) -> None:
    """Trains the digits at every width."""
    rows = BY_NAME["digits"]
    for width in SWEEP_WIDTHS:
        if library == "scikit-learn":
            _perceptron(width)
        else:
            one(library, replace(rows, widths=(64, width, 10)), SWEEP_EPOCHS)


def _perceptron(width: int) -> None:
    neural = importlib.import_module("sklearn.neural_network")
    features, labels = digits()
    network = neural.MLPClassifier(
        (width,), batch_size=32, alpha=0.0, max_iter=SWEEP_EPOCHS, tol=0.0,
        n_iter_no_change=SWEEP_EPOCHS + 1, random_state=0,
    )  # fmt: skip
    network.fit(features.astype(np.float32), labels)


def main() -> None:
    """Does what the arguments say, then prints."""
    what, library = sys.argv[1:3]
    if what == "import":
        importlib.import_module(library)
    elif what == "sweep":
        sweep(library)
    else:
        one(library, BY_NAME["digits"], 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"done": time.time(), "peak": peak}))


if __name__ == "__main__":
    main()
