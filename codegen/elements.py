"""The memory of an interpreted program: elements by index, and the values of scalars."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any as Value

import numpy as np

from codegen.intrinsics import evaluate
from codegen.ir import Buffer, Factor, Program
from codegen.scalar import Affine, Apply, Axis, Constant, Index, Load, Local, Ref, Scalar, Size
from codegen.shadow import Area, Shadow, area, garbage, shared_areas
from codegen.show import show_ref
from codegen.sizes import extent_value

Arrays = Mapping[str, np.ndarray[Value, Value]]


class BoundsError(IndexError):
    """An access outside a buffer, or an indirect index that breaks its promise."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What one iteration sees."""

    axes: dict[str, int]
    locals: dict[str, Value]
    sizes: dict[str, int]
    scratch: dict[str, Area]
    entry: int


def inside(frame: Frame, axis: str, value: int) -> Frame:
    return Frame({**frame.axes, axis: value}, dict(frame.locals), frame.sizes, frame.scratch,
                  frame.entry)  # fmt: skip


@dataclass
class Elements:
    """Every buffer's memory, and who touched it."""

    program: Program
    sizes: dict[str, int]
    arrays: Arrays
    buffers: dict[str, Buffer] = field(default_factory=dict)
    areas: dict[str, Area] = field(default_factory=dict)
    shadow: Shadow = field(default_factory=Shadow)

    def __post_init__(self) -> None:
        self.buffers = {buffer.name: buffer for buffer in self.program.buffers}
        slotted = {name: slot for slot in self.program.slots for name in slot}
        for buffer in self.program.buffers:
            if buffer.storage is None and buffer.scope in ("argument", "state"):
                self.areas[buffer.name] = area(self._bound(buffer))
            elif buffer.storage is None and buffer.scope == "step" and buffer.name not in slotted:
                self.areas[buffer.name] = area(garbage(buffer.dtype, self._count(buffer)))
        for slot in self.program.slots:
            members = [self.buffers[name] for name in slot]
            shared = shared_areas([b.dtype for b in members], [self._count(b) for b in members])
            self.areas.update(zip(slot, shared, strict=True))

    def _bound(self, buffer: Buffer) -> np.ndarray[Value, Value]:
        array = self.arrays[buffer.name]
        shape = self.shape(buffer, self.sizes)
        if array.shape != shape or array.dtype != buffer.dtype or not array.flags.c_contiguous:
            raise ValueError(
                f"{buffer.name} must be a C-contiguous {buffer.dtype} array of shape {shape}, "
                f"not {array.dtype} of shape {array.shape}"
            )
        return array.reshape(-1)

    def _count(self, buffer: Buffer) -> int:
        return int(np.prod(self.shape(buffer, self.sizes), dtype=np.int64))

    def shape(self, buffer: Buffer, sizes: Mapping[str, int]) -> tuple[int, ...]:
        return tuple(extent_value(extent, sizes) for extent in buffer.shape)

    def load(self, ref: Ref, frame: Frame) -> Value:
        memory, flat = self._element(ref, frame)
        self.shadow.touch(memory, flat, frame.entry, writes=False, buffer=ref.buffer)
        return memory.data[flat]

    def store(self, ref: Ref, value: Value, frame: Frame) -> None:
        memory, flat = self._element(ref, frame)
        self.shadow.touch(memory, flat, frame.entry, writes=True, buffer=ref.buffer)
        memory.data[flat] = value

    def _memory(self, buffer: Buffer, frame: Frame) -> Area:
        while buffer.storage is not None:
            buffer = self.buffers[buffer.storage]
        return frame.scratch[buffer.name] if buffer.scope == "tile" else self.areas[buffer.name]

    def _element(self, ref: Ref, frame: Frame) -> tuple[Area, int]:
        buffer = self.buffers[ref.buffer]
        shape = self.shape(buffer, frame.sizes)
        place = [self.index(index, frame) for index in ref.index]
        flat = 0
        for value, extent in zip(place, shape, strict=True):
            if not 0 <= value < extent:
                raise BoundsError(f"{show_ref(ref)} is {place}, outside of {shape}")
            flat = flat * extent + value
        return self._memory(buffer, frame), flat

    def index(self, index: Index, frame: Frame) -> int:
        if isinstance(index, Affine):
            return index.offset + sum(
                by * (frame.axes if isinstance(symbol, Axis) else frame.sizes)[symbol.name]
                for symbol, by in index.terms
            )
        value, bound = int(self.load(index.ref, frame)), extent_value(index.bound, frame.sizes)
        if not 0 <= value < bound:
            raise BoundsError(f"{show_ref(index.ref)} is {value}, not below {bound}")
        return value

    def value(self, scalar: Scalar, frame: Frame) -> Value:
        match scalar:
            case Constant(value, dtype):
                return np.dtype(dtype).type(value)
            case Size(name):
                return np.int64(frame.sizes[name])
            case Axis(name):
                return np.int64(frame.axes[name])
            case Local(name):
                return frame.locals[name]
            case Load(ref):
                return self.load(ref, frame)
            case Apply("select", (condition, one, other)):
                return self.value(one if self.value(condition, frame) else other, frame)
            case Apply(function, args, dtype):
                return evaluate(function, [self.value(arg, frame) for arg in args], dtype)

    def part(
        self, factor: Factor, spans: Mapping[str, range], frame: Frame
    ) -> np.ndarray[Value, Value]:
        buffer = self.buffers[factor.buffer]
        shape = self.shape(buffer, frame.sizes)
        wanted = tuple(spans[letter] for letter in factor.letters)
        if any(span.stop > have for span, have in zip(wanted, shape, strict=True)):
            raise BoundsError(f"{factor.buffer} of shape {shape} is contracted over {wanted}")
        memory = self._memory(buffer, frame)
        numbers = np.arange(int(np.prod(shape))).reshape(shape)
        region = tuple(slice(span.start, span.stop) for span in wanted)
        for flat in numbers[region].reshape(-1).tolist():
            self.shadow.touch(memory, flat, frame.entry, writes=False, buffer=buffer.name)
        whole: np.ndarray[Value, Value] = memory.data[: numbers.size].reshape(shape)
        # Indexing by no slices at all would give a number in place of a view.
        return whole[region] if region else whole
