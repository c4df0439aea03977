"""Print programs. The same Program always prints as the same text.

    program   := "program" name, lines of "size", "buffer", "slot", then statements
    size      := "size" name ["=" sum of products of names]
    buffer    := "buffer" name "[" extents "]" dtype scope ["views" name]
    loop      := order axis "<" extent ["from" start] [details] ":" ["#" label], indented body
    details   := "tile" count                                        of an `any` loop
               | monoid ["leaf" count] "->" %name dtype, ...         of a `tree` loop
               | "ragged" name "= min(" batch "," total ")" ...      of a `sequence` loop
    statement := loop | "let" %name "=" scalar | "store" ref "=" scalar | "yield" scalar, ...
               | "contract" factor "=" factor factor "+" ... "over" letter "<" extent, ...
               | "until" ref | "barrier"

Scalars and indices print in the grammar of `codegen.scalar`, statements in that of `codegen.ir`.
"""

from __future__ import annotations

from codegen.ir import (
    Any,
    Barrier,
    Buffer,
    Contraction,
    Extent,
    Factor,
    Let,
    Loop,
    Order,
    Program,
    Sequence,
    SizeRule,
    Statement,
    Store,
    Tree,
    Until,
    Yield,
)
from codegen.scalar import (
    Affine,
    Apply,
    Axis,
    Constant,
    Index,
    Load,
    Local,
    Ref,
    Scalar,
    Size,
)

INDENT = "  "


def show(program: Program) -> str:
    """The program as text, a line a statement, ending in a newline."""
    lines = [f"program {program.name}"]
    lines += [INDENT + show_size(rule) for rule in program.sizes]
    lines += [INDENT + show_buffer(buffer) for buffer in program.buffers]
    lines += [f"{INDENT}slot {', '.join(slot)}" for slot in program.slots]
    lines += [f"{INDENT}note {key}: {program.notes[key]}" for key in sorted(program.notes)]
    for statement in program.body:
        lines += _lines(statement, 1)
    return "\n".join(lines) + "\n"


def show_statement(statement: Statement) -> str:
    """One statement and what it holds, without a newline at the end."""
    return "\n".join(_lines(statement, 0))


def show_scalar(scalar: Scalar) -> str:
    """A scalar; constants carry their dtype, as 0.5:float32."""
    match scalar:
        case Constant(value, dtype):
            return f"{value!r}:{dtype}" if dtype != "bool" else str(bool(value)).lower()
        case Size(name):
            return f"<{name}>"
        case Axis(name):
            return name
        case Local(name):
            return f"%{name}"
        case Load(ref):
            return show_ref(ref)
        case Apply(function, args, dtype):
            suffix = f":{dtype}" if function == "cast" else ""
            return f"{function}{suffix}({', '.join(map(show_scalar, args))})"


def show_ref(ref: Ref) -> str:
    """buffer[index, ...]"""
    return f"{ref.buffer}[{', '.join(map(show_index, ref.index))}]"


def show_index(index: Index) -> str:
    """An affine sum with its offset last, or the load and its bound."""
    if not isinstance(index, Affine):
        return f"{show_ref(index.ref)} < {index.bound}"
    text = ""
    for symbol, by in index.terms:
        name = show_scalar(symbol)
        size = name if abs(by) == 1 else f"{abs(by)}*{name}"
        text += _signed(size, by < 0, first=not text)
    if index.offset or not text:
        text += _signed(str(abs(index.offset)), index.offset < 0, first=not text)
    return text


def _signed(text: str, negative: bool, *, first: bool) -> str:
    if first:
        return f"-{text}" if negative else text
    return f" {'-' if negative else '+'} {text}"


def show_size(rule: SizeRule) -> str:
    """A free size, or a size with its rule."""
    if not rule.terms:
        return f"size {rule.name}"
    products = ("*".join([str(by), *names]) for by, names in rule.terms)
    return f"size {rule.name} = {' + '.join(products)}"


def show_buffer(buffer: Buffer) -> str:
    """A buffer's declaration."""
    shape = ", ".join(map(str, buffer.shape))
    views = f" views {buffer.storage}" if buffer.storage else ""
    return f"buffer {buffer.name}[{shape}] {buffer.dtype} {buffer.scope}{views}"


def show_loop_head(loop: Loop) -> str:
    """The line a loop begins with."""
    start = f" from {loop.start}" if loop.start != 0 else ""
    label = f"  # {loop.label}" if loop.label else ""
    word, details = _order(loop.order)
    return f"{word} {loop.axis} < {_extent(loop.extent)}{start}{details}:{label}"


def _extent(extent: Extent) -> str:
    return str(extent)


def _order(order: Order) -> tuple[str, str]:
    match order:
        case Any(tile):
            return "any", f" tile {tile}" if tile is not None else ""
        case Tree(monoid, names, dtypes, leaf):
            results = ", ".join(
                f"%{name} {dtype}" for name, dtype in zip(names, dtypes, strict=True)
            )
            return "tree", f" {monoid} leaf {leaf} -> {results}"
        case Sequence(ragged):
            rules = (f" ragged {rule.name} = min({rule.batch}, {rule.total})" for rule in ragged)
            return "sequence", "".join(rules)


def _lines(statement: Statement, depth: int) -> list[str]:
    pad = INDENT * depth
    if isinstance(statement, Loop | Contraction):
        lines = [pad + _head(statement)]
        for inner in statement.body:
            lines += _lines(inner, depth + 1)
        return lines
    return [pad + _leaf(statement)]


def _head(statement: Loop | Contraction) -> str:
    if isinstance(statement, Loop):
        return show_loop_head(statement)
    return show_contraction_head(statement)


def show_contraction_head(statement: Contraction) -> str:
    """The line a contraction begins with."""
    products = " + ".join(" ".join(map(_factor, term)) for term in statement.terms)
    over = ", ".join(f"{letter} < {extent}" for letter, extent in statement.extents)
    tile = f" tile {statement.tile}" if statement.tile is not None else ""
    note = f"  # {statement.label}" if statement.label else ""
    letters = " ".join(statement.letters)
    return f"contract [{letters}] over {over}{tile} -> %{statement.result} = {products}:{note}"


def _leaf(statement: Let | Store | Yield | Until | Barrier) -> str:
    match statement:
        case Let(name, value):
            return f"let %{name} = {show_scalar(value)}"
        case Store(ref, value):
            return f"store {show_ref(ref)} = {show_scalar(value)}"
        case Yield(values):
            return f"yield {', '.join(map(show_scalar, values))}"
        case Until(ref):
            return f"until {show_ref(ref)}"
        case Barrier():
            return "barrier"


def _factor(factor: Factor) -> str:
    return f"{factor.buffer}[{' '.join(factor.letters)}]"
