"""What stands between the brackets of an element: letters, places, ranges, computed places."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from symnet.errors import ParseError
from symnet.parse.arrays import Index, Letter, Range
from symnet.parse.tree import Name, Negated, Node, Numeral, Product, Span, Total
from symnet.parse.values import Extent, Value
from symnet.sizes import (
    Dimension,
    add_sizes,
    divide_sizes,
    multiply_sizes,
    scale_size,
)


class Reader(Protocol):
    """What an index needs of the formula that it stands in."""

    scope: Mapping[str, Extent]

    def of(self, node: Node) -> Value: ...

    def size(self, node: Node) -> Dimension | None: ...

    def fault(self, node: Node, message: str) -> ParseError: ...


def size_of(node: Node, names: Mapping[str, Dimension]) -> Dimension | None:
    """The size that a tree of whole numbers and names of sizes stands for; None for any other."""
    if isinstance(node, Numeral):
        return int(node.value) if node.value.is_integer() else None
    if isinstance(node, Name):
        return names.get(node.name)
    if isinstance(node, Negated):
        body = size_of(node.body, names)
        return None if body is None else scale_size(body, -1)
    if isinstance(node, Product) and all(sign in ("", "*") for sign, _ in node.factors):
        return _all(multiply_sizes, [size_of(factor, names) for _, factor in node.factors])
    if isinstance(node, Total):
        signs = [1 if sign == "+" else -1 for sign, _ in node.terms]
        terms = [size_of(term, names) for _, term in node.terms]
        signed = [
            None if size is None else scale_size(size, sign)
            for size, sign in zip(terms, signs, strict=True)
        ]
        return _all(lambda found: add_sizes(*found), signed)
    return None


def _all(
    combine: Callable[[list[Dimension]], Dimension], found: list[Dimension | None]
) -> Dimension | None:
    known = [size for size in found if size is not None]
    return combine(known) if len(known) == len(found) else None


def index_of(reader: Reader, node: Node, extent: Extent) -> Index | None:
    """What a tree picks from an axis of this size; None for all of it."""
    if isinstance(node, Span):
        return span(reader, node, extent)
    if isinstance(node, Name) and node.name in reader.scope:
        return Letter(node.name)
    place = reader.size(node)
    if place is None:
        return reader.of(node)
    if isinstance(place, int) and place < 0:
        place = add_sizes(_whole(reader, node, extent), place)
    size = extent.size
    if isinstance(size, int) and isinstance(place, int) and not 0 <= place < size:
        raise reader.fault(node, f"place {place} is out of range: the axis has {size}")
    return Range(place, 1, 1, dropped=True)


def span(reader: Reader, node: Span, extent: Extent) -> Range | None:
    """A range of places; None for all of them."""
    if node.start is node.stop is node.step is None:
        return None
    step = _bound(reader, node.step, 1)
    if not isinstance(step, int) or step == 0:
        raise reader.fault(node, "a step is a whole number other than 0")
    backwards = step < 0
    if backwards:
        start = _bound(reader, node.start, None)
        start = add_sizes(_whole(reader, node, extent), -1) if start is None else start
        stop = _bound(reader, node.stop, -1)
    else:
        start = _bound(reader, node.start, 0)
        stop = _bound(reader, node.stop, None)
        stop = _whole(reader, node, extent) if stop is None else stop
    assert start is not None
    assert stop is not None
    count = _count(start, step, stop)
    if count is None or (isinstance(count, int) and count < 0):
        raise reader.fault(node, f"how many places {start}:{stop}:{step} are does not show")
    return Range(start, step, count)


def _bound(reader: Reader, node: Node | None, default: Dimension | None) -> Dimension | None:
    if node is None:
        return default
    size = reader.size(node)
    if size is None:
        raise reader.fault(node, "a range goes between whole numbers and names of sizes")
    return size


def _whole(reader: Reader, node: Node, extent: Extent) -> Dimension:
    if extent.size is None:
        raise reader.fault(node, "how long this axis is does not show")
    return extent.size


def _count(start: Dimension, step: int, stop: Dimension) -> Dimension | None:
    length = add_sizes(stop, scale_size(start, -1))
    if isinstance(length, int):
        return max(0, -(-length // step))
    return divide_sizes(length, step)
