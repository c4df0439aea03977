"""Expressions of kernel texts as LLVM code."""

# Numba and llvmlite type themselves only in part.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import ast
import builtins
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.dispatcher import Dispatcher
from numba.extending import _Intrinsic as Intrinsic  # type: ignore[attr-defined]

from codegen.cpu.kinds import (
    TRUTH,
    Untranslated,
    Value,
    binary,
    compared,
    constant,
    converted,
    extreme,
    inverted,
    is_float,
    llvm_kind,
    negative,
    truth,
)

_SIGNS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
}
_RELATIONS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
}
_NUMPY: dict[object, Any] = {np.int32: types.int32, np.int64: types.int64, np.uint8: types.uint8,
          np.float32: types.float32, np.float64: types.float64}  # fmt: skip


class _Context:
    """As much of Numba's target context as our intrinsics ask of it."""

    def get_value_type(self, kind: Any) -> Any:
        return llvm_kind(kind)

    def get_dummy_value(self) -> None:
        return None


@dataclass(slots=True)
class Call:
    """A function while it is written out: its names, and where what it returns goes."""

    known: Mapping[str, Any]
    after: Any
    names: dict[str, Value] = field(default_factory=dict)
    result: Value | None = None
    loops: list[tuple[Any, Any]] = field(default_factory=list)


class Phrases:
    """What the expressions of one kernel become, where the builder stands."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder
        self.calls: list[Call] = []

    def written_out(self, function: FunctionType, given: Sequence[Value]) -> Value | None:
        """A function of Python in the place of its call."""
        raise Untranslated(f"a call of {function.__name__}")

    @property
    def call(self) -> Call:
        return self.calls[-1]

    def assign(self, name: str, value: Value) -> None:
        """Every name is a place on the stack, which LLVM makes a register of."""
        place = self.call.names.get(name)
        if place is None:
            place = self.call.names[name] = self.place(value.kind)
        if place.kind != value.kind:
            raise Untranslated(f"{name} as {place.kind} and {value.kind}")
        self.builder.store(value.value, place.value)

    def place(self, kind: Any) -> Value:
        entry = ir.IRBuilder(self.builder.function.entry_basic_block)
        entry.position_at_start(self.builder.function.entry_basic_block)
        return Value(entry.alloca(llvm_kind(kind)), kind)

    def block(self) -> Any:
        return self.builder.append_basic_block()

    def value(self, node: ast.expr) -> Value:
        """The value of an expression."""
        found = self._expression(node)
        if found is None:
            raise Untranslated(f"the value of {ast.unparse(node)}")
        return found

    def _expression(self, node: ast.expr) -> Value | None:
        match node:
            case ast.Constant(number):
                return constant(number)
            case ast.Name(name) if name in self.call.names:
                place = self.call.names[name]
                return Value(self.builder.load(place.value), place.kind)
            case ast.Name():
                return constant(self._object(node))
            case ast.BinOp(left, sign, right):
                return self.binary(sign, self.value(left), self.value(right))
            case ast.UnaryOp(ast.Not(), operand):
                return Value(self.builder.not_(self.truth(operand)), types.boolean)
            case ast.UnaryOp(ast.USub(), operand):
                return negative(self.builder, self.value(operand))
            case ast.UnaryOp(ast.Invert(), operand):
                return inverted(self.builder, self.value(operand))
            case ast.Compare(left, [relation], [right]) if type(relation) in _RELATIONS:
                name = _RELATIONS[type(relation)]
                return compared(self.builder, name, self.value(left), self.value(right))
            case ast.BoolOp(sign, values):
                return self._all_or_any(isinstance(sign, ast.And), values)
            case ast.IfExp(test, body, orelse):
                return self._either(test, body, orelse)
            case ast.Subscript(pointer, index):
                place, kind = self.element(pointer, index)
                return Value(self.builder.load(place), kind)
            case ast.Call():
                return self._called(node)
        raise Untranslated(f"the expression {ast.unparse(node)}")

    def truth(self, node: ast.expr) -> Any:
        return truth(self.builder, self.value(node)).value

    def integer(self, node: ast.expr) -> Value:
        found = self.value(node)
        if is_float(found.kind) or isinstance(found.kind, types.CPointer):
            raise Untranslated(f"{found.kind} as an index")
        return found

    def binary(self, sign: ast.operator, a: Value, b: Value) -> Value:
        if type(sign) not in _SIGNS:
            raise Untranslated(f"the operator {type(sign).__name__}")
        return binary(self.builder, _SIGNS[type(sign)], a, b)

    def element(self, pointer: ast.expr, index: ast.expr) -> tuple[Any, Any]:
        """The place of an element, and its type."""
        base, number = self.value(pointer), self.integer(index)
        if not isinstance(base.kind, types.CPointer):
            raise Untranslated(f"an element of {base.kind}")
        where = converted(self.builder, number, types.int64).value
        return self.builder.gep(base.value, [where]), base.kind.dtype

    def _all_or_any(self, every: bool, values: Sequence[ast.expr]) -> Value:
        """Truth values, of which the later ones are looked at only if need be."""
        after, ends = self.block(), []
        for place, node in enumerate(values):
            found = self.value(node)
            if found.kind != types.boolean:
                raise Untranslated(f"and, or of {found.kind}")
            ends.append((found.value, self.builder.block))
            if place == len(values) - 1:
                self.builder.branch(after)
                break
            more = self.block()
            self.builder.cbranch(found.value, *((more, after) if every else (after, more)))
            self.builder.position_at_end(more)
        self.builder.position_at_end(after)
        return Value(self._met(TRUTH, ends), types.boolean)

    def _either(self, test: ast.expr, body: ast.expr, orelse: ast.expr) -> Value:
        """One of two values; what the other needs does not run."""
        yes, no, after = self.block(), self.block(), self.block()
        self.builder.cbranch(self.truth(test), yes, no)
        found, ends = [], []
        for block, node in ((yes, body), (no, orelse)):
            self.builder.position_at_end(block)
            found.append(self.value(node))
            ends.append((found[-1].value, self.builder.block))
            self.builder.branch(after)
        if found[0].kind != found[1].kind:
            raise Untranslated(f"either {found[0].kind} or {found[1].kind}")
        self.builder.position_at_end(after)
        return Value(self._met(llvm_kind(found[0].kind), ends), found[0].kind)

    def _met(self, kind: Any, ends: Sequence[tuple[Any, Any]]) -> Any:
        phi = self.builder.phi(kind)
        for value, block in ends:
            phi.add_incoming(value, block)
        return phi

    def _object(self, node: ast.expr) -> Any:
        """What a name, or an attribute of a module, stands for outside the function."""
        match node:
            case ast.Name(name) if name not in self.call.names:
                known = self.call.known
                if name in known or hasattr(builtins, name):
                    return known[name] if name in known else getattr(builtins, name)
            case ast.Attribute(ast.Name() as owner, name):
                module = self._object(owner)
                if isinstance(module, ModuleType) and hasattr(module, name):
                    return getattr(module, name)
        raise Untranslated(f"the name {ast.unparse(node)}")

    def _called(self, node: ast.Call) -> Value | None:
        called = self._object(node.func)
        given = [self.value(each) for each in node.args]
        if node.keywords:
            raise Untranslated("named arguments")
        if called in (min, max) and len(given) == 2:
            return extreme(self.builder, "<" if called is min else ">", *given)
        kind = _NUMPY.get(called, called)
        if isinstance(kind, types.Number) and len(given) == 1:
            return converted(self.builder, given[0], kind)
        if isinstance(called, Intrinsic):
            return self._intrinsic(called, given)
        if isinstance(called, types.ExternalFunction):
            return self._external(called, given)
        if isinstance(called, Dispatcher):
            return self.written_out(called.py_func, given)
        raise Untranslated(f"a call of {ast.unparse(node.func)}")

    def _intrinsic(self, called: Any, given: Sequence[Value]) -> Value | None:
        signature, code = called._defn(None, *(each.kind for each in given))
        value = code(_Context(), self.builder, signature, self._fitting(signature, given))
        return None if signature.return_type == types.void else Value(value, signature.return_type)

    def _fitting(self, signature: Any, given: Sequence[Value]) -> list[Any]:
        """The arguments as the function wants them."""
        if len(signature.args) != len(given):
            raise Untranslated("a call with another number of arguments")
        pairs = zip(given, signature.args, strict=True)
        return [converted(self.builder, each, kind).value for each, kind in pairs]

    def _external(self, called: Any, given: Sequence[Value]) -> Value:
        result, kinds = llvm_kind(called.sig.return_type), map(llvm_kind, called.sig.args)
        module = self.builder.module
        function = module.globals.get(called.symbol) or ir.Function(
            module, ir.FunctionType(result, kinds), called.symbol
        )
        value = self.builder.call(function, self._fitting(called.sig, given))
        return Value(value, called.sig.return_type)
