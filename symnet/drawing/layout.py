"""Where the boxes of a drawing stand: in layers, by the method of Sugiyama, Tagawa and Toda (1981),
which the library fast-sugiyama carries out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from symnet.lazy import fast_sugiyama

Point = tuple[float, float]
Size = tuple[float, float]
_BETWEEN_LAYERS, _BESIDE = 46.0, 22.0
# A drawing of more layers goes downwards: to the right it would not fit a page.
_MOST_LAYERS = 7


@dataclass(frozen=True)
class Layout:
    """centres: of the boxes. routes: the points of each arrow between its two boxes, without
    these. across: whether the drawing goes to the right, rather than down."""

    centres: tuple[Point, ...]
    routes: dict[tuple[int, int], tuple[Point, ...]]
    size: Size
    across: bool


def layout(sizes: Sequence[Size], arrows: Collection[tuple[int, int]]) -> Layout:
    """Places boxes of these sizes so that arrows lead on and boxes do not overlap."""
    if not arrows:
        width, height = sizes[0]
        return Layout(((width / 2, height / 2),), {}, (width, height), True)
    raw: dict[int, Point] = {}
    edges: list[tuple[int, int]] = []
    for positions, *_, parts in fast_sugiyama.from_edges(
        sorted(arrows), vertex_spacing=1, dummy_vertices=True
    ):
        raw |= dict(positions)
        edges += parts or []
    deepest = max(y for _, y in raw.values())
    ranks = {key: round(deepest - y) for key, (_, y) in raw.items()}
    across = max(ranks.values()) < _MOST_LAYERS
    return _scaled(sizes, sorted(arrows), {k: x for k, (x, _) in raw.items()}, ranks, edges, across)


def _scaled(
    sizes: Sequence[Size],
    arrows: Sequence[tuple[int, int]],
    beside: dict[int, float],
    ranks: dict[int, int],
    edges: Sequence[tuple[int, int]],
    across: bool,
) -> Layout:
    """The library's unit distances as lengths: one for each layer along, one for all beside."""
    along = 0 if across else 1
    depth = [0.0] * (max(ranks.values()) + 1)
    for key, size in enumerate(sizes):
        depth[ranks[key]] = max(depth[ranks[key]], size[along])
    starts = [sum(depth[:rank]) + rank * _BETWEEN_LAYERS for rank in range(len(depth))]
    breadth = max(size[1 - along] for size in sizes) + _BESIDE
    least = min(beside.values())

    def centre(key: int) -> Point:
        rank = ranks[key]
        there = starts[rank] + depth[rank] / 2
        aside = (beside[key] - least) * breadth + breadth / 2
        return (there, aside) if across else (aside, there)

    follow: dict[int, list[int]] = {}
    for source, target in edges:
        follow.setdefault(source, []).append(target)
    routes = {
        arrow: tuple(centre(key) for key in _route(arrow, follow, len(sizes))) for arrow in arrows
    }
    total = starts[-1] + depth[-1]
    wide = (max(beside.values()) - least + 1) * breadth
    whole = (total, wide) if across else (wide, total)
    return Layout(tuple(map(centre, range(len(sizes)))), routes, whole, across)


def _route(arrow: tuple[int, int], follow: dict[int, list[int]], boxes: int) -> list[int]:
    """The bends on the way of an arrow: each has a number behind those of the boxes."""
    source, target = arrow
    for first in follow.get(source, []):
        bends, here = [], first
        while here >= boxes:
            bends.append(here)
            (here,) = follow[here]
        if here == target:
            return bends
    return []
