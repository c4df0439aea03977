"""When a training stops before its last epoch: values that the trainer reads.

`what` names a quantity of an epoch: "loss", "validation.loss", or a metric of the trainer by its
own name, such as "accuracy" or "validation.accuracy". All are frozen and print in words.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from symnet.errors import TrainingError
from symnet.ops.core import is_number


def _check_what(what: object) -> None:
    parts = what.split(".") if isinstance(what, str) else []
    plain = len(parts) == 1 and parts[0] != "validation"
    measured = len(parts) == 2 and parts[0] == "validation"
    if not (plain or measured) or not all(part.isidentifier() for part in parts):
        raise TrainingError(
            'what to watch is "loss", "validation.loss", "<metric>" or "validation.<metric>", '
            f"got {what!r}"
        )


def _check_finite(value: object, what: str) -> None:
    if not is_number(value) or not math.isfinite(value):  # type: ignore[arg-type]
        raise TrainingError(f"{what} needs a finite number, got {value!r}")


@dataclass(frozen=True)
class patience:
    """Stop when `what` has not got better for `epochs` epochs.

    A loss gets better by falling, a metric by rising: say `higher_is_better=False` for a metric
    that is an error. With `restore_best` the parameters of the best epoch come back. Raises
    TrainingError for a bad name or fewer than one epoch.
    """

    what: str
    epochs: int
    restore_best: bool = True
    higher_is_better: bool | None = None

    def __post_init__(self) -> None:
        _check_what(self.what)
        count: object = self.epochs
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise TrainingError(f"patience: epochs must be an integer from 1, got {count!r}")

    def better(self, value: float, best: float) -> bool:
        """Whether a value improves on the best so far; NaN never does."""
        rising = self.higher_is_better
        if rising is None:
            rising = self.what.rpartition(".")[2] != "loss"
        return value > best if rising else value < best

    def __str__(self) -> str:
        return f"no better {self.what} for {self.epochs} epochs"


@dataclass(frozen=True)
class below:
    """Stop when `what` is less than a value. Raises TrainingError for a bad name or value."""

    what: str
    value: float

    def __post_init__(self) -> None:
        _check_what(self.what)
        _check_finite(self.value, "below")

    def __str__(self) -> str:
        return f"{self.what} < {self.value:g}"


@dataclass(frozen=True)
class gradient_norm:
    """Stop at the first step whose gradient, over all parameters, has a norm below a value.

    Raises TrainingError unless the value is positive.
    """

    value: float

    def __post_init__(self) -> None:
        _check_finite(self.value, "gradient_norm")
        if self.value <= 0:
            raise TrainingError(f"gradient_norm: the value must be positive, got {self.value!r}")

    def __str__(self) -> str:
        return f"gradient norm < {self.value:g}"
