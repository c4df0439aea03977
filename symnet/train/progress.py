"""A progress bar at the ends of chunks, on a terminal."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any

from symnet.lazy import rich_console, rich_progress
from symnet.train.history import History


class Progress:
    """A bar over epochs with the latest loss, on stderr; silent unless `shown`."""

    def __init__(self, epochs: int, shown: bool | None) -> None:
        self._epochs = epochs
        self._shown = sys.stderr.isatty() if shown is None else shown
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Progress:
        if self._shown:
            columns = (
                rich_progress.TextColumn("epoch {task.completed}/{task.total}"),
                rich_progress.BarColumn(),
                rich_progress.TextColumn("{task.description}"),
                rich_progress.TimeElapsedColumn(),
            )
            self._bar = rich_progress.Progress(*columns, console=rich_console.Console(stderr=True))
            self._bar.start()
            self._task = self._bar.add_task("", total=self._epochs)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, history: History) -> None:
        """Shows how far the history has come."""
        if self._bar is None:
            return
        parts = [f"loss {history.loss[-1]:.4g}"]
        parts += [f"{name} {values[-1]:.4g}" for name, values in history.metrics.items()]
        parts += [
            f"validation {name} {values[-1]:.4g}" for name, values in history.validation.items()
        ]
        self._bar.update(self._task, completed=history.epochs, description="  ".join(parts))
