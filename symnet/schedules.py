"""Schedules: a rate as a float64 scalar expression of the step k, which counts from 0.

Every schedule is a plain Expr and holds its last value past its end. Where an argument is called
a rate, a number or another such Expr will do.
"""

from __future__ import annotations

import math

from symnet.errors import DtypeError, ShapeError, TrainingError
from symnet.expr import Expr, substitute
from symnet.functions.pointwise import cos, floor, maximum, minimum, where
from symnet.ops.core import FLOAT64, cast, describe, is_number, number
from symnet.ops.leaves import step

__all__ = [
    "as_rate", "constant", "cosine", "exponential", "linear", "one_cycle", "step", "step_decay",
    "warmup",
]  # fmt: skip


def as_rate(rate: object, what: str = "a rate") -> Expr:
    """A rate as a float64 scalar Expr, from a finite number or a scalar Expr.

    Raises ShapeError for an Expr with axes, DtypeError for anything else.
    """
    if isinstance(rate, Expr):
        if rate.shape != ():
            raise ShapeError(f"{what} must be a scalar, got {describe(rate)}")
        return cast(rate, FLOAT64)
    if not is_number(rate) or not math.isfinite(rate):  # type: ignore[arg-type]
        raise DtypeError(f"{what} must be a finite number or an expression, got {rate!r}")
    return number(rate, FLOAT64)  # type: ignore[arg-type]


def _count(steps: object, what: str, least: int = 1) -> int:
    if isinstance(steps, bool) or not hasattr(steps, "__index__") or isinstance(steps, Expr):
        raise TrainingError(f"{what} counts steps: an integer is needed, got {steps!r}")
    count = int(steps.__index__())
    if count < least:
        raise TrainingError(f"{what} must be at least {least}, got {count}")
    return count


def constant(rate: object) -> Expr:
    """The same rate at every step."""
    return as_rate(rate)


def step_decay(start: object, factor: float, every: int) -> Expr:
    """start * factor^floor(k / every): the rate drops by the factor each `every` steps."""
    period = _count(every, "step_decay: every")
    return as_rate(start) * as_rate(factor, "step_decay: factor") ** floor(step / period)


def exponential(start: object, factor: float, every: int = 1) -> Expr:
    """start * factor^(k / every): the rate decays smoothly, by the factor each `every` steps."""
    period = _count(every, "exponential: every")
    exponent = step if period == 1 else step / period
    return as_rate(start) * as_rate(factor, "exponential: factor") ** exponent


def linear(start: object, stop: object, steps: int) -> Expr:
    """start + (stop - start) k / steps, then stop."""
    length = _count(steps, "linear: steps")
    first, last = as_rate(start), as_rate(stop)
    return first + (last - first) * minimum(step, length) / length


def cosine(start: object, stop: object, steps: int) -> Expr:
    """stop + (start - stop) (1 + cos(pi k / steps)) / 2, then stop.

    Loshchilov and Hutter, SGDR, 2017, eq. 5, without restarts.
    """
    length = _count(steps, "cosine: steps")
    return _anneal(as_rate(start), as_rate(stop), minimum(step, length) / length)


def _anneal(start: Expr, stop: Expr, share: Expr) -> Expr:
    return stop + (start - stop) * (1 + cos(math.pi * share)) / 2


def warmup(rate: object, steps: int) -> Expr:
    """The rate times (k + 1) / steps for the first `steps` steps (Goyal et al., 2017, sec. 2.2).

    A schedule begins when the ramp ends: its step 0 is step `steps - 1`, the first at full rate.
    """
    length = _count(steps, "warmup: steps")
    (shifted,) = substitute([as_rate(rate)], {step: maximum(step - (length - 1), 0)})
    return shifted * minimum((step + 1) / length, 1)


def one_cycle(
    peak: object,
    steps: int,
    rising: float = 0.3,
    divisor: float = 25.0,
    final_divisor: float = 1e4,
) -> Expr:
    """From peak / divisor up to peak over a share of the steps, then down far below the start.

    Both ways along a cosine; the last rate is peak / divisor / final_divisor, at step steps - 1.
    Smith and Topin, Super-Convergence, 2018, with PyTorch's OneCycleLR's defaults and phases.
    Raises TrainingError unless the rising part is longer than one step and ends before the last.
    """
    end = _count(steps, "one_cycle: steps", least=2) - 1
    top = rising * (end + 1) - 1
    if not 0 < top < end:
        raise TrainingError(
            f"one_cycle: rising {rising} of {end + 1} steps leaves no room to rise or to fall"
        )
    highest = as_rate(peak)
    lowest = highest / divisor
    up = _anneal(lowest, highest, step / top)
    down = _anneal(highest, lowest / final_divisor, (minimum(step, end) - top) / (end - top))
    return where(step <= top, up, down)
