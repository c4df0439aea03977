"""Which kernel computes which line of the sheet.

What prints and what runs are two spellings of one function, so that their expressions differ. Two
quantities are taken for the same if they agree at random parameters and data, element by element.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from symnet.diff import adjoints
from symnet.expr import Expr, topological
from symnet.formula.graph import active_nodes
from symnet.formula.layers import with_names
from symnet.formula.sheet import Sheet
from symnet.formula.text import TextPrinter
from symnet.formula.tree import Formula
from symnet.lower import Part
from symnet.ops.core import FLOATS, number
from symnet.ops.leaves import INPUT, NAMED, PARAMETER, STATE, STEP
from symnet.ops.reduction import SOFTMAX
from symnet.reference import bind_leaves, interpret, namespace_of
from symnet.sampling import sample_held, sample_inputs

Array = np.ndarray[Any, Any]
_LEAVES: Final = (INPUT, PARAMETER, STATE, STEP)
_SEED: Final = 20
_TOLERANCE: Final = {2: 1e-2, 4: 1e-4, 8: 1e-9}


def quantities(sheet: Sheet, targets: Sequence[Expr]) -> dict[str, Expr]:
    """The expressions of a sheet's lines by what stands on their left."""
    loss = with_names(sheet.loss, targets)
    order = topological([loss])
    active = active_nodes(order, targets)
    printer = TextPrinter()
    top = printer.show(sheet.forward[-1].left)
    found: dict[str, Expr] = {top: loss}
    moving = [n for n in order if n.op is NAMED and n is not loss]
    found |= {str(n.name): n for n in moving}
    seed = {loss: number(1, loss.dtype)}
    slopes = adjoints(seed, [*targets, *(n for n in moving if n in active)])
    softmaxes = [n for n in topological([loss, *slopes.values()]) if n.op is SOFTMAX]
    found |= {"P": softmaxes[0]} if len(softmaxes) == 1 else {}
    for node in moving:
        if node in slopes:
            found[f"Δ_{str(node.name).removeprefix('Z_')}"] = slopes[node]
    for target in targets:
        if target in slopes:
            found[f"∂{top}/∂{target.name}"] = slopes[target]
    return found


def same_values(left: Sequence[Expr], right: Sequence[Expr]) -> dict[Expr, list[Expr]]:
    """For each of the left expressions those of the right ones that it agrees with in value.

    Constants, and what is the same everywhere, say nothing and are like nothing.
    """
    nodes = list(dict.fromkeys([*left, *right]))
    feeds = {**sample_inputs(nodes, _SEED), **sample_held(nodes, _SEED)}
    bound = bind_leaves(nodes, feeds)
    chosen = namespace_of("numpy")
    with chosen.settings(), np.errstate(all="ignore"):
        values = interpret(nodes, bound.arrays, bound.sizes, chosen)
    known = {n: np.asarray(v) for n, v in zip(nodes, values, strict=True)}
    return {
        one: [other for other in right if _alike(known[one], known[other])]
        for one in left
        if _telling(known[one])
    }


def _telling(value: Array) -> bool:
    """Whether numbers are finite, and not all of them whole."""
    if value.dtype not in FLOATS or not value.size or not np.all(np.isfinite(value)):
        return False
    return bool(np.any(value != np.round(value)))


def _alike(left: Array, right: Array) -> bool:
    if left.size != right.size or right.dtype not in FLOATS or not np.all(np.isfinite(right)):
        return False
    if [s for s in left.shape if s != 1] != [s for s in right.shape if s != 1]:
        return False
    narrow = min(left.itemsize, right.itemsize)
    scale = float(np.max(np.abs(left)))
    gap = np.max(np.abs(left.reshape(-1).astype(float) - right.reshape(-1)))
    return bool(gap <= _TOLERANCE[narrow] * scale)


def names_of(
    sheet: Sheet, found: Mapping[str, Expr], likes: Mapping[Expr, Sequence[Expr]]
) -> dict[Expr, Formula]:
    """How the sheet writes expressions that run, where they have no name of their own."""
    printer = TextPrinter()
    symbols = {printer.show(ln.left): ln.left for ln in (*sheet.forward, *sheet.backward)}
    names: dict[Expr, Formula] = {}
    for name, node in found.items():
        alike = [
            other
            for other in likes.get(node, ())
            if other.shape == node.shape and other.op not in (NAMED, *_LEAVES)
        ]
        # Of several that are equal in value the last is what the others lead to.
        if name in symbols and alike:
            names.setdefault(max(alike, key=lambda other: other.serial), symbols[name])
    return names


def links(
    found: Mapping[str, Expr], likes: Mapping[Expr, Sequence[Expr]], parts: Sequence[Part]
) -> dict[str, list[int]]:
    """For each line of the sheet the places of the kernels in which its value arises."""
    return {
        name: [
            place
            for place, part in enumerate(parts)
            if any(other in part.nodes for other in likes.get(node, ()))
        ]
        for name, node in found.items()
    }
