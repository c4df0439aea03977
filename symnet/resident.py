"""What a compiled function holds, kept on the GPU from its first call on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from symnet.device_arrays import DeviceArray, Memory
from symnet.expr import Expr
from symnet.held import Held
from symnet.sizes import show_shape

Array = np.ndarray[Any, Any]


class Resident:
    """The arrays of parameters and state by leaf: on the host until they are first needed on the
    GPU, and there from then on."""

    def __init__(self, held: Mapping[Expr, Array]) -> None:
        self._host = {leaf: array.copy() for leaf, array in held.items()}
        self._placed: dict[Expr, DeviceArray] = {}

    def placed(self, memory: Memory) -> dict[Expr, DeviceArray]:
        """The arrays on the GPU."""
        for leaf, array in self._host.items():
            made = DeviceArray(memory, array.shape, array.dtype)
            made.write(array)
            self._placed[leaf] = made
        self._host = {}
        return self._placed

    def read(self, leaf: Expr) -> Array:
        """A copy of an array, which cannot be written to: that would change nothing here."""
        there = self._placed.get(leaf)
        copy = self._host[leaf].copy() if there is None else there.numpy()
        copy.setflags(write=False)
        return copy

    def write(self, leaf: Expr, array: Array) -> None:
        """Takes the values of an array of the same shape and dtype."""
        there = self._placed.get(leaf)
        if there is None:
            self._host[leaf][...] = array
        else:
            there.write(array)

    @property
    def leaves(self) -> list[Expr]:
        """The parameters and states."""
        return [*self._host, *self._placed]


class HeldOnDevice(Held):
    """Name -> a copy of the array, brought from the GPU and read-only. `held[name] = value` writes
    there."""

    def __init__(self, resident: Resident) -> None:
        self._resident = resident
        self._leaves = {str(leaf.name): leaf for leaf in resident.leaves}
        super().__init__({})

    def __getitem__(self, name: str) -> Array:
        return self._resident.read(self._leaves[name])

    def __iter__(self) -> Any:
        return iter(self._leaves)

    def __len__(self) -> int:
        return len(self._leaves)

    def __setitem__(self, name: str, value: object) -> None:
        known = {each: np.empty(0) for each in self._leaves}
        if name in self._leaves:
            known[name] = self[name].copy()
        Held(known)[name] = value
        self._resident.write(self._leaves[name], known[name])

    def __repr__(self) -> str:
        return "{" + ", ".join(f"{n}: {show_shape(self[n].shape)}" for n in self) + "}"
