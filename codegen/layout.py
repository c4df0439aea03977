"""Where everything lies: sizes, addresses and the arena, for one way of binding a program."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from codegen.cpu.launch import Launch
from codegen.cpu.operands import Operand
from codegen.cpu.scratch import SCRATCH_BYTES
from codegen.ir import Buffer, Contraction, Loop, Program, Statement, Store
from codegen.sizes import extent_value
from codegen.walk import index_buffers, root_of

Array = np.ndarray[Any, Any]
Words = npt.NDArray[np.int64]

_LINE = 64


class BindError(ValueError):
    """Sizes or arrays that a program cannot run with; the text says which and why. `buffer` is the
    name of the one whose array does not fit, empty if it is none."""

    def __init__(self, told: str, buffer: str = "") -> None:
        super().__init__(told)
        self.buffer = buffer


@dataclass(frozen=True)
class Plan:
    """What all bindings of a program share. Cells are places among its pointers; `addresses` are
    those of the launch table's kernels, which whoever holds the plan keeps in memory."""

    program: Program
    launch: Launch
    addresses: tuple[int, ...]

    @cached_property
    def buffers(self) -> dict[str, Buffer]:
        return index_buffers(self.program)

    @cached_property
    def free(self) -> tuple[str, ...]:
        """The sizes that the caller binds."""
        ragged = {rule.name for rule in self.launch.rules}
        rules = self.program.sizes
        return tuple(rule.name for rule in rules if not rule.terms and rule.name not in ragged)

    @cached_property
    def given(self) -> tuple[Buffer, ...]:
        """The buffers whose arrays the caller gives."""
        return tuple(
            buffer
            for buffer in self.program.buffers
            if buffer.scope in ("argument", "state") and buffer.storage is None
        )

    @cached_property
    def written(self) -> frozenset[str]:
        """The buffers in whose memory the program writes."""
        names = _written(self.program.body)
        return frozenset(root_of(name, self.buffers) for name in names)

    @property
    def clocks(self) -> int:
        return self.launch.clocks

    @cached_property
    def own_bytes(self) -> int:
        """What each worker needs for contractions."""
        return SCRATCH_BYTES if self.cells["scratch"] else 0

    @cached_property
    def cells(self) -> dict[str, list[tuple[int, int]]]:
        """By kind of pointer, each cell and what it points to: the number of a given array, of a
        buffer in `scratch`, of a clock, 0 for a worker's own memory, or an address."""
        given = {buffer.name: number for number, buffer in enumerate(self.given)}
        step = {name: number for number, name in enumerate(self.scratch("step"))}
        tile = {name: number for number, name in enumerate(self.scratch("tile"))}
        found: dict[str, list[tuple[int, int]]] = {
            kind: [] for kind in ("given", "step", "tile", "clock", "scratch", "kernel")
        }
        for cell, pointer in enumerate(self.launch.pointers):
            if pointer.kind == "clock":
                found["clock"].append((cell, pointer.number))
            elif pointer.kind == "scratch":
                found["scratch"].append((cell, 0))
            elif pointer.kind == "kernel":
                found["kernel"].append((cell, self.addresses[pointer.number]))
            else:
                root = root_of(pointer.name, self.buffers)
                for kind, numbers in (("given", given), ("step", step), ("tile", tile)):
                    if root in numbers:
                        found[kind].append((cell, numbers[root]))
        return found

    @cached_property
    def places(self) -> dict[str, tuple[Words, Words]]:
        """`cells` as two arrays a kind."""
        return {
            kind: (
                np.array([cell for cell, _ in pairs], np.int64),
                np.array([value for _, value in pairs], np.int64),
            )
            for kind, pairs in self.cells.items()
        }

    def scratch(self, scope: str) -> list[str]:
        """The buffers of our own of that scope that have memory of their own, in order."""
        buffers = self.program.buffers
        return [each.name for each in buffers if each.scope == scope and each.storage is None]

    def values(self, free: Mapping[str, int], variant: int) -> dict[str, int]:
        """Every size where the ragged rules have their last value as the bits of `variant` say."""
        known = dict(free)
        for rule in self.program.sizes:
            if rule.terms:
                known[rule.name] = rule.value(known)
            smaller: dict[str, bool] = {}
            for number, each in enumerate(self.launch.rules):
                if each.batch in known and each.total in known:
                    batch, total = known[each.batch], known[each.total]
                    bit = bool(variant >> number & 1) or smaller.get(each.name, False)
                    smaller[each.name] = bit
                    known[each.name] = _ragged(batch, total, bit)
        return known

    def numbers(self, free: Mapping[str, int]) -> Words:
        """The cells of `n` of all kernels and of the driver, a row for each variant."""
        return np.array(
            [
                [_operand(each, values) for each in self.launch.sizes]
                for values in self.variants(free)
            ],
            np.int64,
        ).reshape(1 << len(self.launch.rules), len(self.launch.sizes))

    def variants(self, free: Mapping[str, int]) -> Iterator[dict[str, int]]:
        for variant in range(1 << len(self.launch.rules)):
            yield self.values(free, variant)

    def changed(self, layout: Layout, sizes: Mapping[str, int]) -> Words:
        """The table of `numbers` with some free sizes replaced; BindError as `overridden`."""
        places = [self.alone.get(name) for name in sizes]
        if any(place is None for place in places):
            return self.numbers(self.overridden(layout, sizes))
        table = layout.table.copy()
        for place, value in zip(places, sizes.values(), strict=True):
            table[:, place] = value
        return table

    @cached_property
    def alone(self) -> dict[str, list[int]]:
        """The free sizes from which no shape, other size or product follows, and the cells that
        hold them: giving those another value is all there is to do."""
        used = {extent for buffer in self.program.buffers for extent in buffer.shape}
        used |= {name for rule in self.program.sizes for _, names in rule.terms for name in names}
        used |= {name for rule in self.launch.rules for name in (rule.batch, rule.total)}
        for operand in self.launch.sizes:
            used |= set(operand) if isinstance(operand, tuple) else set()
        cells: dict[str, list[int]] = {name: [] for name in self.free if name not in used}
        for cell, operand in enumerate(self.launch.sizes):
            if isinstance(operand, str) and operand in cells:
                cells[operand].append(cell)
        return cells

    def overridden(self, layout: Layout, sizes: Mapping[str, int]) -> dict[str, int]:
        """The free sizes with some replaced; BindError if that changes the shape of a buffer."""
        unknown = sorted(set(sizes) - set(self.free))
        if unknown:
            raise BindError(f"{self.program.name} has no free size {unknown[0]!r}")
        free = layout.free | {name: int(value) for name, value in sizes.items()}
        values = self.values(free, 0)
        for buffer in self.program.buffers:
            shape = _shape(buffer, values)
            bound = layout.shapes[buffer.name]
            if shape != bound:
                raise BindError(f"{sizes} would change {buffer.name} from {bound} to {shape}")
        return free

    def pointers(
        self, layout: Layout, given: Words, arena: int, clocks: int, clock_words: int, workers: int
    ) -> Words:
        """The cells of `p` of all kernels, a row for each worker."""
        table = np.zeros((workers, len(self.launch.pointers)), np.int64)
        for worker in range(workers):
            row = table[worker]
            tile = arena + layout.step_bytes + worker * layout.tile_bytes
            for kind, start in (("step", layout.step_at + arena), ("tile", layout.tile_at + tile)):
                cells, numbers = self.places[kind]
                row[cells] = start[numbers]
            cells, numbers = self.places["given"]
            row[cells] = given[numbers]
            cells, numbers = self.places["clock"]
            row[cells] = numbers * 8 + (clocks + worker * clock_words * 8)
            row[self.places["scratch"][0]] = tile + layout.tile_bytes - self.own_bytes
            cells, addresses = self.places["kernel"]
            row[cells] = addresses
        return table


@dataclass(frozen=True, slots=True)
class Layout:
    """The tables of one choice of the free sizes. Offsets are in bytes."""

    plan: Plan
    free: dict[str, int]
    table: Words
    shapes: dict[str, tuple[int, ...]]
    step_at: Words
    step_bytes: int
    tile_at: Words
    tile_bytes: int

    def arena_bytes(self, workers: int) -> int:
        return self.step_bytes + workers * self.tile_bytes

    def at(self, sizes: Mapping[str, int]) -> Layout:
        """The same where sizes that stand alone have these values."""
        _check_sizes(sizes)
        free = {name: int(sizes.get(name, value)) for name, value in self.free.items()}
        return replace(self, free=free, table=self.plan.changed(self, sizes))

    def checked(self, arrays: Mapping[str, Array]) -> Iterator[Array]:
        """The caller's arrays in the order of the plan; BindError unless every one fits."""
        given = self.plan.given
        for buffer in given:
            array = arrays.get(buffer.name)
            if (
                not isinstance(array, np.ndarray)
                or array.dtype != buffer.dtype
                or array.shape != self.shapes[buffer.name]
                or not array.flags.carray
            ):
                self._fits(buffer, array)
            assert array is not None
            yield array
        if len(arrays) > len(given):
            unknown = sorted(set(arrays) - {buffer.name for buffer in given})
            raise BindError(f"{self.plan.program.name} has no argument or state {unknown[0]!r}")

    def _fits(self, buffer: Buffer, array: object) -> None:
        shape = self.shapes[buffer.name]
        wanted = f"{buffer.name} must be a C-contiguous {buffer.dtype} array of shape {shape}"
        if not isinstance(array, np.ndarray):
            raise BindError(f"{wanted}, not {type(array).__name__}", buffer.name)
        if array.dtype != buffer.dtype or array.shape != shape:
            raise BindError(f"{wanted}, not {array.dtype} of shape {array.shape}", buffer.name)
        if not (array.flags.c_contiguous and array.flags.aligned):
            raise BindError(f"{wanted}, not one that is strided or not aligned", buffer.name)
        if buffer.name in self.plan.written and not array.flags.writeable:
            told = f"{buffer.name} is written to, and the array given is read-only"
            raise BindError(told, buffer.name)


def lay_out(plan: Plan, free: dict[str, int]) -> Layout:
    """The tables and the arena for these free sizes."""
    _check_sizes(free)
    variants = list(plan.variants(free))
    table = plan.numbers(free)
    bytes_of = {
        buffer.name: max(
            prod(_shape(buffer, values)) * np.dtype(buffer.dtype).itemsize for values in variants
        )
        for buffer in plan.program.buffers
    }
    step_at, step_bytes = _packed(plan.scratch("step"), bytes_of, plan.program.slots)
    tile_at, tile_bytes = _packed(plan.scratch("tile"), bytes_of, ())
    tile_bytes += plan.own_bytes
    shapes = {buffer.name: _shape(buffer, variants[0]) for buffer in plan.program.buffers}
    return Layout(plan, free, table, shapes, step_at, step_bytes, tile_at, tile_bytes)


def _check_sizes(sizes: Mapping[str, int]) -> None:
    for name, value in sizes.items():
        if value < 0:
            raise BindError(f"the size {name} is {value}, which is below zero")


def _packed(
    names: list[str], bytes_of: Mapping[str, int], slots: tuple[tuple[str, ...], ...]
) -> tuple[Words, int]:
    """Offsets of the buffers in the order of `names`, those of one slot the same, and the sum."""
    slotted = {name for slot in slots for name in slot}
    offsets: dict[str, int] = {}
    end = 0
    for slot in (*slots, *((name,) for name in names if name not in slotted)):
        offsets.update(dict.fromkeys(slot, end))
        end += -(-max((bytes_of[name] for name in slot), default=0) // _LINE) * _LINE
    return np.array([offsets[name] for name in names], np.int64), end


def _shape(buffer: Buffer, values: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(extent_value(extent, values) for extent in buffer.shape)


def _operand(operand: Operand, values: Mapping[str, int]) -> int:
    if isinstance(operand, tuple):
        return prod(extent_value(extent, values) for extent in operand)
    return extent_value(operand, values)


def _ragged(batch: int, total: int, last: bool) -> int:
    if batch <= 0 or total <= 0:
        return 0
    return total - (-(-total // batch) - 1) * batch if last else min(batch, total)


def _written(body: tuple[Statement, ...]) -> Iterator[str]:
    for statement in body:
        match statement:
            case Loop(body=inner) | Contraction(body=inner):
                yield from _written(inner)
            case Store(ref=ref):
                yield ref.buffer
