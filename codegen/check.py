"""What a program must not do, one small check each, named for what it forbids.

A check is a function from a statement and its scope, or from the program, to faults in words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from codegen.declarations import DECLARATION_CHECKS, DTYPES
from codegen.intrinsics import INTRINSICS
from codegen.ir import (
    Any,
    Barrier,
    Buffer,
    Contraction,
    Let,
    Loop,
    Program,
    Sequence,
    Statement,
    Store,
    Tree,
    Until,
    Yield,
    is_driver,
    is_single,
)
from codegen.monoids import MONOIDS
from codegen.scalar import (
    FLOATS,
    INTEGERS,
    Affine,
    Apply,
    Axis,
    Dtype,
    Load,
    Local,
    Ref,
    Scalar,
    Size,
)
from codegen.show import show_ref, show_scalar, show_statement
from codegen.sizes import raggeds
from codegen.walk import buffers_of, index_buffers, nodes, refs_of, root_of, scalars_of

COMPARISONS = ("less", "less_equal", "equal", "not_equal")
LOGICAL = ("logical_and", "logical_or", "logical_not")


KINDS: tuple[type, ...] = (Loop, Let, Store, Yield, Contraction, Until, Barrier)
StatementCheck = Callable[[Statement, "Scope"], Iterator[str]]


class ProgramError(ValueError):
    """A program breaks a rule; the message names the rule and prints the statement."""


@dataclass(slots=True)
class Scope:
    """What stands around a statement. `loop` is the innermost loop; `phase` says that only driver
    sequences enclose it; `kernel` numbers the phase-level statement it belongs to."""

    buffers: Mapping[str, Buffer]
    sizes: set[str]
    rules: Mapping[type, tuple[StatementCheck, ...]]
    axes: set[str] = field(default_factory=set)
    locals: dict[str, Dtype] = field(default_factory=dict)
    loop: Loop | None = None
    phase: bool = True
    tiled: bool = False
    kernel: int = 0
    tile_buffers: dict[str, int] = field(default_factory=dict)
    # What the statement at hand holds itself, which most checks look at.
    nodes: list[Scalar] = field(default_factory=list)
    refs: list[Ref] = field(default_factory=list)
    touched: list[str] = field(default_factory=list)


def check(program: Program) -> None:
    """Raise ProgramError at the first statement that breaks a rule."""
    for whole in DECLARATION_CHECKS:
        for fault in whole(program):
            raise ProgramError(f"{program.name}: {fault}")
    known = {rule.name for rule in program.sizes}
    rules = {kind: tuple(one for one in STATEMENT_CHECKS if kind in LOOK_AT[one]) for kind in KINDS}
    _check_body(program.body, Scope(index_buffers(program), known, rules))


def _check_body(body: tuple[Statement, ...], scope: Scope) -> None:
    for statement in body:
        scope.kernel += scope.phase
        if scope.phase and not is_single(statement):
            # Locals live inside a kernel: nothing is passed across one, or across a barrier.
            scope.locals = {}
        scope.nodes = [node for scalar in scalars_of(statement) for node in nodes(scalar)]
        scope.refs = list(refs_of(statement))
        whole = isinstance(statement, Contraction)
        scope.touched = buffers_of(statement) if whole else [ref.buffer for ref in scope.refs]
        for forbid in scope.rules[type(statement)]:
            for fault in forbid(statement, scope):
                raise ProgramError(f"{fault}, in\n{show_statement(statement)}")
        if isinstance(statement, Loop):
            _check_loop(statement, scope)
        if isinstance(statement, Contraction):
            _check_contraction(statement, scope)
        if isinstance(statement, Let):
            scope.locals[statement.name] = statement.value.dtype


def _check_loop(loop: Loop, scope: Scope) -> None:
    around = (scope.loop, scope.phase, scope.tiled, scope.locals)
    added = {rule.name for rule in loop.order.ragged} if isinstance(loop.order, Sequence) else set()
    added -= scope.sizes
    scope.locals = dict(scope.locals)
    scope.loop, scope.phase = loop, scope.phase and is_driver(loop)
    scope.tiled = scope.tiled or (isinstance(loop.order, Any) and loop.order.tile is not None)
    scope.axes.add(loop.axis)
    scope.sizes |= added
    _check_body(loop.body, scope)
    scope.axes.discard(loop.axis)
    scope.sizes -= added
    scope.loop, scope.phase, scope.tiled, scope.locals = around
    if isinstance(loop.order, Tree):
        scope.locals.update(zip(loop.order.names, loop.order.dtypes, strict=True))


def _check_contraction(statement: Contraction, scope: Scope) -> None:
    around = (scope.phase, scope.locals)
    scope.phase, scope.locals = False, {**scope.locals, statement.result: statement.dtype}
    scope.axes |= set(statement.letters)
    _check_body(statement.body, scope)
    scope.axes -= set(statement.letters)
    scope.phase, scope.locals = around


def unknown_buffer(statement: Statement, scope: Scope) -> Iterator[str]:
    for name in scope.touched:
        if name not in scope.buffers:
            yield f"there is no buffer {name}"


def rank_mismatch(statement: Statement, scope: Scope) -> Iterator[str]:
    for ref in scope.refs:
        rank = len(scope.buffers[ref.buffer].shape)
        if len(ref.index) != rank:
            yield f"{show_ref(ref)} has {len(ref.index)} indices for {rank} dimensions"


def dtype_mismatch_of_access(statement: Statement, scope: Scope) -> Iterator[str]:
    for node in scope.nodes:
        if isinstance(node, Load) and scope.buffers[node.ref.buffer].dtype != node.dtype:
            yield f"{show_scalar(node)} is not {node.dtype}"
    if isinstance(statement, Store):
        dtype = scope.buffers[statement.ref.buffer].dtype
        if statement.value.dtype != dtype:
            yield f"{statement.value.dtype} is stored into {dtype}"


def dtype_mismatch_of_apply(statement: Statement, scope: Scope) -> Iterator[str]:
    for node in scope.nodes:
        if node.dtype not in DTYPES:
            yield f"there is no dtype {node.dtype}"
        if isinstance(node, Apply) and node.function in INTRINSICS and not _fits(node):
            given = ", ".join(arg.dtype for arg in node.args)
            yield f"{node.function} of ({given}) is not {node.dtype}"


def _fits(node: Apply) -> bool:
    given = [arg.dtype for arg in node.args]
    if node.function == "cast":
        return True
    if node.function in COMPARISONS:
        return given[0] == given[1] and node.dtype == "bool"
    if node.function in LOGICAL:
        return {*given, node.dtype} == {"bool"}
    if node.function == "isfinite":
        return given[0] in FLOATS and node.dtype == "bool"
    if node.function == "select":
        return given == ["bool", node.dtype, node.dtype]
    return set(given) == {node.dtype}


def unknown_function(statement: Statement, scope: Scope) -> Iterator[str]:
    for node in scope.nodes:
        if isinstance(node, Apply):
            row = INTRINSICS.get(node.function)
            if row is None:
                yield f"there is no function {node.function}"
            elif row.arity != len(node.args):
                yield f"{node.function} takes {row.arity} arguments, not {len(node.args)}"


def index_not_integer(statement: Statement, scope: Scope) -> Iterator[str]:
    for ref in scope.refs:
        for index in ref.index:
            if not isinstance(index, Affine) and (
                scope.buffers[index.ref.buffer].dtype not in INTEGERS
            ):
                yield f"{show_ref(index.ref)} is no integer and cannot be an index"


def axis_not_in_scope(statement: Statement, scope: Scope) -> Iterator[str]:
    used = {node.name for node in scope.nodes if isinstance(node, Axis)}
    used |= _symbols(scope.refs, Axis)
    for name in sorted(used - scope.axes):
        yield f"no enclosing loop has the axis {name}"


def _symbols(refs: Iterable[Ref], kind: type[Axis] | type[Size]) -> set[str]:
    return {
        symbol.name
        for ref in refs
        for index in ref.index
        if isinstance(index, Affine)
        for symbol, _ in index.terms
        if isinstance(symbol, kind)
    }


def axis_bound_twice(statement: Statement, scope: Scope) -> Iterator[str]:
    axes: tuple[str, ...] = ()
    if isinstance(statement, Loop):
        axes = (statement.axis,)
    elif isinstance(statement, Contraction):
        axes = statement.letters
    for axis in axes:
        if axis in scope.axes:
            yield f"an enclosing loop has the axis {axis} already"


def unknown_size(statement: Statement, scope: Scope) -> Iterator[str]:
    used = {node.name for node in scope.nodes if isinstance(node, Size)}
    used |= _symbols(scope.refs, Size)
    extents = [by for ref in scope.refs for i in ref.index
               if not isinstance(i, Affine) for by in [i.bound]]  # fmt: skip
    if isinstance(statement, Loop):
        extents += [statement.extent, statement.start]
        if isinstance(statement.order, Sequence):
            extents += [name for r in statement.order.ragged for name in (r.batch, r.total)]
    if isinstance(statement, Contraction):
        extents += [extent for _, extent in statement.extents]
    used |= {extent for extent in extents if isinstance(extent, str)}
    for name in sorted(used - scope.sizes):
        yield f"there is no size {name} here"


def local_not_bound(statement: Statement, scope: Scope) -> Iterator[str]:
    for node in scope.nodes:
        if isinstance(node, Local):
            if node.name not in scope.locals:
                yield f"%{node.name} is not bound here"
            elif scope.locals[node.name] != node.dtype:
                yield f"%{node.name} is {scope.locals[node.name]}, not {node.dtype}"


def name_bound_twice(statement: Statement, scope: Scope) -> Iterator[str]:
    names: tuple[str, ...] = ()
    if isinstance(statement, Let):
        names = (statement.name,)
    elif isinstance(statement, Contraction):
        names = (statement.result,)
    elif isinstance(statement, Loop) and isinstance(statement.order, Tree):
        names = statement.order.names
    for name in names:
        if name in scope.locals or names.count(name) > 1:
            yield f"%{name} is bound already"


def yield_out_of_place(statement: Statement, scope: Scope) -> Iterator[str]:
    if isinstance(statement, Yield):
        if scope.loop is None or not isinstance(scope.loop.order, Tree):
            yield "a yield stands outside a tree loop"
        elif scope.loop.body[-1] is not statement:
            yield "a yield is not the last statement of its loop"
    if isinstance(statement, Loop) and isinstance(statement.order, Tree):
        if not statement.body or not isinstance(statement.body[-1], Yield):
            yield "a tree loop does not end in a yield"
        if statement.order.leaf < 1:
            yield "a tree's leaf is below 1"


def wrong_carriers(statement: Statement, scope: Scope) -> Iterator[str]:
    if not isinstance(statement, Loop) or not isinstance(statement.order, Tree):
        return
    order = statement.order
    monoid = MONOIDS.get(order.monoid)
    if monoid is None:
        yield f"there is no monoid {order.monoid}"
        return
    if not monoid.carriers == len(order.names) == len(order.dtypes):
        yield f"{order.monoid} has {monoid.carriers} carriers, not {len(order.names)}"
    last = statement.body[-1] if statement.body else None
    if isinstance(last, Yield):
        given = tuple(value.dtype for value in last.values)
        if given != order.dtypes:
            yield f"{given} is yielded to a fold of {order.dtypes}"


def until_out_of_place(statement: Statement, scope: Scope) -> Iterator[str]:
    if isinstance(statement, Until):
        if scope.loop is None or not isinstance(scope.loop.order, Sequence):
            yield "an until stands outside a sequence"
        if scope.buffers[statement.ref.buffer].dtype != "bool":
            yield f"{show_ref(statement.ref)} is no bool"


def barrier_inside_a_tile(statement: Statement, scope: Scope) -> Iterator[str]:
    if isinstance(statement, Barrier) and not scope.phase:
        yield "a barrier stands inside a tile"


def nested_tile(statement: Statement, scope: Scope) -> Iterator[str]:
    if isinstance(statement, Loop) and isinstance(statement.order, Any) and statement.order.tile:
        if scope.tiled or not scope.phase:
            yield "a loop inside a tile is tiled"
    elif isinstance(statement, Loop) and statement.order == Any(0):
        yield "a tile without iterations"


def ragged_inside_a_tile(statement: Statement, scope: Scope) -> Iterator[str]:
    if not scope.phase and isinstance(statement, Loop) and list(raggeds([statement])):
        yield "a ragged sequence stands inside a tile"


def tile_buffer_shared(statement: Statement, scope: Scope) -> Iterator[str]:
    for name in scope.touched:
        if scope.buffers[name].scope == "tile":
            owner = scope.tile_buffers.setdefault(name, scope.kernel)
            if owner != scope.kernel:
                yield f"the tile buffer {name} is used in two kernels"


def contraction_letters(statement: Statement, scope: Scope) -> Iterator[str]:
    if not isinstance(statement, Contraction):
        return
    extents = dict(statement.extents)
    for factor in (factor for pair in statement.terms for factor in pair):
        buffer = scope.buffers[factor.buffer]
        if len(buffer.shape) != len(factor.letters):
            yield f"{factor.buffer} has {len(buffer.shape)} dimensions, not {factor.letters}"
        if buffer.dtype != statement.dtype:
            yield f"{factor.buffer} is {buffer.dtype}"
        if unknown := set(factor.letters) - extents.keys():
            yield f"{sorted(unknown)} have no extent"
    if len(set(statement.letters)) != len(statement.letters):
        yield "a letter of the result repeats"
    if not statement.terms or set(statement.letters) - extents.keys():
        yield "a contraction has no terms, or a letter no extent"


def contraction_body(statement: Statement, scope: Scope) -> Iterator[str]:
    if not isinstance(statement, Contraction):
        return
    read = {root_of(factor.buffer, scope.buffers) for pair in statement.terms for factor in pair}
    for inner in statement.body:
        if not isinstance(inner, Let | Store):
            yield "a contraction's body holds more than lets and stores"
        elif isinstance(inner, Store) and root_of(inner.ref.buffer, scope.buffers) in read:
            yield f"a contraction stores into {inner.ref.buffer}, which it reads"


_VALUED = (Let, Store, Yield)
_READING = (*_VALUED, Until)
_TOUCHING = (*_READING, Contraction)
LOOK_AT: Mapping[StatementCheck, tuple[type, ...]] = {
    unknown_buffer: _TOUCHING,
    rank_mismatch: _READING,
    index_not_integer: _READING,
    axis_not_in_scope: _READING,
    axis_bound_twice: (Loop, Contraction),
    unknown_size: KINDS,
    unknown_function: _VALUED,
    local_not_bound: _VALUED,
    name_bound_twice: (Let, Loop, Contraction),
    dtype_mismatch_of_access: _VALUED,
    dtype_mismatch_of_apply: _VALUED,
    yield_out_of_place: (Yield, Loop),
    wrong_carriers: (Loop,),
    until_out_of_place: (Until,),
    barrier_inside_a_tile: (Barrier,),
    nested_tile: (Loop,),
    ragged_inside_a_tile: (Loop,),
    tile_buffer_shared: _TOUCHING,
    contraction_letters: (Contraction,),
    contraction_body: (Contraction,),
}
"""The kinds of statement that each check has something to say about, in the order of the checks."""
STATEMENT_CHECKS = tuple(LOOK_AT)
