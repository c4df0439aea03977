"""What a network answers all over the plane, epoch by epoch, and where it changes its mind."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from symnet.compile import compile as compiled
from symnet.expr import Expr, make, substitute, topological
from symnet.ops.core import FLOATS
from symnet.ops.leaves import INPUT, PARAMETER, leaves, training
from symnet.reference import evaluate

Array = np.ndarray[Any, Any]
ACROSS, UP = 72, 54
_MOST_POINTS: Final = 800
_MOST_CLASSES: Final = 10
_MARGIN: Final = 0.12


@dataclass(frozen=True)
class Plane:
    """A network of two inputs: its points, which of them it answers with, and the answer.

    points: the input (N, 2). target: the other input. score: the expression that the loss sees the
    points through. kind: "two", where a score above `threshold` means the higher class; "many",
    where the largest of the scores wins; "number", where the score itself is the answer.
    """

    points: Expr
    target: Expr
    score: Expr
    kind: str
    threshold: float
    low: float
    high: float


def find_plane(loss: Expr, feeds: Mapping[Expr, Array]) -> Plane | None:
    """How the loss depends on points of the plane; None if it is no problem of two inputs."""
    inputs = [leaf for leaf in leaves([loss], INPUT) if leaf is not training]
    points = [leaf for leaf in inputs if leaf.ndim == 2 and leaf.shape[1] == 2]
    points = [leaf for leaf in points if leaf.dtype in FLOATS]
    if len(inputs) != 2 or len(points) != 1:
        return None
    (target,) = (leaf for leaf in inputs if leaf is not points[0])
    score = _bottleneck(loss, points[0], target)
    if score is None or score.shape[:1] != points[0].shape[:1]:
        return None
    values = np.asarray(feeds[target])
    classes = np.unique(values)
    if score.ndim == 2 and score.shape[1] != 1:
        whole = target.ndim == 2 or target.dtype not in FLOATS
        kind = "many" if whole and score.shape[1] in range(2, _MOST_CLASSES + 1) else ""
        return Plane(points[0], target, score, kind, 0.0, 0.0, 1.0) if kind else None
    if len(classes) == 2:
        low, high = map(float, classes)
        found = _threshold(loss, score, target, low, high)
        if found is not None:
            return Plane(points[0], target, score, "two", found, low, high)
    low, high = float(values.min()), float(values.max())
    return Plane(points[0], target, score, "number", 0.0, low, high)


def _bottleneck(loss: Expr, points: Expr, target: Expr) -> Expr | None:
    """The last node that every way from the points to the loss goes through and that knows nothing
    of the target. There are such ways as numbers of them say: those to a node times those on."""
    order = topological([loss])
    ways: dict[Expr, int] = {points: 1}
    knows = {target}
    for node in order:
        if node.args:
            ways[node] = sum(ways.get(arg, 0) for arg in node.args)
            if any(arg in knows for arg in node.args):
                knows.add(node)
    onward: dict[Expr, int] = dict.fromkeys(order, 0)
    onward[loss] = 1
    for node in reversed(order):
        for arg in node.args:
            onward[arg] += onward[node]
    if not ways.get(loss):
        return None
    passed = [n for n in order if n.args and ways.get(n, 0) * onward[n] == ways[loss]]
    blind = [n for n in passed if n not in knows and n is not loss and n.ndim]
    return blind[-1] if blind else None


def _threshold(loss: Expr, score: Expr, target: Expr, low: float, high: float) -> float | None:
    """The score at which the loss of one row is the same for both classes."""
    name = "the score of one row"
    leaf = make(INPUT, identity=True, name=name, shape=score.shape, dtype=str(score.dtype))
    (seen,) = substitute([loss], {score: leaf})
    candidates = np.concatenate([np.linspace(0.001, 0.999, 81), np.linspace(-20, 20, 81)])
    for values in (candidates[:81], candidates[81:]):
        gaps = np.array([_preference(seen, leaf, target, s, low, high) for s in values])
        if not np.all(np.isfinite(gaps)):
            continue
        below, above = gaps[:-1], gaps[1:]
        (crossed,) = np.nonzero((below < 0) & (above >= 0))
        if len(crossed) == 1:
            k = int(crossed[0])
            share = -below[k] / (above[k] - below[k])
            return float(values[k] + share * (values[k + 1] - values[k]))
    return None


def _preference(
    seen: Expr, leaf: Expr, target: Expr, score: float, low: float, high: float
) -> float:
    """How much more the loss is for the low class than for the high one, at a score."""

    def at(label: float) -> float:
        kinds = {leaf: score, target: label}
        shapes = {node: tuple(s if isinstance(s, int) else 1 for s in node.shape) for node in kinds}
        feeds = {n: np.full(shapes[n], value).astype(n.dtype) for n, value in kinds.items()}
        with np.errstate(all="ignore"):
            return float(evaluate(seen, feeds))

    return at(low) - at(high)


def pictures(
    plane: Plane, feeds: Mapping[Expr, Array], snapshots: Mapping[int, Mapping[str, Array]]
) -> dict[str, Any]:
    """What a page needs to draw the plane at each snapshot, as values that JSON holds.

    Scores are bytes, row by row from the top: for two classes 128 + 127 tanh(distance from the
    threshold / scale), for many the number of the class, for a number its place in its range.
    """
    points = np.asarray(feeds[plane.points], np.float64)
    lowest, highest = points.min(axis=0), points.max(axis=0)
    margin = _MARGIN * np.where(highest > lowest, highest - lowest, 1.0)
    lowest, highest = lowest - margin, highest + margin
    across = np.linspace(lowest[0], highest[0], ACROSS)
    up = np.linspace(highest[1], lowest[1], UP)
    grid = np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2)
    function = compiled(plane.score)
    known = {str(leaf.name) for leaf in leaves([plane.score], PARAMETER)}

    def scores(at: Array, parameters: Mapping[str, Array]) -> Array:
        own = {name: value for name, value in parameters.items() if name in known}
        found = function({plane.points: at.astype(plane.points.dtype), **own})
        return np.asarray(found, np.float64).reshape(len(at), -1)

    maps = [scores(grid, parameters) for parameters in snapshots.values()]
    shown = _evenly(len(points))
    labels = _labels(plane, np.asarray(feeds[plane.target]))
    shares = [_right(plane, scores(points, p), labels) for p in snapshots.values()]
    return {
        "kind": plane.kind,
        "width": ACROSS,
        "height": UP,
        "left": lowest.tolist(),
        "right": highest.tolist(),
        "epochs": list(snapshots),
        "maps": [base64.b64encode(m).decode() for m in _bytes(plane, maps)],
        "shares": shares,
        "points": np.round(points[shown], 4).tolist(),
        "labels": np.round(labels[shown], 4).tolist(),
        "low": plane.low,
        "high": plane.high,
        "classes": maps[0].shape[1] if plane.kind == "many" else 2,
    }


def _evenly(count: int) -> Array:
    """Places of at most so many points as can be seen."""
    return np.unique(np.linspace(0, count - 1, min(count, _MOST_POINTS)).astype(int))


def _labels(plane: Plane, target: Array) -> Array:
    if plane.kind == "many":
        return target.argmax(axis=1) if target.ndim == 2 else target.astype(int)
    return target.reshape(len(target), -1)[:, 0].astype(np.float64)


def _right(plane: Plane, scores: Array, labels: Array) -> float | None:
    """The share of the points that are answered rightly; None for numbers."""
    if plane.kind == "number":
        return None
    if plane.kind == "many":
        return float(np.mean(scores.argmax(axis=1) == labels))
    return float(np.mean((scores[:, 0] > plane.threshold) == (labels == plane.high)))


def _bytes(plane: Plane, maps: list[Array]) -> list[bytes]:
    if plane.kind == "many":
        return [m.argmax(axis=1).astype(np.uint8).tobytes() for m in maps]
    if plane.kind == "two":
        distances = [m[:, 0] - plane.threshold for m in maps]
        scale = float(np.nanmedian(np.abs(distances[-1]))) or 1.0
        shares = [0.5 + 0.5 * np.tanh(d / scale) for d in distances]
    else:
        spread = (plane.high - plane.low) or 1.0
        shares = [(m[:, 0] - plane.low) / spread for m in maps]
    return [np.round(1 + 254 * np.clip(np.nan_to_num(s), 0, 1)).astype(np.uint8).tobytes()
            for s in shares]  # fmt: skip
