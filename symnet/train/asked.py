"""What a fit was asked for, and what a step shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from symnet.feeds import Feeds
from symnet.train.data import Data
from symnet.train.fit import Callback
from symnet.train.stopping import Rule

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Asked:
    """How a fit was asked for; the meanings are those of `Trainer.fit`."""

    epochs: int
    batch_size: object
    shuffle: bool
    drop_last: bool
    validation: float | Feeds | None
    stop: object
    callbacks: tuple[Callback, ...]
    progress: bool | None

    @property
    def rows(self) -> tuple[object, bool]:
        """How the rows are drawn: batch size, and whether a partial batch is left out."""
        return self.batch_size, self.drop_last


@dataclass(frozen=True)
class Ready:
    """What was asked for, as far as it does not depend on the seed: rows to train on and rows held
    out, the data of the loop, the rules to stop."""

    feeds: Feeds
    held_out: Feeds | None
    data: Data
    rules: Sequence[Rule]


class Watched(NamedTuple):
    """One step, looked at: the loss before it, the gradients by parameter name, and the values
    after it of everything it updates, by name."""

    loss: float
    gradients: dict[str, Array]
    updates: dict[str, Array]
