"""Formulas from text, by a grammar of our own. Nothing in the text is ever executed.

    sum      = product (("+" | "-") product)*
    product  = signed (("*" | "/") signed)*
    signed   = ("+" | "-")* power
    power    = primary [superscript | ("^" | "**") signed]
    primary  = number | name | function "(" sum ("," sum)* ")" | "(" sum ")" | "|" sum "|"

Products need their sign: `2 x` is an error. Also read: · × ⊙ for *, − for -, x² for x^2, x₁ for
x_1, √ before a primary, π, and e^x for exp(x).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from symnet.errors import ParseError
from symnet.expr import Dtype, Expr, make
from symnet.functions import FUNCTIONS
from symnet.ops.core import FLOAT32, FLOAT64, FLOATS, number
from symnet.ops.leaves import UNKNOWN, input
from symnet.ops.pointwise import Pointwise
from symnet.parse.tokens import Token, fault, tokenize

DEEPEST: Final = 60
_BINARY: Final = {"+": 1, "-": 1, "*": 2, "/": 2, "^": 4}
_SIGN_BINDS: Final = 3
_ENDING: Final = ("number", "name", "power")
_OPERATIONS: Final = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide", "^": "pow"}


@dataclass(frozen=True)
class Callee:
    """A function that text may call, with the fewest and the most arguments it takes."""

    apply: Callable[..., Expr]
    fewest: int
    most: int


@dataclass(frozen=True)
class Parsed:
    """A formula read from text, and what its names stand for, in the order of their reading."""

    expr: Expr
    names: Mapping[str, Expr]


_ACTIVATIONS = {
    "pow": (2, 2), "square": (1, 1), "reciprocal": (1, 1), "rsqrt": (1, 1), "logaddexp": (2, 2),
    "relu": (1, 1), "leaky_relu": (1, 2), "prelu": (2, 2), "elu": (1, 2), "selu": (1, 1),
    "log_sigmoid": (1, 1), "silu": (1, 1), "gelu": (1, 1), "mish": (1, 1), "softsign": (1, 1),
    "hardtanh": (1, 3), "hardswish": (1, 1), "clip": (3, 3),
}  # fmt: skip
_ALIASES = {
    "σ": "sigmoid", "ln": "log", "max": "maximum", "min": "minimum", "arcsin": "asin",
    "arccos": "acos", "arctan": "atan", "arsinh": "asinh", "arcosh": "acosh", "artanh": "atanh",
    "√": "sqrt",
}  # fmt: skip


def _callees() -> dict[str, Callee]:
    found = {
        name: Callee(row, row.arity, row.arity)
        for name, row in FUNCTIONS.items()
        if isinstance(row, Pointwise) and row.gives == "same" and row.arity <= 2
    }
    for name, (fewest, most) in _ACTIVATIONS.items():
        found[name] = Callee(FUNCTIONS[name], fewest, most)  # type: ignore[arg-type]
    return found | {alias: found[name] for alias, name in _ALIASES.items()}


CALLEES: Final[Mapping[str, Callee]] = _callees()


def parse(text: str, names: Mapping[str, Expr] | None = None) -> Expr:
    """The expression that a text writes; see `parse_formula`."""
    return parse_formula(text, names).expr


def parse_formula(
    text: str, names: Mapping[str, Expr] | None = None, functions: Sequence[str] = ()
) -> Parsed:
    """The expression that a text writes, and its names.

    names: what names stand for; any other becomes a scalar float64 input of that name. functions:
    names that are unknown functions, so that f(x) and f'(x) may be written. Numbers are float32 if
    all given names are, else float64. ParseError, with a caret under the place, for anything that
    the grammar does not say; the length and the nesting of a text are bounded.
    """
    return _Parser(text, names or {}, frozenset(functions)).parse()


class _Parser:
    """Precedence climbing over tokens. Its recursion is as deep as the text's nesting."""

    def __init__(self, text: str, names: Mapping[str, Expr], functions: frozenset[str]) -> None:
        self.text, self.given, self.functions = text, names, functions
        self.tokens = tokenize(text)
        self.at = 0
        self.depth = 0
        self.used: dict[str, Expr] = {}
        self.dtype = _number_dtype(names)

    def parse(self) -> Parsed:
        expr = self._climb(1)
        token = self._next()
        if token.kind != "end":
            raise self._unexpected(token)
        return Parsed(expr, self.used)

    def _peek(self) -> Token:
        return self.tokens[self.at]

    def _next(self) -> Token:
        token = self.tokens[self.at]
        if token.kind != "end":
            self.at += 1
        return token

    def _unexpected(self, token: Token) -> ParseError:
        if token.kind == "end":
            return fault(self.text, token.place, "the formula ends too early")
        before = self.tokens[self.at - 2] if self.at > 1 else None
        starts = token.kind in ("number", "name") or token.text in ("(", "√")
        ended = before is not None and (before.kind in _ENDING or before.text in (")", "|"))
        message = f"{token.text!r} is not expected here"
        if starts and ended:
            message = f"an operator is missing before {token.text!r}: write *"
        return fault(self.text, token.place, message)

    def _climb(self, least: int) -> Expr:
        """An expression of operators that bind at least so tightly."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise fault(self.text, self._peek().place, f"nested deeper than {DEEPEST}")
        left = self._signed(least)
        while (binds := _BINARY.get(self._peek().text, 0)) >= least:
            operator = self._next()
            power = operator.text == "^"
            # A power groups to the right, and its exponent may have a sign.
            right = self._climb(_SIGN_BINDS if power else binds + 1)
            left = self._apply(operator, left, right)
        self.depth -= 1
        return left

    def _apply(self, operator: Token, left: Expr, right: Expr) -> Expr:
        apply = Expr.dispatch[_OPERATIONS[operator.text]]
        result: Expr = apply(left, right)
        return result

    def _signed(self, least: int) -> Expr:
        negative = False
        signs = 0
        while self._peek().text in ("+", "-") and least <= _SIGN_BINDS:
            negative ^= self._next().text == "-"
            signs += 1
        operand = self._climb(_BINARY["^"]) if signs else self._powered()
        if not negative:
            return operand
        if operand.op.name == "constant":
            return number(-operand.attrs["value"], operand.dtype)
        return -operand

    def _powered(self) -> Expr:
        base = self._primary()
        token = self._peek()
        if token.kind != "power":
            return base
        self._next()
        if self._peek().text == "^" or self._peek().kind == "power":
            raise fault(self.text, self._peek().place, "a power of a power needs parentheses")
        return Expr.dispatch["pow"](base, number(float(token.text), self.dtype))  # type: ignore[no-any-return]

    def _primary(self) -> Expr:
        token = self._next()
        if token.kind == "number":
            return self._number(token)
        if token.kind == "name":
            return self._name(token)
        if token.text == "√":
            return self._roots()
        if token.text in ("(", "|"):
            inner = self._climb(1)
            self._close(token)
            return inner if token.text == "(" else abs(inner)
        raise self._unexpected(token)

    def _roots(self) -> Expr:
        count = 1
        while self._peek().text == "√":
            self._next()
            count += 1
        operand = self._primary()
        for _ in range(count):
            operand = CALLEES["√"].apply(operand)
        return operand

    def _close(self, opening: Token) -> None:
        wanted = ")" if opening.text == "(" else "|"
        token = self._next()
        if token.kind == "end":
            raise fault(self.text, opening.place, f"this {opening.text} is never closed")
        if token.text != wanted:
            raise self._unexpected(token)

    def _number(self, token: Token) -> Expr:
        value = float(token.text)
        if not math.isfinite(value) or (self.dtype == FLOAT32 and abs(value) > 3.4e38):
            raise fault(self.text, token.place, f"{token.text} is too large for {self.dtype}")
        return number(value, self.dtype)

    def _name(self, token: Token) -> Expr:
        name = token.text
        if name in self.given:
            self.used[name] = self.given[name]
            return self.given[name]
        if self._peek().text in ("(", "′"):
            return self._call(token)
        if name == "e":
            return self._euler(token)
        if name in ("π", "pi"):
            return number(math.pi, self.dtype)
        if name in CALLEES and name != "σ":
            raise fault(self.text, token.place, f"{name} is a function: write {name}(...)")
        if name not in self.used:
            self.used[name] = input(name, dtype=FLOAT64)
        return self.used[name]

    def _euler(self, token: Token) -> Expr:
        if self._peek().text != "^":
            raise fault(
                self.text,
                token.place,
                "e is read as Euler's number, and only in e^x: give another name or write exp(1)",
            )
        self._next()
        return CALLEES["exp"].apply(self._climb(_SIGN_BINDS))

    def _call(self, token: Token) -> Expr:
        name, order = token.text, 0
        while self._peek().text == "′":
            self._next()
            order += 1
        known = name in self.functions
        if not known and (order or name not in CALLEES):
            raise fault(self.text, token.place, self._unknown(name))
        opening = self._next()
        if opening.text != "(":
            raise self._unexpected(opening)
        arguments = self._arguments(opening)
        callee = Callee(Expr, 1, 1) if known else CALLEES[name]
        if not callee.fewest <= len(arguments) <= callee.most:
            counts = {callee.fewest, callee.most}
            wanted = " to ".join(map(str, sorted(counts)))
            plural = "" if counts == {1} else "s"
            raise fault(
                self.text,
                token.place,
                f"{name} takes {wanted} argument{plural}, got {len(arguments)}",
            )
        if known:
            return make(UNKNOWN, tuple(arguments), name=name, order=order)
        return callee.apply(*arguments)

    def _unknown(self, name: str) -> str:
        near = get_close_matches(name, [*CALLEES, *self.functions], n=1)
        hint = f"did you mean {near[0]}?" if near else f"a product is written {name}*(...)"
        return f"there is no function {name}: {hint}"

    def _arguments(self, opening: Token) -> list[Expr]:
        found = [self._climb(1)]
        while self._peek().text == ",":
            self._next()
            found.append(self._climb(1))
        self._close(opening)
        return found


def _number_dtype(names: Mapping[str, Expr]) -> Dtype:
    kinds = {node.dtype for node in names.values() if node.dtype in FLOATS}
    return FLOAT32 if kinds == {FLOAT32} else FLOAT64
