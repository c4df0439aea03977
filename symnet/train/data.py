"""The data of a training: checked at the door once, sampled sizes found, a share held out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symnet.device_arrays import Fetch, Placed
from symnet.errors import FeedError, TrainingError
from symnet.expr import Expr
from symnet.feeds import Feeds, Limits, bind
from symnet.sizes import Size

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Sampled:
    """A size whose rows are drawn in batches: rows of the data, rows of a batch, rows an epoch
    uses."""

    rows: int
    batch: int
    total: int

    @property
    def steps(self) -> int:
        """Steps in an epoch."""
        return -(-self.total // self.batch)


@dataclass(frozen=True)
class Data:
    """Arrays by input, named sizes, the sampled ones, and notes."""

    arrays: dict[Expr, Array | Placed]
    sizes: dict[str, int]
    sampled: dict[str, Sampled]
    notes: tuple[str, ...]

    @property
    def steps(self) -> int:
        """Steps in an epoch: the most that any sampled size needs, one if none is sampled."""
        return max((one.steps for one in self.sampled.values()), default=1)


def row_sizes(inputs: Sequence[Expr]) -> list[str]:
    """The named sizes that stand first in some input."""
    first = [leaf.shape[0] for leaf in inputs if leaf.ndim]
    return list(dict.fromkeys(str(size) for size in first if isinstance(size, Size)))


def _plan(
    inputs: Sequence[Expr], batch_size: object, sizes: Mapping[str, int], drop_last: bool
) -> dict[str, Sampled]:
    """Which sizes are sampled, and how; TrainingError where the request does not fit."""
    names = row_sizes(inputs)
    if batch_size is None:
        return {}
    if isinstance(batch_size, Mapping):
        unknown = [name for name in batch_size if name not in sizes]
        if unknown:
            raise TrainingError(
                f"batch_size names {unknown[0]!r}; the sizes are {', '.join(sizes) or 'fixed'}"
            )
        asked = {str(name): count for name, count in batch_size.items() if count is not None}
    elif not names:
        return {}
    elif len(names) > 1:
        raise TrainingError(
            f"the inputs have the sizes {', '.join(names)}: say which is sampled, for instance "
            f"batch_size={{{names[0]!r}: {batch_size}, {names[1]!r}: None}}"
        )
    else:
        asked = {names[0]: batch_size}
    return {name: _sample(name, count, sizes[name], drop_last) for name, count in asked.items()}


def _sample(name: str, batch: object, rows: int, drop_last: bool) -> Sampled:
    if isinstance(batch, bool) or not isinstance(batch, (int, np.integer)) or batch < 1:
        raise TrainingError(f"a batch size is a positive integer or None, got {batch!r}")
    count = int(batch)
    if count > rows:
        raise TrainingError(
            f"the batch size {count} is larger than the data: {name} is {rows}; "
            "batch_size=None takes all rows"
        )
    return Sampled(rows, count, rows // count * count if drop_last else rows)


def prepare(
    inputs: Sequence[Expr],
    limits: Limits,
    feeds: Feeds,
    batch_size: object,
    drop_last: bool,
    held: Sequence[Array] | None,
    fetch: Fetch | None = None,
) -> Data:
    """The data of a fit; FeedError or TrainingError names what does not fit. held: what the fit
    writes to; None if the data is to be copied, since a callback may write to it. fetch: as in
    `bind`; what is on the GPU is used where it is."""
    bound = bind(
        inputs, feeds, limits=limits, allow_nan=False, allow_empty=False, held=held, fetch=fetch
    )
    arrays: dict[Expr, Array | Placed] = {**bound.placed}
    arrays |= {leaf: np.asarray(array, order="C") for leaf, array in bound.arrays.items()}
    sampled = _plan(inputs, batch_size, bound.sizes, drop_last)
    return Data(arrays, bound.sizes, sampled, bound.notes)


def hold_out(
    inputs: Sequence[Expr], feeds: Feeds, share: float, seed: int, fetch: Fetch | None = None
) -> tuple[dict[Expr, Array], dict[Expr, Array]]:
    """The rows kept for training and a random share of rows for validation, drawn by the seed; both
    on the host."""
    names = row_sizes(inputs)
    if not 0 < share < 1 or len(names) != 1:
        raise TrainingError(
            f"validation={share}: a share lies between 0 and 1 and needs one size of rows, "
            f"the inputs have {', '.join(names) or 'none'}; give validation feeds instead"
        )
    bound = bind(inputs, feeds, allow_empty=False, held=(), fetch=fetch).on_host(fetch)
    rows = bound.sizes[names[0]]
    kept_out = round(rows * share)
    if not 0 < kept_out < rows:
        raise FeedError(f"validation={share} of {rows} rows leaves nothing on one side")
    order = np.random.Generator(np.random.Philox(seed)).permutation(rows)
    parts: tuple[dict[Expr, Array], dict[Expr, Array]] = ({}, {})
    for leaf, array in bound.arrays.items():
        axes = [axis for axis, size in enumerate(leaf.shape) if size == names[0]]
        for part, chosen in zip(parts, (order[kept_out:], order[:kept_out]), strict=True):
            taken = array
            for axis in axes:
                taken = np.take(taken, np.sort(chosen), axis)
            part[leaf] = taken
    return parts
