"""Line charts as SVG that stand by themselves, at home on a light page and on a dark one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

WIDTH, HEIGHT = 360, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 26, 34
# Okabe and Ito's colours that are told apart on white and on black, by the colour-blind too.
COLOURS: Final = ("#0a84c6", "#d9730d", "#12a37f", "#c264a0", "#a3860a", "#7a7af0")
_DASHES: Final = ("", "7 3", "2 3", "9 3 2 3", "4 2", "12 3")
_MOST_POINTS: Final = 600
_STEPS: Final = (1, 2, 2.5, 5, 10)


def line_chart(
    series: Mapping[str, Sequence[float]],
    title: str,
    across: str = "epoch",
    first: int = 0,
    linear: bool = False,
) -> str:
    """Each series over its position, the first of which is `first`, as one `<svg>` element.

    Unless `linear`, the height is on a logarithmic scale where all values are positive and the
    largest is at least 50 times the smallest. Values that are not finite are left out, and the
    line is broken.
    """
    finite = [v for values in series.values() for v in values if math.isfinite(v)]
    longest = max((len(values) for values in series.values()), default=0)
    if not finite:
        return ""
    logarithmic = not linear and min(finite) > 0 and max(finite) >= 50 * min(finite)
    scale = _Scale(first, first + max(longest - 1, 1), min(finite), max(finite), logarithmic)
    parts = [_frame(scale, title, across)]
    for place, (name, values) in enumerate(series.items()):
        parts.append(_line(scale, values, first, place, name))
    if len(series) > 1:
        parts.append(_legend(list(series)))
    described = f"{title} over {longest} {across}s, from {_number(finite[0])}"
    return (
        f'<svg class="symnet-chart" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'height="{HEIGHT}" role="img" aria-label="{escape(described)}" fill="currentColor" '
        f'font-family="system-ui, sans-serif" font-size="11">{"".join(parts)}</svg>'
    )


class _Scale:
    """From values to places in the picture."""

    def __init__(
        self, first: float, last: float, low: float, high: float, logarithmic: bool
    ) -> None:
        self.first, self.last, self.logarithmic = first, last, logarithmic
        if logarithmic:
            low, high = math.log10(low), math.log10(high)
        elif low >= 0 and low < 0.5 * high:
            low = 0.0
        if high - low <= 1e-9 * abs(high):
            # A constant stands in the middle; 0 is within the picture.
            low, high = min(0.0, 2 * low), max(0.0, 2 * high)
        if low == high:
            low, high = -1.0, 1.0
        self.low, self.high = low, high

    def x(self, value: float) -> float:
        share = (value - self.first) / (self.last - self.first)
        return _LEFT + share * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        height = math.log10(value) if self.logarithmic else value
        share = (height - self.low) / (self.high - self.low)
        return HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM)

    def heights(self) -> list[float]:
        """The values that lines across the picture mark."""
        if not self.logarithmic:
            return _ticks(self.low, self.high, 4)
        whole = [10.0**k for k in range(math.ceil(self.low), math.floor(self.high) + 1)]
        if len(whole) >= 2:
            return whole[:: math.ceil(len(whole) / 5)]
        fine = [m * 10.0**k for k in range(math.floor(self.low), 99) for m in (1, 2, 5)]
        return [value for value in fine[:12] if self.low <= math.log10(value) <= self.high]


def _ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers from low to high."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(step * power for step in _STEPS if step * power >= rough * (1 - 1e-9))
    count = range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    return [k * step for k in count]


def _number(value: float) -> str:
    text = f"{value:.3g}"
    return text.replace("e-0", "e-").replace("e+0", "e").replace("-", "−")


def _frame(scale: _Scale, title: str, across: str) -> str:
    bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
    parts = [f'<text x="{_LEFT}" y="15" font-size="12" font-weight="600">{escape(title)}</text>']
    for value in scale.heights():
        y = f"{scale.y(value):.1f}"
        parts.append(
            f'<path d="M{_LEFT} {y}H{right}" stroke="currentColor" stroke-opacity="0.15"/>'
            f'<text x="{_LEFT - 6}" y="{y}" dy="0.35em" text-anchor="end" '
            f'opacity="0.75">{_number(value)}</text>'
        )
    parts += [
        f'<text x="{scale.x(value):.1f}" y="{bottom + 14}" text-anchor="middle" '
        f'opacity="0.75">{value:.0f}</text>'
        for value in _ticks(scale.first, scale.last, 5)
        if value == int(value)
    ]
    parts.append(
        f'<path d="M{_LEFT} {bottom}H{right}" stroke="currentColor" stroke-opacity="0.5"/>'
        f'<text x="{(_LEFT + right) / 2}" y="{HEIGHT - 4}" text-anchor="middle" '
        f'opacity="0.75">{escape(across)}</text>'
    )
    return "".join(parts)


def _line(scale: _Scale, values: Sequence[float], first: int, place: int, name: str) -> str:
    """One series; of a long one only as many points as can be seen, ends included."""
    stride = max(1, math.ceil(len(values) / _MOST_POINTS))
    shown = [*range(0, len(values), stride)]
    if shown and shown[-1] != len(values) - 1:
        shown.append(len(values) - 1)
    drawing, pen = [], "M"
    for k in shown:
        if not math.isfinite(values[k]):
            pen = "M"
            continue
        drawing.append(f"{pen}{scale.x(first + k):.1f} {scale.y(values[k]):.1f}")
        pen = "L"
    colour, dash = COLOURS[place % len(COLOURS)], _DASHES[place % len(_DASHES)]
    path = "".join(drawing)
    # A line of one point is a dot.
    path += "h0.01" if len(drawing) == 1 else ""
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.8" '
        f'stroke-linejoin="round" stroke-linecap="round"{dashed}>'
        f"<title>{escape(name)}</title></path>"
    )


def _legend(names: Sequence[str]) -> str:
    parts, x = [], WIDTH - _RIGHT
    for place, name in reversed(list(enumerate(names))):
        x -= 6 * len(name) + 28
        dash = _DASHES[place % len(_DASHES)]
        parts.append(
            f'<path d="M{x} 11h18" stroke="{COLOURS[place % len(COLOURS)]}" stroke-width="2" '
            f'stroke-dasharray="{dash}"/><text x="{x + 22}" y="15">{escape(name)}</text>'
        )
    return "".join(parts)
