"""Loads, stores, atomics, fences and asynchronous copies, with their checks (PTX ISA, "Data
Movement and Conversion Instructions", "Parallel Synchronization and Communication
Instructions")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.ptx.binding import Array, Builder, Handler, commit, items, lanes_of
from tests.ptx.errors import Unsupported
from tests.ptx.spaces import Place, Space
from tests.ptx.syntax import TYPES, Address, Constant, Instruction, Name

SPACES = ("global", "shared", "local", "const", "param")
_STRONG = ("volatile", "relaxed", "acquire", "release", "acq_rel", "mmio")


def space_of(i: Instruction) -> str:
    """The state space that an instruction names; "" for generic addresses."""
    for word in i.modifiers:
        plain, _, inside = word.partition("::")
        if plain in SPACES:
            if inside == "cluster":
                raise Unsupported("clusters")
            return plain
    return ""


@dataclass(slots=True)
class Access:
    """One memory operand: its address, its elements, and how strong the access is."""

    machine: Any
    instruction: Instruction
    space: str
    base: Array
    offset: int
    element: int
    count: int

    @property
    def size(self) -> int:
        return self.element * self.count

    def addresses(self, where: Any) -> tuple[Array, Array]:
        """The addresses of the active lanes, and these."""
        lanes = lanes_of(where, self.machine.binder.lanes)
        base = self.base if where is True else self.base[lanes]
        addresses = base.astype(np.int64)
        if self.offset:
            addresses += self.offset
        return addresses, lanes

    def places(self, where: Any, *, write: bool) -> list[Place]:
        """Where the active lanes go, for each space that they go to, checked."""
        return self.places_of(*self.addresses(where), write=write)

    def places_of(self, addresses: Array, lanes: Array, *, write: bool) -> list[Place]:
        """The same for given addresses."""
        found: list[tuple[Space, Array, Array]] = self.machine.spaces(
            self.space, addresses, lanes, self.instruction
        )
        return [
            space.place(which, those, self.size, self.instruction, write=write)
            for space, which, those in found
        ]


def access(machine: Any, i: Instruction, operand: Any, element: int, count: int) -> Access:
    """The bound memory operand."""
    if not isinstance(operand, Address):
        raise Unsupported(f"the memory operand {operand}")
    base, offset = machine.binder.address(operand)
    return Access(machine, i, space_of(i), base, offset, element, count)


def _load(machine: Any, i: Instruction) -> Handler:
    kind = i.types[-1]
    dtype = TYPES[kind]
    results = items(i.operands[0])
    if space_of(i) == "param":
        return _load_parameter(machine, i, kind)
    bound = access(machine, i, i.operands[1], dtype.itemsize, len(results))
    targets = [machine.binder.target(operand, kind) for operand in results]
    strong, acquire = i.has(*_STRONG), i.has("acquire")

    def run(where: Any) -> None:
        addresses, lanes = bound.addresses(where)
        if not strong and _is_uniform(addresses):
            (place,) = bound.places_of(addresses[:1], lanes[:1], write=False)
            if place.space.is_one_for(lanes):
                place.space.watch_uniform(place, lanes)
                word = int(place.bytes[0]) // dtype.itemsize
                values = place.space.arena.views[dtype.itemsize].view(dtype)
                for k, target in enumerate(targets):
                    commit(target, values[word + k], where)
                return
        for place in bound.places_of(addresses, lanes, write=False):
            if strong:
                machine.polled = True
                place.strong(write=False, acquire=acquire)
            else:
                place.read()
            whole = place.lanes.size == machine.binder.count
            first = place.bytes // dtype.itemsize
            words = place.space.arena.views[dtype.itemsize].view(dtype)
            for k, target in enumerate(targets):
                values = words[first + k]
                if whole:
                    np.copyto(target, values, casting="unsafe")
                else:
                    target[place.lanes] = values

    return run


def _store(machine: Any, i: Instruction) -> Handler:
    kind = i.types[-1]
    dtype = TYPES[kind]
    given = items(i.operands[1])
    if space_of(i) == "param":
        return _store_parameter(machine, i, kind)
    bound = access(machine, i, i.operands[0], dtype.itemsize, len(given))
    sources = [machine.binder.source(operand, kind) for operand in given]
    strong, release = i.has(*_STRONG), i.has("release")

    def run(where: Any) -> None:
        for place in bound.places(where, write=True):
            values = [source[place.lanes] for source in sources]
            if strong:
                place.strong(write=True, release=release)
            first = place.bytes // dtype.itemsize
            words = place.space.arena.views[dtype.itemsize].view(dtype)
            met = None if strong else place.write(lambda p=place, v=values: _bytes(v, p))
            for k, each in enumerate(values):
                words[first + k] = each
            if met is not None:
                place.same(met, _bytes(values, place))

    return run


def _is_uniform(addresses: Array) -> bool:
    first = addresses[0]
    return addresses.size > 1 and first == addresses[-1] and bool((addresses == first).all())


def _bytes(values: list[Array], place: Place) -> Array:
    """What each lane writes, of shape (lanes, bytes)."""
    packed = np.stack(values, axis=1)
    return packed.view(np.uint8).reshape(place.lanes.size, -1)


def _parameter_bytes(machine: Any, operand: Any) -> tuple[Array, int]:
    assert isinstance(operand, Address)
    assert isinstance(operand.base, Name)
    return machine.binder.parameter(operand.base.text), operand.offset


def _load_parameter(machine: Any, i: Instruction, kind: str) -> Handler:
    dtype = TYPES[kind]
    stored, offset = _parameter_bytes(machine, i.operands[1])
    targets = [machine.binder.target(operand, kind) for operand in items(i.operands[0])]

    def run(where: Any) -> None:
        for k, target in enumerate(targets):
            start = offset + k * dtype.itemsize
            part = np.ascontiguousarray(stored[:, start : start + dtype.itemsize])
            commit(target, part.view(dtype)[:, 0], where)

    return run


def _store_parameter(machine: Any, i: Instruction, kind: str) -> Handler:
    dtype = TYPES[kind]
    stored, offset = _parameter_bytes(machine, i.operands[0])
    sources = [machine.binder.source(operand, kind) for operand in items(i.operands[1])]

    def run(where: Any) -> None:
        for k, source in enumerate(sources):
            start = offset + k * dtype.itemsize
            part = np.ascontiguousarray(source).view(np.uint8).reshape(-1, dtype.itemsize)
            chosen = where if where is True else where[:, None]
            np.copyto(stored[:, start : start + dtype.itemsize], part, where=chosen)

    return run


_ATOMIC = {
    "add": lambda old, b, c: old + b,
    "min": lambda old, b, c: min(old, b),
    "max": lambda old, b, c: max(old, b),
    "and": lambda old, b, c: old & b,
    "or": lambda old, b, c: old | b,
    "xor": lambda old, b, c: old ^ b,
    "exch": lambda old, b, c: b,
    "cas": lambda old, b, c: c if old == b else old,
    "inc": lambda old, b, c: old * 0 if old >= b else old + type(old)(1),
    "dec": lambda old, b, c: b if old == 0 or old > b else old - type(old)(1),
}


def _atomic(machine: Any, i: Instruction) -> Handler:
    """Atomics of several lanes on one place are done one after the other, in the machine's order of
    lanes (PTX leaves the order open)."""
    kind = i.types[-1]
    if kind in ("bf16", "bf16x2", "f16x2"):
        raise Unsupported(f"atomics of {kind}")
    dtype, returns = TYPES[kind], i.opcode == "atom"
    operands = i.operands[1:] if returns else i.operands
    bound = access(machine, i, operands[0], dtype.itemsize, 1)
    sources = [machine.binder.source(operand, kind) for operand in operands[1:]]
    target = machine.binder.target(i.operands[0], kind) if returns else None
    change = _ATOMIC[next(word for word in i.modifiers if word in _ATOMIC)]
    acquire, release = i.has("acquire", "acq_rel"), i.has("release", "acq_rel")

    def run(where: Any) -> None:
        machine.polled = True
        for place in bound.places(where, write=True):
            place.strong(write=True, acquire=acquire, release=release, both=returns)
            words = place.space.arena.views[dtype.itemsize].view(dtype)
            index = place.bytes // dtype.itemsize
            given = [source[place.lanes] for source in (*sources, sources[-1])]
            old = np.empty(place.lanes.size, dtype)
            for k in machine.shuffled(place.lanes.size):
                spot = index[k]
                old[k] = words[spot]
                words[spot] = change(words[spot], given[0][k], given[1][k])
            if target is not None:
                target[place.lanes] = old

    return run


def _fence(machine: Any, i: Instruction) -> Handler:
    if i.has("proxy", "mbarrier_init"):
        raise Unsupported("fences of proxies")
    if (i.opcode == "membar" and i.has("cta")) or (i.opcode == "fence" and i.has("cta")):
        return lambda where: None

    def run(where: Any) -> None:
        warps = np.unique(lanes_of(where, machine.binder.lanes) // 32)
        machine.order.fence(warps)

    return run


def _copy(machine: Any, i: Instruction) -> Handler:
    """cp.async: the bytes arrive when the thread waits for them; until then, nobody may look."""
    copies = machine.copies
    if i.has("commit_group"):
        return lambda where: copies.commit(lanes_of(where, machine.binder.lanes))
    if i.has("wait_group", "wait_all"):
        left = None
        if i.has("wait_group"):
            assert isinstance(i.operands[0], Constant)
            left = i.operands[0].value
        return lambda where: copies.wait(lanes_of(where, machine.binder.lanes), left)
    if not i.has("async") or i.has("bulk", "mbarrier"):
        raise Unsupported("this copy")
    size = i.operands[2]
    assert isinstance(size, Constant)
    destination = access(machine, i, i.operands[0], size.value, 1)
    destination.space = "shared"
    source = access(machine, i, i.operands[1], size.value, 1)
    source.space = "global"
    given = i.operands[3] if len(i.operands) > 3 else size
    used = machine.binder.source(given, "u32")
    if (i.has("ca") and size.value not in (4, 8, 16)) or (i.has("cg") and size.value != 16):
        raise Unsupported("a copy of so many bytes")

    def run(where: Any) -> None:
        (to,) = destination.places(where, write=True)
        count = np.minimum(used[to.lanes], size.value)
        copies.start(to, source, count, where)

    return run


ACCESS: dict[str, Builder] = {
    "ld": _load,
    "ldu": _load,
    "st": _store,
    "atom": _atomic,
    "red": _atomic,
    "membar": _fence,
    "fence": _fence,
    "cp": _copy,
    "prefetch": lambda machine, i: lambda where: None,
    "prefetchu": lambda machine, i: lambda where: None,
    "nanosleep": lambda machine, i: lambda where: setattr(machine, "polled", True),
}
