"""What a trainer remembers of its fits, for a report on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from symnet.expr import Expr
from symnet.feeds import Bound, Feeds
from symnet.report import Parts, Recorder, Subject
from symnet.train.history import History

Array = np.ndarray[Any, Any]


@dataclass
class Past:
    """The data of the last fit, the histories of all, and the recorders that followed them.

    The data is not copied: it is the arrays that were given.
    """

    feeds: Feeds = field(default_factory=dict)
    histories: list[History] = field(default_factory=list)
    recorders: list[Recorder] = field(default_factory=list)

    def begin(
        self,
        feeds: Feeds,
        history: History,
        callbacks: Sequence[object],
        parameters: Mapping[str, Array],
    ) -> None:
        """A fit is about to start."""
        self.feeds = feeds
        self.histories.append(history)
        for callback in callbacks:
            if isinstance(callback, Recorder):
                callback.begin(parameters)
                if callback not in self.recorders:
                    self.recorders.append(callback)

    def curves(self) -> dict[str, dict[str, list[float]]]:
        """Title -> name -> one value an epoch, of all fits one after the other."""
        groups: dict[str, dict[str, list[float]]] = {}
        for history in self.histories:
            for title, series in history.curves().items():
                for name, values in series.items():
                    groups.setdefault(title, {}).setdefault(name, []).extend(values)
        return groups

    def ended(self) -> str:
        """How many epochs there were, and why the last fit ended."""
        count = sum(history.epochs for history in self.histories)
        if not count:
            return ""
        return f"{count} {'epoch' if count == 1 else 'epochs'}; {self.histories[-1].stopped}"

    def subject(
        self, loss: Expr, parts: Parts, rule: str, bound: Bound | None, title: str
    ) -> Subject:
        """What a report is to be about."""
        return Subject(
            title=title or "A network and its training",
            loss=loss,
            parts=parts,
            curves=self.curves(),
            snapshots=self.snapshots(),
            feeds={} if bound is None else bound.arrays,
            rule=rule,
            sizes={} if bound is None else bound.sizes,
            ended=self.ended(),
        )

    def snapshots(self) -> dict[int, dict[str, Array]]:
        """Epoch -> parameters, of the last recorder."""
        return self.recorders[-1].snapshots if self.recorders else {}
