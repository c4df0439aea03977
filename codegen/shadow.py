"""Memory that knows who touched it: elements, and which tiles read and wrote them.

The shadow holds for every cell the tile that wrote it last and a tile that read it since the last
barrier. A read after another tile's write, and a write after another tile's read or write, raise
RaceError.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any as Value

import numpy as np

from codegen.ir import Barrier, Extent, Statement
from codegen.show import show_statement

Tile = tuple[Extent, ...]
"""What names a tile; tiles of equal names run on one worker, in program order."""


class RaceError(RuntimeError):
    """Two tiles touched one element with no barrier between them, and one of them wrote."""


@dataclass(frozen=True, slots=True)
class Area:
    """The flat memory of one buffer. `writers` and `readers` hold entries of a Shadow, one a cell;
    buffers that share memory share them, so an element may cover several cells (`units`)."""

    data: np.ndarray[Value, Value]
    writers: list[int]
    readers: list[int]
    units: int


def area(data: np.ndarray[Value, Value]) -> Area:
    """Memory of its own, untouched."""
    return Area(data, [0] * data.size, [0] * data.size, 1)


def garbage(dtype: str, count: int) -> np.ndarray[Value, Value]:
    """NaN, -1 or true: values that show when they are used."""
    width = np.dtype(dtype).itemsize
    fill = 1 if dtype == "bool" else 0xFF
    return np.full(count * width, fill, np.uint8).view(dtype)


def shared_areas(dtypes: Sequence[str], counts: Sequence[int]) -> list[Area]:
    """Buffers of these dtypes and element counts, all beginning at the same byte."""
    widths = [np.dtype(dtype).itemsize for dtype in dtypes]
    cell = min(widths)
    longest = max(count * width for count, width in zip(counts, widths, strict=True))
    memory = np.full(-(-longest // 8) * 8, 0xFF, np.uint8)
    cells = -(-longest // cell)
    writers, readers = [0] * cells, [0] * cells
    return [
        Area(memory[: count * width].view(dtype), writers, readers, width // cell)
        for dtype, count, width in zip(dtypes, counts, widths, strict=True)
    ]


@dataclass(slots=True)
class Shadow:
    """Who may be named in an area: entry k is entries[k], entry 0 is nobody."""

    entries: list[tuple[Tile, Statement]] = field(default_factory=lambda: [((), Barrier())])

    def enter(self, tile: Tile, statement: Statement) -> int:
        """The entry that stands for this tile of this statement."""
        self.entries.append((tile, statement))
        return len(self.entries) - 1

    def touch(self, area: Area, element: int, entry: int, *, writes: bool, buffer: str) -> None:
        """Note an access and raise RaceError if it meets that of another tile."""
        tile = self.entries[entry][0]
        for cell in range(element * area.units, (element + 1) * area.units):
            writer, reader = area.writers[cell], area.readers[cell]
            if writer and self.entries[writer][0] != tile:
                raise self._race(writer, entry, f"{buffer}[{element}]")
            # A negative reader stands for several tiles, of which it is one.
            if writes and reader and (reader < 0 or self.entries[reader][0] != tile):
                raise self._race(abs(reader), entry, f"{buffer}[{element}]")
            if writes:
                area.writers[cell] = entry
            elif not reader:
                area.readers[cell] = entry
            elif reader > 0 and self.entries[reader][0] != tile:
                area.readers[cell] = -reader

    def _race(self, earlier: int, later: int, element: str) -> RaceError:
        one, other = self.entries[earlier], self.entries[later]
        return RaceError(
            f"{element} (row-major) is touched, with no barrier between, by tile {one[0]} of\n"
            f"{show_statement(one[1])}\nand by tile {other[0]} of\n{show_statement(other[1])}"
        )

    def forget(self, areas: Sequence[Area]) -> None:
        """A barrier: what came before can no longer race."""
        for one in areas:
            one.writers[:] = [0] * len(one.writers)
            one.readers[:] = [0] * len(one.readers)
        del self.entries[1:]
