"""LLVM code written as formulas and loops: what the contraction kernel is made of.

Numba would need seconds for it, because it optimises every function anew inside each that calls it.
"""

# llvmlite has no types.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

INDEX = ir.IntType(64)
LANE = ir.IntType(32)


@dataclass(frozen=True, slots=True, eq=False)
class Int:
    """A whole number of 64 bits. What is divided is not negative."""

    builder: Any
    value: Any

    def make(self, value: Any) -> Int:
        return Int(self.builder, value)

    def constant(self, number: int) -> Int:
        return self.make(INDEX(number))

    def _other(self, other: Int | int) -> Any:
        return other.value if isinstance(other, Int) else INDEX(other)

    def __add__(self, other: Int | int) -> Int:
        return self.make(self.builder.add(self.value, self._other(other)))

    def __sub__(self, other: Int | int) -> Int:
        return self.make(self.builder.sub(self.value, self._other(other)))

    def __mul__(self, other: Int | int) -> Int:
        return self.make(self.builder.mul(self.value, self._other(other)))

    def __floordiv__(self, other: Int | int) -> Int:
        return self.make(self.builder.udiv(self.value, self._other(other)))

    def compare(self, relation: str, other: Int | int) -> Any:
        return self.builder.icmp_signed(relation, self.value, self._other(other))

    def __lt__(self, other: Int | int) -> Any:
        return self.compare("<", other)

    def __le__(self, other: Int | int) -> Any:
        return self.compare("<=", other)

    def __gt__(self, other: Int | int) -> Any:
        return self.compare(">", other)

    def __ge__(self, other: Int | int) -> Any:
        return self.compare(">=", other)

    def where(self, condition: Any, otherwise: Int | int) -> Int:
        """This number where the condition holds, else the other one."""
        return self.make(self.builder.select(condition, self.value, self._other(otherwise)))

    def at_most(self, bound: Int | int) -> Int:
        return self.where(self < bound, bound)

    def rounded_up(self, unit: int) -> Int:
        """The next multiple of the unit."""
        return (self + (unit - 1)) // unit * unit


@dataclass(frozen=True, slots=True, eq=False)
class Pointer:
    """The address of an element; sums and places count elements."""

    builder: Any
    value: Any

    @property
    def align(self) -> int:
        """Bytes that any such address is a multiple of."""
        element = self.value.type.pointee
        return 4 if isinstance(element, ir.FloatType) else 8

    def __add__(self, count: Int | int) -> Pointer:
        offset = count.value if isinstance(count, Int) else INDEX(count)
        return Pointer(self.builder, self.builder.gep(self.value, [offset]))

    def where(self, condition: Any, otherwise: Pointer) -> Pointer:
        return Pointer(self.builder, self.builder.select(condition, self.value, otherwise.value))

    def load(self, kind: Any = None) -> Any:
        """The element, or what of that type begins there."""
        return self.builder.load(self._as(kind), align=self.align)

    def store(self, value: Any) -> None:
        self.builder.store(value, self._as(value.type), align=self.align)

    def _as(self, kind: Any) -> Any:
        return self.value if kind is None else self.builder.bitcast(self.value, kind.as_pointer())

    def number(self) -> Int:
        return Int(self.builder, self.load())

    def cast(self, kind: Any) -> Pointer:
        """The same address, of elements of that type."""
        return Pointer(self.builder, self._as(kind))


@contextmanager
def loop(start: Int, stop: Int | int, step: Int | int = 1) -> Iterator[Int]:
    """The code inside runs for start, start + step, ... below stop."""
    builder = start.builder
    before, body = builder.block, builder.append_basic_block("loop")
    after = builder.append_basic_block("after")
    builder.cbranch(start < stop, body, after)
    builder.position_at_end(body)
    index = Int(builder, builder.phi(INDEX))
    index.value.add_incoming(start.value, before)
    yield index
    following = index + step
    index.value.add_incoming(following.value, builder.block)
    builder.cbranch(following < stop, body, after)
    builder.position_at_end(after)


def inner_function(module: Any, name: str, kinds: list[Any], write: Callable[..., None]) -> Any:
    """The module's own function of that name; `write(builder, *arguments)` writes its body when it
    is first asked for."""
    if name in module.globals:
        return module.globals[name]
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    function.attributes.add("nounwind")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    wrapped = [(Pointer if each.type.is_pointer else Int)(builder, each) for each in function.args]
    write(builder, *wrapped)
    builder.ret_void()
    return function


@dataclass(frozen=True, slots=True)
class Vectors:
    """Vectors of that many floats."""

    real: Any
    lanes: int

    @property
    def kind(self) -> Any:
        return ir.VectorType(self.real, self.lanes)

    @property
    def bits(self) -> int:
        return 32 if isinstance(self.real, ir.FloatType) else 64

    @property
    def zero(self) -> Any:
        return ir.Constant(self.kind, [0.0] * self.lanes)

    def splat(self, builder: Any, value: Any) -> Any:
        """The vector of which each lane is the value, of whatever type."""
        undefined = ir.Constant(ir.VectorType(value.type, self.lanes), ir.Undefined)
        first = builder.insert_element(undefined, value, LANE(0))
        return builder.shuffle_vector(first, undefined, lane_numbers([0] * self.lanes))

    def call(self, builder: Any, name: str, kinds: list[Any], args: list[Any]) -> Any:
        """LLVM's intrinsic `name` for these vectors, which gives such a vector."""
        full = f"llvm.{name}.v{self.lanes}f{self.bits}"
        module = builder.module
        declared = module.globals.get(full) or ir.Function(
            module, ir.FunctionType(self.kind, kinds), full
        )
        return builder.call(declared, args)

    def times_plus(self, builder: Any, factor: Any, other: Any, term: Any) -> Any:
        """factor * other + term, rounded once."""
        return self.call(builder, "fma", [self.kind] * 3, [factor, other, term])

    def first_lanes(self, count: Int) -> Any:
        """The mask of the lanes below `count`."""
        numbers = ir.Constant(ir.VectorType(INDEX, self.lanes), list(range(self.lanes)))
        counts = self.splat(count.builder, count.value)
        return count.builder.icmp_signed("<", numbers, counts)

    def load_masked(self, place: Pointer, mask: Any) -> Any:
        """The lanes of the mask that begin there, and 0 for the others, which are not touched."""
        builder = place.builder
        kinds = [self.kind.as_pointer(), LANE, mask.type, self.kind]
        args = [place.cast(self.kind).value, LANE(place.align), mask, self.zero]
        return self.call(builder, "masked.load", kinds, args)


def lane_numbers(numbers: list[int]) -> Any:
    """The constant that tells a shuffle which lanes to take."""
    return ir.Constant(ir.VectorType(LANE, len(numbers)), numbers)
