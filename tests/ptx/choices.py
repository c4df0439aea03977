"""Comparisons, selections, moves and conversions of addresses (PTX ISA, "Comparison and Selection
Instructions", "Data Movement and Conversion Instructions")."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.ptx.binding import WINDOWS, Array, Builder, Handler, commit, items
from tests.ptx.errors import Unsupported
from tests.ptx.floats import flush
from tests.ptx.memory import LOCAL_WINDOW, SHARED_WINDOW, WINDOW_END
from tests.ptx.syntax import TYPES, Instruction, Name, Vector

_COMPARISONS: dict[str, np.ufunc] = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "lo": np.less,
    "ls": np.less_equal,
    "hi": np.greater,
    "hs": np.greater_equal,
}
_COMBINATIONS = {"and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor}


def _comparison(word: str, floating: bool) -> Callable[[Array, Array], Array]:
    """Ordered comparisons of NaN are false, unordered ones (`equ`, `neu`, `ltu`...) true."""
    if word == "num":
        return lambda a, b: ~(np.isnan(a) | np.isnan(b))
    if word == "nan":
        return lambda a, b: np.isnan(a) | np.isnan(b)
    if not floating:
        return _COMPARISONS[word]
    if word.endswith("u"):
        plain = _COMPARISONS[word[:-1]]
        if word == "neu":
            return plain
        return lambda a, b: plain(a, b) | np.isnan(a) | np.isnan(b)
    if word == "ne":
        return lambda a, b: (a != b) & ~np.isnan(a) & ~np.isnan(b)
    return _COMPARISONS[word]


def _compared(machine: Any, i: Instruction) -> tuple[Callable[[], Array], Array | None, Any]:
    """The comparison, and the predicate that it is combined with, and how."""
    t, binder = i.types[-1], machine.binder
    a, b = binder.source(i.operands[1], t), binder.source(i.operands[2], t)
    words = [w for w in i.modifiers if w not in TYPES and w != "ftz"]
    function, ftz = _comparison(words[0], t[0] == "f"), i.has("ftz")
    compare = (lambda: function(flush(a), flush(b))) if ftz else (lambda: function(a, b))
    if len(i.operands) < 4:
        return compare, None, None
    last = i.operands[3]
    assert isinstance(last, Name)
    predicate, negated = machine.binder.guard(last)
    combination = _COMBINATIONS[words[1]]
    if negated:
        return compare, predicate, lambda x, p: combination(x, ~p)
    return compare, predicate, combination


def _setp(machine: Any, i: Instruction) -> Handler:
    compare, predicate, combine = _compared(machine, i)
    targets = [machine.binder.target(operand, "pred") for operand in items(i.operands[0])]
    if predicate is None and len(targets) == 1:
        target = targets[0]
        return lambda where: commit(target, compare(), where)

    def run(where: Any) -> None:
        result = compare()
        both = [result, ~result]
        if predicate is not None:
            both = [combine(each, predicate) for each in both]
        for target, each in zip(targets, both, strict=False):
            commit(target, each, where)

    return run


def _set(machine: Any, i: Instruction) -> Handler:
    compare, predicate, combine = _compared(machine, i)
    target = machine.binder.target(i.operands[0], i.types[0])
    yes = target.dtype.type(1.0) if i.types[0][0] == "f" else ~np.zeros((), target.dtype)

    def run(where: Any) -> None:
        result = compare()
        if predicate is not None:
            result = combine(result, predicate)
        commit(target, np.where(result, yes, target.dtype.type(0)), where)

    return run


def _selp(machine: Any, i: Instruction) -> Handler:
    t, binder = i.types[-1], machine.binder
    a, b = binder.source(i.operands[1], t), binder.source(i.operands[2], t)
    chosen = i.operands[3]
    assert isinstance(chosen, Name)
    predicate, negated = binder.guard(chosen)
    target = binder.target(i.operands[0], t)
    if negated:
        a, b = b, a
    return lambda where: commit(target, np.where(predicate, a, b), where)


def _slct(machine: Any, i: Instruction) -> Handler:
    t, binder = i.types[0], machine.binder
    a, b = binder.source(i.operands[1], t), binder.source(i.operands[2], t)
    c = binder.source(i.operands[3], i.types[-1])
    target, ftz = binder.target(i.operands[0], t), i.has("ftz")
    return lambda where: commit(target, np.where((flush(c) if ftz else c) >= 0, a, b), where)


def _mov(machine: Any, i: Instruction) -> Handler:
    t, binder = i.types[-1], machine.binder
    result, given = i.operands[0], i.operands[1]
    if isinstance(result, Vector):
        return _unpack(machine, t, result, given)
    if isinstance(given, Vector):
        return _pack(machine, t, result, given)
    if isinstance(given, Name) and given.text in ("%clock", "%clock64", "%globaltimer"):
        target = binder.target(result, t)
        return lambda where: commit(target, machine.executed, where)
    source, target = binder.source(given, t), binder.target(result, t)
    return lambda where: np.copyto(target, source, where=where)


def _unpack(machine: Any, t: str, result: Vector, given: Any) -> Handler:
    binder = machine.binder
    size = TYPES[t].itemsize // len(result.items)
    part = np.dtype(f"u{size}")
    source = binder.source(given, f"b{TYPES[t].itemsize * 8}")
    targets = [(k, binder.target(o, part)) for k, o in enumerate(result.items) if o != Name("_")]

    def run(where: Any) -> None:
        parts = np.ascontiguousarray(source).view(part).reshape(source.size, -1)
        for k, target in targets:
            commit(target, parts[:, k], where)

    return run


def _pack(machine: Any, t: str, result: Any, given: Vector) -> Handler:
    binder = machine.binder
    part = np.dtype(f"u{TYPES[t].itemsize // len(given.items)}")
    sources = [binder.source(operand, part) for operand in given.items]
    target = binder.target(result, f"b{TYPES[t].itemsize * 8}")

    def run(where: Any) -> None:
        packed = np.stack(sources, axis=1).view(target.dtype)[:, 0]
        commit(target, packed, where)

    return run


def _cvta(machine: Any, i: Instruction) -> Handler:
    t, binder = i.types[-1], machine.binder
    source, target = binder.source(i.operands[1], t), binder.target(i.operands[0], t)
    space = next(w for w in i.modifiers if w in ("global", "shared", "local", "const", "param"))
    window = source.dtype.type(WINDOWS.get(space, 0))
    change = np.subtract if i.has("to") else np.add
    return lambda where: commit(target, change(source, window), where)


def _isspacep(machine: Any, i: Instruction) -> Handler:
    binder = machine.binder
    source, target = binder.source(i.operands[1], "u64"), binder.target(i.operands[0], "pred")
    ranges = {
        "shared": (SHARED_WINDOW, LOCAL_WINDOW),
        "local": (LOCAL_WINDOW, WINDOW_END),
        "global": (WINDOW_END, 1 << 63),
    }
    name = next((w.split("::")[0] for w in i.modifiers if w.split("::")[0] in ranges), None)
    if name is None:
        raise Unsupported("this space")
    low, high = ranges[name]
    return lambda where: commit(target, (source >= low) & (source < high), where)


CHOICES: dict[str, Builder] = {
    "setp": _setp,
    "set": _set,
    "selp": _selp,
    "slct": _slct,
    "mov": _mov,
    "cvta": _cvta,
    "isspacep": _isspacep,
}
