"""What a user asks of a trainer, checked before anything starts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from symnet.device_arrays import Fetch
from symnet.errors import FeedError, TrainingError
from symnet.expr import Expr
from symnet.feeds import Bound, Feeds, Limits, bind, limits_of
from symnet.ops.leaves import INPUT, leaves, training
from symnet.train.fit import Callback


def _is_whole(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def require_count(epochs: object) -> None:
    """TrainingError unless epochs is a whole number from 0."""
    if not _is_whole(epochs) or epochs < 0:  # type: ignore[operator]
        raise TrainingError(f"epochs must be a whole number from 0, got {epochs!r}")


def seed_of(seed: object) -> int:
    """The seed as an integer; TrainingError unless it is one from 0 that fits 63 bits."""
    if not _is_whole(seed) or not 0 <= seed < 1 << 63:  # type: ignore[operator]
        raise TrainingError(f"a seed is a whole number from 0 to 2**63 - 1, got {seed!r}")
    return int(seed)  # type: ignore[call-overload, no-any-return]


def callbacks_of(callbacks: object) -> tuple[Callback, ...]:
    """One or several callbacks as a tuple; TrainingError for what cannot be called."""
    if callable(callbacks):
        return (callbacks,)
    listed = tuple(callbacks) if isinstance(callbacks, Iterable) else (callbacks,)
    for one in listed:
        if not callable(one):
            raise TrainingError(f"a callback is a function of the state, got {one!r}")
    return listed


def check_names(metrics: Iterable[object]) -> None:
    """TrainingError for a metric whose name is no text, or is that of the loss."""
    for name in metrics:
        if not isinstance(name, str) or name == "loss":
            raise TrainingError(f'a metric has a name of its own, not "loss", got {name!r}')


def check_rate(rate: Expr) -> None:
    """TrainingError if a rate depends on data."""
    for leaf in leaves([rate], INPUT):
        raise TrainingError(
            f"the rate depends on the input {leaf.name} made at {leaf.origin}; a schedule is an "
            "expression of sn.schedules.step"
        )


def check_feeds(feeds: object, parameters: Mapping[str, Expr]) -> None:
    """FeedError if data is given for a parameter, which would not be used."""
    for key in feeds if isinstance(feeds, Mapping) else ():
        name = str(key.name) if isinstance(key, Expr) else key
        own = parameters.get(name)
        if own is not None and (own is key or not isinstance(key, Expr)):
            raise FeedError(
                f"{name} is a parameter of this trainer, not data; "
                f"trainer.parameters[{name!r}] = value sets it"
            )


class Wants:
    """The inputs that expressions need, and what they ask of the data: looked for once."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, ...], tuple[list[Expr], Limits]] = {}

    def of(self, nodes: Sequence[Expr]) -> tuple[list[Expr], Limits]:
        key = tuple(node.serial for node in nodes)
        if key not in self._known:
            inputs = [leaf for leaf in leaves(nodes, INPUT) if leaf is not training]
            self._known[key] = inputs, limits_of(nodes)
        return self._known[key]


def bound(
    wants: tuple[list[Expr], Limits],
    feeds: Feeds,
    parameters: Mapping[str, Expr],
    held: Sequence[np.ndarray[Any, Any]],
    fetch: Fetch | None,
    allow_nan: bool,
    allow_empty: bool,
) -> Bound:
    """Data for the inputs that expressions want, checked; FeedError says what does not fit."""
    check_feeds(feeds, parameters)
    required, limits = wants
    return bind(
        required, feeds, limits=limits, allow_nan=allow_nan, allow_empty=allow_empty, held=held,
        fetch=fetch,
    )  # fmt: skip


def check_own(reached: Iterable[Expr], held: Collection[Expr], names: Iterable[str]) -> None:
    """TrainingError if what is reached has a parameter of another model: names are our own."""
    for leaf in reached:
        if leaf.op is not INPUT and leaf not in held:
            raise TrainingError(
                f"{leaf.name} (made at {leaf.origin}) is a parameter of another model; this "
                f"trainer has {', '.join(names)}"
            )
