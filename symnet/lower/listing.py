"""What each kernel computes, as formulas: the way back from the machine to the mathematics.

The compiler knows buffers and no expressions. Lowering knows which expression a buffer holds, and
so what a kernel stores can be written in terms of what it loads, fused as it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from codegen.cpu.source import KernelSource
from codegen.executables import AnyExecutable
from codegen.ir import (
    Barrier,
    Contraction,
    Factor,
    Loop,
    Program,
    Statement,
    Store,
    Until,
    is_driver,
)
from codegen.runtime import CompiledKernel
from codegen.walk import buffers_of
from symnet.expr import Expr, topological
from symnet.formula.text import TextPrinter
from symnet.formula.translate import Translator
from symnet.formula.tree import Definition, Element, Formula, Relation, Symbol
from symnet.lower.instructions import Instructions, count_instructions
from symnet.lower.program import LEAVES, Lowered
from symnet.ops.leaves import NAMED
from symnet.sizes import Shape, show_shape

ASSIGNED = "←"
_counted: dict[str, Instructions] = {}


class Resources(Protocol):
    """What an image takes: registers of a thread, and bytes."""

    registers: int
    stack_bytes: int
    spill_load_bytes: int
    spill_store_bytes: int
    shared_bytes: int


class Image(Protocol):
    """A kernel as a GPU loads it: `codegen.cuda.image` says more, but takes time to load."""

    @property
    def entry(self) -> str: ...
    @property
    def resources(self) -> Resources: ...
    @property
    def shared(self) -> int: ...


class DeviceKernel(Protocol):
    """One function of a program for a GPU, and the image that contains it."""

    @property
    def label(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def image(self) -> Image: ...


Compiled = CompiledKernel | DeviceKernel


@dataclass(frozen=True)
class Part:
    """One kernel as it stands in the program.

    formulas: what it computes, in the order in which they must be read: definitions of what it
    only passes through, then what it stores; an update is written left ← right. shapes: theirs,
    as N×3, empty for numbers, updates and what is written element by element. nodes: the
    expressions whose values arise in it. origins: where the user wrote them. label: what it is
    where no expression says it. operands: the name of each pointer p0, p1, ... of its text, and
    then of what its products read. products: of a contraction, the kernel that makes the sums which
    this one finishes; all contractions of a dtype share it. kernel: what was compiled, which parts
    of the same structure share.
    """

    formulas: tuple[Definition | Relation, ...]
    shapes: tuple[str, ...]
    nodes: frozenset[Expr]
    origins: tuple[str, ...]
    label: str
    operands: tuple[str, ...]
    text: str
    products: CompiledKernel | None
    kernel: Compiled

    @property
    def came_to(self) -> str:
        """What it came to, in words."""
        return came_to(self.kernel)

    def lines(self) -> list[str]:
        """Formulas and origins, or the label, as lines of text; what is defined element by element
        stands beside the line that needs it."""
        if not self.formulas:
            return self.label.splitlines()
        printer, rows, notes = TextPrinter(), list[str](), list[str]()
        for formula, shape in zip(self.formulas, self.shapes, strict=True):
            text = printer.show(formula)
            if isinstance(formula.left, Element):
                notes.append(text)
            else:
                rows.append("    ".join([text, *([shape] if shape else []), *notes]))
                notes = []
        return [*rows, *notes, *(f"at {origin}" for origin in self.origins)]

    def heading(self) -> list[str]:
        """The lines, and what the pointers of the text are."""
        operands = ", ".join(f"p{k} {name}" for k, name in enumerate(self.operands))
        return [*self.lines(), *([f"operands: {operands}"] if operands else [])]

    @property
    def code(self) -> str:
        """The kernel's Python without the comment that it begins with."""
        return _without_comments(self.text)


def instructions(kernel: CompiledKernel) -> Instructions:
    """What a kernel of the CPU came to. The first look compiles it anew, since only the object is
    kept."""
    key = kernel.kernel.key
    if key not in _counted:
        _counted[key] = count_instructions(kernel.assembly)
    return _counted[key]


def came_to(kernel: Compiled) -> str:
    """The instructions of a kernel of the CPU; what the image of one of a GPU takes."""
    if isinstance(kernel, CompiledKernel):
        return str(instructions(kernel))
    return f"in {kernel.image.entry}: {resources(kernel.image)}"


def resources(image: Image) -> str:
    """The registers, the shared memory and the spilled bytes of an image, in words."""
    took = image.resources
    spilled = took.spill_load_bytes + took.spill_store_bytes
    spills = f"{spilled} bytes spilled" if spilled else "no spills"
    stack = f", {took.stack_bytes} bytes of stack" if took.stack_bytes else ""
    shared = took.shared_bytes + image.shared
    return f"{took.registers} registers, {spills}{stack}, {shared} bytes of shared memory"


def shared(parts: Sequence[Part]) -> list[CompiledKernel]:
    """The kernels of products that parts finish, each once."""
    found = {p.products.kernel.key: p.products for p in parts if p.products is not None}
    return list(found.values())


def commented(parts: Sequence[Part]) -> str:
    """The Python of all kernels, each once, under what it computes wherever it is used."""
    uses: dict[str, list[Part]] = {}
    for part in parts:
        uses.setdefault(essence(part.text), []).append(part)
    texts = []
    for group in uses.values():
        heads = ["".join(f"# {line}\n" for line in part.heading()) for part in group]
        texts.append("#\n".join(heads) + group[0].code)
    texts += [f"# {kernel.label}\n{kernel.source}" for kernel in shared(parts)]
    return "\n\n".join(texts)


def essence(text: str) -> str:
    """A text without its comments: two of the same essence are the same machine code."""
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if not line.lstrip().startswith("#"))


def _without_comments(text: str) -> str:
    """A text without the lines of comment that it begins with."""
    lines = text.splitlines(keepends=True)
    count = next((k for k, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return "".join(lines[count:])


def _statements(body: Sequence[Statement]) -> Iterator[Statement]:
    """The statements that are kernels or parts of one, in the order in which they run."""
    for statement in body:
        if is_driver(statement):
            assert isinstance(statement, Loop)
            yield from _statements(statement.body)
        elif not isinstance(statement, Barrier):
            yield statement


def _inside(statement: Statement) -> Iterator[Statement]:
    yield statement
    if isinstance(statement, Loop | Contraction):
        for inner in statement.body:
            yield from _inside(inner)


def _stored(statement: Statement) -> Iterator[str]:
    for inner in _inside(statement):
        if isinstance(inner, Store):
            yield inner.ref.buffer


def _factors(statement: Statement) -> Iterator[Factor]:
    """What the products of a contraction read."""
    if isinstance(statement, Contraction):
        for pair in statement.terms:
            yield from pair


def _touched(statement: Statement) -> set[str]:
    return {name for inner in _inside(statement) for name in buffers_of(inner)}


def _groups(
    program: Program, kernels: Sequence[KernelSource]
) -> Iterator[tuple[KernelSource, list[Statement]]]:
    """Each kernel with its statements: as many as its pointers account for, but a contraction is
    alone."""
    waiting = list(_statements(program.body))[::-1]
    for kernel in kernels:
        pointers, seen = set(kernel.buffers), set[str]()
        group: list[Statement] = []
        while waiting and (not group or (seen != pointers and _touched(waiting[-1]) <= pointers)):
            group.append(waiting.pop())
            if isinstance(group[0], Contraction):
                break
            seen |= _touched(group[-1])
        yield kernel, group


class _Lister:
    """One listing in the making: one set of names for all kernels."""

    def __init__(
        self, lowered: Lowered, executable: AnyExecutable, names: Mapping[Expr, Formula]
    ) -> None:
        self.lowered = lowered
        self.groups = list(_groups(executable.program, executable.launch.kernels))
        kernels: Sequence[Compiled] = executable.kernels
        self.compiled = {essence(kernel.source): kernel for kernel in kernels}
        self.products = {k.label: k for k in kernels if isinstance(k, CompiledKernel)}
        self.translator = Translator(lowered.stored.values())
        # A name counts from the line on that says what it stands for; those of the user always do.
        self.symbols: dict[Expr, Formula] = {**names, **self.translator.named}
        self.given = {node for node in self.symbols if node.args}
        self.shapes: dict[Formula, str] = {}
        self.stored: dict[str, Expr] = {}
        self.home: dict[Expr, str] = {}
        for _, group in self.groups:
            for name in (name for statement in group for name in _stored(statement)):
                if name in lowered.stored:
                    self._name(lowered.stored[name], lowered.updated.get(name))
                    self.stored[name] = lowered.stored[name]
                    self.home.setdefault(lowered.stored[name], name)
        order = topological(self.stored.values())
        self.ranks = {node: rank for rank, node in enumerate(order)}

    def _name(self, node: Expr, leaf: Expr | None) -> None:
        """A name for what stands in memory: w′ for the next value of w, else v_1, v_2, ...;
        unless it has one."""
        if node.args and node not in self.symbols:
            names = self.translator.names
            fresh = (
                names.fresh("v", numbered=True) if leaf is None else names.fresh(f"{leaf.name}′")
            )
            self.symbols[node] = Symbol(fresh)

    def parts(self) -> Iterator[Part]:
        """The kernels in the order in which they run."""
        loaded = set(self.stored.values())
        for source, group in self.groups:
            written = dict.fromkeys(n for each in group for n in _stored(each) if n in self.stored)
            nodes = [self.stored[name] for name in written]
            news = [name for name in written if self._first(name)]
            formulas = self._formulas(news, loaded)
            origins = dict.fromkeys(str(n.origin) for n in nodes if n.args)
            dtypes = [each.dtype for each in group if isinstance(each, Contraction)]
            products = self.products.get(f"products of {dtypes[0]} matrices") if dtypes else None
            # Of a GPU, one kernel makes the products and finishes them.
            read = [f.buffer for one in group for f in _factors(one)] if products else []
            operands = tuple(self._operand(name) for name in (*source.buffers, *read))
            inner = frozenset(self._between(nodes, loaded))
            kernel = self.compiled[essence(source.text)]
            label = self._copied(nodes) if nodes and not formulas else source.label
            if any(isinstance(each, Until) for each in group):
                label = f"stops the training where {', '.join(operands)} is true"
            shapes = tuple(self.shapes.get(formula, "") for formula in formulas)
            shown = formulas, shapes, inner, tuple(origins), label, operands
            yield Part(*shown, source.text, products, kernel)

    def _first(self, name: str) -> bool:
        """Whether a buffer takes a value that no buffer had before."""
        return self.lowered.updated.get(name) is not None or self.home[self.stored[name]] == name

    def _copied(self, nodes: Sequence[Expr]) -> str:
        printer, known = TextPrinter(), self.symbols
        names = [printer.show(known.get(n) or self.translator.array(n)) for n in nodes]
        return f"{', '.join(names)}: copied to where the caller wants it"

    def _formulas(
        self, written: Sequence[str], stored: set[Expr]
    ) -> tuple[Definition | Relation, ...]:
        """What is stored and the named intermediates on the way, in order; updates come last."""
        nodes = [self.stored[name] for name in written if self.stored[name].args]
        way = self._between(nodes, stored)
        used = Counter(arg for node in way for arg in node.args)
        updated = self.lowered.updated
        updates = [(updated[name], name) for name in written if name in updated]
        only = {self.stored[name] for _, name in updates if not used[self.stored[name]]}
        own = set(nodes) - only
        known: dict[Definition | Relation, None] = {}
        for node in way:
            inner = node.args[0] if node.op is NAMED else node
            if node in own or (node in self.given and inner not in stored):
                known |= dict.fromkeys(self._definition(node))
        for leaf, name in updates:
            node = self.stored[name]
            right = self.translator.body(node) if node in only else self.symbols[node]
            known |= dict.fromkeys(self._needed(right))
            known[Relation(ASSIGNED, Symbol(str(leaf.name)), right)] = None
        return tuple(known)

    def _definition(self, node: Expr) -> Iterator[Definition]:
        """What a node is, after what that needs; none if its name is another node's already."""
        symbol = self.symbols[node]
        self.translator.define_long([node])
        right = self.translator.body(node)
        self.translator.named.setdefault(node, symbol)
        if right != symbol:
            yield from self._needed(right)
            yield self._shaped(Definition(symbol, right), node.shape)

    def _needed(self, right: Formula) -> Iterator[Definition]:
        """The definitions that a formula rests on."""
        for each in self.translator.needed([right]):
            node = self.translator.defined.get(str(getattr(each.left, "name", "")))
            yield self._shaped(each, () if node is None else node.shape)

    def _shaped(self, line: Definition, shape: Shape) -> Definition:
        """The line, whose shape is now known."""
        self.shapes[line] = show_shape(shape) if shape else ""
        return line

    def _between(self, nodes: Sequence[Expr], stops: set[Expr]) -> list[Expr]:
        """The nodes, and those on the way down from them to stops and leaves; operands first."""
        wanted, found = set(nodes), set[Expr]()
        stack = list(nodes)
        while stack:
            node = stack.pop()
            if node in found or node.op in LEAVES or (node in stops and node not in wanted):
                continue
            found.add(node)
            stack.extend(node.args)
        return sorted(found, key=self.ranks.__getitem__)

    def _operand(self, buffer: str) -> str:
        node = self.lowered.held.get(buffer, self.stored.get(buffer))
        known = None if node is None else self.symbols.get(node)
        return buffer if known is None else TextPrinter().show(known)


def listing(
    lowered: Lowered, executable: AnyExecutable, names: Mapping[Expr, Formula] | None = None
) -> tuple[Part, ...]:
    """Every kernel with what it computes, in the order in which they run.

    names: how expressions are written that have no name of their own.
    """
    return tuple(_Lister(lowered, executable, names or {}).parts())
