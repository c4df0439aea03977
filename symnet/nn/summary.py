"""A network as a table: layers, shapes, parameters, operations."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import Any

from symnet.cost import operation_count
from symnet.errors import SymnetError
from symnet.expr import Expr
from symnet.ops.leaves import input as input_leaf
from symnet.sizes import Dimension, add_sizes, scale_size, show_shape

_CELL = "padding: 0.2em 1.2em 0.2em 0; text-align: left; border: none"
_NUMBER = "padding: 0.2em 1.2em 0.2em 0; text-align: right; border: none"


@dataclass(frozen=True)
class LayerRow:
    """A layer: what it is, the shape of its result, its parameters, and how many operations the
    layer costs for N rows. Shape and operations are None where the input's shape is unknown."""

    layer: str
    parameters: int
    shape: str | None = None
    operations: Dimension | None = None


def layer_rows(layers: Iterable[Any]) -> list[LayerRow]:
    """The layers in order. What comes in has N rows of as many numbers as the first layer takes;
    if that does not say, or a layer takes something else, shapes and operations stay unknown from
    there on."""
    listed = list(layers)
    width = getattr(listed[0], "inputs", None) if listed else None
    x = input_leaf("X", ("N", width)) if isinstance(width, int) else None
    seen: set[Expr] = set()
    rows: list[LayerRow] = []
    for layer in listed:
        own = [p for p in _parameters(layer) if p not in seen]
        seen.update(own)
        count = sum(math.prod(map(int, p.shape)) for p in own)
        before, x = x, _after(layer, x)
        if before is None or x is None:
            rows.append(LayerRow(_name(layer), count))
            continue
        added = add_sizes(operation_count(x).total, scale_size(operation_count(before).total, -1))
        rows.append(LayerRow(_name(layer), count, show_shape(x.shape), added))
    return rows


def _after(layer: Any, x: Expr | None) -> Expr | None:
    """The layer's result; None where nothing is known of what comes in, or it is not rows."""
    if x is None:
        return None
    try:
        result = layer(x)
    except SymnetError:
        return None
    return result if isinstance(result, Expr) else None


def _parameters(layer: Any) -> list[Expr]:
    return list(layer.parameters()) if hasattr(layer, "parameters") else []


def _name(layer: Any) -> str:
    """How a layer is written: its repr and its activation, or the name of a function."""
    if not hasattr(layer, "parameters"):
        return str(getattr(layer, "__name__", layer))
    activation = getattr(layer, "activation", None)
    after = f", then {getattr(activation, '__name__', activation)}" if activation else ""
    return f"{layer!r}{after}"


def html_table(layers: Iterable[Any], title: str) -> str:
    """The rows as a table that a notebook shows, with their sums below."""
    rows = layer_rows(layers)
    lines = [_line(r.layer, r.shape, r.parameters, r.operations) for r in rows]
    known = [row.operations for row in rows if row.operations is not None]
    total = add_sizes(*known) if known else None
    parameters = sum(row.parameters for row in rows)
    lines.append(_line("together", None, parameters, total, "opacity: 0.75"))
    head = "".join(
        f'<th scope="col" style="{_CELL if place < 2 else _NUMBER}">{cell}</th>'
        for place, cell in enumerate(("layer", "result", "parameters", "operations"))
    )
    return (
        f'<div class="symnet"><div>{escape(title)}</div><table style="border-collapse: collapse">'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def _line(
    layer: str, shape: str | None, parameters: int, operations: Dimension | None, style: str = ""
) -> str:
    counted = "" if operations is None else str(operations).replace("*", "·")
    return (
        f'<tr style="{style}"><th scope="row" style="{_CELL}; font-weight: normal">'
        f'{escape(layer)}</th><td style="{_CELL}">{escape(shape or "")}</td>'
        f'<td style="{_NUMBER}">{parameters:,}</td>'
        f'<td style="{_NUMBER}">{escape(counted)}</td></tr>'
    )
