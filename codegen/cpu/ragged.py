"""Which variant of the sizes an iteration has; the drivers of every target compile it."""

from __future__ import annotations

from typing import Any


def last_values(known: Any, ragged: Any, rules: Any, value: Any) -> Any:
    """The bits of those rules whose sizes are smaller in the iteration at hand; `rules` is
    256 * first + count, `ragged` has the places of batch and total of each."""
    bits = 0
    for rule in range(rules // 256, rules // 256 + rules % 256):
        batch, total = known[ragged[2 * rule]], known[ragged[2 * rule + 1]]
        if batch <= 0 or total <= 0:
            bits |= 1 << rule
            continue
        count = (total + batch - 1) // batch
        if value % count == count - 1 and total % batch != 0:
            bits |= 1 << rule
    return bits
