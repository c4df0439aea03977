"""The door: data from outside becomes arrays of the right shape and dtype, or a clear error."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from symnet.conversions import differ, lost
from symnet.device_arrays import Fetch, Placed, placed_of
from symnet.errors import FeedError, NameClashError, ShapeError
from symnet.expr import Expr, topological
from symnet.ops.core import CONSTANT, FLOATS, INTEGERS
from symnet.ops.gather import GATHER, SCATTER_ADD
from symnet.ops.leaves import INPUT, leaves_called
from symnet.ops.views import PLACE, SLICE
from symnet.sizes import Dimension, Shape, Size, add_sizes, scale_size, show_shape

Feeds = Mapping[Any, Any]
"""Data by the name of an input or parameter, or by the Expr itself."""


Given = np.ndarray[Any, Any] | Placed
"""An array on the host, or one on the GPU."""


@dataclass(frozen=True)
class Bound:
    """What came through the door: arrays by leaf, named sizes, what was rounded on the way, and
    the arrays that are on the GPU and stay there."""

    arrays: dict[Expr, np.ndarray[Any, Any]]
    sizes: dict[str, int]
    notes: tuple[str, ...]
    placed: dict[Expr, Placed] = field(default_factory=dict)

    def on_host(self, fetch: Fetch | None) -> Bound:
        """The same with all arrays on the host."""
        arrays = {leaf: _on_host(array, fetch) for leaf, array in self.placed.items()}
        return Bound({**self.arrays, **arrays}, self.sizes, self.notes)


def feeds_of(feeds: object) -> Feeds:
    """The feeds, none for None; FeedError for anything but a mapping."""
    if feeds is None:
        return {}
    if not isinstance(feeds, Mapping):
        raise FeedError(f"data comes by name, as in {{'X': array}}, got a {type(feeds).__name__}")
    return feeds


def bind(
    required: Sequence[Expr],
    feeds: Feeds | None,
    *,
    optional: Sequence[Expr] = (),
    allow_unreached: bool = True,
    limits: Limits | None = None,
    allow_nan: bool = True,
    allow_empty: bool = True,
    held: Sequence[np.ndarray[Any, Any]] | None = None,
    fetch: Fetch | None = None,
) -> Bound:
    """The arrays that feeds give for leaves, checked and converted.

    required: what must be fed; optional: what may be. Feeds for other inputs and parameters that
    exist are left aside (a derivative need not reach all of its function), unless not
    `allow_unreached`. limits: of `limits_of`. held: what will be written to while the feeds are
    read; if given, data that fits and shares no memory with it is used in place,
    else copied, as indices always are: once checked, nobody may change them.
    fetch: brings arrays from the GPU; if given, feeds may be such arrays, of the dtype of their
    input, used where they are: their values are looked at, by a copy, if they pick along an axis.
    FeedError for unknown names, missing feeds, wrong shapes, named sizes that contradict each other
    or a slice, conversions that lose more than rounding, and, unless allowed, NaN and empty inputs.
    """
    arrays: dict[Expr, Given] = {}
    notes, spare = list[str](), list[tuple[Expr, Any]]()
    leaves = [*required, *optional]
    ranges = limits.ranges if limits else {}
    for leaf, data in _matched(leaves, feeds_of(feeds), allow_unreached, spare):
        if leaf in arrays:
            raise FeedError(f"{leaf.name} is fed twice, by name and as an expression")
        arrays[leaf], note = _converted(leaf, data, None if leaf in ranges else held, fetch)
        notes += [note] if note else []
    _require_all(required, arrays, spare)
    sizes = _sizes(arrays, spare)
    for leaf, array in arrays.items():
        _check_values(leaf, array, allow_nan, allow_empty)
    if limits:
        _check_limits(limits, arrays, sizes, fetch)
    placed = {leaf: array for leaf, array in arrays.items() if isinstance(array, Placed)}
    here = {leaf: array for leaf, array in arrays.items() if not isinstance(array, Placed)}
    return Bound(here, sizes, tuple(notes), placed)


def _require_all(
    required: Iterable[Expr], arrays: Mapping[Expr, Given], spare: Iterable[tuple[Expr, Any]]
) -> None:
    missing = [leaf for leaf in required if leaf not in arrays]
    if missing:
        wanted = ", ".join(f"{leaf.name} ({show_shape(leaf.shape)})" for leaf in missing)
        unused = dict.fromkeys(str(leaf.name) for leaf, _ in spare)
        aside = f", and {', '.join(unused)}, which nothing here needs" if unused else ""
        raise FeedError(f"no data for {wanted}; given: {_names(arrays)}{aside}")


@dataclass(frozen=True)
class Limits:
    """What data must keep to for a graph to be computed without reaching outside an array.

    ranges: inputs that pick along an axis, with its size. conditions: sizes that must not be
    negative, each with the words for when it is.
    """

    ranges: Mapping[Expr, Dimension]
    conditions: tuple[tuple[Size, str], ...]


def limits_of(outputs: Iterable[Expr]) -> Limits:
    """The limits that outputs set. Where one input indexes several axes the smallest fixed size
    counts; slices and constant indices must lie inside their axes. ShapeError where fixed sizes
    already say that they do not."""
    ranges: dict[Expr, Dimension] = {}
    conditions: dict[Size, str] = {}
    for node in topological(outputs):
        if node.op in (GATHER, SCATTER_ADD):
            _add_range(ranges, node)
            for size, message in _fixed_indices(node):
                conditions.setdefault(size, message)
        whole = node.args[0].shape if node.op is SLICE else node.shape
        part = node.args[0].shape if node.op is PLACE else node.shape
        if node.op in (SLICE, PLACE):
            for size, message in _inside(node, whole, part):
                conditions.setdefault(size, message)
    return Limits(ranges, tuple(conditions.items()))


def picked_from(node: Expr) -> tuple[Expr, Dimension]:
    """What the index of a gather or scatter comes from, and the size of the axis it picks along."""
    index = node.args[1]
    while index.op.name in ("broadcast", "reshape", "permute", "cast", "named"):
        index = index.args[0]
    whole = node.args[0] if node.op is GATHER else node
    return index, whole.shape[node.attrs["spec"].index("*")]


def _fixed_indices(node: Expr) -> Iterator[tuple[Size, str]]:
    """The size that is negative where a constant index lies after its axis.

    ShapeError where that is known already, and for negative indices.
    """
    index, size = picked_from(node)
    values = np.asarray(index.attrs["value"]) if index.op is CONSTANT else np.zeros(0)
    if not values.size:
        return
    message = f"the {node.op.name} at {node.origin} takes indices from 0 to {size} - 1"
    room = add_sizes(size, -1 - int(values.max()))
    if values.min() < 0 or (isinstance(room, int) and room < 0):
        raise ShapeError(f"{message}, got {values.min() if values.min() < 0 else values.max()}")
    if isinstance(room, Size):
        yield room, message


def _add_range(ranges: dict[Expr, Dimension], node: Expr) -> None:
    index, size = picked_from(node)
    if index.op is INPUT and index.dtype in INTEGERS:
        known = ranges.get(index)
        smaller = isinstance(size, int) and isinstance(known, int) and known < size
        ranges[index] = known if smaller and known is not None else size


def _inside(node: Expr, whole: Shape, part: Shape) -> Iterator[tuple[Size, str]]:
    """Sizes that are negative where a slice begins before its axis or ends after it."""
    rows = zip(node.attrs["start"], node.attrs["step"], whole, part, strict=True)
    for axis, (start, step, size, count) in enumerate(rows):
        last = add_sizes(start, scale_size(add_sizes(count, -1), step))
        low, high = (start, last) if step > 0 else (last, start)
        message = f"the {node.op.name} at {node.origin} reaches outside axis {axis}, of size {size}"
        for room in (count, low, add_sizes(size, -1, scale_size(high, -1))):
            if isinstance(room, Size):
                yield room, message
            elif room < 0:
                raise ShapeError(message)


def _names(leaves: Iterable[Expr]) -> str:
    return ", ".join(str(leaf.name) for leaf in leaves) or "nothing"


def _matched(
    leaves: Sequence[Expr], feeds: Feeds, allow_unreached: bool, spare: list[tuple[Expr, Any]]
) -> Iterator[tuple[Expr, Any]]:
    """Each leaf with its data; what nothing reaches is added to `spare`."""
    by_name: dict[str, Expr] = {}
    for leaf in leaves:
        other = by_name.setdefault(str(leaf.name), leaf)
        if other is not leaf:
            raise NameClashError(
                f"{other.op.name} and {leaf.op.name} are both called {leaf.name}: one made at "
                f"{other.origin}, one at {leaf.origin}"
            )
    for key, data in feeds.items():
        name = str(key.name) if isinstance(key, Expr) else key
        found = by_name.get(name)
        if found is not None and (found is key or not isinstance(key, Expr)):
            yield found, data
            continue
        others = [key] if isinstance(key, Expr) else leaves_called(name)
        if allow_unreached and found is None and others and not others[0].args:
            spare.extend((other, data) for other in others)
        elif isinstance(key, Expr):
            raise FeedError(
                f"{key.op.name} {key.name or ''} made at {key.origin} is no input or parameter "
                f"of this expression; it has {_names(leaves)}"
            )
        else:
            hint = _hint(str(key), by_name)
            raise FeedError(f"there is no input {key!r}, there is {_names(leaves)}{hint}")


def _hint(key: str, names: Iterable[str]) -> str:
    """Words that suggest the closest name, whatever its case."""
    folded = {name.lower(): name for name in names}
    close = difflib.get_close_matches(key.lower(), folded, 1)
    return f"; did you mean {folded[close[0]]}?" if close else ""


def _converted(
    leaf: Expr,
    data: Any,
    held: Sequence[np.ndarray[Any, Any]] | None,
    fetch: Fetch | None,
) -> tuple[Given, str]:
    """The data in the leaf's dtype, and a note if numbers were rounded."""
    if isinstance(data, Expr):
        raise FeedError(f"{leaf.name} is fed an expression; a feed is an array or a number")
    placed = placed_of(str(leaf.name), data)
    if placed is not None:
        return _accepted(leaf, placed, fetch), ""
    if np.ma.is_masked(data):
        raise FeedError(f"{leaf.name} is fed a masked array; fill it first: array.filled(value)")
    try:
        array = np.asarray(data)
    except (ValueError, TypeError) as error:
        raise FeedError(f"{leaf.name} is fed {type(data).__name__}: {error}") from error
    if array.size == 0 and not hasattr(data, "dtype"):
        array = array.astype(leaf.dtype)
    _check_shape(leaf, array)
    if array.dtype.kind not in "biuf":
        raise FeedError(f"{leaf.name} expects numbers ({leaf.dtype}), got {array.dtype}")
    if array.dtype == leaf.dtype:
        fits = held is not None and array.flags.c_contiguous and array.flags.aligned
        alone = fits and not any(np.may_share_memory(array, other) for other in held or ())
        return (array if alone else array.copy()), ""
    with np.errstate(all="ignore"):
        made = array.astype(leaf.dtype)
    fault = lost(array, made, leaf.dtype)
    if fault:
        raise FeedError(f"{leaf.name} is {leaf.dtype}, the data {array.dtype}: {fault}")
    rounded = hasattr(data, "dtype") and leaf.dtype in FLOATS and array.dtype.kind == "f"
    if rounded and differ(made, array):
        return made, f"{leaf.name}: {array.dtype} data rounded to {leaf.dtype}"
    return made, ""


def _accepted(leaf: Expr, placed: Placed, fetch: Fetch | None) -> Placed:
    """An array on the GPU, if it can be used as it stands there."""
    if fetch is None:
        raise FeedError(
            f"{leaf.name} is fed a {type(placed.owner).__name__} on the GPU, and this runs on the "
            'CPU: bring it to the host first, or compile with target="cuda"'
        )
    _check_shape(leaf, placed)
    if placed.dtype != leaf.dtype:
        raise FeedError(
            f"{leaf.name} is {leaf.dtype}, the array on the GPU {placed.dtype}: what is there is "
            f"used in place, so convert it there to {leaf.dtype}"
        )
    return placed


def _on_host(array: Given, fetch: Fetch | None) -> np.ndarray[Any, Any]:
    if not isinstance(array, Placed):
        return array
    assert fetch is not None, "without it no array on the GPU comes through the door"
    return fetch(array)


def _check_shape(leaf: Expr, array: Given) -> None:
    fits = array.ndim == leaf.ndim and all(
        isinstance(wanted, Size) or wanted == got
        for wanted, got in zip(leaf.shape, array.shape, strict=True)
    )
    if not fits:
        expected, got = show_shape(leaf.shape), show_shape(array.shape)
        raise FeedError(f"{leaf.op.name} {leaf.name}: expected {expected}, got {got}")


def _sizes(arrays: Mapping[Expr, Given], spare: Iterable[tuple[Expr, Any]]) -> dict[str, int]:
    known: dict[str, int] = {}
    said: dict[str, Expr] = {}
    axes = [
        (size, got, leaf)
        for leaf, array in arrays.items()
        for size, got in zip(leaf.shape, array.shape, strict=True)
        if isinstance(size, Size)
    ]
    for size, got, leaf in axes:
        if size.terms == (((str(size),), 1),) and known.setdefault(str(size), got) != got:
            raise FeedError(
                f"the size {size} is {known[size]} in {said[size].name} and {got} in {leaf.name}"
            )
        said.setdefault(str(size), leaf)
    _add_spare_sizes(known, spare)
    for size, got, leaf in axes:
        if not size.names() <= known.keys():
            raise FeedError(f"{leaf.name} has an axis {size}, but no input says what that is")
        if size.value(known) != got:
            raise FeedError(f"{leaf.name} has an axis {size} = {size.value(known)}, got {got}")
    return known


def _add_spare_sizes(sizes: dict[str, int], spare: Iterable[tuple[Expr, Any]]) -> None:
    """Named sizes that only data which nothing reaches tells, as for the Jacobian of a sum.

    Several leaves may bear the name that was fed: where they disagree, none of them counts.
    """
    told: dict[str, set[int]] = {}
    for leaf, data in spare:
        pairs = list(zip(leaf.shape, np.shape(data), strict=False))
        fits = all(size == got for size, got in pairs if not isinstance(size, Size))
        if np.ndim(data) == leaf.ndim and fits:
            for size, got in pairs:
                if isinstance(size, Size):
                    told.setdefault(str(size), set()).add(got)
    for name, values in told.items():
        if len(values) == 1:
            sizes.setdefault(name, *values)


def _told(size: Size, sizes: Mapping[str, int]) -> str:
    return " and ".join(f"{name} is {sizes[name]}" for name in sorted(size.names()))


def _check_values(leaf: Expr, array: Given, allow_nan: bool, allow_empty: bool) -> None:
    if not allow_empty and array.size == 0:
        raise FeedError(f"{leaf.name} is empty: its shape is {show_shape(array.shape)}")
    if isinstance(array, Placed):
        return
    # The smallest of numbers, one of which is NaN, is NaN: that reads once and stores nothing.
    if leaf.dtype in FLOATS and not allow_nan and array.size and np.isnan(array.min()):
        wrong = np.isnan(array)
        where = [int(k) for k in np.argwhere(wrong)[0]]
        raise FeedError(f"{leaf.name} holds {wrong.sum()} NaN, the first at {where}")


def _check_limits(
    limits: Limits, arrays: Mapping[Expr, Given], sizes: Mapping[str, int], fetch: Fetch | None
) -> None:
    for leaf in [leaf for leaf in arrays if leaf in limits.ranges]:
        _check_range(leaf, _on_host(arrays[leaf], fetch), limits.ranges[leaf], sizes)
    for size, message in limits.conditions:
        if size.names() <= sizes.keys() and size.value(sizes) < 0:
            raise FeedError(f"{message}: {_told(size, sizes)}")


def _check_range(
    leaf: Expr, array: np.ndarray[Any, Any], size: Dimension, sizes: Mapping[str, int]
) -> None:
    if isinstance(size, Size) and not size.names() <= sizes.keys():
        return
    count = size.value(sizes) if isinstance(size, Size) else size
    if array.size == 0 or (array.min() >= 0 and array.max() < count):
        return
    wrong = np.argwhere((array < 0) | (array >= count))[0]
    place = [int(k) for k in wrong]
    raise FeedError(
        f"{leaf.name} picks one of {count}: its values must be from 0 to {count - 1}, "
        f"got {array[tuple(place)]} at {place}"
    )
