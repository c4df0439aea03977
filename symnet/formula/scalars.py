"""How each pointwise op reads, given how its operands read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from symnet.expr import Expr
from symnet.formula.algebra import divide, literal, multiply, negate, plain, power, scaled
from symnet.formula.sums import total
from symnet.formula.tree import (
    EULER,
    ONE,
    RAISED,
    ZERO,
    Apply,
    Fence,
    Formula,
    Number,
    Piecewise,
    Power,
    Quotient,
    Relation,
    Scaled,
    Symbol,
    walk,
)
from symnet.ops.core import is_number, scalar_constant
from symnet.ops.leaves import UNKNOWN
from symnet.ops.pointwise import Pointwise
from symnet.sizes import Dimension, Size

_RELATIONS = {"less": "<", "less_equal": "≤", "equal": "=", "not_equal": "≠"}
_OPPOSITE = {"<": "≥", "≤": ">", ">": "≤", "≥": "<", "=": "≠", "≠": "="}
_BOUNDED = {"max", "min", "tanh", "σ", "sin", "cos", "sign", "erf", "softmax"}
_TURNED = {"<": ">", "≤": "≥", "=": "=", "≠": "≠"}


@dataclass(frozen=True)
class Operands:
    """The operands of a pointwise node, as formulas, and whether each is a single number."""

    node: Expr
    formulas: Sequence[Formula]
    scalar: Sequence[bool]

    def product(self, index: int) -> Scaled:
        """An operand as a product."""
        return scaled(self.formulas[index], self.scalar[index])

    @property
    def all_scalar(self) -> bool:
        """Whether the result is a single number."""
        return all(self.scalar)


def size_formula(size: Dimension) -> Formula:
    """A size as its name or a product of names; the numbers in it are sizes as well."""
    if not isinstance(size, Size):
        return Number(Fraction(size))
    terms = []
    for names, by in size.terms:
        factors = [Symbol(name, size=True) for name in names]
        if abs(by) != 1 and names:
            factors.append(Symbol(str(abs(by)), size=True))
        term: Formula = Scaled(over=tuple(factors)) if names else Number(Fraction(abs(by)))
        if len(factors) == 1:
            term = factors[0]
        terms.append(negate(term) if by < 0 else term)
    return total(terms, scalar=True)


def constant_formula(node: Expr) -> Formula:
    """A scalar constant node."""
    return literal(node.attrs["value"], node.dtype)


def _add(given: Operands) -> Formula:
    return total(given.formulas, given.all_scalar)


def _subtract(given: Operands) -> Formula:
    left, right = given.formulas
    return total([left, negate(right, given.scalar[1])], given.all_scalar)


def _divide(given: Operands) -> Formula:
    below = given.formulas[1]
    if isinstance(below, Apply) and below.name == "cosh" and given.formulas[0] == ONE:
        return Apply("sech", below.arguments, r"\operatorname{sech}")
    return divide(given.product(0), given.product(1))


def _power(given: Operands) -> Formula:
    base, exponent = given.formulas
    elementwise = not given.all_scalar
    if isinstance(base, Apply) and base.name in RAISED and isinstance(exponent, Number):
        elementwise = False
    return power(base, exponent, elementwise)


def _exp(given: Operands) -> Formula:
    if given.all_scalar:
        return Power(EULER, given.formulas[0])
    return Apply("exp", tuple(given.formulas), r"\exp")


def _log(argument: Formula) -> Formula:
    return Apply("log", (argument,), r"\log", bare=True)


def log_formula(argument: Formula) -> Formula:
    """The natural logarithm."""
    return _log(argument)


def _expm1(given: Operands) -> Formula:
    return total([_exp(given), negate(ONE)], given.all_scalar)


def _log1p(given: Operands) -> Formula:
    return _log(total([ONE, given.formulas[0]], given.all_scalar))


def _weighted_log(given: Operands, argument: Formula) -> Formula:
    """x log y, which is 0 where x is."""
    product = multiply(given.product(0), scaled(_log(argument), given.scalar[1]))
    return Piecewise(Relation("=", given.formulas[0], ZERO), ZERO, product)


def _polynomial(given: Operands) -> Formula:
    """c_0 + c_1 x + c_2 x² + ..."""
    (base,), scalar = given.formulas, given.all_scalar
    terms = []
    for degree, coefficient in enumerate(given.node.attrs["coefficients"]):
        number = scaled(literal(coefficient, given.node.dtype), True)
        raised = power(base, Number(Fraction(degree)), not scalar)
        terms.append(multiply(number, scaled(raised, scalar)) if degree else plain(number))
    return total(terms, scalar)


def _relation(given: Operands) -> Formula:
    sign = _RELATIONS[given.node.op.name]
    left, right = given.formulas
    if is_number(scalar_constant(given.node.args[0])):
        return Relation(_TURNED[sign], right, left)
    return Relation(sign, left, right)


def _logical(sign: str) -> Callable[[Operands], Formula]:
    return lambda given: Relation(sign, *given.formulas)


def _fence(kind: str) -> Callable[[Operands], Formula]:
    return lambda given: Fence(kind, given.formulas[0])


def rooted(within: Formula) -> Formula:
    """The root of a formula; that of a squared norm is the norm."""
    if isinstance(within, Power) and isinstance(within.base, Fence):
        squared = within.exponent == Number(Fraction(2))
        if within.base.kind == "norm" and squared:
            return within.base
    return Fence("root", within)


def _where(given: Operands) -> Formula:
    """A branch against zero is the branch times a bracket, if it is finite everywhere."""
    condition, first, second = given.formulas
    zeros = [formula == ZERO for formula in (first, second)]
    kept = 1 if zeros[1] else 2
    if not any(zeros):
        return Piecewise(condition, first, second)
    if _may_be_infinite(given.formulas[kept]):
        return _chosen(condition, given, kept)
    if kept == 2:
        condition = _opposite(condition)
    mask = isinstance(condition, Symbol) and condition.mask
    bracket = scaled(condition if mask else Fence("bracket", condition), given.scalar[0])
    return multiply(given.product(kept), bracket)


def _chosen(condition: Formula, given: Operands, kept: int) -> Formula:
    """A choice against zero, its number in front."""
    product = given.product(kept)
    sizes = tuple(factor for factor in product.under if _is_constant(factor))
    rest = tuple(factor for factor in product.under if not _is_constant(factor))
    inner = plain(replace(product, top=Fraction(1), bottom=Fraction(1), under=rest))
    branches = (inner, ZERO) if kept == 1 else (ZERO, inner)
    choice = scaled(Piecewise(condition, *branches), given.all_scalar)
    return multiply(Scaled(product.top, product.bottom, under=sizes), choice)


def _opposite(condition: Formula) -> Formula:
    """The condition that holds where this one does not (for numbers, not NaN)."""
    if isinstance(condition, Relation) and condition.sign in _OPPOSITE:
        return Relation(_OPPOSITE[condition.sign], condition.left, condition.right)
    return Apply("¬", (condition,), r"\neg")


def _may_be_infinite(formula: Formula) -> bool:
    """Whether a formula divides or takes a logarithm: 0 times it might then not be 0."""
    for part in walk(formula):
        below = part.under if isinstance(part, Scaled) else ()
        if any(not _is_constant(factor) for factor in below):
            return True
        if isinstance(part, (Quotient, Power, Fence, Apply)) and not _is_constant(part):
            harmless = isinstance(part, Fence) and part.kind != "root"
            whole = isinstance(part, Power) and _is_whole(part.exponent)
            bounded = isinstance(part, Apply) and part.name in _BOUNDED
            if not (harmless or whole or bounded):
                return True
    return False


def _is_constant(formula: Formula) -> bool:
    """Whether a formula is a size or the root of a positive number."""
    if isinstance(formula, Fence) and formula.kind == "root":
        return isinstance(formula.body, Number)
    return isinstance(formula, Symbol) and formula.size


def _is_whole(exponent: Formula) -> bool:
    return isinstance(exponent, Number) and exponent.value >= 0


_SPELLED: dict[str, Callable[[Operands], Formula]] = {
    "negative": lambda given: negate(given.formulas[0], given.scalar[0]),
    "add": _add,
    "subtract": _subtract,
    "multiply": lambda given: multiply(given.product(0), given.product(1)),
    "divide": _divide,
    "pow": _power,
    "exp": _exp,
    "expm1": _expm1,
    "log": lambda given: _log(given.formulas[0]),
    "log1p": _log1p,
    "sqrt": lambda given: rooted(given.formulas[0]),
    "abs": _fence("abs"),
    "floor": _fence("floor"),
    "where": _where,
    "logical_and": _logical("∧"),
    "logical_or": _logical("\N{LOGICAL OR}"),
    "logical_not": lambda given: _opposite(given.formulas[0]),
    "isfinite": lambda given: Relation("<", Fence("abs", given.formulas[0]), Symbol("∞")),
    "xlogy": lambda given: _weighted_log(given, given.formulas[1]),
    "xlog1py": lambda given: _weighted_log(
        given, total([ONE, given.formulas[1]], given.all_scalar)
    ),
    "polynomial": lambda given: _polynomial(given),
    **dict.fromkeys(_RELATIONS, _relation),
}


def pointwise_formula(given: Operands) -> Formula:
    """A pointwise op, or an unknown function, of its operands."""
    node = given.node
    if node.op is UNKNOWN:
        return Apply(node.attrs["name"], tuple(given.formulas), primes=node.attrs["order"])
    spelled = _SPELLED.get(node.op.name)
    if spelled is not None:
        return spelled(given)
    row = node.op
    text = (row.text if isinstance(row, Pointwise) else "") or row.name
    latex = row.latex if isinstance(row, Pointwise) else ""
    return Apply(text, tuple(given.formulas), latex)
