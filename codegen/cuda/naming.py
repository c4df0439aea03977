"""LLVM modules that are the same in every process: each once, in the order in which they are
needed, their functions under short names.

Numba's names count all functions compiled so far, and it gives a module once for each way that
leads to it, in the order of a set.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_DEFINED: Final = re.compile(r'^define [^\n"]*@"([^"\n]+)"', re.MULTILINE)
_NAME: Final = re.compile(r'@"([^"\n]+)"')
_LENGTH: Final = re.compile(r"\d+")
_PREFIX: Final = "_ZN"


def canonical(modules: Sequence[str]) -> list[str]:
    """The first module, which has the kernel, and those that it needs, directly or not."""
    first, *others = dict.fromkeys(modules)
    home = {name: module for module in others for name in _DEFINED.findall(module)}
    order, known = [first], {first}
    names: dict[str, str] = {}
    # The list grows while it is walked through.
    for module in order:
        for name in _NAME.findall(module):
            if name not in home or name in names:
                continue
            names[name] = f"{_readable(name)}_{len(names)}"
            if home[name] not in known:
                known.add(home[name])
                order.append(home[name])
    return [_NAME.sub(lambda each: f'@"{names.get(each[1], each[1])}"', one) for one in order]


def _readable(name: str) -> str:
    """The function's own name in a mangled one, which is a list of names, each behind its length
    (Itanium C++ ABI, 5.1.3)."""
    rest, found = name.removeprefix(_PREFIX), "function"
    while match := _LENGTH.match(rest):
        end = match.end() + int(match[0])
        found, rest = rest[match.end() : end], rest[end:]
    return re.sub(r"\W", "_", found)
