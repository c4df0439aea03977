"""What a kernel is given at run time: sizes, addresses and clocks, numbered as they are met.

A kernel's text holds no size and no name of the program, so that loops of one structure are one
text, whatever their widths and whoever wrote them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from codegen.cpu.errors import CompileError
from codegen.ir import Buffer, Extent
from codegen.walk import root_of

Operand = Extent | tuple[Extent, ...]
"""A cell of `n`: a number, a size of the program, or a product of such."""


@dataclass(slots=True)
class Operands:
    """The operands of one kernel while its text is being written.

    A pointer stands for a whole piece of memory, with all views of it: no two pointers of a kernel
    reach the same element. Two buffers that a kernel uses must therefore not share a slot.
    """

    buffers: Mapping[str, Buffer]
    sizes: list[Operand] = field(default_factory=list)
    pointers: list[str] = field(default_factory=list)
    clocks: list[str] = field(default_factory=list)
    _named: dict[str, str] = field(default_factory=dict)
    _dimensions: dict[tuple[str, int], tuple[str, str]] = field(default_factory=dict)

    def number(self, value: Extent) -> str:
        """The name of a size. A name is one operand wherever it stands; a number is another one
        each time, since it is an accident when two numbers are equal."""
        if isinstance(value, str):
            if value not in self._named:
                self._named[value] = self._next(value)
            return self._named[value]
        return self._next(value)

    def product(self, extents: tuple[Extent, ...]) -> str:
        """The name of a product of sizes."""
        return self._next(extents)

    def _next(self, value: Operand) -> str:
        self.sizes.append(value)
        return f"n{len(self.sizes) - 1}"

    def dimension(self, buffer: str, position: int) -> str:
        """The name of a buffer's extent along one dimension; 1 instead of 0, where there is no
        element to be reached."""
        place = (buffer, position)
        if place not in self._dimensions:
            size = self.number(self.buffer(buffer).shape[position])
            self._dimensions[place] = (f"d{len(self._dimensions)}", size)
        return self._dimensions[place][0]

    def buffer(self, name: str) -> Buffer:
        """The buffer of that name; CompileError if the program has none."""
        if name not in self.buffers:
            raise CompileError(f"no buffer is called {name!r}")
        return self.buffers[name]

    def pointer(self, buffer: str) -> str:
        """The name of the typed pointer to a buffer, the same for all views of one memory."""
        root = root_of(self.buffer(buffer).name, self.buffers)
        if root not in self.pointers:
            self.pointers.append(root)
        return f"p{self.pointers.index(root)}"

    def clock(self, axis: str) -> str:
        """The name of an enclosing sequence's current value."""
        if axis not in self.clocks:
            self.clocks.append(axis)
        return f"c{self.clocks.index(axis)}"

    def prologue(self) -> list[str]:
        """The lines that read every operand, at the top of the kernel."""
        lines = [f"n{cell} = n[{cell}]" for cell in range(len(self.sizes))]
        # LLVM makes a vector of a loop with a plain number as stride only for the stride 1.
        lines += [f"{name} = max({size}, 1)" for name, size in self._dimensions.values()]
        for cell, name in enumerate(self.pointers):
            lines.append(f"p{cell} = {self.buffer(name).dtype}_restrict(p, {cell})")
        first = len(self.pointers)
        lines += [f"c{cell} = int64_at(p, {first + cell})[0]" for cell in range(len(self.clocks))]
        return lines
