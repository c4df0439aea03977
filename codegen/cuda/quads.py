"""Pointwise nests over whole arrays: four neighbouring elements a thread, moved 16 bytes at a time.

Where every array is reached at the same place of its memory, the nest is one loop over places, and
needs no indices. The block's places are cut into fours that begin at multiples of four, since
arrays begin at multiples of 16 bytes; of those at both ends only what is the block's own is moved.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from codegen.cpu.expressions import Writer, value
from codegen.cuda.image import THREADS
from codegen.ir import Buffer, Let, Loop, Statement, Store
from codegen.scalar import (
    Affine,
    Apply,
    Axis,
    Index,
    Load,
    Local,
    Ref,
    Scalar,
    at,
    nested_refs,
)
from codegen.walk import nodes, root_of, scalars_of

FOUR = 4


def suits(
    loops: Sequence[Loop], body: tuple[Statement, ...], buffers: Mapping[str, Buffer]
) -> bool:
    """True for a nest of Lets and Stores in which every element touched stands at the same place as
    all others of its iteration, or is the same in all iterations and only read."""
    nest = _Nest(tuple(loops), buffers)
    if any(loop.start != 0 for loop in loops) or not all(isinstance(s, Let | Store) for s in body):
        return False
    stored = [one.ref for one in body if isinstance(one, Store)]
    if not stored or not all(nest.in_place(ref) for ref in stored):
        return False
    roots = {root_of(ref.buffer, buffers) for ref in stored}
    return all(nest.fits(scalar, roots) for one in body for scalar in scalars_of(one))


@dataclass(frozen=True, slots=True)
class _Nest:
    loops: tuple[Loop, ...]
    buffers: Mapping[str, Buffer]

    def in_place(self, ref: Ref, *, whole: bool = False) -> bool:
        """True if the element's place is the number of the iteration. `whole`: and the buffer has
        an element for every iteration."""
        shape = self.buffers[ref.buffer].shape
        extents = tuple(loop.extent for loop in self.loops)
        known = slice(0 if whole else 1, None)
        return (
            ref.index == tuple(at(loop.axis) for loop in self.loops)
            and len(shape) == len(extents)
            and shape[known] == extents[known]
        )

    def fits(self, scalar: Scalar, stored: set[str]) -> bool:
        axes = {loop.axis for loop in self.loops}
        for node in nodes(scalar):
            if isinstance(node, Axis) and node.name in axes:
                return False
            # What only one branch of a select reads need not be there in every iteration.
            if isinstance(node, Apply) and node.function == "select":
                branches = (ref for branch in node.args[1:] for ref in _loaded(branch))
                if not all(self.in_place(ref, whole=True) for ref in branches):
                    return False
            if isinstance(node, Load) and not self.in_place(node.ref):
                inside = list(nested_refs(node.ref))
                if any(axes & set(_axes(index)) for ref in inside for index in ref.index):
                    return False
                if any(root_of(ref.buffer, self.buffers) in stored for ref in inside):
                    return False
        return True


def _loaded(scalar: Scalar) -> Iterator[Ref]:
    return (node.ref for node in nodes(scalar) if isinstance(node, Load))


def _axes(index: Index) -> Iterator[str]:
    if isinstance(index, Affine):
        yield from (symbol.name for symbol, _ in index.terms if isinstance(symbol, Axis))


def quads(
    writer: Writer,
    loops: Sequence[Loop],
    body: tuple[Statement, ...],
    reach: tuple[str, str],
) -> None:
    """Writes the nest for a block, the outermost loop from one number up to another."""
    made = _Writing(writer, _Nest(tuple(loops), writer.operands.buffers), body)
    begin, end, place, whole = (writer.fresh(letter) for letter in "ezqb")
    row = "1"
    if len(loops) > 1:
        row = f"small({writer.operands.product(tuple(loop.extent for loop in loops[1:]))})"
    writer.line(f"{begin}, {end} = {reach[0]} * {row}, {reach[1]} * {row}")
    writer.line(f"{place} = ({begin} & -{FOUR}) + me * {FOUR}")
    writer.line(f"while {place} < {end}:")
    with writer.indented():
        writer.line(f"{whole} = {place} >= {begin} and {place} + {FOUR} <= {end}")
        made.four(place, f"{begin}, {end}", whole)
        writer.line(f"{place} = on({place}, {THREADS * FOUR})")


@dataclass(frozen=True, slots=True)
class _Writing:
    writer: Writer
    nest: _Nest
    body: tuple[Statement, ...]

    def root(self, ref: Ref) -> str:
        return root_of(ref.buffer, self.nest.buffers)

    def local(self, ref: Ref) -> str:
        """The name of the local that stands for the element of this iteration."""
        return f"element of {self.root(ref)}"

    def placed(self, scalar: Scalar) -> Scalar:
        """The scalar with locals for what it loads from this iteration's place."""
        if isinstance(scalar, Load) and self.nest.in_place(scalar.ref):
            return Local(self.local(scalar.ref), scalar.dtype)
        if isinstance(scalar, Apply):
            return replace(scalar, args=tuple(map(self.placed, scalar.args)))
        return scalar

    def read(self) -> dict[str, Ref]:
        """What is loaded from this iteration's place, by local."""
        refs = (ref for one in self.body for scalar in scalars_of(one) for ref in _loaded(scalar))
        return {self.local(ref): ref for ref in refs if self.nest.in_place(ref)}

    def pointer(self, ref: Ref) -> str:
        return self.writer.operands.pointer(ref.buffer)

    def text(self, ref: Ref, held: str) -> str:
        """The element as an expression, from what memory holds."""
        return f"({held} != 0)" if self.nest.buffers[ref.buffer].dtype == "bool" else held

    def stored(self, store: Store) -> str:
        """The value as memory holds it; writes lines before."""
        text = value(self.writer, self.placed(store.value))
        return f"uint8({text})" if self.nest.buffers[store.ref.buffer].dtype == "bool" else text

    def four(self, place: str, reach: str, whole: str) -> None:
        """The iterations at four places, or at those of them that are in the block's reach."""
        writer = self.writer
        held: dict[str, list[str]] = {}
        reads = self.read()
        for local in reads:
            held[local] = [writer.fresh("a") for _ in range(FOUR)]
        loads = [(", ".join(held[local]), self.pointer(ref)) for local, ref in reads.items()]
        self.either(
            whole,
            [f"{names} = four({pointer}, {place})" for names, pointer in loads],
            [f"{names} = some({pointer}, {place}, {reach})" for names, pointer in loads],
        )
        written: dict[str, tuple[Ref, list[str]]] = {}
        for lane in range(FOUR):
            for local, ref in reads.items():
                writer.locals[local] = self.text(ref, held[local][lane])
            self.lane(lane, written)
        stores = [(self.pointer(ref), ", ".join(names)) for ref, names in written.values()]
        self.either(
            whole,
            [f"put_four({pointer}, {place}, {names})" for pointer, names in stores],
            [f"put_some({pointer}, {place}, {reach}, {names})" for pointer, names in stores],
        )

    def either(self, condition: str, yes: list[str], no: list[str]) -> None:
        """The first lines where the condition holds, else the others."""
        if not yes:
            return
        for test, lines in ((f"if {condition}:", yes), ("else:", no)):
            self.writer.line(test)
            with self.writer.indented():
                for line in lines:
                    self.writer.line(line)

    def lane(self, lane: int, written: dict[str, tuple[Ref, list[str]]]) -> None:
        """One of the four iterations; notes the names of what it stores."""
        writer = self.writer
        for one in self.body:
            if isinstance(one, Let):
                writer.bind(one.name, value(writer, self.placed(one.value)))
            elif isinstance(one, Store):
                name, local = writer.fresh("v"), self.local(one.ref)
                writer.line(f"{name} = {self.stored(one)}")
                writer.locals[local] = self.text(one.ref, name)
                names = written.setdefault(local, (one.ref, []))[1]
                names[lane:] = [name]
