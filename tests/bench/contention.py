"""Trainings beside one another: `python -m tests.bench.contention`.

Prints microseconds a step of the digits and of a wider network, alone and beside others, and the
ratio; all in one run, round by round, since the machine may be shared.
"""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable
from multiprocessing.queues import Queue

import numpy as np

from tests.bench.ours import Training
from tests.bench.workloads import BY_NAME, Workload

SECONDS = 1.0
ROUNDS = 3
NAMES = ("digits", "mnist-small")
Measured = Callable[[str, int | None], float]


def ready(name: str, threads: int | None) -> tuple[Training, Workload]:
    """A compiled training that has run once."""
    workload = BY_NAME[name]
    made = Training(workload, None, threads)
    made.train(1)
    return made, workload


def timed(made: Training, workload: Workload, seconds: float = SECONDS) -> float:
    """Microseconds a step, measured for about so long."""
    start, epochs = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - start) < seconds:
        made.train(4)
        epochs += 4
    return elapsed / (epochs * workload.steps) * 1e6


def alone(name: str, threads: int | None) -> float:
    """Nothing else of ours runs."""
    return timed(*ready(name, threads))


def two_threads(name: str, threads: int | None) -> float:
    """The mean of two trainings in two threads of Python."""
    found: list[float] = []
    pairs = [ready(name, threads) for _ in range(2)]
    both = [threading.Thread(target=lambda pair=pair: found.append(timed(*pair))) for pair in pairs]
    for each in both:
        each.start()
    for each in both:
        each.join()
    return float(np.mean(found))


def _process(name: str, threads: int | None, queue: Queue[float]) -> None:
    queue.put(alone(name, threads))


def two_processes(name: str, threads: int | None) -> float:
    """The mean of two trainings in two processes."""
    context = multiprocessing.get_context("fork")
    queue: Queue[float] = context.Queue()
    both = [context.Process(target=_process, args=(name, threads, queue)) for _ in range(2)]
    for each in both:
        each.start()
    found = [queue.get() for _ in both]
    for each in both:
        each.join()
    return float(np.mean(found))


def busy_thread(name: str, threads: int | None) -> float:
    """Beside a thread that runs Python all the time."""
    over = threading.Event()

    def busy() -> None:
        while not over.is_set():
            sum(range(1000))

    pair = ready(name, threads)
    thread = threading.Thread(target=busy)
    thread.start()
    try:
        return timed(*pair)
    finally:
        over.set()
        thread.join()


SITUATIONS: dict[str, Measured] = {
    "alone": alone,
    "two threads": two_threads,
    "two processes": two_processes,
    "busy thread": busy_thread,
}


def main() -> None:
    """Every situation with each number of workers, taking turns."""
    for name in NAMES:
        print(f"{name}, us a step (ratio to alone)")
        for threads in (1, 2, None, 8):
            times: dict[str, list[float]] = {each: [] for each in SITUATIONS}
            for _ in range(ROUNDS):
                for each, measured in SITUATIONS.items():
                    times[each].append(measured(name, threads))
            middle = {each: float(np.median(found)) for each, found in times.items()}
            shown = [
                f"{each} {value:.1f} ({value / middle['alone']:.2f})"
                for each, value in middle.items()
            ]
            print(f"  threads {threads}: {'; '.join(shown)}", flush=True)


if __name__ == "__main__":
    main()
