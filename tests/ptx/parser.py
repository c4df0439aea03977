"""PTX text to modules (PTX ISA, chapter "Syntax"). Every text is parsed once."""

from __future__ import annotations

import functools
import re
import struct

from tests.ptx.errors import Unsupported
from tests.ptx.syntax import (
    TYPES,
    Address,
    Constant,
    Function,
    Instruction,
    Module,
    Name,
    Operand,
    Variable,
    Vector,
)

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_LINES = re.compile(r"^[ \t]*\.(?:version|target|address_size|loc|file)\b[^\n;]*;?", re.MULTILINE)
_MARK = re.compile(r"[{}]|[A-Za-z_$%][\w$]*\s*:(?!:)")
_SPACE = re.compile(r"\s*")
_LABEL = re.compile(r"([A-Za-z_$%][\w$]*)\s*:(?!:)")
_TABLE = re.compile(r"([A-Za-z_$%][\w$]*)\s*:\s*\.branchtargets\s+([^;]*);")
_FUNCTION = re.compile(
    r"(?P<linkage>(?:\.(?:visible|weak|extern)\s+)*)\.(?P<kind>entry|func)\s*"
    r"(?P<noreturn>\.noreturn\s*)?(?:\((?P<results>[^)]*)\)\s*)?(?P<name>[\w$]+)\s*"
    r"(?:\((?P<parameters>[^)]*)\))?(?P<rest>[^;{]*)(?P<end>[;{])"
)
_VARIABLE = re.compile(
    r"(?:\.(?:visible|weak|extern|common)\s+)*\.(?P<space>global|const|shared|local|param)\s+"
    r"(?:\.(?:align|ptr)\s+(?:\.\w+\s+)?(?P<align>\d+)\s+)?(?:\.attribute\([^)]*\)\s*)?"
    r"\.(?P<type>\w+)\s+(?:\.ptr\s+(?:\.\w+\s+)*(?:\d+\s+)?)?"
    r"(?P<name>[\w$%]+)\s*(?P<shape>(?:\[\s*\d*\s*\]\s*)*)(?:=\s*(?P<data>.*))?$",
    re.DOTALL,
)
_REGISTERS = re.compile(r"\.reg\s+\.(\w+)\s+(.*)$", re.DOTALL)
_RANGE = re.compile(r"([\w$%]+)<(\d+)>$")
_INSTRUCTION = re.compile(
    r"(?:@(!?)\s*([\w$%]+)\s+)?([a-z]\w*)((?:\.\w+(?:::\w+)*)*)\s*(.*)$", re.DOTALL
)
_ADDRESS = re.compile(r"\[\s*([\w$%.]+)\s*(?:\+?\s*(-?\s*\w+))?\s*\]$")
_INTEGER = re.compile(r"-?(?:0[xX][0-9a-fA-F]+|0[bB][01]+|\d+)U?$")
_FLOAT = re.compile(r"(-?)0([fFdD])([0-9a-fA-F]+)$")


@functools.lru_cache(maxsize=256)
def parse(text: str) -> Module:
    """The module of a text; Unsupported, with the line, if it is not understood."""
    return _Parser(text).module


class _Parser:
    """Reads a text from its start to its end, statement by statement."""

    def __init__(self, text: str) -> None:
        blanked = _COMMENT.sub(_blank, text)
        self.text = _LINES.sub(_blank, blanked)
        self.place, self.line, self.counted = 0, 1, 0
        self.module = Module()
        self.function: Function | None = None
        # Names of each open scope: as written -> unique.
        self.scopes: list[dict[str, str]] = [{}]
        self.numbers = [0]
        self.opened = 0
        while self._skip() < len(self.text):
            self._statement()

    def _skip(self) -> int:
        self.place = _SPACE.match(self.text, self.place).end()  # type: ignore[union-attr]
        return self.place

    def _count(self) -> int:
        self.line += self.text.count("\n", self.counted, self.place)
        self.counted = self.place
        return self.line

    def _fault(self, what: str) -> Unsupported:
        return Unsupported(f"line {self._count()} of the PTX: {what}")

    def _statement(self) -> None:
        text, place = self.text, self.place
        if text[place] == "{":
            self._open()
            self.place += 1
        elif text[place] == "}":
            self._close()
            self.place += 1
        elif self.function is None and (found := _FUNCTION.match(text, place)):
            self._header(found)
            self.place = found.end()
        elif self.function is not None and (found := _TABLE.match(text, place)):
            names = tuple(word.strip() for word in found[2].split(","))
            self.function.tables[self._declare(found[1])] = tuple(map(self._label, names))
            self.place = found.end()
        elif self.function is not None and (found := _LABEL.match(text, place)):
            self.function.labels[self._label(found[1])] = len(self.function.instructions)
            self.place = found.end()
        else:
            end = text.find(";", place)
            if end < 0:
                raise self._fault(f"a statement without end: {text[place : place + 60]!r}")
            self._plain(text[place:end].strip())
            self.place = end + 1

    def _plain(self, statement: str) -> None:
        if not statement or statement.startswith(".pragma"):
            return
        if found := _REGISTERS.match(statement):
            self._registers(found[1], found[2])
        elif statement.startswith("."):
            self._variable(statement)
        else:
            self._instruction(statement)

    def _open(self) -> None:
        self._push()
        self._scan_labels()

    def _push(self) -> None:
        self.opened += 1
        self.scopes.append({})
        self.numbers.append(self.opened)

    def _scan_labels(self) -> None:
        """A label may be used before it stands, so a scope's own labels are declared at its start
        if it is an inner one; those of a function's body are known by their plain names."""
        if len(self.scopes) <= 2:
            return
        depth, place = 0, self.place
        while place < len(self.text):
            found = _MARK.search(self.text, place)
            if found is None:
                return
            depth += {"{": 1, "}": -1}.get(found[0], 0)
            if depth == 0:
                return
            if depth == 1 and found[0] not in "{}":
                self._declare(found[0].rstrip(": \t\n"))
            place = found.end()

    def _close(self) -> None:
        self.scopes.pop()
        self.numbers.pop()
        if len(self.scopes) == 1:
            self.function = None
            self.scopes[0] = {}

    def _declare(self, name: str) -> str:
        unique = name if len(self.scopes) == 1 else f"{name}@{self.numbers[-1]}"
        self.scopes[-1][name] = unique
        return unique

    def _label(self, name: str) -> str:
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name]
        assert self.function is not None
        return f"{name}@{self.function.name}"

    def _unique(self, name: str) -> str:
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name]
        return name

    def _header(self, found: re.Match[str]) -> None:
        name = found["name"]
        # Parameters belong to the function, in a scope around its body.
        self.scopes[0] = {}
        parts = {
            kind: tuple(self._parameter(part, name) for part in _split(found[kind] or ""))
            for kind in ("results", "parameters")
        }
        if found["end"] == ";":
            return
        function = Function(name, found["kind"] == "entry", parts["parameters"], parts["results"])
        self.module.functions[name] = self.function = function
        self._push()

    def _parameter(self, text: str, function: str) -> Variable:
        variable = self._read_variable(text)
        unique = f"{variable.name}@{function}"
        self.scopes[0][variable.name] = unique
        return Variable(unique, "param", variable.align, variable.size)

    def _registers(self, kind: str, names: str) -> None:
        if kind not in TYPES:
            raise self._fault(f"registers of type {kind}")
        for part in _split(names):
            found = _RANGE.match(part)
            each = [f"{found[1]}{k}" for k in range(int(found[2]))] if found else [part]
            for name in each:
                self.module.registers[self._declare(name)] = kind

    def _variable(self, statement: str) -> None:
        variable = self._read_variable(statement)
        name = self._declare(variable.name)
        self.module.variables[name] = Variable(
            name, variable.space, variable.align, variable.size, variable.data, variable.addresses
        )

    def _read_variable(self, text: str) -> Variable:
        found = _VARIABLE.match(text.strip())
        if found is None or found["type"] not in TYPES:
            raise self._fault(f"the declaration {text.strip()[:80]!r}")
        each = TYPES[found["type"]].itemsize
        counts = re.findall(r"\[\s*(\d*)\s*\]", found["shape"] or "")
        size = each
        for count in counts:
            size *= int(count or 0)
        data, addresses = self._data(found["data"] or "", found["type"])
        align = int(found["align"] or each)
        return Variable(found["name"], found["space"], align, max(size, len(data)), data, addresses)

    def _data(self, text: str, kind: str) -> tuple[bytes, tuple[tuple[int, str], ...]]:
        """The bytes of an initialiser, and at which of them addresses of variables are due."""
        size, data, addresses = TYPES[kind].itemsize, b"", []
        for item in _split(text.strip().strip("{}")):
            found = re.match(r"(?:generic\()?([A-Za-z_$%][\w$]*)\)?$", item)
            if found:
                addresses.append((len(data), found[1]))
                data += bytes(size)
                continue
            number = _number(item)
            if number is None:
                raise self._fault(f"the initialiser {item!r}")
            data += (number.value & ((1 << 8 * size) - 1)).to_bytes(size, "little")
        return data, tuple(addresses)

    def _instruction(self, statement: str) -> None:
        found = _INSTRUCTION.match(statement)
        if found is None or self.function is None:
            raise self._fault(f"the statement {statement[:80]!r}")
        negated, guard, opcode, modifiers, rest = found.groups()
        words = tuple(modifiers.split(".")[1:])
        if opcode == "bra":
            operands: tuple[Operand, ...] = (Name(self._label(rest.strip())),)
        else:
            operands = tuple(self._operand(part) for part in _split(rest))
        self.function.instructions.append(
            Instruction(
                opcode,
                words,
                operands,
                Name(self._unique(guard), bool(negated)) if guard else None,
                self._count(),
                " ".join(statement.split()),
            )
        )

    def _operand(self, text: str) -> Operand:
        if text[0] in "{(":
            return Vector(tuple(self._operand(part) for part in _split(text[1:-1])))
        if text[0] == "[":
            found = _ADDRESS.match(text)
            if found is None:
                raise self._fault(f"the address {text!r}")
            base = self._operand(found[1])
            offset = int((found[2] or "0").replace(" ", ""), 0)
            assert isinstance(base, Name | Constant)
            return Address(base, offset)
        if "|" in text:
            return Vector(tuple(self._operand(part.strip()) for part in text.split("|")))
        number = _number(text)
        if number is not None:
            return number
        return Name(self._unique(text.lstrip("!").strip()), text.startswith("!"))


def _number(text: str) -> Constant | None:
    if text[0] not in "-0123456789":
        return None
    if found := _FLOAT.match(text):
        size = 4 if found[2] in "fF" else 8
        bits = int(found[3], 16)
        return Constant(bits ^ ((1 << 8 * size - 1) if found[1] else 0), size)
    if _INTEGER.match(text):
        word = text.rstrip("U")
        octal = re.fullmatch(r"(-?)0([0-7]+)", word)
        return Constant(int(octal[1] + octal[2], 8) if octal else int(word, 0))
    if re.fullmatch(r"-?\d+\.\d*(?:[eE][-+]?\d+)?", text):
        return Constant(int.from_bytes(struct.pack("<d", float(text)), "little"), 8)
    return None


def _split(text: str) -> list[str]:
    """The parts between commas that stand outside of brackets."""
    parts, depth, start = [], 0, 0
    if not text.strip():
        return []
    for place, letter in enumerate(text):
        if letter in "{[(":
            depth += 1
        elif letter in "}])":
            depth -= 1
        elif letter == "," and depth == 0:
            parts.append(text[start:place].strip())
            start = place + 1
    parts.append(text[start:].strip())
    return parts


def _blank(found: re.Match[str]) -> str:
    return "\n" * found[0].count("\n")
