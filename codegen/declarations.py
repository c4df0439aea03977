"""What a program must not declare: sizes, buffers, views and slots, one small check each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from codegen.ir import SCOPES, Program
from codegen.scalar import FLOATS, INTEGERS
from codegen.sizes import raggeds
from codegen.walk import index_buffers

DTYPES = (*FLOATS, *INTEGERS, "bool")


def name_declared_twice(program: Program) -> Iterator[str]:
    for kind in (program.buffers, program.sizes):
        times = Counter(one.name for one in kind)
        yield from (f"{name} is declared twice" for name, by in times.items() if by > 1)


def unknown_scope_or_dtype(program: Program) -> Iterator[str]:
    for buffer in program.buffers:
        if buffer.scope not in SCOPES or buffer.dtype not in DTYPES:
            yield f"{buffer.name} is {buffer.dtype} {buffer.scope}"


def storage_without_end(program: Program) -> Iterator[str]:
    buffers = index_buffers(program)
    sound: set[str] = set()
    for buffer in program.buffers:
        path = [buffer.name]
        while path[-1] not in sound and (storage := buffers[path[-1]].storage) is not None:
            if storage not in buffers or storage in path:
                yield f"the storage of {buffer.name} leads nowhere: {' -> '.join(path)}"
                return
            if buffers[storage].dtype != buffer.dtype:
                yield f"{buffer.name} views {storage} as another dtype"
            path.append(storage)
        sound.update(path)


def size_used_before_it_is_known(program: Program) -> Iterator[str]:
    known = {rule.name for rule in raggeds(program.body)}
    for rule in program.sizes:
        for _, names in rule.terms:
            for name in names:
                if name not in known:
                    yield f"the size {rule.name} uses {name}, which comes later or never"
        known.add(rule.name)
    for buffer in program.buffers:
        for extent in buffer.shape:
            if isinstance(extent, str) and extent not in known:
                yield f"the shape of {buffer.name} uses the unknown size {extent}"


def slot_of_what_is_not_scratch(program: Program) -> Iterator[str]:
    buffers = index_buffers(program)
    seen: set[str] = set()
    for name in (name for slot in program.slots for name in slot):
        buffer = buffers.get(name)
        if buffer is None or buffer.scope != "step" or buffer.storage is not None or name in seen:
            yield f"{name} cannot be in a slot"
        seen.add(name)


DECLARATION_CHECKS = (
    name_declared_twice, unknown_scope_or_dtype, storage_without_end, size_used_before_it_is_known,
    slot_of_what_is_not_scratch,
)  # fmt: skip
