"""The stop rules at work: what ends a run at the end of an epoch, and why, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from symnet.errors import TrainingError
from symnet.expr import Expr
from symnet.stop import below, gradient_norm, patience
from symnet.train.history import History

Rule = patience | below | gradient_norm


def rules_of(stop: object) -> tuple[Rule, ...]:
    """The rules that a user gave, one or several; TrainingError for anything else."""
    given = stop if isinstance(stop, (list, tuple)) else (stop,)
    for rule in given:
        if not isinstance(rule, (patience, below, gradient_norm)):
            raise TrainingError(
                f"stop takes sn.stop.patience, below or gradient_norm, got {rule!r}"
            )
    if sum(isinstance(rule, gradient_norm) for rule in given) > 1:
        raise TrainingError("stop: gradient_norm is given twice")
    return tuple(given)


def check_names(rules: Sequence[Rule], metrics: Sequence[str], validated: bool) -> None:
    """TrainingError if a rule watches something that is not measured."""
    known = ["loss", *metrics]
    known += [f"validation.{name}" for name in known] if validated else []
    for rule in rules:
        what = getattr(rule, "what", "loss")
        if what not in known:
            hint = "; give fit(validation=...)" if what.startswith("validation.") else ""
            raise TrainingError(f"{rule}: {what!r} is not measured, {', '.join(known)} are{hint}")


@dataclass
class Watch:
    """One patience rule: its best value so far, and the parameters that had it."""

    rule: patience
    best: float | None = None
    epoch: int | None = None
    kept: dict[Expr, np.ndarray[Any, Any]] = field(default_factory=dict)

    def look(self, history: History, epoch: int, held: dict[Expr, np.ndarray[Any, Any]]) -> bool:
        """Notes an epoch; true if patience has run out."""
        value = history.value(self.rule.what)
        if not np.isnan(value) and (self.best is None or self.rule.better(value, self.best)):
            self.best, self.epoch = value, epoch
            if self.rule.restore_best:
                self.kept = {leaf: array.copy() for leaf, array in held.items()}
        since = epoch if self.epoch is None else epoch - self.epoch
        return since >= self.rule.epochs

    def restore(self, held: dict[Expr, np.ndarray[Any, Any]]) -> None:
        """Brings the best parameters back."""
        for leaf, array in self.kept.items():
            held[leaf][...] = array
