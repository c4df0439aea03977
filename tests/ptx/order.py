"""Which accesses are ordered: vector clocks of warps, and who last touched each cell of memory.

The clock is one counter for the whole grid, which every synchronisation moves on. `knows[w, v]` is
up to when warp `w` is ordered after what warp `v` did; on the diagonal, up to when the lanes of a
warp are ordered among themselves. An access is a record: its time, and who did it. It is ordered
before one by a thread of warp `w` if it was the same thread's, or if its time is at most what `w`
knows of its warp. (FastTrack: Flanagan and Freund, "FastTrack: Efficient and Precise Dynamic Race
Detection", PLDI 2009, with warps for threads, and with levels of readers for its sets of readers.)

Who: a thread, or, where several were first and nothing orders them, their warp, their block, the
grid. Orders between blocks are kept only for kernels that can make them (by atomics, volatile or
acquire and release); in others, an access of another block is never ordered.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
WARP = 32
_SHIFT = np.int64(32)
_STEPS = np.arange(16)
_WHO = np.int64((1 << 32) - 1)


class Order:
    """The clocks of one launch of `blocks` blocks of `warps` warps, begun at time `start`."""

    def __init__(self, blocks: int, warps: int, across: bool) -> None:
        self.blocks, self.warps, self.across = blocks, warps, across
        self.all_warps = blocks * warps
        self.lanes = self.all_warps * WARP
        self.everybody = self.lanes + self.all_warps + blocks
        # Columns: warps (all, or those of the own block), blocks, everybody.
        self.each = self.all_warps if across else warps
        self.groups = blocks if across else 1
        self.knows = np.zeros((self.all_warps, self.each + self.groups + 1), np.int64)
        self.fenced = self.knows.copy() if across else None
        # When each block last made a plain and a strong access: now, and at the end of each time.
        self.last = np.zeros((2, blocks), np.int64)
        self.log: list[Array] = []
        self.pending: dict[int, Array] = {}
        self.published: dict[tuple[str, int], Array] = {}
        self._tables()
        self.begin(0)

    def _tables(self) -> None:
        lane_warps = np.arange(self.lanes) // WARP
        every = np.arange(self.all_warps)
        block = np.arange(self.blocks)
        none = np.array([-1])
        self.warp_of = np.concatenate([lane_warps, every, np.full(self.blocks, -1), none])
        self.block_of = np.concatenate([lane_warps // self.warps, every // self.warps, block, none])
        last = np.array([self.knows.shape[1] - 1])
        if self.across:
            self.columns = np.concatenate([lane_warps, every, self.all_warps + block, last])
        else:
            self.columns = np.concatenate(
                [lane_warps % self.warps, every % self.warps, np.full(self.blocks, self.each), last]
            )
        self.rows = lane_warps * self.knows.shape[1]

    def begin(self, now: int) -> None:
        """A launch: all that was before it is ordered before it."""
        self.start = now
        self.now = now + 1
        self.fresh = (now + 1) << 32
        self.knows[:] = now
        if self.fenced is not None:
            self.fenced[:] = now
        self.pending.clear()
        self.published.clear()
        self.last[:] = now
        self.log.clear()
        self._move()

    def _move(self) -> None:
        if self.across:
            self.log.append(self.last.copy())
        self.now += 1
        lowest = self.start if not self.across and self.blocks > 1 else int(self.knows.min())
        self.bound = (lowest + 1) << 32

    def stamp(self, lanes: Array) -> Array:
        """The records of accesses that these lanes do now."""
        return lanes + (np.int64(self.now) << _SHIFT)

    def unordered(self, records: Array, lanes: Array, strong: bool = False) -> Array | None:
        """Which of the records, of plain or of strong accesses, are not ordered before accesses of
        these lanes now; None if all."""
        if not records.size or np.maximum.reduce(records) < self.bound:
            return None
        who = records & _WHO
        known = self.knows.reshape(-1)[self.rows[lanes] + self.columns[who]]
        if not self.across and self.blocks > 1:
            known = np.where(self.block_of[who] == self.block_of[lanes], known, self.start)
        bad = (known < (records >> _SHIFT)) & (who != lanes)
        if not np.count_nonzero(bad):
            return None
        if self.across:
            bad = self._by_blocks(bad, records, lanes, int(strong))
        return bad if np.count_nonzero(bad) else None

    def _by_blocks(self, bad: Array, records: Array, lanes: Array, strong: int) -> Array:
        """Looks at records of the whole grid block by block: of a block, one need only know what it
        did until it last did anything before the record's time."""
        grid = np.flatnonzero(bad & ((records & _WHO) == self.everybody))
        times = records[grid] >> _SHIFT
        blocks = slice(self.each, self.each + self.blocks)
        for time in np.unique(times).tolist():
            those = grid[times == time]
            last = self.last if time >= self.now else self.log[time - self.start - 1]
            known = self.knows[self.warp_of[lanes[those]], blocks]
            bad[those] = (known < last[strong]).any(axis=1)
        return bad

    def active(self, lanes: Array, strong: bool = False) -> None:
        """These lanes access something now."""
        if self.across:
            self.last[int(strong), self.block_of[lanes]] = self.now

    def level(self, first: int, last: int) -> int:
        """Who stands for lanes from one to another, of which both take part."""
        if first == last:
            return first
        if first // WARP == last // WARP:
            return self.lanes + first // WARP
        block = first // (WARP * self.warps)
        same = block == last // (WARP * self.warps)
        return self.lanes + self.all_warps + (block if same else self.blocks)

    def join(self, first: Array, second: Array) -> Array:
        """Who stands for both of these."""
        warp, block = self.warp_of[first], self.block_of[first]
        one_warp = (warp >= 0) & (warp == self.warp_of[second])
        one_block = (block >= 0) & (block == self.block_of[second])
        blocks = np.where(one_block, self.lanes + self.all_warps + block, self.everybody)
        joined: Array = np.where(one_warp, self.lanes + warp, blocks)
        return joined

    def _lowest(self, rows: Array) -> None:
        """Fills in the columns of blocks and of everybody."""
        each = rows[..., : self.each]
        groups = each.reshape(*each.shape[:-1], self.groups, self.warps).min(-1)
        rows[..., self.each : self.each + self.groups] = groups
        rows[..., -1] = groups.min(-1) if self.across or self.blocks == 1 else self.start

    def barrier(self, blocks: Array) -> None:
        """All threads of these blocks met, block by block."""
        cube = self.knows.reshape(self.blocks, self.warps, -1)
        rows = cube[blocks].max(axis=1)
        own = (blocks if self.across else np.zeros_like(blocks))[:, None] * self.warps
        rows[np.arange(blocks.size)[:, None], own + np.arange(self.warps)] = self.now
        self._lowest(rows)
        cube[blocks] = rows[:, None]
        self._move()

    def meet(self, warps: Array) -> None:
        """These warps of one block met."""
        row = self.knows[warps].max(axis=0)
        row[warps if self.across else warps % self.warps] = self.now
        self._lowest(row)
        self.knows[warps] = row
        self._move()

    def within(self, warps: Array) -> None:
        """The lanes of each of these warps met."""
        self.knows[warps, warps if self.across else warps % self.warps] = self.now
        rows = self.knows[warps]
        self._lowest(rows)
        self.knows[warps] = rows
        self._move()

    def fence(self, warps: Array) -> None:
        """What these warps did and know is before their later strong writes; what their earlier
        strong reads saw is before what follows."""
        if self.fenced is None:
            return
        for warp in warps.tolist():
            seen = self.pending.pop(warp, None)
            if seen is not None:
                self._learn(warp, seen)
            self.fenced[warp] = self.knows[warp]
            self.fenced[warp, warp] = self.now
            self._lowest(self.fenced[warp])
        self._move()

    def wrote(self, address: tuple[str, int], warp: int, release: bool) -> None:
        """A strong write publishes what its warp knew at its last fence, or, with release, now."""
        if self.fenced is None:
            return
        row = self.knows[warp].copy() if release else self.fenced[warp]
        if release:
            row[warp] = self.now
        old = self.published.get(address)
        self.published[address] = row.copy() if old is None else np.maximum(old, row)
        if release:
            self._move()

    def saw(self, address: tuple[str, int], warp: int, acquire: bool) -> None:
        """A strong read learns what was published there, at once or at its warp's next fence."""
        row = self.published.get(address)
        if row is None:
            return
        if acquire:
            self._learn(warp, row)
            self._move()
        else:
            old = self.pending.get(warp)
            self.pending[warp] = row if old is None else np.maximum(old, row)

    def _learn(self, warp: int, row: Array) -> None:
        np.maximum(self.knows[warp], row, out=self.knows[warp])
        self._lowest(self.knows[warp])


class Shadow:
    """The last records of each cell: plain writes, plain reads, and strong accesses (atomics,
    volatile, acquire and release), which do not race with one another."""

    def __init__(self, cells: int, granule: int) -> None:
        self.cells, self.granule = cells, granule
        self.written = np.zeros(cells, np.int64)
        self.read = np.zeros(cells, np.int64)
        self.strong = np.zeros(cells, np.int64)
        self.strong_read = np.zeros(cells, np.int64)
        self.any_strong = False

    def spread(self, places: Array, lanes: Array, size: int) -> tuple[Array, Array]:
        """The cells of accesses of `size` bytes, and the lane of each."""
        cells = places // self.granule
        count = size // self.granule
        if count <= 1:
            return cells, lanes
        spread = (cells[:, None] + _STEPS[:count]).reshape(-1)
        return spread, np.repeat(lanes, count)

    def conflicts(
        self, order: Order, cells: Array, lanes: Array, *, read: bool, strong: bool
    ) -> tuple[str, Array] | None:
        """The first kind of record that is not ordered before this access, and where."""
        kinds = [("a write", self.written)]
        if not read:
            kinds.append(("a read", self.read))
        if self.any_strong and not strong:
            kinds.append(("an atomic access", self.strong))
            if not read:
                kinds.append(("a volatile or acquiring read", self.strong_read))
        for name, records in kinds:
            is_strong = records is self.strong or records is self.strong_read
            bad = order.unordered(records[cells], lanes, is_strong)
            if bad is not None:
                return name, bad
        return None

    def note(self, order: Order, records: Array, cells: Array, lanes: Array) -> Array | None:
        """Records accesses among which earlier ones may be that nothing orders; gives which lanes
        met another lane in a cell just now, None if none."""
        strong = records is self.strong or records is self.strong_read
        order.active(lanes, strong)
        new = order.stamp(lanes)
        old = records[cells]
        bad = order.unordered(old, lanes, strong)
        if bad is not None:
            joined = order.join(old[bad] & _WHO, lanes[bad])
            new[bad] = order.stamp(joined)
        records[cells] = new
        kept = records[cells]
        met = kept != new
        if not np.count_nonzero(met):
            return None
        joined = order.join(kept[met] & _WHO, new[met] & _WHO)
        np.maximum.at(records, cells[met], order.stamp(joined))
        found: Array = met
        return found
