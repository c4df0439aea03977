"""What a training went through."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape

import numpy as np

from symnet.charts import line_chart


@dataclass
class History:
    """The record of a fit.

    loss: one value an epoch, the mean over its steps, each taken before that step's update.
    step_loss, step_rate: one value a step. metrics: name -> one value an epoch, over the training
    batches. validation: name -> one value an epoch. rate: the rate of each epoch's last step.
    stopped: why it ended, in words. best_epoch: the epoch, from 0, that patience found best.
    notes: what was rounded on the way in.
    """

    loss: list[float] = field(default_factory=list)
    step_loss: list[float] = field(default_factory=list)
    step_rate: list[float] = field(default_factory=list)
    metrics: dict[str, list[float]] = field(default_factory=dict)
    validation: dict[str, list[float]] = field(default_factory=dict)
    rate: list[float] = field(default_factory=list)
    stopped: str = ""
    best_epoch: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def epochs(self) -> int:
        """How many epochs were completed."""
        return len(self.loss)

    def value(self, what: str) -> float:
        """The latest value of `loss`, a metric, or `validation.<name>`; KeyError if unknown."""
        group, _, name = what.rpartition(".")
        if group == "validation":
            return self.validation[name][-1]
        return self.loss[-1] if what == "loss" else self.metrics[what][-1]

    def curves(self) -> dict[str, dict[str, list[float]]]:
        """What there is to plot: title -> name -> one value an epoch."""
        groups: dict[str, dict[str, list[float]]] = {}
        for name, values in {"loss": self.loss, **self.metrics}.items():
            held_out = self.validation.get(name)
            groups[name] = {name: values, **({"validation": held_out} if held_out else {})}
        groups["rate"] = {"rate": self.rate}
        return {title: series for title, series in groups.items() if any(series.values())}

    def _repr_html_(self) -> str:
        charts = "".join(
            line_chart(series, title, first=1, linear=title == "rate")
            for title, series in self.curves().items()
        )
        return (
            f'<div class="symnet"><div>{escape(str(self))}</div>'
            f'<div style="display: flex; flex-wrap: wrap; gap: 1em">{charts}</div></div>'
        )

    def __str__(self) -> str:
        if not self.loss:
            return f"0 epochs; {self.stopped}"
        ends = f"loss {self.loss[0]:.4g} -> {self.loss[-1]:.4g}"
        return f"{self.epochs} epochs, {len(self.step_loss)} steps, {ends}; {self.stopped}"


@dataclass
class Record:
    """The values of single steps until their epoch is complete.

    missing: steps of the first epoch that an earlier fit made.
    """

    steps: int
    names: tuple[str, ...]
    missing: int = 0
    kept: dict[str, list[float]] = field(default_factory=dict)

    def extend(self, values: dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]]) -> None:
        """Appends the values of further steps."""
        for name in self.names:
            self.kept.setdefault(name, []).extend(values[name].tolist())

    def close_epochs(self, history: History) -> int:
        """Moves whole epochs into the history and returns how many there were."""
        first = self.steps - self.missing
        rest = len(self.kept.get("loss", ())) - first
        if rest < 0:
            return 0
        closed, self.missing = 1 + rest // self.steps, 0
        whole = first + (closed - 1) * self.steps
        for name in self.names:
            values = self.kept[name][:whole]
            del self.kept[name][:whole]
            if name == "rate":
                history.rate += values[first - 1 :: self.steps]
            elif name == "loss":
                history.loss += _means(values, first, self.steps)
            else:
                metric = history.metrics.setdefault(name.removeprefix("metric "), [])
                metric += _means(values, first, self.steps)
        return closed


def _means(values: list[float], first: int, steps: int) -> list[float]:
    """The mean of so many values at first, then of each further number of steps."""
    rest = np.array(values[first:]).reshape(-1, steps)
    return [float(np.mean(values[:first])), *rest.mean(axis=1).tolist()]
