"""What each kernel computes, as formulas: the way back from the machine to the mathematics.

The compiler knows buffers and no expressions. Lowering knows which expression a buffer holds, and
so what a kernel stores can be written in terms of what it loads, fused as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from codegen.cache import key_of
from codegen.cpu.source import KernelSource
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
from codegen.runtime import CompiledKernel, Executable
from codegen.walk import buffers_of
from symnet.expr import Expr, topological
from symnet.formula.text import TextPrinter
from symnet.formula.translate import Translator
from symnet.formula.tree import Definition, Formula, Relation, Symbol
from symnet.lower.instructions import Instructions, count_instructions
from symnet.lower.program import LEAVES, Lowered
from symnet.ops.leaves import NAMED

ASSIGNED = "←"
_counted: dict[str, Instructions] = {}


@dataclass(frozen=True)
class Part:
    """One kernel as it stands in the program.

    formulas: what it computes, in the order in which they must be read: definitions of what it
    only passes through, then what it stores; an update is written left ← right. nodes: the
    expressions whose values arise in it. origins: where the user wrote them. label: what it is
    where no expression says it. operands: the name of each pointer p0, p1, ... of its text,
    and then of what its products read.
    products: of a contraction, the shared kernel that makes the sums which this one finishes.
    kernel: what was compiled, which parts of the same structure share.
    """

    formulas: tuple[Definition | Relation, ...]
    nodes: frozenset[Expr]
    origins: tuple[str, ...]
    label: str
    operands: tuple[str, ...]
    text: str
    products: str
    kernel: CompiledKernel

    @property
    def instructions(self) -> Instructions:
        """What it came to. At the first look that compiles it anew, since only the object is
        kept."""
        key = self.kernel.kernel.key
        if key not in _counted:
            _counted[key] = count_instructions(self.kernel.assembly)
        return _counted[key]

    def lines(self) -> list[str]:
        """Formulas and origins, or the label, as lines of text."""
        if not self.formulas:
            return self.label.splitlines()
        printer = TextPrinter()
        return [*map(printer.show, self.formulas), *(f"at {origin}" for origin in self.origins)]

    def heading(self) -> list[str]:
        """The lines, and what the pointers of the text are."""
        operands = ", ".join(f"p{k} {name}" for k, name in enumerate(self.operands))
        return [*self.lines(), *([f"operands: {operands}"] if operands else [])]

    @property
    def code(self) -> str:
        """The kernel's Python without the comment that it begins with."""
        return _without_comments(self.text)


def commented(parts: Sequence[Part]) -> str:
    """The Python of all kernels, each once, under what it computes wherever it is used."""
    uses: dict[str, list[Part]] = {}
    for part in parts:
        uses.setdefault(part.kernel.kernel.key, []).append(part)
    texts = []
    for group in uses.values():
        heads = ["".join(f"# {line}\n" for line in part.heading()) for part in group]
        texts.append("#\n".join(heads) + group[0].code)
    return "\n\n".join(texts)


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
        self, lowered: Lowered, executable: Executable, names: Mapping[Expr, Formula]
    ) -> None:
        self.lowered = lowered
        self.groups = list(_groups(executable.program, executable.launch.kernels))
        self.compiled = {kernel.kernel.key: kernel for kernel in executable.kernels}
        self.translator = Translator(lowered.stored.values())
        self.given = {*self.translator.named}
        for node, formula in names.items():
            self.translator.named[node] = formula
        self.stored: dict[str, Expr] = {}
        self.home: dict[Expr, str] = {}
        for _, group in self.groups:
            for name in (name for statement in group for name in _stored(statement)):
                if name in lowered.stored:
                    self._name(lowered.stored[name])
                    self.stored[name] = lowered.stored[name]
                    self.home.setdefault(lowered.stored[name], name)
        self.translator.define_long(self.stored.values())

    def _name(self, node: Expr) -> None:
        """A name for what stands in memory: v_1, v_2, ... unless it has one."""
        if node.args and node not in self.translator.named:
            fresh = self.translator.names.fresh("v", numbered=True)
            self.translator.named[node] = Symbol(fresh)

    def parts(self) -> Iterator[Part]:
        """The kernels in the order in which they run."""
        loaded = set(self.stored.values())
        for source, group in self.groups:
            written = dict.fromkeys(n for each in group for n in _stored(each) if n in self.stored)
            nodes = [self.stored[name] for name in written]
            news = [name for name in written if self._first(name)]
            formulas = self._formulas(news, loaded)
            origins = dict.fromkeys(str(n.origin) for n in nodes if n.args)
            read = [f.buffer for one in group for f in _factors(one)]
            operands = tuple(self._operand(name) for name in (*source.buffers, *read))
            inner = frozenset(_between(nodes, loaded))
            kernel = self.compiled[key_of(source.text)]
            label = self._copied(nodes) if nodes and not formulas else source.label
            if any(isinstance(each, Until) for each in group):
                label = f"stops the training where {', '.join(operands)} is true"
            shown = formulas, inner, tuple(origins), label, operands
            dtypes = [each.dtype for each in group if isinstance(each, Contraction)]
            products = f"products of {dtypes[0]} matrices" if dtypes else ""
            yield Part(*shown, source.text, products, kernel)

    def _first(self, name: str) -> bool:
        """Whether a buffer takes a value that no buffer had before."""
        return self.lowered.updated.get(name) is not None or self.home[self.stored[name]] == name

    def _copied(self, nodes: Sequence[Expr]) -> str:
        printer, named = TextPrinter(), self.translator.named
        names = [printer.show(named.get(n) or self.translator.array(n)) for n in nodes]
        return f"{', '.join(names)}: copied to where the caller wants it"

    def _formulas(
        self, written: Sequence[str], stored: set[Expr]
    ) -> tuple[Definition | Relation, ...]:
        """What is stored, and before it the named intermediates that it goes through."""
        translator = self.translator
        nodes = [self.stored[name] for name in written if self.stored[name].args]
        made: list[Definition | Relation] = [
            Definition(translator.named[node], translator.body(node))
            for node in _between(nodes, stored)
            if node.op is NAMED and node.args[0] not in stored and node in self.given
        ]
        for name in written:
            node, leaf = self.stored[name], self.lowered.updated.get(name)
            if leaf is not None:
                target = translator.named.get(leaf) or Symbol(str(leaf.name))
                made.append(Relation(ASSIGNED, target, translator.body(node)))
            elif node.args:
                made.append(Definition(translator.named[node], translator.body(node)))
        needed = translator.needed([each.right for each in made])
        known = dict.fromkeys([*needed, *made])
        return tuple(each for each in known if each.left != each.right)

    def _operand(self, buffer: str) -> str:
        node = self.lowered.held.get(buffer, self.stored.get(buffer))
        known = None if node is None else self.translator.named.get(node)
        return buffer if known is None else TextPrinter().show(known)


def _between(nodes: Sequence[Expr], stops: set[Expr]) -> list[Expr]:
    """The nodes, and those on the way down from them to stops and leaves; operands first."""
    wanted, found = set(nodes), set[Expr]()
    stack = list(nodes)
    while stack:
        node = stack.pop()
        if node in found or node.op in LEAVES or (node in stops and node not in wanted):
            continue
        found.add(node)
        stack.extend(node.args)
    return [node for node in topological(nodes) if node in found]


def listing(
    lowered: Lowered, executable: Executable, names: Mapping[Expr, Formula] | None = None
) -> tuple[Part, ...]:
    """Every kernel with what it computes, in the order in which they run.

    names: how expressions are written that have no name of their own.
    """
    return tuple(_Lister(lowered, executable, names or {}).parts())
