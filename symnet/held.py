"""The arrays that a compiled function or a trainer holds, by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from symnet.errors import FeedError
from symnet.sizes import show_shape

Array = np.ndarray[Any, Any]


def overwrite(name: str, array: Array, values: Array) -> None:
    """Writes values into an array that was given out under the name; FeedError if it has been made
    read-only since."""
    if not array.flags.writeable:
        raise FeedError(f"{name} cannot be written to: its array was made read-only")
    array[...] = values


class Held(Mapping[str, Array]):
    """Name -> the array itself, not a copy. `held[name] = value` copies the value into it."""

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self._arrays = dict(arrays)

    def __getitem__(self, name: str) -> Array:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __setitem__(self, name: str, value: object) -> None:
        """Writes into the array; FeedError for an unknown name, another shape, or an array that
        was made read-only."""
        if name not in self._arrays:
            raise FeedError(f"there is no {name!r}, there is {', '.join(self._arrays)}")
        array, given = self._arrays[name], np.asarray(value)
        if given.shape not in ((), array.shape) or given.dtype.kind not in "biuf":
            raise FeedError(
                f"{name} is {show_shape(array.shape)} {array.dtype}, the value "
                f"{show_shape(given.shape)} {given.dtype}"
            )
        overwrite(name, array, given)

    def __repr__(self) -> str:
        return "{" + ", ".join(f"{n}: {show_shape(a.shape)}" for n, a in self._arrays.items()) + "}"
