"""Kernel texts as LLVM code, directly: the small part of Python that they are written in.

Numba types and lowers all of Python, which takes it most of a kernel's compile time. This reads the
same text with the same meaning; what it does not know it leaves to Numba (`Untranslated`). Every
name keeps the type of its first assignment; functions are written out where they are called.
"""

# Numba and llvmlite type themselves only in part.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from types import FunctionType, ModuleType
from typing import Any

from llvmlite import ir
from numba import types

from codegen.cpu.kinds import (
    Untranslated,
    Value,
    converted,
    llvm_kind,
)
from codegen.cpu.phrases import Call, Phrases

_WORDS = types.CPointer(types.int64)
_FIXED = (types.int64, types.int64, _WORDS, _WORDS)
_DEPTH = 8
_CONTRACTED = frozenset(("fadd", "fsub", "fmul", "fdiv", "frem", "fcmp"))


def translated(
    tree: ast.Module, module: ModuleType, symbol: str, restricted: Sequence[tuple[int, Any]],
    triple: str,
) -> str:  # fmt: skip
    """The LLVM assembly of the text's function `kernel`, called `symbol`. restricted: cells of `p`
    that hold the addresses of memory which nothing else reaches, and their types; they are the
    function's last parameters. Untranslated where the text is beyond this."""
    functions = {each.name: each for each in tree.body if isinstance(each, ast.FunctionDef)}
    made = ir.Module(symbol)
    made.triple = triple
    nothing = ir.IntType(8).as_pointer()
    fixed = [nothing, nothing, *map(llvm_kind, _FIXED)]
    kinds = [kind for _, kind in restricted]
    outer = ir.Function(made, ir.FunctionType(ir.IntType(32), fixed), symbol)
    inner = outer
    if restricted:
        # Only of parameters LLVM can be told that nothing else reaches what they point to.
        kind = ir.FunctionType(ir.IntType(32), [*fixed, *map(llvm_kind, kinds)])
        inner = ir.Function(made, kind, f"{symbol}_inside")
        inner.linkage = "internal"
        inner.attributes.add("noinline")
        for parameter in inner.args[4:]:
            parameter.add_attribute("noalias")
        _enter(outer, inner, restricted)
    inner.attributes.add("nounwind")
    given = [Value(a, k) for a, k in zip(inner.args[2:], (*_FIXED, *kinds), strict=True)]
    _Translation(vars(module), functions).function(inner, functions["kernel"], given)
    _contract(made)
    return str(made)


def _enter(outer: Any, inner: Any, restricted: Sequence[tuple[int, Any]]) -> None:
    """The function that fetches restricted pointers from their cells and hands them on."""
    builder = ir.IRBuilder(outer.append_basic_block("entry"))
    cells, pointers = outer.args[5], []
    for cell, kind in restricted:
        place = builder.gep(cells, [ir.IntType(64)(cell)])
        pointers.append(builder.load(builder.bitcast(place, llvm_kind(kind).as_pointer())))
    builder.ret(builder.call(inner, [*outer.args, *pointers]))


def _contract(module: Any) -> None:
    """Lets products and sums be one operation, but where something else was said of them."""
    for function in module.functions:
        for block in function.blocks:
            for each in block.instructions:
                if each.opname in _CONTRACTED and not each.flags:
                    each.flags = ["contract"]
                elif each.opname == "call" and isinstance(each.type, ir.FloatType | ir.DoubleType):
                    each.fastmath.add("contract")


class _Translation(Phrases):
    """One kernel on its way."""

    def __init__(self, known: Mapping[str, Any], functions: dict[str, ast.FunctionDef]) -> None:
        super().__init__(None)
        self._known, self._functions = known, functions

    def function(self, made: Any, function: ast.FunctionDef, given: Sequence[Value]) -> None:
        """The body of the LLVM function."""
        entry = made.append_basic_block("entry")
        body, leave = made.append_basic_block("body"), made.append_basic_block("leave")
        self.builder = ir.IRBuilder(body)
        self._enter(function, given, self._known, leave)
        self.builder.ret(ir.IntType(32)(0))
        ir.IRBuilder(entry).branch(body)

    def _enter(
        self,
        function: ast.FunctionDef,
        given: Sequence[Value],
        known: Mapping[str, Any],
        after: Any,
    ) -> Value | None:
        """Writes a function out; afterwards stands in the block `after`."""
        names = [each.arg for each in function.args.args]
        if len(names) != len(given) or len(self.calls) == _DEPTH:
            raise Untranslated(f"a call of {function.name}")
        call = Call(known, after)
        self.calls.append(call)
        for name, value in zip(names, given, strict=True):
            self.assign(name, value)
        self._statements(function.body)
        if not self.builder.block.is_terminated:
            self.builder.branch(after)
        self.builder.position_at_end(after)
        self.calls.pop()
        if call.result is None:
            return None
        return Value(self.builder.load(call.result.value), call.result.kind)

    def _statements(self, body: Sequence[ast.stmt]) -> None:
        for statement in body:
            if self.builder.block.is_terminated:
                return
            self._statement(statement)

    def _statement(self, statement: ast.stmt) -> None:
        match statement:
            case ast.Assign([target], value):
                self._assigned(target, value)
            case ast.AugAssign(target, sign, value):
                before = self.value(_read(target))
                self._put(target, self.binary(sign, before, self.value(value)))
            case ast.If(test, body, orelse):
                self._if(test, body, orelse)
            case ast.While(test, body, []):
                self._while(test, body)
            case ast.For(ast.Name(name), ast.Call(ast.Name("range"), reach, []), body, []):
                self._for(name, reach, body)
            case ast.Break():
                self.builder.branch(self.call.loops[-1][1])
            case ast.Continue():
                self.builder.branch(self.call.loops[-1][0])
            case ast.Return(value):
                self._return(value)
            case ast.Expr(ast.Constant()) | ast.Pass():
                pass
            case ast.Expr(ast.Call() as call):
                self._called(call)
            case _:
                raise Untranslated(f"the statement {ast.unparse(statement)}")

    def _assigned(self, target: ast.expr, value: ast.expr) -> None:
        match target, value:
            case ast.Tuple(targets), ast.Tuple(values) if len(targets) == len(values):
                found = [self.value(each) for each in values]
                for one, each in zip(targets, found, strict=True):
                    self._put(one, each)
            case _:
                self._put(target, self.value(value))

    def _put(self, target: ast.expr, value: Value) -> None:
        match target:
            case ast.Name(name):
                self.assign(name, value)
            case ast.Subscript(pointer, index):
                place, kind = self.element(pointer, index)
                self.builder.store(converted(self.builder, value, kind).value, place)
            case _:
                raise Untranslated(f"the target {ast.unparse(target)}")

    def _if(self, test: ast.expr, body: list[ast.stmt], orelse: list[ast.stmt]) -> None:
        yes, no, after = self.block(), self.block(), self.block()
        self.builder.cbranch(self.truth(test), yes, no)
        for block, statements in ((yes, body), (no, orelse)):
            self.builder.position_at_end(block)
            self._statements(statements)
            if not self.builder.block.is_terminated:
                self.builder.branch(after)
        self.builder.position_at_end(after)

    @contextmanager
    def _loop(self, following: Any, after: Any) -> Any:
        self.call.loops.append((following, after))
        yield
        self.call.loops.pop()
        if not self.builder.block.is_terminated:
            self.builder.branch(following)

    def _while(self, test: ast.expr, body: list[ast.stmt]) -> None:
        top, inside, after = self.block(), self.block(), self.block()
        self.builder.branch(top)
        self.builder.position_at_end(top)
        self.builder.cbranch(self.truth(test), inside, after)
        self.builder.position_at_end(inside)
        with self._loop(top, after):
            self._statements(body)
        self.builder.position_at_end(after)

    def _for(self, name: str, reach: Sequence[ast.expr], body: list[ast.stmt]) -> None:
        """Counts in a place of its own, so that the body may do with the name what it likes."""
        builder = self.builder
        numbers = [converted(builder, self.integer(each), types.int64).value for each in reach]
        first, last = (numbers[0].type(0), *numbers)[-2:] if len(numbers) == 1 else numbers[:2]
        step = numbers[2] if len(numbers) == 3 else first.type(1)
        if not isinstance(step, ir.Constant) or step.constant <= 0:
            raise Untranslated("a range with that step")
        counter = self.place(types.int64).value
        builder.store(first, counter)
        top, inside, following, after = (self.block() for _ in range(4))
        builder.branch(top)
        builder.position_at_end(top)
        builder.cbranch(builder.icmp_signed("<", builder.load(counter), last), inside, after)
        builder.position_at_end(inside)
        self.assign(name, Value(builder.load(counter), types.int64))
        with self._loop(following, after):
            self._statements(body)
        builder.position_at_end(following)
        builder.store(builder.add(builder.load(counter), step, flags=("nsw",)), counter)
        builder.branch(top)
        builder.position_at_end(after)

    def _return(self, value: ast.expr | None) -> None:
        call = self.call
        if value is not None:
            given = self.value(value)
            call.result = call.result or self.place(given.kind)
            if call.result.kind != given.kind:
                raise Untranslated(f"a result as {call.result.kind} and {given.kind}")
            self.builder.store(given.value, call.result.value)
        self.builder.branch(call.after)

    def written_out(self, function: FunctionType, given: Sequence[Value]) -> Value | None:
        """A function of Python in the place of its call."""
        known = function.__globals__
        tree = self._functions.get(function.__name__) if known is self._known else None
        if tree is None:
            (read,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
            if not isinstance(read, ast.FunctionDef):
                raise Untranslated(f"a call of {function.__name__}")
            tree = read
        return self._enter(tree, given, known, self.block())


def _read(target: ast.expr) -> ast.expr:
    """The target of an assignment as an expression."""
    return ast.parse(ast.unparse(target), mode="eval").body
